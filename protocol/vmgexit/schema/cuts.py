"""How a word's bit fields are cut for speed: which bytes are read alone, which fields share a table.

Reading: a byte that holds pieces of several fields is one look-up in a table of 256 rows; bytes that
belong to one field alone are read as integers of their own; a field over several bytes is put
together from its parts. Where a word has few and wide fields, shifts of the whole word cost less.

Writing: a field that fills an integer is packed as it is. Of the others, flags and narrow fields share
one table from their values, packed into bytes, to their bits; wider fields have a table each, of which
the second half refuses; the widest are checked and shifted. Reserved fields are added where they are
not 0.

`compiler` writes the source that uses these tables. The costs below are measured with `dev.py bench`.
"""

from __future__ import annotations

import functools
import itertools
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from .structure import Bits, Field, Kind, named

CODES = {8: "B", 16: "H", 32: "I", 64: "Q"}
"""struct's little-endian integers, by bits."""

# Fields of at most _NARROW bits share tables of at most 2 ** _SHARED entries for writing; those of at
# most _LISTED bits have a table of their own.
_NARROW = 4
_SHARED = 12
_LISTED = 12


def read(entry: Field, value: int) -> Any:
    """`value`, the bits of a field of a word, as the field's Python value."""
    return bool(value) if entry.kind is Kind.FLAG else named(value, entry.enum)


# --- Reading --------------------------------------------------------------------------------------


class Piece(NamedTuple):
    """The part of a field that one stretch of bytes holds: `width` bits from the field's bit `low`."""

    field: Field
    low: int
    width: int

    @property
    def is_whole(self) -> bool:
        return self.width == self.field.width


class Stretch(NamedTuple):
    """Bytes that are read as one integer: pieces of several fields in one byte, or of one in more."""

    byte: int
    size: int
    pieces: tuple[Piece, ...]

    @property
    def is_mixed(self) -> bool:
        return len(self.pieces) > 1


def by_bytes(cls: type[Bits]) -> tuple[Stretch, ...]:
    """The word cut at bytes."""
    cut: list[Stretch] = []
    for byte in range(cls.size):
        pieces = tuple(_pieces(cls, byte))
        last = cut[-1] if cut else None
        if last and not last.is_mixed and len(pieces) == 1:
            (before,), (now,) = last.pieces, pieces
            if before.field is now.field:
                cut[-1] = Stretch(
                    last.byte,
                    last.size + 1,
                    (Piece(now.field, before.low, before.width + now.width),),
                )
                continue
        cut.append(Stretch(byte, 1, pieces))
    return tuple(part for stretch in cut for part in _in_codes(stretch))


def _pieces(cls: type[Bits], byte: int) -> Iterator[Piece]:
    """What the fields have in one byte, from bit 0 upward."""
    for entry in cls.declaration.fields:
        low = max(entry.bit_offset, 8 * byte)
        high = min(entry.bit_offset + entry.width, 8 * byte + 8)
        if low < high:
            yield Piece(entry, low - entry.bit_offset, high - low)


def _in_codes(stretch: Stretch) -> Iterator[Stretch]:
    """The stretch in parts that struct has codes for."""
    if 8 * stretch.size in CODES:
        yield stretch
        return
    (piece,) = stretch.pieces
    done = 0
    for size in (4, 2, 1):
        if stretch.size - done >= size:
            part = Piece(piece.field, piece.low + 8 * done, 8 * size)
            yield Stretch(stretch.byte + done, size, (part,))
            done += size


def shifts_cost_less(cls: type[Bits], cut: Sequence[Stretch]) -> bool:
    """Whether shifting and masking the whole word beats `cut`. The unit is one small operation."""
    fields = cls.declaration.fields
    wide = 1.5 if cls.size == 8 else 1.0  # Python's integers of more than 30 bits are slower
    top = 8 * cls.size
    shifting = sum(
        (entry.bit_offset > 0) + (entry.bit_offset + entry.width < top) for entry in fields
    )
    flags = sum(entry.kind is Kind.FLAG or entry.enum is not None for entry in fields)
    cutting = 0.4 * (len(cut) - 1)
    for stretch in cut:
        cutting += 0.8 * stretch.is_mixed
        for piece in stretch.pieces:
            if not piece.is_whole:
                shifted = not stretch.is_mixed and piece.low > 0
                cutting += 0.6 + shifted * wide
    return wide * shifting + flags < cutting


