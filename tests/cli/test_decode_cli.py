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

    monkeypatch.setattr("builtins.open", refuse)  # root may read anything
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
        (("two\nlines",), "unknown structure two\\nlines; see vmgexit list"),
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
        (("ext-int-status", "a", "--value", "1"), "a FILE and --value found, one of them expected"),
        (
            ("ext-int-status", "--hex", "6", "--value", "1"),
            "a value of --hex and --value found, one",
        ),
        (("ext-int-status", "a", "--raw", "--hex"), "--raw and --hex found, one of them expected"),
        (("ext-int-status", "1", "--json", "--summary"), "--json and --summary found, one of them"),
        (("ext-int-status", "--value", "x"), "--value: 'x' found, a number expected"),
        (("ext-int-status", "--value", "00000021"), "a number expected: 0x21 if it is one in hex;"),
        (
            ("ext-int-status", "0x100000000"),
            "the number 0x100000000 found, 4 bytes expected: at most",
        ),
        (
            ("ext-int-status", "6181010a"),
            "no such file, and '6181010a' found, a number expected: 0x",
        ),
        (("ext-int-status", "--hex", "61"), "; as the number 0x61: --value 0x61; --pad fills up"),
        (("doorbell-head", "0x61"), "1 bytes found, 256 expected, read as the number 0x61; --pad"),
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


VALUES = """
ghcb-msr                 0x0000000000000100            0001000000000000
termination-info         0x0000000000000021            2100000000000000
sev-features             0x0000000000000020            2000000000000000
sev-features             0x8000000000000001            0100000000000080
hypervisor-features      0x0000000000000023            2300000000000000
psc-result               0x0000000100000001            0100000001000000
guest-request-result     0x0000000100000000            0000000001000000
svsm-call-number         0x0000000200000001            0100000002000000
exit-error               0x0000000000000005            0500000000000000
"""


@pytest.mark.parametrize("line", VALUES.strip().splitlines())
def test_a_value_as_logs_print_it(run: Run, line: str) -> None:
    name, value, memory = line.split()
    number = int(value, 16)
    shown = [
        run("decode", name, *words).out.splitlines()
        for words in (
            (value,),
            (hex(number),),
            (str(number),),
            ("--value", value),
            ("--hex", value),
            ("--hex", memory),
        )
    ]
    assert shown[0][0] == f"read as the number {number:#x}"
    assert shown[2][0] == f"read as the number {number:#x} ({number})"
    assert shown[5][0] == "read as 8 bytes in memory order"
    fields = {tuple(line for line in lines if line.startswith("0x0")) for lines in shown}
    assert len(fields) == 1


def test_the_issue_of_numbers_taken_for_bytes(run: Run) -> None:
    ran = run("decode", "guest-request-result", "--hex", "0x0000000000000016")
    assert "0x16 INVALID_PARAMETER" in ran.out
    ran = run("decode", "guest-request-result", "--hex", "0000000000000016")
    assert "note: as the number 0x16 it would break no rule: --value 0x16" in ran.out
    ran = run("decode", "guest-request-result", "0x1600000000000000")
    assert (
        "note: as 8 bytes in memory order it would break no rule: --hex 1600000000000000" in ran.out
    )
    ran = run("decode", "exit-error", "0x0000000000000005")
    assert "note: as 8 bytes in memory order it would break a rule: " in ran.out


