"""What a small system may do, and what of it is left to do in a state."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
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


Commands = tuple[Command, ...]
Running = tuple[bool, ...]
"""Of each vCPU, whether its guest runs."""

Enabled = Iterator[tuple[Commands, Running, Left]]
"""Moves: the commands, which guests then run, and what is then left to do."""
