"""What each command can break, for `Quick`: a function for each in `COMMANDS`.

It carries the command out, brings the tallies up to date as `ledger` does, and asks for those
invariants alone that the command can break. What each of them says stands in `invariants`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..descriptions import Command
from ..machine.machine import ACTS
from ..machine.vcpu import (
    EVENT_TYPE,
    EVENT_VALID,
    EVENT_VECTOR,
    EVENTS_AT,
    GUEST_EVENT,
    ISR_WORD,
    NMI,
    STATUS_WORD,
    VECTOR,
    VECTOR_31,
    is_external,
    is_nmi,
)
from ..machine.vm import Vcpu
from ..wire.apic import ApicCall, ApicRegister
from ..wire.doorbell import LOWEST_VECTOR
from ..wire.exit_codes import ExitCode
from ..wire.svsm import CoreCall, Protocol, ResultCode
from .hold import acknowledged, ascending, entered, nothing_lost, one_end
from .ledger import settled
from .oracle import documented_code
from .tally import DESCRIPTOR, IN_IRR, Tallies, Tally

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
_EVENT_KIND = EVENT_VALID | EVENT_TYPE
_IN_SERVICE = slice(4 * ISR_WORD, 4 * (ISR_WORD + 8))


# --- what each command can break ------------------------------------------------------------------------


def _alone(watch: Tallies, cpu: Vcpu, tally: Tally, command: Command) -> None:
    """What the host and the guest do to memory and registers that the SVSM has not looked at."""
    ACTS[command["op"]](watch.machine, cpu, command)


def _guest(watch: Tallies, cpu: Vcpu, tally: Tally, command: Command) -> None:
    _alone(watch, cpu, tally, command)
    if command.get("cr8", tally.tpr >> 4) != tally.tpr >> 4:
        tally.tpr = command["cr8"] << 4


def _set_vmsa(watch: Tallies, cpu: Vcpu, tally: Tally, command: Command) -> None:
    _alone(watch, cpu, tally, command)
    tally.new_tpr = (command.get("vintr", 0) & 0xFF) << 4 & 0xFF


def _set_doorbell(watch: Tallies, cpu: Vcpu, tally: Tally, command: Command) -> None:
    _alone(watch, cpu, tally, command)
    tally.honest = False
    tally.meddled = cpu.entry is not None


def _guest_lazy_eoi(watch: Tallies, cpu: Vcpu, tally: Tally, command: Command) -> None:
    if not ACTS["guest_lazy_eoi"](watch.machine, cpu, command):
        return
    token, tally.token = tally.token, None
    if tally.delivered and tally.delivered[-1] == token:
        tally.delivered.pop()
        tally.level.pop()
    else:
        tally.early = token


def _guest_take(watch: Tallies, cpu: Vcpu, tally: Tally, command: Command) -> None:
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
    nothing_lost(watch, cpu, tally)


def enter(watch: Tallies, cpu: Vcpu, tally: Tally, command: Command) -> None:
    emulated, requests = cpu.guest.alternate_injection, cpu.vm.requests
    due = _taken_up(cpu, tally) if tally.new_tpr is not None else []
    made = len(requests)
    signalled = cpu.page[EVENTS_AT] & GUEST_EVENT != 0
    status = cpu.words[STATUS_WORD] if signalled else 0
    ACTS["enter"](watch.machine, cpu, command)
    if watch.dropped or due or len(requests) > made:
        _dropped(watch, due)
        acknowledged(watch, cpu, tally, made, due)
    entered(watch, cpu, tally, emulated, status, signalled)
    nothing_lost(watch, cpu, tally)


def _svsm_step(watch: Tallies, cpu: Vcpu, tally: Tally, command: Command) -> None:
    emulated, requests = cpu.guest.alternate_injection, cpu.vm.requests
    due = _taken_up(cpu, tally) if tally.new_tpr is not None else []
    made = len(requests)
    step = ACTS["svsm_step"](watch.machine, cpu, command)
    if watch.dropped or due or len(requests) > made:
        _dropped(watch, due)
        acknowledged(watch, cpu, tally, made, due)
    if step == "entered":
        entered(watch, cpu, tally, emulated, 0, False)
    elif not tally.closed and len(cpu.apic.isr) > 1:
        ascending(watch, cpu.apic.isr)
    nothing_lost(watch, cpu, tally)


def _intercept(watch: Tallies, cpu: Vcpu, tally: Tally, command: Command) -> None:
    emulated = cpu.guest.alternate_injection
    waiting = 0 if cpu.new_guest is not None else cpu.guest.event_inj
    due = _taken_up(cpu, tally) if tally.new_tpr is not None else []
    made = len(cpu.vm.requests)
    ACTS["intercept"](watch.machine, cpu, command)
    event = command["exitintinfo"]
    if emulated and event & EVENT_VALID and event != waiting:
        _cut_short(watch, tally, event, waiting)
    acknowledged(watch, cpu, tally, made, due)
    if not tally.closed and len(cpu.apic.isr) > 1:
        ascending(watch, cpu.apic.isr)
    nothing_lost(watch, cpu, tally)


def _cut_short(watch: Tallies, tally: Tally, event: int, waiting: int) -> None:
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


def _was_taken(watch: Tallies, tally: Tally, event: int) -> bool:
    if watch.last_taken is None:
        return False
    taken, vector = watch.last_taken
    if not is_external(event):
        return taken == "nmi"
    newest = tally.delivered[-1] if tally.delivered else None
    return taken in ("event", "virq") and vector == newest == event & EVENT_VECTOR


def _call(watch: Tallies, cpu: Vcpu, tally: Tally, command: Command) -> None:
    vm, requests = cpu.vm, cpu.vm.requests
    emulated, count = cpu.guest.alternate_injection, vm.registration_count
    due = _taken_up(cpu, tally) if tally.new_tpr is not None else []
    made = len(requests)
    code = seen = None
    if cpu.new_guest is None and cpu.new_calling is None:
        code = documented_code(cpu, command, emulated=emulated, count=count)
        if code and tally.genuine:
            seen = _visible(cpu)
    result, registers = ACTS["call"](watch.machine, cpu, command)
    if code is None:
        code = documented_code(cpu, command, emulated=emulated, count=count)
    if result != code:
        watch.broken("INV-9")
    is_given = False
    if len(requests) > made and any(one.code is _DISABLE for one in requests[made:]):
        tally.disables += 1
        is_given = not tally.closed
    if result:
        if (
            registers.rcx != command["rcx"]
            or registers.rdx != command["rdx"]
            or registers.r8 != command["r8"]
            or (seen is not None and seen != _visible(cpu))
        ):
            watch.broken("INV-9")
    else:
        _done(tally, command, due)
    for sent in vm.sent:
        _sent(watch.tallies[sent.target], sent, to_self=sent.target == cpu.index)
    if is_given:
        _handed_over(watch, cpu, tally)
    if due or len(requests) > made:
        acknowledged(watch, cpu, tally, made, due)
    if not emulated or command["request"] == _CONFIGURE:
        _off_is_off(watch, cpu, tally, command, result, registers, emulated=emulated)
    if tally.disables > 1 or (vm.registration_count and not count):
        watch.broken("INV-7")
    if not tally.closed:
        isr = cpu.apic.isr
        if (isr or tally.delivered) and tally.genuine and not is_given:
            one_end(watch, cpu, tally)
        if len(isr) > 1:
            ascending(watch, isr)
        if command["request"] == _READ and not result and command["protocol"] == _APIC:
            _read(watch, cpu, tally, command["rcx"], registers.rdx)
    nothing_lost(watch, cpu, watch.tallies[cpu.index])
    for sent in vm.sent:
        if sent.target != cpu.index:
            nothing_lost(watch, vm.vcpus[sent.target], watch.tallies[sent.target])


def _visible(cpu: Vcpu) -> tuple[object, ...]:
    """As `ledger.visible`."""
    guest, local, mailbox, vm = cpu.guest, cpu.apic, cpu.mailbox, cpu.vm
    pending, event = local.irr | mailbox.irr, guest.event_inj
    nmi: int = local.nmi_pending or mailbox.nmi
    if event & _EVENT_KIND == EVENT_VALID:
        pending |= 1 << (event & EVENT_VECTOR)
    else:
        nmi = nmi or event
    if guest.vintr.v_irq:
        pending |= 1 << guest.vintr.v_intr_vector
    others = [(one.calling.no_eoi_required, one.guest.alternate_injection) for one in vm.vcpus]
    in_service = settled(cpu) if local.isr else []
    kept = (local.icr, local.allowed, guest.vintr.v_tpr, vm.registration_count)
    return (pending, nmi, in_service, others, kept)


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


def _handed_over(watch: Tallies, cpu: Vcpu, tally: Tally) -> None:
    """At the hand-over all that is pending and in service stands in the descriptor. The books closed."""
    tally.look()
    if tally.honest:
        given = int.from_bytes(cpu.page[DESCRIPTOR], "little")
        pending = given & IN_IRR | (1 << LOWEST_VECTOR) * bool(given & VECTOR_31)
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
    watch: Tallies,
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


def _read(watch: Tallies, cpu: Vcpu, tally: Tally, register: int, value: int) -> None:
    """TPR and PPR read as the architecture says."""
    expected = value
    if register == _TPR:
        expected = tally.tpr
    elif register == _PPR:
        newest = cpu.apic.isr[-1] if cpu.apic.isr else 0
        expected = tally.tpr if newest >> 4 <= tally.tpr >> 4 else newest & 0xF0
    if value != expected:
        watch.broken("INV-6")


def _dropped(watch: Tallies, due: list[int]) -> None:
    """What the SVSM dropped of what the host waits for is due at once."""
    due += watch.dropped
    watch.dropped = []


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


COMMANDS: dict[str, Callable[[Tallies, Vcpu, Tally, Command], None]] = {
    "call": _call,
    "enter": enter,
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
