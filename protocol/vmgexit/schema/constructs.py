"""The declarations as constructs, for those who use construct: what `DoorbellPage.construct` is.

Each is an adapter of a `construct.Struct` of the fields: it parses to the structure and builds from one,
or from a mapping of its fields, alone or inside other constructs. It shares nothing with the compiled
codec but the declaration, so that the tests and the fuzz target `codec-differential` compare the two.

Only this module imports construct, which takes a tenth of a second.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from typing import Any

import construct

from .lists import Listing, reach
from .structure import Bits, Field, Kind, Structure, named
from .whole import Whole

_INTEGERS = {
    8: construct.Int8ul,
    16: construct.Int16ul,
    32: construct.Int32ul,
    64: construct.Int64ul,
}


class StructureAdapter(construct.Adapter):  # type: ignore[misc]  # construct has no types
    """A structure in construct's terms. `subcon` has the fields, as a Struct of their names."""

    def __init__(self, of: type[Structure]) -> None:
        in_bits = issubclass(of, Bits)
        fields = [
            construct.Renamed(_subcon(field, in_bits), field.name, field.meaning)
            for field in of.declaration.fields
        ]
        # construct numbers bits from the most significant one; ours are listed from bit 0.
        super().__init__(
            construct.ByteSwapped(construct.BitStruct(*reversed(fields)))
            if in_bits
            else construct.Struct(*fields)
        )
        self.of = of
        self._whole = Field(Kind.STRUCT, 8 * of.size, "", of=of)

    def _decode(self, obj: Any, context: Any, path: str) -> Structure:
        return self.of(**{field.name: obj[field.name] for field in self.of.declaration.fields})

    def _encode(self, obj: Any, context: Any, path: str) -> dict[str, Any]:
        if isinstance(obj, Mapping):
            obj = self.of(**obj)
        if complaint := self._whole.complaint(obj):
            raise construct.ValidationError(complaint, path)
        value, built = self._whole.structure(obj), {}
        for field in self.of.declaration.fields:
            held = getattr(value, field.name)
            if field.of is not None and isinstance(held, Structure | Mapping | list):
                built[field.name] = held  # for the construct of what is inside to judge
            elif complaint := field.complaint(held):
                raise construct.ValidationError(f"{field.name}: {complaint}", path)
            else:
                built[field.name] = field.settled(held)
        return built


class WholeConstruct(construct.Subconstruct):  # type: ignore[misc]  # construct has no types
    """A structure of any length in construct's terms: what follows it belongs to it."""

    def __init__(self, of: type[Whole]) -> None:
        *fixed, listed, rest = of.declaration.fields
        super().__init__(
            construct.Struct(
                *(construct.Renamed(_subcon(field, False), field.name) for field in fixed),
                construct.Renamed(_list(listed), listed.name),
                construct.Renamed(construct.GreedyBytes, rest.name),
            )
        )
        self.of = of

    def _parse(self, stream: Any, context: Any, path: str) -> Whole:
        parsed = self.subcon._parsereport(stream, context, path)
        return self.of(**{field.name: parsed[field.name] for field in self.of.declaration.fields})

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        value = self.of(**obj) if isinstance(obj, Mapping) else obj
        if not isinstance(value, self.of):
            raise construct.ValidationError(f"{obj!r} is not a {self.of.__name__}", path)
        type(value).construct._build(value, stream, context, path)
        return value


def _list(field: Field) -> Any:
    """As many elements as are said, or as there are bytes for."""
    assert field.of is not None
    assert field.listing is not None
    listing, inner, size = field.listing, field.of.construct, field.of.size
    if listing.until is None:
        return _adapted(inner[lambda this: _number(listing, this, size)], list)

    def is_last(element: Any, there: list[Any], context: Any) -> bool:
        left, at = _left(context), context._io.tell()
        return (
            (listing.until is not None and bool(listing.until(element)))
            or left < size
            or len(there) >= listing.most
            or any(at >= start for start in _bodies(listing, there, size))
        )

    repeated = construct.RepeatUntil(is_last, inner)
    return _adapted(construct.IfThenElse(lambda this: _left(this) < size, inner[0], repeated), list)


def _number(listing: Listing, context: Any, size: int) -> int:
    wanted = int(reach(context, listing.said_by)) + bool(listing.last)
    return min(wanted, listing.most, _left(context) // size)


def _left(context: Any) -> int:
    """The bytes of the stream that are not read yet."""
    at = int(context._io.tell())
    end = int(context._io.seek(0, io.SEEK_END))
    context._io.seek(at)
    return end - at


def _bodies(listing: Listing, there: list[Any], size: int) -> Iterator[int]:
    """Where bodies begin that stand after the elements that name them; the list begins the stream."""
    if listing.bodies is not None:
        for at, element in enumerate(there):
            start = element[listing.bodies.offset]
            if start > at * size and element[listing.bodies.length]:
                yield start


def _subcon(field: Field, in_bits: bool) -> Any:
    match field.kind:
        case Kind.BYTES:
            return construct.Bytes(field.size)
        case Kind.BITMAP:
            return construct.BytesInteger(field.size, swapped=True)
        case Kind.FLAG:
            return construct.Flag
        case Kind.UINT:
            plain = construct.BitsInteger(field.width) if in_bits else _INTEGERS[field.width]
            return plain if field.enum is None else _adapted(plain, lambda n: named(n, field.enum))
    assert field.of is not None
    inner = field.of.construct
    # construct's own kind of list has another repr.
    return inner if field.kind is Kind.STRUCT else _adapted(inner[field.count], list)


def _adapted(subcon: Any, parsed: Any) -> Any:
    """`subcon` whose parsed objects go through `parsed`; it builds from those as they are."""
    return construct.ExprAdapter(subcon, lambda obj, _: parsed(obj), lambda obj, _: obj)
