"""Layouts as one Rust module for `core` alone, from Rust 1.77 on: no crates, nothing of `std`.

A word is a newtype of an integer with masks, shifts and accessors. A structure is `repr(C)`, packed
only where a compiler would align its fields otherwise; every offset and size is asserted. Any bytes of
the right length are a value, so `from_bytes` and `into_bytes` are safe to call.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import IntEnum

from ...schema import Field, Kind, Structure, meaning_of
from ..naming import label
from ..parts import (
    Names,
    camel,
    code_name,
    codes_of,
    enums_of,
    fixed,
    is_packed,
    mask,
    must_be_zero,
    snake,
    with_parts,
)
from ..subjects import Subject, classes
from ..table import GENERATED
from .md import escape

_RESERVED = """\
abstract as async await become box break const continue do dyn else enum extern false final fn
for gen if impl in let loop macro match mod move mut override priv pub ref return static struct
trait true try type typeof union unsafe unsized use virtual where while yield
"""
KEYWORDS = frozenset(_RESERVED.split())
_NEVER_RAW = frozenset({"self", "super", "crate", "_"})
_OURS = frozenset({"from_bytes", "into_bytes"})

_HEAD = """\
#![allow(dead_code, clippy::all)]

#[cfg(not(target_endian = "little"))]
compile_error!("these structures are little-endian");
"""


def render(subjects: Sequence[Subject]) -> str:
    """One module with the structures among `subjects`, all that they hold, and the codes."""
    structures = with_parts(classes(subjects))
    names = Names()
    lines = [f"// {GENERATED}", "", _HEAD]
    for codes in dict.fromkeys([*codes_of(subjects), *enums_of(structures)]):
        lines += [*_codes(codes, names), ""]
    for cls in structures:
        lines += [*_documented(cls)]
        lines += [*(_word(cls, names) if cls.declaration.is_bits else _record(cls, names)), ""]
    return "\n".join(lines)


def name_of(cls: type[Structure]) -> str:
    """The structure's type: `ExtIntStatus`, `DoorbellPage20240516`."""
    return camel(label(cls))


def member(field: Field) -> str:
    """The field's name in its structure, and of its accessor."""
    name = snake(field.name)
    if name in _NEVER_RAW or name in _OURS:
        return f"{name}_"
    return f"r#{name}" if name in KEYWORDS else name


def constant(field: Field) -> str:
    """What the names of a field's constants begin with."""
    return snake(field.name).upper()


def _codes(codes: type[IntEnum], names: Names) -> Iterator[str]:
    """An open enumeration: any number is a value, and those that are known have names."""
    name = names.give(camel(code_name(codes)), codes.__name__)
    yield f"/// The known numbers of {escape(codes.__name__)}."
    yield "#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]"
    yield "#[repr(transparent)]"
    yield f"pub struct {name}(pub u64);"
    yield ""
    yield f"impl {name} {{"
    inner = Names()
    for code in codes:
        if meaning_of(code):
            yield f"    /// {escape(meaning_of(code))}"
        given = inner.give(_upper(code.name), code.name)
        yield f"    pub const {given}: Self = Self({code:#x});"
    yield "}"


def _upper(name: str) -> str:
    return snake(name).upper()


def _documented(cls: type[Structure]) -> Iterator[str]:
    declaration = cls.declaration
    yield f"/// {escape(label(cls))}: {escape(declaration.title)}"
    if declaration.source:
        yield "///"
        yield f"/// Source: {escape(declaration.source)}"


def _word(cls: type[Structure], names: Names) -> Iterator[str]:
    name, integer = names.give(name_of(cls), label(cls)), f"u{8 * cls.size}"
    yield "#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]"
    yield "#[repr(transparent)]"
    yield f"pub struct {name}(pub {integer});"
    yield ""
    yield f"impl {name} {{"
    inner = Names()
    given = inner.give("MUST_BE_ZERO", "the reserved bits")
    yield "    /// The reserved bits that must be zero."
    yield f"    pub const {given}: {integer} = {must_be_zero(cls):#x};"
    for field in cls.declaration.fields:
        yield from _bits(field, integer, inner)
    yield "}"
    yield f"const _: () = assert!(core::mem::size_of::<{name}>() == {cls.size});"


