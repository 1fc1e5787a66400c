"""`vmgexit export`: findings, corpora, recordings and scenarios in each format, as a user has them run."""

import ast
import hashlib
import json
import keyword
import lzma
import os
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.peers.shows import SHOWS
from vmgexit import GhcbPage
from vmgexit.cli import main
from vmgexit.machine import program
from vmgexit.machine.scenario import sequences, to_lines
from vmgexit.wire.registry import find as structure
from vmgexit_fuzz.export.cases import Case, message, of_input, recorded, scenario
from vmgexit_fuzz.export.formats import FORMATS
from vmgexit_fuzz.export.testing import PEER, PROFILE, call, check, vmgexit
from vmgexit_fuzz.targets import find

ROOT = Path(__file__).parents[2]
RECORDINGS = ROOT / "corpus" / "recordings"
ANSWER = {"ok": True, "cpus": 1, "reg_count": 1}  # to the first command of SHOWS
QUIRK = ROOT / "corpus" / "quirks" / "remap-loses-lazy-eoi.jsonl"


def export(*words: str | Path) -> int:
    return main(["export", *map(str, words)])


def some(path: Path, folder: Path, most: int = 5) -> Path:
    """The first sequences of a recording."""
    shorter = folder / path.name.removesuffix(".xz")
    with lzma.open(path) as lines:
        shorter.write_bytes(b"".join(line for line, _ in zip(lines, range(most), strict=False)))
    return shorter


def failures(file: Path, monkeypatch: pytest.MonkeyPatch, **variables: str) -> list[str]:
    """What the tests of a file raise, one after the other; empty of one that passes."""
    for name in (PEER, PROFILE):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    names: dict[str, Any] = {}
    exec(compile(file.read_text(), str(file), "exec"), names)  # noqa: S102
    found = []
    for test in [names[name] for name in names if name.startswith("test_")]:
        try:
            test()
        except AssertionError as error:
            found.append(str(error))
        else:
            found.append("")
    return found


def ran(file: Path, **variables: str) -> str:
    """What pytest itself says."""
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(file)],
        cwd=file.parent,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=100,
    )
    return run.stdout + run.stderr


EVERYTHING = {
    "an SVSM": RECORDINGS / "hostile.jsonl.xz",
    "an SVSM with memory": RECORDINGS / "memory" / "core-hostile.jsonl.xz",
    "a host's pages": RECORDINGS / "kvm" / "kvm-ghcb.jsonl.xz",
    "a host's words": RECORDINGS / "kvm" / "kvm-msr.jsonl.xz",
}


@pytest.mark.parametrize("path", EVERYTHING.values(), ids=EVERYTHING.keys())
def test_json_lines_are_what_was_exported(path: Path, tmp_path: Path) -> None:
    few, out, again = some(path, tmp_path), tmp_path / "out.jsonl", tmp_path / "again.jsonl"
    assert export("jsonl", few, "-o", out) == 0
    assert export("jsonl", out, "-o", again) == 0
    read = [json.loads(line) for line in few.read_text().splitlines()]
    once, twice = (
        [json.loads(line) for line in file.read_text().splitlines()] for file in (out, again)
    )
    assert [line["ops"] for line in once] == [line["ops"] for line in twice]
    assert [line["seq"] for line in once] == [line["seq"] for line in twice]
    for before, after in zip(read, once, strict=True):
        if "answer" in before:
            assert after["ops"][1]["ans"] == before["answer"]
        else:
            assert after["ops"] == before["ops"][: len(after["ops"])]
            stopped = {"panic", "terminated"} & set(after["ops"][-1]["ans"])
            assert stopped or len(after["ops"]) == len(before["ops"])


def test_answers_that_were_not_recorded_are_the_references(tmp_path: Path) -> None:
    bare, out = tmp_path / "bare.jsonl", tmp_path / "out.jsonl"
    bare.write_text(to_lines(SHOWS["ppr"]))
    for words, expected in ((), 0x40), (("--profile", "ppr-keeps-low-nibble"), 0x47):
        assert export("jsonl", bare, *words, "-o", out) == 0
        [line] = out.read_text().splitlines()
        ops = json.loads(line)["ops"]
        assert ops[6]["ans"]["rdx"] == expected
        assert [each["cmd"]["op"] for each in ops[7:]] == ["doorbell", "state"]


