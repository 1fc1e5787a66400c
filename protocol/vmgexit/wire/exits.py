"""Every exit (NAE event): what goes in, what comes out, who must support it.

One row per exit code. A row says which fields of the GHCB must be valid besides the exit code and
both information words, which may be, how the words are laid out in both directions, and what the
host marks valid in its answer. Its examples are requests that a guest could make. `GhcbPage.for_exit`
builds pages by these rows, `vmgexit.rules.exits` judges pages by them; the words that belong to a
chapter are declared there.

A row's `source` is where the inputs and outputs were read off. The version is that of the GHCB
standard from which on the exit exists: what needs SNP needs version 2 (Linux arch/x86/coco/sev).
"""

from __future__ import annotations

from functools import cache

from .ap_creation import ApCreation, ApJumpTableInfo, ApOperation, JumpTableOperation
from .apic import ApicIcr
from .exit import KVM, Example, Exit, Need, Page, Return, Word
from .exit_codes import ExitCode, IoioInfo, MsrInfo, TioAction, TioOpInfo, exit_name
from .exits_outside import EXITS_OUTSIDE_A_GHCB
from .features import HypervisorFeatures
from .firmware_status import VmmStatus
from .ghcb_msr import PageOperation
from .guest_message import GuestRequestResult
from .injection import (
    NOTIFY_VECTOR,
    SELF,
    ConfigureInjection,
    DisableInjection,
    DoorbellInfo,
    DoorbellOperation,
    RunVmpl,
    SecureAvicInfo,
    SecureAvicOperation,
    SpecificEoi,
)
from .page_state import MAX_ENTRIES, PscEntry, PscResult
from .termination import TerminationInfo

COCONUT = "COCONUT-SVSM kernel/src/sev/ghcb.rs"
LINUX = "Linux arch/x86/include/uapi/asm/svm.h"
ZYUIOP = "zyuiop/ghcb src/structures/exit_codes.rs"

TIO = "Linux TIO series 20260225053806.3311234-8-aik@amd.com (mail)"

_GENERAL = "rax rbx rcx rdx rsi rdi rbp r8 r9 r10 r11 r12 r13 r14 r15"
REGISTERS = tuple(_GENERAL.split())


def _fields(*names: str) -> tuple[Need, ...]:
    return tuple(Need(name) for name in names)


def _returned(*names: str) -> tuple[Return, ...]:
    return tuple(Return(name) for name in names)


def _ioio(request: Page) -> IoioInfo:
    return IoioInfo.of(request.sw_exit_info_1)


def _writes_msr(request: Page) -> bool:
    return bool(request.sw_exit_info_1 & 1)


def _destroys(request: Page) -> bool:
    return ApCreation.of(request.sw_exit_info_1).operation == ApOperation.DESTROY


def _registers_avic(request: Page) -> bool:
    return request.sw_exit_info_1 == SecureAvicOperation.REGISTER


def _certificates_do_not_fit(_: Page, answer: Page) -> bool:
    return GuestRequestResult.of(answer.sw_exit_info_2).vmm == VmmStatus.INVALID_LEN


def _done(_: Page, answer: Page) -> bool:
    return answer.sw_exit_info_2 == 0


def _binds(request: Page, answer: Page) -> bool:
    bind = TioOpInfo.of(request.sw_exit_info_1).action == TioAction.BIND
    return bind and _done(request, answer)


def _mmio(code: ExitCode, meaning: str, buffer: str, *examples: Example) -> Exit:
    return Exit(
        code,
        meaning,
        _fields("sw_scratch"),
        info1=Word("guest-physical address of the location", value=True),
        info2=Word("length in bytes, at most 8 from version 2 on", value=True),
        buffer=buffer,
        source=f"{KVM}; {COCONUT}",
        examples=examples,
    )


