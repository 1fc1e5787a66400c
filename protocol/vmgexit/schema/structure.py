"""What a structure is: the bases `Record` and `Bits`, and the decorator that places their fields.

A structure is a slotted dataclass. Its declaration is the only place where a layout is written; the
codec, the layout tables, the column reader and the fuzzer's mutators all walk it. Every bit belongs
to a field, so any bytes of the right length decode and encode back to the same bytes.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar, dataclass_transform

from ..errors import DecodeError
from .fields import Field, Kind

if TYPE_CHECKING:
    from mmap import mmap

Buffer = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class Declaration:
    """What is known of a structure besides its values. Every structure has it as `declaration`."""

    name: str  # on the command line: doorbell-page
    size: int  # bytes
    fields: tuple[Field, ...]
    clause: str
    source: str  # where the layout was read off
    title: str  # first line of the docstring
    revision: str  # "" for the current one
    is_bits: bool  # fields are placed by bits of one little-endian word

    def __getitem__(self, name: str) -> Field:
        for field in self.fields:
            if field.name == name:
                return field
        raise KeyError(name)


@dataclass(frozen=True, slots=True)
class Problem:
    """A rule that a value breaks."""

    path: str
    value: Any
    rule: str
    clause: str

    def __str__(self) -> str:
        value = f"{self.value:#x}" if type(self.value) is int else _short(self.value)
        cited = f" [{self.clause}]" if self.clause else ""
        return f"{self.path}: {value}: {self.rule}{cited}"


@dataclass(frozen=True, slots=True)
class Note:
    """Something that a value means beyond its fields, such as a second reading of old drafts."""

    path: str
    text: str


class Structure:
    """Base of every structure. Use `Record` or `Bits`.

    `size` is in bytes. Attributes hold decoded values: int, bool, bytes, structures, lists of them.
    """

    __slots__ = ()
    declaration: ClassVar[Declaration]
    size: ClassVar[int]

    def __init__(self, **values: Any) -> None:
        """An all-zero structure, but for the fields named. Ranges are checked by `encode`."""
        for field in self.declaration.fields:
            name = field.name
            setattr(self, name, values.pop(name) if name in values else field.default)
        if values:
            unknown = ", ".join(values)
            raise TypeError(f"{type(self).__name__} has no field {unknown}")

    @classmethod
    def decode(cls, data: Buffer, *, strict: bool = False) -> Self:
        """The structure that exactly `size` bytes hold.

        Raises DecodeError on any other length, and with `strict` on the first broken rule.
        """
        raise NotImplementedError  # every declared structure gets its own

    def encode(self) -> bytes:
        """The structure's `size` bytes. Raises EncodeError with the path of a value out of range.

        A value that equals one in range may pass for it, such as 1.0 for a flag: to look at the type
        of every value would cost more than it is worth.
        """
        raise NotImplementedError

    @classmethod
    def view(cls, buffer: Buffer | mmap, offset: int = 0) -> Self:
        """The structure at byte `offset` of `buffer`, left there: each field is read when it is used.

        The buffer is any contiguous one: bytes, bytearray, a memoryview, an mmap. Assigning a field
        writes its bits there, after the check that `encode` would make; a field that is narrower
        than its bytes is read, joined and written back, which is not atomic.

        Raises DecodeError where fewer than `size` bytes follow. Assigning raises EncodeError for a
        value that does not fit, and TypeError where the buffer cannot be written.
        """
        raise NotImplementedError

    def problems(self) -> Iterator[Problem]:
        """Every rule that the value breaks: reserved bits, unknown codes, the structure's own rules.

        Never raises on a decoded value.
        """
        from .checks import problems_of

        return problems_of(self)

    def broken(self) -> Iterator[Problem]:
        """Rules of this structure beyond single fields; overridden by declarations that have some."""
        return iter(())

    def notes(self) -> Iterator[Note]:
        """What else a person should know about the value; overridden where there is something."""
        return iter(())

    def numbers(self, name: str) -> list[int]:
        """The numbers that the bitmap field `name` holds, ascending: `descriptor.numbers("irr")`."""
        field = self.declaration[name]
        if field.kind is not Kind.BITMAP:
            raise TypeError(f"{name} is not a bitmap")
        return set_numbers(getattr(self, name), field.first)

    def as_dict(self) -> dict[str, Any]:
        """Nested plain values: integers stay numbers, bytes become hex, as `--json` prints them."""
        return {field.name: _plain(getattr(self, field.name)) for field in self.declaration.fields}

    def __eq__(self, other: object) -> bool:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return all(
            getattr(self, field.name) == getattr(other, field.name)
            for field in self.declaration.fields
        )

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __repr__(self) -> str:
        """The fields that are not zero, as a constructor call."""
        shown = []
        for field in self.declaration.fields:
            value = getattr(self, field.name)
            if value != field.default:
                shown.append(f"{field.name}={_shown(value)}")
        return f"{type(self).__name__}({', '.join(shown)})"


class Record(Structure):
    """A structure whose fields are whole bytes, in ascending order without gaps."""

    __slots__ = ()


class Bits(Structure):
    """One little-endian word whose fields are bit groups, listed from bit 0 upward.

    A word and an integer are one: `of` reads the fields out of the integer, `int` gives it back.
    """

    __slots__ = ()

    @classmethod
    def of(cls, value: int) -> Self:
        """The word with this integer value. Raises DecodeError where it does not fit `size` bytes."""
        try:
            data = int(value).to_bytes(cls.size, "little")
        except OverflowError:
            raise DecodeError(
                f"{cls.declaration.name}: {value:#x} does not fit {cls.size} bytes"
            ) from None
        return cls.decode(data)

    def __int__(self) -> int:
        """The integer value. Raises EncodeError with the path of a value out of range."""
        return int.from_bytes(self.encode(), "little")


def set_numbers(bitmap: int, first: int = 0) -> list[int]:
    """The positions of the set bits of `bitmap`, ascending, counted from `first`."""
    found = []
    while bitmap:
        low = bitmap & -bitmap
        found.append(first + low.bit_length() - 1)
        bitmap ^= low
    return found


S = TypeVar("S", bound=Structure)

_NOT_FOR_FIELDS = frozenset(dir(Structure)) | {"size", "declaration"}


@dataclass_transform(kw_only_default=True)
def structure(
    name: str,
    *,
    size: int,
    clause: str = "",
    source: str = "",
    revision: str = "",
) -> Callable[[type[S]], type[S]]:
    """Declare a structure of `size` bytes and register it under `name`.

    Raises TypeError when the fields do not add up to `size`, when a reserved field's name does not
    say its place, or when a name is taken: a wrong declaration cannot be imported.
    """

    def declare(cls: type[S]) -> type[S]:
        made = dataclasses.dataclass(init=False, repr=False, eq=False, slots=True)(cls)
        made.size = size
        made.declaration = Declaration(
            name=name,
            size=size,
            fields=_placed(made, size),
            clause=clause,
            source=source,
            title=(cls.__doc__ or "").strip().partition("\n")[0],
            revision=revision,
            is_bits=issubclass(made, Bits),
        )
        _install_codec(made)
        register(made)
        return made

    return declare


def _placed(cls: type[Structure], size: int) -> tuple[Field, ...]:
    """The fields of `cls` with their names and offsets filled in, and every rule of ours checked."""
    if issubclass(cls, Bits) and size not in (1, 2, 4, 8):
        raise TypeError(f"{cls.__name__}: a word has 1, 2, 4 or 8 bytes, not {size}")
    placed = []
    offset = 0
    for entry in dataclasses.fields(cls):  # type: ignore[arg-type]
        where = f"{cls.__name__}.{entry.name}"
        if entry.name in _NOT_FOR_FIELDS:
            raise TypeError(f"{where}: this name has a meaning for every structure")
        spec: Field | None = entry.metadata.get("vmgexit")
        if spec is None:
            raise TypeError(f"{where}: not declared by one of the field helpers")
        if complaint := _misplaced(cls, spec):
            raise TypeError(f"{where}: {complaint}")
        field = dataclasses.replace(
            spec,
            name=entry.name,
            bit_offset=offset,
            spec=spec.spec or "".join(part.capitalize() for part in entry.name.split("_")),
        )
        if (field.rule is None) == (entry.name == _reserved_name(cls, field)):
            raise TypeError(f"{where}: reserved fields are named {_reserved_name(cls, field)}")
        placed.append(field)
        offset += field.width
    if offset != size * 8:
        raise TypeError(f"{cls.__name__}: fields fill {offset} bits, {size * 8} declared")
    return tuple(placed)


def _misplaced(cls: type[Structure], spec: Field) -> str:
    """Why a structure such as `cls` cannot hold a field such as `spec`; "" where it can."""
    if spec.width < 1:
        return "a field has at least one bit"
    if issubclass(cls, Bits):
        whole = spec.kind not in (Kind.UINT, Kind.FLAG)
        return "a word's fields are integers and flags" if whole else ""
    if spec.width % 8:
        return "a record's fields are whole bytes"
    if spec.kind is Kind.UINT and spec.width not in (8, 16, 32, 64):
        return f"a record's integers have 8, 16, 32 or 64 bits, not {spec.width}"
    return ""


def _reserved_name(cls: type[Structure], field: Field) -> str:
    if issubclass(cls, Bits):
        return f"reserved_{field.bits.replace(':', '_')}"
    return f"reserved_0x{field.byte_offset:03x}"


def _install_codec(cls: type[Structure]) -> None:
    """Give `cls` a decode, an encode and a view that make the real ones at first use."""

    @functools.cache  # who holds on to the first decode calls it again and again
    def make() -> tuple[Callable[..., Any], Callable[[Any], bytes]]:
        if os.environ.get("VMGEXIT_INTERPRET"):
            from .constructs import interpreted as codec
        else:
            from .compiler import compiled as codec
        decode, encode = codec(cls)
        cls.decode = staticmethod(decode)  # type: ignore[method-assign]
        cls.encode = encode  # type: ignore[assignment, method-assign]
        return decode, encode

    def decode(data: Buffer, *, strict: bool = False) -> Any:
        return make()[0](data, strict=strict)

    def encode(self: Structure) -> bytes:
        return make()[1](self)

    @functools.cache
    def make_view() -> Callable[..., Any]:
        from .view import maker

        view = maker(cls)
        cls.view = staticmethod(view)  # type: ignore[method-assign]
        return view

    def view(buffer: Any, offset: int = 0) -> Any:
        return make_view()(buffer, offset)

    cls.decode = staticmethod(decode)  # type: ignore[method-assign]
    cls.encode = encode  # type: ignore[method-assign]
    cls.view = staticmethod(view)  # type: ignore[method-assign]


def wrong_length(cls: type[Structure], found: int) -> DecodeError:
    """The error for data of any length but the structure's own."""
    return DecodeError(
        f"{cls.declaration.name}: {found} bytes found, {cls.size} expected",
        offset=min(found, cls.size),
    )


