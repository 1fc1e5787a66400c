"""Mutating messages field by field: a field gets a value that could matter, or the value of another
input.

A target that is a `Messages` says how it reads its inputs: how many bytes choose what the input is
about, and which fields stand where. Some mutations change plain bytes. All weights are in
`MUTATIONS` and `VALUES`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from vmgexit.schema import Field, Structure, leaves
from vmgexit.wire.calls import calls
from vmgexit.wire.exits import exits

from .bursts import VECTORS

EDGES = (
    *(0, 1, 2, 3, 4, 7, 8, 9, 15, 16, 0xFF, 0x100),
    *(252, 253, 254, 509, 510, 511, 512, 513),  # entries of page lists, pages in a large one
    *(0x7E8, 0x7EF, 0x7F0, 0x7F8, 0x800, 0xFE8, 0xFEF, 0xFF0),  # of the GHCB's shared buffer
    *(0xFFF, 0x1000, 0x1001, 0x200000, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 32, 1 << 40, 1 << 51),
)
CLASS = 16  # vectors of one priority
FEW = 64  # fields; of messages with more, crossover takes a run of neighbours
MOST_FIELDS = 4  # set in one mutation


@dataclass(frozen=True, slots=True)
class Leaf:
    """A field where it stands in an input. `switch` is a bit that says that the field counts."""

    field: Field
    at: int  # in bits, from the input's first
    switch: int | None = None


def fields_of(cls: type[Structure], offset: int) -> tuple[Leaf, ...]:
    """Every field of a structure that begins at byte `offset` of an input."""
    found = _fields.get((cls, offset))
    if found is None:
        places = (place for place in leaves(cls) if place.field.width)  # none, of a rest
        found = tuple(Leaf(place.field, 8 * offset + place.bit_offset) for place in places)
        _fields[cls, offset] = found
    return found


_fields: dict[tuple[type[Structure], int], tuple[Leaf, ...]] = {}


# --- values ---------------------------------------------------------------------------------------

Value = Callable[[random.Random, Field, int], int]


@cache
def _numbers() -> tuple[int, ...]:
    """The numbers of everything that can be asked for, of hosts and of SVSMs."""
    return (
        *(row.code for row in exits()),
        *(call.protocol << 32 | call.number for call in calls()),
    )


def _edge(pick: random.Random, field: Field, held: int) -> int:
    top = 1 << field.width - 1
    return pick.choice((pick.choice(EDGES), pick.choice(EDGES), -1, -2, top, top - 1))


def _known(pick: random.Random, field: Field, held: int) -> int:
    """A number that has a meaning, or one next to it that may have none."""
    there_are = tuple(field.enum) if field.enum is not None else _numbers()
    return int(pick.choice(there_are)) + pick.choice((0, 0, 0, 1, -1))


def _near(pick: random.Random, field: Field, held: int) -> int:
    return held + pick.choice((1, -1, 8, -8, held))


def _flipped(pick: random.Random, field: Field, held: int) -> int:
    return held ^ 1 << pick.randrange(field.width)


def _vector(pick: random.Random, field: Field, held: int) -> int:
    """A vector; or another of the same class as the one there is, or of the next."""
    other = held ^ pick.randrange(1, CLASS)
    return pick.choice((pick.choice(VECTORS), other, held + CLASS, held - CLASS))


def _any(pick: random.Random, field: Field, held: int) -> int:
    return pick.getrandbits(field.width)


VALUES: dict[Value, int] = {
    _edge: 5,
    _known: 4,
    _flipped: 4,
    _near: 3,
    _vector: 2,
    _any: 1,
}
_VALUES = [value for value, weight in VALUES.items() for _ in range(weight)]


# --- mutations ------------------------------------------------------------------------------------

Mutation = Callable[["Messages", random.Random, bytearray], None]


def _set_fields(messages: Messages, pick: random.Random, data: bytearray) -> None:
    """Some fields, the first ones of long messages more often."""
    there_are = messages.fields(bytes(data))
    for _ in range(pick.choice((1, 1, 1, 2, MOST_FIELDS)) if there_are else 0):
        leaf = there_are[min(pick.randrange(len(there_are)), pick.randrange(len(there_are)))]
        value = pick.choice(_VALUES)
        _put(data, leaf, value(pick, leaf.field, _get(data, leaf)))


def _copy_field(messages: Messages, pick: random.Random, data: bytearray) -> None:
    """What one field holds into another: equal values, or one beside the other."""
    there_are = messages.fields(bytes(data))
    if there_are:
        source, target = pick.choice(there_are), pick.choice(there_are)
        _put(data, target, _get(data, source) + pick.choice((0, 0, 1, -1)))


def _choose(messages: Messages, pick: random.Random, data: bytearray) -> None:
    """Something else that the input is about; the rest stays."""
    if messages.head:
        data.extend(bytes(max(messages.head - len(data), 0)))
        data[pick.randrange(messages.head)] = pick.getrandbits(8)


def _change_byte(messages: Messages, pick: random.Random, data: bytearray) -> None:
    if data:
        at = pick.randrange(len(data))
        data[at] = pick.choice((0, 0xFF, data[at] ^ 1 << pick.randrange(8), pick.getrandbits(8)))


def _cut(messages: Messages, pick: random.Random, data: bytearray) -> None:
    """Bytes leave or come, so that what follows moves."""
    at, size = pick.randint(0, len(data)), pick.choice((1, 1, 4, 8, 64))
    if pick.random() < 0.5:
        del data[at : at + size]
    else:
        data[at:at] = pick.randbytes(size)


MUTATIONS: dict[Mutation, int] = {
    _set_fields: 10,
    _copy_field: 2,
    _choose: 2,
    _change_byte: 3,
    _cut: 1,
}
_MUTATIONS = [mutation for mutation, weight in MUTATIONS.items() for _ in range(weight)]


def _extent(leaf: Leaf) -> slice:
    return slice(leaf.at // 8, (leaf.at + leaf.field.width + 7) // 8)


def _get(data: bytes | bytearray, leaf: Leaf) -> int:
    word = int.from_bytes(data[_extent(leaf)], "little")
    return word >> leaf.at % 8 & (1 << leaf.field.width) - 1


def _put(data: bytearray, leaf: Leaf, value: int) -> None:
    """Set the field, as much of `value` as fits it, and its switch."""
    extent, low = _extent(leaf), leaf.at % 8
    data.extend(bytes(max(extent.stop - len(data), 0)))
    mask = (1 << leaf.field.width) - 1
    word = int.from_bytes(data[extent], "little") & ~(mask << low) | (value & mask) << low
    data[extent] = word.to_bytes(extent.stop - extent.start, "little")
    if leaf.switch is not None:
        data[leaf.switch // 8] |= 1 << leaf.switch % 8


class Messages:
    """The base of a target whose inputs are messages: `head` bytes choose what an input is about."""

    head: int

    def fields(self, data: bytes) -> Sequence[Leaf]:
        """The fields of an input, by what its first bytes choose."""
        raise NotImplementedError

    def mutate(self, data: bytes, longest: int, seed: int) -> bytes:
        """Another input, of at most `longest` bytes. Never raises, whatever `data` is."""
        pick, changed = random.Random(seed), bytearray(data[:longest])
        if not changed:
            changed += pick.randbytes(self.head)
        for _ in range(pick.choice((1, 1, 1, 2, 3))):
            pick.choice(_MUTATIONS)(self, pick, changed)
        return bytes(changed[:longest])

    def crossover(self, one: bytes, other: bytes, longest: int, seed: int) -> bytes:
        """One input with some fields as the other has them; at most `longest` bytes."""
        pick, changed = random.Random(seed), bytearray(one[:longest])
        for leaf in _some(pick, self.fields(bytes(changed))):
            if _extent(leaf).stop <= len(other):
                _put(changed, leaf, _get(other, leaf))
        return bytes(changed[:longest])


def _some(pick: random.Random, there_are: Sequence[Leaf]) -> Iterator[Leaf]:
    if len(there_are) <= FEW:
        return (leaf for leaf in there_are if pick.random() < 0.5)
    first = pick.randrange(len(there_are))
    return iter(there_are[first : first + pick.randint(1, FEW)])
