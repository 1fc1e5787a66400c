"""`vmgexit peer new`: projects that compile without a warning and answer whatever they are asked."""

import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.peers.made import (
    ADAPTERS,
    COMPILED,
    FILLED_IN,
    LANGUAGES,
    NO_WARNING,
    SANITIZED,
    Made,
    answers,
    built,
    once,
    project,
    told,
)
from tests.peers.shows import REFUSED, SHOWS
from vmgexit.cli import main
from vmgexit.kits.project import SURFACES
from vmgexit.machine.commands import call
from vmgexit.machine.scenario import sequences, to_lines
from vmgexit.read.streams import lines

pytestmark = pytest.mark.slow

RECORDINGS = Path(__file__).parents[2] / "corpus" / "recordings"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return once(tmp_path_factory, CFLAGS="-O0")


def asked(kind: str, folder: Path, most: int) -> str:
    """The commands of recorded sequences, without COCONUT's answers: the reference gives the right ones."""
    name = str(RECORDINGS / f"{kind}.jsonl.xz")
    path = folder / "asked.jsonl"
    recorded = list(sequences(lines(name), name))[:most]
    path.write_text("".join(to_lines(sequence.commands) for sequence in recorded))
    return str(path)


def replayed(peer: Path, file: str, capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    """What `vmgexit replay` prints of a file on a peer."""
    capsys.readouterr()
    main(["replay", file, "--peer", " ".join([str(peer), *words])])
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("kind", "filled_in"), [("host", False), ("hostile", True), ("fuzzed", True)]
)
@pytest.mark.parametrize("language", LANGUAGES)
def test_an_adapter_answers_as_the_reference(
    language: str,
    filled_in: bool,
    kind: str,
    made: Made,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    peer = made(language, filled_in and language != "python")
    [line] = replayed(peer, asked(kind, tmp_path, 10), capsys)
    assert ", 0 mismatches" in line


@pytest.mark.long
@pytest.mark.parametrize("kind", ["host", "intercept", "hostile", "fuzzed"])
@pytest.mark.parametrize("language", COMPILED)
def test_every_recorded_sequence(
    language: str, kind: str, made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    [line] = replayed(made(language, True), asked(kind, tmp_path, 1000), capsys)
    assert ", 0 mismatches" in line


@pytest.mark.parametrize("language", ADAPTERS)
def test_an_adapter_is_short_and_the_svsm_beside_it_knows_no_kit(language: str) -> None:
    for path in (FILLED_IN / language).iterdir():
        text = path.read_text()
        if path.name == ADAPTERS[language]:
            assert len([line for line in text.splitlines() if line.strip()]) < 200
        else:
            assert re.search(r"\bvmgexit_|\bVMGEXIT_|\bkit\b", text) is None


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_new_adapter_passes_the_check(
    language: str, made: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    for filled_in in (False, True) if language != "python" else (False,):
        assert main(["peer", "check", "--peer", str(made(language, filled_in))]) == 0
    assert capsys.readouterr().out.endswith(" 0 broken\n")


@pytest.mark.parametrize("language", COMPILED)
def test_each_bug_is_one(
    language: str, made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without its bug the SVSM answers each scenario as the reference; with it, its own one differs."""
    peer = made(language, True)
    for bug, commands in SHOWS.items():
        path = tmp_path / f"{bug}.jsonl"
        path.write_text(to_lines(commands))
        assert ", 0 mismatches" in replayed(peer, str(path), capsys)[-1]
        assert ", 1 mismatch" in replayed(peer, str(path), capsys, "--bugs", bug)[-1]


STRANGE = [
    b"",
    b"\0\0\0",
    b"\xff\xfe{}",
    b"{",
    b"null",
    b'"' + b"a" * 1_000_000 + b'"',
    b"x" * 3_000_000,
    b"[" * 500_000,
    b'{"a": ' * 9 + b"1" + b"}" * 9,
    b'{"op": null}',
    b'{"op": "init\0", "cpus": 2}',
    b'{"op": "init", "cpus": 0, "reg_count": 1}',
    b'{"op": "init", "cpus": 256, "reg_count": 1}',
    b'{"op": "init", "cpus": "2", "reg_count": 1}',
    b'{"op": "init", "cpus": 2, "cpus": 2, "reg_count": 1}',
    b'{"op": "init", "cpus": 2, "reg_count": 1, "more": 1}',
    b'{"op": "init", "cpus": 2, "reg_count": 1, "apic_ids": [1, 1]}',
    b'{"op": "init", "cpus": 2, "reg_count": 1, "apic_ids": [1]}',
    b'{"op": "init", "cpus": 2, "reg_count": 4294967296}',
    b'{"op": "state", "cpu": 2}',
    b'{"op": "state", "cpu": 18446744073709551616}',
    b'{"op": "state", "cpu": -1}',
    b'{"op": "state", "cpu": 1e0}',
    b'{"op": "state", "cpu": 00}',
    b'{"op": "state", "cpu": 0} {}',
    b'{"op": "set_doorbell", "cpu": 0, "hex": "' + b"0g" * 256 + b'"}',
    b'{"op": "set_doorbell", "cpu": 0, "hex": "' + b"00" * 255 + b'"}',
    b'{"op": "enter", "cpu": 0, "late": [' + b'{"vector": 1}, ' * 20_000 + b"1]}",
    b'{"op": "host_refuse", "cpu": 0, "call": "nothing"}',
]


def damaged(number: int) -> list[bytes]:
    """Commands with bytes changed and left out."""
    chance = random.Random(number)
    made = []
    for _ in range(2000):
        text = bytearray(to_lines([call(1, 3, 0x830, 1)]).strip().encode())
        for _ in range(chance.randrange(1, 4)):
            place = chance.randrange(len(text))
            text[place : place + 1] = bytes([chance.randrange(256)] * chance.randrange(2))
        made.append(bytes(text).replace(b"\n", b""))
    return made


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_line_has_one_answer(language: str, made: Made) -> None:
    """One that is no command is not supported, and changes nothing."""
    init = b'{"op": "init", "cpus": 2, "reg_count": 7}'
    state = b'{"op": "state", "cpu": 0}'
    sent = [init, *STRANGE, state, *damaged(1), state]
    found = answers(made(language, language != "python"), sent)
    assert all(list(answer) == ["unsupported"] for answer in found[1 : 1 + len(STRANGE)])
    assert found[1 + len(STRANGE)]["reg_count"] == 7


@pytest.mark.parametrize("language", LANGUAGES)
def test_after_a_stop_it_answers_by_that_until_the_next_init(language: str, made: Made) -> None:
    sent = [
        *REFUSED,
        {"op": "state", "cpu": 0},
        {"op": "svsm_step", "cpu": 0},
        REFUSED[0],
        {"op": "state", "cpu": 0},
    ]
    hello, *found = told(made(language), to_lines(sent).encode())
    assert hello["stays"] is True
    stop = {"terminated": "the host refused to disable Alternate Injection"}
    assert found[1:4] == [{"ok": True}, stop, stop]
    assert list(found[4]) == ["unsupported"]
    assert found[5] == found[0]
    assert found[6]["history"] == []


@pytest.mark.needs("cc", "clang")
@pytest.mark.parametrize("filled_in", [False, True], ids=["as made", "with an APIC"])
def test_no_compiler_warns(filled_in: bool, tmp_path: Path) -> None:
    folder = project("c", tmp_path / "project", filled_in=filled_in)
    for compiler in ("clang",) if filled_in else ("gcc", "clang"):
        built(folder, CC=compiler, CFLAGS=NO_WARNING)


@pytest.mark.needs("cc")
@pytest.mark.long
def test_sanitizers_find_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On every line that is no command, and on what a hostile host does."""
    folder = project("c", tmp_path / "project")
    peer = built(folder, CFLAGS=SANITIZED)
    sent = [line for number in range(20) for line in (*STRANGE, *damaged(number))]
    answers(peer, sent)
    assert ", 0 mismatches" in replayed(peer, asked("hostile", tmp_path, 1000), capsys)[0]


@pytest.mark.long
@pytest.mark.parametrize("surface", SURFACES)
def test_types_of_the_kit_in_python(surface: str, tmp_path: Path) -> None:
    folder = project("python", tmp_path / "project", filled_in=False, surface=surface)
    words = ["-m", "mypy", "--strict", "--explicit-package-bases", "main.py"]
    run = subprocess.run([sys.executable, *words], cwd=folder, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout


def test_a_folder_that_holds_something_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").write_text("")
    assert main(["peer", "new", str(tmp_path)]) == 2
    assert capsys.readouterr().err == (
        f"vmgexit: {tmp_path}: an empty folder, or a new one, expected\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
