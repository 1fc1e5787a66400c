"""Machines with memory for `Quick`: what is judged, and the books of interrupts beside it.

Calls alone change pages of the guest: the invariants of memory that they can break are asked for
(`breakable`). Where the SVSM emulates APICs there are the books of `tally` too, as `interrupts` has those
of the ledger: a vCPU goes on in another VMSA, and a guest ends an interrupt by a plain write.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any

from ...descriptions import Command
from ...machine import memory_commands
from ...machine.commands import NOT_ON_MEMORY, ON_MEMORY
from ...machine.machine import ACTS, NEEDS_A_RUNNING_GUEST, Act, Machine
from ...machine.memory.memory import NestedPageFault
from ...machine.memory.words import VINTR, words
from ...machine.vm import Assertion, Termination, Vcpu
from ...wire.svsm import CoreCall, Protocol
from ..breakable import COMMANDS
from ..called import judge, served
from ..judged import Invariant, Wrong
from ..oracle import documented_code
from ..tally import Broken, Tallies, Tally
from ..whereabouts import offered, visible
from .books import Before, Books, MemoryStep, parts_of
from .breakable import AS_DOCUMENTED, STOPPED, can_break
from .documented import departures

_APIC, _CORE, _DELETE = int(Protocol.APIC), int(Protocol.CORE), int(CoreCall.DELETE_VCPU)


class _NoGuest(Exception):
    """There is no guest that could do what a command says."""


def _with_state(name: str) -> Act:
    """What carries out a command about interrupts, on the guest's state as its VMSA has it."""

    def act(machine: Machine, cpu: Vcpu, command: Command) -> Any:
        outcome = memory_commands.with_state(cpu, command, partial(ACTS[name], machine))
        if outcome == memory_commands.NO_GUEST:
            raise _NoGuest
        return outcome

    return act


_ACTS = {name: _with_state(name) for name in ACTS}


@lru_cache(16)
def _on_memory(invariants: tuple[Invariant, ...]) -> dict[str, Invariant]:
    return {one.check.__name__: one for one in invariants if one.on_memory}


