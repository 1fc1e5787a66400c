"""What a call can break, for `Quick`: the invariants of interrupts, and the books before and after it.

`call` is for a machine without memory. What a call on memory does to the same books, `memory.quick` says.
"""

from __future__ import annotations

from typing import Any

from ..descriptions import Command
from ..machine.vcpu import (
    EVENT_TYPE,
    EVENT_VALID,
    EVENT_VECTOR,
    ISR_WORD,
    NMI,
    VECTOR,
    VECTOR_31,
)
from ..machine.vm import Vcpu
from ..wire.apic import ApicCall, ApicRegister
from ..wire.doorbell import LOWEST_VECTOR
from ..wire.exit_codes import ExitCode
from ..wire.svsm import CoreCall, Protocol, ResultCode
from .hold import acknowledged, ascending, nothing_lost, one_end
from .oracle import documented_code, logical_id
from .tally import DESCRIPTOR, IN_IRR, Tallies, Tally
from .whereabouts import settled

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
_ID, _LDR = int(ApicRegister.ID), int(ApicRegister.LDR)
_NO_PROTOCOL = int(ResultCode.UNSUPPORTED_PROTOCOL)
_DISABLE = ExitCode.DISABLE_ALTERNATE_INJECTION
_ALL_VECTORS = (1 << 256) - (1 << LOWEST_VECTOR)
_EVENT_KIND = EVENT_VALID | EVENT_TYPE
_IN_SERVICE = slice(4 * ISR_WORD, 4 * (ISR_WORD + 8))


def call(watch: Tallies, cpu: Vcpu, tally: Tally, command: Command) -> None:
    """A call of a machine without memory."""
    requests = cpu.vm.requests
    emulated, count = cpu.guest.alternate_injection, cpu.vm.registration_count
    due = tally.take_up() if tally.new_tpr is not None and cpu.entry is None else []
    made = len(requests)
    code = seen = None
    if cpu.new_guest is None and cpu.new_calling is None:
        code = documented_code(cpu, command, emulated=emulated, count=count)
        if code and tally.genuine:
            seen = _visible(cpu)
    result, registers = watch.acts["call"](watch.machine, cpu, command)
    if code is None:
        code = documented_code(cpu, command, emulated=emulated, count=count)
    if result != code:
        watch.broken("INV-9")
    if result and (
        registers.rcx != command["rcx"]
        or registers.rdx != command["rdx"]
        or registers.r8 != command["r8"]
        or (seen is not None and seen != _visible(cpu))
    ):
        watch.broken("INV-9")
    is_given = served(watch, cpu, tally, command, made, due, result)
    judge(
        watch, cpu, tally, command, emulated, count, made, due, is_given,
        result, registers.rcx, registers.rdx,
    )  # fmt: skip


def served(
    watch: Tallies,
    cpu: Vcpu,
    tally: Tally,
    command: Command,
    made: int,
    due: list[int],
    result: int | None,
) -> bool:
    """What a call means for the books, since so many requests were made; whether the vCPU was handed over.
    There is no result where the call was not answered."""
    vm, is_given = cpu.vm, False
    if len(vm.requests) > made and any(one.code is _DISABLE for one in vm.requests[made:]):
        tally.disables += 1
        is_given = not tally.closed
    if result == 0:
        _done(tally, command, due)
    for sent in vm.sent:
        _sent(watch.tallies[sent.target], sent, to_self=sent.target == cpu.index)
    return is_given


def judge(
    watch: Tallies,
    cpu: Vcpu,
    tally: Tally,
    command: Command,
    emulated: bool,
    count: int,
    made: int,
    due: list[int],
    is_given: bool,
    result: int | None,
    rcx: int,
    rdx: int,
) -> None:
    """What must hold after a call, which found the vCPU `emulated` and so many registrations."""
    vm = cpu.vm
    if is_given:
        _handed_over(watch, cpu, tally)
    if due or len(vm.requests) > made:
        acknowledged(watch, cpu, tally, made, due)
    if not emulated or command["request"] == _CONFIGURE:
        _off_is_off(watch, cpu, tally, command, result, rcx, emulated=emulated)
    if tally.disables > 1 or (vm.registration_count and not count):
        watch.broken("INV-7")
    if not tally.closed:
        isr = cpu.apic.isr
        if (isr or tally.delivered) and tally.genuine and not is_given:
            one_end(watch, cpu, tally)
        if len(isr) > 1:
            ascending(watch, isr)
        if command["request"] == _READ and result == 0 and command["protocol"] == _APIC:
            _read(watch, cpu, tally, command["rcx"], rdx)
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
        closed=True,
        disables=tally.disables,
        tpr=tally.tpr,
        honest=tally.honest,
        vmsa=tally.vmsa,
    )


def _off_is_off(
    watch: Tallies,
    cpu: Vcpu,
    tally: Tally,
    command: Command,
    result: int | None,
    rcx: int,
    *,
    emulated: bool,
) -> None:
    protocol, count = command["protocol"], cpu.vm.registration_count
    bit = cpu.guest.alternate_injection
    if protocol == _APIC and command["request"] == _CONFIGURE and result == 0:
        off = command["rcx"] in (0, 1) and not count
        if bit if off else emulated and not bit:
            watch.broken("INV-7")
    if emulated or result is None:
        return
    asks = protocol == _CORE and command["request"] == _QUERY_PROTOCOL
    present = asks and command["rcx"] >> 32 == _APIC and rcx
    if present or (protocol == _APIC and result != _NO_PROTOCOL):
        watch.broken("INV-7")


def _read(watch: Tallies, cpu: Vcpu, tally: Tally, register: int, value: int) -> None:
    """TPR, PPR, ID and LDR read as the architecture says."""
    expected = value
    if register == _TPR:
        expected = tally.tpr
    elif register == _PPR:
        newest = cpu.apic.isr[-1] if cpu.apic.isr else 0
        expected = tally.tpr if newest >> 4 <= tally.tpr >> 4 else newest & 0xF0
    elif register == _ID:
        expected = cpu.apic_id
    elif register == _LDR:
        expected = logical_id(cpu.apic_id)
    if value != expected:
        watch.broken("INV-6")
