"""What a small system may do, and what of it is left to do in a state."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

from ..descriptions import Answer, Command
from ..guests.guest import Guest
from ..machine.vcpu import Entry


@dataclass(frozen=True, slots=True)
class System:
    """What a small system may do. Counts are of its whole run.

    Without a `guest` its guests do anything that its counts allow; with one they make that guest's calls,
    and those that cost nothing as often as they like.
    """

    vcpus: int = 2
    registrations: int = 1  # the count at the start
    edge: tuple[int, ...] = ()  # vectors that the host posts edge-triggered, each once
    level: tuple[int, ...] = ()  # and level-triggered
    ipis: tuple[int, ...] = ()  # vectors that a vCPU sends, each once; 2 is a known guest's NMI
    calls: int = 0  # CONFIGURE_EMULATION calls, of any of the three kinds
    intercepts: int = 0  # deliveries that an intercept cuts short
    refusals: int = 0  # requests of an SVSM that the host refuses
    creations: int = 0  # vCPUs that are created anew
    handler_in_window: bool = False  # the #HV handler can run inside the switch window
    guest: Guest | None = None

    @property
    def words(self) -> frozenset[int]:
        """The 32-bit words of IRR, ISR and TMR that hold its vectors."""
        return frozenset(vector // 32 for vector in (*self.edge, *self.level, *self.ipis))

    def ended(self, command: Command, answer: Answer) -> str:
        """Why nothing follows: the SVSM asked for termination, or a guest ended itself; else empty."""
        if "terminated" in answer:
            return f"the SVSM asks for termination: {answer['terminated']}"
        why = self.guest.ending(command, answer) if self.guest else ""
        return f"{self.guest.name} ends itself: {why}" if self.guest and why else ""

    def is_private(self, entry: Entry) -> bool:
        """Whether no other actor can see the next step of an entry."""
        unused_word = entry.step == "take_irr" and entry.word not in self.words
        return entry.step in ("present", "cancel") or unused_word


class Left(NamedTuple):
    """What is left to do: posts (vector, level), IPIs, and the counts."""

    posts: tuple[tuple[int, bool], ...]
    ipis: tuple[int, ...]
    calls: int
    intercepts: int
    refusals: int
    creations: int

    @classmethod
    def of(cls, system: System) -> Left:
        """All that a system may do."""
        posts = [(vector, False) for vector in system.edge]
        posts += [(vector, True) for vector in system.level]
        counts = system.calls, system.intercepts, system.refusals, system.creations
        return cls(tuple(posts), system.ipis, *counts)

    def deals(self, vcpus: int) -> set[tuple[Left, ...]]:
        """Every way to share this out among so many vCPUs; in ascending order, since which is which is no
        matter."""
        whose = product(range(vcpus), repeat=len(self.posts) + len(self.ipis))
        counted = product(*(list(_shares(count, vcpus)) for count in self[2:]))
        return {
            tuple(sorted(self._dealt(owners, counts, vcpus)))
            for owners, counts in product(list(whose), list(counted))
        }

    def _dealt(
        self, owners: tuple[int, ...], counts: tuple[tuple[int, ...], ...], vcpus: int
    ) -> Iterator[Left]:
        for_posts, for_ipis = owners[: len(self.posts)], owners[len(self.posts) :]
        for one in range(vcpus):
            yield Left(
                tuple(
                    post for post, owner in zip(self.posts, for_posts, strict=True) if owner == one
                ),
                tuple(ipi for ipi, owner in zip(self.ipis, for_ipis, strict=True) if owner == one),
                *(shares[one] for shares in counts),
            )


def _shares(count: int, among: int) -> Iterator[tuple[int, ...]]:
    """Every way to share a count out."""
    if among == 1:
        yield (count,)
        return
    for first in range(count + 1):
        for rest in _shares(count - first, among - 1):
            yield first, *rest


Commands = tuple[Command, ...]
Running = tuple[bool, ...]
"""Of each vCPU, whether its guest runs."""

Enabled = Iterator[tuple[Commands, Running, Left]]
"""Moves: the commands, which guests then run, and what is then left to do."""

Budget = Left | tuple[Left, ...]
"""What is left to do: of all vCPUs together, or dealt out to them."""
