"""Judging values: which rules they break, and why one does not encode.

Reading never judges. `problems_of` lists broken rules with their paths; `check_ranges` is the slow,
exact pass that names the field after the fast encoder has refused a value.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from ..errors import DecodeError, EncodeError
from .fields import Field, Kind, Rule
from .structure import Problem, Structure


def children(field: Field, value: Any) -> Iterator[tuple[str, Structure]]:
    """The structures inside a field, each with the path that leads to it."""
    if field.kind is Kind.STRUCT:
        yield field.name, value
    elif field.kind is Kind.ARRAY:
        for index, item in enumerate(value):
            yield f"{field.name}[{index}]", item


def problems_of(value: Structure) -> Iterator[Problem]:
    """Every rule that `value` or a structure inside it breaks, in the order of the bytes."""
    clause = value.declaration.clause
    for field in value.declaration.fields:
        held = getattr(value, field.name)
        cited = field.clause or clause
        if field.rule is Rule.ZERO and held not in (0, field.default):
            yield Problem(field.name, held, "reserved, must be zero", cited)
        elif field.enum is not None and held not in field.enum._value2member_map_:
            yield Problem(field.name, held, f"not a known {field.enum.__name__}", cited)
        for path, child in children(field, held):
            for problem in child.problems():
                yield replace(problem, path=f"{path}.{problem.path}")
    yield from value.broken()


def raise_first(value: Structure) -> None:
    """Raise DecodeError on the first broken rule, if there is one."""
    for problem in value.problems():
        raise DecodeError(f"{value.declaration.name}: {problem}", path=problem.path)


def check_ranges(value: Structure, path: str = "") -> None:
    """Raise EncodeError on the first field whose value it cannot hold."""
    for field in value.declaration.fields:
        where = f"{path}{field.name}"
        held = getattr(value, field.name, None)
        complaint = complaint_of(field, held)
        if complaint:
            raise EncodeError(f"{where}: {complaint}", path=where) from None
        for name, child in children(field, held):
            check_ranges(child, f"{path}{name}.")


def complaint_of(field: Field, value: Any) -> str:
    """Why `field` cannot hold `value`; "" where it can. Does not look into structures."""
    match field.kind:
        case Kind.UINT | Kind.FLAG | Kind.BITMAP:
            if not isinstance(value, int):
                return f"{value!r} is not an integer"
            if not 0 <= value < 1 << field.width:
                return f"{_number(value)} does not fit {field.width} bit{'s' * (field.width > 1)}"
        case Kind.BYTES:
            if not isinstance(value, bytes | bytearray):
                return f"{value!r} is not bytes"
            if len(value) != field.size:
                return f"{len(value)} bytes found, {field.size} expected"
        case Kind.STRUCT:
            if not _is_a(value, field):
                return f"{value!r} is not {_article(field)}"
        case Kind.ARRAY:
            if isinstance(value, str | bytes) or not isinstance(value, Sequence):
                return f"{value!r} is not a list"
            if len(value) != field.count:
                return f"{len(value)} elements found, {field.count} expected"
            for index, item in enumerate(value):
                if not _is_a(item, field):
                    return f"element {index}, {item!r}, is not {_article(field)}"
    return ""


def _number(value: int) -> str:
    """In decimal, but for what Python refuses to print, or nobody wants to read."""
    bits = value.bit_length()
    return f"{int(value)}" if bits <= 512 else f"a number of {bits} bits"


def _is_a(value: Any, field: Field) -> bool:
    assert field.of is not None
    return isinstance(value, field.of)


def _article(field: Field) -> str:
    assert field.of is not None
    article = "an" if field.of.__name__[0] in "AEIOU" else "a"
    return f"{article} {field.of.__name__}"
