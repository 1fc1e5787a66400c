"""What a host should do at an exit, by the exit's description: an oracle for `invariants`.

It reads a page by the declarations and the set-up of the VM, and shares no code with `hosts`. What a host
asks of others is told as there: a word and its numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ...descriptions import U32
from ...hosts.asked import Asked
from ...hosts.vm import Setup
from ...rules.exits import problems_of_request, refusal
from ...wire.ap_creation import ApCreation, ApOperation
from ...wire.exit_codes import ExitCode, IoioInfo, MalformedInput
from ...wire.exits import find_exit
from ...wire.ghcb import ALWAYS_VALID, BUFFER_END, BUFFER_OFFSET, GhcbPage, GhcbUsage
from ...wire.ghcb_msr import PageOperation
from ...wire.injection import DisableInjection, SpecificEoi
from ...wire.page_size import PAGE
from ...wire.page_state import (
    ENTRY_SIZE,
    HEADER_SIZE,
    PscEntry,
    PscErrorClass,
    PscHeader,
    PscResult,
)

Run = tuple[int, int, PageOperation]
"""Pages of one state: first frame, how many, state."""

ANSWERED_OTHERWISE = (ExitCode.TERMINATION_REQUEST,)
"""Exits that no host answers: the guest is gone."""

OF_THE_VM = (
    ExitCode.SNP_GUEST_REQUEST,
    ExitCode.SNP_EXTENDED_GUEST_REQUEST,
    ExitCode.SNP_AP_CREATION,
    ExitCode.HV_DOORBELL_PAGE,
    ExitCode.APIC_ID_LIST,
    ExitCode.SNP_RUN_VMPL,
    ExitCode.SECURE_AVIC,
)
"""Exits that a host may refuse for what only it knows: memory, vCPUs, VMSAs."""


def _needs_snp(code: int) -> bool:
    """Whether an exit comes with a feature of SNP. KVM with planes answers the APIC ID list to any guest;
    secure AVIC is announced in SEV_FEATURES alone."""
    row = find_exit(code)
    feature = "" if row is None else row.feature
    return code == ExitCode.SECURE_AVIC or feature not in ("", "apic_id_list")


def error_of(page: GhcbPage, gpa: int, setup: Setup, registered: int) -> MalformedInput | None:
    """The error that the page alone deserves; None where it breaks no rule."""
    if setup.snp and gpa != registered:
        return MalformedInput.NOT_REGISTERED
    if page.ghcb_usage != GhcbUsage.STANDARD:
        return MalformedInput.INVALID_USAGE
    lacks_exit = _needs_snp(page.sw_exit_code) and not setup.snp
    for problem in problems_of_request(page, setup.ghcb_version):
        if problem.path == "shared_buffer":  # the last: answered within the result of the exit
            break
        error = refusal(page, problem)
        comes_first = error == MalformedInput.MISSING_INPUT and problem.path in ALWAYS_VALID
        return MalformedInput.INVALID_EVENT if lacks_exit and not comes_first else error
    return MalformedInput.INVALID_EVENT if lacks_exit else None


def uses_scratch(page: GhcbPage) -> bool:
    """Whether the exit has a scratch area, whose address only a host can judge that knows the page's."""
    return page.is_valid("sw_scratch")


# --- what is asked of others ------------------------------------------------------------------------


def _low(value: int) -> int:
    return value & U32


def _nothing(page: GhcbPage, setup: Setup, gpa: int) -> list[Asked]:
    return []


def _data(page: GhcbPage, gpa: int, length: int) -> bytes:
    """Bytes of the scratch area; of one in the page."""
    start = page.sw_scratch - gpa - BUFFER_OFFSET
    return page.shared_buffer[start : start + length]


def _ioio(page: GhcbPage, setup: Setup, gpa: int) -> list[Asked]:
    info = IoioInfo.of(page.sw_exit_info_1)
    size, count = info.operand_size, page.sw_exit_info_2
    if info.string:
        if not count:
            return []
        if info.is_in:
            return [["ins", info.port, size, count]]
        return [["outs", info.port, size, count, _data(page, gpa, size * count).hex()]]
    if info.is_in:
        return [["in", info.port, size]]
    return [["out", info.port, size, page.rax.to_bytes(8, "little")[:size].hex()]]


