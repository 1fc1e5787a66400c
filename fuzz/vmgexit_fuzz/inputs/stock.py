"""Programs from nothing, put together from bursts that are in stock.

Making a burst takes as long as running ten commands, and putting one behind another takes almost nothing.
So bursts are kept, and used some dozens of times in ever other company. Bugs sit where interrupts
meet: bursts of one shelf are about the same few vectors. Each program adds one new burst to its
shelf, and now and then a shelf is emptied and gets other vectors. Where there is memory, they are about the
same few pages.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

SHELVES = 16
ON_A_SHELF = 48  # bursts
LEAST = 4  # before a shelf's bursts are used
EMPTIED = 1 / 256  # of a shelf, at each program
MOST_BURSTS = 14  # of a program, unless more are asked for
NEW = 1 / 8  # of the bursts that a program is changed by


@dataclass(slots=True)
class Shelf:
    """Bursts about the same vectors or pages, each in the binary spelling."""

    subjects: tuple[int, ...]
    bursts: list[bytes] = field(default_factory=list)


class Stock:
    """Makes programs: `opening` gives the beginning of one, `burst` a burst about some of `subjects`,
    `least` or up to two more."""

    def __init__(
        self,
        opening: Callable[[random.Random], bytes],
        burst: Callable[[random.Random, tuple[int, ...]], bytes],
        subjects: tuple[int, ...],
        least: int = 1,
        most_bursts: int = MOST_BURSTS,
    ) -> None:
        self.opening, self.burst, self.subjects, self.least = opening, burst, subjects, least
        self.most_bursts = most_bursts
        self.shelves: list[Shelf] = []

    def program(self, pick: random.Random) -> bytes:
        """A program that was not made before."""
        shelf = self._shelf(pick)
        bursts = shelf.bursts
        new = self.burst(pick, shelf.subjects)
        if len(bursts) < ON_A_SHELF:
            bursts.append(new)
        else:
            bursts[int(pick.random() * ON_A_SHELF)] = new
        while len(bursts) < LEAST:
            bursts.append(self.burst(pick, shelf.subjects))
        made = pick.choices(bursts, k=1 + int(pick.random() * self.most_bursts))
        made[int(pick.random() * len(made))] = new
        return self.opening(pick) + b"".join(made)

    def any_burst(self, pick: random.Random) -> bytes:
        """A burst, mostly one in stock."""
        shelf = self._shelf(pick)
        if not shelf.bursts or pick.random() < NEW:
            shelf.bursts[:0] = [self.burst(pick, shelf.subjects)]
            del shelf.bursts[ON_A_SHELF:]
            return shelf.bursts[0]
        return pick.choice(shelf.bursts)

    def _shelf(self, pick: random.Random) -> Shelf:
        """One of the shelves; an empty one while there are few."""
        at = int(pick.random() * SHELVES)
        if at < len(self.shelves) and pick.random() >= EMPTIED:
            return self.shelves[at]
        shelf = Shelf(tuple(pick.sample(self.subjects, self.least + int(pick.random() * 3))))
        if at < len(self.shelves):
            self.shelves[at] = shelf
        else:
            self.shelves.append(shelf)
        return shelf
