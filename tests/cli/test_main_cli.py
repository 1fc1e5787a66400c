"""The command line as a process: help, pipes, full disks, interrupts, quick starts."""

import os
import shlex
import signal
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from vmgexit.cli.main import COMMANDS, parser

pytestmark = pytest.mark.slow

PROGRAM = [sys.executable, "-m", "vmgexit"]


def test_every_command_has_help(run: Run) -> None:
    top = run("--help").out
    for name in COMMANDS:
        assert f" {name} " in top
        shown = run(name, "--help")
        assert shown.code == 0
        assert "%%" not in shown.out


def test_an_unknown_command_is_one_line(run: Run) -> None:
    assert "invalid choice: 'decod'" in run("decod").complaint
    assert "required: COMMAND" in run().complaint


def test_the_fuzz_group_is_found(run: Run) -> None:
    assert "scenario" in run("fuzz", "list").out
    assert parser("decode").parse_args(["decode", "apic-icr"]).name == "apic-icr"


@pytest.mark.parametrize("words", [(), ("run", "scenario", "--time", "5"), ("--help",)])
def test_a_group_without_its_extra_says_what_it_needs(
    run: Run, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    def points(group: str) -> list[metadata.EntryPoint]:
        return [metadata.EntryPoint("fuzz", "a_package_that_is_not_there:register", group)]

    monkeypatch.setattr("importlib.metadata.entry_points", points)
    assert run("fuzz", *words).complaint == (
        "vmgexit: the fuzz commands need: pip install 'vmgexit[fuzz]'"
        " (No module named 'a_package_that_is_not_there')"
    )


def test_an_action_without_its_extra_says_what_it_needs(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "vmgexit_fuzz.cli.status", raising=False)
    monkeypatch.setitem(sys.modules, "rich.console", None)  # as if not installed
    complaint = run("fuzz", "status").complaint
    assert "vmgexit: the fuzz commands need: pip install 'vmgexit[fuzz]' (" in complaint
    assert "rich.console" in complaint


@pytest.mark.parametrize(
    ("words", "closed", "complaint"),
    [
        ("list", ">&-", "vmgexit: standard output is closed"),
        ("decode apic-icr", "<&-", "vmgexit: -: standard input is closed"),
    ],
)
def test_a_closed_stream_is_one_line(words: str, closed: str, complaint: str) -> None:
    shell = f"{shlex.quote(sys.executable)} -m vmgexit {words} {closed}"
    done = subprocess.run(["/bin/sh", "-c", shell], stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, f"{complaint}\n")


def test_a_complaint_about_much_is_short(run: Run) -> None:
    complaint = run("decode", "apic-icr", "x" * 100_000).complaint
    assert len(complaint) < 1100
    assert complaint.endswith("File name too long")


VMSA = str(Path(__file__).parents[2] / "corpus" / "cases" / "vmsa-dmesg-hexdump.txt")


@pytest.mark.parametrize(
    ("words", "begins"),
    [
        (["list"], "structure"),
        (["decode", "vmsa", VMSA], "read as"),
        (["explain", "--all", VMSA], "[ 1234"),
        (["decode", "ext-int-descriptor", "/dev/zero", "--count", "all"], "read as"),
    ],
)
def test_a_reader_that_goes_away(words: list[str], begins: str) -> None:
    shell = f"{shlex.join([*PROGRAM, *words])} | head -1"
    done = subprocess.run(["/bin/sh", "-c", shell], capture_output=True, text=True, check=False)
    assert done.stdout.startswith(begins)
    assert done.stderr == ""


FULL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
SHORT = ["decode", "apic-eoi", "--hex", "00" * 8]  # less than what Python gathers before it writes


@FULL
@pytest.mark.parametrize(
    "words",
    [
        ["list"],
        SHORT,
        ["--help"],
        ["decode", "--help"],
        ["decode", "vmsa", VMSA],
        ["explain", VMSA],
    ],
)
def test_a_full_disk_is_one_line(words: list[str]) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*PROGRAM, *words],
            stdout=full,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONUNBUFFERED": ""},  # argparse passes over what fails at once
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr == "vmgexit: No space left on device\n"


@FULL
@pytest.mark.parametrize(
    ("words", "code"), [(SHORT, 0), (["decode"], 2), (["decode", "nothing"], 2), (["trace"], 2)]
)
def test_where_not_even_errors_can_be_written(words: list[str], code: int) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*PROGRAM, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=full,
            check=False,
        )
    assert done.returncode == code


def test_an_interrupt_ends_quietly() -> None:
    with subprocess.Popen(
        [*PROGRAM, "explore", "--edge", "0x31,0x51,0x71,0x91"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        time.sleep(1.5)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert b"Traceback" not in out + err


def test_decoding_does_not_import_a_fuzzer_or_construct() -> None:
    code = (
        "import sys; from vmgexit.cli import main;"
        "main(['decode', 'doorbell-head', '--pad', '--hex', '61']);"
        "print([m for m in ('construct', 'atheris', 'hypothesis', 'numpy', 'rich') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
