"""Where the fields of a structure fall in lanes of 32 bits: the geometry of every drawing.

A lane is four bytes of memory, or half of a 64-bit register, most significant bit left. A field
that crosses the end of a lane is cut into boxes. In memory, whole lanes of one field become one
block: two lanes are drawn as two, and more than two are collapsed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..counting import count_of
from ..schema import Kind
from .table import Row, Table, hexadecimal

LANE = 32
"""Bits of a lane, where a drawing does not say another number."""


@dataclass(frozen=True, slots=True)
class Box:
    """The part of a row that is drawn in one piece. Bits are counted from the table's structure."""

    row: Row
    start: int
    width: int
    lane: int = LANE  # bits of the lane that it stands in

    @property
    def high(self) -> int:
        """Its most significant bit within the lane."""
        return min(self.start % self.lane + self.width, self.lane) - 1

    @property
    def low(self) -> int:
        """Its least significant bit within the lane."""
        return self.start % self.lane

    @property
    def is_whole(self) -> bool:
        return self.width == self.row.width

    def names(self) -> list[str]:
        """What may be written into it, the longest first; the last one always fits."""
        if self.row.is_reserved:
            return ["Reserved", "R"]
        if self.is_whole or self.row.field.kind is not Kind.UINT:
            return [self.row.name]
        first = self.start - self.row.start
        return [f"{self.row.name}[{first + self.width - 1}:{first}]"]

    def remarks(self, table: Table) -> list[str]:
        """What may stand below the name, the longest first."""
        row = self.row
        if row.field.is_rest:
            return [f"{row.attribute}, any number of bytes"]
        what = row.field.rule.value if row.field.rule else row.nested or row.attribute
        if table.is_bits or self.width <= self.lane:
            return [what]
        first, last = self.start // 8, (self.start + self.width) // 8 - 1
        where = f"{hexadecimal(first)} to {hexadecimal(last)}"
        return [f"{what}, {count_of(self.width // 8, 'byte')}, {where}", where]


@dataclass(frozen=True, slots=True)
class Lane:
    """Boxes side by side, least significant first; `height` lanes of one field have a single box."""

    offset: int  # bytes, from the table's structure
    boxes: tuple[Box, ...]
    height: int = 1

    @property
    def label(self) -> str:
        """The offset, as it stands beside the lane; what follows a list has none."""
        row = self.boxes[0].row
        return row.offset if row.field.is_rest else hexadecimal(self.offset)


def lanes(table: Table, bits: int = LANE) -> Iterator[Lane]:
    """The lanes of a structure, ascending, of so many bits each."""
    boxes: list[Box] = []
    for row in sorted(table.rows, key=lambda row: row.start):
        if row.field.is_rest:
            if boxes:
                yield _lane(boxes)
            boxes = [Box(row, -(-row.start // bits) * bits, bits, bits)]
            continue
        at, end = row.start, row.start + row.width
        while at < end:
            whole = 0 if at % bits or table.is_bits else (end - at) // bits
            if whole > 1:
                yield Lane(at // 8, (Box(row, at, whole * bits, bits),), whole)
                at += whole * bits
                continue
            width = min(bits - at % bits, end - at)
            boxes.append(Box(row, at, width, bits))
            at += width
            if at % bits == 0:
                yield _lane(boxes)
                boxes = []
    if boxes:
        yield _lane(boxes)


def _lane(boxes: list[Box]) -> Lane:
    bits = boxes[0].lane
    return Lane(boxes[0].start // bits * (bits // 8), tuple(boxes))
