"""IPIs: what an interrupt command reaches, and how it gets there: at once, by mailbox, or by the host.

Facts: as in `apic`.
"""

from __future__ import annotations

from functools import lru_cache

from ...wire.apic import BROADCAST, ApicIcr, MessageType, Shorthand
from ...wire.doorbell import LOWEST_VECTOR
from ...wire.exit_codes import ExitCode
from ...wire.injection import NOTIFY_VECTOR
from ...wire.svsm import ResultCode
from ..vcpu import MULTIPLE, NMI, STATUS_WORD
from ..vm import Assertion, Vcpu
from . import apic, host

LOWEST_IPI = 16
"""Vectors below are never deliverable: their class is 0."""

_FIXED, _NMI = MessageType.FIXED, MessageType.NMI
_SELF, _ALL = Shorthand.SELF, Shorthand.ALL
_icr_of = lru_cache(1024)(ApicIcr.of)
_ICR_REFUSED = sum(
    ((1 << field.width) - 1) << field.bit_offset
    for field in ApicIcr.declaration.fields
    if field.rule is not None or field.name in ("delivery_status", "remote_read_status")
)


def may_send(cpu: Vcpu, vector: int) -> bool:
    """Whether a vCPU may send an IPI of this vector."""
    return vector >= LOWEST_IPI or cpu.vm.quirks.self_ipi_below_16


def write_icr(cpu: Vcpu, value: int) -> ResultCode:
    """Check, store and send an interrupt command."""
    icr = _icr_of(value)
    if value & _ICR_REFUSED or icr.message_type not in (_FIXED, _NMI):
        return ResultCode.INVALID_PARAMETER
    if icr.message_type is _FIXED and not may_send(cpu, icr.vector):
        return ResultCode.INVALID_PARAMETER
    cpu.apic.icr = value
    targets, ask = icr_targets(cpu, icr)
    for target in targets:
        _deliver(cpu, target, icr)
    if ask:
        accepted = cpu.vm.request(cpu, ExitCode.HV_IPI, _notification(value))
        if not accepted and cpu.vm.quirks.refused_ipi_crashes:
            raise Assertion("the host refused an IPI")
    return ResultCode.SUCCESS


@lru_cache(1024)
def _notification(value: int) -> int:
    """What the host is asked to send for an interrupt command: a notification of the same vCPUs."""
    icr = _icr_of(value)
    to_all = icr.shorthand == Shorthand.ALL
    word = ApicIcr(
        vector=NOTIFY_VECTOR,
        logical=icr.logical,
        shorthand=Shorthand.ALL_BUT_SELF if to_all else icr.shorthand,
        destination=icr.destination,
    )
    return int(word)


def icr_targets(cpu: Vcpu, icr: ApicIcr) -> tuple[list[Vcpu], bool]:
    """The vCPUs that an interrupt command reaches, and whether the host must be asked."""
    others = [other for other in cpu.vm.vcpus if other is not cpu]
    if icr.shorthand == _SELF:
        return [cpu], False
    if icr.shorthand:
        return ([*others, cpu] if icr.shorthand == _ALL else others), True
    if icr.destination == BROADCAST:
        return [*others, cpu], True
    if icr.logical:
        matched = [other for other in cpu.vm.vcpus if _is_logical(other, icr.destination)]
        return matched, any(other is not cpu for other in matched)
    if icr.destination == cpu.apic_id:
        return [cpu], False
    found = [other for other in others if other.apic_id == icr.destination]
    return found, bool(found)


def _is_logical(cpu: Vcpu, destination: int) -> bool:
    return destination >> 16 == cpu.apic_id >> 4 and bool(destination >> (cpu.apic_id & 15) & 1)


def _deliver(sender: Vcpu, target: Vcpu, icr: ApicIcr) -> None:
    """Make one target's interrupt pending: at once on the sender, by mailbox on others."""
    is_nmi = icr.message_type is _NMI
    target.vm.note_sent(target, icr.vector, nmi=is_nmi)
    if target is sender:
        if is_nmi:
            target.apic.nmi_pending = True
            target.apic.update_required = True
        else:
            apic.accept(target.apic, icr.vector)
        return
    physical = not icr.logical and icr.shorthand == Shorthand.NONE and icr.destination != BROADCAST
    if is_nmi and physical and target.vm.quirks.physical_nmi_becomes_fixed:
        is_nmi = False
    if not target.vm.emulated(target):
        _give_to_host(target, icr.vector, is_nmi)
        return
    target.mailbox.pending = True
    if is_nmi:
        target.mailbox.nmi = True
    else:
        target.mailbox.irr |= 1 << icr.vector


def _give_to_host(target: Vcpu, vector: int, is_nmi: bool) -> None:
    """An IPI to a vCPU whose interrupts are the host's already is left where the host looks."""
    if is_nmi:
        target.words[STATUS_WORD] |= NMI
    elif vector >= LOWEST_VECTOR:
        host.set_irr_bit(target, vector)
        target.words[STATUS_WORD] |= MULTIPLE
