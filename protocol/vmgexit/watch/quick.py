"""The invariants of `Watch` for whole scenarios, several times as fast: for campaigns.

`Watch` and the invariants are the statement of what must hold; this says only whether it does. The books
are integers, no answer and no step is made, and each command asks for those invariants alone that it can
break: `breakable.COMMANDS` says which. When something is wrong, `Watch` runs the scenario once
more, and raises the Violation in its own words. `Doubted`, the other way round, is a defect of ours: this
found what `Watch` does not find. tests/property/test_quick.py holds the two equal. Machines with memory
are in `memory.quick`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

from ..descriptions import Command
from ..machine.machine import NEEDS_A_RUNNING_GUEST, Machine
from ..machine.memory.memory import NestedPageFault
from ..machine.vm import Assertion, Termination
from .breakable import COMMANDS, enter
from .invariants import INVARIANTS
from .judged import Invariant, Violation
from .memory.quick import OnMemory
from .tally import Broken, Tallies, Tally
from .watch import Watch

BOTH = "VMGEXIT_BOTH"
"""The environment variable under which `Watch` runs each scenario too in which nothing was found."""


class Doubted(AssertionError):
    """`Quick` found something wrong where `Watch` finds nothing, or nothing where that finds something."""


@lru_cache(16)
def _names(invariants: tuple[Invariant, ...]) -> frozenset[str]:
    return frozenset(one.name for one in invariants)


class Quick(Tallies):
    """Runs scenarios on `machine`, a fresh one, as `Watch` does, under `invariants`: all of a name or none.

    `observe`, where there is one, hears of each command that was carried out.
    """

    def __init__(
        self,
        machine: Machine,
        invariants: Sequence[Invariant] = INVARIANTS,
        observe: Callable[[Machine, Command], None] | None = None,
    ) -> None:
        super().__init__(machine, _names(tuple(invariants)))
        self.invariants, self.observe = invariants, observe

    def run(self, commands: Sequence[Command]) -> None:
        """Carry out a scenario. Raises Violation, and what else `Watch` would raise."""
        books: Tallies = self
        index = -1
        try:
            for index, command in enumerate(commands):  # noqa: B007
                if command["op"] != "init":
                    books.one(command)
                else:
                    books = self._on_memory() if "memory" in command else self
                    books.begin(command)
                if self.observe is not None:
                    self.observe(self.machine, command)
        except Exception as reason:
            self._watched(commands[: index + 1])
            if isinstance(reason, Broken):
                raise Doubted(f"{reason} at command {index}, where Watch finds nothing") from None
            raise
        if os.environ.get(BOTH):
            try:
                self._watched(commands)
            except Violation as violation:
                raise Doubted(f"nothing, where Watch finds {violation}") from None

    def _on_memory(self) -> Tallies:
        return OnMemory(self.machine, self.held, self.invariants)

    def _watched(self, commands: Iterable[Command]) -> None:
        """The same from the start by `Watch`."""
        vm = self.machine.vm
        self.machine = Machine(vm.quirks, vm.devices)
        watch = Watch(self.machine, invariants=self.invariants)
        for command in commands:
            watch.execute(command)

    def begin(self, command: Command) -> None:
        """Carry out an `init` without memory."""
        self.machine.vm.listener = self
        self.machine.carry_out(command)
        self.tallies = [Tally() for _ in self.machine.vm.vcpus]
        self.dropped = []

    def one(self, command: Command) -> None:
        """Carry out any other command of a machine without memory."""
        machine, operation = self.machine, command["op"]
        vm = machine.vm
        try:
            cpu, carry_out = vm.vcpus[command["cpu"]], COMMANDS[operation]
        except (KeyError, IndexError):
            machine.execute(command)  # it is refused
            return
        if machine.stopped is not None:
            return
        tally = self.tallies[cpu.index]
        try:
            if cpu.entry is not None and operation in NEEDS_A_RUNNING_GUEST:
                tally.last_taken = None
                enter(self, cpu, tally, {"op": "enter", "cpu": cpu.index})
            if vm.sent:
                vm.sent.clear()
            self.last_taken, tally.last_taken = tally.last_taken, None
            carry_out(self, cpu, tally, command)
        except (Assertion, Termination, NestedPageFault) as reason:
            self.stop(reason)
