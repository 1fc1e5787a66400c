"""`vmgexit peer check`: what it prints of an adapter that is right, and of adapters that are not."""

import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from vmgexit.cli import main

pytestmark = pytest.mark.slow

PYTHON_PEER = Path(__file__).parents[2] / "specs" / "peers" / "python_peer.py"

Check = Callable[..., tuple[int, list[str]]]


@pytest.fixture
def check(capsys: pytest.CaptureFixture[str]) -> Check:
    def run(*words: str, timeout: str = "10") -> tuple[int, list[str]]:
        code = main(["peer", "check", "--peer", shlex.join(words), "--peer-timeout", timeout])
        return code, capsys.readouterr().out.splitlines()

    return run


def script(folder: Path, text: str) -> list[str]:
    path = folder / "peer.py"
    path.write_text(text)
    return [sys.executable, "-S", str(path)]


HELLO = 'print(\'{"vmgexit": 2, "name": "a test"}\', flush=True)\n'


def test_a_peer_that_is_right(check: Check) -> None:
    code, told = check(sys.executable, str(PYTHON_PEER))
    assert code == 0
    assert told[0] == "PEER-1 Hello: holds: python_peer, profile reference"
    assert told[-1] == "59 rules hold, 0 not supported, 0 broken"
    assert told[-2].startswith("speed: ")
    assert told[-3].startswith("supported: init, host_irq, ")


def test_a_peer_without_memory_is_asked_once_and_told(check: Check, tmp_path: Path) -> None:
    text = PYTHON_PEER.read_text().replace(
        "command = checked(json.loads(line))",
        "command = checked(json.loads(line))\n"
        "            if 'memory' in command: raise ScenarioError('init with memory')",
    )
    path = tmp_path / "peer.py"
    path.write_text(text)
    code, told = check(sys.executable, str(path))
    assert code == 0
    [line] = [line for line in told if line.startswith("PEER-M")]
    assert line == "PEER-M1 A machine with memory: not supported: init with memory"
    assert told[-1] == "30 rules hold, 1 not supported, 0 broken"
    assert "not supported: init with memory" in told


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("", "PEER-1 Hello: BROKEN: "),
        ('print(\'{"vmgexit": 9, "name": "a"}\')', "PEER-1 Hello: BROKEN: "),
        (f"{HELLO}while input(): print(1, flush=True)", "PEER-2 One answer: BROKEN: 1 found"),
        (f"{HELLO}while input(): print('{{}}\\n{{}}', flush=True)", "PEER-2 One answer: BROKEN: "),
        (f"{HELLO}import sys\nfor line in sys.stdin: pass", "PEER-2 One answer: BROKEN: no answer"),
        (
            f"{HELLO}import os\nwhile input():\n print('{{}}', flush=True)\n os._exit(3)",
            "PEER-2 One answer: BROKEN: ok: nothing found, True expected",
        ),
    ],
)
def test_a_peer_that_does_not_even_answer(
    text: str, broken: str, check: Check, tmp_path: Path
) -> None:
    code, told = check(*script(tmp_path, text), timeout="0.3")
    assert code == 1
    assert next(line for line in told if "BROKEN" in line).startswith(broken)
    assert ", 0 broken" not in told[-1]


def test_the_exchange_up_to_the_mistake_is_shown(check: Check, tmp_path: Path) -> None:
    """A peer that says yes to everything, and never ends."""
    answers = """
import json, sys, time
for line in sys.stdin:
    command = json.loads(line)
    told = {key: command[key] for key in ("cpus", "reg_count") if key in command}
    print(json.dumps({"ok": True} | told), flush=True)
time.sleep(60)
"""
    code, told = check(*script(tmp_path, HELLO + answers), timeout="1")
    assert code == 1
    at = told.index(
        "PEER-3 A fresh machine: BROKEN: posted: nothing found, True expected;"
        " hv: nothing found, True expected; status: nothing found, 0x61 expected"
    )
    assert told[at + 1 : at + 5] == [
        '    > {"op": "init", "cpus": 1, "reg_count": 1}',
        '    < {"ok": true, "cpus": 1, "reg_count": 1}',
        '    > {"op": "host_irq", "cpu": 0, "vector": 97, "level": false}',
        '    < {"posted": true, "hv": true, "status": 97}  <- expected',
    ]
    assert "PEER-30 The end: BROKEN: it still runs after 1 s" in told


@pytest.mark.parametrize(
    ("command", "line"),
    [("'", "--peer ': No closing quotation"), ("", "--peer: a program and its arguments expected")],
)
def test_what_is_no_command_is_one_line(
    command: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["peer", "check", "--peer", command]) == 2
    assert capsys.readouterr().err == f"vmgexit: {line}\n"
