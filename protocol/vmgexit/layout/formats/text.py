"""Layouts as plain ASCII text, for a terminal, a mail or a draft: no line above 100 columns.

Only where a name alone is wider than that does a line grow with it.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from itertools import zip_longest

from ..document import Cell, Grid, Section, Style, printable, text_of
from ..grids import fitted
from ..subjects import Subject, document
from ..table import GENERATED

WIDTH = 100
_GAP = "  "


def render(subjects: Sequence[Subject]) -> str:
    """All of `subjects`, one after the other."""
    lines = [
        line
        for one in subjects
        for section in document(one, full=True).sections
        for line in _section(section)
    ]
    return "\n".join([*lines, GENERATED, ""])


def _section(section: Section) -> Iterator[str]:
    heading = printable(section.label)
    yield heading
    yield "=" * len(heading)
    yield ""
    yield from textwrap.wrap(printable(section.title), WIDTH)
    yield ""
    widest = max((len(name) for name, _ in section.facts), default=0)
    for name, said in section.facts:
        indent = " " * (widest + len(_GAP))
        text = printable(text_of(said))
        wrapped = textwrap.wrap(text, WIDTH - len(indent), break_on_hyphens=False) or [""]
        yield f"{name:{widest}}{_GAP}{wrapped[0]}"
        yield from (indent + line for line in wrapped[1:])
    if section.facts:
        yield ""
    for index, grid in enumerate(section.grids):
        if index:
            yield f"{printable(grid.caption)}:"
            yield ""
        yield from _grid(grid)
        yield ""
    yield ""


def _grid(grid: Grid) -> Iterator[str]:
    cells = [[_lines(cell) for cell in row] for row in grid.rows]
    widths, rows = fitted(grid.columns, cells, WIDTH, len(_GAP))
    yield _line(grid.columns, widths)
    yield _line(["-" * width for width in widths], widths)
    for row in rows:
        yield from (_line(parts, widths) for parts in zip_longest(*row, fillvalue=""))


def _lines(cell: Cell) -> list[str]:
    """A name, and below it what a program calls it; anything else is one line."""
    if len(cell) == 3 and (cell[0].style, cell[2].style) in _NAMES:
        return [printable(cell[0].text), f"  {printable(cell[2].text)}"]
    return [printable(text_of(cell))]


_NAMES = {(Style.NAME, Style.CODE), (Style.RESERVED, Style.CODE)}


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return _GAP.join(f"{cell:{width}}" for cell, width in zip(cells, widths, strict=True)).rstrip()
