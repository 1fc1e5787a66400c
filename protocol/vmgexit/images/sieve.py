"""Sieves: conditions on fields, which every page of an image is asked for.

A sieve is a table of conditions on fields by their paths; the first condition is one that few pages
meet. A single page is read at offsets computed from the declaration. With numpy,
`vmgexit.schema.columns` reads a block of pages, one condition after the other, and only the pages
that met the conditions before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

from ..schema import Structure
from ..schema.columns import columns
from ..schema.walk import locate

if TYPE_CHECKING:
    from ..schema.columns import Column


class Is(Enum):
    """How a field is compared. Each works on one integer and on an array of them."""

    IN = "in a range"
    OUTSIDE = "outside a range"
    SET = "bits set"
    ZERO = "zero"  # of a field of any kind; its value is not looked at

    def holds(self, held: Any, value: Any) -> Any:
        """Whether it is so: a bool, or an array of them."""
        match self:
            case Is.IN:
                return (held >= value.start) & (held < value.stop)
            case Is.OUTSIDE:
                return (held < value.start) | (held >= value.stop)
            case Is.SET:
                return held & value == value
            case Is.ZERO:
                return held == 0


class Condition(NamedTuple):
    """What the field at `path` must hold: a range's step is 1, bits are an integer."""

    path: str
    comparison: Is
    value: range | int = 0


class Sieve:
    """The conditions that a page must meet to be looked at as a `structure`."""

    def __init__(self, structure: type[Structure], *conditions: Condition) -> None:
        self.structure = structure
        self.conditions = conditions
        self.passes = _every([_test(structure, condition) for condition in conditions])
        """Whether one page passes, bytes of the structure's size."""

    def pages(self, block: Any, among: Column) -> list[int]:
        """Which pages pass of those whose numbers are `among`, in a buffer of pages. Needs numpy."""
        found = columns(self.structure, block, [condition.path for condition in self.conditions])
        for path, comparison, value in self.conditions:
            held: Any = found[path][among]
            if held.ndim > 1:  # rows of bytes, which are only asked whether they are zero
                held = held.any(axis=1)
            among = among[comparison.holds(held, value)]
            if not among.size:
                break
        return list(among.tolist())


Test = Callable[[bytes], bool]


def _every(tests: Sequence[Test]) -> Test:
    """All of them, in their order; nested calls take half the time of a loop."""
    first, *others = tests
    if not others:
        return first
    then = _every(others)
    return lambda page: first(page) and then(page)


def _test(structure: type[Structure], condition: Condition) -> Test:
    """The condition as a question to the bytes of one page."""
    place = locate(structure, condition.path)
    start, low = divmod(place.bit_offset, 8)
    stop = start + (low + place.field.width + 7) // 8
    ones = (1 << place.field.width) - 1
    _, comparison, value = condition
    if comparison is Is.ZERO and not low and not place.field.width % 8:
        zeros = bytes(stop - start)
        return lambda page: page[start:stop] == zeros

    def holds(raw: int) -> bool:
        return bool(comparison.holds(raw >> low & ones, value))

    if stop - start == 1:
        fits = [holds(byte) for byte in range(256)]
        return lambda page: fits[page[start]]
    return lambda page: holds(int.from_bytes(page[start:stop], "little"))
