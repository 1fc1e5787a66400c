"""Layouts as one C11 header: structures, masks and shifts, codes, and an assertion for every offset.

A word is an integer with masks, never a bit field, whose order is the compiler's. A structure is
packed only where a compiler would align its fields otherwise. A name says whose it is:
`VMGEXIT_EXT_INT_STATUS_PENDING_VECTOR_MASK`. C++ reads the header too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import IntEnum

from ...schema import Field, Kind, Structure, meaning_of
from ..document import printable
from ..naming import label
from ..parts import (
    Names,
    code_name,
    codes_of,
    enums_of,
    fixed,
    is_packed,
    mask,
    must_be_zero,
    snake,
    with_parts,
    without_markers,
)
from ..subjects import Subject, classes
from ..table import GENERATED

PREFIX = "vmgexit_"
_INT_MAX = 0x7FFFFFFF

# Of C and C++: a header is read by both.
_RESERVED = """\
alignas alignof and asm auto bool break case catch char class compl concept const constexpr
consteval constinit continue decltype default delete do double else enum explicit export extern
false final float for friend goto if import inline int long module mutable namespace new noexcept
not nullptr operator or override private protected public register reinterpret_cast requires
restrict return short signed sizeof static static_assert static_cast struct switch template this
thread_local throw true try typedef typeid typename typeof union unsigned using virtual void
volatile wchar_t while xor
"""
KEYWORDS = frozenset(_RESERVED.split())

_HEAD = """\
#ifndef VMGEXIT_LAYOUTS_H
#define VMGEXIT_LAYOUTS_H

#include <stddef.h>
#include <stdint.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "these structures are little-endian"
#endif

#if defined(__cplusplus)
#define VMGEXIT_ASSERT(condition, what) static_assert(condition, what)
#else
#define VMGEXIT_ASSERT(condition, what) _Static_assert(condition, what)
#endif

