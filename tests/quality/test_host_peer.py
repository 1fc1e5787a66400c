"""Campaigns that drive a GHCB host over pipes."""

import json
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.checkout import PYTHON_HOST, PYTHON_PEER
from tests.peers.opened import opener
from vmgexit.cli import main
from vmgexit.hosts.quirks import PROFILES
from vmgexit_fuzz.targets import Finding
from vmgexit_fuzz.targets.ghcb.peer import HostPeer
from vmgexit_fuzz.targets.ghcb.programs import SIZE, code_of, exit_choices

pytestmark = pytest.mark.slow

needs_atheris = pytest.mark.needs("atheris")

Open = Callable[..., HostPeer]


@pytest.fixture
def opened() -> Iterator[Open]:
    yield from opener("host-peer", HostPeer)


def scenario(*exits: int) -> bytes:
    """An input: a usual VM, and exits as the builder makes them."""
    operations = [bytes(SIZE)]
    for code in exits:
        head = bytes((code_of("vmgexit"), 0, 0, 0, exit_choices()[code]))
        operations.append(head.ljust(SIZE, b"\0"))
    return b"".join(operations)


WBINVD, RDTSC = 0x89, 0x6E


def test_a_quirk_is_the_finding(opened: Open) -> None:
    target = opened(*PYTHON_HOST, "--profile", "rdtsc-ends-run")
    assert target.run(scenario(WBINVD)) == 2
    with pytest.raises(Finding) as caught:
        target.run(scenario(WBINVD, RDTSC))
    assert (caught.value.cause, caught.value.steps) == ("rdtsc-ends-run", 3)
    again, shown = target.examine(scenario(WBINVD, RDTSC, WBINVD))
    assert again is not None
    assert again.cause == "rdtsc-ends-run"
    assert [line[:9] for line in shown.splitlines() if line.startswith("->")] == ["->   2 vm"]
    assert opened(*PYTHON_HOST, "--profile", "kvm", profile="kvm").run(scenario(WBINVD, RDTSC)) == 3


def test_a_peer_that_lacks_a_quirk_of_the_profile(opened: Open) -> None:
    for profile in ("rdtsc-ends-run", "rdtsc-ends-run,rdtscp-injects-ud"):
        with pytest.raises(Finding) as caught:
            opened(*PYTHON_HOST, profile=profile).run(scenario(RDTSC))
        assert caught.value.cause == "without rdtsc-ends-run"


def test_an_adapter_that_dies_or_answers_too_much(opened: Open, tmp_path: Path) -> None:
    for does, cause in (
        ("sys.exit('oh no')", "death at the exit WBINVD"),
        ("print('{}\\n{}')", "number at the exit WBINVD"),
        ("print('[]')", "garbage at the exit WBINVD"),
        ('print(\'{"panic": "page 0x7000"}\')', "panic at the exit WBINVD"),
    ):
        path = tmp_path / "host.py"
        path.write_text(
            "import sys\n"
            'print(\'{"vmgexit": 2, "name": "a test", "machine": "host"}\', flush=True)\n'
            "for line in sys.stdin:\n"
            "    if 'vmgexit' in line:\n"
            f"        {does}; sys.stdout.flush()\n"
            "    else:\n"
            "        print('{\"ok\": true}', flush=True)\n"
        )
        with pytest.raises(Finding) as caught:
            opened(sys.executable, "-S", str(path)).run(scenario(WBINVD))
        assert caught.value.cause == cause