def test_a_profile_stands_for_what_was_recorded_and_a_stop_ends_a_case() -> None:
    wrong = json.dumps({"cmd": SHOWS["ppr"][0], "ans": {"ok": False}}).encode()
    [case] = recorded([wrong], "x.jsonl")
    assert case.steps == [(SHOWS["ppr"][0], {"ok": False})]
    [case] = recorded([wrong], "x.jsonl", "reference")
    assert case.steps == [(SHOWS["ppr"][0], ANSWER)]
    steps = [
        {"cmd": SHOWS["ppr"][0], "ans": {"panic": "x"}},
        {"cmd": SHOWS["ppr"][0], "ans": ANSWER},
    ]
    [case] = recorded([json.dumps({"ops": steps}).encode()], "x.jsonl")
    assert [answer for _, answer in case.steps] == [{"panic": "x"}]


@pytest.mark.slow
def test_pytest_compares_with_a_machine_or_an_adapter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare, test = tmp_path / "ppr.jsonl", tmp_path / "test_found.py"
    bare.write_text(to_lines(SHOWS["ppr"]))
    assert export("pytest", bare, "-o", test) == 0
    text = test.read_text()
    assert 'call("SVSM_APIC_READ_REGISTER", cpu=0, rcx=0x80a)' in text
    told = "operation 6, call: rdx: 0x47 found, 0x40 recorded"
    assert "1 passed" in ran(test)
    [wrong] = failures(test, monkeypatch, VMGEXIT_PROFILE="ppr-keeps-low-nibble")
    assert told in wrong
    peer = f"{sys.executable} {ROOT / 'specs' / 'peers' / 'python_peer.py'}"
    assert failures(test, monkeypatch, VMGEXIT_PEER=peer) == [""]
    [wrong] = failures(test, monkeypatch, VMGEXIT_PEER=f"{peer} --profile ppr-keeps-low-nibble")
    assert told in wrong


@pytest.mark.slow
def test_pytest_of_every_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [some(path, tmp_path, 3) for path in EVERYTHING.values()]
    value = tmp_path / "codec-1.bin"
    value.write_bytes(bytes(300))
    test = tmp_path / "test_all.py"
    assert export("pytest", *files, value, "--profile", "reference", "-o", test) == 0
    assert failures(test, monkeypatch) == [""] * 13
    assert export("pytest", *files[2:], "-o", test) == 0
    assert failures(test, monkeypatch, VMGEXIT_PROFILE="kvm") == [""] * 6
    assert sum(map(bool, failures(test, monkeypatch))) == 3


def steps_of(files: dict[str, bytes]) -> list[tuple[Any, Any]]:
    """The commands and answers that the tests of a pytest file check."""
    found: list[tuple[Any, Any]] = []
    names: dict[str, Any] = {}
    exec(files["test_exported.py"], names)  # noqa: S102
    names["check"] = lambda machine, steps: found.extend(steps)
    for name in list(names):
        if name.startswith("test_"):
            names[name]()
    return found


def test_exits_in_words_are_the_exits_that_were_recorded() -> None:
    with lzma.open(RECORDINGS / "kvm" / "kvm-ghcb.jsonl.xz") as lines:
        cases = [case for case, _ in zip(recorded(lines, "kvm"), range(200), strict=False)]
    found = [command for command, _ in steps_of(FORMATS["pytest"].render(cases))]
    expected = [command for case in cases for command, _ in case.steps]
    assert len(found) == len(expected) == 400
    for ours, theirs in zip(found, expected, strict=True):
        assert page_of(ours) == page_of(theirs)
        assert {**ours, "page": 0} == {**theirs, "page": 0}


