"""Layouts as one JSON document, as `layout.schema.json` beside this file describes it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...schema import Field, Kind, Structure, meaning_of
from ..document import Grid, Section, text_of
from ..naming import label
from ..parts import enums_of, with_parts
from ..references import Reference
from ..subjects import Subject, classes
from ..table import GENERATED

SCHEMA = Path(__file__).with_name("layout.schema.json")
"""The JSON schema of what `render` gives."""


def render(subjects: Sequence[Subject]) -> str:
    """`subjects`, the structures inside of them first, each once, and the codes of their fields."""
    structures = with_parts(classes(subjects))
    codes = enums_of(structures)
    made = {
        "comment": GENERATED,
        "structures": [_structure(cls) for cls in structures],
        "codes": {
            enum.__name__: [
                {"value": int(code), "name": code.name, "meaning": meaning_of(code)}
                for code in enum
            ]
            for enum in codes
        },
        "references": [_reference(one) for one in subjects if isinstance(one, Reference)],
    }
    return json.dumps(made, indent=1) + "\n"


def _structure(cls: type[Structure]) -> dict[str, Any]:
    declaration = cls.declaration
    return {
        "name": declaration.name,
        "revision": declaration.revision,
        "title": declaration.title,
        "size": cls.size,
        "any_length": declaration.any_length,
        "is_word": declaration.is_bits,
        "clause": declaration.clause,
        "source": declaration.source,
        "fields": [_field(field) for field in declaration.fields],
    }


def _field(field: Field) -> dict[str, Any]:
    """What is told of a field; what it does not have is left out."""
    value = field.value.hex() if isinstance(field.value, bytes) else field.value
    listing = field.listing
    told = {
        "name": field.name,
        "spec": field.spec,
        "bit_offset": field.bit_offset,
        "width": None if field.is_rest else field.width,
        "kind": field.kind.name.lower(),
        "meaning": field.meaning,
        "of": None if field.of is None else label(field.of),
        "count": field.count if field.kind is Kind.ARRAY and listing is None else None,
        "counted_by": None if listing is None else listing.said_by or None,
        "first": field.first if field.kind is Kind.BITMAP else None,
        "codes": None if field.enum is None else field.enum.__name__,
        "value": None if value is None else value if isinstance(value, str) else int(value),
        "reserved": None if field.rule is None else field.rule.value,
        "access": field.access or None,
        "reset": "undefined" if field.reset is None else int(field.reset),
        "clause": field.clause or None,
    }
    return {key: held for key, held in told.items() if held is not None}


def _reference(one: Reference) -> dict[str, Any]:
    sections = [_section(section) for section in one.document.sections]
    return {"name": one.name, "title": one.title, "sections": sections}


def _section(section: Section) -> dict[str, Any]:
    return {
        "label": section.label,
        "title": section.title,
        "facts": {name: text_of(said) for name, said in section.facts},
        "tables": [_grid(grid) for grid in section.grids],
    }


def _grid(grid: Grid) -> dict[str, Any]:
    rows = [dict(zip(grid.columns, map(text_of, row), strict=True)) for row in grid.rows]
    return {"caption": grid.caption, "columns": list(grid.columns), "rows": rows}
