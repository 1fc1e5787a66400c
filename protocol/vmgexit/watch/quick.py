"""The invariants of `Watch` for whole scenarios, several times as fast: for campaigns.

`Watch` and the invariants are the statement of what must hold; this says only whether it does. The books
are integers, no answer and no step is made, and each command asks for those invariants alone that it can
break: the functions in `_COMMANDS` say which. When something is wrong, `Watch` runs the scenario once
more, and raises the Violation in its own words. `Doubted`, the other way round, is a defect of ours: this
found what `Watch` does not find. tests/property/test_quick.py holds the two equal.

Scenarios of machines with memory are `Watch`'s from the start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..descriptions import Command
from ..machine.machine import ACTS, NEEDS_A_RUNNING_GUEST, Machine
from ..machine.memory.memory import NestedPageFault
from ..machine.vcpu import (
    EVENT_TYPE,
    EVENT_VALID,
    EVENT_VECTOR,
    EVENTS_AT,
    FLAGS_AT,
    GUEST_EVENT,
    IRR_WORD,
    ISR_WORD,
    LEVEL,
    MULTIPLE,
    NMI,
    NO_FURTHER_SIGNAL,
    STATUS_WORD,
    VECTOR,
    VECTOR_31,
    is_external,
    is_nmi,
)
from ..machine.vm import Assertion, Termination, Vcpu
from ..wire.apic import ApicCall, ApicRegister
from ..wire.doorbell import LOWEST_VECTOR
from ..wire.exit_codes import ExitCode
from ..wire.svsm import CoreCall, Protocol, ResultCode
from .invariants import INVARIANTS, Watch
from .judged import Invariant
from .ledger import carried, descriptor, nmi_located, settled, visible
from .oracle import documented_code

# As plain integers: what is compared with them comes from commands.
_CORE, _APIC = int(Protocol.CORE), int(Protocol.APIC)
_REMAP_CA, _QUERY_PROTOCOL = int(CoreCall.REMAP_CA), int(CoreCall.QUERY_PROTOCOL)
_CONFIGURE, _READ, _WRITE, _ALLOW = map(
    int,
    (
        ApicCall.CONFIGURE_EMULATION,
        ApicCall.READ_REGISTER,
        ApicCall.WRITE_REGISTER,
        ApicCall.CONFIGURE_VECTOR,
    ),
)
_TPR, _PPR, _EOI = int(ApicRegister.TPR), int(ApicRegister.PPR), int(ApicRegister.EOI)
_NO_PROTOCOL = int(ResultCode.UNSUPPORTED_PROTOCOL)
_SPECIFIC_EOI, _DISABLE = ExitCode.SPECIFIC_EOI, ExitCode.DISABLE_ALTERNATE_INJECTION
_ALL_VECTORS = (1 << 256) - (1 << LOWEST_VECTOR)
_IN_IRR = (1 << 256) - (1 << 32)  # of a descriptor as one integer
_EVENT_KIND = EVENT_VALID | EVENT_TYPE
_DESCRIPTOR = slice(4 * STATUS_WORD, 4 * (IRR_WORD + 8))  # status, and IRR up to vector 255
_IN_SERVICE = slice(4 * ISR_WORD, 4 * (ISR_WORD + 8))


class Doubted(AssertionError):
    """`Quick` found something wrong where `Watch` finds nothing."""


class _Broken(Exception):
    """An invariant does not hold."""


@dataclass(slots=True)
class Tally:
    """The books of one vCPU, as `ledger.Account` has them, with 256-bit sets.

    `owed_level` are those of `owed` for whose end the host waits; `level` goes with `delivered`.
    """

    mailed: int = 0
    owed: int = 0
    owed_level: int = 0
    may: int = 0
    nmi_mailed: bool = False
    nmi_owed: bool = False
    nmi_may: int = 0
    delivered: list[int] = field(default_factory=list)
    level: list[bool] = field(default_factory=list)
    allowed: int = 0
    tpr: int = 0
    token: int | None = None
    early: int | None = None
    last_taken: tuple[str, int] | None = None
    new_tpr: int | None = None
    honest: bool = True
    genuine: bool = True
    meddled: bool = False
    closed: bool = False
    disables: int = 0

    def look(self) -> None:
        """The mailbox is emptied."""
        self.owed |= self.mailed
        self.mailed = 0
        self.nmi_may += self.nmi_owed and self.nmi_mailed
        self.nmi_owed |= self.nmi_mailed
        self.nmi_mailed = False


class Quick:
    """Runs scenarios on `machine`, a fresh one, as `Watch` does, under `invariants`: all of a name or none.

    `observe`, where there is one, hears of each command that was carried out.
    """

    def __init__(
        self,
        machine: Machine,
        invariants: Sequence[Invariant] = INVARIANTS,
        observe: Callable[[Machine, Command], None] | None = None,
    ) -> None:
        self.machine, self.invariants, self.observe = machine, invariants, observe
        self.held = frozenset(one.name for one in invariants)
        self.tallies: list[Tally] = []
        self.dropped: list[int] = []  # level-triggered, taken and not allowed
        self.last_taken: tuple[str, int] | None = None  # by this vCPU, in the command before
        self.found = bytearray()  # the descriptor before the SVSM's steps
        self.mail = False

    def run(self, commands: Sequence[Command]) -> None:
        """Carry out a scenario. Raises Violation, and what else `Watch` would raise."""
        index, one, observe = -1, self._one, self.observe
        try:
            for command in commands:
                index += 1
                if command["op"] == "init" and "memory" in command:
                    self._watched(commands, observe)
                    return
                one(command)
                if observe is not None:
                    observe(self.machine, command)
        except Exception as reason:
            self._watched(commands[: index + 1])
            if isinstance(reason, _Broken):
                raise Doubted(f"{reason} at command {index}, where Watch finds nothing") from None
            raise

    def _watched(
        self, commands: Iterable[Command], observe: Callable[[Machine, Command], None] | None = None
    ) -> None:
        """The same from the start by `Watch`."""
        vm = self.machine.vm
        self.machine = Machine(vm.quirks, vm.devices)
        watch = Watch(self.machine, invariants=self.invariants)
        for command in commands:
            watch.execute(command)
            if observe is not None:
                observe(self.machine, command)

    def _one(self, command: Command) -> None:
        machine, operation = self.machine, command["op"]
        if operation == "init":
            machine.vm.listener = self
            machine.carry_out(command)
            self.tallies = [Tally() for _ in machine.vm.vcpus]
            self.dropped = []
            return
        vm, carry_out = machine.vm, _COMMANDS.get(operation)
        number = command.get("cpu", 0)
        if carry_out is None or number >= len(vm.vcpus):
            machine.execute(command)  # it is refused
            return
        if machine.stopped is not None:
            return
        cpu, tally = vm.vcpus[number], self.tallies[number]
        try:
            if cpu.entry is not None and operation in NEEDS_A_RUNNING_GUEST:
                vm.sent.clear()
                tally.last_taken = None
                _enter(self, cpu, tally, {"op": "enter", "cpu": number})
                tally = self.tallies[number]
            vm.sent.clear()
            self.last_taken, tally.last_taken = tally.last_taken, None
            carry_out(self, cpu, tally, command)
        except Assertion:
            raise _Broken("INV-10") from None
        except (Termination, NestedPageFault) as reason:
            machine.stopped = {"terminated": str(reason)}

    def broken(self, name: str) -> None:
        """An invariant does not hold: the end, if it has to."""
        if name in self.held:
            raise _Broken(name)

    def before_steps(self, cpu: Vcpu) -> None:
        """Note what the SVSM is about to look at: its descriptor and its mailbox."""
        self.found, self.mail = cpu.page[_DESCRIPTOR], cpu.mailbox.pending

    def after_steps(self, cpu: Vcpu) -> None:
        """What left the descriptor since is the SVSM's to deliver, if it was allowed."""
        tally = self.tallies[cpu.index]
        if self.mail and not cpu.mailbox.pending:
            tally.look()
        now = cpu.page[_DESCRIPTOR]
        if now != self.found:
            self._left(tally, self.found, now)

    def _left(self, tally: Tally, before: bytearray, after: bytearray) -> None:
        found, now = int.from_bytes(before, "little"), int.from_bytes(after, "little")
        if found & NMI and not now & NMI:
            tally.nmi_may += tally.nmi_owed
            tally.nmi_owed = True
        gone = found & ~now & _IN_IRR
        if found & ~now & VECTOR_31:
            gone |= 1 << LOWEST_VECTOR
        vector = found & VECTOR
        if vector and vector != now & VECTOR:
            gone |= 1 << vector
            if found & LEVEL:
                if tally.allowed >> vector & 1:
                    tally.owed_level |= 1 << vector
                else:
                    self.dropped.append(vector)
        tally.owed |= gone & tally.allowed


