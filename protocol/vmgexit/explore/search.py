"""Breadth-first search over the states of any model, until something breaks or a bound is reached.

A model gives its states as values, and the successors of each state (`Model`). The search knows
nothing else of the model. It remembers how it reached each state, so that the first broken state
comes with a shortest path.
"""

from __future__ import annotations

import os
import resource
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, Protocol, TypeVar

State = TypeVar("State")
Step = TypeVar("Step")

LOOK_EVERY = 256  # states between two looks at the bounds and the progress
_STATM = Path("/proc/self/statm")


@dataclass(frozen=True, slots=True)
class Limits:
    """How far to look. `megabytes` is what the search itself may add to the process."""

    depth: int = 200
    states: int = 20_000_000
    megabytes: int = 1900
    seconds: float = float("inf")


@dataclass(frozen=True, slots=True)
class Move(Generic[State, Step]):
    """One move: its steps, and the state that it leads to, or what broke on the way.

    `ended` says why nothing follows, where nothing is broken. `edge` is what is to be drawn of it; the
    first path over each edge, and to each end, is kept.
    """

    steps: tuple[Step, ...]
    state: State | None = None
    broken: Exception | None = None
    ended: str = ""
    edge: tuple[str, str, str] | None = None


class Model(Protocol[State, Step]):
    """What can be searched."""

    def start(self) -> tuple[tuple[Step, ...], State]:
        """The steps that make the first state, and that state."""

    def moves(self, state: State) -> Iterator[Move[State, Step]]:
        """Every move from a state."""

    def key(self, state: State) -> Hashable:
        """What is the same for states that are the same for the search, and for no others."""


@dataclass(slots=True)
class Outcome(Generic[Step]):
    """What a search came to."""

    states: int = 0
    moves: int = 0
    depth: int = 0
    seconds: float = 0.0
    megabytes: float = 0.0  # that the search added to the process
    frontier: int = 0
    stopped_by: str = ""  # the bound that ended it; empty when every reachable state was seen
    broken: Exception | None = None
    path: list[Step] = field(default_factory=list)  # to what broke
    shortest: bool = True  # whether no path to anything that breaks is shorter
    counts: Counter[str] = field(default_factory=Counter)  # of states, by what was asked for
    asked: set[str] = field(default_factory=set)  # the fields of quirks that a rule has asked for
    endings: dict[str, list[Step]] = field(default_factory=dict)
    edges: dict[tuple[str, str, str], list[Step]] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """States per second."""
        return self.states / self.seconds if self.seconds else 0.0


Progress = Callable[[Outcome[Step]], None]


def search(
    model: Model[State, Step], limits: Limits, progress: Progress[Step] | None = None
) -> Outcome[Step]:
    """Visit every state within the limits, nearest first. Stops at the first thing that breaks."""
    return _Search(model, limits, progress).run()


class Bounded(Generic[Step]):
    """A search under way: what it came to so far, and the bounds that end it."""

    def __init__(self, limits: Limits, progress: Progress[Step] | None) -> None:
        self.limits, self.progress = limits, progress or (lambda outcome: None)
        self.outcome: Outcome[Step] = Outcome()
        self.next_look = 0
        self.started, self.memory = time.perf_counter(), resident()

    def _look(self) -> None:
        """Whether a bound is reached; and tell how far it is."""
        outcome, limits = self.outcome, self.limits
        self.next_look = min(outcome.states + LOOK_EVERY, max(limits.states, outcome.states + 1))
        self._measure()
        if outcome.states >= limits.states:
            outcome.stopped_by = f"{limits.states} states"
        elif outcome.megabytes >= limits.megabytes:
            outcome.stopped_by = f"{limits.megabytes} MB"
        elif outcome.seconds >= limits.seconds:
            outcome.stopped_by = f"{limits.seconds} s"
        self.progress(outcome)

    def _measure(self) -> None:
        self.outcome.seconds = time.perf_counter() - self.started
        self.outcome.megabytes = max(self.outcome.megabytes, resident() - self.memory)


class _Search(Bounded[Step], Generic[State, Step]):
    def __init__(
        self, model: Model[State, Step], limits: Limits, progress: Progress[Step] | None
    ) -> None:
        super().__init__(limits, progress)
        self.model = model
        # Parent and steps of each state, by its number; enough to tell how it was reached.
        self.parents: list[int] = []
        self.steps: list[tuple[Step, ...]] = []
        self.seen: set[Hashable] = set()

    def run(self) -> Outcome[Step]:
        outcome = self.outcome
        steps, state = self.model.start()
        frontier = [(self._add(self.model.key(state), -1, steps), state)]
        while frontier:
            if outcome.depth >= self.limits.depth:
                outcome.stopped_by = f"depth {self.limits.depth}"
                break
            following: list[tuple[int, State]] = []
            for done, (number, state) in enumerate(frontier, 1):
                following.extend(self._from(number, state))
                outcome.frontier = len(frontier) - done + len(following)
                if outcome.states >= self.next_look:
                    self._look()
                if outcome.broken is not None or outcome.stopped_by:
                    self._measure()
                    return outcome
            frontier = following
            outcome.depth += bool(frontier)
        self._measure()
        return outcome

    def _from(self, number: int, state: State) -> Iterator[tuple[int, State]]:
        """The new states that one move leads to."""
        outcome = self.outcome
        for move in self.model.moves(state):
            if move.broken is not None:
                outcome.broken = move.broken
                outcome.path = [*self._path(number), *move.steps]
                return
            outcome.moves += 1
            if move.ended:
                if move.ended not in outcome.endings:
                    outcome.endings[move.ended] = [*self._path(number), *move.steps]
                continue
            assert move.state is not None
            if move.edge is not None and move.edge not in outcome.edges:
                outcome.edges[move.edge] = [*self._path(number), *move.steps]
            key = self.model.key(move.state)
            if key not in self.seen:
                yield self._add(key, number, move.steps), move.state

    def _add(self, key: Hashable, parent: int, steps: tuple[Step, ...]) -> int:
        """Note a new state and how it was reached; its number."""
        self.seen.add(key)
        self.parents.append(parent)
        self.steps.append(steps)
        self.outcome.states += 1
        return len(self.parents) - 1

    def _path(self, number: int) -> list[Step]:
        """The steps that lead to a state."""
        moves: list[tuple[Step, ...]] = []
        while number >= 0:
            moves.append(self.steps[number])
            number = self.parents[number]
        return [step for steps in reversed(moves) for step in steps]


def resident() -> float:
    """The memory that this process holds now, in MB; where the system does not say, the most that it
    held at any time."""
    try:
        pages = int(_STATM.read_text().split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return pages * os.sysconf("SC_PAGESIZE") / (1 << 20)
