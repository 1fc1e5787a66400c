"""`vmgexit svsm`: calls typed one by one or from a script."""

import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Ran, Run
from vmgexit.errors import ScenarioError
from vmgexit.machine.typed import typed

Script = Callable[..., Ran]
IGNORE_CF = "corpus/sessions/ignore-cf.txt"


@pytest.fixture
def script(tmp_path: Path, run: Run) -> Script:
    """Runs lines as a script of the command."""

    def run_it(*lines: str, profile: str = "reference", options: tuple[str, ...] = ()) -> Ran:
        file = tmp_path / "script.txt"
        file.write_text("\n".join(lines), encoding="utf-8")
        return run("svsm", "--profile", profile, *options, str(file))

    return run_it


@pytest.mark.parametrize(
    ("line", "command"),
    [
        (
            "call core pvalidate rcx=0x8008",
            {"op": "call", "cpu": 0, "protocol": 0, "request": 1, "rcx": 0x8008, "rdx": 0, "r8": 0},
        ),
        (
            "call SVSM_VTPM_COMMAND 0x9000 cpu=1",
            None,
        ),
        (
            "call 3 2 rcx=0x808 cpu=1 pending=no",
            {
                "op": "call", "cpu": 1, "protocol": 3, "request": 2,
                "rcx": 0x808, "rdx": 0, "r8": 0, "pending": False,
            },
        ),
        ("page 4096", {"op": "page", "gpa": 0x1000}),
        ("read 0x1000 8 by=host", {"op": "read", "gpa": 0x1000, "len": 8, "by": "host"}),
        ("write 0x1000 00ff 2", {"op": "write", "gpa": 0x1000, "hex": "00ff", "by": 2}),
        ("run cpu=1 on=yes", {"op": "run", "cpu": 1, "on": True}),
        ("psp answers=[]", {"op": "psp", "answers": []}),
        ('{"op": "registry"}', {"op": "registry"}),
    ],
)  # fmt: skip
def test_a_line_is_a_command(line: str, command: dict[str, object] | None) -> None:
    if command is None:
        with pytest.raises(ScenarioError, match="no such call"):
            typed(line)
    else:
        assert typed(line) == command
        assert list(typed(line)) == list(command)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("frobnicate 1", "'frobnicate': no such command; help lists what can be typed"),
        ("call core validate", "'core validate': no such call; core remap_ca, core pvalidate"),
        ("call 0 1 rcx=0x1g", "call.rcx: '0x1g' is not a number"),
        ("call 0 1 rcx=1 rcx=2", "call.rcx: given twice"),
        ("call 0 1 protocol=2", "call.protocol: given twice"),
        ("call 0 1 r9=1", "call has no argument 'r9'"),
        ("call", "call needs protocol"),
        ("page", "page needs gpa"),
        ("page 1 2", "'2' is one argument too many"),
        ("page -1", "page.gpa: -1 is not a number from 0"),
        ("page \u0663", "page.gpa: '\u0663' is not a number"),
        ("read 0 1 by=me", "read.by: 'me' is not one of 1, 2, 3, host"),
        ("run on=maybe", "run.on: 'maybe' is not true or false"),
        ("psp answers=[", "psp.answers is not JSON"),
        ("write 0x1000 0g", "write.hex: '0g'"),
        ("{", "the line is not JSON"),
        ("help nothing", "help 'nothing': not one of calls, init"),
        ("save", "save: the name of one file expected"),
        ("save /no/such/folder/file", "/no/such/folder/file: No such file"),
        ("state cpu=2", "state: vCPU 2 does not exist, there are 2"),
    ],
)
def test_what_is_not_understood_is_one_line_and_the_session_goes_on(
    script: Script, line: str, complaint: str
) -> None:
    done = script("", line, "registry")
    assert done.code == 2
    [told] = done.err.splitlines()
    assert "line 2: " in told
    assert complaint in told
    assert done.out.endswith("svsm> registry\n  entries 0x801000 0x8000 0 no no\n")


