"""Layouts as CSV: every field of a structure by its path, or every row of a reference."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence

from ...schema import leaves
from ..document import printable, text_of
from ..references import Reference
from ..subjects import Subject, name_of
from ..table import number

FIELDS = (
    "Structure", "Field", "Offset", "Bit", "Width", "Kind", "Name", "Access", "Reset", "Rule", "Value",
    "Codes", "Clause", "Description",
)  # fmt: skip
"""Columns of a structure. Offset in bytes; Bit, from the lowest bit of that byte on, and Width in bits."""

# A spreadsheet takes what begins with one of these for a formula.
_FORMULA = ("=", "+", "-", "@")


def render(subjects: Sequence[Subject]) -> str:
    """The tables of `subjects`; each begins with its columns, an empty line stands between two."""
    return "\n".join(map(_table, subjects))


def _table(one: Subject) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row in _reference(one) if isinstance(one, Reference) else _structure(one):
        writer.writerow([_cell(cell) for cell in row])
    return text.getvalue()


def _cell(text: str) -> str:
    text = printable(text)
    return f"'{text}" if text.startswith(_FORMULA) and text != "-" else text


def _structure(cls: Subject) -> Iterator[Sequence[str]]:
    assert not isinstance(cls, Reference)
    yield FIELDS
    for place in leaves(cls):
        field = place.field
        yield (
            name_of(cls),
            place.path,
            f"{place.bit_offset // 8:#x}",
            f"{place.bit_offset % 8}",
            "any" if field.is_rest else f"{field.width}",
            field.kind.value,
            field.spec,
            field.access,
            "undefined" if field.reset is None else number(field.reset),
            field.rule.value if field.rule else "",
            "" if field.value is None else field.shown_value,
            "" if field.enum is None else field.enum.__name__,
            place.clause,
            field.meaning,
        )


def _reference(one: Reference) -> Iterator[Sequence[str]]:
    yield ("Section", "Table", *one.columns)
    for section in one.document.sections:
        for grid in section.grids:
            if grid.columns == one.columns:
                for row in grid.rows:
                    yield (section.label, grid.caption, *map(text_of, row))
