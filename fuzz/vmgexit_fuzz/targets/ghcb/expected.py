"""What a GHCB page asks a host to do, by the declarations; `exit` compares what was done."""

from __future__ import annotations

from collections.abc import Callable

from vmgexit.wire.ap_creation import ApCreation, ApOperation
from vmgexit.wire.apic import ApicIcr
from vmgexit.wire.exit_codes import ExitCode, IoioInfo
from vmgexit.wire.ghcb import BUFFER_OFFSET, GhcbPage
from vmgexit.wire.ghcb_msr import PageOperation
from vmgexit.wire.injection import DisableInjection, DoorbellOperation, SpecificEoi
from vmgexit.wire.page_size import PAGE
from vmgexit.wire.page_state import (
    ENTRY_SIZE,
    HEADER_SIZE,
    PscEntry,
    PscErrorClass,
    PscHeader,
    PscResult,
)
from vmgexit.wire.termination import TerminationInfo

from .host import Effect

GPA = 0x7000  # of the page


def start_of(page: GhcbPage) -> int:
    """Where in the buffer the scratch area begins; not in it where that is not from 0 to its size."""
    return page.sw_scratch % PAGE - BUFFER_OFFSET


def pages_asked(page: GhcbPage, budget: int) -> tuple[list[Effect], bytes, PscResult]:
    """What a page state change does within a budget, how it leaves the buffer, and its result."""
    start = start_of(page)
    buffer = bytearray(page.shared_buffer)
    header = PscHeader.decode(buffer[start : start + HEADER_SIZE])
    effects: list[Effect] = []
    result = PscResult()
    if header.problems() or header.end_entry >= (len(buffer) - start) // ENTRY_SIZE - 1:
        return effects, bytes(buffer), _invalid(1)
    while not header.done and budget > 0:
        at = start + HEADER_SIZE + ENTRY_SIZE * header.cur_entry
        entry = PscEntry.decode(buffer[at : at + ENTRY_SIZE])
        if entry.problems():
            result = _invalid(2)
            break
        due = entry.left
        now = min(due, budget)
        if now and entry.operation in (PageOperation.PRIVATE, PageOperation.SHARED):
            first = entry.frame + entry.current_page
            effects.append(("page state", int(header.cur_entry), first, now, int(entry.operation)))
        entry.current_page += now if entry.large else 0
        buffer[at : at + ENTRY_SIZE] = entry.encode()
        header.cur_entry += now == due
        budget -= now
    buffer[start : start + HEADER_SIZE] = header.encode()
    return effects, bytes(buffer), result


def _invalid(detail: int) -> PscResult:
    return PscResult(error=PscErrorClass.INVALID, detail=detail)


def _low(value: int) -> int:
    return value & 0xFFFFFFFF


def _cpuid(page: GhcbPage) -> Effect:
    leaf = _low(page.rax)
    return "cpuid", leaf, _low(page.rcx), page.xcr0 if leaf == 0xD else None


def _ioio(page: GhcbPage) -> Effect:
    info = IoioInfo.of(page.sw_exit_info_1)
    size, count = info.operand_size, page.sw_exit_info_2
    if info.string and not count:
        return ()
    match info.is_in, info.string:
        case True, False:
            return "in", info.port, size
        case False, False:
            return "out", info.port, size, page.rax % (1 << 8 * size)
        case True, True:
            return "ins", info.port, size, count
    return "outs", info.port, size, _data(page, size * count)


def _data(page: GhcbPage, length: int) -> bytes:
    start = page.sw_scratch - GPA - BUFFER_OFFSET
    return page.shared_buffer[start : start + length]


def _msr(page: GhcbPage) -> Effect:
    if page.sw_exit_info_1:
        return "wrmsr", _low(page.rcx), _low(page.rdx) << 32 | _low(page.rax)
    return "rdmsr", _low(page.rcx)


def _jump_table(page: GhcbPage) -> Effect:
    if page.sw_exit_info_1:
        return ("get jump table",)
    return "set jump table", page.sw_exit_info_2


def _ap_creation(page: GhcbPage) -> Effect:
    info = ApCreation.of(page.sw_exit_info_1)
    given = info.operation != ApOperation.DESTROY
    vmsa, features = (page.sw_exit_info_2, page.rax) if given else (None, None)
    return "ap", int(info.operation), info.vmpl, info.apic_id, vmsa, features


def _doorbell(page: GhcbPage) -> Effect:
    sets = page.sw_exit_info_1 == DoorbellOperation.SET
    return "doorbell", page.sw_exit_info_1, page.sw_exit_info_2 if sets else None


def _ipi(page: GhcbPage) -> Effect:
    icr = ApicIcr.of(page.sw_exit_info_1)
    kind, shorthand = int(icr.message_type), int(icr.shorthand)
    return "ipi", icr.vector, kind, int(icr.logical), shorthand, icr.destination


def _disable(page: GhcbPage) -> Effect:
    info = DisableInjection.of(page.sw_exit_info_1)
    enabled, shadow = int(info.interrupts_enabled), int(info.interrupt_shadow)
    return "hand over", info.vmpl, enabled, shadow, info.tpr


def _eoi(page: GhcbPage) -> Effect:
    info = SpecificEoi.of(page.sw_exit_info_1)
    return "eoi", info.vmpl, info.vector


def _read(page: GhcbPage) -> Effect:
    length = page.sw_exit_info_2
    return ("read", page.sw_exit_info_1, length) if length else ()


def _write(page: GhcbPage) -> Effect:
    length = page.sw_exit_info_2
    return ("write", page.sw_exit_info_1, _data(page, length)) if length else ()


def _message(page: GhcbPage) -> Effect:
    return "message", page.sw_exit_info_1, page.sw_exit_info_2


def _terminate(page: GhcbPage) -> Effect:
    info = TerminationInfo.of(page.sw_exit_info_1)
    return "terminate", int(info.reason_set), info.reason_code, page.sw_exit_info_2


ASKED: dict[int, Callable[[GhcbPage], Effect]] = {
    ExitCode.CPUID: _cpuid,
    ExitCode.IOIO: _ioio,
    ExitCode.MSR: _msr,
    ExitCode.MMIO_READ: _read,
    ExitCode.MMIO_WRITE: _write,
    ExitCode.AP_JUMP_TABLE: _jump_table,
    ExitCode.SNP_GUEST_REQUEST: _message,
    ExitCode.SNP_EXTENDED_GUEST_REQUEST: lambda page: (*_message(page), page.rax, page.rbx),
    ExitCode.SNP_AP_CREATION: _ap_creation,
    ExitCode.HV_DOORBELL_PAGE: _doorbell,
    ExitCode.HV_IPI: _ipi,
    ExitCode.SNP_RUN_VMPL: lambda page: ("run", page.sw_exit_info_1),
    ExitCode.CONFIGURE_INJECTION: lambda page: ("notify by", page.sw_exit_info_1),
    ExitCode.DISABLE_ALTERNATE_INJECTION: _disable,
    ExitCode.SPECIFIC_EOI: _eoi,
    ExitCode.TERMINATION_REQUEST: _terminate,
}
"""By exit, what a host should do, page state changes apart; empty where nothing is asked for."""
