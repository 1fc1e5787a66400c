"""A decoded structure of which some bytes may be missing, because its dump was cut.

A missing byte never counts as zero. Fields with missing bytes are `None`, and only those notes and
problems are given that hold for any values of the missing bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from ..schema import Body, Kind, Note, Place, Problem, Structure, Whole, leaves

MESSAGE = "message"
"""The key of JSON under which a word stands as the declaration of its own code reads it."""

OPENED = "opened"
"""The key of JSON under which the payload of a message stands in the clear."""

BODIES = "bodies"
"""The key of JSON under which stands what the elements of a list point to."""


Said = TypeVar("Said", Problem, Note)


class Partial:
    """A decoded structure, and the ranges of its bytes that are missing, where it has anything."""

    def __init__(self, value: Structure, missing: Iterable[range] = ()) -> None:
        self.value = value
        self.cls = type(value)
        self.missing = [part for gap in missing if (part := _cut(gap, 0, value.size))]

    def missing_bytes(self, place: Place) -> int:
        """How many bytes of a field are missing."""
        first, last = place.bit_offset // 8, (place.bit_offset + place.field.width - 1) // 8
        return sum(len(_cut(gap, first, last + 1)) for gap in self.missing)

    def parts(self, place: Place) -> tuple[bytes, int]:
        """The bytes of a field that are there, and how many others it has."""
        data = self.value.encode()
        first = place.bit_offset // 8
        bytes_ = range(first, first + place.field.size)
        there = bytes(data[at] for at in bytes_ if not any(at in gap for gap in self.missing))
        return there, len(bytes_) - len(there)

    def is_missing(self, place: Place) -> bool:
        """Whether a field has no value: any byte is missing, or of a field of bytes every one."""
        missing = self.missing_bytes(place)
        whole = place.field.kind is Kind.BYTES
        return 0 < missing == place.field.size if whole else missing > 0

    def problems(self) -> list[Problem]:
        """The rules that the value breaks, whatever the missing bytes are."""
        return self._certain([*self.value.problems()], lambda value: value.problems())

    def notes(self) -> list[Note]:
        """What else is to know, whatever the missing bytes are."""
        return self._certain([*self.value.notes()], lambda value: value.notes())

    def _certain(self, found: list[Said], of: Callable[[Structure], Iterable[Said]]) -> list[Said]:
        if not self.missing:
            return found
        data = bytearray(self.value.encode())
        for gap in self.missing:
            data[gap.start : gap.stop] = b"\xff" * len(gap)
        others = {str(each) for each in of(self.cls.decode(bytes(data)))}
        unknown = {place.path for place in leaves(self.cls) if self.missing_bytes(place)}
        return [each for each in found if str(each) in others and each.path not in unknown]

    @property
    def message(self) -> Structure | None:
        """The word as the declaration of its own code reads it, where it has one."""
        found: Structure = getattr(self.value, "specific", self.value)
        return None if found is self.value or self.missing else found

    def overruns(self) -> list[Problem]:
        """What a structure of any length says beyond the bytes."""
        return list(self.value.overruns()) if isinstance(self.value, Whole) else []

    def bodies(self) -> list[Body]:
        """What the elements of a list point to, where all bytes are there."""
        return self.value.bodies() if isinstance(self.value, Whole) and not self.missing else []

    def as_dict(self) -> dict[str, Any]:
        """As `Structure.as_dict`; what is missing is None, and a word has its message."""
        made = self.value.as_dict()
        if self.missing:
            _blank(made, self.cls, self.missing, 0)
        if self.message is not None:
            made[MESSAGE] = message_of(self.message)
        if bodies := self.bodies():
            room = self.value.size  # bodies that overlap would have no end
            made[BODIES] = []
            for body in bodies:
                room -= len(body.held)
                made[BODIES].append(body_of(body, with_bytes=room >= 0))
        return made


def message_of(value: Structure) -> dict[str, Any]:
    """A message as JSON has it: the name of its declaration, then its fields."""
    return {"structure": value.declaration.name, **value.as_dict()}


def body_of(body: Body, *, with_bytes: bool) -> dict[str, Any]:
    """A body in JSON: decoded, where it has a structure, else as hex."""
    if body.value is not None:
        held = message_of(body.value)
    else:
        held = {"hex": body.held.hex()} if with_bytes else {}
    return {
        "path": body.path,
        "name": body.name,
        "offset": body.offset,
        "length": body.length,
        **held,
    }


def _cut(gap: range, start: int, stop: int) -> range:
    return range(max(gap.start, start), min(gap.stop, stop))


def _blank(made: dict[str, Any], cls: type[Structure], missing: list[range], base: int) -> None:
    """Put None in the place of every field that has missing bytes; `base` is the structure's offset."""
    for field in cls.declaration.fields:
        first = base + field.bit_offset // 8
        last = base + (field.bit_offset + field.width - 1) // 8
        if not any(_cut(gap, first, last + 1) for gap in missing):
            continue
        if field.kind is Kind.STRUCT:
            assert field.of is not None
            _blank(made[field.name], field.of, missing, first)
        elif field.kind is Kind.ARRAY:
            assert field.of is not None
            for index, item in enumerate(made[field.name]):
                _blank(item, field.of, missing, first + index * field.of.size)
        else:
            made[field.name] = None
