"""`vmgexit decode`: what a person and a tool get, and one line for every kind of bad input."""

import errno
import gzip
import json
import lzma
import os
from pathlib import Path

import pytest

from tests.cli.conftest import Run

HEAD = bytes.fromhex("61810102") + bytes(252)


@pytest.mark.clause("DESC-1", "DESC-2", "DESC-4")
def test_the_four_bytes_of_a_doorbell(run: Run) -> None:
    ran = run("decode", "doorbell-head", "--pad", "--hex", "61810102")
    assert ran.code == 0
    lines = [line.split() for line in ran.out.splitlines() if line.startswith("0x00")]
    assert [line[:3] for line in lines[:10]] == [
        ["0x000", "vector", "0x61"],
        ["0x001[0]", "flags.nmi_pending", "1"],
        ["0x001[1]", "flags.mc_pending", "0"],
        ["0x001[6:2]", "flags.reserved_6_2", "0"],
        ["0x001[7]", "flags.no_further_signal", "1"],
        ["0x002", "no_eoi_required", "0x1"],
        ["0x003[0]", "per_vmpl_events.vmpl1", "0"],
        ["0x003[1]", "per_vmpl_events.vmpl2", "1"],
        ["0x003[2]", "per_vmpl_events.vmpl3", "0"],
        ["0x003[7:3]", "per_vmpl_events.reserved_7_3", "0"],
    ]


def test_a_page_from_a_file_compressed_or_not(run: Run, tmp_path: Path) -> None:
    page = HEAD + bytes(3840)
    (tmp_path / "plain.bin").write_bytes(page)
    (tmp_path / "page.xz").write_bytes(lzma.compress(page))
    (tmp_path / "page.gz").write_bytes(gzip.compress(page))
    shown = {run("decode", "doorbell-page", str(path), "--json").out for path in tmp_path.iterdir()}
    [text] = shown
    value = json.loads(text)
    assert value["vector"] == 0x61
    assert value["flags"] == {
        "nmi_pending": True,
        "mc_pending": False,
        "reserved_6_2": 0,
        "no_further_signal": True,
    }
    assert value["vmpl2"]["irr"] == 0
    assert value["reserved_0x004"] == "00" * 60


def test_offset_and_count(run: Run, tmp_path: Path) -> None:
    dump = tmp_path / "dump.bin"
    dump.write_bytes(b"\xff" * 6 + b"".join(bytes([n, 0, 0, 0]) for n in (0x41, 0x42, 0x43)))
    ran = run("decode", "ext-int-status", str(dump), "--offset", "6", "--count", "2", "--json")
    assert [json.loads(line)["pending_vector"] for line in ran.out.splitlines()] == [0x41, 0x42]
    ran = run("decode", "ext-int-status", str(dump), "--offset", "0x6", "--count", "0", "--json")
    assert len(ran.out.splitlines()) == 3
    ran = run("decode", "ext-int-status", str(dump), "--offset", "0xa")
    assert "0x00a[7:0]" in ran.out


def test_options_stand_anywhere(run: Run, tmp_path: Path) -> None:
    dump = tmp_path / "dump.bin"
    dump.write_bytes(HEAD)
    shown = {
        run("decode", *words).out
        for words in (
            ("--json", "doorbell-head", str(dump)),
            ("doorbell-head", "--json", str(dump)),
            ("doorbell-head", str(dump), "--json"),
            ("doorbell-head", "--offset", "0", str(dump), "--json"),
            ("doorbell-head", "--json", "--", str(dump)),
        )
    }
    [text] = shown
    assert json.loads(text)["vector"] == 0x61


def test_all_is_a_count(run: Run, tmp_path: Path) -> None:
    dump = tmp_path / "dump.bin"
    dump.write_bytes(bytes(12))
    ran = run("decode", "ext-int-status", str(dump), "--count", "all", "--json")
    assert (ran.code, len(ran.out.splitlines())) == (0, 3)


def test_what_has_no_end_is_not_read_to_it(run: Run, tmp_path: Path) -> None:
    sparse = tmp_path / "sparse.bin"
    with sparse.open("wb") as stream:
        stream.truncate(1 << 40)
    complaint = run("decode", "doorbell-page", str(sparse)).complaint
    assert "1099511627776 bytes found, 4096 expected" in complaint
    assert "0x8000000000" in run("decode", "vmsa", str(sparse), "--offset", str(1 << 39)).out
    assert "more than 67108864 bytes found" in run("decode", "vmsa", "/dev/zero").complaint


def test_dump_text_that_is_no_text(run: Run, tmp_path: Path) -> None:
    dump = tmp_path / "dump.txt"
    dump.write_bytes(b"61 81\n\xff\xfe\n")
    complaint = run("decode", "ext-int-status", str(dump), "--hex").complaint
    assert complaint.startswith(f"vmgexit: {dump}: line 2: '\ufffd' found after 0 digits")
    dump.write_bytes(b"\xef\xbb\xbf61\xc2\xa0810102")  # a byte order mark, a no-break space
    assert run("decode", "ext-int-status", str(dump), "--hex").code == 0