def test_a_hang_is_a_finding_and_the_peer_goes_on(opened: Open, tmp_path: Path) -> None:
    path = tmp_path / "host.py"
    path.write_text(
        "import sys, time\n"
        'print(\'{"vmgexit": 2, "name": "a test", "machine": "host"}\', flush=True)\n'
        "for line in sys.stdin:\n"
        "    if 'vmgexit' in line:\n"
        "        time.sleep(30)\n"
        "    print('{\"ok\": true}', flush=True)\n"
    )
    target = opened(sys.executable, "-S", str(path))
    target.start()
    assert target.peer is not None
    target.peer.timeout = 0.3
    with pytest.raises(Finding) as caught:
        target.run(scenario(WBINVD))
    assert caught.value.cause == "hang at the exit WBINVD"
    assert caught.value.message == "peer: no answer after 0.3 s (at the exit WBINVD)"
    assert target.run(scenario()) == 1


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs vmgexit in a folder of the test: exit code, standard output and standard error."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(list(words))
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


@needs_atheris
def test_a_campaign_finds_a_bug_and_what_follows_works_with_it(run: Run, tmp_path: Path) -> None:
    command = shlex.join([*PYTHON_HOST, "--profile", "rdtsc-ends-run"])
    code, told, _ = run(
        *("fuzz", "run", "host-peer", "--peer", command, "--dir", "found"),
        *("--time", "60", "--seed", "1", "--stop-on-finding", "--kinds", "random"),
    )
    assert code == 1, told
    [line] = [line for line in told.splitlines() if line.startswith("finding: ")]
    assert line.startswith("finding: the exit RDTSC (explained by rdtsc-ends-run): run: ['internal")
    [again] = [line for line in told.splitlines() if " replay " in line]
    code, told, _ = run(*shlex.split(again[again.index("fuzz ") :]))
    assert code == 1
    assert "(explained by rdtsc-ends-run)" in told

    found = "found/findings/host-peer-rdtsc-ends-run"
    code, told, _ = run("replay", f"{found}.jsonl", "--peer", command)
    assert code == 1
    assert ", vmgexit: run: ['internal-error', 0x6e] found, 'guest' expected" in told
    code, _, told = run("fuzz", "replay", f"{found}.jsonl")
    assert (code, told.count("\n")) == (2, 1)
    assert "`vmgexit replay --peer CMD` runs a host's JSON lines" in told
    assert run("fuzz", "minimize", "host-peer-rdtsc", "--dir", "found")[0] == 0
    assert run("fuzz", "replay", f"{found}.bin")[1].count("->") == 1
    code, told, _ = run("fuzz", "triage", "--dir", "found", "--json")
    [record] = json.loads(told)
    assert (record["cause"], record["clause"]) == ("rdtsc-ends-run", "HOST-9")


@needs_atheris
@pytest.mark.long
def test_a_campaign_names_what_kvm_does_otherwise(run: Run) -> None:
    """Many quirks meet in each answer of KVM, and each finding is one of them."""
    command = shlex.join([*PYTHON_HOST, "--profile", "kvm"])
    words = ("--dir", "found", "--time", "60", "--workers", "2", "--seed", "1", "--quiet")
    assert run("fuzz", "run", "host-peer", "--peer", command, *words)[0] == 1
    records = json.loads(run("fuzz", "triage", "--dir", "found", "--json")[1])
    causes = {record["cause"] for record in records}
    assert causes <= set(PROFILES.of_profile("kvm"))
    assert len(causes) > 15


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["run", "host-peer"], "the target host-peer needs --peer, a program and its arguments"),
        (
            ["run", "host-peer", "--peer", shlex.join(PYTHON_PEER)],
            f"--peer {shlex.join(PYTHON_PEER)}: it is an SVSM, which the target peer drives",
        ),
        (
            ["run", "peer", "--peer", shlex.join(PYTHON_HOST)],
            f"--peer {shlex.join(PYTHON_HOST)}: it is a GHCB host, which the target host-peer drives",
        ),
        (["run", "host-peer", "--peer", "x", "--profile", "coconut"], "unknown profile coconut;"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(words: list[str], line: str, run: Run) -> None:
    code, _, told = run("fuzz", *words)
    assert code == 2
    assert told.startswith(f"vmgexit: {line}")
    assert told.count("\n") == 1
