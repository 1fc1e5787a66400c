"""A machine under watch: every command is followed by the checks of all invariants.

`quick.Quick` asks the same in a fraction of the time, and tells less.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from ..descriptions import Answer, Command
from ..machine.commands import ON_MEMORY
from ..machine.machine import Machine
from ..machine.memory_commands import NO_GUEST
from .invariants import INVARIANTS
from .judged import Invariant, Violation
from .ledger import Ledger, Step
from .memory.books import Before, Books, MemoryStep
from .memory.interrupts import LedgerOnMemory


class Watch:
    """A machine under watch: `execute` raises Violation when a step breaks an invariant.

    `checked` counts for each invariant the steps that gave it something to check.
    """

    def __init__(self, machine: Machine, *, invariants: Iterable[Invariant] | None = None) -> None:
        self.machine = machine
        self.ledger: Ledger = Ledger()
        machine.vm.listener = self.ledger
        held = tuple(INVARIANTS if invariants is None else invariants)
        self.invariants = tuple(one for one in held if not one.on_memory)
        self.on_memory = tuple(one for one in held if one.on_memory)
        self.of_any_step = tuple(one for one in self.invariants if one.name == "INV-10")
        self.stops_on_memory = tuple(one for one in self.on_memory if one.name == "MEM-10")
        self.books = Books()
        self.checked: Counter[Invariant] = Counter()
        self.index = 0

    def execute(self, command: Command) -> Answer:
        """Carry out one command, then check everything. Where there is memory, calls are judged."""
        begins = command["op"] == "init"
        if "memory" in command or (not begins and self.machine.vm.memory is not None):
            answer = self._begin_on_memory(command) if begins else self._on_memory(command)
            self.index += 1
            return answer
        if begins:
            if isinstance(self.ledger, LedgerOnMemory):
                self.ledger = Ledger()
            self.machine.vm.listener = self.ledger
        elif command.get("cpu", 0) >= len(self.machine.vm.vcpus):
            return self.machine.execute(command)  # refuses it
        answer = self.machine.execute(command, self._step)
        self.index += 1
        return answer

    def _step(self, command: Command) -> Answer:
        step = self.ledger.before(self.machine.vm, self.index, command)
        stopped = self.machine.stopped is not None and command["op"] != "init"
        answer = self.machine.carry_out(command)
        if stopped or answer == NO_GUEST:
            return answer
        step.answer = answer
        if "panic" in answer or "terminated" in answer:
            self._hold(self.of_any_step, step)
            return answer
        self.ledger.after(self.machine.vm, step)
        self._hold(self.of_any_step if command["op"] == "init" else self.invariants, step)
        return answer

    def _begin_on_memory(self, command: Command) -> Answer:
        machine, self.ledger = self.machine, (books := LedgerOnMemory())
        machine.vm.listener = None
        answer = machine.execute(command)
        self.books = Books.begin(command)
        if machine.vm.has_apic:
            machine.vm.listener = self.ledger
            books.begin(machine.vm)
        return answer

    def _on_memory(self, command: Command) -> Answer:
        """Carry out one command of a machine with memory. What is no call changes no page of it."""
        machine, operation = self.machine, command["op"]
        if machine.stopped or command.get("cpu", 0) >= len(machine.vm.vcpus):
            return machine.execute(command)
        if operation == "call":
            return machine.execute(command, self._call_on_memory)
        if machine.vm.has_apic and operation not in ON_MEMORY:
            return machine.execute(command, self._step)
        answer = machine.execute(command, self._beside)
        if operation == "host_page":
            self.books.of_host(command, answer)
        return answer

    def _beside(self, command: Command) -> Answer:
        """One of the commands on memory; or the end of an entry that is under way, which comes first."""
        is_entry = command["op"] == "enter" and self.machine.vm.has_apic
        return self._step(command) if is_entry else self.machine.carry_out(command)

    def _call_on_memory(self, command: Command) -> Answer:
        if command["op"] != "call":
            return self._beside(command)
        vm, before = self.machine.vm, Before.of(self.machine.vm)
        entry = self.ledger.before(vm, self.index, command) if vm.has_apic else None
        answer = self.machine.carry_out(command)
        step = MemoryStep(self.index, command, answer, vm.vcpus[command["cpu"]], before)
        if self.machine.stopped:
            self._hold(self.stops_on_memory, step)
            return answer
        self.books.after(vm, step)
        self._hold(self.on_memory, step)
        if entry is not None:
            entry.answer = answer if step.result is not None else step.without_registers
            self.ledger.after(vm, entry)
            self._hold(self.invariants, entry)
        return answer

    def _hold(self, invariants: Iterable[Invariant], step: Step | MemoryStep) -> None:
        vm, checked = self.machine.vm, self.checked
        books = self.ledger if isinstance(step, Step) else self.books
        for invariant in invariants:
            wrong = invariant.check(vm, books, step)
            if wrong is None:
                continue
            checked[invariant] += 1
            if wrong:
                raise Violation(invariant, *wrong[0], step.index)


def run(commands: Iterable[Command], machine: Machine | None = None) -> list[Answer]:
    """Carry out a scenario under watch and return the answers. Raises Violation."""
    watch = Watch(machine if machine is not None else Machine())
    return [watch.execute(command) for command in commands]
