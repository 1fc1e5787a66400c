"""Breadth-first search over the states of a system, each of them one integer.

A state is what the vCPUs share and their own states, by number and in ascending order: vCPUs that are
alike are told apart by nothing, and no two states that differ have the same integer. `steps` says what
follows from each vCPU; here it is put together.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..descriptions import Command
from ..machine.quirks import Quirks
from ..watch.watch import Watch
from .search import Bounded, Limits, Progress
from .steps import Moves, Steps, Stop
from .system import Budget, Left, Running, System

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
        *,
        reduced: bool = False,
    ) -> None:
        super().__init__(limits, progress)
        self.steps = Steps(system, quirks, reduced=reduced)
        self.closed: set[int] = set()  # of a reduced search: states whose moves were made
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

    def unpacked(self, state: int) -> tuple[int, list[int]]:
        """What the vCPUs of a state share, and the numbers of their states."""
        return state >> self.top, [state >> shift & _MASK for shift in self.shifts]

    def state(self, watch: Watch, running: Running, left: Budget) -> int:
        """The integer of the state of a machine under watch."""
        steps = self.steps
        together = left if isinstance(left, Left) else None
        vcpus = [
            steps.vcpu(
                steps.look(at, watch), None if isinstance(left, Left) else left[at], runs=runs
            )
            for at, runs in enumerate(running)
        ]
        return self.packed(steps.both(together, watch.machine.vm.registration_count), vcpus)

    def left(self, state: int) -> Budget:
        """What is left to do in a state."""
        shared, vcpus = self.unpacked(state)
        together: Left | None = self.steps.shared.values[shared][0]
        return together or tuple(self.steps.vcpus.values[vcpu][1] for vcpu in vcpus)

    def run(self) -> None:
        """Visit the states, nearest first."""
        outcome, limits, steps = self.outcome, self.limits, self.steps
        system, all_of_it = steps.system, Left.of(steps.system)
        begin: list[Budget] = [all_of_it]
        if steps.reduced:
            begin = [*sorted(all_of_it.deals(system.vcpus))]
        successors = self._reduced if steps.reduced else self._successors
        frontier = [self.state(steps.watch, (False,) * system.vcpus, left) for left in begin]
        seen = self.parents = dict.fromkeys(frontier, -1)
        outcome.states = len(seen)
        while frontier:
            if outcome.depth >= limits.depth:
                outcome.stopped_by = f"depth {limits.depth}"
                break
            following: list[int] = []
            for done, state in enumerate(frontier, 1):
                for after in successors(state):
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

    def _moves(self, vcpu: int, shared: int) -> Moves:
        key = shared << WIDTH | vcpu
        moves = self.moves.get(key)
        if moves is None:
            moves = self.moves[key] = self.steps.moves(vcpu, shared)
        return moves

    def _successors(self, state: int) -> list[int]:
        """Every state that one move leads to."""
        shared, vcpus = self.unpacked(state)
        found: list[int] = []
        for at in range(len(vcpus)):
            found += self._of_one(state, shared, vcpus, at)
        return found

    def _of_one(self, state: int, shared: int, vcpus: list[int], at: int) -> list[int]:
        """Every state that one move of one vCPU leads to."""
        moves, others = self._moves(vcpus[at], shared), vcpus[:at] + vcpus[at + 1 :]
        found = [self.packed(together, [after, *others]) for after, together in moves.plain]
        for move in moves.sends:
            sent = self.steps.send(vcpus[at], tuple(others), move, shared)
            if isinstance(sent, Stop):
                self._stopped(state, sent)
            else:
                after, reached, together = sent
                found.append(self.packed(together, [after, *reached]))
        for stop in moves.stops:
            self._stopped(state, stop)
        self.outcome.moves += len(found)
        return found

    # --- reduced ------------------------------------------------------------------------------------

    def _reduced(self, state: int) -> list[int]:
        """The states that moves lead to which must be made now: those of one vCPU, where none of another
        can touch what they touch. Where all of these lead back, every move is made: none may wait for
        ever."""
        self.closed.add(state)
        shared, vcpus = self.unpacked(state)
        lefts: list[Left] = [self.steps.vcpus.values[vcpu][1] for vcpu in vcpus]
        unreached = [
            (at, lefts[:at] + lefts[at + 1 :])
            for at in range(len(vcpus))
            if not any(left.ipis for left in lefts[:at] + lefts[at + 1 :])
        ]
        for at, _ in unreached:
            moves = self._moves(vcpus[at], shared)
            if moves.alone is not None and not moves.counts:
                others = vcpus[:at] + vcpus[at + 1 :]
                after = self.packed(moves.alone[1], [moves.alone[0], *others])
                if after not in self.closed:
                    self.outcome.moves += 1
                    return [after]
        for at, of_others in unreached:
            moves = self._moves(vcpus[at], shared)
            if moves.sends or (moves.counts and self._count_matters(of_others)):
                continue
            made = self.outcome.moves
            found = self._of_one(state, shared, vcpus, at)
            if any(after not in self.closed for after in found):
                return found
            self.outcome.moves = made
        return self._successors(state)

    def _count_matters(self, others: list[Left]) -> bool:
        """Whether other vCPUs can still look at the registration count, or change it."""
        return self.steps.count_is_read or any(left.calls for left in others)

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
