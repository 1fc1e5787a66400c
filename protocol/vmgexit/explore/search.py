"""Every interleaving of a small system, breadth first, until something breaks or a bound is reached.

A state is the whole machine with the ledger's books, frozen to a tuple. From each state every actor
that can move does: the host posts access by access, each SVSM walks the steps of `entry`, each guest
takes, ends, calls and sends. The invariants hold after every move; the first broken one gives a
shortest scenario, which `vmgexit replay --invariants` repeats.

States that differ only by which vCPU is which are one. Steps that no other actor can see are taken
together with the one before them, so that they do not multiply the interleavings.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ..machine.commands import Command
from ..machine.machine import Machine
from ..machine.quirks import REFERENCE, Quirks
from ..machine.rules.guest import can_take
from ..machine.vcpu import Entry, Guest, LocalApic, Mailbox, Posting
from ..machine.vm import Vcpu
from ..watch.invariants import Violation, Watch
from ..watch.ledger import Account
from ..wire.apic import ApicCall, ApicRegister, Shorthand
from ..wire.svsm import Protocol
from ..wire.vmsa import VintrCtrl

State = tuple[Any, ...]

_DESCRIPTOR = slice(0x80, 0xC0)
_VINTR = ("v_tpr", "v_irq", "vgif", "int_shadow", "v_intr_prio", "v_ign_tpr", "v_intr_vector")


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a system may do, and how far to look. Counts are of the whole run of the system."""

    vcpus: int = 2
    registrations: int = 1  # the count at the start
    edge: tuple[int, ...] = ()  # vectors that the host posts edge-triggered, each once
    level: tuple[int, ...] = ()  # and level-triggered
    ipis: tuple[int, ...] = ()  # vectors that a vCPU sends to all others, each once
    calls: int = 0  # CONFIGURE_EMULATION calls, of any of the three kinds
    depth: int = 200
    states: int = 2_000_000
    megabytes: int = 1900


@dataclass(slots=True)
class Outcome:
    """What an exploration came to."""

    states: int = 0
    moves: int = 0
    depth: int = 0
    seconds: float = 0.0
    frontier: int = 0
    stopped_by: str = ""  # the bound that ended it; empty when every reachable state was seen
    violation: Violation | None = None
    scenario: list[Command] = field(default_factory=list)
    # With a projection: how its values follow each other, and by which moves.
    transitions: dict[tuple[str, str, str], list[Command]] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """States per second."""
        return self.states / self.seconds if self.seconds else 0.0


Projection = Callable[[Watch, tuple[Any, ...]], str]
"""What is looked at of a state, given the watched machine and what is left to do."""


def explore(
    bounds: Bounds,
    quirks: Quirks = REFERENCE,
    progress: Callable[[Outcome], None] | None = None,
    projection: Projection | None = None,
) -> Outcome:
    """Visit every state within the bounds, nearest first. Stops at the first violation.

    With a `projection` the outcome holds every transition between its values, each with the scenario
    that first made it; this is what diagrams are drawn from.
    """
    explorer = _Explorer(bounds, quirks)
    explorer.projection = projection
    return explorer.run(progress or (lambda outcome: None))


