"""Breadth-first search over the states of a system, each of them one integer.

A state is what the vCPUs share and their own states, by number and in ascending order: vCPUs that are
alike are told apart by nothing, and no two states that differ have the same integer. `steps` says what
follows from each vCPU; here it is put together.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..descriptions import Command
from ..machine.quirks import Quirks
from ..watch.invariants import Watch
from .search import Bounded, Limits, Progress
from .steps import Moves, Others, Steps, Stop
from .system import Left, Running, System

WIDTH = 24  # bits for the number of a vCPU's state
_MASK = (1 << WIDTH) - 1


@dataclass(frozen=True, slots=True)
class Halted:
    """The state in which something stopped, how, and the states that led there, the first one first."""

    states: list[int]
    stop: Stop


class Exact(Bounded[Command]):
    """The search. `run` ends where every state was visited, at a bound, or at the first invariant that
    breaks; then `outcome` says how far it came, and `broken` and `endings` say where what stopped."""

    def __init__(
        self,
        system: System,
        quirks: Quirks,
        limits: Limits,
        progress: Progress[Command] | None = None,
    ) -> None:
        super().__init__(limits, progress)
        self.steps = Steps(system, quirks)
        self.shifts = [WIDTH * at for at in range(system.vcpus)]
        self.top = WIDTH * system.vcpus
        self.parents: dict[int, int] = {}
        self.moves: dict[int, Moves] = {}
        self.broken: Halted | None = None
        self.endings: dict[str, Halted] = {}

    def packed(self, shared: int, vcpus: list[int]) -> int:
        """The integer of a state."""
        vcpus.sort()
        state = shared
        for vcpu in vcpus:
            state = state << WIDTH | vcpu
        assert vcpus[-1] <= _MASK
        return state

    def state(self, watch: Watch, running: Running, left: Left) -> int:
        """The integer of the state of a machine under watch."""
        steps = self.steps
        vcpus = [steps.vcpu(steps.look(at, watch), runs=runs) for at, runs in enumerate(running)]
        shared = steps.both(left, watch.machine.vm.registration_count)
        return self.packed(shared, vcpus)

    def run(self) -> None:
        """Visit the states, nearest first."""
        outcome, limits, system = self.outcome, self.limits, self.steps.system
        start = self.state(self.steps.watch, (False,) * system.vcpus, Left.of(system))
        seen = self.parents = {start: -1}
        outcome.states = 1
        frontier = [start]
        while frontier:
            if outcome.depth >= limits.depth:
                outcome.stopped_by = f"depth {limits.depth}"
                break
            following: list[int] = []
            for done, state in enumerate(frontier, 1):
                for after in self._successors(state):
                    if after not in seen:
                        seen[after] = state
                        following.append(after)
                if len(seen) >= self.next_look or self.broken:
                    outcome.states = len(seen)
                    outcome.frontier = len(frontier) - done + len(following)
                    self._look()
                    if self.broken or outcome.stopped_by:
                        self._measure()
                        return
            frontier = following
            outcome.states = len(seen)
            outcome.frontier = len(frontier)
            outcome.depth += bool(frontier)
        self._measure()

    def _successors(self, state: int) -> list[int]:
        shared = state >> self.top
        vcpus = [state >> shift & _MASK for shift in self.shifts]
        found: list[int] = []
        for at, vcpu in enumerate(vcpus):
            key = shared << WIDTH | vcpu
            moves = self.moves.get(key)
            if moves is None:
                moves = self.moves[key] = self.steps.moves(vcpu, shared)
            others = vcpus[:at] + vcpus[at + 1 :]
            for after, shared_after in moves.plain:
                found.append(self.packed(shared_after, [after, *others]))
            if moves.sends:
                found += self._sent(state, vcpu, tuple(others), shared, moves)
            for stop in moves.stops:
                self._stopped(state, stop)
        self.outcome.moves += len(found)
        return found

    def _sent(self, state: int, vcpu: int, others: Others, shared: int, moves: Moves) -> list[int]:
        found = []
        count = self.steps.shared.values[shared][1]
        for move in moves.sends:
            result = self.steps.send(vcpu, others, move, count)
            if isinstance(result, Stop):
                self._stopped(state, result)
            else:
                after, reached = result
                found.append(self.packed(self.steps.both(move[2], count), [after, *reached]))
        return found

    def _stopped(self, state: int, stop: Stop) -> None:
        if stop.broken is not None:
            if self.broken is None:
                self.broken = Halted(self._path(state), stop)
            return
        self.outcome.moves += 1
        if stop.ended not in self.endings:
            self.endings[stop.ended] = Halted(self._path(state), stop)

    def _path(self, state: int) -> list[int]:
        path = []
        while state >= 0:
            path.append(state)
            state = self.parents[state]
        return path[::-1]
