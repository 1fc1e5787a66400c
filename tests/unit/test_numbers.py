"""One rule for values: what is a number, and what is bytes in memory order."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmgexit.errors import DecodeError
from vmgexit.read import numbers


@pytest.mark.parametrize(
    ("written", "kind", "memory"),
    [
        ("0x61", "number", "61"),
        ("0x02018161", "number", "61810102"),
        ("0x100", "number", "0001"),  # an odd count gains a leading 0
        ("0x0000000000000016", "number", "1600000000000000"),
        ("0X1_0000", "number", "000001"),
        ("0x8000000000000001ULL", "number", "0100000000000080"),
        ("0x61u8", "number", "61"),
        ("0x00000000`00000100", "number", "0001000000000000"),
        ("0x00112233445566778899", "bytes", "00112233445566778899"),  # a digest
        ("61810102", "bytes", "61810102"),
        ("0000000000000016", "bytes", "0000000000000016"),
    ],
)
def test_a_token(written: str, kind: str, memory: str) -> None:
    found = numbers.token(written)
    assert (found.kind, found.data.hex()) == (kind, memory)


@pytest.mark.parametrize(
    ("written", "value", "said"),
    [
        ("0x100", 0x100, "the number 0x100"),
        ("256", 0x100, "the number 0x100 (256)"),
        ("0", 0, "the number 0x0 (0)"),
        ("0b101", 5, "the number 0x5 (5)"),
        ("0o17", 15, "the number 0xf (15)"),
        ("C001_0130h", 0xC0010130, "the number 0xc0010130"),
        ("72h", 0x72, "the number 0x72"),
        ("1_000u64", 1000, "the number 0x3e8 (1000)"),
        (" 0x0000000000000021\n", 0x21, "the number 0x21"),
    ],
)
def test_a_number_where_one_is_asked_for(written: str, value: int, said: str) -> None:
    found = numbers.number(written)
    assert (found.value, str(found)) == (value, said)


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        (
            "0000000000000021",
            "a number expected: 0x21 if it is one in hex; --hex 0000000000000021 if",
        ),
        ("81c", "'81c' found, a number expected: 0x81c if it is one in hex"),
        ("-1", "'-1' found, a number that is not negative expected"),
        ("each", "'each' found, a number expected: decimal, or 0x and hex digits"),
        ("0x", "'0x' found, 0x and hex digits or bare hex digits expected"),
        ("0xg", "'0xg' found, 0x and hex digits"),
        ("", "'' found, a number expected"),
        ("0x" + "1" * 17, "17 hex digits found, an even number expected"),
    ],
)
def test_what_is_no_number(written: str, complaint: str) -> None:
    with pytest.raises(DecodeError, match=re.escape(complaint)):
        numbers.number(written)


def test_a_number_fills_a_word() -> None:
    assert numbers.token("0x16").sized(8) == bytes.fromhex("1600000000000000")
    assert numbers.token("0x0000000000000016").sized(1) == b"\x16"
    assert numbers.token("0x16").sized(256) == b"\x16"  # no word: nothing is extended
    assert numbers.token("16").sized(8) == b"\x16"  # bytes are as they are
    with pytest.raises(DecodeError, match="the number 0x116 found, 1 byte expected: at most 0xff"):
        numbers.token("0x0116").sized(1)


def test_the_other_reading() -> None:
    other = numbers.token("0x0000000100000001").other()
    assert other is not None
    assert (other.kind, other.data.hex()) == ("bytes", "0000000100000001")
    other = numbers.token("0000000000000016").other()
    assert other is not None
    assert (other.kind, other.value) == ("number", 0x16)
    assert numbers.number("256").other() is None


def test_tokens_in_a_row() -> None:
    found = numbers.tokens("0x61, 0x81,\n 0x0201")
    assert found is not None
    assert numbers.joined(found).data.hex() == "61810102"
    assert numbers.tokens("0x61 and more") is None


@given(st.integers(0, (1 << 64) - 1))
def test_any_value_in_any_spelling(value: int) -> None:
    memory = value.to_bytes(8, "little")
    for written in (f"{value:#x}", f"{value:#018x}", f"0x{value:016X}", str(value), bin(value)):
        assert numbers.number(written).sized(8) == memory
    assert numbers.token(memory.hex()).sized(8) == memory
