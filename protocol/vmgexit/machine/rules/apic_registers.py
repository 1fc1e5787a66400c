"""The registers of the local APIC, as the guest reads and writes them by calls.

Facts: as in `apic`.
"""

from __future__ import annotations

from collections.abc import Callable

from ...wire.apic import ApicRegister, access
from ...wire.svsm import ResultCode
from ..vcpu import LocalApic
from ..vm import Vcpu
from . import apic, ipis

_ISR, _TMR, _IRR = int(ApicRegister.ISR0), int(ApicRegister.TMR0), int(ApicRegister.IRR0)
_SUCCESS, _REFUSED = ResultCode.SUCCESS, ResultCode.INVALID_PARAMETER


def logical_id(apic_id: int) -> int:
    """LDR of an x2APIC id: cluster in bits 31:16, one bit of sixteen in bits 15:0."""
    return (apic_id & ~15) << 12 | 1 << (apic_id & 15)


def read_register(cpu: Vcpu, number: int) -> tuple[ResultCode, int]:
    """A register's value, and whether it may be read."""
    apic.rewind(cpu)
    allowed = access(number)
    if not allowed:
        return ResultCode.INVALID_ADDRESS, 0
    if allowed == "WO":
        return _REFUSED, 0
    local = cpu.apic
    if _ISR <= number < _ISR + 8:
        in_service = sum({1 << vector for vector in local.isr})
        return _SUCCESS, in_service >> 32 * (number - _ISR) & 0xFFFFFFFF
    if _TMR <= number < _TMR + 8:
        return _SUCCESS, trigger_modes(local) >> 32 * (number - _TMR) & 0xFFFFFFFF
    if _IRR <= number < _IRR + 8:
        return _SUCCESS, local.irr >> 32 * (number - _IRR) & 0xFFFFFFFF
    return _SUCCESS, _READ[number](cpu)


_READ: dict[int, Callable[[Vcpu], int]] = {
    ApicRegister.ID: lambda cpu: cpu.apic_id,
    ApicRegister.TPR: lambda cpu: apic.task_priority(cpu),
    ApicRegister.PPR: lambda cpu: apic.processor_priority(cpu),
    ApicRegister.LDR: lambda cpu: logical_id(cpu.apic_id),
    ApicRegister.ICR: lambda cpu: cpu.apic.icr,
}
"""The registers of one number that can be read."""


def trigger_modes(local: LocalApic, *, from_host: bool = False) -> int:
    """TMR: level-triggered vectors, pending or in service; or those of them that the host posted."""
    modes = local.host_tmr if from_host else local.tmr
    for vector, of_host in zip(local.isr, local.isr_tmr, strict=True):
        modes |= of_host[from_host] << vector
    return modes


def write_register(cpu: Vcpu, number: int, value: int) -> ResultCode:
    """Write a register. A refused write changes nothing that the guest can see (INV-9)."""
    apic.rewind(cpu)
    allowed = access(number)
    if not allowed:
        return ResultCode.INVALID_ADDRESS
    if allowed == "RO":
        return _REFUSED
    return _WRITE[number](cpu, value)


def _write_tpr(cpu: Vcpu, value: int) -> ResultCode:
    if value > 0xFF:
        return _REFUSED
    cpu.guest.vintr.v_tpr = value >> 4
    cpu.apic.tpr_low = (value >> 4, value & 15)
    return _SUCCESS


def _write_eoi(cpu: Vcpu, value: int) -> ResultCode:
    if value:
        return _REFUSED
    apic.end_of_interrupt(cpu)
    return _SUCCESS


def _write_self_ipi(cpu: Vcpu, value: int) -> ResultCode:
    if value > 0xFF or not ipis.may_send(cpu, value):
        return _REFUSED
    cpu.vm.note_sent(cpu, value)
    apic.accept(cpu.apic, value)
    return _SUCCESS


_WRITE: dict[int, Callable[[Vcpu, int], ResultCode]] = {
    ApicRegister.TPR: _write_tpr,
    ApicRegister.EOI: _write_eoi,
    ApicRegister.SELF_IPI: _write_self_ipi,
    ApicRegister.ICR: lambda cpu, value: ipis.write_icr(cpu, value),
}
"""The registers that can be written."""