def page_of(command: dict[str, object]) -> bytes:
    page = bytearray(4096)
    for at, text in command.get("page", []):  # type: ignore[attr-defined]
        page[at : at + len(text) // 2] = bytes.fromhex(text)
    return bytes(page)


def test_raw_inputs_decode_again(tmp_path: Path) -> None:
    few = [some(path, tmp_path, 20) for path in EVERYTHING.values()]
    assert export("raw", *few, "-o", tmp_path / "raw") == 0
    files = [path for path in (tmp_path / "raw").rglob("*") if path.is_file()]
    folders = {str(path.parent.relative_to(tmp_path / "raw")) for path in files}
    assert {"SVSM_APIC_READ_REGISTER", "SVSM_CORE_PVALIDATE", "doorbell-head"} <= folders
    assert {"ghcb/SNP_AP_CREATION", "ghcb-msr/ghcb-msr-cpuid-request"} <= folders
    for path in files:
        data, first = path.read_bytes(), path.relative_to(tmp_path / "raw").parts[0]
        assert path.name == hashlib.sha1(data).hexdigest()
        name = "svsm-call" if first.startswith(("SVSM_", "other")) else first
        assert structure(name).decode(data).encode() == data
    # A call's folder has that call alone: protocol and number in RAX.
    for path in (tmp_path / "raw" / "SVSM_CORE_PVALIDATE").iterdir():
        assert path.read_bytes()[:8] == bytes([1, 0, 0, 0, 0, 0, 0, 0])
    for path in (tmp_path / "raw" / "ghcb" / "SNP_AP_CREATION").iterdir():
        assert GhcbPage.decode(path.read_bytes()).sw_exit_code == 0x80000013
    again = len(files)
    assert export("raw", *few, "-o", tmp_path / "raw") == 0
    assert len([path for path in (tmp_path / "raw").rglob("*") if path.is_file()]) == again


@settings(max_examples=100)
@given(st.binary(max_size=36 * 12))
def test_any_program_comes_back_from_json_lines(data: bytes) -> None:
    target = find("scenario").open()
    case = of_input(Path("x"), data, target)
    commands = program.read(data)
    if case is None:
        assert not commands
        return
    carried_out = [command for command, _ in case.steps]
    assert carried_out[: len(commands)] == commands[: len(carried_out)]
    assert came_back(case) == case.steps


@settings(max_examples=100)
@given(st.sampled_from(["scenario", "svsm-hostile", "ghcb-host"]), st.integers(0, 1 << 31))
def test_any_command_in_words_is_that_command(name: str, seed: int) -> None:
    target = find(name).open()
    case = of_input(Path("x"), target.make(random.Random(seed)), target)
    if case is None:
        return
    found = steps_of(FORMATS["pytest"].render([case]))
    for (ours, answer), (theirs, expected) in zip(found, case.steps, strict=True):
        assert answer == expected
        if "page" not in theirs:
            assert ours == theirs
        else:
            assert page_of(ours) == page_of(theirs)
            assert {**ours, "page": 0} == {**theirs, "page": 0}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)
ANSWERS = st.dictionaries(
    st.sampled_from(
        ["run", "status", "detail", "valid", "registers", "buffer", "word", "hex", "page"]
    )
    | st.text(max_size=4),
    JSON | st.sampled_from(["guest", ["error", 5], ["rax"], {"rax": 1}, [[2048, "00"]], 7]),
    max_size=8,
)
ASKED: tuple[dict[str, object], ...] = (
    {"op": "vmgexit", "page": [[912, "72"]], "gpa": 4096},
    {"op": "msr", "request": 4},
    {"op": "doorbell", "cpu": 0},
)


