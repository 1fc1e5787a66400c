"""What a structure is: its fields, its declaration, and the bases `Record` and `Bits`.

A structure is a slotted dataclass. Its declaration is the only place where a layout is written; the
codec, the layout tables, the column reader and the fuzzer's mutators all walk it. Every bit belongs
to a field, so any bytes of the right length decode and encode back to the same bytes.

`fields` has the helpers that a declaration is written with, `declare` the decorator that places the
fields and gives the class its codec.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum, IntEnum
from importlib import import_module
from operator import index
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from ..errors import DecodeError, EncodeError
from .lists import Listing
from .problems import Note, Problem

if TYPE_CHECKING:
    from mmap import mmap

    from construct import Construct

Buffer = bytes | bytearray | memoryview


class Kind(Enum):
    """How a field's bits become a Python value."""

    UINT = "unsigned integer"  # int, or a member of the field's enum
    FLAG = "flag"  # bool, one bit
    BYTES = "bytes"  # bytes
    BITMAP = "bitmap"  # int: bit n stands for number first + n
    STRUCT = "structure"  # a nested Structure
    ARRAY = "array"  # a list of structures


class Rule(Enum):
    """What may stand in a reserved field. Reading never enforces it; `problems` reports it."""

    ZERO = "must be zero"
    IGNORED = "ignored"  # writers should put 0, readers must not look


