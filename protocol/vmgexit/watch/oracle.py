"""The documented result code of every call, as a table of conditions: the oracle of INV-9.

It looks at the call's registers and at the state before the call (registration, whether the vCPU is
emulated), and not at how the machine carries the call out.
"""

from __future__ import annotations

from functools import lru_cache

from ..descriptions import Command
from ..machine.vm import Vcpu
from ..wire.apic import ApicCall, ApicRegister, access
from ..wire.svsm import CoreCall, Protocol, ResultCode

Result = ResultCode
_APIC, _CONFIGURE_EMULATION = int(Protocol.APIC), int(ApicCall.CONFIGURE_EMULATION)
_FULL = (1 << 32) - 1

# ICR bits that must be 0: 12 and 13, 17:16, 31:20.
_ICR_ZERO = 1 << 12 | 1 << 13 | 3 << 16 | 0xFFF << 20
_FIXED, _NMI = 0, 4
_LOWEST_IPI = 16
_LOWEST_ALLOWED = 31


def logical_id(apic_id: int) -> int:
    """LDR of an x2APIC id: the cluster in bits 31:16, and one of sixteen bits for the place in it."""
    return (apic_id >> 4) << 16 & 0xFFFF_FFFF | 1 << apic_id % 16


def documented_code(cpu: Vcpu, command: Command, *, emulated: bool, count: int) -> ResultCode:
    """The code that a call must answer, where the vCPU was `emulated` before it or not, and `count`
    registrations stood."""
    protocol, call = command["protocol"], command["request"]
    if protocol == _APIC:
        if not emulated:
            return Result.UNSUPPORTED_PROTOCOL
        if call == _CONFIGURE_EMULATION:
            return _configure(command["rcx"], count)
        return _apic(call, command["rcx"], command["rdx"])
    if protocol == Protocol.CORE:
        return _core(cpu, call, command["rcx"])
    if protocol == Protocol.ATTESTATION and call < 2:
        return Result.INVALID_PARAMETER
    return Result.UNSUPPORTED_PROTOCOL


@lru_cache(4096)
def _apic(call: int, rcx: int, rdx: int) -> ResultCode:
    """Of the calls whose code is up to their registers."""
    match call:
        case ApicCall.QUERY_FEATURES:
            return Result.SUCCESS
        case ApicCall.READ_REGISTER:
            return _register(rcx, "WO")
        case ApicCall.WRITE_REGISTER:
            refused = _register(rcx, "RO")
            return refused or (Result.SUCCESS if _writable(rcx, rdx) else Result.INVALID_PARAMETER)
        case ApicCall.CONFIGURE_VECTOR:
            single, enable = not rcx >> 9 & 1, rcx >> 8 & 1
            low = single and enable and (rcx & 0xFF) < _LOWEST_ALLOWED
            return Result.INVALID_PARAMETER if rcx >> 10 or low else Result.SUCCESS
    return Result.UNSUPPORTED_CALL


def _configure(request: int, count: int) -> ResultCode:
    if request > 2:
        return Result.INVALID_PARAMETER
    return Result.CANNOT_REGISTER if request == 2 and count in (0, _FULL) else Result.SUCCESS


def _register(number: int, wrong: str) -> ResultCode:
    allowed = access(number)
    if not allowed:
        return Result.INVALID_ADDRESS
    return Result.INVALID_PARAMETER if allowed == wrong else Result.SUCCESS


def _writable(number: int, value: int) -> bool:
    match number:
        case ApicRegister.TPR:
            return value <= 0xFF
        case ApicRegister.EOI:
            return value == 0
        case ApicRegister.SELF_IPI:
            return _LOWEST_IPI <= value <= 0xFF
        case ApicRegister.ICR:
            kind, vector = value >> 8 & 7, value & 0xFF
            sendable = kind == _NMI or (kind == _FIXED and vector >= _LOWEST_IPI)
            return sendable and not value & _ICR_ZERO
    return False


def _core(cpu: Vcpu, call: int, rcx: int) -> ResultCode:
    match call:
        case CoreCall.REMAP_CA:
            if rcx % 0x1000:
                return Result.INVALID_PARAMETER
            # The caller's page of before the call; it takes up the new one later.
            others = [other for other in cpu.vm.vcpus if other is not cpu]
            in_use = [cpu.calling, *(other.new_calling or other.calling for other in others)]
            taken = any(page.address == rcx for page in in_use)
            return Result.INVALID_ADDRESS if taken else Result.SUCCESS
        case CoreCall.QUERY_PROTOCOL:
            return Result.SUCCESS
        case CoreCall.CONFIGURE_VTOM:
            return Result.SUCCESS if rcx & 1 else Result.INVALID_REQUEST
        case CoreCall.PVALIDATE:
            return Result.INVALID_PARAMETER if rcx % 8 else Result.INVALID_ADDRESS
        case CoreCall.CREATE_VCPU:
            return Result.INVALID_ADDRESS
        case CoreCall.DELETE_VCPU:
            return Result.INVALID_PARAMETER
    return Result.UNSUPPORTED_CALL
