"""`vmgexit replay --peer`: another implementation against recordings and against the machine."""

import json
import random
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.checkout import PYTHON_PEER, QUIRKS, ROOT
from vmgexit.cli import main
from vmgexit.compare.lockstep import compare
from vmgexit.descriptions import Command
from vmgexit.machine.commands import call
from vmgexit.machine.machine import Machine
from vmgexit.machine.scenario import to_lines

pytestmark = pytest.mark.slow

RECORDINGS = ROOT / "corpus" / "recordings"

needs_cc = pytest.mark.needs("cc")

INIT: Command = {"op": "init", "cpus": 1, "reg_count": 1}
STATE: Command = {"op": "state", "cpu": 0}
REGISTER: Command = call(0, 1, 2)

Replay = Callable[..., tuple[int, list[str]]]


@pytest.fixture
def replay(capsys: pytest.CaptureFixture[str]) -> Replay:
    def run(peer: list[str], *words: str) -> tuple[int, list[str]]:
        code = main(["replay", "--peer", shlex.join(peer), *words])
        told = capsys.readouterr()
        return code, told.err.splitlines() if code == 2 else told.out.splitlines()

    return run


def script(folder: Path, answers: str) -> list[str]:
    """A peer whose `answer(command)` is given as Python text."""
    path = folder / "peer.py"
    path.write_text(
        "import json, os, sys, time\n"
        f"{answers}\n"
        'os.write(1, b\'{"vmgexit": 1, "name": "a test"}\\n\')\n'
        "for line in sys.stdin:\n"
        "    os.write(1, json.dumps(answer(json.loads(line))).encode() + b'\\n')\n"
    )
    return [sys.executable, "-S", str(path)]


def scenario(folder: Path, *sequences: list[Command]) -> str:
    path = folder / "scenario.jsonl"
    path.write_text("".join(to_lines(commands) for commands in sequences))
    return str(path)


def recording(folder: Path, sequences: list[list[Command]], profile: str) -> str:
    """Sequences with the answers of the machine."""
    path = folder / "recording.jsonl"
    with path.open("w") as stream:
        for number, commands in enumerate(sequences):
            machine = Machine(profile)
            steps = [{"cmd": command, "ans": machine.execute(command)} for command in commands]
            stream.write(json.dumps({"seq": number, "ops": steps}) + "\n")
    return str(path)


def test_recordings_against_a_peer(replay: Replay) -> None:
    """The peer stops in some of these by a panic, and goes on with the next sequence."""
    code, told = replay(
        [*PYTHON_PEER, "--profile", "coconut"], str(RECORDINGS / "hostile.jsonl.xz")
    )
    assert code == 0
    assert told == ["120 sequences, 4198 operations, 0 mismatches"]


def test_without_answers_the_profile_gives_them(replay: Replay) -> None:
    file = str(QUIRKS / "ppr-keeps-low-nibble.jsonl")
    assert replay(PYTHON_PEER, file) == (0, ["1 sequence, 6 operations, 0 mismatches"])
    code, told = replay(PYTHON_PEER, file, "--profile", "coconut")
    assert code == 1
    assert told[0].endswith("operation 5, call: rdx: 0x40 found, 0x47 expected")


def test_the_planted_bug_is_told(replay: Replay) -> None:
    code, told = replay(
        [*PYTHON_PEER, "--plant", "ppr"], str(QUIRKS / "ppr-keeps-low-nibble.jsonl")
    )
    assert code == 1
    assert told[0].endswith("line 1, operation 5, call: rdx: 0x4f found, 0x40 expected")
    assert told[1] == "1 sequence, 6 operations, 1 mismatch"


