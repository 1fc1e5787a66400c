"""The walk over a declaration: every field, also of the structures inside, with its path and place.

Tables, columns, drawings and mutators know a structure by this walk alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from ..errors import UsageError, hint, nearest
from .lists import reach
from .structure import Field, Kind, Structure


class Place(NamedTuple):
    """One field where it stands in the outermost structure.

    `path` is unique (`vmpl2.status.reserved_13_11`); `bit_offset` counts from the outermost
    structure's first bit; `depth` is the number of structures around it; `owner` declares it.
    """

    path: str
    bit_offset: int
    depth: int
    field: Field
    owner: type[Structure]

    @property
    def is_leaf(self) -> bool:
        """Leaves cover every bit exactly once; the others are structures that hold them."""
        return self.field.of is None

    @property
    def clause(self) -> str:
        return self.field.clause or self.owner.declaration.clause


def walk(cls: type[Structure]) -> Iterator[Place]:
    """Every field of `cls`, containers before what they hold, in the order of the bits."""
    yield from _walk(cls, "", 0, 0)


def leaves(cls: type[Structure]) -> Iterator[Place]:
    """The places that hold values; together they are every bit of `cls`, each once."""
    return (place for place in walk(cls) if place.is_leaf)


def _walk(cls: type[Structure], prefix: str, base: int, depth: int) -> Iterator[Place]:
    for field in cls.declaration.fields:
        path = f"{prefix}{field.name}"
        start = base + field.bit_offset
        yield Place(path, start, depth, field, cls)
        if field.of is None:
            continue
        step = field.of.size * 8
        for index in range(field.count):
            inner = f"{path}[{index}]" if field.kind is Kind.ARRAY else path
            yield from _walk(field.of, f"{inner}.", start + index * step, depth + 1)


def locate(cls: type[Structure], path: str) -> Place:
    """The place that `path` names. Raises UsageError with the nearest paths where it goes wrong."""
    for place in walk(cls):
        if place.path == path:
            return place
    near = nearest(path, [place.path for place in walk(cls)])
    raise UsageError(f"{cls.declaration.name} has no field {path}{hint(near)}")


def get(value: Structure, path: str) -> Any:
    """The value at `path`, such as `vmpl2.status.pending_vector`."""
    locate(type(value), path)
    return reach(value, path)


def put(value: Structure, path: str, held: Any) -> None:
    """Store `held` at `path`."""
    locate(type(value), path)
    outer, _, last = path.rpartition(".")
    setattr(reach(value, outer), last, held)