def _mmio(page: GhcbPage, setup: Setup, gpa: int) -> list[Asked]:
    where, length = page.sw_exit_info_1, page.sw_exit_info_2
    if not length:
        return []
    if page.sw_exit_code == ExitCode.MMIO_READ:
        return [["mmio-read", where, length]]
    return [["mmio-write", where, _data(page, gpa, length).hex()]]


def _msr(page: GhcbPage, setup: Setup, gpa: int) -> list[Asked]:
    if page.sw_exit_info_1:
        return [["wrmsr", _low(page.rcx), _low(page.rdx) << 32 | _low(page.rax)]]
    return [["rdmsr", _low(page.rcx)]]


def _cpuid(page: GhcbPage, setup: Setup, gpa: int) -> list[Asked]:
    leaf = _low(page.rax)
    xcr0: list[Asked] = [["xcr0", page.xcr0]] if leaf == 0xD else []
    return [*xcr0, ["cpuid", leaf, _low(page.rcx)]]


def _hypercall(page: GhcbPage, setup: Setup, gpa: int) -> list[Asked]:
    names = ("rax", "rbx", "rcx", "rdx", "rsi")
    return [["hypercall", *(getattr(page, name) if page.is_valid(name) else 0 for name in names)]]


def _ap(page: GhcbPage, setup: Setup, gpa: int) -> list[Asked]:
    info = ApCreation.of(page.sw_exit_info_1)
    destroys = info.operation == ApOperation.DESTROY
    vmsa = None if destroys else page.sw_exit_info_2
    return [["ap", _low(page.sw_exit_info_1), info.apic_id, vmsa]]


def _message(page: GhcbPage, setup: Setup, gpa: int) -> list[Asked]:
    asked: list[Asked] = [["read-memory", page.sw_exit_info_1, PAGE], ["firmware"]]
    if not setup.firmware_error:
        asked.append(["write-memory", page.sw_exit_info_2, PAGE, ""])
    return asked


