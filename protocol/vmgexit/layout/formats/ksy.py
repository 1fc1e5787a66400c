"""Layouts as Kaitai Struct specifications: one parser for each structure, its parts as types of it.

A word is a type of its own whose fields are bit-sized integers, lowest bit first, as Kaitai has had
them since 0.9. A string of ours is a JSON string, which YAML reads as it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from enum import IntEnum
from keyword import iskeyword

from ...schema import Field, Kind, Structure, meaning_of
from ..document import printable
from ..naming import label
from ..parts import Names, enums_of, snake, with_parts
from ..subjects import Subject, classes
from ..table import GENERATED
from .c import KEYWORDS


def render(subjects: Sequence[Subject]) -> str:
    """The specification of the one structure in `subjects`."""
    [cls] = classes(subjects)
    every = with_parts([cls])
    lines = [
        f"# {GENERATED}",
        "meta:",
        f"  id: {identifier(label(cls))}",
        f"  title: {_text(label(cls))}",
        '  ks-version: "0.9"',
        "  endian: le",
        "  bit-endian: le",
        *_body(cls, ""),
    ]
    if every[:-1]:
        lines.append("types:")
        for part in every[:-1]:
            lines += [f"  {identifier(label(part))}:", *_body(part, "    ")]
    if codes := enums_of(every):
        lines.append("enums:")
        for each in codes:
            lines += _codes(each)
    return "\n".join([*lines, ""])


def identifier(name: str) -> str:
    """`name` as Kaitai has identifiers: a small letter first, and no word of the languages it writes."""
    made = snake(name)
    if made in KEYWORDS or iskeyword(made):
        return f"{made}_"
    return f"x{made}" if made.startswith("_") else made


def _text(text: str) -> str:
    """A string without what Kaitai's and YAML's tools could take for anything else."""
    return json.dumps(printable(text))


def _body(cls: type[Structure], indent: str) -> Iterator[str]:
    declaration = cls.declaration
    yield f"{indent}doc: {_text(declaration.title)}"
    if declaration.source:
        yield f"{indent}doc-ref: {_text(declaration.source)}"
    yield f"{indent}seq:"
    names = Names()
    for field in declaration.fields:
        yield f"{indent}  - id: {names.give(identifier(field.name), field.name)}"
        for key, value in _told(field, in_word=declaration.is_bits):
            yield f"{indent}    {key}: {value}"


def _told(field: Field, *, in_word: bool) -> Iterator[tuple[str, str]]:
    if field.of is not None:
        yield "type", identifier(label(field.of))
    elif in_word:
        yield "type", f"b{field.width}"
    elif field.kind is Kind.UINT:
        yield "type", f"u{field.size}"
    elif field.is_rest:
        yield "size-eos", "true"
    else:
        yield "size", str(field.size)
    if field.listing is not None:
        yield from _repeated(field)
    elif field.kind is Kind.ARRAY:
        yield from (("repeat", "expr"), ("repeat-expr", str(field.count)))
    if field.enum is not None and field.width > 1:
        yield "enum", identifier(field.enum.__name__)
    yield "doc", _text(field.meaning)


def _repeated(field: Field) -> Iterator[tuple[str, str]]:
    """How many there are. A list that one of its elements ends is read to the end of the bytes."""
    assert field.listing is not None
    if not field.listing.said_by:
        yield "repeat", "eos"
        return
    said = ".".join(map(identifier, field.listing.said_by.split(".")))
    wanted = f"{said} + 1" if field.listing.last else said
    most = field.listing.most
    yield "repeat", "expr"
    yield "repeat-expr", f"'{wanted} > {most} ? {most} : {wanted}'"


def _codes(codes: type[IntEnum]) -> Iterator[str]:
    yield f"  {identifier(codes.__name__)}:"
    names = Names()
    for code in sorted(codes):
        yield f"    {code:#x}:"
        yield f"      id: {names.give(identifier(code.name), code.name)}"
        if meaning_of(code):
            yield f"      doc: {_text(meaning_of(code))}"