@functools.cache
def rows(pieces: tuple[Piece, ...]) -> list[tuple[Any, ...]]:
    """The values of the pieces for each of a byte's 256 values; parts of fields stand in place."""
    columns = []
    for piece in pieces:
        values = range(1 << piece.width)
        columns.append(
            [read(piece.field, value) for value in values]
            if piece.is_whole
            else [value << piece.low for value in values]
        )
    # product counts its last factor fastest, which is the one from bit 0 up
    return [row[::-1] for row in itertools.product(*reversed(columns))]


# --- Writing --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """Fields that fill `size` bytes from bit `low`, and are written together."""

    low: int
    size: int
    fields: tuple[Field, ...]

    @property
    def is_integer(self) -> bool:
        """Whether it is one field that fills an integer of struct's."""
        return len(self.fields) == 1 and self.fields[0].width in CODES

    @property
    def is_table(self) -> bool:
        """Whether one table gives all but the reserved fields."""
        return len(self.tables) == 1 and not self.wide

    @property
    def wide(self) -> list[Field]:
        """The fields that are not written by a shared table, without reserved ones."""
        return [entry for entry in self.fields if entry.rule is None and not self._is_narrow(entry)]

    @property
    def reserved(self) -> list[Field]:
        """The reserved fields that are not written by a shared table."""
        listed = {entry.name for group in self.tables for entry in group}
        return [entry for entry in self.fields if entry.rule and entry.name not in listed]

    @functools.cached_property
    def tables(self) -> list[tuple[Field, ...]]:
        """The fields that are written by one table, for each such table; reserved ones add none."""
        narrow = [entry for entry in self.fields if self._is_narrow(entry)]
        needed = _grouped(entry for entry in narrow if entry.rule is None)
        every = _grouped(narrow)
        return every if len(every) == len(needed) else needed

    def _is_narrow(self, entry: Field) -> bool:
        return entry.width <= (7 if self.size == 1 else _NARROW)


def _grouped(fields: Iterable[Field]) -> list[tuple[Field, ...]]:
    groups: list[tuple[Field, ...]] = []
    width = _SHARED
    for entry in fields:
        width += entry.width
        if width > _SHARED:
            groups.append(())
            width = entry.width
        groups[-1] += (entry,)
    return groups


def runs(cls: type[Bits]) -> list[Run]:
    """The word cut at the fields that fill integers; not cut where no code of struct's has a part."""
    cut: list[Run] = []
    for entry in cls.declaration.fields:
        alone = Run(entry.bit_offset, entry.size, (entry,))
        if entry.bit_offset % 8 == 0 and (not cut or alone.is_integer or cut[-1].is_integer):
            cut.append(alone)
        else:
            fields = (*cut[-1].fields, entry)
            width = sum(field.width for field in fields)
            cut[-1] = Run(cut[-1].low, width // 8, fields)
    if all(8 * run.size in CODES or run.is_table for run in cut):
        return cut
    return [Run(0, cls.size, cls.declaration.fields)]


def is_listed(entry: Field) -> bool:
    """Whether a field that is not shared is written by a table of its own."""
    return entry.width <= _LISTED


@functools.cache
def codes(group: tuple[Field, ...], low: int, size: int = 0) -> dict[bytes, Any]:
    """The bits from bit `low` for each combination of the fields' values, of which a key has a byte
    each: an integer, or `size` bytes.

    A tuple of the values would take 1.0 for 1, because they are equal; struct packs integers only.
    """
    values = [range(1 << entry.width) for entry in group]
    bits = [
        [value << entry.bit_offset - low for value in range(1 << entry.width)] for entry in group
    ]
    keys = map(bytes, itertools.product(*values))
    found: dict[bytes, Any] = dict(zip(keys, map(sum, itertools.product(*bits)), strict=True))
    return {key: bits.to_bytes(size, "little") for key, bits in found.items()} if size else found


@functools.cache
def packer(count: int) -> Callable[..., bytes]:
    """What makes a key of `codes` from the values of `count` fields."""
    return struct.Struct(f"{count}B").pack


@functools.cache
def places(width: int, low: int) -> list[int | None]:
    """`value << low` for every value of `width` bits, then as many that no integer can be joined to.

    Values of one bit too many land in that half, all others outside the list. Negative ones land
    anywhere, as indices do in Python: they are checked apart.
    """
    return [*range(0, 1 << width + low, 1 << low), *[None] * (1 << width)]
