"""Hex dumps as people paste them: plain hex, xxd, hexdump, od, GDB's `x`, C arrays and strings.

`parse` finds out how the text is laid out, reads each line's address and bytes, and joins them by the
addresses, so that a line that is missing is noticed. Words of more than one byte are little-endian,
as hexdump, od and GDB print them on this architecture; xxd's groups are not words, they stand in
memory order. Addresses are hex, but for those of `od -t x1`, which are octal unless told otherwise.

A DecodeError names the line, what was found and what was expected.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from ..errors import DecodeError

LIMIT = 256 << 20
"""Bytes that a dump may stand for: a line with `*` can claim any number of them."""

# An address at the start of a line, by what follows it: `00000010:` (xxd), `0x1000 <page+16>:` and
# `0x1000:` (GDB), `00000010  ` (hexdump, od). A shorter one would be a byte before a colon.
_COLON = re.compile(r"\s*(?:0[xX]|(?=[0-9a-fA-F]{4}))([0-9a-fA-F]+)(?:\s+<.*>)?:(?=\s|$)")
_COLUMN = re.compile(r"\s*([0-9a-fA-F]{6,16})(?=\s|$)")
_TEXT = re.compile(r"\s+[|>].*$")  # hexdump -C's and od's text column
_OCTAL_DIGITS = 7  # of od's own addresses; hexdump has as many, in hex, before words of two bytes

_SHORT = re.compile(r"0[xX]([0-9a-fA-F])(?![0-9a-fA-F])")  # 0x1 in a C array is one byte
_FILLER = re.compile(r"0[xX]|[\s,;:{}\[\]()\"'_-]")
_ESCAPED = re.compile(r"\\x([0-9a-fA-F]{2})|[\s,;{}\[\]()\"']|[bB](?=[\"'])")  # b"\x61\x81"
_NOT_HEX = re.compile(r"[^0-9a-fA-F]")


@dataclass(frozen=True, slots=True)
class _Row:
    """One line: its address as written, its bytes, the size of its words; or a `*`."""

    number: int
    address: str = ""
    data: bytes = b""
    width: int = 1
    is_star: bool = False


def parse(text: str) -> bytes:
    """The bytes that `text` shows. Raises DecodeError; empty text is an error too."""
    lines = [(n, line) for n, line in enumerate(text.splitlines(), 1) if line.strip()]
    dumped = [line for _, line in lines if line.strip() != "*"]
    if dumped and _COLON.match(dumped[0]):
        data = _joined(list(_rows(lines, _COLON)))
    elif _is_columns(dumped):
        data = _joined(list(_rows(lines, _COLUMN)))
    else:
        data = b"".join(_plain(line, number) for number, line in lines)
    if not data:
        raise DecodeError("no bytes found, hex digits expected")
    return data


# --- Lines with addresses -------------------------------------------------------------------------


def _is_columns(lines: list[str]) -> bool:
    """Whether each line is an address, then words: not hex that was only broken into groups."""
    matches = [match for line in lines if (match := _COLUMN.match(line))]
    if not matches or len(matches) < len(lines):
        # One line without an address among many that have one is an error, to be named.
        return len(matches) > 1 and any(_TEXT.search(match.string) for match in matches)
    if any(_TEXT.search(line) for line in lines):
        return True
    rows = [(match[1], match.string[match.end() :].split()) for match in matches]
    widths = {len(word) for _, words in rows for word in words}
    if len(widths) != 1 or not widths <= {2, 4, 8, 16}:
        return False
    (width,) = widths
    if len(rows) == 1:
        address = matches[0][1]
        spread = lines[0][matches[0].end() :].startswith("  ")
        return len(address) % 2 == 1 or (spread and width == 2 and address.endswith("0"))
    return (
        any(len(address) != width for address, _ in rows)
        or not rows[-1][1]
        or any(
            int(after, 16) - int(before, 16) == len(words) * width // 2
            for (before, words), (after, _) in pairwise(rows)
        )
    )


def _rows(lines: list[tuple[int, str]], form: re.Pattern[str]) -> Iterator[_Row]:
    for number, line in lines:
        if line.strip() == "*":
            yield _Row(number, is_star=True)
            continue
        match = form.match(line)
        if match is None:
            raise DecodeError(
                f"line {number}: {_brief(line)} found, an address expected as on the other lines"
            )
        rest = line[match.end() :].strip()
        if form is _COLON and not rest.startswith(("0x", "0X")):
            # xxd: two spaces end the bytes; what follows is their text.
            words = re.split(r"\s{2,}", rest, maxsplit=1)[0].split()
            yield _Row(number, match[1], b"".join(_digits(word, number) for word in words))
            continue
        words = [
            word.removeprefix("0x").removeprefix("0X") for word in _TEXT.sub("", " " + rest).split()
        ]
        # As a little-endian machine prints them.
        data = b"".join(_digits(word, number)[::-1] for word in words)
        yield _Row(number, match[1], data, max((len(word) // 2 for word in words), default=1))


def _joined(rows: list[_Row]) -> bytes:
    """The rows in one piece, by hex addresses, or by octal ones where od may have printed them."""
    addresses = [row.address for row in rows if not row.is_star]
    octal = all(
        len(text) == _OCTAL_DIGITS and not set(text) & set("89abcdefABCDEF") for text in addresses
    )
    if not octal:
        return _by_address(rows, 16)
    # hexdump's words have two bytes; od's bytes after seven digits of address mean octal.
    words = {row.width for row in rows if row.data}
    first, second = (8, 16) if words == {1} else (16, 8)
    try:
        return _by_address(rows, first)
    except DecodeError as error:
        try:
            return _by_address(rows, second)
        except DecodeError:
            raise error from None


def _by_address(rows: list[_Row], radix: int) -> bytes:
    data = bytearray()
    base = 0
    last: _Row | None = None  # what a `*` repeats
    star: _Row | None = None
    for row in rows:
        if row.is_star:
            if last is None:
                raise DecodeError(f"line {row.number}: '*' found, a line to repeat expected first")
            star = row
            continue
        address = int(row.address, radix)
        if last is None:
            base = address
        missing = address - base - len(data)
        if star is not None and last is not None and missing > 0 and not missing % len(last.data):
            if len(data) + missing > LIMIT:
                raise DecodeError(
                    f"line {star.number}: '*' found for {missing} bytes, at most {LIMIT} expected"
                )
            data += last.data * (missing // len(last.data))
        elif (
            last is not None
            and not row.data
            and -last.width < missing < 0
            and not any(data[missing:])
        ):
            del data[missing:]  # the last word was filled up with zeros; the closing address tells
        elif missing:
            gap = "a gap" if missing > 0 else "an overlap"
            raise DecodeError(
                f"line {row.number}: address {_in(radix, address)} found,"
                f" {_in(radix, base + len(data))} expected: {gap} of {abs(missing)} bytes"
            )
        star = None
        data += row.data
        last = row if row.data else last
    if star is not None:
        raise DecodeError(f"line {star.number}: '*' found, an address expected after it")
    return bytes(data)


def _in(radix: int, address: int) -> str:
    return f"{address:#x}" if radix == 16 else f"{address:#o}"


# --- Lines without --------------------------------------------------------------------------------


def _plain(line: str, number: int) -> bytes:
    """The bytes of a line of hex with any separators, or of an escaped string."""
    if "\\x" in line:
        return _escaped(line, number)
    if _COLON.match(line):
        raise DecodeError(
            f"line {number}: an address found, plain hex expected as on the lines before"
        )
    with contextlib.suppress(ValueError):  # the common case, and much the fastest
        return bytes.fromhex(line)
    words = _FILLER.sub(" ", _SHORT.sub(r" 0\1 ", line))
    try:
        return bytes.fromhex(words)
    except ValueError:
        _digits(_FILLER.sub("", line), number)  # a person counts digits along the whole line
        return b"".join(_digits(word, number) for word in words.split())


def _escaped(line: str, number: int) -> bytes:
    data = bytearray()
    at = 0
    while at < len(line):
        match = _ESCAPED.match(line, at)
        if match is None:
            raise DecodeError(
                f"line {number}: {line[at]!r} found in column {at + 1}, \\x and two digits expected"
            )
        data += bytes.fromhex(match[1] or "")
        at = match.end()
    return bytes(data)


def _digits(digits: str, number: int) -> bytes:
    if wrong := _NOT_HEX.search(digits):
        raise DecodeError(
            f"line {number}: {wrong[0]!r} found after {wrong.start()} digits, a hex digit expected"
        )
    if len(digits) % 2:
        raise DecodeError(f"line {number}: {len(digits)} hex digits found, an even number expected")
    return bytes.fromhex(digits)


def _brief(line: str) -> str:
    text = line.strip()
    return repr(text if len(text) <= 24 else f"{text[:21]}...")
