"""A bug in another implementation is found over the pipe, shown and reproduced; one that does as the
machine does is left in peace, and no process stays behind."""

import os
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.checkout import PYTHON_PEER, VMGEXIT, complaint, quirk_scenario
from tests.peers.opened import opener
from vmgexit.descriptions import Command
from vmgexit.machine import program
from vmgexit.machine.commands import call
from vmgexit_fuzz.targets import Finding
from vmgexit_fuzz.targets.peer import PeerTarget

pytestmark = pytest.mark.slow

INIT: Command = {"op": "init", "cpus": 1, "reg_count": 1}
LEVEL: Command = {"op": "host_irq", "cpu": 0, "vector": 0x61, "level": True}
ENTER: Command = {"op": "enter", "cpu": 0}
READ_PPR: Command = call(0, 2, 0x80A)
MESSAGE = (
    "call SVSM_APIC_READ_REGISTER of PPR: rdx: 0xf found, 0 expected;"
    " it breaks INV-6 at read PPR of vCPU 0: PPR reads 0xf, 0x0 expected"
)

needs_atheris = pytest.mark.needs("atheris")


Open = Callable[..., PeerTarget]


@pytest.fixture
def opened() -> Iterator[Open]:
    yield from opener("peer", PeerTarget)


def finding(peer: PeerTarget, commands: list[Command]) -> Finding:
    data = program.write(commands)
    with pytest.raises(Finding) as caught:
        peer.run(data)
    again, shown = peer.examine(data)
    assert again is not None
    assert again.cause == caught.value.cause
    assert [line for line in shown.splitlines() if line.startswith("->")]
    return caught.value


def test_the_first_different_answer_is_the_finding(opened: Open) -> None:
    found = finding(opened(*PYTHON_PEER, "--plant", "ppr"), [INIT, ENTER, READ_PPR, READ_PPR])
    assert found.cause == "call SVSM_APIC_READ_REGISTER of PPR: rdx differs"
    assert found.message == MESSAGE
    assert found.clause == "INV-6"


def test_a_stop_is_a_finding_and_the_peer_goes_on(opened: Open) -> None:
    peer = opened(*PYTHON_PEER, "--plant", "panic")
    found = finding(peer, [INIT, LEVEL, ENTER])
    assert found.cause == "panic at enter: assertion failed: !level"
    assert peer.run(program.write([INIT, READ_PPR])) == 2


def test_a_hang_is_a_finding_and_the_peer_goes_on(opened: Open) -> None:
    peer = opened(*PYTHON_PEER, "--plant", "hang")
    peer.start()
    assert peer.peer is not None
    assert peer.peer.timeout == 5
    peer.peer.timeout = 0.3
    with pytest.raises(Finding) as caught:
        peer.run(program.write([INIT, LEVEL, ENTER]))
    assert caught.value.cause == "hang at enter"
    assert caught.value.message == "peer: no answer after 0.3 s (at enter)"
    peer.peer.timeout = 5
    assert peer.run(program.write([INIT, READ_PPR])) == 2


def test_the_profile_is_what_the_peer_is_compared_with(opened: Open) -> None:
    name = "ppr-keeps-low-nibble"
    commands = quirk_scenario(name)
    command = [*PYTHON_PEER, "--profile", name]
    assert finding(opened(*command), commands).cause == name
    coconut = opened(*command, profile="coconut")
    assert coconut.run(program.write(commands)) == len(commands)


def test_a_peer_that_has_gone_for_good_is_a_finding(opened: Open, tmp_path: Path) -> None:
    peer = opened(str(tmp_path / "gone"), started=False)
    with pytest.raises(Finding, match="cannot be started: No such file or directory") as caught:
        peer.run(program.write([INIT]))
    assert caught.value.cause == "start at init"


def vmgexit(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [VMGEXIT, *words],
        cwd=folder,
        env=os.environ | {"PWD": str(folder)},
        capture_output=True,
        text=True,
        timeout=100,
    )