@pytest.mark.parametrize(
    ("at_state", "why"),
    [
        ("print('oh no', file=sys.stderr); os._exit(3)", "peer: ended with exit code 3: oh no"),
        ("os.kill(os.getpid(), 9)", "peer: ended by SIGKILL"),
        ("time.sleep(100)", "peer: no answer after 0.7 s"),
        ("os.write(1, b'Segmentation fault\\n')", "peer: not JSON: 'Segmentation fault'"),
        ("return [1]", "peer: [1] found, a JSON object expected"),
    ],
)
def test_a_failure_ends_its_sequence_only(
    at_state: str, why: str, replay: Replay, tmp_path: Path
) -> None:
    peer = script(
        tmp_path,
        f"""
def answer(command):
    if command["op"] == "state":
        {at_state}
    return {{"ok": True}} | {{key: command[key] for key in ("cpus", "reg_count")}}
""",
    )
    file = scenario(tmp_path, [INIT, STATE, STATE], [INIT], [INIT, STATE])
    code, told = replay(peer, file, "--peer-timeout", "0.7")
    assert code == 1
    assert told == [
        f"{file} line 1, operation 1, state: {why}",
        f"{file} line 5, operation 1, state: {why}",
        "3 sequences, 5 operations, 2 mismatches",
    ]


def test_what_is_not_supported_is_counted_and_left_out(replay: Replay, tmp_path: Path) -> None:
    """A peer that knows `init` and part of `state`. The register call is left out on both sides."""
    peer = script(
        tmp_path,
        """
def answer(command):
    if command["op"] == "state":
        return {"unsupported": "state", "reg_count": 1, "flags": {"nmi_pending": False}}
    if command["op"] == "call":
        return {"unsupported": "call"}
    return {"ok": True} | {key: command[key] for key in ("cpus", "reg_count")}
""",
    )
    file = scenario(tmp_path, [INIT, REGISTER, STATE])
    assert replay(peer, file) == (
        0,
        ["1 sequence, 3 operations, 0 mismatches, 2 operations the peer does not fully support"],
    )
    file = scenario(tmp_path, [INIT | {"reg_count": 2}, STATE])
    code, told = replay(peer, file)
    assert code == 1
    assert told[0].endswith("operation 1, state: reg_count: 1 found, 2 expected")


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ('{"ok": ' + "[" * 900 + "]" * 900 + "}", "ok: "),
        ('{"\\u001b[31m\\ud800\\n": "\\u001b\\ud800"}', "?[31m??: '\\x1b\\ud800' found"),
        ('{"panic": 5}', "panic: 5 found, nothing expected"),
        ('{"ok": NaN}', "not JSON: "),
        ('{"ok": 1e999}', "ok: inf found"),
    ],
)
def test_what_a_stranger_says_is_shown_on_one_line(
    answer: str, told: str, replay: Replay, tmp_path: Path
) -> None:
    path = tmp_path / "stranger.py"
    path.write_text(
        "import os\n"
        'os.write(1, b\'{"vmgexit": 1, "name": "a test"}\\n\')\n'
        f"while input(): os.write(1, {answer.encode()!r} + b'\\n')"
    )
    peer = [sys.executable, "-S", str(path)]
    code, lines = replay(peer, scenario(tmp_path, [INIT]))
    assert code == 1
    assert len(lines) == 2
    assert told in lines[0]
    lines[0].encode()


