"""Layouts as reStructuredText with grid tables, as in the kernel's Documentation/virt."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import zip_longest

from ..document import Cell, Grid, Mark, Section, Style, marked, printable
from ..grids import fitted
from ..subjects import Subject, document
from ..table import GENERATED

_WIDTH = 100
_BESIDE = 3  # what stands between two cells
_ANCHOR = "layout-"  # begins the target of a section

# Inline markup, references, and what docutils takes for an address.
_MARKUP = re.compile(r"[\\`*|@]|:(?=//)|(?<=[a-z]):(?=[^\s/])|_(?![^\W_])|(?<![^\W_])_|\[|\]|<|>")

# What may stand between double backticks.
_CODE = re.compile(r"[^`\\\s](?:[^`\\]*[^`\\\s])?")

# The first letter of a line may begin a list, a directive, an option or an underline.
_FIRST = re.compile(r"^(?=[^\w\s\\])|^(?=\w{1,5}[.)])")


def render(subjects: Sequence[Subject]) -> str:
    """One document of all `subjects`."""
    lines = [f".. {GENERATED}", ""]
    for one in subjects:
        for index, section in enumerate(document(one).sections):
            lines += _section(section, "-" if index else "=")
    return "\n".join(lines)


def escape(text: str) -> str:
    """`text` so that reStructuredText shows it as it is, within a line."""
    return _MARKUP.sub(lambda found: f"\\{found[0]}", printable(text))


def _begun(line: str) -> str:
    """A line so that its beginning is text."""
    return _FIRST.sub(lambda _: "\\\\"[:1], line)


def _section(section: Section, underline: str) -> Iterator[str]:
    heading = _begun(escape(section.label))
    yield from (f".. _{_anchor(section.label)}:", "", heading, underline * max(len(heading), 4), "")
    yield from (_begun(escape(section.title)), "")
    for name, said in section.facts:
        yield f"- {name}: {_cell(said)}"
    yield ""
    for grid in section.grids:
        yield from _grid(grid)
        yield ""


def _grid(grid: Grid) -> Iterator[str]:
    yield f".. table:: {_begun(escape(grid.caption))}"
    yield ""
    cells = [[[_cell(cell)] for cell in row] for row in grid.rows]
    widths, rows = fitted(grid.columns, cells, _WIDTH - 4, _BESIDE)
    # The escape of a line's first letter may take one more column.
    widths = [width + 1 for width in widths]
    rule = f"   +{'+'.join('-' * (width + 2) for width in widths)}+"
    yield rule
    yield _line(grid.columns, widths)
    yield rule.replace("-", "=")
    for row in rows:
        for parts in zip_longest(*row, fillvalue=""):
            yield _line([_begun(part) if _is_text(part) else part for part in parts], widths)
        yield rule


def _is_text(line: str) -> bool:
    """Whether a line begins with text, not with our own markup, nor with the target of a reference."""
    return not line.startswith(("**", "``", "*", "`", ":ref:`", f"<{_ANCHOR}"))


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (f" {cell:{width}} " for cell, width in zip(cells, widths, strict=True))
    return f"   |{'|'.join(padded)}|"


def _cell(cell: Cell) -> str:
    return marked(cell, escape, _MARKS)


_MARKS: dict[Style, Mark] = {
    Style.NAME: lambda text: f"**{escape(text)}**",
    Style.RESERVED: lambda text: f"*{escape(text)}*",
    Style.CODE: lambda text: f"``{printable(text)}``" if _CODE.fullmatch(printable(text)) else None,
    Style.LINK: lambda text: f":ref:`{escape(text)} <{_anchor(text)}>`",
}


def _anchor(label: str) -> str:
    return _ANCHOR + re.sub(r"\W+", "-", label.lower()).strip("-")