def _with_certificates(page: GhcbPage, setup: Setup, gpa: int) -> list[Asked]:
    table = bytes.fromhex(setup.certificates)
    if page.rbx < -(-len(table) // PAGE):
        return []
    if not page.rbx:
        return _message(page, setup, gpa)
    if table:
        handed: Asked = ["write-memory", page.rax, len(table), table.rstrip(b"\0").hex()]
    else:
        handed = ["clear-memory", page.rax, 24]
    return [handed, *_message(page, setup, gpa)]


def _disable(page: GhcbPage, setup: Setup, gpa: int) -> list[Asked]:
    info = DisableInjection.of(page.sw_exit_info_1)
    flags = int(info.interrupts_enabled), int(info.interrupt_shadow)
    return [["hand-over", info.vmpl, *flags, info.tpr]]


def _eoi(page: GhcbPage, setup: Setup, gpa: int) -> list[Asked]:
    info = SpecificEoi.of(page.sw_exit_info_1)
    return [["eoi", info.vmpl, info.vector]]


ASKED: dict[int, Callable[[GhcbPage, Setup, int], list[Asked]]] = {
    **dict.fromkeys(
        (
            ExitCode.READ_DR7,
            ExitCode.WRITE_DR7,
            ExitCode.RDTSC,
            ExitCode.RDTSCP,
            ExitCode.INVD,
            ExitCode.WBINVD,
            ExitCode.MONITOR,
            ExitCode.MWAIT,
            ExitCode.AP_JUMP_TABLE,
            ExitCode.HYPERVISOR_FEATURES,
            ExitCode.UNSUPPORTED_EVENT,
            ExitCode.HV_DOORBELL_PAGE,
        ),
        _nothing,
    ),
    ExitCode.RDPMC: lambda page, setup, gpa: [["rdpmc", _low(page.rcx)]],
    ExitCode.CPUID: _cpuid,
    ExitCode.IOIO: _ioio,
    ExitCode.MSR: _msr,
    ExitCode.VMMCALL: _hypercall,
    ExitCode.MMIO_READ: _mmio,
    ExitCode.MMIO_WRITE: _mmio,
    ExitCode.NMI_COMPLETE: lambda page, setup, gpa: [["nmi-unmask"]],
    ExitCode.AP_RESET_HOLD: lambda page, setup, gpa: [["hold"]],
    ExitCode.SNP_GUEST_REQUEST: _message,
    ExitCode.SNP_EXTENDED_GUEST_REQUEST: _with_certificates,
    ExitCode.SNP_AP_CREATION: _ap,
    ExitCode.HV_IPI: lambda page, setup, gpa: [["ipi", page.sw_exit_info_1]],
    ExitCode.SNP_RUN_VMPL: lambda page, setup, gpa: [["run-vmpl", page.sw_exit_info_1]],
    ExitCode.DISABLE_ALTERNATE_INJECTION: _disable,
    ExitCode.SPECIFIC_EOI: _eoi,
}
"""By exit, what a host asks of others when it is done; page state changes are told by `Work`."""


def results(page: GhcbPage, setup: Setup) -> dict[str, int]:
    """The registers whose values an exit that is done should give, as far as the VM says them."""
    match page.sw_exit_code:
        case ExitCode.RDTSC:
            return _pair(setup.tsc_value)
        case ExitCode.RDTSCP:
            return _pair(setup.tsc_value) | {"rcx": setup.tsc_aux}
        case ExitCode.RDPMC:
            return _pair(setup.pmc_value)
        case ExitCode.MSR if not page.sw_exit_info_1:
            return _pair(setup.msr_value)
        case ExitCode.CPUID:
            return _leaf(_low(page.rax), _low(page.rcx), setup)
    return {}


def _pair(value: int) -> dict[str, int]:
    return {"rax": _low(value), "rdx": value >> 32}


def _leaf(leaf: int, subleaf: int, setup: Setup) -> dict[str, int]:
    found = (row[2:] for row in setup.cpuid if row[0] == leaf and row[1] in (None, subleaf))
    return dict(zip(("rax", "rbx", "rcx", "rdx"), next(found, (0, 0, 0, 0)), strict=True))


def faults(page: GhcbPage, setup: Setup) -> bool:
    """Whether the access is one that raises #GP in the guest."""
    if page.sw_exit_code == ExitCode.MSR:
        return setup.msr_fault
    return page.sw_exit_code == ExitCode.RDPMC and setup.pmc_fault


# --- page state changes -----------------------------------------------------------------------------

INVALID_HEADER = int(PscResult(error=PscErrorClass.INVALID, detail=1))
INVALID_ENTRY = int(PscResult(error=PscErrorClass.INVALID, detail=2))


@dataclass(frozen=True, slots=True)
class Work:
    """What a page list asks for: runs of frames with their state, in order; and the error at its end."""

    runs: tuple[Run, ...]
    result: int  # 0, or what SW_EXITINFO2 holds when all before the error is done


def work(page: GhcbPage, gpa: int) -> Work:
    """The work of the list in the shared buffer of `page`, which lies at `gpa`."""
    start = page.sw_scratch - gpa - BUFFER_OFFSET
    data = page.shared_buffer[start:]
    header = PscHeader.decode(data[:HEADER_SIZE])
    room = (BUFFER_END - BUFFER_OFFSET - start - HEADER_SIZE) // ENTRY_SIZE
    if header.end_entry >= room or header.reserved_63_32:
        return Work((), INVALID_HEADER)
    runs: list[Run] = []
    for entry in _entries(data, header):
        if entry.problems():
            return Work(tuple(runs), INVALID_ENTRY)
        if entry.left and entry.operation in (PageOperation.PRIVATE, PageOperation.SHARED):
            state = PageOperation(entry.operation)
            runs.append((entry.frame + entry.current_page, entry.left, state))
    return Work(tuple(runs), 0)


def _entries(data: bytes, header: PscHeader) -> Iterator[PscEntry]:
    for index in range(header.cur_entry, header.end_entry + 1):
        at = HEADER_SIZE + ENTRY_SIZE * index
        yield PscEntry.decode(data[at : at + ENTRY_SIZE])