/* A field of a word: VMGEXIT_GET(status, VMGEXIT_EXT_INT_STATUS_PENDING_VECTOR), and the word with it. */
#define VMGEXIT_GET(word, field) (((word) & field##_MASK) >> field##_SHIFT)
#define VMGEXIT_PUT(word, field, value) \\
\t(((word) & ~field##_MASK) | (((field##_MASK * 0 + (value)) << field##_SHIFT) & field##_MASK))
"""

_TAIL = """\
#endif /* VMGEXIT_LAYOUTS_H */
"""


def render(subjects: Sequence[Subject]) -> str:
    """One header with the structures among `subjects`, all that they hold, and the codes."""
    structures = with_parts(classes(subjects))
    names = Names()
    lines = [f"/* {GENERATED} */", _HEAD]
    for codes in dict.fromkeys([*codes_of(subjects), *enums_of(structures)]):
        lines += [*_codes(codes, names), ""]
    for cls in structures:
        lines += [*(_word(cls, names) if cls.declaration.is_bits else _record(cls, names)), ""]
    return "\n".join([*lines, _TAIL])


def name_of(cls: type[Structure]) -> str:
    """The structure's tag, or the word's type: `vmgexit_ext_int_status`."""
    return PREFIX + snake(label(cls))


def type_of(cls: type[Structure]) -> str:
    """How a field of this structure is declared."""
    return name_of(cls) if cls.declaration.is_bits else f"struct {name_of(cls)}"


def member(field: Field) -> str:
    """The field's name in its structure."""
    name = snake(field.name)
    return f"{name}_" if name in KEYWORDS else name


def macro(cls: type[Structure], field: Field) -> str:
    """What the names of a field's macros begin with: `VMGEXIT_EXT_INT_STATUS_PENDING_VECTOR`."""
    return f"{name_of(cls)}_{snake(field.name)}".upper()


def _comment(text: str) -> str:
    return without_markers(printable(text), "*/", "/*", "??")


def _literal(value: int, size: int) -> str:
    return f"UINT{64 if size > 4 else 32}_C({value:#0{2 + 2 * size}x})"


def _define(names: Names, name: str, value: str, what: str, comment: str = "") -> str:
    said = f" /* {_comment(comment)} */" if comment else ""
    return f"#define {names.give(name, what)} {value}{said}"


def _codes(codes: type[IntEnum], names: Names) -> Iterator[str]:
    """An enumeration; C has none for codes above INT_MAX, which become macros."""
    tag = PREFIX + snake(code_name(codes))
    members = sorted(codes)
    given = [
        (names.give(f"{tag}_{snake(code.name)}".upper(), f"{codes.__name__}.{code.name}"), code)
        for code in members
    ]
    said = [f" /* {_comment(meaning_of(code))} */" if meaning_of(code) else "" for code in members]
    if members[-1] > _INT_MAX:
        yield f"/* {_comment(codes.__name__)} */"
        for (name, code), comment in zip(given, said, strict=True):
            yield f"#define {name} {_literal(code, 8)}{comment}"
        return
    yield f"enum {names.give(tag, codes.__name__)} {{"
    for (name, code), comment in zip(given, said, strict=True):
        yield f"\t{name} = {code:#x},{comment}"
    yield "};"


def _heading(cls: type[Structure]) -> Iterator[str]:
    declaration = cls.declaration
    yield f"/* {_comment(label(cls))}: {_comment(declaration.title)} */"
    if declaration.source:
        yield f"/* Source: {_comment(declaration.source)} */"


def _word(cls: type[Structure], names: Names) -> Iterator[str]:
    what = label(cls)
    tag = names.give(name_of(cls), what)
    yield from _heading(cls)
    yield f"typedef uint{8 * cls.size}_t {tag};"
    for field in cls.declaration.fields:
        start, of = macro(cls, field), f"{what}.{field.name}"
        yield _define(names, f"{start}_SHIFT", str(field.bit_offset), of, _meaning(field))
        yield _define(names, f"{start}_MASK", _literal(mask(field), cls.size), of)
        if field.value is not None:
            yield _define(names, f"{start}_VALUE", _literal(int(field.value), cls.size), of)
    zero = must_be_zero(cls)
    yield _define(
        names, f"{tag.upper()}_MUST_BE_ZERO", _literal(zero, cls.size), f"{what}, reserved"
    )
    yield _size(cls)


def _record(cls: type[Structure], names: Names) -> Iterator[str]:
    what = label(cls)
    tag = names.give(name_of(cls), what)
    fields = list(fixed(cls))
    listed = cls.declaration.fields[-2] if cls.declaration.any_length else None
    yield from _heading(cls)
    if listed is not None:
        yield f"/* {_comment(_list(listed))} */"
    if not fields and listed is not None and listed.of is not None:
        yield f"typedef {type_of(listed.of)} {tag}; /* one element */"
        return
    yield f"struct {tag} {{"
    yield from (f"\t{_declared(field)}; /* {_meaning(field)} */" for field in fields)
    if listed is not None:
        yield f"\t{_declared(listed)};"
    yield f"}}{' __attribute__((packed))' * is_packed(cls)};"
    for field in fields:
        start, of = macro(cls, field), f"{what}.{field.name}"
        if isinstance(field.value, bytes):
            held = ", ".join(f"{byte:#04x}" for byte in field.value)
            yield _define(names, f"{start}_VALUE", f"{{ {held} }}", of)
        elif field.value is not None:
            yield _define(names, f"{start}_VALUE", _literal(field.value, field.size), of)
        if field.kind is Kind.BITMAP:
            yield _define(names, f"{start}_FIRST", str(field.first), of, "what bit 0 stands for")
    yield _size(cls)
    for field in cls.declaration.fields[: len(fields) + (listed is not None)]:
        place = f"offsetof({type_of(cls)}, {member(field)}) == {field.byte_offset:#05x}"
        yield f'VMGEXIT_ASSERT({place}, "{snake(label(cls))}.{snake(field.name)}");'


def _size(cls: type[Structure]) -> str:
    return f'VMGEXIT_ASSERT(sizeof({type_of(cls)}) == {cls.size}, "{snake(label(cls))}");'


def _declared(field: Field) -> str:
    name = member(field)
    if field.of is not None:
        several = "[]" if field.listing else f"[{field.count}]" * (field.kind is Kind.ARRAY)
        return f"{type_of(field.of)} {name}{several}"
    if field.kind is Kind.UINT:
        return f"uint{field.width}_t {name}"
    return f"uint8_t {name}[{field.size}]"


def _meaning(field: Field) -> str:
    codes = f"; codes: {code_name(field.enum)}" if field.enum is not None else ""
    return _comment(f"{field.meaning.rstrip('.')}{codes}")


def _list(field: Field) -> str:
    assert field.listing is not None
    said = (
        f"{field.listing.said_by} says how many" if field.listing.said_by else "one ends the list"
    )
    return f"A list follows, {field.name}: {said}. Then any bytes."
