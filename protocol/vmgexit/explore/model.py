"""The VM as a model to search: every interleaving of a small system under the invariants.

A state is the whole machine with the ledger's books. From each state, every actor makes every move
that it can: the host posts access by access, each SVSM walks the steps of `entry`, each guest
takes, ends, calls and sends. The invariants hold after every move; the first broken one gives a
shortest scenario, which `vmgexit replay --invariants` repeats.

Two states are one when they differ only in the numbers of their vCPUs. A step that no other actor
can see is taken together with the step before it, so that it does not multiply the interleavings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from ..descriptions import Command
from ..machine.commands import call
from ..machine.machine import Machine
from ..machine.quirks import REFERENCE, Quirks
from ..machine.rules.guest import can_take
from ..machine.vm import Vcpu
from ..watch.invariants import Violation, Watch
from ..watch.ledger import Account
from ..wire.apic import ApicCall, ApicIcr, ApicRegister, Shorthand
from .freeze import freeze, freezer, restore, restorer, thawer
from .search import Limits, Move, Outcome, Progress, search

State = tuple[Any, ...]
Commands = tuple[Command, ...]
Left = tuple[tuple[tuple[int, bool], ...], tuple[int, ...], int]
"""What is left to do: posts (vector, level), IPIs, calls."""


@dataclass(frozen=True, slots=True)
class System:
    """What a small system may do. Counts are of its whole run."""

    vcpus: int = 2
    registrations: int = 1  # the count at the start
    edge: tuple[int, ...] = ()  # vectors that the host posts edge-triggered, each once
    level: tuple[int, ...] = ()  # and level-triggered
    ipis: tuple[int, ...] = ()  # vectors that a vCPU sends to all others, each once
    calls: int = 0  # CONFIGURE_EMULATION calls, of any of the three kinds


Projection = Callable[[Watch, Left], str]
"""What is looked at of a state, given the watched machine and what is left to do."""


def explore(
    system: System,
    quirks: Quirks = REFERENCE,
    *,
    limits: Limits | None = None,
    progress: Progress[Command] | None = None,
    projection: Projection | None = None,
) -> Outcome[Command]:
    """Visit every state of a system. What breaks is a `Violation`; the path to it is a scenario.

    With a `projection` the outcome's edges are the transitions between its values, each with the
    scenario that first made it; this is what diagrams are drawn from.
    """
    return search(VmModel(system, quirks, projection), limits or Limits(), progress)


class VmModel:
    """The VM of a system, as `search` asks for it. `projection` is what diagrams look at."""

    def __init__(self, system: System, quirks: Quirks, projection: Projection | None) -> None:
        self.system = system
        self.projection = projection
        self.watch = Watch(Machine(quirks))
        vectors = (*system.edge, *system.level, *system.ipis)
        self.words = {vector // 32 for vector in vectors}

    def start(self) -> tuple[Commands, State]:
        """A machine whose vCPUs let every vector through and are about to enter their guests."""
        system = self.system
        opening: Commands = (
            {"op": "init", "cpus": system.vcpus, "reg_count": system.registrations},
            *(call(cpu, ApicCall.CONFIGURE_VECTOR, 0x300) for cpu in range(system.vcpus)),
        )
        for command in opening:
            self.watch.execute(command)
        posts = [(vector, False) for vector in system.edge]
        posts += [(vector, True) for vector in system.level]
        left = (tuple(posts), system.ipis, system.calls)
        return opening, self._freeze((False,) * system.vcpus, left)

    def moves(self, state: State) -> Iterator[Move[State, Command]]:
        """Every move from a state."""
        running, left = self._restore(state)
        for index, (commands, after, left_after) in enumerate(list(self._enabled(running, left))):
            if index:
                self._restore(state)
            before, label = self._seen(left), self._label(commands) if self.projection else ""
            done: list[Command] = []
            try:
                for command in commands:
                    done.append(command)
                    self.watch.execute(command)
                if commands[0]["op"] == "svsm_step":
                    cpu = self.watch.machine.vm.vcpus[commands[0]["cpu"]]
                    for step in self._private(cpu):
                        label = "SVSM: present" if step == "present" else label
                        done.append(commands[0])
                        self.watch.execute(commands[0])
                    commands = _walk(cpu.index, len(done))
                    if cpu.entry is None:  # the entry ended: the guest runs
                        after = _with(running, cpu.index, runs=True)
            except Violation as violation:
                yield Move(tuple(done), broken=violation)
                return
            edge = (before, self._seen(left_after), label) if self.projection else None
            yield Move(commands, self._freeze(after, left_after), edge=edge)

    def key(self, state: State) -> int:
        """One number for all states that differ only by which vCPU is which."""
        shared, left, vcpus, _ = state
        return hash((shared, left, tuple(sorted(map(hash, vcpus)))))

    def _private(self, cpu: Vcpu) -> Iterator[str]:
        """The steps of an entry, one after the other, that no other actor can see."""
        while cpu.entry is not None:
            step = cpu.entry.step
            unused_word = step == "take_irr" and cpu.entry.word not in self.words
            if step not in ("present", "cancel") and not unused_word:
                return
            yield step

    def _seen(self, left: Left) -> str:
        return "" if self.projection is None else self.projection(self.watch, left)

    def _label(self, commands: Commands) -> str:
        """What a move is, in a word or two."""
        command = commands[-1]
        cpu = self.watch.machine.vm.vcpus[command["cpu"]]
        match command["op"]:
            case "svsm_step":
                return f"SVSM: {cpu.entry.step if cpu.entry else 'handle_hv'}"
            case "host_step":
                return f"host: {cpu.posting.step if cpu.posting else 'read_status'}"
            case "guest_take":
                return "CPU delivers"
            case "guest_lazy_eoi":
                return "guest: lazy EOI"
            case "guest":
                return "guest: IF on" if command["if"] else "guest: IF off"
        if command["request"] == ApicCall.CONFIGURE_EMULATION:
            return f"guest: CONFIGURE 0b{command['rcx']:02b}"
        return "guest: EOI" if command["rcx"] == ApicRegister.EOI else "guest: ICR"

    def _enabled(
        self, running: tuple[bool, ...], left: Left
    ) -> Iterator[tuple[Commands, tuple[bool, ...], Left]]:
        """Every move from here: the commands, which vCPUs then run, what is then left to do."""
        posts, ipis, calls = left
        for cpu in self.watch.machine.vm.vcpus:
            index = cpu.index
            if cpu.posting is not None:
                yield _one("host_step", index), running, left
            else:
                for post in posts:
                    rest = tuple(other for other in posts if other is not post)
                    yield _post(index, *post), running, (rest, ipis, calls)
            if not running[index]:
                yield _walk(index), running, left
                continue
            stopped = _with(running, index, runs=False)
            if cpu.hv_raised:  # VMPL0 runs next (SCHED-1)
                yield _walk(index), stopped, left
                continue
            if can_take(cpu.guest):
                yield _one("guest_take", index), running, left
                continue  # the hardware waits for nobody
            if cpu.mailbox.pending:  # another vCPU's IPI: the host notifies
                yield _walk(index), stopped, left
            toggled = {"if": not cpu.guest.interrupts_enabled, "shadow": False}
            yield _one("guest", index, **toggled), running, left
            if self.watch.ledger.accounts[index].delivered:
                if cpu.calling.no_eoi_required:
                    yield _one("guest_lazy_eoi", index), running, left
                elif cpu.guest.alternate_injection:
                    yield _called(index, ApicCall.WRITE_REGISTER, ApicRegister.EOI), stopped, left
            if cpu.guest.alternate_injection:
                for vector in ipis:
                    others = tuple(other for other in ipis if other != vector)
                    yield _send(index, vector), stopped, (posts, others, calls)
            if calls:
                for request in range(3):
                    asked = _called(index, ApicCall.CONFIGURE_EMULATION, request)
                    yield asked, stopped, (posts, ipis, calls - 1)

    # --- states ------------------------------------------------------------------------------------

    def _freeze(self, running: tuple[bool, ...], left: Left) -> State:
        """The VM and the books as a whole; what is left; each vCPU with its account; and, apart, what
        makes no two states different."""
        machine, ledger = self.watch.machine, self.watch.ledger
        assert machine.stopped is None
        shared, books = freeze(machine.vm), freeze(ledger)
        vcpus, passive = [], []
        for runs, cpu, account in zip(running, machine.vm.vcpus, ledger.accounts, strict=True):
            state, carried = _freeze_vcpu(cpu)
            owed, noted = _freeze_account(account)
            vcpus.append((runs, state, owed))
            passive.append((carried, noted))
        return (shared[0], books[0]), left, tuple(vcpus), (shared[1], books[1], tuple(passive))

    def _restore(self, state: State) -> tuple[tuple[bool, ...], Left]:
        (vm_state, ledger_state), left, vcpus, (vm_carried, ledger_carried, passive) = state
        vm, ledger = self.watch.machine.vm, self.watch.ledger
        restore(vm, (vm_state, vm_carried))
        restore(ledger, (ledger_state, ledger_carried))
        vm.requests.clear()
        for index, ((_, cpu, account), (carried, noted)) in enumerate(
            zip(vcpus, passive, strict=True)
        ):
            _restore_vcpu(vm.vcpus[index], cpu, carried)
            ledger.accounts[index] = _thaw_account(account, noted)
        return tuple(vcpu[0] for vcpu in vcpus), left


_freeze_vcpu, _restore_vcpu = freezer(Vcpu), restorer(Vcpu)
_freeze_account, _thaw_account = freezer(Account), thawer(Account)


def _with(running: tuple[bool, ...], index: int, *, runs: bool) -> tuple[bool, ...]:
    return (*running[:index], runs, *running[index + 1 :])


# --- the commands of a move; equal ones are one object ------------------------------------------------


@cache
def _one(operation: str, cpu: int, **arguments: Any) -> Commands:
    return ({"op": operation, "cpu": cpu, **arguments},)


@cache
def _called(cpu: int, request: int, rcx: int) -> Commands:
    return (call(cpu, request, rcx),)


@cache
def _send(cpu: int, vector: int) -> Commands:
    icr = ApicIcr(vector=vector, shorthand=Shorthand.ALL_BUT_SELF)
    return (call(cpu, ApicCall.WRITE_REGISTER, ApicRegister.ICR, int(icr)),)


@cache
def _post(cpu: int, vector: int, level: bool) -> Commands:
    return (*_one("host_begin", cpu, vector=vector, level=level), *_one("host_step", cpu))


@cache
def _walk(cpu: int, steps: int = 1) -> Commands:
    return _one("svsm_step", cpu) * steps