# --- what each command can break ------------------------------------------------------------------------


def _alone(watch: Quick, cpu: Vcpu, tally: Tally, command: Command) -> None:
    """What the host and the guest do to memory and registers that the SVSM has not looked at."""
    ACTS[command["op"]](watch.machine, cpu, command)


def _guest(watch: Quick, cpu: Vcpu, tally: Tally, command: Command) -> None:
    _alone(watch, cpu, tally, command)
    if command.get("cr8", tally.tpr >> 4) != tally.tpr >> 4:
        tally.tpr = command["cr8"] << 4


def _set_vmsa(watch: Quick, cpu: Vcpu, tally: Tally, command: Command) -> None:
    _alone(watch, cpu, tally, command)
    tally.new_tpr = (command.get("vintr", 0) & 0xFF) << 4 & 0xFF


def _set_doorbell(watch: Quick, cpu: Vcpu, tally: Tally, command: Command) -> None:
    _alone(watch, cpu, tally, command)
    tally.honest = False
    tally.meddled = cpu.entry is not None


def _guest_lazy_eoi(watch: Quick, cpu: Vcpu, tally: Tally, command: Command) -> None:
    if not ACTS["guest_lazy_eoi"](watch.machine, cpu, command):
        return
    token, tally.token = tally.token, None
    if tally.delivered and tally.delivered[-1] == token:
        tally.delivered.pop()
        tally.level.pop()
    else:
        tally.early = token


