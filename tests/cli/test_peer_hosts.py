"""Peers that are GHCB hosts, and recordings of peers of both kinds."""

import json
import lzma
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from vmgexit.cli import main
from vmgexit.machine.commands import call
from vmgexit.machine.scenario import to_lines

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
HOSTS = sorted(str(path) for path in (ROOT / "corpus" / "hosts").glob("*.jsonl"))
QUIRKS = ROOT / "corpus" / "quirks"


def peer(name: str, *words: str) -> str:
    return shlex.join([sys.executable, str(ROOT / "specs" / "peers" / name), *words])


HOST, SVSM = peer("python_host.py", "--profile", "kvm"), peer("python_peer.py")

Run = Callable[..., tuple[int, list[str]]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*words: str) -> tuple[int, list[str]]:
        capsys.readouterr()
        code = main(list(words))
        told = capsys.readouterr()
        return code, told.err.splitlines() if code == 2 else told.out.splitlines()

    return run


def test_what_kvm_answered_against_a_host(run: Run) -> None:
    recording = str(ROOT / "corpus" / "recordings" / "kvm" / "kvm-msr.jsonl.xz")
    code, told = run("replay", "--profile", "kvm", "--peer", HOST, recording)
    assert (code, told) == (0, ["500 sequences, 1000 operations, 0 mismatches"])


def test_a_bug_of_a_host_is_told(run: Run, tmp_path: Path) -> None:
    """IOIO of size 0, without an answer: the reference refuses it."""
    page = [[912, "7b"], [1015, "80"], [1022, "1c"], [4090, "02"]]
    file = tmp_path / "scenario.jsonl"
    operations = [
        {"cmd": {"op": "init", "registered": 0x7000}},
        {"cmd": {"op": "vmgexit", "page": page, "gpa": 0x7000}},
    ]
    file.write_text(json.dumps({"kind": "host", "ops": operations}) + "\n")
    assert run("replay", str(file), "--peer", peer("python_host.py"))[0] == 0
    code, told = run("replay", str(file), "--peer", peer("python_host.py", "--plant", "size"))
    assert code == 1
    assert "vmgexit: status: 0 found, 2 expected; detail: 0 found, 5 expected" in told[0]


def test_a_host_is_checked_by_its_own_rules(run: Run) -> None:
    """KVM has no exit for the doorbell page, which two rules need."""
    code, told = run("peer", "check", "--peer", HOST)
    assert code == 0
    assert "not supported: the exit HV_DOORBELL_PAGE" in told
    assert told[0] == "PEER-H1 Hello: holds: python_host, profile kvm"
    assert told[-1] == "20 rules hold, 2 not supported, 0 broken"


@pytest.mark.parametrize(("command", "kind"), [(SVSM, "a GHCB host"), (HOST, "an SVSM")])
def test_a_peer_of_the_other_kind_is_one_line(command: str, kind: str, run: Run) -> None:
    file = HOSTS[0] if command == SVSM else str(QUIRKS / "lazy-eoi-survives-disable.jsonl")
    code, told = run("replay", file, "--peer", command)
    assert code == 2
    assert len(told) == 1
    assert f"line 1: this is for {kind}, and the peer is" in told[0]


def test_a_recording_replays_on_the_machine(run: Run, tmp_path: Path) -> None:
    for command, profile, files in (
        (SVSM, "reference", [str(path) for path in sorted(QUIRKS.glob("*-eoi*.jsonl"))]),
        (HOST, "kvm", HOSTS),
    ):
        output = str(tmp_path / f"{profile}.jsonl.xz")
        code, told = run("peer", "record", "--peer", command, "-o", output, *files)
        assert code == 0
        assert told[0].startswith(f"{output}: {len(files)} sequences, ")
        code, told = run("replay", "--profile", profile, output)
        assert (code, len(told)) == (0, 1)
        assert ", 0 mismatches" in told[0]


def test_what_a_recording_holds(run: Run, tmp_path: Path) -> None:
    """A stop ends its sequence, and what is not supported has no answer."""
    scenario, output = tmp_path / "scenario.jsonl", tmp_path / "recording.jsonl.xz"
    init = {"op": "init", "cpus": 1, "reg_count": 1}
    refuse = {"op": "host_refuse", "cpu": 0, "call": "disable_alternate_injection"}
    deregister = call(0, 1, 1)
    scenario.write_text(to_lines([init, refuse, deregister, {"op": "state", "cpu": 0}]))
    words = ("peer", "record", "--peer", SVSM, "-o", str(output), str(scenario))
    assert run(*words) == (0, [f"{output}: 1 sequence, 3 commands recorded"])
    [line] = lzma.decompress(output.read_bytes()).splitlines()
    assert json.loads(line) == {
        "seq": 0,
        "ops": [
            {"cmd": init, "ans": {"ok": True, "cpus": 1, "reg_count": 1}},
            {"cmd": refuse, "ans": {"ok": True}},
            {
                "cmd": deregister,
                "ans": {"terminated": "the host refused to disable Alternate Injection"},
            },
        ],
    }


def test_a_peer_that_dies_leaves_what_it_answered(run: Run, tmp_path: Path) -> None:
    mortal = tmp_path / "mortal.py"
    mortal.write_text(
        "import sys\n"
        'print(\'{"vmgexit": 2, "name": "mortal"}\', flush=True)\n'
        'input(); print(\'{"ok": true, "cpus": 1, "reg_count": 1}\', flush=True)\n'
        'input(); print(\'{"unsupported": "state"}\', flush=True)\n'
        'input(); sys.exit("oh no")'
    )
    scenario, output = tmp_path / "scenario.jsonl", tmp_path / "recording.jsonl"
    state = {"op": "state", "cpu": 0}
    init = {"op": "init", "cpus": 1, "reg_count": 1}
    scenario.write_text(to_lines([init, state, state, state]))
    command = shlex.join([sys.executable, "-S", str(mortal)])
    code, told = run("peer", "record", "--peer", command, "-o", str(output), str(scenario))
    assert code == 1
    assert told == [
        f"{scenario} line 1, operation 2, state: peer: ended with exit code 1: oh no",
        f"{output}: 1 sequence, 2 commands recorded, 1 of them without an answer",
    ]
    assert json.loads(output.read_text())["ops"][1] == {"cmd": state}


def test_a_folder_that_is_missing_is_told_before_the_peer_runs(run: Run, tmp_path: Path) -> None:
    output = str(tmp_path / "none" / "mine.jsonl")
    code, told = run("peer", "record", "--peer", "false", "-o", output, HOSTS[0])
    assert (code, told) == (2, [f"vmgexit: {tmp_path / 'none'}: no such folder"])