def test_a_call_shows_registers_effects_and_changes(script: Script) -> None:
    # A list of one entry: the page at 0x400000, 4 KiB, valid. It was not: it is zeroed and granted.
    done = script(
        "write 0x9000 01000000000000000400400000000000",
        "call core pvalidate rcx=0x9000",
        "quit",
        "foo",
    )
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[3:] == [
        "svsm> call core pvalidate rcx=0x9000",
        "  SVSM_CORE_PVALIDATE: SUCCESS (0x0) rcx=0x9000 rdx=0x0 r8=0x0",
        "  did request 0 1",
        "  did pvalidate 0x400000 0 1 0 0",
        "  did zero 0x400000 0x1000",
        "  did rmpadjust 0x400000 0 2 0xf 0 0",
        "  did flush_all",
        "  did enter 0x801000",
        "  system page 0x9000: byte 0x2: 00 -> 01",
        "  system page 0x400000: page 0x400000 not valid -> page 0x400000 valid VMPL2 rwus",
        "  system page 0x801000: bytes 0x309 to 0x3c1",
    ]


def test_registers_that_changed_are_marked(script: Script) -> None:
    done = script("call core query_protocol rcx=0x300000001")
    assert "SUCCESS (0x0) rcx=0x100000001* rdx=0x0 r8=0x0\n" in done.out


def test_a_stop_is_told_and_init_begins_again(script: Script) -> None:
    done = script(
        "call core remap_ca rcx=0x400000", "page 0x1000", "init", "page 0x1000", profile="coconut"
    )
    assert done.code == 0
    assert done.out.count("the VM has stopped, panic: #VC at 0x400000") == 2
    assert done.out.endswith("hash ad7facb2586fc6e9\n")  # 4096 zeros


@pytest.mark.parametrize("profile", ["reference", "coconut"])
def test_a_session_is_a_scenario_with_answers(
    tmp_path: Path,
    run: Run,
    script: Script,
    profile: str,
) -> None:
    saved, early = tmp_path / "saved.jsonl", tmp_path / "early.jsonl"
    lines = Path(IGNORE_CF).read_text(encoding="utf-8").splitlines()
    done = script(
        *lines, f"save {early}", "registry", profile=profile, options=("--save", str(saved))
    )
    assert f"  6 commands in {early}\n" in done.out
    replayed = run("replay", "--profile", profile, str(saved), str(early))
    assert (replayed.code, replayed.out) == (0, "2 sequences, 13 operations, 0 mismatches\n")


def test_another_profile_replays_a_session_and_explains(tmp_path: Path, run: Run) -> None:
    saved = str(tmp_path / "saved.jsonl")
    run("svsm", "--profile", "coconut", "--save", saved, IGNORE_CF)
    explained = run("replay", "--explain", saved)
    assert explained.code == 0
    assert "ignore-cf-wipes: 2\n0 unexplained\n" in explained.out


def test_a_terminal_is_prompted_and_mistakes_do_not_count(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal("foo\npage 0x1000\n"))
    done = run("svsm")
    assert done.code == 0
    assert done.out.count("svsm> ") == 3
    assert done.err.startswith("vmgexit: 'foo': no such command")
    assert "  spa 0x1000\n" in done.out


def test_ctrl_c_drops_a_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = iter(["^C", "page 0x1000", "^D"])

    def type_one(prompt: str) -> str:
        print(prompt, end="")
        line = next(lines)
        if line == "^C":
            raise KeyboardInterrupt
        if line == "^D":
            raise EOFError
        return line

    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr("builtins.input", type_one)
    done = run("svsm")
    assert (done.code, done.err) == (0, "")
    assert "svsm> \nsvsm>   spa 0x1000" in done.out


def test_help_names_every_call_and_argument(script: Script) -> None:
    done = script("help", "help calls", "help host_page")
    assert done.code == 0
    assert "call core pvalidate rcx=0x9000" in done.out
    assert "  attest single_service " in done.out
    assert "  spa          a number from 0 to 2251799813685247 (may be left out)\n" in done.out


def test_an_unknown_profile_or_file(run: Run) -> None:
    assert "no-such" in run("svsm", "--profile", "no-such", IGNORE_CF).complaint
    assert "/no/such" in run("svsm", "/no/such").complaint


def test_a_session_that_cannot_be_saved_does_not_begin(script: Script) -> None:
    ran = script("registry", options=("--save", "/no/such/folder/file"))
    assert ran.complaint == "vmgexit: /no/such/folder/file: No such file or directory"
