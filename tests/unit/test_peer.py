"""A peer may do what it likes: each misdeed is one clear PeerError, in time, and no process stays."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vmgexit.compare.peer import Peer
from vmgexit.compare.pipes import LONGEST_ANSWER, _ending_with_us
from vmgexit.errors import PeerError, ScenarioError

pytestmark = pytest.mark.slow

Make = Callable[..., Peer]

INIT = {"op": "init", "cpus": 1, "reg_count": 1}
STATE = {"op": "state", "cpu": 0}
OK = '{"ok": true}'

START = """\
import json, os, signal, sys, time
def say(text): os.write(1, text.encode() + b"\\n")  # at once
def hear(): return json.loads(sys.stdin.readline() or sys.exit())
"""
HELLO = """say('{"vmgexit": 1, "name": "a test", "profile": "coconut"}')\n"""
ANSWER = f"""hear(); say('{OK}')\n"""
FOREVER = f"while True:\n    {ANSWER}"
STUCK = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: time.sleep(100)\n"


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def from_script(script: str, *, timeout: float = 5, hello: str = HELLO) -> Peer:
        path = tmp_path / "peer.py"
        path.write_text(START + hello + script)
        return Peer([sys.executable, "-S", str(path)], timeout)

    return from_script


def gone(pid: int) -> bool:
    """Whether the process ends soon; one that nobody has waited for yet is gone too."""
    until = time.monotonic() + 3
    while time.monotonic() < until:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.01)
    return False


def failure(peer: Peer, *commands: dict[str, Any]) -> PeerError:
    """Run the commands, of which the last has to fail, and check that nothing is left."""
    with peer:
        pid = peer.pid
        for command in commands[:-1]:
            peer.execute(command)
        with pytest.raises(PeerError) as caught:
            peer.execute(commands[-1])
        assert peer.pid == 0
        assert gone(pid)
    return caught.value


def test_commands_arrive_as_they_are_and_answers_come_back(make: Make) -> None:
    with make("while True: say(json.dumps({'was': hear()}))") as peer:
        assert peer.hello.name == "a test"
        assert peer.hello.profile == "coconut"
        assert peer.execute(INIT) == {"was": INIT}
        large = {"op": "enter", "cpu": 0, "late": [{"vector": 0x61, "level": True}] * 15_000}
        assert len(json.dumps(large)) > 1 << 18  # more than pipes hold
        assert peer.execute(large) == {"was": large}
        pid = peer.pid
        assert not gone_now(pid)
    assert gone(pid)


def gone_now(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


DEATHS = {
    "exit code": ("sys.exit(3)", "ended with exit code 3"),
    "last words": (
        "print('one', file=sys.stderr); print('two\\x1b[31m', file=sys.stderr); os._exit(101)",
        "ended with exit code 101: two?[31m",
    ),
    "signal": ("os.kill(os.getpid(), signal.SIGSEGV)", "ended by SIGSEGV"),
    "killed": ("os.kill(os.getpid(), signal.SIGKILL)", "ended by SIGKILL"),
    "part of a line": (
        """print('{"ok": ', end='', flush=True); os._exit(0)""",
        """ended with exit code 0 after '{"ok": '""",
    ),
    "output closed": ("os.close(1)\n" + STUCK, "closed its standard output"),
}


@pytest.mark.parametrize("name", DEATHS)
def test_death_is_told_with_its_reason(name: str, make: Make) -> None:
    script, message = DEATHS[name]
    error = failure(make(ANSWER + "hear()\n" + script), INIT, STATE)
    assert (error.kind, str(error)) == ("death", message)


def test_exit_after_the_hello(make: Make) -> None:
    assert str(failure(make(""), INIT)) == "ended with exit code 0"


def test_a_kill_from_outside(make: Make) -> None:
    with make(FOREVER) as peer:
        peer.execute(INIT)
        os.kill(peer.pid, signal.SIGKILL)
        with pytest.raises(PeerError, match="ended by SIGKILL"):
            peer.execute(STATE)
        with pytest.raises(ScenarioError, match="does not exist"):
            peer.execute(STATE)  # its machine is gone too
        assert peer.execute(INIT) == {"ok": True}  # another process


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (STUCK, "no answer after 0.2 s"),
        ("sys.stdout.write('{'); sys.stdout.flush()\n" + STUCK, "no answer after 0.2 s but '{'"),
        # A child that holds the pipes open.
        ("if os.fork():\n    os._exit(0)\n" + STUCK, "no answer after 0.2 s"),
    ],
)
def test_a_hang_ends_in_time(script: str, message: str, make: Make) -> None:
    started = time.monotonic()
    with make(ANSWER + "hear()\n" + script) as peer:
        peer.execute(INIT)
        peer.timeout = 0.2  # not before: a Python takes a while to start
        with pytest.raises(PeerError) as caught:
            peer.execute(STATE)
    assert (caught.value.kind, str(caught.value)) == ("hang", message)
    assert time.monotonic() - started < 4


def test_what_a_peer_started_ends_with_it(make: Make, tmp_path: Path) -> None:
    script = f"""\
