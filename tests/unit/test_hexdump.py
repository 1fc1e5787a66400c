"""Hex dumps in every common form, by literals and by formatters written here for the purpose."""

import re
import shutil
import struct
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vmgexit.errors import DecodeError
from vmgexit.read.hexdump import parse

SIXTEEN = bytes(range(0x60, 0x70))

LITERALS = {
    "plain": "606162636465666768696a6b6c6d6e6f",
    "spaced": "60 61 62 63 64 65 66 67\n68 69 6a 6b 6c 6d 6e 6f\n",
    "upper case": "60616263 64656667 68696A6B 6C6D6E6F",
    "one 0x": "0x606162636465666768696a6b6c6d6e6f",
    "a C array": "{ 0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67,\n"
    "  0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f };",
    "a C string": '"\\x60\\x61\\x62\\x63\\x64\\x65\\x66\\x67\\x68\\x69\\x6a\\x6b\\x6c\\x6d\\x6e\\x6f"',
    "colons": "60:61:62:63:64:65:66:67:68:69:6a:6b:6c:6d:6e:6f",
    "xxd": "00000000: 6061 6263 6465 6667 6869 6a6b 6c6d 6e6f  `abcdefghijklmno\n",
    "hexdump -C": "00000000  60 61 62 63 64 65 66 67  68 69 6a 6b 6c 6d 6e 6f  |`abcdefghijklmno|\n"
    "00000010\n",
    "hexdump": "0000000 6160 6362 6564 6766 6968 6b6a 6d6c 6f6e\n0000010\n",
    "od -A x -t x1z": "000000 60 61 62 63 64 65 66 67 68 69 6a 6b 6c 6d 6e 6f  >`abcdefghijklmno<\n"
    "000010\n",
    "GDB x/16xb": "0x7ffe1000:\t0x60\t0x61\t0x62\t0x63\t0x64\t0x65\t0x66\t0x67\n"
    "0x7ffe1008:\t0x68\t0x69\t0x6a\t0x6b\t0x6c\t0x6d\t0x6e\t0x6f\n",
    "GDB x/4xw": "0x7ffe1000 <page>:\t0x63626160\t0x67666564\t0x6b6a6968\t0x6f6e6d6c\n",
    "od -A x -t x2": "000000 6160 6362 6564 6766 6968 6b6a 6d6c 6f6e\n000010\n",
    "od -A x -t x4": "000000 63626160 67666564 6b6a6968 6f6e6d6c\n000010\n",
    "od -A x -t x4z": "000000 63626160 67666564 6b6a6968 6f6e6d6c  >`abcdefghijklmno<\n000010\n",
    "od -A x -t x8": "000000 6766656463626160 6f6e6d6c6b6a6968\n000010\n",
    "od -t x1, octal addresses": "0000000 60 61 62 63 64 65 66 67 68 69 6a 6b 6c 6d 6e 6f\n0000020\n",
    "od -A x -t x1 -w8": "000000 60 61 62 63 64 65 66 67\n000008 68 69 6a 6b 6c 6d 6e 6f\n000010\n",
    "xxd -i": "  0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b,\n"
    "  0x6c, 0x6d, 0x6e, 0x6f\n",
    "Python": "b'\\x60\\x61\\x62\\x63\\x64\\x65\\x66\\x67\\x68\\x69\\x6a\\x6b\\x6c\\x6d\\x6e\\x6f'",
    "Windows line ends": "00000000: 6061 6263 6465 6667  `abcdefg\r\n"
    "00000008: 6869 6a6b 6c6d 6e6f  hijklmno\r\n",
    "GDB x/8xh": "0x4020 <page>:\t0x6160\t0x6362\t0x6564\t0x6766\t0x6968\t0x6b6a\t0x6d6c\t0x6f6e\n",
    "GDB, C++ names": "0x4020 <std::vector<int>::page>:\t0x6766656463626160\n"
    "0x4028 <std::vector<int>::page+8>:\t0x6f6e6d6c6b6a6968\n",
    "GDB x/2xg": "0x7ffe1000 <page+16>:\t0x6766656463626160\t0x6f6e6d6c6b6a6968\n",
}


@pytest.mark.parametrize("form", LITERALS)
def test_each_form(form: str) -> None:
    assert parse(LITERALS[form]) == SIXTEEN


def test_a_star_repeats_the_line_before() -> None:
    dump = (
        "00000000  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  |................|\n*\n"
        "00000040  01 02                                             |..|\n00000042\n"
    )
    assert parse(dump) == bytes(64) + b"\x01\x02"
    assert parse("00000000: 0000 0000 0000 0000 0000 0000 0000 0000  ....\n*\n00000020: 01  .") == (
        bytes(32) + b"\x01"
    )


@pytest.mark.parametrize(
    "dump",
    [
        "00000000: 6162 6364 6566 6768  abcdefgh\n*\n00000018: 0102  ..",  # xxd -a -c 8
        "000000 61 62 63 64 65 66 67 68\n*\n000018 01 02\n00001a\n",  # od -A x -t x1 -w8
        "0000000 61 62 63 64 65 66 67 68\n*\n0000030 01 02\n0000032\n",  # od -t x1 -w8
    ],
)
def test_a_star_repeats_a_line_of_any_length(dump: str) -> None:
    assert parse(dump) == b"abcdefgh" * 3 + b"\x01\x02"


