"""Hex dumps in every common form, by literals and by formatters written here for the purpose."""

import contextlib
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.dumps import print_hex_dump
from vmgexit.errors import DecodeError
from vmgexit.read.hexdump import is_row, read


def parse(text: str) -> bytes:
    return read(text).data


SIXTEEN = bytes(range(0x60, 0x70))

LITERALS = {
    "plain": "606162636465666768696a6b6c6d6e6f",
    "spaced": "60 61 62 63 64 65 66 67\n68 69 6a 6b 6c 6d 6e 6f\n",
    "upper case": "60616263 64656667 68696A6B 6C6D6E6F",
    "one 0x, too long for a number": "0x606162636465666768696a6b6c6d6e6f",
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
    with pytest.raises(DecodeError, match="address 0x3 found, 0x4 expected: the lines before end"):
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
        ("6", "line 1: 1 hex digit found, an even number expected"),
        ("61\n6x", "line 2: 'x' found after 1 digits, a hex digit expected"),
        ("61\nzz\n62", "line 2: 'z' found after 0 digits, a hex digit expected"),
        (
            "00000000: 6061 6162\n00000001: 6263",
            "line 2: address 0x1 found, an overlap: 0x62 found at 0x1, where another line has 0x61",
        ),
        ("0x1000:\t0x61\t0xzz", "line 1: '0x61\\t0xzz' found after the address, hex words of one"),
        ("00000000: 6061 6g", "line 1: '6061 6g' found after the address, hex words of one width"),
        ("0000000 606 616", "line 1: '606 616' found, octal words of 1 byte expected"),
        (
            "00000000: 606 616",
            "line 1: '606' found, hex words of an even number of digits expected",
        ),
        ("6 1", "line 1: 1 hex digit found, an even number expected"),
        ("61 6\n8 10", "line 1: 1 hex digit found, an even number expected"),
        ("00000000: 6061\n\n6263", "line 3: '6263' found, an address expected"),
        ("6061\n00000002: 6263", "line 1: '6061' found, an address expected"),
        ("*\n00000000: 6061", "line 1: '*' found, a line to repeat expected first"),
        ("00000000: 6061\n*\n", "line 2: '*' found, an address expected after it"),
        ("00000000: 60\n*\nfffffffffff0: 61", "line 2: '*' found for 281474976710639 bytes"),
        ("0000000  97  98\n0000002", "line 1: '97  98' found, decimal as of od"),  # od -t u1
        ("'ab\\x8'", "line 1: '\\x' found, \\x and two digits or another escape expected"),
        ("b'ab\\q'", "line 1: '\\q' found, \\x and two digits or another escape expected"),
        ("b'ä'", "line 1: 'ä' found in a string of bytes, ASCII or an escape expected"),
        ("{0x61, 0x8101}", "line 1: elements of different widths found, up to 2 bytes"),
        ("[97, 300]", "line 1: elements of different widths found, up to 2 bytes"),
        ("(u8 [2]){ 97, 300 }", "line 1: '300' found, an element of 1 byte expected"),
        ('$1 = "ab"...', "line 1: '...' found, the whole string expected"),
        ("$1 = {0x61, 0x62...}", "line 1: '...' found, every element expected"),
        ("0x1000:\t97\t98", "line 1: decimal or octal words found, whose size one line does not"),
        ("naïve", "line 1: 'naïve' found, a line of a hex dump, hex digits, a 0x number or a byte"),
        (
            "[ 1.5] 61 81\n[ 1.6] ...\n[ 1.7] 01 02",
            "line 2: '...' found: how many bytes are left out",
        ),
    ],
)
def test_errors_name_the_line(text: str, complaint: str) -> None:
    with pytest.raises(DecodeError, match=re.escape(complaint)):
        parse(text)


def test_what_is_missing_is_told() -> None:
    dump = read("00000000: 6061 6263\n00000008: 6869")
    assert dump.data == bytes.fromhex("60616263000000006869")
    assert dump.gaps == (range(4, 8),)
    assert "line 2: address 0x8 found, 0x4 expected: a gap of 4 bytes" in dump.notes
    dump = read("00000010: 6061 6263  `abc", size=32)
    assert (dump.gaps, dump.data[16:]) == ((range(16),), b"`abc")
    assert "the first address is 0x10: what stands before it is not in the dump" in dump.notes


