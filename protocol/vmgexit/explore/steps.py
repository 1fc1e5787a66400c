"""The moves of one vCPU, each made once: what a step does where it finds the same, it does again.

A vCPU's state is a number; so are the values of its parts. A step is carried out on a real machine under
watch for each combination of values that it reads (`parts.STEPS`), and remembered. What it wrote outside
what is declared is an AssertionError. The vCPU that moves is always vCPU 0 of that machine, and the others
are as they were at first, but where it sends to them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from ..descriptions import Command
from ..guests.follow import opening
from ..machine.machine import Machine
from ..machine.quirks import Quirks, noting
from ..machine.vcpu import Entry
from ..machine.vm import Vcpu
from ..watch.judged import Violation
from ..watch.watch import Watch
from . import moves as possible
from .moves import in_window
from .parts import (
    COUNT,
    NAMES,
    PARTS,
    REACHED,
    Touches,
    Values,
    forget,
    step_of,
    steps_of,
    still_touched,
)
from .system import Commands, Left, System

_ENTRY, _POSTING, _SIGNAL, _BODY = map(NAMES.index, ("entry", "posting", "signal", "body"))
_FORGETFUL = (_ENTRY, _POSTING, _BODY)
"""The parts in which `forget` forgets, each by what it holds itself."""
Guarded = tuple[Commands, bool, Left]
"""A move that is possible: its commands, whether the guest then runs, and what is then left."""
Others = tuple[int, ...]
"""The numbers of the states of the other vCPUs."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Nothing follows a move: an invariant broke, or the VM or a guest ended."""

    broken: Violation | None = None
    ended: str = ""


@dataclass(slots=True)
class Moves:
    """What one vCPU can do: the states that it then has, each with what the vCPUs then share.

    `sends` change others too: commands, whether the guest then runs, and what is shared."""

    plain: list[tuple[int, int]] = field(default_factory=list)
    sends: list[tuple[Command, bool, Left]] = field(default_factory=list)
    stops: list[Stop] = field(default_factory=list)
    # For a reduced search: whether a move touches the registration count, and the one move of `plain`
    # that its vCPU must make next, if the host can no longer touch what it touches.
    counts: bool = False
    alone: tuple[int, int] | None = None


class Numbers:
    """Values, numbered as they come."""

    def __init__(self) -> None:
        self.of: dict[Any, int] = {}
        self.values: list[Any] = []

    def number(self, value: Any, kept: Any = None) -> int:
        """The number of a value; with `kept` that is what is remembered under it."""
        number = self.of.setdefault(value, len(self.values))
        if number == len(self.values):
            self.values.append(value if kept is None else kept)
        return number


