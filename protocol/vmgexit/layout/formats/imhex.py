"""Layouts as ImHex patterns: structures, bit fields and codes, placed at the start of the file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import IntEnum

from ...schema import Field, Kind, Structure, meaning_of
from ..document import printable
from ..naming import label
from ..parts import Names, camel, code_name, enums_of, snake, with_parts
from ..subjects import Subject, classes
from ..table import GENERATED

_RESERVED = """\
addressof as be bitfield bool break catch char char16 const continue double else enum false float
fn for from if import in le match namespace null out padding parent ref reference return s128 s16
s24 s32 s48 s64 s8 signed sizeof str struct this true try typenameof u128 u16 u24 u32 u48 u64 u8
union unsigned using while
"""
_KEYWORDS = frozenset(_RESERVED.split())


def render(subjects: Sequence[Subject]) -> str:
    """The pattern of the one structure in `subjects`."""
    [cls] = classes(subjects)
    every = with_parts([cls])
    names = Names()
    lines = [f"// {GENERATED}", "#pragma endian little", "import std.mem;", ""]
    for codes in enums_of(every):
        lines += [*_codes(codes, every, names), ""]
    for part in every:
        lines += [*_structure(part, names), ""]
    return "\n".join([*lines, f"{camel(label(cls))} {_member(label(cls))} @ 0x00;", ""])


def _comment(text: str) -> str:
    """Text after `//`; a backslash at its end would take the next line in."""
    return printable(text).replace("\\", "/")


def _member(name: str) -> str:
    made = snake(name)
    return f"{made}_" if made in _KEYWORDS else made


def _codes(codes: type[IntEnum], every: list[type[Structure]], names: Names) -> Iterator[str]:
    """An enumeration as wide as the widest field that holds it."""
    fields = (field for cls in every for field in cls.declaration.fields if field.enum is codes)
    bits = max(field.width for field in fields)
    wide = next(each for each in (8, 16, 32, 64) if each >= bits)
    name = names.give(camel(code_name(codes)), codes.__name__)
    yield f"enum {name} : u{wide} {{"
    inner = Names()
    for code in sorted(codes):
        given = inner.give(snake(code.name).upper(), code.name)
        said = f" // {_comment(meaning_of(code))}" if meaning_of(code) else ""
        yield f"    {given} = {code:#x},{said}"
    yield "};"


def _structure(cls: type[Structure], names: Names) -> Iterator[str]:
    yield f"// {_comment(label(cls))}: {_comment(cls.declaration.title)}"
    name = names.give(camel(label(cls)), label(cls))
    yield f"{'bitfield' if cls.declaration.is_bits else 'struct'} {name} {{"
    inner = Names()
    for field in cls.declaration.fields:
        given = inner.give(_member(field.name), field.name)
        declared = _bits(field, given) if cls.declaration.is_bits else _bytes(field, given)
        yield f"    {declared}; // {_comment(field.meaning)}"
    yield "};"


def _bits(field: Field, name: str) -> str:
    if field.kind is Kind.FLAG:
        return f"bool {name} : 1"
    kind = f"{camel(code_name(field.enum))} " if field.enum is not None else ""
    return f"{kind}{name} : {field.width}"


def _bytes(field: Field, name: str) -> str:
    if field.is_rest:
        return f"u8 {name}[while(!std::mem::eof())]"
    if field.of is not None:
        return f"{camel(label(field.of))} {name}{_several(field)}"
    if field.enum is not None:
        return f"{camel(code_name(field.enum))} {name}"
    return f"u{field.width} {name}" if field.kind is Kind.UINT else f"u8 {name}[{field.size}]"


def _several(field: Field) -> str:
    if field.listing is not None:
        said = ".".join(map(_member, field.listing.said_by.split(".")))
        if not said:
            return "[while(!std::mem::eof())]"
        return f"[{said} + 1]" if field.listing.last else f"[{said}]"
    return f"[{field.count}]" if field.kind is Kind.ARRAY else ""
