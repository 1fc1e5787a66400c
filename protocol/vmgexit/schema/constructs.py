"""The declarations as construct sees them: the plain, slow reading that the compiled one must equal.

Only this module imports construct. `construct_of` gives any structure as a construct, to embed in
constructs of one's own; `interpreted` is the codec made of it, which `VMGEXIT_INTERPRET=1` selects
and the tests compare with.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import construct
import construct_typed

from ..errors import DecodeError
from .checks import check_ranges, raise_first, wrong_length
from .structure import Bits, Buffer, Field, Kind, Structure, named

_INTEGERS = {
    8: construct.Int8ul,
    16: construct.Int16ul,
    32: construct.Int32ul,
    64: construct.Int64ul,
}


class _Named(construct.Adapter):  # type: ignore[type-arg]
    """An open enum: known codes become members, unknown ones stay integers."""

    def __init__(self, subcon: Any, enum: Any) -> None:
        super().__init__(subcon)
        self.enum = enum

    def _decode(self, obj: Any, context: Any, path: Any) -> Any:
        return named(obj, self.enum)

    def _encode(self, obj: Any, context: Any, path: Any) -> Any:
        return int(obj)


class _Flag(construct.Adapter):  # type: ignore[type-arg]
    """One bit as a bool. construct's own Flag builds any true value as 1; ours must be 0 or 1."""

    def _decode(self, obj: Any, context: Any, path: Any) -> Any:
        return bool(obj)

    def _encode(self, obj: Any, context: Any, path: Any) -> Any:
        return int(obj)


class _List(construct.Adapter):  # type: ignore[type-arg]
    """An array as a plain list; construct's own kind of list has another repr."""

    def _decode(self, obj: Any, context: Any, path: Any) -> Any:
        return list(obj)

    def _encode(self, obj: Any, context: Any, path: Any) -> Any:
        return obj


def subcon_of(field: Field, *, in_bits: bool | None = None) -> Any:
    """The construct of one field. Of an unplaced integer field it is the byte-wise one if it can be."""
    match field.kind:
        case Kind.BYTES:
            return construct.Bytes(field.size)
        case Kind.BITMAP:
            return construct.BytesInteger(field.size, swapped=True)
        case Kind.STRUCT:
            assert field.of is not None
            return construct_of(field.of)
        case Kind.ARRAY:
            assert field.of is not None
            return _List(construct.Array(field.count, construct_of(field.of)))
        case Kind.FLAG:
            return _Flag(construct.BitsInteger(1))
        case Kind.UINT:
            bytewise = field.width in _INTEGERS and not in_bits
            plain = _INTEGERS[field.width] if bytewise else construct.BitsInteger(field.width)
            return plain if field.enum is None else _Named(plain, field.enum)


_made: dict[type[Structure], Any] = {}


def construct_of(cls: type[Structure]) -> Any:
    """`cls` as a construct that parses to it and builds from it."""
    if cls not in _made:
        _made[cls] = _construct(cls)
    return _made[cls]


def _construct(cls: type[Structure]) -> Any:
    in_bits = issubclass(cls, Bits)
    shadow = dataclasses.make_dataclass(
        cls.__name__,
        [
            (field.name, Any, construct_typed.csfield(subcon_of(field, in_bits=in_bits)))
            for field in cls.declaration.fields
        ],
        bases=(construct_typed.DataclassMixin,),
    )
    # construct numbers bits from the most significant one; ours are listed from bit 0.
    struct: Any = construct_typed.DataclassStruct(shadow, reverse=in_bits)
    struct.dc_type = cls
    if not in_bits:
        return struct
    return construct.ByteSwapped(construct.Bitwise(struct))


def interpreted(
    cls: type[Structure],
) -> tuple[Callable[..., Any], Callable[[Any], bytes]]:
    """`decode` and `encode` of `cls` by construct."""
    con = construct_of(cls)

    def decode(data: Buffer, *, strict: bool = False) -> Structure:
        data = bytes(memoryview(data))  # bytes(4) would be four zeros
        if len(data) != cls.size:
            raise wrong_length(cls, len(data))
        try:
            value: Structure = con.parse(data)
        except construct.ConstructError as error:  # a declaration that cannot read every input
            raise DecodeError(f"{cls.declaration.name}: {error}") from error
        if strict:
            raise_first(value)
        return value

    def encode(self: Structure) -> bytes:
        check_ranges(self)
        built: bytes = con.build(self)
        return built

    return decode, encode
