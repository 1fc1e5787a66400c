"""Whatever a peer does, and wherever in a scenario that is written at once: a finding in one line, and the
next input is run. All that it does for one cause is one finding of a campaign."""

import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vmgexit.compare.pipes import LONGEST_ANSWER
from vmgexit.descriptions import Command
from vmgexit.machine import program
from vmgexit_fuzz.campaign.findings import records
from vmgexit_fuzz.targets import Conditions, Finding, find
from vmgexit_fuzz.targets.peer import PeerTarget

pytestmark = pytest.mark.slow

VMGEXIT = str(Path(sys.executable).with_name("vmgexit"))

PEER = """\
import json, os, random, select, signal, sys, time

def say(text, end="\\n"):
    data = (text + end).encode()
    while data:
        data = data[os.write(1, data):]

def init():
    said = {"ok": True, "cpus": command["cpus"], "reg_count": command["reg_count"]}
    say(json.dumps(said))

def other():
    say('{"unsupported": "this"}')

def wait():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        time.sleep(100)

def misdeed(answer):
"""
LOOP = """
say('{"vmgexit": 2, "name": "a test"}')
count, heard = 0, b""
while True:
    while b"\\n" not in heard:
        waits = count and not select.select([0], [], [], 0.003)[0]
        if waits and PAUSES and random.random() < 0.1:
            misdeed(other)
        heard += os.read(0, 65536) or sys.exit()
    line, _, heard = heard.partition(b"\\n")
    count, command = count + 1, json.loads(line)
    answer = init if command["op"] == "init" else other
    if WHEN:
        misdeed(answer)
    else:
        answer()
"""
USUALLY = 'command["op"] == "guest_take" or command.get("reg_count") == 7'
HANG = "a hang"  # told by the time that it took
FLOOD = f"more than {LONGEST_ANSWER} bytes"

MISDEEDS = {
    "exits": ("os._exit(3)", "ended with exit code 3"),
    "crashes": ("os.kill(os.getpid(), signal.SIGSEGV)", "ended by SIGSEGV"),
    "dies in a line": ("""say('{"ok": tr', ""); os._exit(0)""", "ended with exit code 0 after"),
    "last words": ("sys.exit('\\x1b[31mbad\\nworse')", "ended with exit code 1: worse"),
    "hangs": ("wait()", HANG),
    "stops": ("os.kill(os.getpid(), signal.SIGSTOP)", HANG),
    "hangs in a line": ("""say('{"ok"', ""); wait()""", HANG),
    "late": ("time.sleep(2); answer()", HANG),
    "a child holds the pipes": ("os.fork() and os._exit(0); wait()", HANG),
    "closes its output": ("os.close(1); wait()", "closed its standard output"),
    "closes its input": ("os.close(0); answer(); wait()", "closed its standard input"),
    "not at all": ("pass", HANG),
    "babbles": ("say('hello there')", "not JSON: 'hello there'"),
    "babbles and answers": ("say('hello there'); answer()", "not JSON: 'hello there'"),
    "an empty line": ("say('')", "not JSON: ''"),
    "bytes": ("os.write(1, bytes(range(128, 256)) + b'\\n')", "not JSON: "),
    "a list": ("say('[]')", "[] found, a JSON object expected"),
    "null": ("say('null')", "None found, a JSON object expected"),
    "no number": ("""say('{"rax": NaN}')""", "not JSON: '{\"rax\": NaN}'"),
    "deep": ("say('[' * 100_000)", "not JSON: "),
    "deep in objects": ("""say('{"a":' * 100_000)""", "not JSON: "),
    "a long number": ("""say('{"rax": ' + '9' * 100_000 + '}')""", "not JSON: "),
    "other types": ("""say('{"ok": [null, 1e308], "rax": {"a": "b"}, "": 0}')""", ""),
    "other keys": ("""say('{"unsupported": {"a": 1}, "panic": {}}')""", ""),
    "hits": ("""say('{"ok": true, "hits": [99999999]}')""", "hits: "),
    "a huge line": (f"say('x' * {2 * LONGEST_ANSWER})", FLOOD),
    "a line without end": ("while True: say('x' * 65536, '')", FLOOD),
    "much on standard error": ("while True: os.write(2, b'x' * 65536)", HANG),
}
"""What a peer does in the place of an answer, and what is told of it."""

COUNT = 30  # commands of a scenario
PLACES = {"first": 0, "second": 1, "in the middle": 15, "last": COUNT - 1}

SHORT = [
    ("exits", "first"),
    ("crashes", "last"),
    ("late", "last"),
    ("closes its input", "in the middle"),
    ("bytes", "in the middle"),
    ("other types", "in the middle"),
    ("hits", "in the middle"),
]
"""The short form."""

INIT: Command = {"op": "init", "cpus": 1, "reg_count": 0}
STATE: Command = {"op": "state", "cpu": 0}
TAKE: Command = {"op": "guest_take", "cpu": 0}

Open = Callable[[str], PeerTarget]