def _guest_take(watch: Quick, cpu: Vcpu, tally: Tally, command: Command) -> None:
    taken, vector = ACTS["guest_take"](watch.machine, cpu, command)
    if taken == "none" or tally.closed:
        return
    unasked = False
    if taken == "nmi":
        unasked = not (tally.nmi_owed or tally.nmi_may)
        if tally.nmi_owed:
            tally.nmi_owed = False
        else:
            tally.nmi_may = max(tally.nmi_may - 1, 0)
    elif taken in ("event", "virq"):
        bit, level = 1 << vector, False
        if tally.may & bit:
            tally.may &= ~bit
        else:
            unasked = not tally.owed & bit
            level = tally.owed_level & bit != 0
            tally.owed &= ~bit
            tally.owed_level &= ~bit
        if tally.early == vector:
            tally.early = None
        else:
            tally.delivered.append(vector)
            tally.level.append(level)
    tally.last_taken = (taken, vector)
    if unasked and tally.genuine:
        watch.broken("INV-2")
    _nothing_lost(watch, cpu, tally)


def _enter(watch: Quick, cpu: Vcpu, tally: Tally, command: Command) -> None:
    emulated = cpu.guest.alternate_injection
    due = _taken_up(cpu, tally)
    made = len(cpu.vm.requests)
    signalled = cpu.page[EVENTS_AT] & GUEST_EVENT != 0
    status = cpu.words[STATUS_WORD] if signalled else 0
    ACTS["enter"](watch.machine, cpu, command)
    _acknowledged(watch, cpu, tally, made, due + watch.dropped)
    watch.dropped = []
    _entered(watch, cpu, tally, emulated, status, signalled)
    _nothing_lost(watch, cpu, tally)


def _svsm_step(watch: Quick, cpu: Vcpu, tally: Tally, command: Command) -> None:
    emulated = cpu.guest.alternate_injection
    due = _taken_up(cpu, tally) if cpu.entry is None else []
    made = len(cpu.vm.requests)
    step = ACTS["svsm_step"](watch.machine, cpu, command)
    _acknowledged(watch, cpu, tally, made, due + watch.dropped)
    watch.dropped = []
    if step == "entered":
        _entered(watch, cpu, tally, emulated, 0, False)
    elif not tally.closed and len(cpu.apic.isr) > 1:
        _ascending(watch, cpu.apic.isr)
    _nothing_lost(watch, cpu, tally)