class OnMemory(Tallies):
    """The books of a machine with memory, under those of `invariants` that it can break."""

    def __init__(
        self, machine: Machine, held: frozenset[str], invariants: Sequence[Invariant]
    ) -> None:
        super().__init__(machine, held)
        self.acts = _ACTS
        self.invariants = _on_memory(tuple(invariants))
        self.books = Books()

    def begin(self, command: Command) -> None:
        """Carry out an `init`."""
        machine = self.machine
        machine.vm.listener = None  # the first entry is nobody's
        machine.carry_out(command)
        self.books = Books.begin(command)
        vm = machine.vm
        vm.listener = self if vm.has_apic else None
        self.tallies = [Tally(vmsa=cpu.mapped.vmsa) for cpu in vm.vcpus]
        self.dropped = []

    def one(self, command: Command) -> None:
        """Carry out any other command. Raises Broken, and ScenarioError for one that is refused."""
        machine, operation, number = self.machine, command["op"], command.get("cpu", 0)
        vm = machine.vm
        if machine.stopped is not None or operation in NOT_ON_MEMORY or number >= len(vm.vcpus):
            machine.execute(command)
            return
        if "cpu" not in command:
            answer = machine.carry_out(command)
            if operation == "host_page":
                self.books.of_host(command, answer)
            return
        cpu = vm.vcpus[number]
        if cpu.entry is not None and operation in NEEDS_A_RUNNING_GUEST:
            self._beside(cpu, {"op": "enter", "cpu": number})
        if operation == "call":
            self._call(cpu, command)
        else:
            self._beside(cpu, command)

    def _beside(self, cpu: Vcpu, command: Command) -> None:
        """Any command of a vCPU that is no call."""
        machine, operation = self.machine, command["op"]
        if operation in ON_MEMORY or not machine.vm.has_apic or machine.stopped is not None:
            machine.carry_out(command)
            return
        tally = self.tallies[cpu.index]
        self._note_ends()
        machine.vm.sent.clear()
        self.last_taken, tally.last_taken = tally.last_taken, None
        try:
            COMMANDS[operation](self, cpu, tally, command)
        except _NoGuest:
            tally.last_taken = self.last_taken
            return
        except (Assertion, Termination, NestedPageFault) as reason:
            self.stop(reason)
            return
        self._note_offers()

    def _note_ends(self) -> None:
        """Note what guests ended by a plain write to their calling areas."""
        for cpu, tally in zip(self.machine.vm.vcpus, self.tallies, strict=True):
            if tally.offered and not offered(cpu):
                tally.end_lazily()

    def _note_offers(self) -> None:
        """From here on what is offered is the guest's to change."""
        for cpu, tally in zip(self.machine.vm.vcpus, self.tallies, strict=True):
            tally.offered = tally.token is not None and offered(cpu) != 0

    # --- calls ---------------------------------------------------------------------------------------

    def _call(self, cpu: Vcpu, command: Command) -> None:
        machine, vm = self.machine, self.machine.vm
        if not vm.has_apic:
            self._on_memory(cpu, command)
            return
        tally = self.tallies[cpu.index]
        self._note_ends()
        emulated, count = cpu.guest.alternate_injection, vm.registration_count
        due, made = tally.take_up() if cpu.entry is None else [], len(vm.requests)
        code = seen = None
        if command["protocol"] == _APIC:
            code = documented_code(cpu, command, emulated=emulated, count=count)
            if code and tally.genuine and _is_settled(cpu):
                seen = visible(cpu)
        step = self._on_memory(cpu, command)
        if machine.stopped is not None:
            return
        tally.last_taken = None
        result, rcx, rdx = step.result, 0, 0
        if result is not None:
            rcx, rdx = step.answer["rcx"], step.answer["rdx"]
            if code is not None and (result != code or (result and _changed(step, seen))):
                self.broken("INV-9")
        is_given = self._books_of_call(cpu, tally, step, made, due)
        judge(
            self, cpu, tally, command, emulated, count, made, due, is_given, result, rcx, rdx
        )  # fmt: skip
        self._note_offers()

    def _on_memory(self, cpu: Vcpu, command: Command) -> MemoryStep:
        """A call, and what it can break of the invariants of memory."""
        machine, vm, books = self.machine, self.machine.vm, self.books
        before = Before.of(vm)
        step = MemoryStep(0, command, machine.carry_out(command), cpu, before)
        if machine.stopped is not None:
            self._ask_for(STOPPED, step)
            return step
        books.after(vm, step)
        for name in can_break(vm, books, step):
            self._ask_for(name, step)
        return step

    def _ask_for(self, name: str, step: MemoryStep) -> None:
        invariant = self.invariants.get(name)
        if invariant is None:
            return
        vm, books = self.machine.vm, self.books
        if name == AS_DOCUMENTED:  # the last one: what was before is not needed any more
            wrong: Wrong | None = departures(vm, books, step, step.before)
        else:
            wrong = invariant.check(vm, books, step)
        if wrong:
            raise Broken(invariant.name)

    def _books_of_call(
        self, cpu: Vcpu, tally: Tally, step: MemoryStep, made: int, due: list[int]
    ) -> bool:
        """What a call means for the books, in the order of what was done; whether the vCPU was handed
        over."""
        command, is_given = step.command, False
        for what, *numbers in step.answer["did"]:
            if what == "enter" and numbers[0] != tally.vmsa:
                tally.vmsa = numbers[0]
                held = words(parts_of(cpu.vm)[0].writable(numbers[0]))
                tally.new_tpr = held[VINTR] << 4 & 0xFF
                due += tally.take_up()
            elif what == "request" and numbers == [command["protocol"], command["request"]]:
                is_given = served(self, cpu, tally, command, made, due, step.result)
                if numbers == [_CORE, _DELETE] and step.result == 0:
                    for one in self.tallies:
                        if one.vmsa == command["rcx"]:
                            one.vmsa = None
            elif what == "request":
                tally.closed = True
        if step.answer.get("idle"):
            tally.vmsa = None
        return is_given


def _is_settled(cpu: Vcpu) -> bool:
    """Whether the vCPU is in the guest where it was given to be, and moves nowhere first."""
    is_new = cpu.new_guest is not None or cpu.new_calling is not None
    return cpu.in_guest and cpu.home == cpu.mapped and not is_new


def _changed(step: MemoryStep, seen: tuple[object, ...] | None) -> bool:
    """Whether a refused call changed registers, or something that the guest saw before."""
    if any(step.answer[name] != step.command[name] for name in ("rcx", "rdx", "r8")):
        return True
    return seen is not None and seen != visible(step.cpu)
