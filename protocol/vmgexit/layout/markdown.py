"""Layouts as GitHub-flavoured Markdown, the format of specifications in review and of `specs/layouts`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..schema import Structure
from .table import GENERATED, Codes, Row, Table, sheet

# Everything that Markdown or HTML could take for markup inside a line. An underscore within a word
# is none, and names read better as they are.
_MARKUP = re.compile(r"[\\`*\[\]|~]|(?<![^\W_])_|_(?![^\W_])")


def render(cls: type[Structure]) -> str:
    """The layout of `cls`, with those of the structures in it, as one page."""
    lines = [f"<!-- {GENERATED} -->", ""]
    for index, table in enumerate(sheet(cls).tables):
        lines += [f"{'##' if index else '#'} {table.label}", "", escape(table.title), ""]
        lines += [f"- {name}: {_fact(name, text)}" for name, text in table.facts[1:]]
        lines += ["", *_table(table), ""]
        for codes in table.codes:
            lines += [*_codes(codes), ""]
    return "\n".join(lines)


def escape(text: str) -> str:
    """`text` so that Markdown shows it as it is, in one line."""
    text = " ".join(text.split())
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKUP.sub(lambda found: f"\\{found[0]}", text)


def anchor(heading: str) -> str:
    """The fragment that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _fact(name: str, text: str) -> str:
    if name != "Stands at":
        return escape(text)
    return ", ".join(f"`{place}`" for place in text.split(", "))


def _table(table: Table) -> Iterator[str]:
    yield f"| {' | '.join(table.columns)} |"
    yield f"| {' | '.join('---' for _ in table.columns)} |"
    for row in table.rows:
        yield f"| {' | '.join(_cells(table, row))} |"


def _cells(table: Table, row: Row) -> list[str]:
    cells = [escape(cell) for cell in table.cells(row)]
    name = table.columns.index("Name")
    shown = f"*{cells[name]}*" if row.is_reserved else f"**{cells[name]}**"
    cells[name] = f"{shown}<br>`{row.attribute}`"
    if row.nested:
        cells[-1] += f" See [{escape(row.nested)}](#{anchor(row.nested)})."
    return cells


def _codes(codes: Codes) -> Iterator[str]:
    yield f"{escape(codes.title)}, the codes of `{codes.of.replace(', ', '`, `')}`:"
    yield ""
    yield "| Value | Name |"
    yield "| --- | --- |"
    yield from (f"| {value} | {escape(name)} |" for value, name in codes.codes)
