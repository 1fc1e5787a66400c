"""How many elements a list has that stands in a structure of any length, and what its elements point to.

A field says how many there are, or which is the last, or an element says that it ends the list. Elements
may say where bodies stand that belong to them: a manifest, a certificate.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

MOST = 4096
"""Elements of a list that has no limit of its own: as many are read."""


@dataclass(frozen=True, slots=True)
class Bodies:
    """What the elements of a list point to, in the same bytes.

    `offset` and `length` are the element's fields that say where, in bytes from the first byte of all.
    `what` gives the body's name, and the structure that it has, None where there is none here.
    """

    offset: str
    length: str
    what: Callable[[Any], tuple[str, Any]]


@dataclass(frozen=True, slots=True)
class Listing:
    """How many elements a list has: one of `count`, `last` and `until` says it.

    `count` is the path of the field with their number, `last` of the one with the number of the last
    element. `until` says of an element whether it ends the list; it is a part of it. No more than
    `most` are read.
    """

    count: str = ""
    last: str = ""
    until: Callable[[Any], bool] | None = None
    most: int = MOST
    bodies: Bodies | None = None

    @property
    def said_by(self) -> str:
        """The path of the field that says how many; "" where an element ends the list."""
        return self.count or self.last

    @property
    def least(self) -> int:
        """Elements of a list of which nothing is said: the one that ends it, or is the last."""
        return 0 if self.count else 1

    def wanted(self, value: Any) -> int:
        """How many elements the field says there are, in a structure that has it."""
        return int(reach(value, self.said_by)) + bool(self.last)

    def say(self, value: Any, number: int) -> None:
        """Put the number of elements, or of the last one, into its field."""
        outer, _, name = self.said_by.rpartition(".")
        setattr(reach(value, outer), name, max(number - bool(self.last), 0))


def reach(value: Any, path: str) -> Any:
    """What stands at a path, such as `entries[1].frame`; the value itself at ""."""
    for part in re.findall(r"\w+", path):
        value = value[int(part)] if part.isdigit() else getattr(value, part)
    return value