child = os.fork()
if not child:
{STUCK.replace("while", "    while", 1).replace("signal.signal", "    signal.signal", 1)}
hear(); say(json.dumps({{"child": child}}))
"""
    with make(script + FOREVER) as peer:
        child = peer.execute(INIT)["child"]
        assert not gone_now(child)
    assert gone(child)


def test_slow_answers_are_answers(make: Make) -> None:
    letters = "for letter in '{}': time.sleep(0.02); print(letter, end='', flush=True)\nsay('')\n"
    with make("hear()\n" + letters.replace("{}", OK) + FOREVER) as peer:
        assert peer.execute(INIT) == {"ok": True}


GARBAGE = {
    "no JSON": ("say('ok')", "not JSON: 'ok'"),
    "an empty line": ("say('')", "not JSON: ''"),
    "a list": ("say('[1, 2]')", "[1, 2] found, a JSON object expected"),
    "bytes": (
        "os.write(1, bytes([0xff, 0xfe, 10]))",
        r"not JSON: '\xff\xfe'",
    ),
    "nested deep": ("say('[' * 100_000)", "not JSON: '" + "[" * 75 + "..."),
    "no number": ("say('{\"rax\": NaN}')", "not JSON: '{\"rax\": NaN}'"),
    "infinity": ("say('[-Infinity]')", "not JSON: '[-Infinity]'"),
    "a number without end": ("say('{\"rax\":' + '1' * 5000 + '}')", None),
    "a line without end": (
        "while True: os.write(1, b'x' * 65536)",
        f"an answer of more than {LONGEST_ANSWER} bytes",
    ),
    "a line too long": (
        f"say('x' * {LONGEST_ANSWER + 1})",
        f"an answer of more than {LONGEST_ANSWER} bytes",
    ),
}


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_is_no_answer(name: str, make: Make) -> None:
    script, message = GARBAGE[name]
    error = failure(make(f"{ANSWER}hear()\n{script}\n{STUCK}"), INIT, STATE)
    assert error.kind == "garbage"
    assert str(error) == message or (message is None and str(error).startswith("not JSON: "))
    assert len(str(error)) < 100


def test_the_longest_answer(make: Make) -> None:
    padding = LONGEST_ANSWER - len('{"ok": ""}')
    script = f"""hear(); say('{{"ok": "' + 'x' * {padding} + '"}}')\n"""
    with make(script + FOREVER) as peer:
        assert len(peer.execute(INIT)["ok"]) == padding


def test_two_answers_to_one_command(make: Make) -> None:
    error = failure(make(f"{ANSWER}hear(); say('{OK}\\n{OK}')\n{STUCK}"), INIT, STATE)
    assert (error.kind, str(error)) == ("number", f"more than one answer: '{OK}\\n'")


def test_what_is_no_answer_beside_one(make: Make) -> None:
    for said, told in (
        (f"'{OK}\\nhello'", "wrote what is no answer: 'hello\\n'"),
        (f"'hello\\n{OK}'", "not JSON: 'hello'"),
    ):
        error = failure(make(f"{ANSWER}hear(); say({said})\n{STUCK}"), INIT, STATE)
        assert (error.kind, str(error)) == ("garbage", told)


def test_one_that_reads_no_more_is_told_at_once(make: Make) -> None:
    with make(f"{ANSWER}hear(); os.close(0); say('{OK}')\n{STUCK}", timeout=60) as peer:
        peer.execute(INIT)
        peer.execute(STATE)
        began = time.monotonic()
        with pytest.raises(PeerError, match="closed its standard input") as caught:
            peer.execute(STATE)
    assert caught.value.kind == "death"
    assert time.monotonic() - began < 30


def test_what_comes_after_an_answer(make: Make) -> None:
    later = "time.sleep(0.1);"
    for does, kind in (
        (f"{later} say('{OK}')", "number"),
        (f"{later} os._exit(0)", "death"),
        ("os.close(0); time.sleep(60)", "deaf"),
    ):
        with make(f"{ANSWER}{does}\n{STUCK}") as peer:
            peer.execute(INIT)
            with pytest.raises(PeerError) as caught:
                peer.settle(20 if kind != "deaf" else 1)
            assert caught.value.kind == kind.replace("deaf", "death")
    with make(FOREVER) as peer:
        peer.execute(INIT)
        peer.settle(0.01)
        assert peer.execute(STATE) == {"ok": True}


def test_an_answer_that_nobody_asked_for(make: Make) -> None:
    with make(f"{ANSWER}time.sleep(0.05); say('{OK}')\n{STUCK}") as peer:
        peer.execute(INIT)
        time.sleep(0.5)
        with pytest.raises(PeerError, match="answered unasked: ") as caught:
            peer.execute(STATE)
    assert caught.value.kind == "number"


def test_a_flood_of_standard_error_does_not_block(make: Make) -> None:
    flood = "hear(); os.write(2, b'x' * 300_000); say('{\"ok\": true}')\n"
    with make(flood * 2 + "hear(); os.write(2, b'\\nlast\\n\\n'); os._exit(1)") as peer:
        assert peer.execute(INIT) == {"ok": True}
        assert peer.execute(STATE) == {"ok": True}
        with pytest.raises(PeerError, match=r"exit code 1: last$"):
            peer.execute(STATE)


HELLOS = {
    "none": ("", "ended with exit code 0"),
    "no JSON": ("say('ready')\n", "not JSON: 'ready'"),
    "another version": (
        """say('{"vmgexit": 3}')\n""",
        "hello: vmgexit: 3 found, 1 or 2 expected",
    ),
    "an answer": (f"say('{OK}')\n", "hello: vmgexit: '' found, 1 or 2 expected"),
    "stays": (
        """say('{"vmgexit": 2, "name": "a", "stays": 1}')\n""",
        "hello: stays: 1 found, true or false expected",
    ),
    "no name": ("""say('{"vmgexit": 1}')\n""", "hello: name: '' found, a text expected"),
    "a profile of numbers": (
        """say('{"vmgexit": 1, "name": "x", "profile": 7}')\n""",
        "hello: profile: 7 found, a text expected",
    ),
}


@pytest.mark.parametrize("name", HELLOS)
def test_without_a_proper_hello_there_is_no_peer(name: str, make: Make) -> None:
    hello, message = HELLOS[name]
    peer = make("sys.stdin.read()" if hello else "", hello=hello)
    with pytest.raises(PeerError) as caught, peer:
        pass
    assert caught.value.kind == "start"
    assert str(caught.value) == f"{sys.executable}: cannot be started: {message}"
    assert peer.pid == 0


def test_two_hellos(make: Make) -> None:
    peer = make("", hello=HELLO.replace("}')", "}\\n{}')"))
    with pytest.raises(PeerError, match=r"cannot be started: more than one answer: '\{"):
        peer.restart()


def test_a_peer_that_never_says_hello(make: Make) -> None:
    with pytest.raises(PeerError, match=r"cannot be started: no hello after 0.2 s"):
        make(STUCK, hello="", timeout=0.2).restart()


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("./no-such-peer", "No such file or directory"),
        ("{folder}", "Permission denied"),
        ("{folder}/text", "Exec format error"),
        ("a\0b", "embedded null byte"),
    ],
)
def test_a_program_that_cannot_be_started(command: str, reason: str, tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("no program")
    text.chmod(0o755)
    command = command.format(folder=tmp_path)
    with pytest.raises(PeerError) as caught, Peer([command]):
        pass
    assert caught.value.kind == "start"
    assert str(caught.value) == f"{command}: cannot be started: {reason}"


STAYS = HELLO.replace("1,", '2, "stays": true,')


def test_a_peer_that_stays_is_asked_on_after_a_stop(make: Make) -> None:
    """In step and at once: it has the same process, and its own answers after the stop."""
    script = f"""\