def _intercept(watch: Quick, cpu: Vcpu, tally: Tally, command: Command) -> None:
    emulated = cpu.guest.alternate_injection
    waiting = 0 if cpu.new_guest is not None else cpu.guest.event_inj
    due = _taken_up(cpu, tally)
    made = len(cpu.vm.requests)
    ACTS["intercept"](watch.machine, cpu, command)
    event = command["exitintinfo"]
    if emulated and event & EVENT_VALID and event != waiting:
        _cut_short(watch, tally, event, waiting)
    _acknowledged(watch, cpu, tally, made, due)
    if not tally.closed and len(cpu.apic.isr) > 1:
        _ascending(watch, cpu.apic.isr)
    _nothing_lost(watch, cpu, tally)


def _cut_short(watch: Quick, tally: Tally, event: int, waiting: int) -> None:
    """As `ledger._intercept`."""
    vector, external, nmi = event & EVENT_VECTOR, is_external(event), is_nmi(event)
    if waiting & EVENT_VALID or ((external or nmi) and not _was_taken(watch, tally, event)):
        tally.honest = tally.genuine = False
        if external:
            tally.may |= 1 << vector
        tally.nmi_may += nmi
    elif nmi:
        tally.nmi_owed = True
    elif external:
        tally.delivered.pop()
        bit = 1 << vector
        tally.owed |= bit
        tally.owed_level = tally.owed_level & ~bit | bit * tally.level.pop()


def _was_taken(watch: Quick, tally: Tally, event: int) -> bool:
    if watch.last_taken is None:
        return False
    taken, vector = watch.last_taken
    if not is_external(event):
        return taken == "nmi"
    newest = tally.delivered[-1] if tally.delivered else None
    return taken in ("event", "virq") and vector == newest == event & EVENT_VECTOR


def _call(watch: Quick, cpu: Vcpu, tally: Tally, command: Command) -> None:
    vm = cpu.vm
    emulated, count = cpu.guest.alternate_injection, vm.registration_count
    due = _taken_up(cpu, tally) if cpu.entry is None else []
    made = len(vm.requests)
    code = seen = None
    if cpu.new_guest is None and cpu.new_calling is None:
        code = documented_code(cpu, command, emulated=emulated, count=count)
        if code and tally.genuine:
            seen = visible(cpu)
    result, registers = ACTS["call"](watch.machine, cpu, command)
    if code is None:
        code = documented_code(cpu, command, emulated=emulated, count=count)
    if result != code:
        watch.broken("INV-9")
    is_given = False
    if len(vm.requests) > made and any(one.code is _DISABLE for one in vm.requests[made:]):
        tally.disables += 1
        is_given = not tally.closed
    if result:
        if (
            registers.rcx != command["rcx"]
            or registers.rdx != command["rdx"]
            or registers.r8 != command["r8"]
            or (seen is not None and seen != visible(cpu))
        ):
            watch.broken("INV-9")
    else:
        _done(tally, command, due)
    if vm.sent:
        for sent in vm.sent:
            _sent(watch.tallies[sent.target], sent, to_self=sent.target == cpu.index)
    if is_given:
        _handed_over(watch, cpu, tally)
    _acknowledged(watch, cpu, tally, made, due)
    if not emulated or command["request"] == _CONFIGURE:
        _off_is_off(watch, cpu, tally, command, result, registers, emulated=emulated)
    if tally.disables > 1 or (vm.registration_count and not count):
        watch.broken("INV-7")
    if not tally.closed:
        isr = cpu.apic.isr
        if (isr or tally.delivered) and tally.genuine and not is_given:
            _one_end(watch, cpu, tally)
        if len(isr) > 1:
            _ascending(watch, isr)
        if command["request"] == _READ and not result and command["protocol"] == _APIC:
            _read(watch, cpu, tally, command["rcx"], registers.rdx)
    for index in {cpu.index, *(sent.target for sent in vm.sent)} if vm.sent else (cpu.index,):
        _nothing_lost(watch, vm.vcpus[index], watch.tallies[index])


def _done(tally: Tally, command: Command, due: list[int]) -> None:
    """What a call that succeeded does to the books."""
    protocol, request, rcx = command["protocol"], command["request"], command["rcx"]
    if protocol == _CORE:
        if request == _REMAP_CA:
            tally.token = None
    elif protocol != _APIC:
        return
    elif request == _WRITE and rcx == _EOI:
        tally.token = None
        if tally.delivered:
            vector = tally.delivered.pop()
            if tally.level.pop():
                due.append(vector)
    elif request == _WRITE and rcx == _TPR:
        tally.tpr = command["rdx"] & 0xFF
    elif request == _ALLOW:
        vector = rcx & 0xFF
        if rcx & 0x200:
            tally.allowed = _ALL_VECTORS if rcx & 0x100 else 0
        elif not rcx & 0x100:
            tally.allowed &= ~(1 << vector)
        elif vector >= LOWEST_VECTOR:
            tally.allowed |= 1 << vector