def test_lines_out_of_order_and_lines_there_twice() -> None:
    dump = read("00000000: 6061\n00000004: 6465\n00000002: 6263\n00000004: 6465")
    assert dump.data == b"`abcde"
    assert sum("put in its place" in note for note in dump.notes) == 2


def test_a_line_that_is_too_long_is_the_one_that_is_named() -> None:
    rows = [
        f"{at:08x}: " + " ".join(f"{at + each:02x}" for each in range(16)) for at in (0, 16, 32)
    ]
    rows[1] += " ff"
    with pytest.raises(
        DecodeError, match=r"^line 2: 17 bytes found, 16 expected: line 3 begins at 0x20$"
    ):
        read("\n".join(rows))


def test_a_second_dump_is_not_read() -> None:
    rows = "00000000: 6061  `a\n00000002: 6263  bc\n"
    dump = read(rows + rows)
    assert dump.data == b"`abc"
    assert dump.notes == ("line 3: address 0x0 found again: another dump begins there, not read",)
    dump = read("0x1000:\t0x61\n0x7fff0000:\t0x62")
    assert dump.data == b"a"
    assert "line 2: address 0x7fff0000 found, far from the lines before" in dump.notes[0]


PREFIXES = (
    "[  101.500000] ",
    "[  101.500000][ T1234] ",
    "<6>[  101.500000] ",
    "[Fri Nov 27 10:00:00 2026] ",
    "[Nov27 10:00] ",
    "[  +0.000010] ",
    "kern  :info  : [  101.500000] ",
    "2026-11-27T10:00:00,123456+00:00 ",
    "Jan 16 10:00:00 host kernel: ",
    "Jan 16 10:00:00.123456 host kernel: [  101.500000] ",
    "2026-01-16T10:00:00+0000 host kernel: ",
    "[ 1234.500001] host kernel: ",
    "1768557600.123456 host kernel: ",
    "Fri 2026-01-16 10:00:00 UTC host kernel: ",
    "6,1234,1234500001,-;",
    "kernel: ",
)


@pytest.mark.parametrize("kind", ["none", "offset", "address"])
@pytest.mark.parametrize("row", [16, 32])
@pytest.mark.parametrize("group", [1, 2, 4, 8])
@pytest.mark.parametrize("text", [False, True])
def test_every_form_of_print_hex_dump_in_every_log(
    kind: str, row: int, group: int, text: bool
) -> None:
    noise = bytes(pow(3, n, 257) & 0xFF for n in range(1, 97))
    base = 0xFFFF888100005000
    for log in PREFIXES:
        for label in ("", "SVSM: ", "ccp 0000:22:00.1: "):
            lines = print_hex_dump(
                noise, base, kind=kind, row=row, group=group, has_text=text, prefix=log + label
            )
            dump = read("\n".join([f"{log}the page:", *lines, f"{log}other text"]))
            assert dump.data == noise, lines[0]
            assert dump.address in (None, 0, base)
            assert all(is_row(line) for line in lines)


def test_hashed_pointers_are_no_addresses() -> None:
    hashed = ["00000000a1b2c3d4", "000000001f2e3d4c", "00000000deadbee1"]
    rows = [f"[ 1.5] {mark}: {bytes([n] * 16).hex(' ')}" for n, mark in enumerate(hashed)]
    dump = read("\n".join(rows))
    assert dump.data == bytes(16) + b"\1" * 16 + b"\2" * 16
    assert dump.address is None
    assert "the addresses are in no order, as hashed pointers are" in dump.notes[0]


