"""What `help(DoorbellPage)` says: the docstring of a structure with a line for each of its fields.

The text is made when it is asked for: to make all of them takes longer than to declare the structures.
"""

from __future__ import annotations

import inspect
import textwrap

from .structure import Declaration, Field, Kind, Structure

_WIDTH = 100


class Documentation:
    """The `__doc__` of a structure, whose own docstring is `text`."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __get__(self, value: Structure | None, owner: type[Structure]) -> str:
        return documented(self.text, owner.declaration)


def documented(text: str, declaration: Declaration) -> str:
    """`text`, the docstring of the declaration's class, then place, name, type and meaning of fields."""
    rows = [
        (_place(field, declaration.is_bits), field.name, _type(field), _meaning(field))
        for field in declaration.fields
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    indent = " " * (sum(widths) + 10)
    least = "Any length from " * declaration.any_length
    lines = [inspect.cleandoc(text), "", f"{least}{declaration.size} bytes. Fields:", ""]
    for *cells, meaning in rows:
        before = "".join(f"{cell:{width}}  " for cell, width in zip(cells, widths, strict=True))
        lines += textwrap.wrap(f"    {before}{meaning}", _WIDTH, subsequent_indent=indent)
    return "\n".join(lines)


def _place(field: Field, in_bits: bool) -> str:
    if in_bits:
        return f"bits {field.bits}" if field.width > 1 else f"bit {field.bits}"
    return "then" if field.is_rest else f"0x{field.byte_offset:03x}"


def _type(field: Field) -> str:
    match field.kind:
        case Kind.FLAG:
            return "bool"
        case Kind.BYTES:
            return "bytes, any" if field.is_rest else f"bytes, {field.size}"
        case Kind.STRUCT:
            assert field.of is not None
            return field.of.__name__
        case Kind.ARRAY:
            assert field.of is not None
            count = "any" if field.listing else f"{field.count}"
            return f"list of {count} {field.of.__name__}"
        case _:
            return f"{field.enum.__name__ if field.enum else 'int'}, {field.width} bits"


def _meaning(field: Field) -> str:
    more = (
        field.rule.value
        if field.rule
        else f"always {field.shown_value}" * (field.value is not None)
    )
    return f"{field.meaning}; {more}" if more else field.meaning
