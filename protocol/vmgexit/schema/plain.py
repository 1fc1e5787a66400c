"""Structures as nested plain values, which JSON can have, and back.

Integers and flags stay what they are, bytes become hex digits, structures become objects.
`from_dict` takes what `as_dict` gives, and names the place of anything else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, SupportsIndex, TypeVar

from ..errors import EncodeError, brief, hint, nearest
from .structure import Field, Kind, Structure

S = TypeVar("S", bound=Structure)


def as_dict(value: Structure) -> dict[str, Any]:
    """See `Structure.as_dict`."""
    value.encode()  # raises for a value that does not fit
    return _object(value)


def _object(value: Structure) -> dict[str, Any]:
    fields = value.declaration.fields
    return {field.name: _plain(field, getattr(value, field.name)) for field in fields}


def _plain(field: Field, value: Any) -> Any:
    match field.kind:
        case Kind.FLAG:
            return bool(value)
        case Kind.BYTES:
            return bytes(value).hex()
        case Kind.STRUCT:
            return _object(field.structure(value))
        case Kind.ARRAY:
            return [_object(field.structure(item)) for item in value]
        case _:
            return int(value)


def from_dict(cls: type[S], values: Mapping[str, Any], *, partial: bool = False) -> S:
    """See `Structure.from_dict`."""
    return _structure(cls, values, "", partial=partial)


def _structure(cls: type[S], given: Any, path: str, *, partial: bool) -> S:
    name = cls.declaration.name
    if not isinstance(given, Mapping):
        raise unexpected(path or name, given, "an object")
    fields = {field.name: field for field in cls.declaration.fields}
    prefix = f"{path}." if path else ""
    values = {}
    for key, held in given.items():
        where = f"{prefix}{key}"
        if key not in fields:
            like = hint(nearest(str(key), fields))
            raise EncodeError(f"{where}: {name} has no field {key}{like}", path=where)
        values[key] = _value(fields[key], held, where, partial=partial)
    missing = [f"{prefix}{key}" for key in fields if key not in given]
    if missing and not partial:
        raise EncodeError(f"{', '.join(missing)}: missing", path=missing[0])
    return cls(**values)


def _value(field: Field, given: Any, path: str, *, partial: bool) -> Any:
    """The value of `field` that `given` is the plain form of."""
    match field.kind:
        case Kind.STRUCT:
            return _nested(field, given, path, partial=partial)
        case Kind.ARRAY:
            if not isinstance(given, list) or len(given) != field.count:
                found = f"{len(given)} items" if isinstance(given, list) else brief(given)
                raise EncodeError(
                    f"{path}: {found} found, a list of {field.count} expected", path=path
                )
            return [
                _nested(field, each, f"{path}[{at}]", partial=partial)
                for at, each in enumerate(given)
            ]
        case Kind.BYTES:
            given = bytes_of(given, path)
        case _ if not _is_number(given, may_be_bool=field.kind is Kind.FLAG):
            raise unexpected(path, given, expected_of(field))
    if complaint := field.complaint(given):
        raise EncodeError(f"{path}: {complaint}", path=path)
    return field.settled(given)


def _nested(field: Field, given: Any, path: str, *, partial: bool) -> Structure:
    assert field.of is not None
    if field.of.declaration.is_bits and _is_number(given):
        if complaint := field.structure_complaint(given):
            raise EncodeError(f"{path}: {complaint}", path=path)
        return field.structure(given)
    return _structure(field.of, given, path, partial=partial)


def _is_number(given: Any, *, may_be_bool: bool = False) -> bool:
    return may_be_bool if isinstance(given, bool) else isinstance(given, SupportsIndex)


def bytes_of(text: Any, path: str) -> bytes:
    """Bytes in hex. Raises EncodeError for anything else."""
    try:
        return bytes.fromhex(text if isinstance(text, str) else "?")
    except ValueError:
        raise unexpected(path, text, "hex") from None


def expected_of(field: Field) -> str:
    """What a field that holds a number takes."""
    return "true, false, 0 or 1" if field.kind is Kind.FLAG else "an integer"


def unexpected(path: str, found: Any, expected: str) -> EncodeError:
    """The error for something of another kind than `expected`."""
    return EncodeError(f"{path}: {brief(found)} found, {expected} expected", path=path)
