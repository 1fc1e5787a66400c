"""What a document says, before any markup: sections with facts and tables, in cells of marked spans.

Markdown, Word, AsciiDoc and their like are walks over a `Document`. No format needs to know whether
it shows a structure, a call or a list of exits, and none sees markup that is not its own: a span is
plain text with one of five styles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple


class Style(Enum):
    """What a span is. How that looks is the format's choice."""

    PLAIN = "plain"
    NAME = "name"  # of a field, a call, an exit
    RESERVED = "reserved"
    CODE = "code"  # as in a program: an attribute, a path
    LINK = "link"  # the label of a section of the same document


class Span(NamedTuple):
    """A piece of text in one style."""

    text: str
    style: Style = Style.PLAIN


Cell = tuple[Span, ...]
"""What stands in one cell, or is said of one fact."""


@dataclass(frozen=True, slots=True)
class Grid:
    """A table. All rows have as many cells as there are `columns`."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with what stands below it."""

    label: str  # the heading; links lead to it
    title: str  # one sentence
    facts: tuple[tuple[str, Cell], ...]  # size, clause, source, ...
    grids: tuple[Grid, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """Sections under one label; the first is what the document is about."""

    label: str
    sections: tuple[Section, ...]


def plain(text: str, style: Style = Style.PLAIN) -> Cell:
    """A cell of one span; nothing in it where `text` is empty."""
    return (Span(text, style),) if text else ()


def text_of(cell: Cell) -> str:
    """A cell without its styles."""
    return "".join(span.text for span in cell)


def listed(names: Iterator[str] | list[str] | tuple[str, ...], style: Style) -> Cell:
    """Names with commas between them."""
    spans: list[Span] = []
    for name in names:
        spans += [Span(", ")] * bool(spans) + [Span(name, style)]
    return tuple(spans)


Mark = Callable[[str], "str | None"]
"""What a span becomes, from its text; None where the format cannot mark it."""


def marked(cell: Cell, escape: Callable[[str], str], marks: Mapping[Style, Mark]) -> str:
    """A cell in a format's markup. A span that has no mark is its text, escaped."""
    return "".join(
        (span.style in marks and marks[span.style](span.text)) or spaced(span.text, escape)
        for span in cell
    )


def spaced(text: str, escape: Callable[[str], str]) -> str:
    """`text` escaped, and apart from what stands beside it if it was."""
    before, after = " " * text[:1].isspace(), " " * text[-1:].isspace()
    return f"{before}{escape(text)}{after}" if text.strip() else before


def printable(text: str) -> str:
    """`text` in one line; what cannot be printed, or turns the direction of reading, is `?`."""
    text = " ".join(text.split())
    return "".join(letter if letter.isprintable() else "?" for letter in text)
