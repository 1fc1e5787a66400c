"""Tables in plain text: how wide each column is, and where its cells are broken into lines."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

# How wide a column may get before its cells are wrapped; of the others, only the last is.
_WRAPPED = {"Access": 22, "Direction": 22, "First version": 24, "When": 24}
_NARROWEST = 30


def fitted(
    columns: Sequence[str], rows: Sequence[Sequence[list[str]]], width: int, gap: int
) -> tuple[list[int], list[list[list[str]]]]:
    """The width of each column, and of each row the lines of each cell.

    A cell comes as lines, which are wrapped where its column is. All columns with `gap` between them
    take `width`, if the last one can be made that narrow; no word is ever broken.
    """
    last = len(columns) - 1
    limits = [_WRAPPED.get(title, 0) for title in columns]
    wanted = [
        max(len(title), *(len(line) for row in rows for line in row[index]), 1)
        for index, title in enumerate(columns)
    ]
    widths = [
        min(want, limit) if limit else want for want, limit in zip(wanted, limits, strict=True)
    ]
    free = width - sum(widths[:-1]) - gap * last
    widths[last] = limits[last] = min(widths[last], max(free, _NARROWEST))
    made = [
        [
            [part for line in cell for part in _lines(line, limit)] if limit else list(cell)
            for cell, limit in zip(row, limits, strict=True)
        ]
        for row in rows
    ]
    for index in range(len(columns)):
        widths[index] = max(widths[index], *(len(line) for row in made for line in row[index]), 1)
    return widths, made


def _lines(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
