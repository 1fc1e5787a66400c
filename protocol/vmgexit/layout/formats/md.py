"""Layouts as GitHub-flavoured Markdown: the tables of published SVSM drafts, and of `specs/layouts`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ..document import Cell, Document, Grid, Mark, Section, Style, marked
from ..subjects import Subject, document
from ..table import GENERATED

# Everything that Markdown or HTML could take for markup inside a line. An underscore within a word
# is none, and names read better as they are.
_MARKUP = re.compile(r"[\\`*\[\]|~]|(?<![^\W_])_|_(?![^\W_])")

# What may stand between backticks, in a table too, without ending them.
_CODE = re.compile(r"[\w.@:/ \[\]-]+")


def render(subjects: Sequence[Subject]) -> str:
    """One page of all `subjects`."""
    lines = [f"<!-- {GENERATED} -->", ""]
    for one in subjects:
        lines += _document(document(one))
    return "\n".join(lines)


def escape(text: str) -> str:
    """`text` so that Markdown shows it as it is, in one line."""
    text = " ".join(text.split())
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKUP.sub(lambda found: f"\\{found[0]}", text)


def anchor(heading: str) -> str:
    """The fragment that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _document(shown: Document) -> Iterator[str]:
    for section in shown.sections:
        yield from _section(section, "#" if section is shown.sections[0] else "##")


def _section(section: Section, level: str) -> Iterator[str]:
    yield from (f"{level} {escape(section.label)}", "", escape(section.title), "")
    if section.facts:
        yield from (f"- {name}: {_cell(said)}" for name, said in section.facts)
        yield ""
    for index, grid in enumerate(section.grids):
        if index:
            yield from (f"{escape(grid.caption)}:", "")
        yield from _grid(grid)
        yield ""


def _grid(grid: Grid) -> Iterator[str]:
    yield f"| {' | '.join(grid.columns)} |"
    yield f"| {' | '.join('---' for _ in grid.columns)} |"
    for row in grid.rows:
        yield f"| {' | '.join(map(_cell, row))} |"


def _cell(cell: Cell) -> str:
    return marked(cell, escape, _MARKS)


_MARKS: dict[Style, Mark] = {
    Style.NAME: lambda text: f"**{escape(text)}**",
    Style.RESERVED: lambda text: f"*{escape(text)}*",
    Style.CODE: lambda text: f"`{text}`" if _CODE.fullmatch(text) else None,
    Style.LINK: lambda text: f"[{escape(text)}](#{anchor(text)})",
}