def _bits(field: Field, integer: str, names: Names) -> Iterator[str]:
    start, accessor = constant(field), member(field)
    setter = f"with_{snake(field.name)}"
    for name in (f"{start}_SHIFT", f"{start}_MASK", accessor, setter):
        names.give(name, field.name)
    yield ""
    yield f"    pub const {start}_SHIFT: u32 = {field.bit_offset};"
    yield f"    pub const {start}_MASK: {integer} = {mask(field):#x};"
    if field.value is not None:
        names.give(f"{start}_VALUE", field.name)
        yield f"    pub const {start}_VALUE: {integer} = {int(field.value):#x};"
    kind, read = integer, f"(self.0 & Self::{start}_MASK) >> Self::{start}_SHIFT"
    if field.kind is Kind.FLAG:
        kind, read = "bool", f"self.0 & Self::{start}_MASK != 0"
    yield ""
    yield f"    /// {_meaning(field)}"
    yield f"    pub const fn {accessor}(self) -> {kind} {{"
    yield f"        {read}"
    yield "    }"
    yield ""
    yield f"    /// The word with `{snake(field.name)}` in it, cut to its width."
    yield f"    pub const fn {setter}(self, value: {kind}) -> Self {{"
    moved = f"(value as {integer})" if kind == "bool" else "value"
    yield f"        let moved = ({moved} << Self::{start}_SHIFT) & Self::{start}_MASK;"
    yield f"        Self((self.0 & !Self::{start}_MASK) | moved)"
    yield "    }"


def _record(cls: type[Structure], names: Names) -> Iterator[str]:
    name = names.give(name_of(cls), label(cls))
    fields = list(fixed(cls))
    if cls.declaration.any_length:
        fields.append(cls.declaration.fields[-2])
        yield "///"
        yield "/// The list has any length, and any bytes follow it; here it has none."
    yield "#[derive(Clone, Copy)]"
    yield f"#[repr({'C, packed' if is_packed(cls) else 'C'})]"
    yield f"pub struct {name} {{"
    inner = Names()
    for field in fields:
        yield f"    /// {_meaning(field)}"
        yield f"    pub {inner.give(member(field), field.name)}: {_type(field)},"
    yield "}"
    yield ""
    yield f"impl {name} {{"
    constants = Names()
    for field in fields:
        yield from _constants(field, constants)
    yield f"    /// The value in {cls.size} bytes."
    yield f"    pub const fn from_bytes(bytes: [u8; {cls.size}]) -> Self {{"
    yield "        // SAFETY: of one size, as is asserted; integers and arrays of them take any bytes."
    yield "        unsafe { core::mem::transmute(bytes) }"
    yield "    }"
    yield ""
    yield "    /// The bytes of the value."
    yield f"    pub const fn into_bytes(self) -> [u8; {cls.size}] {{"
    yield "        // SAFETY: of one size, as is asserted, and no byte of it is padding."
    yield "        unsafe { core::mem::transmute(self) }"
    yield "    }"
    yield "}"
    yield f"const _: () = assert!(core::mem::size_of::<{name}>() == {cls.size});"
    for field in fields:
        place = f"core::mem::offset_of!({name}, {member(field)})"
        yield f"const _: () = assert!({place} == {field.byte_offset:#x});"


def _constants(field: Field, names: Names) -> Iterator[str]:
    start = constant(field)
    if isinstance(field.value, bytes):
        held = ", ".join(f"{byte:#04x}" for byte in field.value)
        given = names.give(f"{start}_VALUE", field.name)
        yield f"    pub const {given}: [u8; {field.size}] = [{held}];"
    elif field.value is not None:
        given = names.give(f"{start}_VALUE", field.name)
        yield f"    pub const {given}: u{field.width} = {int(field.value):#x};"
    if field.kind is Kind.BITMAP:
        yield f"    /// What bit 0 of `{snake(field.name)}` stands for."
        yield f"    pub const {names.give(f'{start}_FIRST', field.name)}: u32 = {field.first};"


def _type(field: Field) -> str:
    if field.of is not None:
        inner = name_of(field.of)
        count = 0 if field.listing else field.count
        return f"[{inner}; {count}]" if field.kind is Kind.ARRAY else inner
    return f"u{field.width}" if field.kind is Kind.UINT else f"[u8; {field.size}]"


def _meaning(field: Field) -> str:
    codes = f"; codes: {code_name(field.enum)}" if field.enum is not None else ""
    return escape(f"{field.meaning.rstrip('.')}{codes}")
