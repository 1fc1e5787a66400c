"""The SVSM's calls: which protocol, which call, what it does, what it answers.

Facts: COCONUT-SVSM kernel/src/requests.rs and kernel/src/protocols/. Where the machine has no memory,
calling areas are all there is, and calls that work on other memory answer INVALID_ADDRESS or
INVALID_PARAMETER.
"""

from __future__ import annotations

from collections.abc import Callable

from ...wire.apic import ApicCall, ConfigureVector
from ...wire.core import ProtocolQuery, VersionRange
from ...wire.page_size import PAGE
from ...wire.svsm import CoreCall, Protocol, ResultCode
from ..vcpu import CallingPage
from ..vm import Vcpu
from . import apic, attestation, core, registration, vtpm
from .operands import Refused, Registers

ALL_ALLOWED = ((1 << 256) - 1) >> 31 << 31  # vectors 31 to 255

_VERSION_1 = int(VersionRange(lowest=1, highest=1))

Result = ResultCode


def dispatch(cpu: Vcpu, protocol: int, call: int, registers: Registers) -> ResultCode:
    """Carry out one call of the guest and answer its result code."""
    if cpu.vm.memory is not None and protocol in _ON_MEMORY:
        try:
            return _ON_MEMORY[protocol](cpu, call, registers) or Result.SUCCESS
        except Refused as refused:
            return refused.code
    match protocol:
        case Protocol.CORE:
            return _core(cpu, call, registers)
        case Protocol.ATTESTATION:
            # No operation structure can be read. Any other call: COCONUT answers so, and only here.
            return Result.INVALID_PARAMETER if call < 2 else Result.UNSUPPORTED_PROTOCOL
        case Protocol.APIC if cpu.vm.emulated(cpu):
            return _apic(cpu, call, registers)
    return Result.UNSUPPORTED_PROTOCOL


def _core(cpu: Vcpu, call: int, registers: Registers) -> ResultCode:
    match call:
        case CoreCall.REMAP_CA:
            return _remap(cpu, registers.rcx)
        case CoreCall.QUERY_PROTOCOL:
            registers.rcx = _versions(cpu, registers.rcx)
            return Result.SUCCESS
        case CoreCall.CONFIGURE_VTOM if registers.rcx & 1:
            registers.rcx = 0
            return Result.SUCCESS
        case CoreCall.CONFIGURE_VTOM:
            return Result.INVALID_REQUEST
        case CoreCall.PVALIDATE:
            return Result.INVALID_PARAMETER if registers.rcx % 8 else Result.INVALID_ADDRESS
        case CoreCall.CREATE_VCPU:
            return Result.INVALID_ADDRESS
        case CoreCall.DELETE_VCPU:
            return Result.INVALID_PARAMETER
    return Result.UNSUPPORTED_CALL


def _core_on_memory(cpu: Vcpu, call: int, registers: Registers) -> ResultCode | None:
    match call:
        case CoreCall.REMAP_CA:
            core.remap(cpu, registers.rcx)
            return None
        case CoreCall.PVALIDATE:
            core.pvalidate_list(cpu, registers.rcx)
            return None
        case CoreCall.CREATE_VCPU:
            core.create_vcpu(cpu, registers.rcx, registers.rdx, registers.r8)
            return None
        case CoreCall.DELETE_VCPU:
            core.delete_vcpu(cpu, registers.rcx)
            return None
    return _core(cpu, call, registers)


_ON_MEMORY: dict[int, Callable[[Vcpu, int, Registers], ResultCode | None]] = {
    Protocol.CORE: _core_on_memory,
    Protocol.ATTESTATION: attestation.attest,
    Protocol.VTPM: vtpm.serve,
}
"""The protocols whose calls work on guest memory. They return, or raise Refused."""


def _versions(cpu: Vcpu, query: int) -> int:
    """QUERY_PROTOCOL: highest and lowest version, or 0. Every protocol here is version 1 only."""
    asked = ProtocolQuery.of(query)
    present = (
        asked.protocol in (Protocol.CORE, Protocol.ATTESTATION)
        or (asked.protocol == Protocol.VTPM and cpu.vm.memory is not None)
        or (asked.protocol == Protocol.APIC and cpu.vm.emulated(cpu))
    )
    return _VERSION_1 if present and asked.version == 1 else 0


def _remap(cpu: Vcpu, address: int) -> ResultCode:
    """Use another page as calling area. What is in service stays so (INV-5)."""
    if address % PAGE:
        return Result.INVALID_PARAMETER
    if any((other.new_calling or other.calling).address == address for other in cpu.vm.vcpus):
        return Result.INVALID_ADDRESS  # in use, by the caller itself or by another vCPU
    apic.leave_calling_area(cpu)
    cpu.new_calling = CallingPage(address)
    return Result.SUCCESS


def _apic(cpu: Vcpu, call: int, registers: Registers) -> ResultCode:
    match call:
        case ApicCall.QUERY_FEATURES:
            registers.rcx = 0
            return Result.SUCCESS
        case ApicCall.CONFIGURE_EMULATION:
            result, off = registration.configure(cpu, registers.rcx)
            if off:
                apic.disable(cpu)
            return result
        case ApicCall.READ_REGISTER:
            result, value = apic.read_register(cpu, registers.rcx)
            if result is Result.SUCCESS:
                registers.rdx = value
            return result
        case ApicCall.WRITE_REGISTER:
            return apic.write_register(cpu, registers.rcx, registers.rdx)
        case ApicCall.CONFIGURE_VECTOR:
            return _configure_vector(cpu, registers.rcx)
    return Result.UNSUPPORTED_CALL


def _configure_vector(cpu: Vcpu, value: int) -> ResultCode:
    request = ConfigureVector.of(value)
    if request.reserved_63_10:
        return Result.INVALID_PARAMETER
    if request.all_vectors:
        cpu.apic.allowed = cpu.apic.allowed | ALL_ALLOWED if request.enable else 0
    elif not request.enable:
        cpu.apic.allowed &= ~(1 << request.vector)
    elif ALL_ALLOWED >> request.vector & 1 or cpu.vm.quirks.allow_below_31:
        cpu.apic.allowed |= 1 << request.vector
    else:
        return Result.INVALID_PARAMETER
    return Result.SUCCESS