while True:
    {ANSWER.strip()}
    for text in ("out of memory", "still out of memory"):
        hear()
        say(json.dumps(dict(panic=text)))
"""
    said = [{"ok": True}, {"panic": "out of memory"}, {"panic": "still out of memory"}]
    with make(script, hello=STAYS) as peer:
        assert peer.hello.stays
        pid = peer.pid
        for _ in range(2):
            assert [peer.execute(one) for one in (INIT, STATE, STATE)] == said
            assert list(peer.answers([INIT, STATE, STATE])) == said
            assert next(peer.answers([INIT, STATE, STATE])) == {"ok": True}
        assert peer.pid == pid


def test_a_peer_that_stays_and_dies_all_the_same_is_told(make: Make) -> None:
    script = ANSWER + 'hear(); say(\'{"panic": ""}\')\nos._exit(7)'
    with make(script, hello=STAYS) as peer:
        answers = peer.answers([INIT, STATE, STATE])
        assert [next(answers), next(answers)] == [{"ok": True}, {"panic": ""}]
        with pytest.raises(PeerError, match="ended with exit code 7"):
            next(answers)


def test_after_a_stop_the_peer_is_started_anew(make: Make) -> None:
    stop = 'hear(); say(\'{"panic": "assertion failed"}\')\n'
    with make(ANSWER + stop + "os._exit(101)") as peer:
        peer.execute(INIT)
        first = peer.pid
        for _ in range(3):  # it is not asked again
            assert peer.execute(STATE) == {"panic": "assertion failed"}
        assert peer.execute(INIT) == {"ok": True}
        assert peer.pid not in (0, first)
        assert gone(first)


def test_restart_starts_another_process(make: Make) -> None:
    with make(FOREVER) as peer:
        first = peer.pid
        peer.execute(INIT)
        peer.restart()
        assert peer.pid not in (0, first)
        assert gone(first)
        with pytest.raises(ScenarioError, match="there are 0"):
            peer.execute(STATE)


def test_a_command_for_no_vcpu_is_not_sent(make: Make) -> None:
    with make(FOREVER) as peer:
        peer.execute(INIT)
        with pytest.raises(ScenarioError, match="vCPU 1 does not exist, there are 1"):
            peer.execute({"op": "state", "cpu": 1})


def test_every_peer_supports_init(make: Make) -> None:
    error = failure(make('hear(); say(\'{"unsupported": "init"}\')\n' + STUCK), INIT)
    assert (error.kind, str(error)) == ("garbage", "does not support init")


def test_an_interrupted_exchange_ends_the_peer(make: Make) -> None:
    class Alarm(Exception):
        pass

    def ring(*_: object) -> None:
        raise Alarm

    before = signal.signal(signal.SIGALRM, ring)
    try:
        with make(ANSWER + STUCK) as peer:
            peer.execute(INIT)
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            with pytest.raises(Alarm):
                peer.execute(STATE)
            assert peer.pid == 0
    finally:
        signal.signal(signal.SIGALRM, before)


@pytest.mark.skipif(sys.platform != "linux", reason="asks the Linux kernel")
@pytest.mark.parametrize("starts", [1, 2, 3])
def test_a_peer_ends_with_a_driver_that_is_killed(starts: int, make: Make) -> None:
    """Another program starts a peer again, and one more stands ready."""
    peer = make(STUCK)
    driver = f"""\