@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("./no-such-peer", "./no-such-peer: cannot be started: No such file or directory"),
        ("true", "true: cannot be started: ended with exit code 0"),
        ("cat --no-such-option", None),
        ("'", "--peer ': No closing quotation"),
        ("", "--peer: a program and its arguments expected"),
    ],
)
def test_a_peer_that_cannot_be_started_is_one_line(
    command: str, line: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", scenario(tmp_path, [INIT]), "--peer", command]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert line is None or told.err == f"vmgexit: {line}\n"


def test_a_peer_that_does_not_start_again(replay: Replay, tmp_path: Path) -> None:
    peer = script(tmp_path, "def answer(command):\n    os.remove(__file__)\n    os._exit(1)")
    code, told = replay(peer, scenario(tmp_path, [INIT], [INIT]))
    assert code == 2
    assert len(told) == 1
    assert "cannot be started: ended with exit code 2: " in told[0]


READ_PPR: Command = call(0, 2, 0x80A)


def test_invariants_judge_what_a_peer_answers(replay: Replay, tmp_path: Path) -> None:
    """With a fault of its own that no recorded answer shows, too."""
    path = scenario(tmp_path, [INIT, READ_PPR, STATE])
    code, told = replay([*PYTHON_PEER, "--plant", "ppr"], path, "--invariants")
    assert code == 1
    assert told[1].endswith("line 1: INV-6 at read PPR of vCPU 0: PPR reads 0xf, 0x0 expected")
    assert told[4].startswith("->   1 call")
    assert told[-1] == "1 sequence, 3 operations, 1 mismatch, 1 violation"
    code, told = replay(PYTHON_PEER, path, "--invariants")
    assert (code, told) == (0, ["1 sequence, 3 operations, 0 mismatches"])


def test_no_invariant_judges_memory_by_answers(replay: Replay) -> None:
    code, told = replay(PYTHON_PEER, str(QUIRKS / "guest-reads-vmsa.jsonl"), "--invariants")
    assert code == 0
    assert told[-1].endswith("0 mismatches, 1 sequence with memory not judged by invariants")


def test_quirks_of_a_peer_are_named_and_counted(replay: Replay) -> None:
    """Two quirks in two scenarios, and a third that our machine has too."""
    names = ["ppr-keeps-low-nibble", "refused-ipi-crashes", "handoff-drops-vector-31"]
    peer = [*PYTHON_PEER, "--profile", ",".join(names)]
    files = [str(QUIRKS / f"{name}.jsonl") for name in names]
    code, told = replay(peer, *files, "--explain", "--profile", names[2])
    assert code == 0
    assert told[0].endswith("(explained by ppr-keeps-low-nibble)")
    assert told[1].endswith("(explained by refused-ipi-crashes)")
    assert told[2] == "3 sequences, 14 operations, 2 mismatches"
    assert told[3:] == ["ppr-keeps-low-nibble: 1", "refused-ipi-crashes: 1", "0 unexplained"]


def test_what_no_quirk_does_and_what_follows_stays_unexplained(
    replay: Replay, tmp_path: Path
) -> None:
    path = scenario(tmp_path, [INIT, READ_PPR, READ_PPR, REGISTER])
    code, told = replay([*PYTHON_PEER, "--plant", "ppr"], path, "--explain")
    assert code == 1
    assert all(line.endswith("(explained by no quirk)") for line in told[:2])
    assert told[2:] == ["1 sequence, 4 operations, 2 mismatches", "2 unexplained"]


def test_a_recording_has_its_quirks_and_a_peer_its_own(replay: Replay) -> None:
    """COCONUT's answers differ from the reference's by its quirks, as of our own machine."""
    recording = str(RECORDINGS / "host.jsonl.xz")
    code, told = replay([*PYTHON_PEER, "--profile", "coconut"], recording, "--explain")
    assert (code, told[-1]) == (0, "0 unexplained")
    code, told = replay(PYTHON_PEER, recording, "--explain")
    assert (code, told[-1]) == (0, "0 unexplained")
    assert "level-dropped-without-eoi: 19" in told


def test_an_unexpected_stop_ends_its_sequence_and_counts_once(
    replay: Replay, tmp_path: Path
) -> None:
    level = {"op": "host_irq", "cpu": 0, "vector": 0x61, "level": True}
    enter = {"op": "enter", "cpu": 0}
    path = scenario(tmp_path, [INIT, level, enter, READ_PPR, STATE, enter], [INIT, STATE])
    code, told = replay([*PYTHON_PEER, "--plant", "panic"], path, "--invariants")
    assert code == 1
    assert told[-1] == "2 sequences, 5 operations, 1 mismatch, 1 violation"
    assert any("INV-10 at enter: the SVSM stopped: assertion failed: !level" in one for one in told)


def test_invariants_are_of_an_svsm(replay: Replay, tmp_path: Path) -> None:
    path = tmp_path / "host.jsonl"
    path.write_text('{"seq": 0, "kind": "host", "ops": [{"cmd": {"op": "init"}}]}\n')
    host = [sys.executable, str(ROOT / "specs" / "peers" / "python_host.py")]
    code, told = replay(host, str(path), "--invariants")
    assert code == 2
    assert told == [
        f"vmgexit: {path} #0 line 1: invariants judge what an SVSM answers, and this is for a GHCB host"
    ]


@pytest.mark.parametrize("timeout", ["0", "-1", "nan", "inf", "soon"])
def test_a_timeout_is_a_number_of_seconds(timeout: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["replay", "-", "--peer", "true", f"--peer-timeout={timeout}"])
    assert caught.value.code == 2
    assert f"'{timeout}' is not a number of seconds" in capsys.readouterr().err


def test_a_scenario_without_a_machine(replay: Replay, tmp_path: Path) -> None:
    code, told = replay(PYTHON_PEER, scenario(tmp_path, [STATE]))
    assert code == 2
    assert told == ["vmgexit: line 1: operation 0: state: vCPU 0 does not exist, there are 0"]


def test_stops_are_compared_as_such() -> None:
    assert not compare({"panic": "ours"}, {"panic": "theirs"})
    assert not compare({"terminated": "asked"}, {"panic": "theirs"})
    assert not compare({"terminated": "ours"}, {"terminated": "theirs"})
    assert compare({"panic": "ours"}, {"terminated": "theirs"})
    assert compare({"ok": True}, {"panic": "theirs"})
    assert compare({"panic": "ours"}, {"ok": True})
    assert compare({"unsupported": "state", "more": 1}, {"ok": True}) == {"more": (1, None)}


# --- the peer in C ---------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["", "-DPLANT"])
def c_peer(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[str], bool]:
    """The compiled peer, and whether it has the bug."""
    program = tmp_path_factory.mktemp("peer") / "c_peer"
    options = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", *request.param.split()]
    source = str(ROOT / "specs" / "peers" / "c_peer.c")
    compiled = subprocess.run(
        ["cc", *options, "-o", str(program), source], capture_output=True, text=True, timeout=60
    )
    assert compiled.returncode == 0, compiled.stderr
    return [str(program)], bool(request.param)


def registrations() -> list[list[Command]]:
    """Registration in many orders, with all that can be asked about it."""
    pick = random.Random(1)
    sequences = []
    for _ in range(200):
        count = pick.choice((0, 1, 1, 2, (1 << 32) - 2, (1 << 32) - 1))
        commands: list[Command] = [{"op": "init", "cpus": 3, "reg_count": count}]
        for _ in range(pick.randint(1, 20)):
            protocol, request, rcx = pick.choice(
                [
                    (3, 1, pick.choice((0, 1, 1, 2, 2, 3, 1 << 32))),
                    (0, 6, pick.randrange(5) << 32 | pick.choice((1, 2))),
                    (3, pick.choice((0, 5, 1 << 31)), 9),
                    (pick.choice((2, 4)), 0, 0),
                ]
            )
            cpu = pick.randrange(3)
            commands.append(call(cpu, request, rcx, 1 << 63, 7, protocol=protocol))
            if pick.random() < 0.3:
                guest = {"if": pick.random() < 0.5, "shadow": False, "cr8": pick.randrange(16)}
                commands.append({"op": "guest", "cpu": pick.randrange(3)} | guest)
        sequences.append(commands)
    return sequences


@needs_cc
@pytest.mark.parametrize("profile", [None, "reference"])
def test_the_c_peer_registers_as_the_reference(
    profile: str | None, c_peer: tuple[list[str], bool], replay: Replay, tmp_path: Path
) -> None:
    peer, planted = c_peer
    sequences = registrations()
    if profile:
        file = recording(tmp_path, sequences, profile)
    else:
        file = scenario(tmp_path, *([*commands, STATE] for commands in sequences))
    code, told = replay(peer, file)
    if planted:
        assert code == 1
        assert "rax: 0 found, 0x80001000 " in told[0]
    else:
        assert code == 0
        assert told[-1].startswith("200 sequences, ")
        assert ", 0 mismatches" in told[-1]


@needs_cc
def test_the_c_peer_says_what_it_does_not_support(
    c_peer: tuple[list[str], bool], replay: Replay
) -> None:
    peer, _ = c_peer
    code, told = replay(peer, *map(str, sorted(QUIRKS.glob("*.jsonl"))))
    assert code == 0
    assert ", 0 mismatches, " in told[0]
    assert told[0].endswith(" operations the peer does not fully support")
