"""Layouts as AsciiDoc tables.

AsciiDoc has no escape that works everywhere, but a character reference is always a character: every
letter that could begin markup is written as one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ..document import Cell, Grid, Mark, Section, Style, marked, printable
from ..subjects import Subject, document
from ..table import GENERATED

# A dot, a dash or a colon alone is none; two dashes, three dots, a list or an address are.
_MARKUP = re.compile(
    r"[^\w\s.,;:/()=-]|(?<=-)-|(?<=\.)\.|(?<=:):|(?<=;);|:(?=/)|(?<![^\W_])_|_(?![^\W_])|^[.:;=/(-]"
    r"|\((?=[CR]\)|TM\))|==+|=(?=>)"
)


def render(subjects: Sequence[Subject]) -> str:
    """One document of all `subjects`."""
    lines = [f"// {GENERATED}", ""]
    for one in subjects:
        for index, section in enumerate(document(one).sections):
            lines += _section(section, "==" if not index else "===")
    return "\n".join(lines)


def escape(text: str) -> str:
    """`text` so that AsciiDoc shows it as it is, in one line."""
    return _MARKUP.sub(
        lambda found: "".join(f"&#{ord(each)};" for each in found[0]), printable(text)
    )


def _section(section: Section, level: str) -> Iterator[str]:
    yield from (f"[#{_anchor(section.label)}]", f"{level} {escape(section.label)}", "")
    yield from (escape(section.title), "")
    for name, said in section.facts:
        yield f"* {name}: {_cell(said)}"
    yield ""
    for grid in section.grids:
        yield from _grid(grid)
        yield ""


def _grid(grid: Grid) -> Iterator[str]:
    widths = ",".join(["1"] * (len(grid.columns) - 1) + ["4"])
    yield f".{escape(grid.caption)}"
    yield f'[cols="{widths}",options="header"]'
    yield "|==="
    yield " ".join(f"|{title}" for title in grid.columns)
    for row in grid.rows:
        yield ""
        # A cell stands in a line of its own, so that nothing before its bar is taken for its form.
        yield from (f"|{_cell(cell)}" for cell in row)
    yield "|==="


def _cell(cell: Cell) -> str:
    return marked(cell, escape, _MARKS)


_MARKS: dict[Style, Mark] = {
    Style.NAME: lambda text: f"**{escape(text)}**",
    Style.RESERVED: lambda text: f"__{escape(text)}__",
    Style.CODE: lambda text: f"``{escape(text)}``",
    Style.LINK: lambda text: f"<<{_anchor(text)},{escape(text)}>>",
}


def _anchor(label: str) -> str:
    return re.sub(r"[^\w-]", "-", label)
