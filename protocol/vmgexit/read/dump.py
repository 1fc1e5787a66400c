"""A dump that was read: its bytes, the assumptions behind them, and the bytes that the dump lacks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..counting import count_of
from . import numbers
from .numbers import brief

_COUNTED = 4  # lines passed over that are named; more are counted

ORDERS = {True: "little-endian words of {} bytes", False: "groups of {} bytes in memory order"}
"""How the bytes of a word may stand: whether its digits are to be reversed."""


class Source(NamedTuple):
    """A line: its number from 1, a log's prefix, and the rest."""

    number: int
    prefix: str
    body: str


class Dump(NamedTuple):
    """What a text shows.

    `data`: the bytes; zeros where `gaps` say that none are shown. `form`: what printed them.
    `order`: how the bytes stand in a word that was printed, "" where words are bytes. `address`: of
    the first byte, as written; None where there is none. `notes`: what a reader must know, such as
    lines passed over and orders that are not certain. `skipped`: the numbers of those lines, from
    1. `is_rows`: lines of a dump, so that shorter data are a part of something, and not a value.
    `values`: the single values of a text that has nothing else. `other`: the bytes in the other
    order, where nothing tells which it is.
    """

    data: bytes
    form: str
    order: str = ""
    address: int | None = None
    gaps: tuple[range, ...] = ()
    notes: tuple[str, ...] = ()
    skipped: tuple[int, ...] = ()
    is_rows: bool = True
    values: tuple[numbers.Understood, ...] = ()
    other: bytes = b""

    def __str__(self) -> str:
        """`1072 bytes, print_hex_dump of a kernel's log`."""
        parts = [count_of(len(self.data), "byte"), self.form, self.order]
        if self.address:
            parts.append(f"from address {self.address:#x}")
        return ", ".join(part for part in parts if part)


def skips(skipped: Sequence[Source]) -> list[str]:
    if not skipped:
        return []
    named = ", ".join(f"{line.number} {brief(line.body)}" for line in skipped[:_COUNTED])
    more = f" and {len(skipped) - _COUNTED} more" * (len(skipped) > _COUNTED)
    return [f"passed over, as no part of the dump: line {named}{more}"]