def peer(misdeed: str, when: str = USUALLY) -> str:
    """The program of a peer that does something on a condition, or in pauses."""
    loop = LOOP.replace("PAUSES", str(when == "")).replace("WHEN", when or "False")
    return f"{PEER}    {misdeed}\n{loop}"


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    """Opens the target with a peer that misbehaves when it is told to."""
    targets: list[PeerTarget] = []

    def opened(misdeed: str) -> PeerTarget:
        path = tmp_path / "peer.py"
        path.write_text(peer(misdeed))
        words = shlex.join([sys.executable, "-S", "-E", str(path)])
        target = find("peer").open(Conditions(peer=words, hang_seconds=80))
        assert isinstance(target, PeerTarget)
        targets.append(target)
        target.start()
        assert target.peer is not None
        target.peer.timeout = 0.4
        return target

    yield opened
    for target in targets:
        target.close()
    assert subprocess.run(["pgrep", "-f", str(tmp_path)], capture_output=True).stdout == b""


def scenario(place: int) -> bytes:
    commands = [INIT, *[STATE] * (COUNT - 1)]
    commands[place] = TAKE if place else {**INIT, "reg_count": 7}
    return program.write(commands)


@pytest.mark.parametrize(
    ("name", "place"),
    [
        pytest.param(name, place, marks=() if (name, place) in SHORT else pytest.mark.long)
        for name in MISDEEDS
        for place in PLACES
        if (name, place) != ("closes its input", "last")  # after which nobody writes to it
    ],
)
def test_a_misdeed_is_one_finding_and_the_next_input_is_run(
    name: str, place: str, opened: Open
) -> None:
    misdeed, told = MISDEEDS[name]
    target = opened(misdeed)
    assert target.run(program.write([INIT, STATE])) == 2
    began = time.monotonic()
    with pytest.raises(Finding) as caught:
        target.run(scenario(PLACES[place]))
    assert time.monotonic() - began < 30
    message = caught.value.message
    assert message.isprintable()
    assert 10 < len(message) < 400
    assert caught.value.cause.isprintable()
    assert (told if told != HANG else "after 0.4 s") in message
    # What shows it finds it again.
    finding, shown = target.examine(scenario(PLACES[place]))
    assert finding is not None
    assert finding.cause == caught.value.cause
    assert shown.count("->") == 1
    assert target.run(program.write([INIT, STATE, STATE])) == 3


MORE = {
    "twice": "answer(); answer()",
    "early": f"for _ in range({COUNT + 10}): answer()",
    "for ever": "while True: answer()",
}
"""Answers that nobody asked for. What comes after the last that was awaited is told with the next input."""


@pytest.mark.parametrize("place", ["first", "in the middle", "last"])
@pytest.mark.parametrize("name", MORE)
def test_answers_that_nobody_asked_for_are_told(name: str, place: str, opened: Open) -> None:
    target = opened(MORE[name])
    told: list[str] = []
    for data in (scenario(PLACES[place]), program.write([INIT, STATE]), program.write([INIT])):
        try:
            target.run(data)
            told.append("")
        except Finding as finding:
            told.append(finding.message)
        time.sleep(0.2)  # whatever it writes has come
    assert any(told[:2])  # of the count of answers, or of one that is taken for the next command's
    assert all(message.isprintable() for message in told)
    assert told[2] == ""


WHEN = {
    "at a command": 'command["op"] == "guest_take"',
    "at the first": 'command["op"] == "init"',
    "now and then": "random.random() < 0.01",
    "each 50 commands": "count % 50 == 0",
    "between inputs": "",
}
"""When a peer of a campaign does what it does."""


@pytest.mark.needs("atheris")
@pytest.mark.parametrize(
    ("name", "when", "seed"),
    [
        pytest.param(name, when, seed, marks=() if short else pytest.mark.long)
        for name in (*MISDEEDS, *MORE)
        for when in WHEN
        for seed in (1, 2, 3)
        for short in [(name, when, seed) == ("twice", "at a command", 1)]
    ],
)
def test_one_misdeed_is_one_finding_of_a_campaign(
    name: str, when: str, seed: int, tmp_path: Path
) -> None:
    misdeed = MORE[name] if name in MORE else MISDEEDS[name][0]
    (tmp_path / "peer.py").write_text(peer(misdeed, WHEN[when]))
    words = shlex.join([sys.executable, "-S", "-E", str(tmp_path / "peer.py")])
    limits = ["--time", "4", "--seed", str(seed), "--hang", "8"]
    ran = subprocess.run(
        [VMGEXIT, "fuzz", "run", "peer", "--peer", words, "--dir", "night", *limits],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert ran.returncode in (0, 1), ran.stderr
    found = [record.cause for record in records(tmp_path / "night" / "findings")]
    assert len(found) <= 1
    # In four seconds, a pause may not come, and what is waited for may not be certain.
    waited = MISDEEDS.get(name, ("", ""))[1]
    assert found or when == "between inputs" or waited == HANG or waited.startswith("closed")
    if found and when in ("at a command", "at the first"):
        assert re.search("(at guest_take|at init|differs)", found[0])
