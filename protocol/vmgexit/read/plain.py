"""Hex digits without addresses, with any separators: bytes in memory order."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence

from ..counting import count_of
from ..errors import DecodeError
from .dump import ORDERS, Dump, Source, skips
from .numbers import brief
from .rows import bare_row

_FILLER = re.compile(r"[\s,;:{}\[\]()\"'_-]")
_COLON = re.compile(r"\s*(?:0[xX])?[0-9a-fA-F]{4,}:(?=\s|$)")
_NOT_HEX = re.compile(r"[^0-9a-fA-F]")
_MEANT = re.compile(r"(?=.*\d)[0-9a-fA-F]+[^0-9a-fA-F]?[0-9a-fA-F]*|[0-9a-fA-F]{2}")


def is_hexish(body: str) -> bool:
    """Whether a line that could not be read looks as if it were meant as bytes: its first word, or most.

    So does one with letters that no text has: they are bytes that were taken for text.
    """
    if any(letter == "\ufffd" for letter in body):
        return True
    words = _FILLER.sub(" ", body).split()
    meant = [bool(_MEANT.fullmatch(word)) for word in words]
    return bool(words) and (meant[0] or 2 * sum(meant) > len(words))


def is_left_out(body: str) -> bool:
    """Whether a line stands for others: `*`, `...`."""
    return body.strip() == "*" or (len(body.strip()) > 1 and set(body.strip()) <= set(".…"))


def plain(lines: list[Source]) -> Dump:
    """Bytes in memory order with any separators; text before and after them is passed over."""
    first = next((at for at, line in enumerate(lines) if _is_bytes(line.body)), None)
    if first is None:
        if is_hexish(lines[0].body):
            _hex(lines[0].body, lines[0].number)
        raise DecodeError(
            f"line {lines[0].number}: {brief(lines[0].body)} found, a line of a hex dump, hex digits,"
            " a 0x number or a byte literal expected"
        )
    last = max(at for at, line in enumerate(lines) if _is_bytes(line.body))
    skipped = [*lines[:first], *lines[last + 1 :]]
    if left := next((line for line in lines[first:] if is_left_out(line.body)), None):
        raise DecodeError(
            f"line {left.number}: {brief(left.body)} found: how many bytes are left out there is not known"
        )
    if meant := next((line for line in skipped if is_hexish(line.body)), None):
        _hex(meant.body, meant.number)
    shown = lines[first : last + 1]
    other, doubted = doubts(shown)
    return Dump(
        b"".join(_hex(line.body, line.number) for line in shown),
        "hex digits in memory order",
        notes=(*doubted, *skips(skipped)),
        skipped=tuple(line.number for line in skipped),
        is_rows=last > first,
        other=other,
    )


def doubts(lines: Sequence[Source]) -> tuple[bytes, tuple[str, ...]]:
    """Groups of more than one byte without an address may be words: od -An and hexdump -e print such.

    The bytes if they are, and what to say of it.
    """
    rows = [each for line in lines if (each := bare_row(line.body))]
    widths = {each.width for each in rows} if len(rows) == len(lines) else set()
    several = len(rows) > 1 or any(len(each.words) > 1 for each in rows)
    if len(widths) == 1 and several and (width := widths.pop()) in (2, 4, 8):
        other = b"".join(each.data(reverse=True) for each in rows)
        if other != b"".join(each.data(reverse=False) for each in rows):
            said = f"nothing tells the order; the groups might be {ORDERS[True].format(width)}"
            return other, (said,)
    return b"", ()


def _is_bytes(body: str) -> bool:
    try:
        return bool(_hex(body, 1))
    except DecodeError:
        return False


def _hex(line: str, number: int) -> bytes:
    """The bytes of one line. Raises DecodeError that says after how many digits it goes wrong."""
    with contextlib.suppress(ValueError):  # the common case, and much the fastest
        return bytes.fromhex(line)
    if _COLON.match(line):
        raise DecodeError(
            f"line {number}: an address found, plain hex expected as on the other lines"
        )
    words = _FILLER.sub(" ", line)
    digits = "".join(words.split())  # a person counts digits along the whole line
    if wrong := _NOT_HEX.search(digits):
        raise DecodeError(
            f"line {number}: {wrong[0]!r} found after {wrong.start()} digits, a hex digit expected"
        )
    for word in words.split():
        if len(word) % 2:
            raise DecodeError(
                f"line {number}: {count_of(len(word), 'hex digit')} found, an even number expected"
            )
    return bytes.fromhex(words)
