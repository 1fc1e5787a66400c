"""Exits for instructions of the processor: CPUID, MSRs, counters, hypercalls."""

from __future__ import annotations

from enum import IntEnum

from ...descriptions import U32, U64
from ...wire.exceptions import ExceptionVector
from ...wire.exit_codes import ExitCode, MsrInfo
from ...wire.page_size import PAGE
from ...wire.vmsa import EventInj, EventType
from ..request import CarryOut, Request, Stop

FAULT = int(EventInj(vector=ExceptionVector.GP, type=EventType.EXCEPTION, valid=True))
"""The event that a guest must raise where an access faults."""

XSTATE_LEAF = 0xD

# What KVM's hypercalls return; Linux include/uapi/linux/kvm_para.h.
NO_SYS, NOT_SUPPORTED, BAD_VALUE, NO_PERMISSION = -1000, -95, -22, -1


class Hypercall(IntEnum):
    """Those of KVM that need no paravirtual feature; Linux include/uapi/linux/kvm_para.h."""

    VAPIC_POLL_IRQ = 1
    CLOCK_PAIRING = 9
    MAP_GPA_RANGE = 12


def nothing(request: Request) -> None:
    """An exit after which the guest just goes on."""


def _give(request: Request, value: int) -> None:
    """A value in EDX:EAX."""
    request.results |= {"rax": value & U32, "rdx": value >> 32}


def rdtsc(request: Request) -> None:
    if request.quirks.rdtsc_ends_run:
        raise Stop("internal-error", int(ExitCode.RDTSC))
    _give(request, request.vm.setup.tsc_value)


def rdtscp(request: Request) -> None:
    if request.quirks.rdtscp_injects_ud:
        request.ask("inject", int(ExceptionVector.UD))
        return
    _give(request, request.vm.setup.tsc_value)
    request.results["rcx"] = request.vm.setup.tsc_aux


def rdpmc(request: Request) -> None:
    request.ask("rdpmc", request.field("rcx") & U32)
    if not request.vm.setup.pmc_fault:
        _give(request, request.vm.setup.pmc_value)
    elif request.quirks.rdpmc_fault_injected:
        request.ask("inject", int(ExceptionVector.GP))
    else:
        request.raise_event(FAULT)


def cpuid(request: Request) -> None:
    leaf, subleaf = request.rax & U32, request.field("rcx") & U32
    if leaf == XSTATE_LEAF and not request.quirks.xcr0_taken_always:
        request.ask("xcr0", request.field("xcr0"))
    registers = request.cpuid(leaf, subleaf)
    request.results |= zip(("rax", "rbx", "rcx", "rdx"), registers, strict=True)


def msr(request: Request) -> None:
    if not request.quirks.msr_any_nonzero_writes:
        request.sound(MsrInfo, request.sw_exit_info_1)
    number = request.field("rcx") & U32
    if request.sw_exit_info_1:
        value = (request.field("rdx") & U32) << 32 | request.rax & U32
        request.ask("wrmsr", number, value)
    else:
        request.ask("rdmsr", number)
        if not request.vm.setup.msr_fault:
            _give(request, request.vm.setup.msr_value)
    if request.vm.setup.msr_fault:
        extended = U64 ^ U32 if request.quirks.exception_word_sign_extended else 0
        request.raise_event(FAULT | extended)


def vmmcall(request: Request) -> None:
    number, *arguments = (request.field(name) for name in ("rax", "rbx", "rcx", "rdx", "rsi"))
    request.ask("hypercall", number, *arguments)
    returned = 0
    if request.quirks.hypercall_from_user_refused and request.field("cpl"):
        returned = NO_PERMISSION
    elif request.quirks.hypercall_map_forwarded:
        returned = _of_kvm(request, number, *arguments[:3])
    request.results["rax"] = returned & U64


def _of_kvm(request: Request, number: int, gpa: int, pages: int, attributes: int) -> int:
    match number:
        case Hypercall.VAPIC_POLL_IRQ:
            return 0
        case Hypercall.CLOCK_PAIRING:
            return NOT_SUPPORTED
        case Hypercall.MAP_GPA_RANGE if request.vm.setup.map_exit:
            if gpa % PAGE or not pages or (gpa // PAGE) + pages > U64:
                return BAD_VALUE
            return 0 if request.map(gpa, pages, attributes) else BAD_VALUE
    return NO_SYS


EXITS: dict[int, CarryOut] = {
    ExitCode.READ_DR7: nothing,
    ExitCode.WRITE_DR7: nothing,
    ExitCode.RDTSC: rdtsc,
    ExitCode.RDPMC: rdpmc,
    ExitCode.CPUID: cpuid,
    ExitCode.INVD: nothing,
    ExitCode.MSR: msr,
    ExitCode.VMMCALL: vmmcall,
    ExitCode.RDTSCP: rdtscp,
    ExitCode.WBINVD: nothing,
    ExitCode.MONITOR: nothing,
    ExitCode.MWAIT: nothing,
}
