"""The declarations as constructs, for those who use construct: what `DoorbellPage.construct` is.

Each is an adapter of a `construct.Struct` of the fields: it parses to the structure and builds from one,
or from a mapping of its fields, alone or inside other constructs. It shares nothing with the compiled
codec but the declaration, so that the tests and the fuzz target `codec-differential` compare the two.

Only this module imports construct, which takes a tenth of a second.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import construct

from .structure import Bits, Field, Kind, Structure, named

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
