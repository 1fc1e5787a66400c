"""Layouts as plain ASCII text, for a terminal, a mail or a draft: no line above 100 columns.

Only where a name alone is wider than that does a line grow with it.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from ..schema import Structure
from .table import GENERATED, Codes, Row, Table, sheet

WIDTH = 100
_GAP = "  "

# Columns whose cells may be wrapped, and the widest that each may get before it is.
_WRAPPED = {"Access": 22, "Direction": 22, "Description": WIDTH}
_NARROWEST = 30


def render(cls: type[Structure]) -> str:
    """The layout of `cls`, with those of the structures in it."""
    lines: list[str] = []
    for table in sheet(cls).tables:
        lines += [*_heading(table), "", *_table(table), ""]
        for codes in table.codes:
            lines += [*_codes(codes), ""]
        lines.append("")
    return "\n".join([*lines, GENERATED, ""])


def _heading(table: Table) -> Iterator[str]:
    yield table.label
    yield "=" * len(table.label)
    yield ""
    yield from textwrap.wrap(table.title, WIDTH)
    yield ""
    widest = max(len(name) for name, _ in table.facts)
    for name, text in table.facts[1:]:  # the first one, the name, is the heading
        indent = " " * (widest + len(_GAP))
        wrapped = textwrap.wrap(text, WIDTH - len(indent), break_on_hyphens=False)
        yield f"{name:{widest}}{_GAP}{wrapped[0]}"
        yield from (indent + line for line in wrapped[1:])


def _table(table: Table) -> Iterator[str]:
    columns = table.columns
    rows = [_cells(table, row) for row in table.rows]
    widths = [
        max(len(title), *(len(line) for row in rows for line in row[index]))
        for index, title in enumerate(columns)
    ]
    widths = [
        min(width, _WRAPPED.get(title, width)) for width, title in zip(widths, columns, strict=True)
    ]
    taken = sum(widths[:-1]) + len(_GAP) * (len(widths) - 1)
    widths[-1] = min(widths[-1], max(WIDTH - taken, _NARROWEST))
    yield _line(columns, widths)
    yield _line(["-" * width for width in widths], widths)
    for row in rows:
        wrapped = [
            textwrap.wrap(cell[0], width, break_on_hyphens=False)
            if title in _WRAPPED
            else list(cell)
            for cell, width, title in zip(row, widths, columns, strict=True)
        ]
        for index in range(max(map(len, wrapped))):
            yield _line([lines[index] if index < len(lines) else "" for lines in wrapped], widths)


def _cells(table: Table, row: Row) -> list[list[str]]:
    """The lines of each cell before wrapping; below a name stands the attribute."""
    cells = [[cell] for cell in table.cells(row)]
    cells[table.columns.index("Name")].append(f"  {row.attribute}")
    if row.nested:
        cells[-1][0] += f" See {row.nested}."
    return cells


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return _GAP.join(f"{cell:{width}}" for cell, width in zip(cells, widths, strict=True)).rstrip()


def _codes(codes: Codes) -> Iterator[str]:
    yield f"{codes.title} (codes of {codes.of}):"
    yield ""
    widest = max(len(value) for value, _ in codes.codes)
    yield from (f"  {value:>{widest}}{_GAP}{name}" for value, name in codes.codes)
