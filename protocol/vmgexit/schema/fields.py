"""The helpers that declare fields.

A declaration reads like the table of a specification::

    @structure("ext-int-status", size=4, clause="DESC-1")
    class ExtIntStatus(Bits):
        pending_vector: int = bits(8, "Vector of the one pending interrupt; 0 = none")
        nmi_pending: bool = bit("An NMI is pending for this VMPL")
        ...
        reserved_13_11: int = reserved(3)

Each helper returns a `dataclasses.field` whose metadata holds a `Field`, which `declare` places.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from enum import IntEnum
from typing import Any, TypedDict, Unpack

from .lists import MOST, Bodies, Listing
from .structure import Field, Kind, Rule, Structure


class Told(TypedDict, total=False):
    """What a declaration may say of every field. A value that is not reset says `reset=None`."""

    spec: str
    access: str
    reset: int | None
    clause: str


def field_of(spec: Field) -> Any:
    # The structure decorator puts the real default in place; this one only tells dataclasses
    # (and with it type checkers) that there is one.
    make: Callable[..., Any] = dataclasses.field
    return make(default_factory=lambda: spec.default, metadata={"vmgexit": spec})


def bits(
    width: int,
    meaning: str,
    *,
    enum: type[IntEnum] | None = None,
    value: int | None = None,
    **told: Unpack[Told],
) -> Any:
    """An unsigned integer of `width` bits in a `Bits` word; `value` is the one right value."""
    return field_of(Field(Kind.UINT, width, meaning, enum=enum, value=value, **told))


def bit(meaning: str, **told: Unpack[Told]) -> Any:
    """One bit of a `Bits` word, read as a bool."""
    return field_of(Field(Kind.FLAG, 1, meaning, **told))


def reserved(
    width: int, rule: Rule = Rule.ZERO, *, meaning: str = "Reserved", clause: str = ""
) -> Any:
    """Reserved bits of a `Bits` word, read as an int.

    The attribute is named by its place, `reserved_13_11` or `reserved_13`, which is checked.
    """
    return field_of(Field(Kind.UINT, width, meaning, rule=rule, clause=clause))


u8, u16, u32, u64 = (functools.partial(bits, width) for width in (8, 16, 32, 64))
"""A little-endian unsigned integer of so many bits in a `Record`, with the options of `bits`."""


def raw(size: int, meaning: str, *, value: bytes | None = None, **told: Unpack[Told]) -> Any:
    """`size` bytes that the structure does not look into; `value` is the one right value."""
    return field_of(Field(Kind.BYTES, size * 8, meaning, value=value, **told))


def reserved_bytes(size: int, rule: Rule = Rule.ZERO, *, meaning: str = "Reserved") -> Any:
    """`size` reserved bytes of a `Record`, read as bytes.

    The attribute is named by its offset in three hex digits, `reserved_0x004`, which is checked.
    """
    return field_of(Field(Kind.BYTES, size * 8, meaning, rule=rule))


def bitmap(size: int, meaning: str, *, first: int = 0, **told: Unpack[Told]) -> Any:
    """A set of numbers, one bit each, in `size` bytes: one integer whose bit n means `first + n`."""
    return field_of(Field(Kind.BITMAP, size * 8, meaning, first=first, **told))


def nested(of: type[Structure], meaning: str, **told: Unpack[Told]) -> Any:
    """Another structure in place."""
    return field_of(Field(Kind.STRUCT, of.size * 8, meaning, of=of, **told))


def array(of: type[Structure], count: int, meaning: str, **told: Unpack[Told]) -> Any:
    """`count` structures one after the other, read as a list."""
    return field_of(Field(Kind.ARRAY, of.size * 8 * count, meaning, of=of, count=count, **told))


def list_of(
    of: type[Structure],
    meaning: str,
    *,
    count: str = "",
    last: str = "",
    until: Callable[[Any], bool] | None = None,
    most: int = MOST,
    bodies: Bodies | None = None,
    **told: Unpack[Told],
) -> Any:
    """Structures one after the other in a `Whole`, as many as the bytes say, read as a list.

    One of these says how many: `count`, the path of the field with their number; `last`, of the one
    with the number of the last; `until`, whether an element ends the list. No more than `most` are
    read. `bodies` says what the elements point to.
    """
    if [bool(count), bool(last), until is not None].count(True) != 1:
        raise TypeError("a list has one of count, last and until")
    listing = Listing(count, last, until, most, bodies)
    return field_of(Field(Kind.ARRAY, of.size * 8, meaning, of=of, listing=listing, **told))


def rest(meaning: str, **told: Unpack[Told]) -> Any:
    """All bytes that follow the list of a `Whole`: its last field."""
    return field_of(Field(Kind.BYTES, 0, meaning, is_rest=True, **told))