def test_a_file_comes_before_a_number(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("0x100").write_bytes(bytes([0x61, 0, 0, 0]))
    ran = run("decode", "ext-int-status", "0x100")
    assert ran.out.startswith("read as the bytes of 0x100\n")
    assert "pending_vector" in ran.out


def test_json_is_alone_on_standard_output(run: Run) -> None:
    ran = run("decode", "ghcb-msr", "0x21100", "--json")
    value = json.loads(ran.out)
    assert value["info"] == 0x100
    assert value["message"] == {
        "structure": "ghcb-msr-termination-request",
        "info": 0x100,
        "reason_set": 1,
        "reason_code": 2,
        "reserved_63_24": 0,
    }
    assert ran.err == "vmgexit: read as the number 0x21100\n"


def test_the_message_that_a_code_names_has_its_fields(run: Run) -> None:
    ran = run("decode", "ghcb-msr", "0x21100")
    lines = [line.split() for line in ran.out.splitlines()]
    assert ["0x000[15:12]", "reason_set", "0x1", "LINUX"] in [line[:4] for line in lines]
    assert "TerminationRequest(" not in ran.out


def vmsa() -> bytes:
    page = bytearray(4096)
    page[0x10:0x14] = bytes.fromhex("00999a00")  # CS: selector 0x9900
    page[0x3B0] = 1  # SEV_FEATURES: SNP
    page[0x178] = 0x50  # RIP
    page[0xD1] = 0x10  # EFER
    return bytes(page)


def test_a_dump_that_was_cut_shows_what_is_there(run: Run, tmp_path: Path) -> None:
    dump = tmp_path / "dmesg.txt"
    rows = [vmsa()[at : at + 16].hex(" ") for at in range(0, 1072, 16)]
    dump.write_text("\n".join(f"[ 1234.5{n:05}] {row}" for n, row in enumerate(rows)))
    ran = run("decode", "vmsa", str(dump))
    assert ran.out.splitlines()[0] == (
        "read as 1072 bytes, lines of print_hex_dump in a log; 1072 of the 4096 bytes of vmsa are in"
        " the dump, not in it: 0x430 to 0xfff"
    )
    lines = [line.split(None, 2) for line in ran.out.splitlines() if line.startswith("0x")]
    assert ["0x010", "cs.selector"] in [line[:2] for line in lines]
    assert lines[-2][2] == "0 (16 bytes), 64 bytes not in the dump"
    assert lines[-1][2].split(None, 2)[:2] == ["...", "reserved_0x7c8"]
    assert lines[-1][2].endswith("not in the dump (15 fields)")
    value = json.loads(run("decode", "vmsa", str(dump), "--json").out)
    assert (value["cs"]["selector"], value["fpreg_xmm"]) == (0x9900, None)
    assert run("decode", "vmsa", str(dump), "--pad").out.count("not in the dump") == 0


def test_a_line_that_is_lost_is_no_zero(run: Run) -> None:
    rows = [f"{at:08x}: {bytes([at // 4, 0, 0, 0]).hex(' ')}" for at in range(0, 256, 4)]
    ran = run("decode", "doorbell-head", "--hex", "\n".join(rows[:16] + rows[17:]))
    assert (
        "252 of the 256 bytes of doorbell-head are in the dump, not in it: 0x40 to 0x43" in ran.out
    )
    assert "note: line 17: address 0x44 found, 0x40 expected: a gap of 4 bytes" in ran.out
    [line] = [line for line in ran.out.splitlines() if line.startswith("0x040")]
    assert line.split(None, 1)[1].endswith("not in the dump (10 fields)")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "utf-8"])
def test_a_dump_in_any_encoding(run: Run, tmp_path: Path, encoding: str) -> None:
    dump = tmp_path / "dump.txt"
    dump.write_bytes("00000000: 6181 0102  a...\r\n".encode(encoding))
    for words in ((str(dump),), (str(dump), "--hex")):
        ran = run("decode", "ext-int-status", *words)
        assert ran.out.startswith("read as 4 bytes, lines of xxd"), ran
        assert " 0x61 " in ran.out


def test_a_file_that_is_both_bytes_and_text(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"6181")  # four bytes, and two in hex
    ran = run("decode", "ext-int-status", str(file))
    assert f"read as the bytes of {file}" in ran.out
    assert "note: they are text too: --hex reads them as 2 bytes in memory order" in ran.out
    file.write_bytes(b"0x61\n")
    assert run("decode", "ext-int-status", str(file)).out.startswith("read as the number 0x61\n")
    assert " 0x30 " in run("decode", "ext-int-status", str(file), "--raw", "--offset", "0").out
    file.write_text("some words")
    assert (
        "--raw takes the 10 bytes as they are"
        in run("decode", "ext-int-status", str(file)).complaint
    )


def test_a_summary_has_five_lines(run: Run, tmp_path: Path) -> None:
    page = tmp_path / "vmsa.bin"
    page.write_bytes(vmsa())
    lines = run("decode", "vmsa", str(page), "--summary").out.splitlines()
    assert len(lines) == 5
    assert lines[0] == f"read as the bytes of {page}"
    assert lines[2].startswith(
        "set: 5 of 197 fields: cs.selector 0x9900; cs.attributes 0x9a; efer 0x1000"
    )
    assert lines[4] == "problems: 0"


@pytest.mark.parametrize("suffix", ["xz", "gz"])
def test_a_damaged_archive(run: Run, tmp_path: Path, suffix: str) -> None:
    whole = (lzma.compress if suffix == "xz" else gzip.compress)(bytes(range(256)) * 64)
    path = tmp_path / "cut.bin"  # what it is shows its content, not its name
    path.write_bytes(whole[: len(whole) // 2])
    assert "damaged or cut short" in run("decode", "doorbell-page", str(path)).complaint
    path = tmp_path / f"page.{suffix}"
    path.write_bytes(bytes(4096))
    assert run("decode", "doorbell-page", str(path)).code == 0


def test_a_leftover_at_the_end_of_many(run: Run, tmp_path: Path) -> None:
    dump = tmp_path / "odd.bin"
    dump.write_bytes(bytes(10))
    ran = run("decode", "ext-int-status", str(dump), "--count", "0", "--json")
    assert ran.code == 2
    assert len(ran.out.splitlines()) == 2
    assert "2 bytes found, 4 expected at offset 0x8" in ran.err
