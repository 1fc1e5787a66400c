"""Hex dumps as people paste them: plain hex, xxd, hexdump, od, GDB's `x`, C arrays.

`parse` looks at each line for an address and for the width of its words; words of more than one byte
are little-endian, as hexdump and GDB print them on this architecture (xxd's pairs are not words:
they stand in memory order). A DecodeError names the line, what was found and what was expected.
"""

from __future__ import annotations

import re

from ..errors import DecodeError

# An address at the start of a line, by what follows it: `00000010:` (xxd), `0x1000 <page+16>:` and
# `0x1000:` (GDB), `00000010  ` (hexdump, od).
_COLON = re.compile(r"\s*(?:0[xX])?([0-9a-fA-F]+)(?:\s+<[^>]*>)?:(?=\s|$)")
_COLUMN = re.compile(r"\s*([0-9a-fA-F]{6,16})(?=\s|$)")
_TEXT = re.compile(r"\s+[|>].*$")  # hexdump -C's and od's text column
_FILLER = re.compile(r"0[xX]|\\x|[\s,;:{}\[\]()\"'_-]")
_WORD = re.compile(r"0[xX]([0-9a-fA-F]+)")


def parse(text: str) -> bytes:
    """The bytes that `text` shows. Raises DecodeError; empty text is an error too."""
    data = bytearray()
    base: int | None = None
    repeating = False
    numbered = [(n, line) for n, line in enumerate(text.splitlines(), 1) if line.strip()]
    style = _style([line for _, line in numbered])
    for number, line in numbered:
        if line.strip() == "*":
            repeating = bool(data)
            continue
        address, found = _line(line, style, number)
        if address is not None:
            base = address if base is None else base
            missing = address - base - len(data)
            if repeating and missing > 0 and missing % 16 == 0:
                data += data[-16:] * (missing // 16)
            elif missing:
                gap = "a gap" if missing > 0 else "an overlap"
                raise DecodeError(
                    f"line {number}: address {address:#x} found,"
                    f" {base + len(data):#x} expected: {gap} of {abs(missing)} bytes"
                )
        repeating = False
        data += found
    if not data:
        raise DecodeError("no bytes found, hex digits expected")
    return bytes(data)


def _style(lines: list[str]) -> str:
    """How the lines are laid out: `xxd`, `gdb`, `column` (hexdump, od) or `plain`."""
    if lines and all(line.strip() == "*" or _COLON.match(line) for line in lines):
        words = _WORD.search(lines[0].split(":", 1)[1])
        return "gdb" if words else "xxd"
    columns = [line for line in lines if line.strip() != "*"]
    if len(columns) > 1 and all(_is_column(line) for line in columns):
        return "column"
    return "column" if columns and _TEXT.search(columns[0]) and _is_column(columns[0]) else "plain"


def _is_column(line: str) -> bool:
    """An address, then words of one width, or nothing (the closing line)."""
    match = _COLUMN.match(line)
    if match is None:
        return False
    words = _TEXT.sub("", line[match.end() :]).split()
    return all(len(word) in (2, 4, 8, 16) and len(word) < len(match[1]) for word in words)


def _line(line: str, style: str, number: int) -> tuple[int | None, bytes]:
    if style == "plain":
        return None, _digits(_FILLER.sub("", line), number)
    match = (_COLUMN if style == "column" else _COLON).match(line)
    assert match is not None
    rest = line[match.end() :]
    address = int(match[1], 16)
    if style == "xxd":
        # Two spaces end the bytes; what follows is their text.
        rest = re.split(r"\s{2,}", rest.strip(), maxsplit=1)[0]
        return address, _digits("".join(rest.split()), number)
    words = _TEXT.sub("", rest).split()
    return address, b"".join(_word(word, number) for word in words)


def _word(word: str, number: int) -> bytes:
    """One word of a dump: bytes in reverse order, as a little-endian machine prints them."""
    return _digits(word.removeprefix("0x").removeprefix("0X"), number)[::-1]


def _digits(digits: str, number: int) -> bytes:
    for position, character in enumerate(digits):
        if character not in "0123456789abcdefABCDEF":
            raise DecodeError(
                f"line {number}: {character!r} found after {position} digits, a hex digit expected"
            )
    if len(digits) % 2:
        raise DecodeError(f"line {number}: {len(digits)} hex digits found, an even number expected")
    return bytes.fromhex(digits)