def test_the_text_column_decides_the_order() -> None:
    dump = read("00000000: 64636261 68676665  abcdefgh")  # xxd -e
    assert (dump.data, dump.order) == (b"abcdefgh", "little-endian words of 4 bytes")
    for text, assumed in (
        ("00000000: 61626364 65666768  abcdefgh", "little-endian words of 4 bytes"),  # xxd -g4
        ("00000000: 6261 6463  abcd", "groups of 2 bytes in memory order"),  # xxd -e -g2
        ("ffff888100005000:  6162636465666768   abcdefgh", "little-endian words of 8 bytes"),
    ):
        dump = read(text)
        assert dump.data == b"abcdefgh"[: len(dump.data)]
        [note] = dump.notes
        assert note.startswith(f"the text column contradicts {assumed}: read as ")


def test_an_order_that_nothing_tells_is_doubted() -> None:
    dump = read("00000000: 0102 0304  ....")
    assert dump.other == bytes.fromhex("02010403")
    [note] = dump.notes
    assert "might be little-endian words of 2 bytes" in note
    [note] = read("00000000: 01020304 05060708").notes
    assert "might be groups of 4 bytes in memory order" in note
    dump = read("0102 0304 0506 0708")
    assert dump.other == bytes.fromhex("0201040306050807")
    [note] = dump.notes
    assert note == "nothing tells the order; the groups might be little-endian words of 2 bytes"
    dump = read("0102030405060708\n0000000000000000\n")
    assert dump.other == bytes.fromhex("0807060504030201") + bytes(8)
    assert read("00000000: 0000 1111  ....").notes == ()  # the same in either order


def test_a_text_column_that_is_of_other_bytes_is_told() -> None:
    [note] = read("00000000: 6162 6364  abxx").notes
    assert note == "line 1: the text column 'abxx' is not that of the bytes"


def test_text_around_a_dump_is_passed_over_and_named() -> None:
    dump = read("(gdb) x/2xb 0x1000\n0x1000 <page>:\t0x61\t0x62\n(gdb) quit\n")
    assert (dump.data, dump.address, dump.skipped) == (b"ab", 0x1000, (1, 3))
    assert dump.notes == (
        "passed over, as no part of the dump: line 1 '(gdb) x/2xb 0x1000', 3 '(gdb) quit'",
    )
    text = "[ 1.1] VMSA:\n[ 1.2] 61 62\n[ 1.3] 63 64\n[ 1.4] GHCB:\n[ 1.5] 65 66\n"
    dump = read(text)
    assert dump.data == b"abcd"
    assert "line 4: 'GHCB:' found after a dump: another begins there, not read" in dump.notes


def test_text_behind_a_literal_is_named() -> None:
    found = read("a = {1, 2}; b = 3;\n\nc = 4;\n")
    assert found.data == b"\1\2"
    assert found.notes == ("passed over, as no part of the dump: line 1 'b = 3;', 3 'c = 4;'",)
    assert found.skipped == (1, 3)
    found = read("unsigned char a[] = {\n  0x61\n};\nunsigned int a_len = 1;\n")
    assert (found.data, found.notes) == (b"a", ())
    found = read('(gdb) p page\n$1 = "a\\001"\n(gdb) quit\n')
    assert (found.data, found.skipped) == (b"a\1", ())


def test_what_a_terminal_a_mail_and_a_page_add() -> None:
    plain = "00000000  61 62\n00000002  61 62\n*\n00000008  63 64\n0000000a\n"
    rows = plain.splitlines()
    for text in (
        "\n".join(f"\x1b[1;33m{row}\x1b[0m" for row in rows),
        "\n".join(f"> {row}" for row in rows),
        "\n".join(f"> >{row}" for row in rows),
        "\n".join(f">> [  1.5] {row}" for row in rows),
        plain.replace(" ", "\u00a0"),
    ):
        assert parse(text) == b"abababab" + b"cd", text


def test_what_gdb_prints_of_a_number() -> None:
    dump = read("(gdb) p/x ghcb->save.sw_exit_code\n$1 = 0x80000010\n")
    assert (dump.data, str(dump.values[0])) == (b"\x10\0\0\x80", "the number 0x80000010")
    assert str(read("$12 = 33653089").values[0]) == "the number 0x2018161 (33653089)"


