"""The document of a structure: its tables in the columns that specifications have.

Published SVSM drafts write `Offset | Size (Bytes) | Description` and `Bit(s) | Name | Description`.
`FULL` has a column for each fact instead, as a terminal shows it.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..schema import Structure
from .document import Cell, Document, Grid, Section, Span, Style, listed, plain
from .table import Codes, Row, Table, sheet


def document_of(cls: type[Structure], *, full: bool = False) -> Document:
    """The layout of `cls`, with those of the structures in it."""
    drawn = sheet(cls)
    sections = tuple(_section(table, full=full) for table in drawn.tables)
    return Document(sections[0].label, sections)


def _section(table: Table, *, full: bool) -> Section:
    facts = tuple((name, _fact(name, text)) for name, text in table.facts[1:])
    grids = (_grid(table, full=full), *(_codes(codes) for codes in table.codes))
    return Section(table.label, table.title, facts, grids)


def _fact(name: str, text: str) -> Cell:
    if name == "Stands at":
        return listed(text.split(", "), Style.CODE)
    return plain(text)


def _grid(table: Table, *, full: bool) -> Grid:
    what = "Bits" if table.is_bits else "Layout"
    caption = f"{what} of {table.label}"
    if full:
        rows = tuple(tuple(_full(table, row)) for row in table.rows)
        return Grid(caption, table.columns, rows)
    if table.is_bits:
        columns: tuple[str, ...] = ("Bit(s)", "Name", "Description")
        rows = tuple((plain(row.bits), _name(row), _told(table, row)) for row in table.rows)
    else:
        columns = ("Offset", "Size (Bytes)", "Description")
        rows = tuple(
            (plain(row.offset), plain(row.extent), (*_name(row), Span(": "), *_told(table, row)))
            for row in table.rows
        )
    return Grid(caption, columns, rows)


def _full(table: Table, row: Row) -> Iterator[Cell]:
    for title, cell in zip(table.columns, table.cells(row), strict=True):
        if title == "Name":
            yield _name(row)
        elif title == "Description":
            yield (Span(cell), *_see(row))
        else:
            yield plain(cell)


def _name(row: Row) -> Cell:
    """As the specification spells it, and as a program does."""
    style = Style.RESERVED if row.is_reserved else Style.NAME
    return (Span(row.name, style), Span(" "), Span(row.attribute, Style.CODE))


def _told(table: Table, row: Row) -> Cell:
    """The description, with whatever has no column of its own."""
    said = row.description
    if table.is_bits:
        if row.field.access:
            said += f" {row.access[:1].upper()}{row.access[1:]}."
        if row.field.reset != 0:
            said += f" After reset: {row.reset}."
    return (Span(said), *_see(row))


def _see(row: Row) -> Cell:
    return (Span(" See "), Span(row.nested, Style.LINK), Span(".")) if row.nested else ()


def _codes(codes: Codes) -> Grid:
    caption = f"{codes.title}, the codes of {codes.of}"
    rows = tuple(
        (plain(value), plain(name, Style.NAME), plain(meaning))
        for value, name, meaning in codes.codes
    )
    if any(meaning for _, _, meaning in codes.codes):
        return Grid(caption, ("Value", "Name", "Meaning"), rows)
    return Grid(caption, ("Value", "Name"), tuple(row[:2] for row in rows))
