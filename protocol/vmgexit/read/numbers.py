"""Values as people paste them: numbers and bytes, told apart by one rule, which stands here alone.

| written | read as |
| --- | --- |
| `0x` and 1 to 16 digits | a number, as wide as it is written; an odd count of digits gains a leading 0 |
| `0x` and more digits | bytes in memory order: digests are pasted so |
| bare hex digits | bytes in memory order |
| decimal, where a number is asked for | a number, as wide as the structure |

A number's bytes are little-endian, as the processor keeps them. Where a structure is at most 8 bytes,
a shorter number is extended with zeros, and a longer one is cut where only zeros are lost. Python's
and Rust's `_`, WinDbg's backtick and C's suffixes are read over; where a number is asked for, `100h` of
AMD's manuals is one. Errors are DecodeErrors.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from ..counting import count_of
from ..errors import DecodeError

DIGITS = 16
"""Hex digits of the longest number; longer ones are bytes."""

WORD = 8
"""Bytes of the largest structure that is one word, so that a number fills it."""

_PREFIXED = r"0[xX]([0-9a-fA-F]+(?:[_`][0-9a-fA-F]+)*)(?:_?[ui](?:8|16|32|64)|[uUlL]{1,3})?"
_BARE = r"[0-9a-fA-F]+(?:[_`][0-9a-fA-F]+)*"
_DECIMAL = r"(?:0|[1-9][0-9]*(?:_[0-9]+)*)(?:_?[ui](?:8|16|32|64)|[uUlL]{1,3})?"
_BINARY = r"0[bB][01]+(?:_[01]+)*"
_OCTAL = r"0[oO][0-7]+(?:_[0-7]+)*"
_MANUALS = r"(?=.*[0-9])([0-9a-fA-F]+(?:_[0-9a-fA-F]+)*)[hH]"
_SEPARATORS = r"[\s,;]+"


class Understood(NamedTuple):
    """One value as it was understood.

    `kind`: a number, or bytes in memory order. `data`: its bytes as they stand in memory, as many as
    are written; of a decimal number as many as it needs. `written`: the text. `is_decimal`: written
    without a width.
    """

    kind: Literal["number", "bytes"]
    data: bytes
    written: str
    is_decimal: bool = False

    @property
    def value(self) -> int:
        """The number, or what the bytes are as a little-endian word."""
        return int.from_bytes(self.data, "little")

    @property
    def width(self) -> int:
        """Bytes."""
        return len(self.data)

    def __str__(self) -> str:
        """`the number 0x100`, `4 bytes in memory order`."""
        if self.kind == "bytes":
            return f"{count_of(self.width, 'byte')} in memory order"
        return f"the number {self.value:#x}" + f" ({self.value})" * self.is_decimal

    def sized(self, size: int) -> bytes:
        """The bytes of a structure of `size` bytes that this value is.

        A number fills a structure of at most 8 bytes; in every other case the data are as they are,
        and their length may differ from `size`. Raises DecodeError for a number that does not fit.
        """
        if self.kind == "bytes" or size > WORD:
            return self.data
        if any(self.data[size:]):
            raise DecodeError(
                f"the number {self.value:#x} found, {count_of(size, 'byte')} expected:"
                f" at most {(1 << 8 * size) - 1:#x}"
            )
        return self.data[:size].ljust(size, b"\0")

    def other(self) -> Understood | None:
        """The other reading of the same digits; None where there is none, or it is no different."""
        if self.is_decimal or self.width > WORD:
            return None
        kind: Literal["number", "bytes"] = "bytes" if self.kind == "number" else "number"
        return self._replace(kind=kind, data=self.data[::-1])


def token(text: str) -> Understood:
    """A token by the rule: `0x...` or bare hex digits. Raises DecodeError for anything else."""
    if match := re.fullmatch(_PREFIXED, text):
        digits = _digits(match[1])
        if len(digits) > DIGITS:
            return Understood("bytes", _whole(digits), text)
        return Understood(
            "number", bytes.fromhex(digits.zfill(len(digits) + len(digits) % 2))[::-1], text
        )
    if re.fullmatch(_BARE, text):
        return Understood("bytes", _whole(_digits(text)), text)
    raise DecodeError(f"{brief(text)} found, 0x and hex digits or bare hex digits expected")


def number(text: str) -> Understood:
    """A number where one is asked for: `0x100`, `100h`, `256`, `0b101`, `0o17`. Raises DecodeError.

    Of `0x` and more than 16 digits the bytes are in memory order, as everywhere. Bare digits that begin
    with 0 could be decimal, hex or bytes, so that they are refused.
    """
    text = text.strip()
    if text[:2] in ("0x", "0X"):
        return token(text)
    if match := re.fullmatch(_MANUALS, text):
        return token(f"0x{match[1]}")._replace(written=text)
    if re.fullmatch(_DECIMAL, text):
        return _decimal(int(re.split("[uilUL]", text)[0].replace("_", "")), text)
    if re.fullmatch(_BINARY, text) or re.fullmatch(_OCTAL, text):
        return _decimal(int(text, 0), text)
    if re.fullmatch(_BARE, text):
        raise DecodeError(
            f"{brief(text)} found, a number expected: 0x{text.lstrip('0') or '0'} if it is one in hex;"
            f" --hex {brief(text)[1:-1]} if it is bytes in memory order"
        )
    if re.fullmatch(rf"-(?:{_PREFIXED}|{_DECIMAL})", text):
        raise DecodeError(f"{brief(text)} found, a number that is not negative expected")
    raise DecodeError(f"{brief(text)} found, a number expected: decimal, or 0x and hex digits")


def tokens(text: str) -> list[Understood] | None:
    """All tokens of a text, if it is nothing but tokens with spaces or commas between them; else None.

    Bare digits with an odd count among them make it None: a dump's reader says what is wrong.
    """
    found = []
    for part in filter(None, re.split(_SEPARATORS, text.strip())):
        try:
            found.append(token(part))
        except DecodeError:
            return None
    return found


def joined(found: list[Understood]) -> Understood:
    """Values one after the other, as the bytes that they are together; a single one stays itself."""
    if len(found) == 1:
        return found[0]
    return Understood(
        "bytes", b"".join(each.data for each in found), " ".join(e.written for e in found)
    )


def brief(text: str) -> str:
    """The text in quotes, cut to 24 letters."""
    text = text.strip()
    return repr(text if len(text) <= 24 else f"{text[:21]}...")


def _decimal(value: int, text: str) -> Understood:
    size = max(1, (value.bit_length() + 7) // 8)
    return Understood("number", value.to_bytes(size, "little"), text, is_decimal=True)


def _digits(text: str) -> str:
    return text.replace("_", "").replace("`", "")


def _whole(digits: str) -> bytes:
    if len(digits) % 2:
        raise DecodeError(f"{len(digits)} hex digits found, an even number expected")
    return bytes.fromhex(digits)