def test_a_session_of_gdb() -> None:
    lines = """
[Thread debugging using libthread_db enabled]
Using host libthread_db library "/lib/x86_64-linux-gnu/libthread_db.so.1".
Temporary breakpoint 1, __printf (format=0x555555556034 "%p\\n") at printf.c:28
0x4020 <page>:\t0x6766656463626160\t0x6f6e6d6c6b6a6968
"""
    assert parse(lines) == SIXTEEN


def test_the_words_of_x_a_have_no_leading_zeros() -> None:
    expected = bytes.fromhex("6061000000000000 0100000000000000 6263646500000000 0000000000000000")
    assert parse("0x20 <x>:\t0x6160\t0x1\n0x30 <x+16>:\t0x65646362\t0x0\n") == expected
    assert parse("0x20:\t0x65646362\t0x0\n") == bytes.fromhex("6263646500000000") + bytes(8)


def test_dumps_by_hand() -> None:
    for text in (
        "fffff803`12345000  61 62 63 64 65 66 67 68-69 6a 6b 6c 6d 6e 6f 70  abcdefghijklmnop",
        "fffff803`12345000  64636261 68676665 6c6b6a69 706f6e6d",
        "fffff803`12345000  68676665`64636261 706f6e6d`6c6b6a69",
        "fffff803`12345000  6261 6463 6665 6867 6a69 6c6b 6e6d 706f",
        "ffff888100005000:  6867666564636261 706f6e6d6c6b6a69   abcdefghijklmnop",
        "ffff888100005000:  64636261 68676665 6c6b6a69 706f6e6d   abcdefghijklmnop",
        "ffff888100005000:  6261 6463 6665 6867 6a69 6c6b 6e6d 706f   abcdefghijklmnop",
        "ffff888100005000:  61 62 63 64 65 66 67 68 69 6a 6b 6c 6d 6e 6f 70   abcdefghijklmnop",
        "0000000000005000: 0x64636261 0x68676665 0x6c6b6a69 0x706f6e6d",
        "0000000000005000: 0x6867666564636261 0x706f6e6d6c6b6a69",
        "0000000000005000: 0x61 0x62 0x63 0x64 0x65 0x66 0x67 0x68\n"
        "0000000000005008: 0x69 0x6a 0x6b 0x6c 0x6d 0x6e 0x6f 0x70",
        "0: kd> dd 12345000\nfffff803`12345000  64636261 68676665 6c6b6a69 706f6e6d",
        "  00000000: 61 62 63 64 65 66 67 68-69 6A 6B 6C 6D 6E 6F 70  *abcdefghijklmnop*",  # edk2
        "1000 <page>:\t6867666564636261\t706f6e6d6c6b6a69",  # GDB's, without 0x
        '{"MESSAGE":"VMSA: 00000000: 61 62 63 64 65 66 67 68","_HOSTNAME":"h"}\n'
        '{"MESSAGE":"VMSA: 00000008: 69 6a 6b 6c 6d 6e 6f 70","_HOSTNAME":"h"}',
        "0x7ffe1000: 61 62 63 64 65 66 67 68 69 6a 6b 6c 6d 6e 6f 70  abcdefghijklmnop",
        ">>> prog.read(0x1000, 16)\nb'abcdefghijklmnop'",
        "(u8 [16]){ 97, 98, 99, 100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111, 112 }",
        'let page: [u8; 16] = *b"abcdefghijkl\\x6dnop";',
        "[97, 98, 99, 100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111, 112]",
        "[61, 62, 63, 64, 65, 66, 67, 68, 69, 6a, 6b, 6c, 6d, 6e, 6f, 70]",
        "vec![0x61u8, 98, 99, 100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111, 112]",
        "static const u64 page[2] = { 0x6867666564636261ULL, 0x706f6e6d6c6b6a69ULL };",
        'bytes.fromhex("61626364 65666768 696a6b6c 6d6e6f70")',
        'bytearray(b"abcdefgh"\n          b"ijklmnop")',
        '$1 = "abcdefgh\\151jklmnop"',
        "$2 = {0x6867666564636261, 0x706f6e6d6c6b6a69}",
    ):
        assert parse(text) == b"abcdefghijklmnop", text