_registry: dict[str, dict[str, type[Structure]]] = {}


def register(cls: type[Structure]) -> None:
    declaration = cls.declaration
    revisions = _registry.setdefault(declaration.name, {})
    if declaration.revision in revisions:
        which = f"{declaration.name} {declaration.revision}".rstrip()
        other = revisions[declaration.revision].__name__
        raise TypeError(f"{cls.__name__}: {which} is declared already, by {other}")
    revisions[declaration.revision] = cls


def structures() -> dict[str, dict[str, type[Structure]]]:
    """Every structure: name, then revision ("" is the current one), then class.

    Imports every chapter of `vmgexit.wire`: by name, for the declarations stand on this module and
    not the other way round.
    """
    from importlib import import_module

    import_module("vmgexit.wire").load_all()
    return _registry


def _plain(value: Any) -> Any:
    if isinstance(value, Structure):
        return value.as_dict()
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, bytes):
        return value.hex()
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _shown(value: Any) -> str:
    if isinstance(value, IntEnum):
        return f"{type(value).__name__}.{value.name}"
    return f"{value:#x}" if type(value) is int else repr(value)


def _short(value: Any) -> str:
    if isinstance(value, bytes) and len(value) > 16:
        return f"{value[:16].hex(' ')} ... ({len(value)} bytes)"
    if isinstance(value, bytes):
        return value.hex(" ")
    return repr(value)