class Steps:
    """The moves of the vCPUs of a system."""

    def __init__(self, system: System, quirks: Quirks, *, reduced: bool = False) -> None:
        self.system, self.reduced = system, reduced
        self.asked: set[str] = set()  # the quirks that a rule has asked for
        self.watch = Watch(Machine(noting(quirks, self.asked)))
        self.touches = steps_of(quirks)
        self.count_is_read = (
            quirks.reinjection_follows_global_count
        )  # by steps that do not change it
        self.vcpus, self.shared = Numbers(), Numbers()
        self.parts = {name: Numbers() for name in PARTS}
        self.entries: dict[int, Entry] = {}  # by the number of the part
        self.posts: dict[int, str] = {}  # and the step of each post
        self.done: dict[tuple[str, int], dict[Any, Values | Stop]] = {}
        self.sent: dict[tuple[int, Any], tuple[Values, tuple[Values, ...]] | Stop] = {}
        self.guards: dict[tuple[Any, ...], list[Guarded]] = {}
        self.held: list[Command] = []  # commands are told apart by their place in memory
        self.forgetful: dict[int, dict[int, int]] = {at: {} for at in _FORGETFUL}
        self.trail: list[str] = []  # the steps of the move that is made
        for command in opening(system.vcpus, system.registrations):
            self.watch.execute(command)
        self.at_first = [self.look(index) for index in range(system.vcpus)]

    # --- between the machine and numbers ------------------------------------------------------------

    def look(self, index: int, watch: Watch | None = None) -> Values:
        """The values of a vCPU of the machine here, or of another's."""
        watch = watch or self.watch
        vm, account = watch.machine.vm, watch.ledger.accounts[index]
        assert not watch.ledger.dropped
        cpu = vm.vcpus[index]
        values = [vm.registration_count]
        for numbers, part in zip(self.parts.values(), PARTS.values(), strict=True):
            frozen = part.read(cpu, account)
            values.append(numbers.number(frozen[0], frozen))
        if values[_ENTRY] not in self.entries:
            self.entries[values[_ENTRY]] = replace(cpu.entry) if cpu.entry else Entry()
        self.posts[values[_POSTING]] = cpu.posting.step if cpu.posting else ""
        return tuple(values)

    def _put(self, index: int, values: Values) -> None:
        watch = self.watch
        vm, account = watch.machine.vm, watch.ledger.accounts[index]
        cpu = vm.vcpus[index]
        vm.registration_count = values[0]
        for numbers, part, number in zip(
            self.parts.values(), PARTS.values(), values[1:], strict=True
        ):
            part.put(cpu, account, numbers.values[number])

    def vcpu(self, values: Values, left: Left | None, *, runs: bool) -> int:
        """The number of a vCPU's state: whether its guest runs, what is left for it alone, and its parts
        without the count."""
        if self.reduced:
            values = self._forgotten(values)
        return self.vcpus.number((runs, left, *values[1:]))

    def shown(self, vcpu: int) -> tuple[Vcpu, bool]:
        """A vCPU in a state, until the next step is made here, and whether its guest runs."""
        runs, _, *parts = self.vcpus.values[vcpu]
        self._put(0, (0, *parts))
        return self.watch.machine.vm.vcpus[0], runs

    def both(self, left: Left | None, count: int) -> int:
        """The number of what vCPUs share: what is left to do, and the registration count."""
        return self.shared.number((left, count))

    def _forgotten(self, values: Values) -> Values:
        """The values without what no step looks at any more."""
        kept = list(values)
        for at in _FORGETFUL:
            known = self.forgetful[at]
            if values[at] not in known:
                self._put(0, values)
                forget(self.watch.machine.vm.vcpus[0])
                known[values[at]] = self.look(0)[at]
            kept[at] = known[values[at]]
        return tuple(kept)

    # --- moves --------------------------------------------------------------------------------------

    def moves(self, vcpu: int, shared: int) -> Moves:
        """Every move of a vCPU in a state."""
        runs, own, *parts = self.vcpus.values[vcpu]
        of_all, count = self.shared.values[shared]
        values, left = (count, *parts), own if self.reduced else of_all
        window = in_window(self.entries[values[_ENTRY]])
        guard = ("vcpu", runs, window, values[_SIGNAL], values[_BODY], left)
        of_host = self._guarded(("host", runs, values[_POSTING], left), values, runs, left)
        of_vcpu = self._guarded(guard, values, runs, left)
        moves = Moves()
        for commands, runs_then, left_then in (*of_host, *of_vcpu):
            if self._name(values, commands[0]) == "send":
                moves.sends.append((commands[0], runs_then, left_then))
                continue
            self.trail.clear()
            after = self._follow(values, commands)
            touched = self._touched() if self.reduced else set()
            moves.counts |= COUNT in touched
            if isinstance(after, Stop):
                moves.stops.append(after)
                continue
            # An entry that ended: the guest runs.
            entered = commands[0]["op"] == "svsm_step" and not self._under_way(after)
            then = self._after(after, left_then, runs=runs_then or entered)
            moves.plain.append(then)
            must = len(of_vcpu) == 1 and commands[0]["op"] == "svsm_step"
            if self.reduced and must:
                still = still_touched(self.posts[values[_POSTING]], left)
                moves.alone = None if touched & still else then
        return moves

    def _after(self, values: Values, left: Left, *, runs: bool) -> tuple[int, int]:
        """What a vCPU and all of them have after a move."""
        if self.reduced:
            return self.vcpu(values, left, runs=runs), self.both(None, values[0])
        return self.vcpu(values, None, runs=runs), self.both(left, values[0])

    def _touched(self) -> set[str]:
        rows = [self.touches[name] for name in self.trail]
        return {part for row in rows for part in (*row.reads, *row.writes)}

    def _guarded(
        self, guard: tuple[Any, ...], values: Values, runs: bool, left: Left
    ) -> list[Guarded]:
        """What the host, or a vCPU, may do in a state, which depends on these parts of it alone."""
        found = self.guards.get(guard)
        if found is None:
            self._put(0, values)
            cpu, account = self.watch.machine.vm.vcpus[0], self.watch.ledger.accounts[0]
            running = (runs, *(False for _ in self.at_first[1:]))
            made = (
                possible.of_host(cpu, running, left)
                if guard[0] == "host"
                else possible.of_vcpu(cpu, account, self.system, running, left)
            )
            found = self.guards[guard] = [
                (commands, then[0], left_then) for commands, then, left_then in made
            ]
        return found

    def _follow(self, values: Values, commands: Commands) -> Values | Stop:
        """What commands do, and what an entry does after them that no other actor can see."""
        for command in commands:
            after = self._step(values, command)
            if isinstance(after, Stop):
                return after
            values = after
        while commands[0]["op"] == "svsm_step" and self._under_way(values):
            if not self.system.is_private(self.entries[values[_ENTRY]]):
                break
            after = self._step(values, commands[0])
            if isinstance(after, Stop):
                return after
            values = after
        return values

    def _under_way(self, values: Values) -> bool:
        return values[_ENTRY] != self.at_first[0][_ENTRY]

    # --- steps --------------------------------------------------------------------------------------

    def _name(self, values: Values, command: Command) -> str:
        return step_of(command, self.entries[values[_ENTRY]].step, self.posts[values[_POSTING]])

    def _step(self, values: Values, command: Command) -> Values | Stop:
        """What a command does that changes one vCPU alone."""
        name = self._name(values, command)
        self.trail.append(name)
        touches = self.touches[name]
        done = self.done.get((name, id(command)))
        if done is None:
            done = self.done[name, id(command)] = {}
            self.held.append(command)
        key = touches.looks_at(values)
        found = done.get(key)
        if found is None:
            found = done[key] = self._made(values, command, touches)
        return found if isinstance(found, Stop) else touches.takes_over(values + found)

    def _made(self, values: Values, command: Command, touches: Touches) -> Values | Stop:
        """What a command writes, carried out."""
        self._put(0, values)
        stop = self._execute(command)
        if stop is not None:
            return stop
        return _written(values, self.look(0), touches)

    def _execute(self, command: Command) -> Stop | None:
        machine = self.watch.machine
        machine.vm.requests.clear()
        try:
            ended = self.system.ended(command, self.watch.execute(command))
        except Violation as violation:
            return Stop(broken=violation)
        finally:
            machine.stopped = None
            self.watch.ledger.dropped.clear()
        return Stop(ended=ended) if ended else None

    def send(
        self, vcpu: int, others: Others, move: tuple[Command, bool, Left], shared: int
    ) -> tuple[int, Others, int] | Stop:
        """What all have after a command that sends: the vCPU, the others in their order, and together."""
        command, runs, left = move
        count = self.shared.values[shared][1]
        values = (count, *self.vcpus.values[vcpu][2:])
        reached = [(count, *self.vcpus.values[other][2:]) for other in others]
        touches = self.touches["send"]
        key = (
            id(command),
            (touches.looks_at(values), *(REACHED.looks_at(other) for other in reached)),
        )
        found = self.sent.get(key)
        if found is None:
            self.held.append(command)
            found = self.sent[key] = self._sent(values, reached, command)
        if isinstance(found, Stop):
            return found
        own, theirs = found
        after = []
        for other, value, written in zip(others, reached, theirs, strict=True):
            runs_there, left_there, *_ = self.vcpus.values[other]
            values_there = REACHED.takes_over(value + written)
            after.append(self.vcpu(values_there, left_there, runs=runs_there))
        sender, together = self._after(touches.takes_over(values + own), left, runs=runs)
        return sender, tuple(after), together

    def _sent(
        self, values: Values, reached: list[Values], command: Command
    ) -> tuple[Values, tuple[Values, ...]] | Stop:
        self._put(0, values)
        for index, other in enumerate(reached, 1):
            self._put(index, other)
        stop = self._execute(command)
        if stop is not None:
            found: tuple[Values, tuple[Values, ...]] | Stop = stop
        else:
            theirs = tuple(
                _written(before, self.look(index), REACHED)
                for index, before in enumerate(reached, 1)
            )
            found = _written(values, self.look(0), self.touches["send"]), theirs
        for index, first in enumerate(self.at_first):
            self._put(index, first)
        return found


def _written(before: Values, after: Values, touches: Touches) -> Values:
    """The values that a step wrote."""
    written = tuple(after[NAMES.index(name)] for name in touches.writes)
    assert touches.takes_over(before + written) == after, "a step wrote what is not declared"
    return written