def test_what_gdb_and_drgn_shorten() -> None:
    assert parse("$1 = \"a\\201\", '\\000' <repeats 10 times>") == b"a\x81" + bytes(10)
    assert read("$1 = \"a\\201\", '\\000' <repeats 10 times>", size=13).data == b"a\x81" + bytes(11)
    assert parse("$2 = {0x61, 0x0 <repeats 15 times>}") == b"a" + bytes(15)
    dump = read("(unsigned int [4]){ 1, 2 }")
    assert dump.data == bytes.fromhex("0100000002000000") + bytes(8)
    assert dump.notes == ("2 of 4 elements are shown, the others are zero",)


def test_elements_without_a_width_take_the_one_that_fills_the_structure() -> None:
    assert read("{0x1, 0x200}", size=16).data == bytes.fromhex("01000000000000000002000000000000")
    assert read("{0x1, 0x200}", size=4).data == bytes.fromhex("01000002")
    assert read("{0x1, 0x2}", size=0).data == b"\1\2"


def test_the_size_decides_the_radix_of_addresses() -> None:
    text = "0000000 0000 0000 0000 0000 0000 0000 0000 0000\n*\n0000040\n"  # of hexdump, or od -x
    assert read(text, size=64).data == bytes(64)
    assert read(text, size=32).data == bytes(32)
    assert read(text).notes == ("read as 64 bytes; addresses of another radix would make it 32",)


def test_decimal_words_of_gdb() -> None:
    assert parse("0x20:\t97\t-127\n0x22 <x+2>:\t1\t2\n") == bytes.fromhex("61810102")
    assert parse("(gdb) x/1dw page\n0x20:\t33653089") == bytes.fromhex("61810102")
    assert read("0x20:\t33653089", size=4).data == bytes.fromhex("61810102")
    assert parse("0x20:\t0141\t0201\n0x22:\t0\t0377\n") == bytes.fromhex("618100ff")
    assert parse("0x20:\t97 'a'\t-127 '\\201'\n0x22:\t1 '\\001'\t2 '\\002'") == bytes.fromhex(
        "61810102"
    )


LONG_AND_ODD = (
    "'" + "\\x41" * 999, "00000000: " + "61  " * 500, " " * 2000, "g " * 999, "g 61  " * 333,
    "[" * 9999, "a |" * 666, "<6>" * 9999, "0x1000 " + "<a> " * 500, "*\n" * 9999,
)  # fmt: skip


@pytest.mark.parametrize(
    "text",
    LONG_AND_ODD,
    ids=lambda text: text[:12],
)
def test_what_is_long_and_odd_takes_no_longer(text: str) -> None:
    """Each of them took minutes once: the limit on a test's time is what is asserted."""
    with contextlib.suppress(DecodeError):
        assert read(text).data
    assert is_row(text) in (True, False)


@given(st.text(st.sampled_from("0123456789abcdefxX:*|>< \n\t\\,+'\"{}"), max_size=60))
@settings(max_examples=400)
def test_any_text_is_read_or_refused(text: str) -> None:
    complaint = ""
    try:
        assert parse(text)
    except DecodeError as error:
        complaint = str(error)
    assert "\n" not in complaint


def test_text_that_looks_like_something_else() -> None:
    """Lines on which a reading was wrong once: found by writing and reading at random."""
    for body, data in (
        ("20202020 00002000      . ..", b"    \0 \0\0"),  # the text begins with spaces
        ("3c33302e3a202031                   1  :.03<", b"1  :.03<"),
        ("ed85967b26a201e8                   ...&{...", bytes.fromhex("e801a2267b9685ed")),
        ("c3117314b6c006b4 2a677c0b6f945d78  .....s..x].o.|g*",
         bytes.fromhex("b406c0b6147311c3785d946f0b7c672a")),
    ):  # fmt: skip
        assert parse(f"[ 1234.500000] {body}") == data
    bits = "00000000: 00100000 00100001   !\n00000002: 00100000 00100000    \n"  # of xxd -b
    assert parse(bits) == b" !  "