def _sent(tally: Tally, sent: Any, *, to_self: bool) -> None:
    """What a vCPU sends itself is pending at once, what others send when it looks."""
    if sent.nmi:
        tally.nmi_may += tally.nmi_owed and to_self
        tally.nmi_owed |= to_self
        tally.nmi_mailed |= not to_self
    elif to_self:
        tally.owed |= 1 << sent.vector
    else:
        tally.mailed |= 1 << sent.vector


def _handed_over(watch: Quick, cpu: Vcpu, tally: Tally) -> None:
    """At the hand-over all that is pending and in service stands in the descriptor. The books closed."""
    tally.look()
    if tally.honest:
        given = int.from_bytes(cpu.page[_DESCRIPTOR], "little")
        pending = given & _IN_IRR | (1 << LOWEST_VECTOR) * bool(given & VECTOR_31)
        if given & VECTOR:
            pending |= 1 << (given & VECTOR)
        in_service = int.from_bytes(cpu.page[_IN_SERVICE], "little")
        if (
            tally.owed >> LOWEST_VECTOR << LOWEST_VECTOR & ~pending
            or any(not in_service >> vector & 1 for vector in tally.delivered)
            or (tally.nmi_owed and not given & NMI)
        ):
            watch.broken("INV-1")
    watch.tallies[cpu.index] = Tally(
        closed=True, disables=tally.disables, tpr=tally.tpr, honest=tally.honest
    )


def _off_is_off(
    watch: Quick,
    cpu: Vcpu,
    tally: Tally,
    command: Command,
    result: int,
    registers: Any,
    *,
    emulated: bool,
) -> None:
    protocol, count = command["protocol"], cpu.vm.registration_count
    bit = cpu.guest.alternate_injection
    if protocol == _APIC and command["request"] == _CONFIGURE and not result:
        off = command["rcx"] in (0, 1) and not count
        if bit if off else emulated and not bit:
            watch.broken("INV-7")
    if emulated:
        return
    asks = protocol == _CORE and command["request"] == _QUERY_PROTOCOL
    present = asks and command["rcx"] >> 32 == _APIC and registers.rcx
    if present or (protocol == _APIC and result != _NO_PROTOCOL):
        watch.broken("INV-7")


def _read(watch: Quick, cpu: Vcpu, tally: Tally, register: int, value: int) -> None:
    """TPR and PPR read as the architecture says."""
    expected = value
    if register == _TPR:
        expected = tally.tpr
    elif register == _PPR:
        newest = cpu.apic.isr[-1] if cpu.apic.isr else 0
        expected = tally.tpr if newest >> 4 <= tally.tpr >> 4 else newest & 0xF0
    if value != expected:
        watch.broken("INV-6")


# --- what several commands can break ----------------------------------------------------------------------


def _taken_up(cpu: Vcpu, tally: Tally) -> list[int]:
    """A new vCPU starts empty. The vectors whose end the host waits for, which are due."""
    if tally.new_tpr is None or cpu.entry is not None:
        return []
    due = [vector for vector, level in zip(tally.delivered, tally.level, strict=True) if level]
    due += [vector for vector in range(256) if tally.owed_level >> vector & 1]
    tally.tpr, tally.new_tpr = tally.new_tpr, None
    tally.owed = tally.owed_level = tally.mailed = tally.may = tally.allowed = 0
    tally.nmi_mailed = tally.nmi_owed = False
    tally.nmi_may = 0
    tally.delivered, tally.level = [], []
    tally.token = tally.early = None
    return due


def _requested(cpu: Vcpu, made: int) -> list[int]:
    """The vectors of the specific EOIs since so many requests were made."""
    return [int(one.info1) & 0xFF for one in cpu.vm.requests[made:] if one.code is _SPECIFIC_EOI]