class _Explorer:
    def __init__(self, bounds: Bounds, quirks: Quirks) -> None:
        self.bounds = bounds
        self.watch = Watch(Machine(quirks))
        self.machine = self.watch.machine
        self.opening: list[Command] = [
            {"op": "init", "cpus": bounds.vcpus, "reg_count": bounds.registrations}
        ]
        self.opening += [_allow_all(cpu) for cpu in range(bounds.vcpus)]
        vectors = (*bounds.edge, *bounds.level, *bounds.ipis)
        self.words = {vector // 32 for vector in vectors}
        # Parent and move of each state, by number; enough to tell how it was reached.
        self.parents: list[int] = []
        self.moves: list[tuple[Command, ...]] = []
        self.shared: dict[str, tuple[Command, ...]] = {}  # equal moves are one object
        self.seen: set[int] = set()
        self.outcome = Outcome()
        self.projection: Projection | None = None
        self.presented = False  # the last move took the step that presents interrupts

    def run(self, progress: Callable[[Outcome], None]) -> Outcome:
        outcome, started = self.outcome, time.perf_counter()
        for command in self.opening:
            self.watch.execute(command)
        budget = (
            tuple((v, False) for v in self.bounds.edge)
            + tuple((v, True) for v in self.bounds.level),
            self.bounds.ipis,
            self.bounds.calls,
        )
        frontier = [(self._add(self._freeze((False,) * self.bounds.vcpus, budget), -1, ()))]
        while frontier and not outcome.stopped_by:
            if outcome.depth >= self.bounds.depth:
                outcome.stopped_by = f"depth {self.bounds.depth}"
                break
            following: list[tuple[int, State]] = []
            for number, state in frontier:
                following.extend(self._from(number, state))
                if outcome.violation is not None:
                    break
                if outcome.states % 256 == 0:
                    outcome.seconds = time.perf_counter() - started
                    outcome.frontier = len(frontier) + len(following)
                    outcome.stopped_by = self._bound()
                    progress(outcome)
                    if outcome.stopped_by:
                        break
            if outcome.violation is not None:
                break
            frontier = following
            outcome.depth += bool(frontier)
        outcome.frontier = len(frontier)
        outcome.seconds = time.perf_counter() - started
        return outcome

    def _bound(self) -> str:
        if self.outcome.states >= self.bounds.states:
            return f"{self.bounds.states} states"
        if memory() >= self.bounds.megabytes:
            return f"{self.bounds.megabytes} MB"
        return ""

    def _add(self, state: State, parent: int, move: tuple[Command, ...]) -> tuple[int, State]:
        self.seen.add(_canonical(state))
        self.parents.append(parent)
        self.moves.append(self.shared.setdefault(repr(move), move))
        self.outcome.states += 1
        return len(self.parents) - 1, state

    def _from(self, number: int, state: State) -> Iterator[tuple[int, State]]:
        """The new states that one move leads to."""
        running, budget = self._thaw(state)
        moves = list(self._enabled(running, budget))
        for index, (move, after, left) in enumerate(moves):
            if index:
                self._thaw(state)
            done: list[Command] = []
            seen_before = self._project(budget)
            label = self._label(move)
            try:
                for command in move:
                    done.append(command)
                    self.watch.execute(command)
                done += self._private(move[0])
            except Violation as violation:
                self.outcome.violation = violation
                self.outcome.scenario = [*self._path(number), *done]
                return
            self.outcome.moves += 1
            if self.projection is not None:
                named = "SVSM: present" if self.presented else label
                key = (seen_before, self._project(left), named)
                if key not in self.outcome.transitions:
                    self.outcome.transitions[key] = [*self._path(number), *done]
            reached = self._freeze(self._running(after, move[0]), left)
            if _canonical(reached) not in self.seen:
                yield self._add(reached, number, tuple(done))

    def _project(self, budget: tuple[Any, ...]) -> str:
        return "" if self.projection is None else self.projection(self.watch, budget)

    def _label(self, move: list[Command]) -> str:
        """What a move is, in a word or two."""
        command = move[-1]
        cpu = self.machine.vm.vcpus[command["cpu"]]
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

    def _running(self, running: tuple[bool, ...], first: Command) -> tuple[bool, ...]:
        """A vCPU whose entry ended runs its guest."""
        index = first["cpu"]
        if first["op"] != "svsm_step" or self.machine.vm.vcpus[index].entry is not None:
            return running
        return (*running[:index], True, *running[index + 1 :])

    def _private(self, first: Command) -> list[Command]:
        """Take the steps that no other actor can see together with the one before."""
        done: list[Command] = []
        self.presented = False
        cpu = self.machine.vm.vcpus[first["cpu"]]
        while first["op"] == "svsm_step" and cpu.entry is not None:
            unused_word = cpu.entry.step == "take_irr" and cpu.entry.word not in self.words
            if cpu.entry.step not in ("present", "cancel") and not unused_word:
                break
            self.presented |= cpu.entry.step == "present"
            done.append({"op": "svsm_step", "cpu": cpu.index})
            self.watch.execute(done[-1])
        return done

    def _enabled(
        self, running: tuple[bool, ...], budget: tuple[Any, ...]
    ) -> Iterator[tuple[list[Command], tuple[bool, ...], tuple[Any, ...]]]:
        """Every move from here: the commands, which vCPUs then run, what is then left to do."""
        posts, ipis, calls = budget
        for cpu in self.machine.vm.vcpus:
            index = cpu.index
            stopped = (*running[:index], False, *running[index + 1 :])
            if cpu.posting is not None:
                yield [{"op": "host_step", "cpu": index}], running, budget
            else:
                for post in posts:
                    left = tuple(other for other in posts if other is not post)
                    begin = {"op": "host_begin", "cpu": index, "vector": post[0], "level": post[1]}
                    step = {"op": "host_step", "cpu": index}
                    yield [begin, step], running, (left, ipis, calls)
            if not running[index]:
                yield [{"op": "svsm_step", "cpu": index}], running, budget
                continue
            if cpu.hv_raised:  # VMPL0 runs next (SCHED-1)
                yield [{"op": "svsm_step", "cpu": index}], stopped, budget
                continue
            if can_take(cpu.guest):
                yield [{"op": "guest_take", "cpu": index}], running, budget
                continue  # the hardware waits for nobody
            if cpu.mailbox.pending:  # another vCPU's IPI: the host notifies
                yield [{"op": "svsm_step", "cpu": index}], stopped, budget
            enabled = cpu.guest.interrupts_enabled
            toggle = {"op": "guest", "cpu": index, "if": not enabled, "shadow": False}
            yield [toggle], running, budget
            account = self.watch.ledger.accounts[index]
            if account.delivered:
                if cpu.calling.no_eoi_required:
                    yield [{"op": "guest_lazy_eoi", "cpu": index}], running, budget
                elif cpu.guest.alternate_injection:
                    yield [_end(index)], stopped, budget
            for vector in ipis:
                left = tuple(other for other in ipis if other != vector)
                if cpu.guest.alternate_injection:
                    yield [_send(index, vector)], stopped, (posts, left, calls)
            if calls:
                for request in range(3):
                    yield [_configure(index, request)], stopped, (posts, ipis, calls - 1)

    def _path(self, number: int) -> list[Command]:
        """The scenario that leads to a state."""
        moves: list[tuple[Command, ...]] = []
        while number >= 0:
            moves.append(self.moves[number])
            number = self.parents[number]
        return [*self.opening, *(command for move in reversed(moves) for command in move)]

    # --- states ------------------------------------------------------------------------------------

    def _freeze(self, running: tuple[bool, ...], budget: tuple[Any, ...]) -> State:
        vcpus = tuple(
            (running[cpu.index], *_frozen(cpu, self.watch.ledger.accounts[cpu.index]))
            for cpu in self.machine.vm.vcpus
        )
        return (self.machine.vm.registration_count, budget, vcpus)

    def _thaw(self, state: State) -> tuple[tuple[bool, ...], tuple[Any, ...]]:
        count, budget, vcpus = state
        self.machine.vm.registration_count = count
        self.machine.vm.requests.clear()
        self.machine.stopped = None
        for cpu, (_, *frozen) in zip(self.machine.vm.vcpus, vcpus, strict=True):
            self.watch.ledger.accounts[cpu.index] = _thawed(cpu, frozen)
        return tuple(vcpu[0] for vcpu in vcpus), budget


def _canonical(state: State) -> int:
    """One number for all states that differ only by which vCPU is which."""
    count, budget, vcpus = state
    return hash((count, budget, tuple(sorted(map(hash, vcpus)))))


def _frozen(cpu: Vcpu, account: Account) -> State:
    guest, local, mailbox = cpu.guest, cpu.apic, cpu.mailbox
    entry, post = cpu.entry, cpu.posting
    return (
        guest.interrupts_enabled,
        guest.event_inj,
        guest.alternate_injection,
        tuple(getattr(guest.vintr, name) for name in _VINTR),
        (local.irr, local.allowed, local.tmr, local.host_tmr),
        tuple(local.isr),
        tuple(local.isr_tmr),
        (
            local.update_required,
            local.interrupt_delivered,
            local.interrupt_queued,
            local.lazy_eoi_pending,
            local.nmi_pending,
        ),
        (mailbox.irr, mailbox.pending, mailbox.nmi),
        cpu.calling.no_eoi_required,
        bytes(cpu.page[:4]),
        bytes(cpu.page[_DESCRIPTOR]),
        cpu.hv_raised,
        entry and (entry.step, entry.status, entry.word),
        post and (post.vector, post.level, post.step, post.status, post.occupant, post.raised),
        tuple(sorted(account.mailed)),
        tuple(sorted(account.owed.items())),
        tuple(account.delivered),
        (account.nmi_mailed, account.nmi_owed, account.nmi_may),
        (account.allowed, account.token, account.early, account.closed, account.disables),
    )


def _thawed(cpu: Vcpu, frozen: list[Any]) -> Account:
    """Put a vCPU into a frozen state; its account."""
    (
        interrupts, event, injection, vintr, sets, isr, isr_tmr, flags, mailbox, token_byte,
        head, descriptor, raised, entry, post, mailed, owed, delivered, nmi, books,
    ) = frozen  # fmt: skip
    cpu.guest = Guest(
        interrupts, VintrCtrl(**dict(zip(_VINTR, vintr, strict=True))), event, 0, injection
    )
    irr, allowed, tmr, host_tmr = sets
    cpu.apic = LocalApic(0, irr, allowed, tmr, host_tmr, list(isr), list(isr_tmr), (0, 0), *flags)
    cpu.mailbox = Mailbox(*mailbox)
    cpu.calling.no_eoi_required = token_byte
    cpu.page[:4] = head
    cpu.page[_DESCRIPTOR] = descriptor
    cpu.hv_raised = raised
    cpu.entry = entry and Entry(*entry)
    cpu.posting = post and Posting(*post)
    account = Account(set(mailed), dict(owed))
    account.delivered = list(delivered)
    account.nmi_mailed, account.nmi_owed, account.nmi_may = nmi
    account.allowed, account.token, account.early, account.closed, account.disables = books
    return account


def memory() -> int:
    """The most memory that this process has used, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


# --- moves -----------------------------------------------------------------------------------------


def _call(cpu: int, call: ApicCall, rcx: int, rdx: int = 0) -> Command:
    return {
        "op": "call",
        "cpu": cpu,
        "protocol": int(Protocol.APIC),
        "request": int(call),
        "rcx": rcx,
        "rdx": rdx,
        "r8": 0,
    }


def _allow_all(cpu: int) -> Command:
    return _call(cpu, ApicCall.CONFIGURE_VECTOR, 0x300)


def _end(cpu: int) -> Command:
    return _call(cpu, ApicCall.WRITE_REGISTER, int(ApicRegister.EOI))


def _send(cpu: int, vector: int) -> Command:
    icr = vector | Shorthand.ALL_BUT_SELF << 18
    return _call(cpu, ApicCall.WRITE_REGISTER, int(ApicRegister.ICR), icr)


def _configure(cpu: int, request: int) -> Command:
    return _call(cpu, ApicCall.CONFIGURE_EMULATION, request)
