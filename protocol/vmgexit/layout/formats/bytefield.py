"""Layouts as input of bytefield-svg: rows of 32 bits, highest bit left, offsets beside them.

The input is a program in bytefield-svg's language. Text of ours stands in its strings alone, which go
into the drawing as they are: so they are escaped for XML, and then for the string.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape

from ..document import printable
from ..lanes import LANE, Lane, lanes
from ..subjects import Subject, classes
from ..table import GENERATED, sheet


def render(subjects: Sequence[Subject]) -> str:
    """The picture of the one structure in `subjects`, without what is nested in it."""
    [cls] = classes(subjects)
    table = sheet(cls).tables[0]
    bits = min(LANE, 8 * cls.size) if table.is_bits else LANE
    numbers = " ".join(f'"{bit}"' for bit in reversed(range(bits)))
    lines = [
        f";; {GENERATED}",
        f"(def boxes-per-row {bits})",
        "(def left-margin 60)",
        "(def row-header-fn nil)",
        '(defattrs :plain {:font-size 12 :font-family "sans-serif"})',
        '(defattrs :reserved {:fill "#eeeeee"})',
        f"(draw-column-headers {{:labels [{numbers}]}})",
    ]
    for at, lane in enumerate(lanes(table)):
        lines += ["(next-row)"] * bool(at) + list(_lane(lane, bits))
    return "\n".join([*lines, ""])


def _string(text: str) -> str:
    escaped = escape(printable(text)).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _lane(lane: Lane, bits: int) -> Iterator[str]:
    """One row; lanes of one field are a single row that says how many bytes it stands for."""
    if lane.label:
        yield f"(draw-row-header {_string(lane.label)})"
    several = lane.height > 1
    missing = 0 if several else bits - sum(box.width for box in lane.boxes)
    if missing:
        yield f"(draw-box nil {{:span {missing} :borders #{{}}}})"
    for box in reversed(lane.boxes):
        name = f"{box.row.name}, {box.row.bytes}" if several else box.names()[0]
        style = f"[{{:span {bits if several else box.width}}}{' :reserved' * box.row.is_reserved}]"
        yield f"(draw-box {_string(name)} {style})"
