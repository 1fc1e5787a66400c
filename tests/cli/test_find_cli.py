"""`vmgexit find`: what is listed of an image, and what is said of one that is none."""

import json
import os
import sys
from pathlib import Path

import pytest

from vmgexit.cli import find, main, progress
from vmgexit.wire.doorbell import DoorbellPage
from vmgexit.wire.ghcb import GhcbPage

PAGE = 4096


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    """Four pages and a bit: a GHCB, random bytes, a doorbell page without an event, zeros."""
    ghcb = GhcbPage.for_exit(0x7C, 1, gpa=0x12345000, rcx=0x1B, rax=0x900, rdx=0)
    doorbell = DoorbellPage(vector=0x31)
    doorbell.flags.no_further_signal = True
    path = tmp_path / "guest.mem"
    path.write_bytes(
        ghcb.encode() + os.urandom(PAGE) + doorbell.encode() + bytes(PAGE) + b"\x01" * 100
    )
    return path


GHCB_LINE = (
    "0x000000000000 ghcb     1.00  version 1 or 2; reserved areas zero; valid bitmap marks only"
    " fields that exist; valid bitmap is not empty; exit code known; exit code and words, or a status,"
    " marked valid; scratch address 0 or in the buffer; the exit's own rules kept"
)
DOORBELL_LINE = (
    "0x000000002000 doorbell 0.73  reserved areas zero; vectors 0 or from 31 on, reserved bits zero;"
    " NoFurtherSignal set, as the host does when it signals; something is pending; NoEoiRequired 0 or 1;"
    " vectors listed where they may be | not: events agree with descriptors"
)


def test_the_list(dump: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["find", str(dump)]) == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines() == [GHCB_LINE, DOORBELL_LINE]
    assert shown.err.startswith("vmgexit: raw: 2 found, 3 pages with content in 16 KiB, ")
    assert shown.err.endswith("iB/s; 100 bytes are no whole pages\n")


def test_what_is_found_can_be_decoded(dump: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["find", str(dump), "--kinds", "doorbell", "--json"]) == 0
    (found,) = map(json.loads, capsys.readouterr().out.splitlines())
    where = ["--offset", hex(found["gpa"])]
    assert main(["decode", found["structure"], str(dump), *where, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["vector"] == 0x31


def test_json(dump: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["find", str(dump), "--json"]) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["gpa"], first["kind"], first["score"], first["against"]) == (0, "ghcb", 1, [])
    assert (second["gpa"], second["structure"]) == (0x2000, "doorbell-page")
    assert second["score"] == 0.7273
    assert second["against"] == ["events agree with descriptors"]


def test_fewer(dump: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for options, lines in (
        (["--kinds", "vmsa,secrets"], []),
        (["--kinds", "doorbell,doorbell"], [DOORBELL_LINE]),
        (["--min-score", "0.8"], [GHCB_LINE]),
        (["--limit", "1"], [GHCB_LINE]),
        (["--limit", "0"], [GHCB_LINE, DOORBELL_LINE]),
    ):
        assert main(["find", str(dump), *options]) == 0
        assert capsys.readouterr().out.splitlines() == lines


def test_a_limit_says_that_there_may_be_more(
    dump: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["find", str(dump), "--limit", "1"]) == 0
    assert capsys.readouterr().err == "vmgexit: 1 found; what follows was not looked at\n"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--kinds", "ghcb,page"], "'page' is none of ghcb, doorbell, vmsa, secrets"),
        (["--min-score", "2"], "2: 0 to 1 expected"),
        (["--min-score", "nan"], "nan: 0 to 1 expected"),
        (["--min-score", "high"], "'high' is not a number"),
        (["--limit", "-1"], "-1 is negative"),
    ],
)
def test_a_wrong_command_line(
    options: list[str], said: str, dump: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["find", str(dump), *options])
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_what_is_no_image_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    for name, said in (
        ("-", "standard input cannot be mapped: a file expected"),
        (str(tmp_path), f"{tmp_path}: a directory found, a file expected"),
        (str(tmp_path / "none"), f"{tmp_path / 'none'}: No such file or directory"),
        (str(empty), f"{empty}: 0 bytes found, a page of 4096 or more expected"),
    ):
        assert main(["find", name]) == 2
        shown = capsys.readouterr()
        assert (shown.out, shown.err) == ("", f"vmgexit: {said}\n")


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (0, "0 KiB"),
        (0x5000, "20 KiB"),
        (1023 << 10, "1023 KiB"),
        (1 << 20, "1 MiB"),
        (100 << 20, "100 MiB"),
        (0x1_8000_0000, "6 GiB"),
        (3 << 40, "3072 GiB"),
    ],
)
def test_sizes_in_the_unit_that_fits(size: int, shown: str) -> None:
    assert find._size(size) == shown


def test_progress_on_a_terminal(
    dump: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(progress, "_EVERY", 0)
    assert main(["find", str(dump)]) == 0
    drawn = capsys.readouterr().err
    assert "\r\x1b[K[........................]   0 % 0 KiB, " in drawn
    assert "iB/s\r\x1b[K" in drawn
    assert "\r\x1b[Kvmgexit: raw: 2 found" in drawn