_SMALL = PscEntry(frame=0x12345, operation=PageOperation.SHARED)
_HIGH = PscEntry(frame=0xFF_FFFF_FFFF, operation=PageOperation.PRIVATE)
_LARGE = PscEntry(frame=0x40000, operation=PageOperation.PRIVATE, large=True)
_BEGUN = PscEntry(frame=0x40200, operation=PageOperation.PRIVATE, large=True, current_page=5)
_HINT = PscEntry(frame=0x40200, operation=PageOperation.PSMASH, large=True)


ARCHITECTURAL = (
    Exit(ExitCode.READ_DR7, "read DR7; edk2 answers it without a VMGEXIT", source=KVM),
    Exit(
        ExitCode.WRITE_DR7,
        "write DR7",
        _fields("rax"),
        examples=(Example(fields={"rax": 0x400}),),
    ),
    Exit(ExitCode.RDTSC, "read the time stamp counter", returns=_returned("rax", "rdx")),
    Exit(
        ExitCode.RDPMC,
        "read a performance counter",
        _fields("rcx"),
        returns=_returned("rax", "rdx"),
        examples=(Example(fields={"rcx": 1}),),
    ),
    Exit(
        ExitCode.CPUID,
        "CPUID of a function and sub-leaf",
        (
            *_fields("rax", "rcx"),
            Need("xcr0", "leaf 0xD", lambda page: page.rax & 0xFFFFFFFF == 0xD),
        ),
        # XSS for leaf 0xD, sub-leaf 1: newer KVM reads it when valid. Linux marks XCR0 at every leaf.
        may=("xss", "xcr0"),
        returns=_returned("rax", "rbx", "rcx", "rdx"),
        source=f"{KVM}; COCONUT-SVSM commit 264c4a81",
        examples=(
            Example(fields={"rax": 0x8000001F, "rcx": 0}),
            Example(fields={"rax": 0xD, "rcx": 1, "xcr0": 7}),
        ),
    ),
    Exit(ExitCode.INVD, "invalidate caches; Linux refuses it, edk2 forwards it"),
    Exit(
        ExitCode.IOIO,
        "IN, OUT and their string forms",
        (
            Need("rax", "OUT", lambda page: not _ioio(page).is_in and not _ioio(page).string),
            Need("sw_scratch", "string form", lambda page: _ioio(page).string),
        ),
        may=("rax",),  # edk2 and Linux mark RAX with IN, too
        info1=Word("which instruction, width and port", IoioInfo),
        info2=Word("repeat count of a string form, else 0", value=True),
        buffer="data of a string form",
        returns=(
            Return("rax", "IN", lambda asked, _: _ioio(asked).is_in and not _ioio(asked).string),
        ),
        source=f"{KVM}; zyuiop/ghcb src/protocols/ioio.rs",
        examples=(
            Example(0x03F80010, fields={"rax": 0x41}),  # OUT 0x3F8, one byte
            Example(0x0CFC0041),  # IN 0xCFC, four bytes
            Example(0x03F8001C, 64, b"a" * 64),  # REP OUTSB
            Example(0x01F0002D, 256),  # REP INSW
            Example(0x01F0004D, 508),  # REP INSD, as much as the buffer holds
        ),
    ),
    Exit(
        ExitCode.MSR,
        "RDMSR and WRMSR",
        (*_fields("rcx"), Need("rax", "write", _writes_msr), Need("rdx", "write", _writes_msr)),
        info1=Word("read or write", MsrInfo),
        returns=(
            Return("rax", "read", lambda asked, _: not _writes_msr(asked)),
            Return("rdx", "read", lambda asked, _: not _writes_msr(asked)),
        ),
        source=f"{KVM}; {COCONUT}",
        examples=(
            Example(fields={"rcx": 0xC0000080}),
            Example(1, fields={"rcx": 0xC0000080, "rax": 0x500, "rdx": 1}),
        ),
    ),
    Exit(
        ExitCode.VMMCALL,
        "hypercall; which registers, only the host knows",
        _fields("rax", "cpl"),
        may=REGISTERS,
        returns=_returned("rax"),
        examples=(Example(fields={"rax": 1, "cpl": 0}),),
    ),
    Exit(
        ExitCode.RDTSCP,
        "read the time stamp counter and TSC_AUX",
        returns=_returned("rax", "rdx", "rcx"),
    ),
    Exit(ExitCode.WBINVD, "write back and invalidate caches"),
    Exit(
        ExitCode.MONITOR,
        "MONITOR; Linux does nothing for it",
        _fields("rax", "rcx", "rdx"),
        examples=(Example(fields={"rax": 0, "rcx": 0, "rdx": 0}),),
    ),
    Exit(
        ExitCode.MWAIT,
        "MWAIT; Linux does nothing for it",
        _fields("rax", "rcx"),
        examples=(Example(fields={"rax": 0, "rcx": 0}),),
    ),
)

