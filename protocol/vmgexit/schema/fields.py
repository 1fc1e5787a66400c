"""What one field of a structure is, and the helpers that declare it.

A declaration reads like the table of a specification::

    @structure("ext-int-status", size=4, clause="DESC-1")
    class ExtIntStatus(Bits):
        pending_vector: int = bits(8, "Vector of the one pending interrupt; 0 = none")
        nmi_pending: bool = bit("An NMI is pending for this VMPL")
        ...
        reserved_13_11: int = reserved(3)

Each helper returns a `dataclasses.field` whose metadata holds a `Field`, and answers `"subcon"` with
the construct subcon of the field, as `construct_typed.csfield` does; the subcon is made when it is
first asked for, so that declaring a structure does not import construct.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .structure import Structure


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
        """The value of the field in an all-zero structure."""
        match self.kind:
            case Kind.FLAG:
                return False
            case Kind.BYTES:
                return bytes(self.size)
            case Kind.STRUCT:
                assert self.of is not None
                return self.of()
            case Kind.ARRAY:
                assert self.of is not None
                return [self.of() for _ in range(self.count)]
            case _:
                return named(0, self.enum)


def named(value: int, enum: type[IntEnum] | None) -> int:
    """`value` as a member of `enum` where it has one, else as it is: enums are open."""
    if enum is None:
        return value
    member = enum._value2member_map_.get(value, value)
    assert isinstance(member, int)
    return member


class _Metadata(dict[str, Any]):
    """`{"vmgexit": Field}`, which makes `"subcon"` on demand."""

    def __missing__(self, key: str) -> Any:
        if key != "subcon":
            raise KeyError(key)
        from .constructs import subcon_of

        return self.setdefault("subcon", subcon_of(self["vmgexit"]))


def _field(spec: Field) -> Any:
    # The structure decorator puts the real default in place; this one only tells dataclasses
    # (and with it type checkers) that there is one.
    make: Callable[..., Any] = dataclasses.field
    return make(default_factory=lambda: spec.default, metadata=_Metadata(vmgexit=spec))


def bits(
    width: int,
    meaning: str,
    *,
    enum: type[IntEnum] | None = None,
    spec: str = "",
    access: str = "",
    reset: int | None = 0,
    clause: str = "",
) -> Any:
    """An unsigned integer of `width` bits in a `Bits` word."""
    return _field(
        Field(
            Kind.UINT,
            width,
            meaning,
            enum=enum,
            spec=spec,
            access=access,
            reset=reset,
            clause=clause,
        )
    )


def bit(
    meaning: str, *, spec: str = "", access: str = "", reset: int | None = 0, clause: str = ""
) -> Any:
    """One bit of a `Bits` word, read as a bool."""
    return _field(
        Field(Kind.FLAG, 1, meaning, spec=spec, access=access, reset=reset, clause=clause)
    )


def reserved(
    width: int, rule: Rule = Rule.ZERO, *, meaning: str = "Reserved", clause: str = ""
) -> Any:
    """Reserved bits of a `Bits` word, read as an int.

    The attribute is named by its place, `reserved_13_11` or `reserved_13`, which is checked.
    """
    return _field(Field(Kind.UINT, width, meaning, rule=rule, reset=0, clause=clause))


def _unsigned(width: int) -> Callable[..., Any]:
    def declare(
        meaning: str,
        *,
        enum: type[IntEnum] | None = None,
        spec: str = "",
        access: str = "",
        reset: int | None = 0,
        clause: str = "",
    ) -> Any:
        return bits(width, meaning, enum=enum, spec=spec, access=access, reset=reset, clause=clause)

    declare.__doc__ = f"A little-endian unsigned integer of {width} bits in a `Record`."
    return declare


u8, u16, u32, u64 = (_unsigned(width) for width in (8, 16, 32, 64))


def raw(size: int, meaning: str, *, spec: str = "", access: str = "", clause: str = "") -> Any:
    """`size` bytes that the structure does not look into."""
    return _field(Field(Kind.BYTES, size * 8, meaning, spec=spec, access=access, clause=clause))


def reserved_bytes(
    size: int, rule: Rule = Rule.ZERO, *, meaning: str = "Reserved", clause: str = ""
) -> Any:
    """`size` reserved bytes of a `Record`, read as bytes.

    The attribute is named by its offset in three hex digits, `reserved_0x004`, which is checked.
    """
    return _field(Field(Kind.BYTES, size * 8, meaning, rule=rule, clause=clause))


def bitmap(
    size: int,
    meaning: str,
    *,
    first: int = 0,
    spec: str = "",
    access: str = "",
    clause: str = "",
) -> Any:
    """A set of numbers, one bit each, in `size` bytes: one integer whose bit n means `first + n`."""
    return _field(
        Field(Kind.BITMAP, size * 8, meaning, first=first, spec=spec, access=access, clause=clause)
    )


def nested(
    of: type[Structure], meaning: str, *, spec: str = "", access: str = "", clause: str = ""
) -> Any:
    """Another structure in place."""
    return _field(
        Field(Kind.STRUCT, of.size * 8, meaning, of=of, spec=spec, access=access, clause=clause)
    )


def array(
    of: type[Structure],
    count: int,
    meaning: str,
    *,
    spec: str = "",
    access: str = "",
    clause: str = "",
) -> Any:
    """`count` structures one after the other, read as a list."""
    return _field(
        Field(
            Kind.ARRAY,
            of.size * 8 * count,
            meaning,
            of=of,
            count=count,
            spec=spec,
            access=access,
            clause=clause,
        )
    )
