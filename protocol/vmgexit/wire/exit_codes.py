"""Exit codes, and the words of the exits that no other chapter has: IOIO, MSR, the status of an answer.

Below 0x80000000 the codes are the processor's, as in the VMSA; from there on they are the GHCB
standard's. Which registers go with each is in `exits`.

Sources: edk2 MdePkg/Include/Register/Amd/Ghcb.h and OvmfPkg/Library/CcExitLib, Linux
arch/x86/include/uapi/asm/svm.h, COCONUT-SVSM kernel/src/sev/ghcb.rs, OpenVMM
vm/x86/x86defs/src/snp.rs, zyuiop/ghcb src/structures/exit_codes.rs and errors.rs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from ..schema import Bits, Code, Note, Problem, Rule, bit, bits, members, reserved, structure
from .readings import notes_on

SOURCE = "edk2 MdePkg/Include/Register/Amd/Ghcb.h"


class ExitCode(IntEnum):
    """Exit codes that a GHCB or a VMSA holds."""

    READ_DR7 = 0x27
    WRITE_DR7 = 0x37
    EXCEPTION_AC = 0x51
    RDTSC = 0x6E
    RDPMC = 0x6F
    CPUID = 0x72
    INVD = 0x76
    IOIO = 0x7B
    MSR = 0x7C
    VMMCALL = 0x81
    RDTSCP = 0x87
    WBINVD = 0x89
    MONITOR = 0x8A
    MWAIT = 0x8B
    IDLE_HLT = 0xA6
    NPF = 0x400
    AVIC_INCOMPLETE_IPI = 0x401
    AVIC_NOACCEL = 0x402
    VMGEXIT = 0x403
    PAGE_NOT_VALIDATED = 0x404
    NOT_RESTARTABLE = 0x406
    MMIO_READ = 0x80000001
    MMIO_WRITE = 0x80000002
    NMI_COMPLETE = 0x80000003
    AP_RESET_HOLD = 0x80000004
    AP_JUMP_TABLE = 0x80000005
    SNP_PAGE_STATE_CHANGE = 0x80000010
    SNP_GUEST_REQUEST = 0x80000011
    SNP_EXTENDED_GUEST_REQUEST = 0x80000012
    SNP_AP_CREATION = 0x80000013
    HV_DOORBELL_PAGE = 0x80000014
    HV_IPI = 0x80000015
    HV_TIMER = 0x80000016
    APIC_ID_LIST = 0x80000017
    SNP_RUN_VMPL = 0x80000018
    SNP_TIO_GUEST_REQUEST = 0x80000019
    SECURE_AVIC = 0x8000001A
    CONFIGURE_INJECTION = 0x8000001B
    DISABLE_ALTERNATE_INJECTION = 0x8000001C
    SPECIFIC_EOI = 0x8000001D
    SEV_TIO_GUEST_REQUEST_RFC = 0x80000020
    SEV_TIO_OP_RFC = 0x80000021
    HYPERVISOR_FEATURES = 0x8000FFFD
    TERMINATION_REQUEST = 0x8000FFFE
    UNSUPPORTED_EVENT = 0x8000FFFF
    SOFTWARE = 0xF0000000
    INVALID_PMC = 0xFFFFFFFFFFFFFFFC
    IDLE_REQUIRED = 0xFFFFFFFFFFFFFFFD
    BUSY = 0xFFFFFFFFFFFFFFFE
    INVALID = 0xFFFFFFFFFFFFFFFF


OTHER_NAMES = {
    "SVM_VMGEXIT_AP_HLT_LOOP": ExitCode.AP_RESET_HOLD,
    "SVM_VMGEXIT_PSC": ExitCode.SNP_PAGE_STATE_CHANGE,
    "SVM_VMGEXIT_GUEST_REQUEST": ExitCode.SNP_GUEST_REQUEST,
    "SVM_VMGEXIT_EXT_GUEST_REQUEST": ExitCode.SNP_EXTENDED_GUEST_REQUEST,
    "SVM_VMGEXIT_AP_CREATION": ExitCode.SNP_AP_CREATION,
    "SVM_VMGEXIT_SAVIC": ExitCode.SECURE_AVIC,
    "SVM_VMGEXIT_HV_FEATURES": ExitCode.HYPERVISOR_FEATURES,
    "SVM_VMGEXIT_TERM_REQUEST": ExitCode.TERMINATION_REQUEST,
    "SVM_EXIT_ERR": ExitCode.INVALID,
    "SVM_EXIT_SW": ExitCode.SOFTWARE,
    "SNP_PSC": ExitCode.SNP_PAGE_STATE_CHANGE,
    "GUEST_EXT_REQUEST": ExitCode.SNP_EXTENDED_GUEST_REQUEST,
    "AP_CREATE": ExitCode.SNP_AP_CREATION,
    "HV_DOORBELL": ExitCode.HV_DOORBELL_PAGE,
    "CONFIGURE_INT_INJ": ExitCode.CONFIGURE_INJECTION,
    "DISABLE_ALT_INJ": ExitCode.DISABLE_ALTERNATE_INJECTION,
}
"""Exits as Linux (arch/x86/include/uapi/asm/svm.h) and COCONUT-SVSM (kernel/src/sev/ghcb.rs) call them."""


@dataclass(frozen=True, slots=True)
class FormerCode:
    """What a number meant in drafts before it was assigned to something else."""

    code: int
    meaning: str
    source: str


_FIRST = "msft-jlange/svsm 2f33e34d, 2024"
_SECOND = "COCONUT-SVSM before e27e9683, February 2025"
FORMER_CODES = (
    FormerCode(0x80000019, "disable alternate injection", _FIRST),
    FormerCode(0x8000001A, "specific EOI", _FIRST),
    FormerCode(0x80000019, "configure interrupt injection", _SECOND),
    FormerCode(0x8000001A, "disable alternate injection", _SECOND),
    FormerCode(0x8000001B, "specific EOI", _SECOND),
)


class Status(Code):
    """How an exit ended: SW_EXITINFO1 bits 31:0."""

    DONE = 0, "the exit was carried out; SW_EXITINFO2 has its result"
    RAISE_EVENT = 1, "SW_EXITINFO2 has the event, in the layout of EVENTINJ"
    MALFORMED_INPUT = 2, "SW_EXITINFO2 has the reason"


class MalformedInput(Code):
    """Why a request was malformed. Up to 0xFFFF the standard's, above it a host's own."""

    NOT_REGISTERED = 1, "the GHCB page is not registered"
    INVALID_USAGE = 2, "the GHCB usage is not known to the host"
    INVALID_SCRATCH_AREA = 3, "SW_SCRATCH does not lead to usable memory"
    MISSING_INPUT = 4, "a field that the exit needs is not marked valid"
    INVALID_INPUT = 5, "a field that the exit needs has a bad value"
    INVALID_EVENT = 6, "the exit code is not known"


@structure("exit-status", size=8, source="Linux arch/x86/coco/sev; edk2 CcExitLib.c")
class ExitStatus(Bits):
    """SW_EXITINFO1 after a VMGEXIT: how it ended."""

    status: int = bits(32, "How the exit ended", enum=Status)
    reserved_63_32: int = reserved(32, Rule.IGNORED)

    def notes(self) -> Iterator[Note]:
        yield from notes_on(self)


@structure("exit-error", size=8, source="Linux arch/x86/include/asm/sev-common.h; zyuiop/ghcb")
class ExitError(Bits):
    """SW_EXITINFO2 after a VMGEXIT that ended with status 2."""

    error: int = bits(32, "Why the request was malformed", enum=MalformedInput)
    reserved_63_32: int = reserved(32, Rule.IGNORED)

    def notes(self) -> Iterator[Note]:
        yield from notes_on(self)
        if self.error > 0xFFFF:
            yield Note("error", "a number of the host's own")


class Segment(IntEnum):
    """Effective segment of a string instruction, as the processor numbers them."""

    ES = 0
    CS = 1
    SS = 2
    DS = 3
    FS = 4
    GS = 5


@structure("ioio-info", size=8, source=SOURCE)
class IoioInfo(Bits):
    """SW_EXITINFO1 of IOIO: which instruction, how wide, which port."""

    is_in: bool = bit("1 = IN, 0 = OUT", spec="IN")
    reserved_1: int = reserved(1)
    string: bool = bit("String form: INS or OUTS")
    repeat: bool = bit("REP prefix", spec="REP")
    size_8: bool = bit("Operand of 8 bits")
    size_16: bool = bit("Operand of 16 bits")
    size_32: bool = bit("Operand of 32 bits")
    address_16: bool = bit("Address size of 16 bits")
    address_32: bool = bit("Address size of 32 bits")
    address_64: bool = bit("Address size of 64 bits")
    segment: int = bits(3, "Effective segment of a string form", enum=Segment)
    reserved_15_13: int = reserved(3)
    port: int = bits(16, "Port number")
    reserved_63_32: int = reserved(32)

    @property
    def operand_size(self) -> int:
        """Bytes of the operand: 1, 2 or 4; 0 where not exactly one size is given."""
        sizes = (self.size_8, 1), (self.size_16, 2), (self.size_32, 4)
        given = [size for flag, size in sizes if flag]
        return given[0] if len(given) == 1 else 0

    def broken(self) -> Iterator[Problem]:
        if not self.operand_size:
            sizes = self.size_8 | self.size_16 << 1 | self.size_32 << 2
            yield Problem("size_8", sizes, "exactly one of bits 6:4 gives the operand size", "")
        if self.address_16 + self.address_32 + self.address_64 > 1:
            widths = self.address_16 | self.address_32 << 1 | self.address_64 << 2
            yield Problem(
                "address_16", widths, "at most one of bits 9:7 gives the address size", ""
            )


class MsrAccess(IntEnum):
    """SW_EXITINFO1 of an MSR exit."""

    READ = 0
    WRITE = 1


@structure("msr-info", size=8, source="KVM arch/x86/kvm/svm/sev.c; COCONUT-SVSM ghcb.rs")
class MsrInfo(Bits):
    """SW_EXITINFO1 of an MSR exit: read or write."""

    access: int = bits(1, "Read or write", enum=MsrAccess)
    reserved_63_1: int = reserved(63)


@structure("mov-cr-dr-info", size=8, source="OpenVMM vm/x86/x86defs/src/snp.rs; KVM svm/svm.c")
class MovCrDrInfo(Bits):
    """EXITINFO1 of an access to a control or debug register, exits 0x00 to 0x3F."""

    register: int = bits(4, "General register of the MOV, as instructions number them", spec="GPR")
    reserved_62_4: int = reserved(59)
    mov_cr: bool = bit("A MOV of a CR; 0 for CLTS, LMSW, SMSW and of a DR", spec="MovCRx")


class TioAction(IntEnum):
    """What the TIO operation of the Linux RFC does."""

    BIND = 0
    UNBIND = 1
    RUN = 2
    STOP = 3


@structure("tio-op-info", size=8, source="Linux TIO RFC (mail)")
class TioOpInfo(Bits):
    """SW_EXITINFO1 of exit 0x80000021, of the Linux RFC only."""

    guest_device_id: int = bits(32, "Guest device ID")
    action: int = bits(32, "What to do", enum=TioAction)


_INTERCEPTS = [
    "INTR",
    "NMI",
    "SMI",
    "INIT",
    "VINTR",
    "CR0_SEL_WRITE",
    "IDTR_READ",
    "GDTR_READ",
    "LDTR_READ",
    "TR_READ",
    "IDTR_WRITE",
    "GDTR_WRITE",
    "LDTR_WRITE",
    "TR_WRITE",
    "RDTSC",
    "RDPMC",
    "PUSHF",
    "POPF",
    "CPUID",
    "RSM",
    "IRET",
    "SWINT",
    "INVD",
    "PAUSE",
    "HLT",
    "INVLPG",
    "INVLPGA",
    "IOIO",
    "MSR",
    "TASK_SWITCH",
    "FERR_FREEZE",
    "SHUTDOWN",
    "VMRUN",
    "VMMCALL",
    "VMLOAD",
    "VMSAVE",
    "STGI",
    "CLGI",
    "SKINIT",
    "RDTSCP",
    "ICEBP",
    "WBINVD",
    "MONITOR",
    "MWAIT",
    "MWAIT_CONDITIONAL",
    "XSETBV",
    "RDPRU",
    "EFER_WRITE_TRAP",
]
"""Exit codes from 0x60 on, one after the other. Source: OpenVMM vm/x86/x86defs/src/snp.rs."""

_OTHERS = {
    0xA0: "INVLPGB",
    0xA1: "ILLEGAL_INVLPGB",
    0xA2: "INVPCID",
    0xA5: "BUSLOCK",
}


def exit_name(code: int) -> str:
    """The name of an exit code, of the processor or of the GHCB standard; hex where it has none."""
    member = members(ExitCode).get(code)
    if member is not None:
        return member.name
    if code < 0x60:
        kind = "CR{}_READ", "CR{}_WRITE", "DR{}_READ", "DR{}_WRITE", "EXCP{}", "EXCP{}"
        return kind[code // 16].format(code % 16 if code < 0x40 else code - 0x40)
    if code < 0x60 + len(_INTERCEPTS):
        return _INTERCEPTS[code - 0x60]
    if 0x90 <= code < 0xA0:
        return f"CR{code - 0x90}_WRITE_TRAP"
    return _OTHERS.get(code, f"{code:#x}")