def test_the_closing_address_cuts_the_last_word() -> None:
    assert parse("0000000 6160 0062\n0000003\n") == b"\x60\x61\x62"
    assert parse("000000 63626160 00000064\n000005\n") == b"\x60\x61\x62\x63\x64"
    with pytest.raises(DecodeError, match="an overlap of 1 bytes"):
        parse("0000000 6160 6362\n0000003\n")  # the byte that is cut off is not filler


def test_single_digits_of_an_array_are_bytes() -> None:
    assert parse("{ 0x1, 0x0, 0x61 }") == b"\x01\x00\x61"


def test_words_without_an_address_are_not_taken_for_one() -> None:
    assert parse("61810102") == bytes.fromhex("61810102")
    assert parse("61810102 00000000") == bytes.fromhex("6181010200000000")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "no bytes found"),
        ("\n \n", "no bytes found"),
        ("6", "line 1: 1 hex digits found, an even number expected"),
        ("61\n6x", "line 2: 'x' found after 1 digits"),
        (
            "00000000: 6061\n00000010: 6263",
            "line 2: address 0x10 found, 0x2 expected: a gap of 14 bytes",
        ),
        (
            "00000000: 6061\n00000001: 6263",
            "line 2: address 0x1 found, 0x2 expected: an overlap of 1",
        ),
        ("0x1000:\t0x61\t0xzz", "line 1: 'z' found"),
        ("6 1", "line 1: 1 hex digits found, an even number expected"),
        ("61 6\n8 10", "line 1: 3 hex digits found, an even number expected"),
        ("00000000: 6061\n\n6263", "line 3: '6263' found, an address expected"),
        ("6061\n00000002: 6263", "line 2: an address found, plain hex expected"),
        ("*\n00000000: 6061", "line 1: '*' found, a line to repeat expected first"),
        ("00000000: 6061\n*\n", "line 2: '*' found, an address expected after it"),
        ("00000000: 6061\n*\n00000005: 61", "line 3: address 0x5 found, 0x2 expected"),
        ("00000000: 60\n*\nfffffffffff0: 61", "line 2: '*' found for 281474976710639 bytes"),
        ("'ab\\x81'", "line 1: 'a' found in column 2, \\x and two digits expected"),
        ("naïve", "line 1: 'n' found after 0 digits"),
    ],
)
def test_errors_name_the_line(text: str, complaint: str) -> None:
    with pytest.raises(DecodeError, match=re.escape(complaint)):
        parse(text)


def rows(data: bytes, width: int) -> list[tuple[int, bytes]]:
    return [(at, data[at : at + width]) for at in range(0, len(data), width)]


def as_xxd(data: bytes, base: int) -> str:
    lines = []
    for at, row in rows(data, 16):
        pairs = " ".join(row[i : i + 2].hex() for i in range(0, len(row), 2))
        lines.append(f"{base + at:08x}: {pairs:39}  {_ascii(row)}")
    return "\n".join(lines)


def as_canonical(data: bytes, base: int) -> str:
    lines = [f"{base + at:08x}  {row.hex(' '):48}  |{_ascii(row)}|" for at, row in rows(data, 16)]
    return "\n".join([*lines, f"{base + len(data):08x}"])


def as_gdb_words(data: bytes, base: int) -> str:
    lines = []
    for at, row in rows(data, 16):
        words = struct.unpack(f"<{len(row) // 4}I", row)
        lines.append(f"{base + at:#x}:\t" + "\t".join(f"{word:#010x}" for word in words))
    return "\n".join(lines)


def as_gdb_bytes(data: bytes, base: int) -> str:
    lines = []
    for at, row in rows(data, 8):
        lines.append(f"{base + at:#x} <s+{at}>:\t" + "\t".join(f"{byte:#04x}" for byte in row))
    return "\n".join(lines)


def _ascii(row: bytes) -> str:
    return "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)


@pytest.mark.parametrize("written", [as_xxd, as_canonical, as_gdb_words, as_gdb_bytes, None])
@given(words=st.binary(min_size=1, max_size=90), page=st.integers(0, 0xFFFF))
@settings(max_examples=60)
def test_what_is_written_is_read(written: object, words: bytes, page: int) -> None:
    data = words * 4  # whole words
    text = written(data, page << 12) if callable(written) else data.hex(" ", 3)
    assert parse(text) == data


TOOLS = (
    "xxd", "xxd -a -c8", "xxd -g1", "xxd -p", "xxd -i",
    "hexdump", "hexdump -v", "hexdump -C", "hexdump -Cv",
    "od -Ax -tx1z", "od -Ax -tx1 -w8", "od -Ax -tx2", "od -Ax -tx4z", "od -Ax -tx8", "od -tx1",
)  # fmt: skip


@pytest.mark.parametrize("tool", TOOLS)
def test_what_the_tools_print_is_read(tool: str) -> None:
    words = tool.split()
    if shutil.which(words[0]) is None:
        pytest.skip(f"this system has no {words[0]}")
    noise = bytes(pow(3, n, 257) & 0xFF for n in range(1, 101))
    for size in (1, 2, 3, 7, 8, 9, 16, 17, 32, 33, 100):
        for data in (noise[:size], bytes(size), b"\x61" + bytes(size - 1)):
            shown = subprocess.run(words, input=data, capture_output=True, check=True).stdout
            assert parse(shown.decode()) == data, shown


@given(st.text(st.sampled_from("0123456789abcdefxX:*|>< \n\t\\,+'\"{}"), max_size=60))
@settings(max_examples=400)
def test_any_text_is_read_or_refused(text: str) -> None:
    complaint = ""
    try:
        assert parse(text)
    except DecodeError as error:
        complaint = str(error)
    assert "\n" not in complaint