import os, signal
from vmgexit.compare.peer import Peer
peer = Peer({peer.command!r})
for _ in range({starts}): peer.restart()
spare = peer._spare
print(peer.pid, spare.pid if spare else "", flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    ran = subprocess.run([sys.executable, "-c", driver], capture_output=True, text=True, timeout=60)
    assert ran.returncode == -signal.SIGKILL
    pids = [int(pid) for pid in ran.stdout.split()]
    assert len(pids) == (1 if starts == 1 else 2)
    assert all(gone(pid) for pid in pids)


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is missing")
def test_a_peer_whose_driver_is_gone_already_does_not_start(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    words = [*_ending_with_us(), "touch", str(mark)]
    assert subprocess.run(words).returncode == 0
    mark.unlink()
    # Started by another process, as by whoever takes over when ours has ended.
    stranger = "import subprocess, sys; sys.exit(subprocess.run(sys.argv[1:]).returncode)"
    assert subprocess.run([sys.executable, "-c", stranger, *words]).returncode == 1
    assert not mark.exists()


def test_hits_are_coverage_and_no_part_of_the_answer(make: Make) -> None:
    told = '{"ok": true, "hits": [0, 7, 4095]}'
    with make(f"hear(); say('{told}')\n{ANSWER}{STUCK}") as peer:
        assert peer.execute(INIT) == {"ok": True}
        assert peer.hits == [0, 7, 4095]
        peer.execute(STATE)
        assert peer.hits == []


@pytest.mark.parametrize("hits", ["7", "[4096]", "[-1]", "[true]", '["a"]', "{}"])
def test_hits_that_are_no_numbers_are_garbage(hits: str, make: Make) -> None:
    error = failure(make(f"""hear(); say('{{"ok": true, "hits": {hits}}}')\n{STUCK}"""), INIT)
    assert error.kind == "garbage"
    assert "a list of numbers below 4096 expected" in str(error)