def _acknowledged(watch: Quick, cpu: Vcpu, tally: Tally, made: int, due: list[int]) -> None:
    """Exactly the level-triggered interrupts that are due were acknowledged (INV-4)."""
    is_asked = (due or len(cpu.vm.requests) > made) and tally.honest and not tally.closed
    if is_asked and sorted(_requested(cpu, made)) != sorted(due):
        watch.broken("INV-4")


def _entered(
    watch: Quick, cpu: Vcpu, tally: Tally, emulated: bool, status: int, signalled: bool
) -> None:
    """The guest runs: `status` is that of a signalled descriptor before."""
    local = cpu.apic
    meddled, tally.meddled = tally.meddled, False
    offered = cpu.calling.no_eoi_required
    if offered or not local.lazy_eoi_pending:
        tally.early = None
    tally.token = None
    if offered:
        tally.token = carried(cpu)
        if tally.token is None and tally.delivered:
            tally.token = tally.delivered[-1]
    if not tally.closed:
        if (local.isr or tally.delivered) and tally.genuine:
            _one_end(watch, cpu, tally)
        if len(local.isr) > 1:
            _ascending(watch, local.isr)
    if not emulated:
        if carried(cpu) is not None:
            watch.broken("INV-7")
        return
    page, left = cpu.page, 0
    if cpu.hv_raised or (page[FLAGS_AT] & NO_FURTHER_SIGNAL and not meddled):
        watch.broken("INV-3")
    if cpu.posting is None and not meddled:  # else the host is not done, or obeys no order
        if tally.honest or (signalled and status & MULTIPLE):
            left = int.from_bytes(page[_DESCRIPTOR], "little")
            left &= _IN_IRR | VECTOR_31 | VECTOR | MULTIPLE
        elif signalled:
            left = cpu.words[STATUS_WORD] & (VECTOR | MULTIPLE)
        if left or page[EVENTS_AT] & GUEST_EVENT:
            watch.broken("INV-3")
            if tally.honest and not cpu.hv_raised and descriptor(cpu).pending & tally.allowed:
                watch.broken("INV-1")  # nothing signals it any more
        if status & NMI and cpu.words[STATUS_WORD] & NMI:
            watch.broken("INV-8")
    irr = local.irr
    if irr:
        newest = local.isr[-1] if local.isr else 0
        if irr & 0xFFFF or irr.bit_length() - 1 >> 4 > newest >> 4:
            watch.broken("INV-3")


def _one_end(watch: Quick, cpu: Vcpu, tally: Tally) -> None:
    """In service is what the guest took and did not end (INV-5)."""
    if settled(cpu) != tally.delivered:
        watch.broken("INV-5")


def _ascending(watch: Quick, in_service: list[int]) -> None:
    """Classes in service ascend (INV-6)."""
    below = -1
    for vector in in_service:
        if vector >> 4 <= below:
            watch.broken("INV-6")
        below = vector >> 4


def _nothing_lost(watch: Quick, cpu: Vcpu, tally: Tally) -> None:
    """What the guest is owed is on its way, NMIs too (INV-1, INV-8)."""
    if tally.closed or not tally.honest:
        return
    owed = tally.owed | tally.mailed
    if owed:
        guest = cpu.guest
        owed &= ~(cpu.apic.irr | cpu.mailbox.irr)
        if owed:
            for event in (guest.event_inj, guest.exit_int_info):
                if event & _EVENT_KIND == EVENT_VALID:
                    owed &= ~(1 << (event & EVENT_VECTOR))
            if guest.vintr.v_irq:
                owed &= ~(1 << guest.vintr.v_intr_vector)
            if owed:
                watch.broken("INV-1")
    if (tally.nmi_owed or tally.nmi_mailed) and not nmi_located(cpu):
        watch.broken("INV-8")


_COMMANDS: dict[str, Callable[[Quick, Vcpu, Tally, Command], None]] = {
    "call": _call,
    "enter": _enter,
    "svsm_step": _svsm_step,
    "intercept": _intercept,
    "guest_take": _guest_take,
    "guest_lazy_eoi": _guest_lazy_eoi,
    "guest": _guest,
    "set_vmsa": _set_vmsa,
    "set_doorbell": _set_doorbell,
    **dict.fromkeys(("host_irq", "host_begin", "host_step", "host_refuse"), _alone),
    **dict.fromkeys(("svsm_hv", "doorbell", "state"), _alone),
}