def test_the_name_of_a_file_is_no_dump(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("page.txt").write_text("61 81 01 02")
    complaint = run("decode", "ext-int-status", "--hex", "page.txt").complaint
    assert complaint.endswith("; to read the file: page.txt --hex")
    assert run("decode", "ext-int-status", "page.txt", "--hex").code == 0


def test_a_file_that_may_not_be_read(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("builtins.open", refuse)
    monkeypatch.setattr("vmgexit.read.streams._OPENERS", {"": refuse})  # root may read anything
    complaint = run("decode", "ext-int-status", str(tmp_path / "secret")).complaint
    assert complaint == f"vmgexit: {tmp_path}/secret: Permission denied"


def test_a_dump_in_a_file(run: Run, tmp_path: Path) -> None:
    dump = tmp_path / "dump.txt"
    dump.write_text("00000000: 6181 0102                                a...\n")
    ran = run("decode", "doorbell-head", str(dump), "--hex", "--pad", "--json")
    assert json.loads(ran.out)["vector"] == 0x61


@pytest.mark.clause("DESC-2")
def test_the_draft_of_may_16_shows_both_readings(run: Run) -> None:
    ran = run("decode", "doorbell-head", "--revision", "2024-05-16", "--pad", "--hex", "61810404")
    assert "VMPL 2 by bits 1 to 3 (as written)" in ran.out
    assert "VMPL 3 by bits 8 to 10 (as meant)" in ran.out
    assert run("decode", "doorbell-head@2024-05-16", "--pad", "--hex", "61810404") == ran


def test_reserved_bits_are_fine_unless_strict(run: Run) -> None:
    ran = run("decode", "ext-int-status", "--hex", "00380000")
    assert ran.code == 0
    ran = run("decode", "ext-int-status", "--hex", "00380000", "--strict")
    assert ran.code == 1
    assert "reserved_13_11: 0x7: reserved, must be zero [DESC-1]" in ran.err
    assert "reserved_13_11" in ran.out  # still shown


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("doorbell-head", "--hex", "6181"), "doorbell-head: 2 bytes found, 256 expected"),
        (("ext-int-status", "--hex", "618"), "line 1: 3 hex digits found, an even number expected"),
        (
            ("ext-int-status", "--hex", "61g1"),
            "line 1: 'g' found after 2 digits, a hex digit expected",
        ),
        (("ext-int-status", "--hex", ""), "no bytes found, hex digits expected"),
        (("two\nlines",), "unknown structure two\\nlines; nearest: "),
        (("doorbel-page",), "unknown structure doorbel-page; nearest: doorbell-page"),
        (("doorbell-page", "--revision", "2025"), "doorbell-page has no revision 2025; there are"),
        (("doorbell-page@2025",), "doorbell-page has no revision 2025; there are"),
        (("doorbel-page@edk2",), "unknown structure doorbel-page; nearest: doorbell-page"),
        (("ext-int-status", "/nowhere/at.all"), "/nowhere/at.all: No such file or directory"),
        (("ext-int-status", "/"), "/: a directory found, a file expected"),
        (("ext-int-status", "/dev/null"), "ext-int-status: 0 bytes found, 4 expected"),
        (("ext-int-status", "/dev/null", "--count", "0"), "0 bytes found, 4 expected"),
        (("ext-int-status", "/dev/null", "--offset", "9"), "offset 0x9: the input ends at 0x0"),
        (("ext-int-status", "--offset", "-1"), "-1 is negative"),
        (("ext-int-status", "--offset", "x"), "'x' is not a number"),
        (("ext-int-status", "--count", "many"), "'many' is not a number"),
        (("ext-int-status", "/dev/null", "--offset", "9" * 99), "the input ends at 0x0"),
        (("ext-int-status", "a", "b"), "unrecognized arguments: b (see vmgexit decode --help)"),
        (("ext-int-status", "a", "--hex", "61"), "a FILE and a value of --hex found, one of them"),
        ((), "required: NAME"),
    ],
)
def test_bad_input_gets_one_line(run: Run, words: tuple[str, ...], complaint: str) -> None:
    assert complaint in run("decode", *words).complaint


def test_a_longer_input_is_not_taken_for_one(run: Run, tmp_path: Path) -> None:
    dump = tmp_path / "two.bin"
    dump.write_bytes(bytes(8192))
    assert (
        "8192 bytes found, 4096 expected; --offset"
        in run("decode", "doorbell-page", str(dump)).complaint
    )


def test_ten_megabytes_of_junk(run: Run, tmp_path: Path) -> None:
    junk = tmp_path / "junk.bin"
    junk.write_bytes(b"\xa5" * (10 << 20))
    assert (
        "10485760 bytes found, 4096 expected" in run("decode", "doorbell-page", str(junk)).complaint
    )
    complaint = run("decode", "doorbell-page", str(junk), "--hex").complaint
    assert "line 1: '\ufffd' found after 0 digits, a hex digit expected" in complaint


@pytest.mark.parametrize("suffix", ["xz", "gz"])
def test_a_damaged_archive(run: Run, tmp_path: Path, suffix: str) -> None:
    whole = (lzma.compress if suffix == "xz" else gzip.compress)(bytes(range(256)) * 64)
    for name, data in (("cut", whole[: len(whole) // 2]), ("junk", b"not an archive at all")):
        path = tmp_path / f"{name}.{suffix}"
        path.write_bytes(data)
        assert "damaged or cut short" in run("decode", "doorbell-page", str(path)).complaint


def test_a_leftover_at_the_end_of_many(run: Run, tmp_path: Path) -> None:
    dump = tmp_path / "odd.bin"
    dump.write_bytes(bytes(10))
    ran = run("decode", "ext-int-status", str(dump), "--count", "0", "--json")
    assert ran.code == 2
    assert len(ran.out.splitlines()) == 2
    assert "2 bytes found, 4 expected at offset 0x8" in ran.err
