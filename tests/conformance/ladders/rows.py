"""What a ladder is: a structure's layout, written by hand from its source."""

from typing import NamedTuple

# (field, offset, size), in bytes, or (field, "hi:lo"), the bits of one little-endian word. A path
# may lead into a structure: ("vmpl2.irr", 0x84, 28).
Row = tuple[str, int, int] | tuple[str, str]


class Ladder(NamedTuple):
    source: str
    size: int
    rows: list[Row]