@dataclass(frozen=True, slots=True)
class Field:
    """One field, placed. Offsets and widths are in bits, counted from the structure's first bit."""

    kind: Kind
    width: int
    meaning: str
    name: str = ""  # as in Python, snake_case
    spec: str = ""  # as the specifications spell it; derived from the name where it is regular
    bit_offset: int = 0
    rule: Rule | None = None  # a reserved field has one
    enum: type[IntEnum] | None = None  # names of the known codes; unknown ones stay integers
    of: type[Structure] | None = None  # the nested structure, or an array's element
    count: int = 1  # elements of an array
    listing: Listing | None = None  # of a list: what says how many elements there are
    is_rest: bool = False  # all bytes that follow, however many
    value: int | bytes | None = None  # the one right value, where there is one
    first: int = 0  # bitmap: the number that bit 0 stands for
    access: str = ""  # who writes and who clears it, or RO, WO, RW
    reset: int | None = 0  # value after reset; None where it is not defined
    clause: str = ""  # the clause it comes from, where it is not the structure's own

    @property
    def byte_offset(self) -> int:
        return self.bit_offset // 8

    @property
    def size(self) -> int:
        """Bytes; only of a field that is a whole number of them."""
        return self.width // 8

    @property
    def bits(self) -> str:
        """The bit range as specifications write it: `13:11`, or `14` for a single bit."""
        low, high = self.bit_offset, self.bit_offset + self.width - 1
        return f"{high}:{low}" if high > low else f"{low}"

    @property
    def default(self) -> Any:
        """The value where none is said: the one right value, or zero."""
        if self.value is not None:
            return self.value
        if self.of is None:
            return self.zero
        return self.of() if self.kind is Kind.STRUCT else [self.of() for _ in range(self.count)]

    @property
    def zero(self) -> Any:
        """The value in an all-zero structure; not of an array."""
        match self.kind:
            case Kind.FLAG:
                return False
            case Kind.BYTES:
                return bytes(self.size)
            case Kind.STRUCT:
                assert self.of is not None
                return self.of.decode(bytes(self.size))
            case _:
                return named(0, self.enum)

    def inside(self, value: Any) -> Iterator[tuple[str, Structure]]:
        """The structures that the field's `value` holds, each with the path that leads to it."""
        if self.kind is Kind.STRUCT:
            yield self.name, self.structure(value)
        elif self.kind is Kind.ARRAY:
            for at, item in enumerate(value):
                yield f"{self.name}[{at}]", self.structure(item)

    def complaint(self, value: Any) -> str:
        """Why the field cannot hold `value`; "" where it can. Does not look into structures.

        Every integer type is an integer here, bool and numpy's too; a word may be its integer.
        """
        match self.kind:
            case Kind.UINT | Kind.FLAG | Kind.BITMAP:
                return self._number_complaint(value, self.width)
            case Kind.BYTES:
                if not isinstance(value, bytes | bytearray):
                    return f"{value!r} is not bytes"
                if len(value) != self.size:
                    return f"{len(value)} bytes found, {self.size} expected"
            case Kind.STRUCT:
                return self.structure_complaint(value)
            case Kind.ARRAY:
                if isinstance(value, str | bytes) or not isinstance(value, Sequence):
                    return f"{value!r} is not a list"
                if len(value) != self.count:
                    return f"{len(value)} elements found, {self.count} expected"
                for at, item in enumerate(value):
                    if complaint := self.structure_complaint(item):
                        return f"element {at}: {complaint}"
        return ""

    def _number_complaint(self, value: Any, width: int) -> str:
        try:
            number = index(value)
        except TypeError:
            return f"{value!r} is not an integer"
        fits = 0 <= number < 1 << width
        return "" if fits else f"{_number(number)} does not fit {width} bit{'s' * (width > 1)}"

    def structure_complaint(self, value: Any) -> str:
        assert self.of is not None
        if isinstance(value, self.of):
            return ""
        if self.of.declaration.is_bits and hasattr(value, "__index__"):
            return self._number_complaint(value, 8 * self.of.size)
        article = "an" if self.of.__name__[0] in "AEIOU" else "a"
        return f"{value!r} is not {article} {self.of.__name__}"

    def broken_rule(self, value: Any) -> str:
        """Which rule of the field `value`, which it can hold, breaks; "" where none."""
        if self.rule is Rule.ZERO:
            return "reserved, must be zero" if value not in (0, self.zero) else ""
        if self.value is not None:
            return f"{self.shown_value} expected" if value != self.value else ""
        if self.enum is not None and value not in members(self.enum):
            return f"not a known {self.enum.__name__}"
        return ""

    @property
    def shown_value(self) -> str:
        """The one right value as people read it: `0x16, RUN_VMPL_REQUEST`; "" where there is none."""
        if self.value is None:
            return ""
        if isinstance(self.value, bytes):
            return self.value.hex(" ")
        number = f"{self.value:#x}" if self.value > 9 else f"{int(self.value)}"
        return f"{number}, {self.value.name}" if isinstance(self.value, IntEnum) else number

    def settled(self, value: Any) -> Any:
        """`value`, which the field can hold, as reading gives it."""
        match self.kind:
            case Kind.UINT | Kind.BITMAP:
                return named(index(value), self.enum)
            case Kind.FLAG:
                return index(value) == 1
            case Kind.BYTES:
                return bytes(value)
            case Kind.STRUCT:
                return self.structure(value).settled()
            case Kind.ARRAY:
                return [self.structure(item).settled() for item in value]

    def structure(self, value: Any) -> Structure:
        """The structure that `value` is or, of a word, is the integer of. Raises EncodeError."""
        if isinstance(value, Structure):
            return value
        if complaint := self.structure_complaint(value):
            raise EncodeError(f"{self.name}: {complaint}", path=self.name)
        assert self.of is not None
        assert issubclass(self.of, Bits)
        return self.of.of(index(value))


@functools.cache
def members(enum: type[IntEnum]) -> dict[int, IntEnum]:
    """The members of `enum` by their values."""
    return {int(member): member for member in enum}


def named(value: int, enum: type[IntEnum] | None) -> int:
    """`value` as a member of `enum` where it has one, else as it is: enums are open."""
    return value if enum is None else members(enum).get(value, value)