def left_behind(mark: str) -> list[str]:
    """Processes that have `mark` on their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes()
        except OSError:
            continue
        if mark.encode() in line:
            found.append(line.decode(errors="replace"))
    return found


@needs_atheris
def test_a_planted_bug_is_found_over_the_pipe(tmp_path: Path) -> None:
    own = tmp_path / "an adapter.py"  # its path marks its processes
    own.write_text(Path(PYTHON_PEER[1]).read_text())
    command = shlex.join([PYTHON_PEER[0], str(own), "--plant", "ppr"])
    campaign = vmgexit(
        tmp_path,
        *("fuzz", "run", "peer", "--peer", command),
        *("--time", "60", "--seed", "1", "--stop-on-finding", "--findings", "found"),
    )
    assert campaign.returncode == 1, campaign.stdout + campaign.stderr
    lines = campaign.stdout.splitlines()
    [told] = [line for line in lines if line.startswith("finding: ")]
    assert told == f"finding: {MESSAGE}"
    again = next(line for line in lines if " replay " in line)

    replayed = vmgexit(tmp_path, *shlex.split(again)[2:])
    assert replayed.returncode == 1, replayed.stderr
    assert told.removeprefix("finding: ") in replayed.stdout
    shown = replayed.stdout.splitlines()[1:-1]
    assert len(shown) == 4
    assert shown[1].startswith("->   1 call")

    scenario = "found/peer-call-svsm-apic-read-register-of-ppr-rdx-differs.jsonl"
    compared = vmgexit(tmp_path, "replay", scenario, "--peer", command)
    assert compared.returncode == 1, compared.stderr
    assert "rdx: 0xf found, 0 expected" in compared.stdout
    assert left_behind(str(own)) == []


@needs_atheris
def test_a_peer_that_follows_another_profile_is_told(tmp_path: Path) -> None:
    """And held against the reference, unless the command says otherwise."""
    words = ("fuzz", "run", "peer", "--peer", shlex.join([*PYTHON_PEER, "--profile", "coconut"]))
    told = "the peer says that it follows --profile coconut; it is held against reference\n"
    assert vmgexit(tmp_path, *words, "--runs", "1").stderr == told
    assert vmgexit(tmp_path, *words, "--runs", "1", "--profile", "coconut").stderr == ""


@needs_atheris
def test_the_peers_own_coverage_guides_too(tmp_path: Path) -> None:
    covered = []
    for options in ([], ["--hits"]):
        campaign = vmgexit(
            tmp_path,
            *("fuzz", "run", "peer", "--peer", shlex.join([*PYTHON_PEER, *options])),
            *("--kinds", "probes", "--runs", "100", "--seed", "1"),
        )
        assert campaign.returncode == 0, campaign.stdout + campaign.stderr
        covered.append(int(re.findall(r"coverage (\d+)", campaign.stdout)[-1]))
    assert covered[1] > covered[0] + 50


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["run", "peer"], "the target peer needs --peer, a program and its arguments"),
        (
            ["run", "peer", "--peer", "./gone"],
            "./gone: cannot be started: No such file or directory",
        ),
        (["run", "peer", "--peer", "'"], "--peer ': No closing quotation"),
        (
            ["run", "svsm-peer", "--peer", "sh dies.sh"],
            "--peer sh dies.sh: ended with exit code 3: oh no (at an init with memory)",
        ),
        (["run", "scenario", "--peer", "x"], "--peer: scenario is no target that another"),
        (["replay", "input", "--target", "peer"], "the target peer needs --peer, a program and"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(words: list[str], line: str, tmp_path: Path) -> None:
    (tmp_path / "input").write_bytes(b"")
    hello = '{"vmgexit": 2, "name": "a test"}'
    (tmp_path / "dies.sh").write_text(f"echo '{hello}'; read command; echo oh no >&2; exit 3")
    assert complaint(vmgexit(tmp_path, "fuzz", *words)).startswith(f"vmgexit: {line}")
    assert not (tmp_path / ".vmgexit").exists()
