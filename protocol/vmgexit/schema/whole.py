"""Structures of any length: a fixed part, a list as long as the bytes say, and the rest of the bytes.

A declared `Whole` is a family. Each length of its list and of its rest is an ordinary structure of a
fixed size, its shape, made when it is needed: a class below the declared one. So whatever reads
declarations reads shapes without knowing of lists. `decode` and the constructor choose the shape.

Any bytes from the fixed part on decode and encode back to themselves. A list that says more than the
bytes hold has as many elements as they do; `problems` names what says so, and where the bytes end.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, SupportsIndex, TypeVar

from ..counting import count_of
from ..errors import DecodeError
from . import plain
from .checks import wrong_length
from .lists import Listing, reach
from .problems import Problem
from .structure import Buffer, Field, Record, Structure

W = TypeVar("W", bound="Whole")


@dataclass(frozen=True, slots=True)
class Body:
    """What an element of a list points to.

    `path`: of the element. `name`: what the body is. `offset`, `length`: where, as the element says.
    `held`: what the bytes have of it, which may be less, and which others may have too. `of`: the
    structure that it has; None where there is none here.
    """

    path: str
    name: str
    offset: int
    length: int
    held: memoryview
    of: type[Structure] | None

    @property
    def stop(self) -> int:
        """The offset after its last byte."""
        return self.offset + self.length

    @property
    def data(self) -> bytes:
        """All bytes of the body. Raises DecodeError where it runs past the bytes."""
        if len(self.held) < self.length:
            raise DecodeError(
                f"{self.path}: {len(self.held)} of the {self.length} bytes at {self.offset:#x} are there",
                path=self.path,
                offset=self.offset + len(self.held),
            )
        return bytes(self.held)

    @property
    def value(self) -> Structure | None:
        """The body decoded by its own structure; None where it has none, or another length."""
        if self.of is None or len(self.held) < self.length or not self.of.accepts(self.length):
            return None
        return self.of.decode(self.held)


class Whole(Record):
    """A structure of any length. `size` is the least number of bytes of the declared class.

    `ServicesManifest(services=[...], rest=b"...")` has a list of that length, whose count is put where
    it belongs unless its field is given. A list cannot grow in place: make another value.
    """

    __slots__ = ()

    @classmethod
    def shape(cls: type[W], count: int, rest: int = 0) -> type[W]:
        """The structure of a fixed size with `count` elements in the list, and `rest` bytes after it."""
        raise NotImplementedError  # every declared family gets its own

    @classmethod
    def list_field(cls) -> Field:
        """The field that is the list."""
        return next(field for field in cls.declaration.fields if field.listing is not None)

    @classmethod
    def listing(cls) -> Listing:
        """What says how many elements the list has."""
        listing = cls.list_field().listing
        assert listing is not None
        return listing

    def __new__(cls: type[W], **values: Any) -> W:
        if cls.declaration.any_length:
            name, least = cls.list_field().name, cls.listing().least
            count = _length(values[name]) if name in values else least
            cls = cls.shape(count, _length(values.get(cls._rest())))
        return object.__new__(cls)

    def __init__(self, **values: Any) -> None:
        Record.__init__(self, **values)
        said_by = self.listing().said_by
        if said_by and said_by.partition(".")[0] not in values:
            self.listing().say(self, len(self.elements))

    @classmethod
    def _rest(cls) -> str:
        """The name of the field with the rest."""
        return cls.declaration.fields[-1].name

    @classmethod
    def accepts(cls, length: int) -> bool:
        return length >= cls.size if cls.declaration.any_length else length == cls.size

    # --- bytes to a value -------------------------------------------------------------------------

    @classmethod
    def decode(cls: type[W], data: Buffer, *, strict: bool = False) -> W:
        """The structure that the bytes hold, all of them. Raises DecodeError without the fixed part."""
        data = bytes(memoryview(data))
        return cls.shape_of(data).decode(data, strict=strict)

    def encode(self) -> bytes:
        return type(self).encode(self)  # of its shape

    @classmethod
    def view(cls: type[W], buffer: Any, offset: int = 0) -> W:
        """As `Structure.view`: to the end of the buffer, and as long as the list is now."""
        return cls.shape_of(memoryview(buffer).cast("B")[offset:]).view(buffer, offset)

    @classmethod
    def from_dict(cls: type[W], values: Mapping[str, Any], *, partial: bool = False) -> W:
        name, count, rest = cls.list_field().name, cls.listing().least, 0
        with contextlib.suppress(TypeError):  # what is not a mapping is complained of below
            count = _length(values[name]) if name in values else count
            rest = _length(values[cls._rest()]) // 2 if cls._rest() in values else 0  # in hex
        return plain.from_dict(cls.shape(count, rest), values, partial=partial)

    @classmethod
    def shape_of(cls: type[W], data: Buffer) -> type[W]:
        """The shape that bytes have. Raises DecodeError where they end within the fixed part."""
        field, listing = cls.list_field(), cls.listing()
        assert field.of is not None
        start, step = field.byte_offset, field.of.size
        if len(data) < start:
            raise wrong_length(cls, len(data))
        there = min((len(data) - start) // step, listing.most)
        if listing.until is None:
            there = min(there, listing.wanted(cls.shape(0).decode(data[:start])))
        else:
            there = _until(field, listing, data, there)
        return cls.shape(there, len(data) - start - there * step)

    # --- what a value has -------------------------------------------------------------------------

    @property
    def elements(self) -> list[Any]:
        """The list."""
        held: list[Any] = getattr(self, self.list_field().name)
        return held

    def bodies(self) -> list[Body]:
        """What the elements of the list point to, but for the one that ends it."""
        field, listing = self.list_field(), self.listing()
        if listing.bodies is None:
            return []
        data, found = memoryview(self.encode()), []
        for at, element in enumerate(self.elements):
            if listing.until is None or not listing.until(element):
                offset = getattr(element, listing.bodies.offset)
                length = getattr(element, listing.bodies.length)
                name, of = listing.bodies.what(element)
                held = data[offset : offset + length]
                found.append(Body(f"{field.name}[{at}]", name, offset, length, held, of))
        return found

    def extent(self) -> int:
        """How many bytes the value says that it has: with its list, its bodies, its total."""
        field, listing = self.list_field(), self.listing()
        assert field.of is not None
        count = len(self.elements) if listing.until else listing.wanted(self)
        ends = [body.stop for body in self.bodies() if body.length]
        return max(field.byte_offset + count * field.of.size, self._total(), *ends)

    def _total(self) -> int:
        total = self.declaration.total
        return int(reach(self, total)) if total else 0

    def _list_end(self) -> int:
        field = self.list_field()
        return field.byte_offset + field.size

    # --- what is wrong with it --------------------------------------------------------------------

    def overruns(self) -> Iterator[Problem]:
        """What runs past the bytes: a count, a list without its end, a total, a body."""
        field, listing = self.list_field(), self.listing()
        assert field.of is not None
        step, there, size = field.of.size, len(self.elements), self.size
        ends = f"the bytes end at {size:#x}"
        if listing.until:
            if not any(map(listing.until, self.elements)):
                most = f"at most {listing.most} are read"
                rule = f"no element ends the list; {ends if there < listing.most else most}"
                yield self._problem(field.name, there, rule)
        elif (wanted := listing.wanted(self)) > there and (
            stop := field.byte_offset + wanted * step
        ) > size:
            held = reach(self, listing.said_by)
            rule = f"{count_of(wanted, 'element')} of {step} bytes would end at {stop:#x}; {ends}"
            yield self._problem(listing.said_by, held, rule)
        if self._total() > size:
            yield self._problem(self.declaration.total, self._total(), ends)
        for body in self.bodies():
            if body.length > len(body.held):
                rule = f"from {body.offset:#x} on it would end at {body.stop:#x}; {ends}"
                yield self._problem(self._said_by(body)[1], body.length, rule)

    def judged(self, path: str = "") -> Iterator[Problem]:
        value = self.settled()  # a word may be its integer, which has no count
        yield from Record.judged(value, path)
        past = list(value.overruns())
        for problem in [*past, *value._mismatches({problem.path for problem in past})]:
            yield replace(problem, path=f"{path}{problem.path}")

    def _mismatches(self, known: set[str]) -> Iterator[Problem]:
        """What does not fit together; nothing of the paths that are `known` to be wrong."""
        listing = self.listing()
        there, said_by = len(self.elements), listing.said_by
        if listing.until:
            yield from self._early_ends()
        elif said_by not in known and listing.wanted(self) != there:
            most = f", and at most {listing.most} are read" * (there == listing.most)
            rule = f"the list has {count_of(there, 'element')}{most}"
            yield self._problem(said_by, reach(self, said_by), rule)
        total = self.declaration.total
        if total and self._total() < self._list_end():
            rule = f"the list ends at {self._list_end():#x}"
            yield self._problem(total, self._total(), rule)
        yield from self._body_problems(known)

    def _early_ends(self) -> Iterator[Problem]:
        """Elements that end the list, and are not its last one."""
        name, listing = self.list_field().name, self.listing()
        for at, element in enumerate(self.elements[:-1]):
            if listing.until and listing.until(element):
                rule = "ends the list before its last element"
                yield self._problem(f"{name}[{at}]", at, rule)

    def _body_problems(self, known: set[str]) -> Iterator[Problem]:
        """Bodies that stand in the list, in one another, or past the total; of a wrong size."""
        bodies = sorted(
            (body for body in self.bodies() if body.length), key=lambda body: body.offset
        )
        end, last = self._list_end(), "the list"
        for body in bodies:
            offset, length = self._said_by(body)
            if body.offset < end:
                rule = f"within {last}, which ends at {end:#x}"
                yield self._problem(offset, body.offset, rule)
            if body.stop > end:
                end, last = body.stop, body.path
            if length in known:
                continue
            if body.of is not None and not body.of.accepts(body.length):
                rule = f"{body.of.declaration.name} has {body.of.size} bytes"
                yield self._problem(length, body.length, rule)
            if self._total() and body.stop > self._total():
                rule = f"ends at {body.stop:#x}, past the total of {self._total():#x}"
                yield self._problem(length, body.length, rule)

    def _said_by(self, body: Body) -> tuple[str, str]:
        """The paths of the fields that say where a body is, and how long."""
        bodies = self.listing().bodies
        assert bodies is not None
        return f"{body.path}.{bodies.offset}", f"{body.path}.{bodies.length}"

    def _problem(self, path: str, value: Any, rule: str) -> Problem:
        return Problem(path, value, rule, self.declaration.clause)

    # --- Python -----------------------------------------------------------------------------------

    def __repr__(self) -> str:
        """All fields, as a call: the lengths of the list and of the rest are in it."""
        names = (field.name for field in self.declaration.fields)
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
        return f"{type(self).__name__}({shown})"

    def __reduce_ex__(self, _protocol: SupportsIndex) -> tuple[Any, ...]:
        """A shape is no class that pickle could find."""
        family = next(cls for cls in type(self).__mro__ if _is_family(cls))
        return _shaped, (
            family,
            len(self.elements),
            len(getattr(self, self._rest())),
            self.encode(),
        )


def _is_family(cls: type) -> bool:
    return "declaration" in vars(cls) and issubclass(cls, Whole) and cls.declaration.any_length


def _shaped(family: type[Whole], count: int, rest: int, data: bytes) -> Whole:
    return family.shape(count, rest).decode(data)


def _length(held: Any) -> int:
    """The elements of a list or bytes; 0 of anything else, which `encode` complains of."""
    return len(held) if hasattr(held, "__len__") else 0


def _until(field: Field, listing: Listing, data: Buffer, most: int) -> int:
    """How many elements there are with the one that ends the list.

    Where none does, the list ends where the first body begins, or with the bytes.
    """
    assert field.of is not None
    assert listing.until is not None
    start, step = field.byte_offset, field.of.size
    first = len(data)
    for at in range(most):
        begin = start + at * step
        if begin >= first:
            return at
        element = field.of.decode(data[begin : begin + step])
        if listing.until(element):
            return at + 1
        if listing.bodies is not None:
            offset = getattr(element, listing.bodies.offset)
            if offset > begin and getattr(element, listing.bodies.length):
                first = min(first, offset)
    return most