def _number(value: int) -> str:
    """In decimal, but for what Python refuses to print, or nobody wants to read."""
    bits = value.bit_length()
    return f"{int(value)}" if bits <= 512 else f"a number of {bits} bits"


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
    rules: str = ""  # the module whose `broken` and `notes` judge a value, if it is not the class
    any_length: bool = False  # a `Whole`: `size` is the least, and a list has one element here
    total: str = ""  # of a `Whole`: path of the field that says how many bytes it has

    def __getitem__(self, name: str) -> Field:
        for field in self.fields:
            if field.name == name:
                return field
        raise KeyError(name)


# jedi, which completes names in IPython and in several editors, follows a TypeVar but not Self.
S = TypeVar("S", bound="Structure")
B = TypeVar("B", bound="Bits")


class Structure:
    """Base of every structure. Use `Record` or `Bits`.

    `size` is in bytes. Attributes hold decoded values: int, bool, bytes, structures, lists of them.
    They take what `encode` and `problems` may complain of later. A word may be given by its integer:
    the constructor reads it, an attribute holds it as it is, and `encode` writes it.
    """

    __slots__ = ()
    declaration: ClassVar[Declaration]
    size: ClassVar[int]
    construct: ClassVar[Construct]
    """The structure as a `construct.Construct`, which parses to it and builds from it."""

    def __init__(self, **values: Any) -> None:
        """The structure with the fields named. The others have their one right value, or are zero.

        Values are checked by `encode`. `decode(bytes(size))` is zero in every field.
        """
        for field in self.declaration.fields:
            name = field.name
            held = values.pop(name) if name in values else field.default
            if field.kind is Kind.STRUCT and not isinstance(held, Structure):
                held = held if field.complaint(held) else field.structure(held)
            setattr(self, name, held)
        if values:
            unknown = ", ".join(values)
            raise TypeError(f"{type(self).__name__} has no field {unknown}")

    @classmethod
    def decode(cls: type[S], data: Buffer, *, strict: bool = False) -> S:
        """The structure that exactly `size` bytes hold.

        Raises DecodeError on any other length, and with `strict` on the first broken rule.
        """
        raise NotImplementedError  # every declared structure gets its own

    def encode(self) -> bytes:
        """The structure's `size` bytes. Raises EncodeError with the path of a value that does not fit.

        Integers of every type fit where their number does; 1.0, "1" and None are not integers.
        """
        raise NotImplementedError

    def __bytes__(self) -> bytes:
        """What `encode` gives."""
        return self.encode()

    @classmethod
    def accepts(cls, length: int) -> bool:
        """Whether that many bytes decode."""
        return length == cls.size

    @classmethod
    def view(cls: type[S], buffer: Buffer | mmap, offset: int = 0) -> S:
        """The structure at byte `offset` of `buffer`, left there: each field is read when it is used.

        The buffer is any contiguous one: bytes, bytearray, a memoryview, an mmap. Assigning a field
        writes its bits there, after the check that `encode` would make; a field that is narrower
        than its bytes is read, joined and written back, which is not atomic.

        Raises DecodeError where fewer than `size` bytes follow. Assigning raises EncodeError for a
        value that does not fit, and TypeError where the buffer cannot be written.
        """
        raise NotImplementedError

    def problems(self) -> list[Problem]:
        """Every rule that the value breaks: reserved bits, unknown codes, the structure's own rules.

        Where values do not fit their fields, these are the problems, and the rules are not looked at.
        The list is empty where all is right. Never raises.
        """
        try:
            self.encode()
        except EncodeError:
            return list(self.misfits())
        return list(self.judged())

    def misfits(self, path: str = "") -> Iterator[Problem]:
        """Every value that its field cannot hold; `path` stands before the names."""
        for field in self.declaration.fields:
            held = getattr(self, field.name, None)
            if complaint := field.complaint(held):
                cited = field.clause or self.declaration.clause
                yield Problem(f"{path}{field.name}", held, complaint, cited)
                continue
            for name, inner in field.inside(held):
                yield from inner.misfits(f"{path}{name}.")

    def judged(self, path: str = "") -> Iterator[Problem]:
        """Every rule that the value breaks, all of whose values fit; `path` stands before the names."""
        for field in self.declaration.fields:
            held = getattr(self, field.name)
            if rule := field.broken_rule(held):
                cited = field.clause or self.declaration.clause
                yield Problem(f"{path}{field.name}", held, rule, cited)
            for name, inner in field.inside(held):
                yield from inner.judged(f"{path}{name}.")
        for problem in self.broken():
            yield replace(problem, path=f"{path}{problem.path}") if path else problem

    def broken(self) -> Iterator[Problem]:
        """Rules of this structure beyond single fields: overridden by declarations that have some, or
        found in the module that the declaration names, where they need more than the structure."""
        rules = self.declaration.rules
        return import_module(rules).broken(self) if rules else iter(())

    def notes(self) -> Iterator[Note]:
        """What else a person should know about the value; from where its rules are."""
        rules = self.declaration.rules
        return import_module(rules).notes(self) if rules else iter(())

    def numbers(self, name: str) -> list[int]:
        """The numbers that the bitmap field `name` holds, ascending: `descriptor.numbers("irr")`."""
        field = self.declaration[name]
        if field.kind is not Kind.BITMAP:
            raise TypeError(f"{name} is not a bitmap")
        return set_numbers(getattr(self, name), field.first)

    def leaves(self) -> Iterator[tuple[str, Any]]:
        """Path and value of every field that is no structure, in the order of the bits.

        `dict(page.leaves())["flags.nmi_pending"]`. A structure itself is not iterable: some would
        expect names, as of a dict, some values, as of a tuple; neither says what nested fields are.
        """
        for field in self.declaration.fields:
            held = getattr(self, field.name)
            if field.of is None:
                yield field.name, held
            for name, inner in field.inside(held):
                for path, value in inner.leaves():
                    yield f"{name}.{path}", value

    __iter__ = None  # __getitem__ alone would make it a sequence

    def settled(self) -> Self:
        """A copy, all of whose values fit, with the values as reading gives them."""
        fields = self.declaration.fields
        return type(self)(
            **{field.name: field.settled(getattr(self, field.name)) for field in fields}
        )

    def as_dict(self) -> dict[str, Any]:
        """Nested plain values: integers stay numbers, bytes become hex, as `--json` prints them."""
        raise NotImplementedError

    @classmethod
    def from_dict(cls: type[S], values: Mapping[str, Any], *, partial: bool = False) -> S:
        """The structure of which `values` is the `as_dict`; a word may be its integer there too.

        With `partial` a field that is not named has its one right value, or is zero. Raises
        EncodeError with the path of an unknown or a missing field, or of a value that does not fit.
        """
        raise NotImplementedError

    def __getitem__(self, name: str) -> Any:
        """The value of the field `name`, as construct's `this.head.vector` asks for it."""
        return getattr(self, self.declaration[name].name)

    def __eq__(self, other: object) -> bool:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return all(
            getattr(self, field.name) == getattr(other, field.name)
            for field in self.declaration.fields
        )

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __repr__(self) -> str:
        """The fields that are not as the constructor has them, as a call of it."""
        shown = []
        for field in self.declaration.fields:
            value = getattr(self, field.name)
            text = _shown(value)
            if field.of is None:
                usual = value == field.default
            else:  # what is inside leaves out what it has by itself
                inner = f"{field.of.__name__}()"
                several = f"[{', '.join([inner] * field.count)}]"
                usual = text == (inner if field.kind is Kind.STRUCT else several)
            if not usual:
                shown.append(f"{field.name}={text}")
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
    def of(cls: type[B], value: int) -> B:
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


def _shown(value: Any) -> str:
    if isinstance(value, IntEnum):
        return f"{type(value).__name__}.{value.name}"
    # SupportsIndex says the same, and takes microseconds to ask.
    if hasattr(value, "__index__") and not isinstance(value, bool):
        return f"{index(value):#x}"  # numpy's integers too
    return repr(value)