@settings(max_examples=150)
@given(ANSWERS, st.sampled_from(ASKED))
def test_whatever_was_recorded_is_exported_or_refused(
    answer: dict[str, object], command: dict[str, object]
) -> None:
    line: dict[str, object] = {"ops": [{"cmd": command, "ans": answer}]}
    if command["op"] != "doorbell":
        line = {"kind": "host", **line}
    [case] = recorded([json.dumps(line).encode()], "x.jsonl")
    for row in FORMATS.values():
        if case.kind in row.takes and not row.refuses(case):
            assert row.render([case])
    [again] = recorded(FORMATS["jsonl"].render([case])["exported.jsonl"].splitlines(), "x.jsonl")
    assert again.steps == case.steps
    assert steps_of(FORMATS["pytest"].render([case]))[-1][1] == answer


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ({"why": 'a "quoted" word'}, "another text found"),
        ({"why": "caf\xe9"}, "another text found"),
        ({"why": "a trigraph??/"}, "another text found"),
        ({"rax": -1}, "another number found"),
        ({"rax": 1 << 64}, "another number found"),
        ({"rax": 0.5}, "another number found"),
        ({"x": [[[[[[[[1]]]]]]]]}, "lists within lists found"),
    ],
)
def test_what_the_kits_cannot_read_is_told(
    answer: dict[str, object], found: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "x.jsonl"
    file.write_text(json.dumps({"cmd": SHOWS["ppr"][0], "ans": answer}))
    for format in ("c", "rust"):
        assert export(format, file, "-o", tmp_path / "out") == 2
        assert f"left out: {found}, plain text" in capsys.readouterr().err


@settings(max_examples=200)
@given(st.text(max_size=40), st.text(max_size=40))
def test_any_name_and_text_stays_what_it_is(name: str, about: str) -> None:
    """A name becomes an identifier, and a text stays in its comment."""
    sequence = next(sequences(to_lines(SHOWS["ppr"]).splitlines()))
    made = scenario(name, about, sequence)
    assert re.fullmatch(r"[a-z][a-z0-9_]*", made.name)
    assert not keyword.iskeyword(made.name)
    assert made.name not in ("int", "for", "check", "main", "fn", "mod")
    [tree] = [
        one
        for one in ast.parse(FORMATS["pytest"].render([made])["test_exported.py"]).body
        if isinstance(one, ast.FunctionDef)
    ]
    assert (tree.name, len(tree.body)) == (f"test_{made.name}", 2)
    plain = scenario(name, "", sequence)
    for format, file in (("c", "exported.c"), ("rust", "exported.rs")):
        ours, theirs = (
            re.sub(r"/\*.*?\*/|//.*", "", FORMATS[format].render([one])[file].decode())
            for one in (made, plain)
        )
        assert ours == theirs


@settings(max_examples=100)
@given(st.sampled_from(["codec", "ghcb-exit", "msr", "ghcb-host"]), st.binary(max_size=600))
def test_any_message_comes_back_from_json_lines(name: str, data: bytes) -> None:
    case = of_input(Path("x"), data, find(name).open())
    if case is not None:
        assert came_back(case) == case.steps


def came_back(case: Case) -> list[tuple[dict[str, object], dict[str, object]]]:
    """The steps of a case after JSON lines; of a structure its bytes are compared here."""
    [line] = FORMATS["jsonl"].render([case])["exported.jsonl"].splitlines()
    [again] = recorded([line], "x.jsonl")
    assert (again.kind, again.structure if not again.steps else None) == (
        case.kind,
        case.structure if not case.steps else None,
    )
    if not case.steps:
        assert again.data == case.data
    return again.steps


def test_commands_in_words() -> None:
    assert call("SVSM_APIC_READ_REGISTER", cpu=1) == {
        "op": "call", "cpu": 1, "protocol": 3, "request": 2, "rcx": 0, "rdx": 0, "r8": 0,
    }  # fmt: skip
    command = call("SVSM_CORE_REMAP_CA", pending=False)
    line = json.dumps({"cmd": command, "ans": {}}).encode()
    assert steps_of(FORMATS["pytest"].render(list(recorded([line], "x"))))[0][0] == command
    exit_ = vmgexit("CPUID", gpa=0x1000, valid=["rax", "sw_exit_code"], rax=7)
    page = page_of(exit_)
    assert (page[0x1F8], page[0x390:0x398]) == (7, bytes([0x72, 0, 0, 0, 0, 0, 0, 0]))
    assert page[0x3F0:0x400] == bytes([0, 0, 0, 0, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 4, 0])
    wrong = {"rax": 1, "rcx": 0, "rdx": 0, "r8": 0}
    with pytest.raises(AssertionError, match="operation 1, call: rax: 0 found, 1 recorded"):
        check("SVSM", [(SHOWS["ppr"][0], ANSWER), (call("SVSM_APIC_QUERY_FEATURES"), wrong)])


def test_a_structure_of_another_length_is_refused() -> None:
    with pytest.raises(Exception, match="7 bytes found, 8 of ghcb-msr expected"):
        message("x", "", "ghcb-msr", bytes(7))


WRONG = {
    ("raw", QUIRK): "raw makes a folder: -o FOLDER expected",
    ("raw", QUIRK, "-o", QUIRK): "a file found, a folder expected",
    ("jsonl", "nowhere"): "nowhere: no such file, and no finding of that ID",
    ("jsonl", ROOT / "README.md"): "which target? --target",
    ("jsonl", QUIRK, "--profile", "x"): "unknown profile x",
    ("jsonl", QUIRK, "-o", "nowhere/x"): "nowhere: no such folder",
    ("jsonl", "--dir", "nowhere"): "nowhere: no campaign: a campaign.json expected",
    ("nothing", QUIRK): "invalid choice: 'nothing'",
}


@pytest.mark.parametrize(("words", "told"), WRONG.items())
def test_what_is_wrong_is_told_in_one_line(
    words: tuple[str | Path, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = export(*words)
    except SystemExit as ended:
        code = int(str(ended.code))
    error = capsys.readouterr().err
    assert (code, error.count("\n")) == (2, 1), error
    assert told in error


def test_broken_lines_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "x.jsonl"
    for text, told in {
        '{"structure": "ghcb-msr"}\n': "line 1: structure, and its bytes as hex, expected",
        '\n{"structure": "no-such", "hex": "00"}\n': "no-such",
        '{"op": "state", "cpu": 0}\n{"op": "eat"}\n': "line 2",
        '{"op": "state", "cpu": 3}\n': "operation 0: state: vCPU 3 does not exist",
        "[]\n": "a JSON object expected",
        "": "nothing to export as jsonl",
        '{"kind": "host", "ops": []}\n{"ops": []}\n': "nothing to export as jsonl",
    }.items():
        file.write_text(text)
        assert export("jsonl", file) == 2
        error = capsys.readouterr().err
        assert told in error
        assert error.count("\n") == 1
