"""The SVSM's calls: which protocol, which call, what it does, what it answers.

Facts: COCONUT-SVSM kernel/src/requests.rs and kernel/src/protocols/. Where the machine has no memory,
calling areas are all there is, and calls that work on other memory answer INVALID_ADDRESS or
INVALID_PARAMETER.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from ...wire.apic import ApicCall, ConfigureVector
from ...wire.core import ProtocolQuery, VersionRange
from ...wire.page_size import PAGE
from ...wire.svsm import CoreCall, Protocol, ResultCode
from ..vcpu import CallingPage
from ..vm import Vcpu
from . import apic, apic_registers, attestation, core, registration, vtpm
from .operands import Refused, Registers

ALL_ALLOWED = ((1 << 256) - 1) >> 31 << 31  # vectors 31 to 255

_VERSION_1 = int(VersionRange(lowest=1, highest=1))

Result = ResultCode
# What most calls ask for: in Python 3.11 a member of an enum takes as long to name as a call.
_SUCCESS, _NO_CALL = Result.SUCCESS, Result.UNSUPPORTED_CALL
_NO_PROTOCOL = Result.UNSUPPORTED_PROTOCOL
_APIC_PROTOCOL = int(Protocol.APIC)
_ANSWER_NO_CALL = frozenset({int(Protocol.CORE), _APIC_PROTOCOL})

_vector_request = lru_cache(1024)(ConfigureVector.of)
_protocol_query = lru_cache(1024)(ProtocolQuery.of)


def dispatch(cpu: Vcpu, protocol: int, call: int, registers: Registers) -> ResultCode:
    """Carry out one call of the guest and answer its result code."""
    if cpu.vm.memory is not None and protocol in _ON_MEMORY:
        try:
            return _ON_MEMORY[protocol](cpu, call, registers) or _SUCCESS
        except Refused as refused:
            return refused.code
    if protocol == _APIC_PROTOCOL and not cpu.vm.emulated(cpu):
        return _NO_PROTOCOL
    carry_out = _CALLS.get((protocol, call))
    if carry_out is not None:
        return carry_out(cpu, registers)
    # Of the attestation protocol any call from 2 on: COCONUT answers so, and only here.
    return _NO_CALL if protocol in _ANSWER_NO_CALL else _NO_PROTOCOL


def _query_protocol(cpu: Vcpu, registers: Registers) -> ResultCode:
    registers.rcx = _versions(cpu, registers.rcx)
    return _SUCCESS


def _configure_vtom(cpu: Vcpu, registers: Registers) -> ResultCode:
    if not registers.rcx & 1:
        return Result.INVALID_REQUEST
    registers.rcx = 0
    return _SUCCESS


def _pvalidate(cpu: Vcpu, registers: Registers) -> ResultCode:
    return Result.INVALID_PARAMETER if registers.rcx % 8 else Result.INVALID_ADDRESS


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
    carry_out = _CALLS.get((Protocol.CORE, call))
    return _NO_CALL if carry_out is None else carry_out(cpu, registers)


_ON_MEMORY: dict[int, Callable[[Vcpu, int, Registers], ResultCode | None]] = {
    Protocol.CORE: _core_on_memory,
    Protocol.ATTESTATION: attestation.attest,
    Protocol.VTPM: vtpm.serve,
}
"""The protocols whose calls work on guest memory. They return, or raise Refused."""


def _versions(cpu: Vcpu, query: int) -> int:
    """QUERY_PROTOCOL: highest and lowest version, or 0. Every protocol here is version 1 only."""
    asked = _protocol_query(query)
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
    return _SUCCESS


def _query_features(cpu: Vcpu, registers: Registers) -> ResultCode:
    registers.rcx = 0
    return _SUCCESS


def _configure_emulation(cpu: Vcpu, registers: Registers) -> ResultCode:
    result, off = registration.configure(cpu, registers.rcx)
    if off:
        apic.disable(cpu)
    return result


def _read_register(cpu: Vcpu, registers: Registers) -> ResultCode:
    result, value = apic_registers.read_register(cpu, registers.rcx)
    if result is _SUCCESS:
        registers.rdx = value
    return result


def _configure_vector(cpu: Vcpu, value: int) -> ResultCode:
    request = _vector_request(value)
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
    return _SUCCESS


_CALLS: dict[tuple[int, int], Callable[[Vcpu, Registers], ResultCode]] = {
    (Protocol.CORE, CoreCall.REMAP_CA): lambda cpu, registers: _remap(cpu, registers.rcx),
    (Protocol.CORE, CoreCall.QUERY_PROTOCOL): _query_protocol,
    (Protocol.CORE, CoreCall.CONFIGURE_VTOM): _configure_vtom,
    (Protocol.CORE, CoreCall.PVALIDATE): _pvalidate,
    (Protocol.CORE, CoreCall.CREATE_VCPU): lambda cpu, registers: Result.INVALID_ADDRESS,
    (Protocol.CORE, CoreCall.DELETE_VCPU): lambda cpu, registers: Result.INVALID_PARAMETER,
    # No operation structure can be read.
    (Protocol.ATTESTATION, 0): lambda cpu, registers: Result.INVALID_PARAMETER,
    (Protocol.ATTESTATION, 1): lambda cpu, registers: Result.INVALID_PARAMETER,
    (Protocol.APIC, ApicCall.QUERY_FEATURES): _query_features,
    (Protocol.APIC, ApicCall.CONFIGURE_EMULATION): _configure_emulation,
    (Protocol.APIC, ApicCall.READ_REGISTER): _read_register,
    (Protocol.APIC, ApicCall.WRITE_REGISTER): (
        lambda cpu, registers: apic_registers.write_register(cpu, registers.rcx, registers.rdx)
    ),
    (Protocol.APIC, ApicCall.CONFIGURE_VECTOR): (
        lambda cpu, registers: _configure_vector(cpu, registers.rcx)
    ),
}
"""The calls that a machine without memory knows, by protocol and number."""