SOFTWARE_DEFINED = (
    _mmio(
        ExitCode.MMIO_READ,
        "read a memory-mapped register into the buffer",
        "what was read",
        Example(0xFEE00020, 4),
        Example(0xFEE00020, 1),
        Example(0xFEE00020, 8),
    ),
    _mmio(
        ExitCode.MMIO_WRITE,
        "write a memory-mapped register from the buffer",
        "what to write",
        Example(0xFEE000B0, 4, bytes(4)),
        Example(0xFEE00300, 8, b"abcdefgh"),
    ),
    Exit(ExitCode.NMI_COMPLETE, "the guest has handled an NMI", source=LINUX),
    Exit(
        ExitCode.AP_RESET_HOLD,
        "wait for a start-up IPI; as GHCB MSR request 0x006",
        result=Word("not 0: released", value=True),
    ),
    Exit(
        ExitCode.AP_JUMP_TABLE,
        "set or get the address of the AP jump table",
        info1=Word("set or get", ApJumpTableInfo),
        info2=Word("address to set", value=True),
        result=Word("address, where it was asked for", value=True),
        source=f"{LINUX}; Oak oak_sev_guest/src/ghcb.rs",
        examples=(
            Example(JumpTableOperation.SET, 0x9000),
            Example(JumpTableOperation.GET),
        ),
    ),
    Exit(
        ExitCode.SNP_PAGE_STATE_CHANGE,
        "make pages private or shared",
        _fields("sw_scratch"),
        buffer="PscRequest: header and entries",
        result=Word("0 = no error", PscResult),
        since=2,
        feature="snp",
        source=f"edk2 SnpPageStateChangeInternal.c; {COCONUT}",
        examples=(
            Example(buffer=(_SMALL,)),
            Example(buffer=(_LARGE, _SMALL, _HIGH)),
            Example(buffer=(_LARGE, _BEGUN, _HINT)),
            Example(buffer=(_SMALL,) * MAX_ENTRIES),
        ),
    ),
    Exit(
        ExitCode.SNP_GUEST_REQUEST,
        "hand a message to the firmware",
        info1=Word("address of the request page", value=True),
        info2=Word("address of the response page", value=True),
        result=Word("status of firmware and host", GuestRequestResult),
        since=2,
        feature="snp",
        source=f"{COCONUT}; Oak oak_sev_guest/src/ghcb.rs",
        examples=(Example(0x10000, 0x11000),),
    ),
    Exit(
        ExitCode.SNP_EXTENDED_GUEST_REQUEST,
        "hand a message to the firmware, and get the host's certificates",
        _fields("rax", "rbx"),
        info1=Word("address of the request page", value=True),
        info2=Word("address of the response page", value=True),
        returns=(Return("rbx", "certificates do not fit", _certificates_do_not_fit),),
        result=Word("status of firmware and host", GuestRequestResult),
        since=2,
        feature="snp",
        source=f"{COCONUT}; Linux include/uapi/linux/sev-guest.h",
        examples=(Example(0x10000, 0x11000, fields={"rax": 0x12000, "rbx": 4}),),
    ),
    Exit(
        ExitCode.SNP_AP_CREATION,
        "create, start or destroy a vCPU from a VMSA",
        (Need("rax", "not for destroy", lambda page: not _destroys(page)),),
        may=("rax",),
        info1=Word("what, which VMPL, which APIC ID", ApCreation),
        info2=Word("address of the VMSA", value=True),
        since=2,
        feature="ap_creation",
        source=f"{COCONUT}; KVM arch/x86/kvm/svm/sev.c",
        examples=(
            Example(0x0000000500010001, 0x13000, fields={"rax": 1}),  # create and start
            Example(0x0000000500010000, 0x13000, fields={"rax": 1}),  # create at the next INIT
            Example(0x0000000500010002),  # destroy
        ),
    ),
    Exit(
        ExitCode.HV_DOORBELL_PAGE,
        "register the #HV doorbell page, or ask for it",
        info1=Word("what to do", DoorbellInfo),
        info2=Word("address of the page, to set it", value=True),
        result=Word("address, all ones = none", value=True),
        since=2,
        feature="restricted_injection",
        source=f"KVM restricted-injection RFC (mail); {COCONUT}",
        examples=(
            Example(DoorbellOperation.GET_PREFERRED),
            Example(DoorbellOperation.SET, 0x14000),
            Example(DoorbellOperation.QUERY),
            Example(DoorbellOperation.CLEAR),
        ),
    ),
    Exit(
        ExitCode.HV_IPI,
        "send an IPI without an APIC access",
        info1=Word("value of the x2APIC ICR", ApicIcr),
        since=2,
        feature="restricted_injection",
        source=COCONUT,
        examples=(
            Example(0x0000000300000061),  # vector 0x61 to APIC ID 3
            Example(0x00080400),  # NMI to all
        ),
    ),
    Exit(
        ExitCode.HV_TIMER,
        "timer under restricted injection; its words are not described anywhere",
        info1=Word("not described", value=True),
        info2=Word("not described", value=True),
        result=Word("not described", value=True),
        since=2,
        feature="restricted_injection_timer",
        source=ZYUIOP,
        examples=(Example(1, 2),),
    ),
    Exit(
        ExitCode.APIC_ID_LIST,
        "list the APIC IDs of the guest's vCPUs",
        _fields("rax"),  # pages offered, 0 asks how many are needed
        info1=Word("address of the shared pages", value=True),
        returns=_returned("rax"),  # pages needed, where those offered do not do
        since=2,
        feature="apic_id_list",
        source="edk2 UefiCpuPkg/Library/MpInitLib; linux-svsm src/cpu/vc.rs",
        examples=(Example(0x15000, fields={"rax": 1}),),
    ),
    Exit(
        ExitCode.SNP_RUN_VMPL,
        "run this vCPU at another VMPL; as GHCB MSR request 0x016",
        info1=Word("VMPL to run", RunVmpl),
        since=2,
        feature="multi_vmpl",
        source="linux-svsm src/cpu/vc.rs; Linux arch/x86/coco/sev",
        examples=(Example(2),),
    ),
    Exit(
        ExitCode.SNP_TIO_GUEST_REQUEST,
        "guest request for trusted I/O; its words are not described anywhere",
        may=REGISTERS,
        info1=Word("not described", value=True),
        info2=Word("not described", value=True),
        result=Word("not described", value=True),
        since=2,
        feature="sev_tio",
        source=ZYUIOP,
    ),
    Exit(
        ExitCode.SECURE_AVIC,
        "register or unregister the backing page of the secure AVIC",
        (Need("rax"), Need("rbx", "register", _registers_avic)),
        info1=Word("register or unregister", SecureAvicInfo),
        returns=(Return("rbx", "unregister", lambda asked, _: not _registers_avic(asked)),),
        since=2,
        source=LINUX,
        examples=(
            Example(SecureAvicOperation.REGISTER, fields={"rax": SELF, "rbx": 0x16000}),
            Example(SecureAvicOperation.UNREGISTER, fields={"rax": 3}),
        ),
    ),
    Exit(
        ExitCode.CONFIGURE_INJECTION,
        "choose the vector that tells VMPL 0 of lower VMPLs' events",
        info1=Word("the vector", ConfigureInjection),
        since=2,
        feature="extended_interrupts",
        source=COCONUT,
        examples=(Example(NOTIFY_VECTOR),),
    ),
    Exit(
        ExitCode.DISABLE_ALTERNATE_INJECTION,
        "hand a lower VMPL's interrupts over to the host",
        info1=Word("state of the guest's interrupts", DisableInjection),
        since=2,
        feature="extended_interrupts",
        source=COCONUT,
        clause="EXIT-1",
        examples=(
            Example(0x00024001),  # VMPL 2, TPR 0x40, interrupts enabled
        ),
    ),
    Exit(
        ExitCode.SPECIFIC_EOI,
        "a lower VMPL ended a level-triggered interrupt",
        info1=Word("vector and VMPL", SpecificEoi),
        since=2,
        feature="extended_interrupts",
        source=COCONUT,
        examples=(
            Example(0x00020061),  # VMPL 2, vector 0x61
        ),
    ),
    Exit(
        ExitCode.SEV_TIO_GUEST_REQUEST_RFC,
        "guest request for trusted I/O, numbered as in the Linux series; RAX and RBX: pages for what the"
        " host adds, RCX: guest device ID, RDX: tio-info-wanted or tio-mmio, by the message",
        _fields("rax", "rbx", "rcx", "rdx"),
        info1=Word("address of the request page", value=True),
        info2=Word("address of the response page", value=True),
        returns=(
            Return("rbx", "what the host adds does not fit", _certificates_do_not_fit),
            Return("rdx", "done", _done),
        ),
        result=Word("status of firmware and host", GuestRequestResult),
        since=2,
        feature="sev_tio",
        source=TIO,
        examples=(
            Example(0x10000, 0x11000, fields={"rax": 0x12000, "rbx": 8, "rcx": 0x108, "rdx": 9}),
        ),
    ),
    Exit(
        ExitCode.SEV_TIO_OP_RFC,
        "bind, unbind, run or stop a trusted device, numbered as in the Linux series; RCX: TDI ID",
        info1=Word("action and device", TioOpInfo),
        returns=(Return("rcx", "bind, done", _binds),),
        result=Word("status of the firmware, 0 = done", value=True),
        since=2,
        feature="sev_tio",
        source=TIO,
        examples=(Example(0x108), Example(0x200000108)),  # bind and run
    ),
    Exit(
        ExitCode.HYPERVISOR_FEATURES,
        "which features does the host have; as GHCB MSR request 0x080",
        result=Word("feature bitmap", HypervisorFeatures),
        since=2,
        source=LINUX,
    ),
    Exit(
        ExitCode.TERMINATION_REQUEST,
        "the guest cannot go on",
        info1=Word("reason", TerminationInfo),
        info2=Word("details, of the reason's own", value=True),
        since=2,
        source=LINUX,
        examples=(Example(0x21, 5),),
    ),
    Exit(
        ExitCode.UNSUPPORTED_EVENT,
        "a #VC that the guest could not handle",
        info1=Word("error code of the #VC", value=True, is_code=True),
        info2=Word("details", value=True),
        source="edk2 OvmfPkg/Library/CcExitLib/CcExitVcHandler.c",
        examples=(Example(0x7B),),
    ),
)


@cache
def exits() -> tuple[Exit, ...]:
    """Every exit that is described, by code."""
    rows = (*ARCHITECTURAL, *SOFTWARE_DEFINED, *EXITS_OUTSIDE_A_GHCB)
    return tuple(sorted(rows, key=lambda row: row.code))


@cache
def _by_code() -> dict[int, Exit]:
    return {row.code: row for row in exits()}


def exit_text(code: int) -> str:
    """An exit code for a person: `PAGE_NOT_VALIDATED (access to a page that is not validated)`."""
    row = find_exit(code)
    return exit_name(code) if row is None else f"{row.name} ({row.meaning})"


def find_exit(code: int) -> Exit | None:
    """The row of exit `code`, or None where there is none."""
    return _by_code().get(code)
