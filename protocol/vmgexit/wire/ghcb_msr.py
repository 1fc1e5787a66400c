"""The GHCB MSR protocol: one 64-bit word each way, chosen by its low 12 bits.

The word stands in MSR 0xC0010130: bits 11:0 say what it is, bits 63:12 are its data. `GhcbMsr` is
any such word; every request and response is a declaration of its own, and `DECLARATIONS` has which
code belongs to which. `decode_msr` reads a number, `pair` says whether a response answers a request,
`failure` whether it is a refusal. `termination` has the reasons of a termination request.

Sources: COCONUT-SVSM kernel/src/sev/msr_protocol.rs, edk2 MdePkg/Include/Register/Amd/SevSnpMsr.h,
Oak oak_sev_guest/src/msr.rs, mushroom common/snp-types/src/ghcb/msr_protocol.rs, zyuiop/ghcb
src/msr, ghcb-msr-protocol src, OpenVMM vm/x86/x86defs/src/snp.rs.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from typing import Any

from ..schema import Bits, Code, Note, Problem, bit, bits, reserved, structure
from .readings import notes_on
from .readings_guest import OVMF_TERMINATIONS
from .termination import ReasonSet, reason

MSR = 0xC0010130
SEV_STATUS_MSR = 0xC0010131
CALLING_AREA_MSR = 0xC001F000
"""Not a real MSR: reading it traps, and the guest's own handler answers with the calling area."""

NO_FRAME = (1 << 52) - 1
"""A response's data when there is no frame: no preference, refused, nothing registered."""

SOURCE = "COCONUT-SVSM kernel/src/sev/msr_protocol.rs; Oak oak_sev_guest/src/msr.rs"
UNREGISTER_SOURCE = "zyuiop/ghcb src/msr/unregister_ghcb_gpa.rs"
HYPERV_SOURCE = "OpenVMM vm/x86/x86defs/src/snp.rs"


class GhcbInfo(IntEnum):
    """What a word is: its bits 11:0. Requests come from the guest, responses from the host."""

    GHCB_GPA = 0x000
    SEV_INFO_RESPONSE = 0x001
    SEV_INFO_REQUEST = 0x002
    AP_JUMP_TABLE = 0x003
    CPUID_REQUEST = 0x004
    CPUID_RESPONSE = 0x005
    AP_RESET_HOLD_REQUEST = 0x006
    AP_RESET_HOLD_RESPONSE = 0x007
    PREFERRED_GPA_REQUEST = 0x010
    PREFERRED_GPA_RESPONSE = 0x011
    REGISTER_GPA_REQUEST = 0x012
    REGISTER_GPA_RESPONSE = 0x013
    PAGE_STATE_REQUEST = 0x014
    PAGE_STATE_RESPONSE = 0x015
    RUN_VMPL_REQUEST = 0x016
    RUN_VMPL_RESPONSE = 0x017
    UNREGISTER_GPA_REQUEST = 0x018
    UNREGISTER_GPA_RESPONSE = 0x019
    FEATURES_REQUEST = 0x080
    FEATURES_RESPONSE = 0x081
    TERMINATION_REQUEST = 0x100
    HYPERV_HYPERCALL = 0xF00
    HYPERV_FAST_CALL = 0xF01
    HYPERV_OUTPUT = 0xF02
    HYPERV_DEBUG_PRINT = 0xF03


SINCE_2 = frozenset(
    {
        GhcbInfo.PREFERRED_GPA_REQUEST,
        GhcbInfo.PREFERRED_GPA_RESPONSE,
        GhcbInfo.REGISTER_GPA_REQUEST,
        GhcbInfo.REGISTER_GPA_RESPONSE,
        GhcbInfo.PAGE_STATE_REQUEST,
        GhcbInfo.PAGE_STATE_RESPONSE,
        GhcbInfo.RUN_VMPL_REQUEST,
        GhcbInfo.RUN_VMPL_RESPONSE,
        GhcbInfo.FEATURES_REQUEST,
        GhcbInfo.FEATURES_RESPONSE,
    }
)
"""Messages that came with SEV-SNP, which needs version 2 (Linux arch/x86/include/asm/sev-common.h)."""

LINUX_NAMES = {
    GhcbInfo.SEV_INFO_REQUEST: "GHCB_MSR_SEV_INFO_REQ",
    GhcbInfo.SEV_INFO_RESPONSE: "GHCB_MSR_SEV_INFO_RESP",
    GhcbInfo.CPUID_REQUEST: "GHCB_MSR_CPUID_REQ",
    GhcbInfo.CPUID_RESPONSE: "GHCB_MSR_CPUID_RESP",
    GhcbInfo.AP_RESET_HOLD_REQUEST: "GHCB_MSR_AP_RESET_HOLD_REQ",
    GhcbInfo.AP_RESET_HOLD_RESPONSE: "GHCB_MSR_AP_RESET_HOLD_RESP",
    GhcbInfo.PREFERRED_GPA_REQUEST: "GHCB_MSR_PREF_GPA_REQ",
    GhcbInfo.PREFERRED_GPA_RESPONSE: "GHCB_MSR_PREF_GPA_RESP",
    GhcbInfo.REGISTER_GPA_REQUEST: "GHCB_MSR_REG_GPA_REQ",
    GhcbInfo.REGISTER_GPA_RESPONSE: "GHCB_MSR_REG_GPA_RESP",
    GhcbInfo.PAGE_STATE_REQUEST: "GHCB_MSR_PSC_REQ",
    GhcbInfo.PAGE_STATE_RESPONSE: "GHCB_MSR_PSC_RESP",
    GhcbInfo.RUN_VMPL_REQUEST: "GHCB_MSR_VMPL_REQ",
    GhcbInfo.RUN_VMPL_RESPONSE: "GHCB_MSR_VMPL_RESP",
    GhcbInfo.FEATURES_REQUEST: "GHCB_MSR_HV_FT_REQ",
    GhcbInfo.FEATURES_RESPONSE: "GHCB_MSR_HV_FT_RESP",
    GhcbInfo.TERMINATION_REQUEST: "GHCB_MSR_TERM_REQ",
}
"""What Linux calls the messages. Source: Linux arch/x86/include/asm/sev-common.h."""


class CpuidRegister(IntEnum):
    """Which register of CPUID is asked for; one per request."""

    EAX = 0
    EBX = 1
    ECX = 2
    EDX = 3


class PageOperation(Code):
    """What a page state change does. PSMASH and UNSMASH are not for the MSR form."""

    PRIVATE = 1, "make the page the guest's own"
    SHARED = 2, "share the page with the host"
    PSMASH = 3, "split a 2 MiB entry of the RMP"
    UNSMASH = 4, "join 512 entries of the RMP into one of 2 MiB"


class MsrWord(Bits):
    """Base of every word. The value of `info`, the low 12 bits, is the code that it stands for."""

    __slots__ = ()
    info: int

    def notes(self) -> Iterator[Note]:
        yield from notes_on(self)


def _info(code: GhcbInfo | None = None) -> Any:
    return bits(12, "What the word is", enum=GhcbInfo, value=code, spec="GHCBInfo")


def _undescribed() -> Any:
    return bits(52, "Not described anywhere", spec="GHCBData")


def _frame(meaning: str) -> Any:
    return bits(52, meaning, spec="GHCBData")


@structure("ghcb-msr", size=8, source=SOURCE)
class GhcbMsr(Bits):
    """GHCB MSR, 0xC0010130, whatever it holds. `specific` reads it by its code."""

    info: int = _info()
    data: int = bits(52, "What belongs to it", spec="GHCBData")

    @property
    def specific(self) -> Bits:
        """The same word by the declaration of its code, or itself where the code is not known."""
        cls = DECLARATIONS.get(self.info)
        return self if cls is None else cls.of(int(self))

    def broken(self) -> Iterator[Problem]:
        inner = self.specific
        if inner is not self:
            for problem in inner.problems():
                named = f"{inner.declaration.name} {problem.path}: {problem.rule}"
                yield Problem("data", problem.value, named, problem.clause)

    def notes(self) -> Iterator[Note]:
        inner = self.specific
        if inner is self:
            yield Note("info", "no declaration for this code; KVM would leave it as it is")
            return
        yield from inner.notes()


@structure("ghcb-msr-gpa", size=8, source="mushroom common/snp-types/src/ghcb/msr_protocol.rs")
class GhcbGpa(MsrWord):
    """Code 0x000: the word is the address of the GHCB page, 4 KiB aligned."""

    info: int = _info(GhcbInfo.GHCB_GPA)
    frame: int = _frame("Guest frame number of the GHCB page")


@structure("ghcb-msr-sev-info-response", size=8, source=SOURCE)
class SevInfoResponse(MsrWord):
    """Code 0x001: versions that the host speaks, and where the C-bit is. Also the value at reset."""

    info: int = _info(GhcbInfo.SEV_INFO_RESPONSE)
    reserved_23_12: int = reserved(12)
    c_bit: int = bits(8, "Position of the C-bit in a page table entry", spec="CBit")
    min_version: int = bits(16, "Lowest GHCB version supported")
    max_version: int = bits(16, "Highest GHCB version supported")

    def notes(self) -> Iterator[Note]:
        yield Note("", f"versions {self.min_version} to {self.max_version}, C-bit {self.c_bit}")

    def broken(self) -> Iterator[Problem]:
        if self.min_version > self.max_version:
            yield Problem("min_version", self.min_version, "above max_version", "")


@structure("ghcb-msr-sev-info-request", size=8, source=SOURCE)
class SevInfoRequest(MsrWord):
    """Code 0x002: which versions does the host speak."""

    info: int = _info(GhcbInfo.SEV_INFO_REQUEST)
    reserved_63_12: int = reserved(52)


@structure("ghcb-msr-ap-jump-table", size=8, source=HYPERV_SOURCE)
class ApJumpTable(MsrWord):
    """Code 0x003: AP jump table. Only OpenVMM names it, and gives no layout."""

    info: int = _info(GhcbInfo.AP_JUMP_TABLE)
    data: int = _undescribed()


@structure("ghcb-msr-cpuid-request", size=8, source=SOURCE)
class CpuidRequest(MsrWord):
    """Code 0x004: one register of one CPUID function, sub-leaf 0."""

    info: int = _info(GhcbInfo.CPUID_REQUEST)
    reserved_29_12: int = reserved(18)
    register: int = bits(2, "Register asked for", enum=CpuidRegister)
    function: int = bits(32, "CPUID function, EAX")


@structure("ghcb-msr-cpuid-response", size=8, source=SOURCE)
class CpuidResponse(MsrWord):
    """Code 0x005: what that register holds."""

    info: int = _info(GhcbInfo.CPUID_RESPONSE)
    reserved_29_12: int = reserved(18)
    register: int = bits(2, "Register, as asked for", enum=CpuidRegister)
    value: int = bits(32, "Its value")


@structure("ghcb-msr-ap-reset-hold-request", size=8, source="Oak oak_sev_guest/src/msr.rs")
class ApResetHoldRequest(MsrWord):
    """Code 0x006: this vCPU waits for a start-up IPI."""

    info: int = _info(GhcbInfo.AP_RESET_HOLD_REQUEST)
    reserved_63_12: int = reserved(52)


@structure("ghcb-msr-ap-reset-hold-response", size=8, source="Oak oak_sev_guest/src/msr.rs")
class ApResetHoldResponse(MsrWord):
    """Code 0x007: the vCPU was released."""

    info: int = _info(GhcbInfo.AP_RESET_HOLD_RESPONSE)
    released: int = bits(52, "Not 0: released by a start-up IPI. 0: the hold failed")


@structure("ghcb-msr-preferred-gpa-request", size=8, source="Oak oak_sev_guest/src/msr.rs")
class PreferredGpaRequest(MsrWord):
    """Code 0x010: where would the host like the GHCB."""

    info: int = _info(GhcbInfo.PREFERRED_GPA_REQUEST)
    reserved_63_12: int = reserved(52)


@structure("ghcb-msr-preferred-gpa-response", size=8, source="Oak oak_sev_guest/src/msr.rs")
class PreferredGpaResponse(MsrWord):
    """Code 0x011: where the host would like the GHCB."""

    info: int = _info(GhcbInfo.PREFERRED_GPA_RESPONSE)
    frame: int = _frame("Guest frame number; all ones = no preference")


@structure("ghcb-msr-register-gpa-request", size=8, source=SOURCE)
class RegisterGpaRequest(MsrWord):
    """Code 0x012: use this page as the vCPU's GHCB. An SNP guest asks before the first use."""

    info: int = _info(GhcbInfo.REGISTER_GPA_REQUEST)
    frame: int = _frame("Guest frame number of the page; COCONUT-SVSM unregisters with 0")


@structure("ghcb-msr-register-gpa-response", size=8, source=SOURCE)
class RegisterGpaResponse(MsrWord):
    """Code 0x013: which page is registered."""

    info: int = _info(GhcbInfo.REGISTER_GPA_RESPONSE)
    frame: int = _frame("The frame of the request; all ones = refused")


@structure("ghcb-msr-page-state-request", size=8, source=SOURCE)
class PageStateRequest(MsrWord):
    """Code 0x014: make one 4 KiB page private or shared."""

    info: int = _info(GhcbInfo.PAGE_STATE_REQUEST)
    frame: int = bits(40, "Guest frame number")
    operation: int = bits(4, "What to do: 1 private, 2 shared", enum=PageOperation)
    reserved_63_56: int = reserved(8)

    def broken(self) -> Iterator[Problem]:
        if self.operation in (PageOperation.PSMASH, PageOperation.UNSMASH):
            yield Problem("operation", self.operation, "not for the MSR form (edk2 Ghcb.h)", "")


@structure("ghcb-msr-page-state-response", size=8, source=SOURCE)
class PageStateResponse(MsrWord):
    """Code 0x015: whether the page changed."""

    info: int = _info(GhcbInfo.PAGE_STATE_RESPONSE)
    reserved_31_12: int = reserved(20)
    error: int = bits(32, "0 = done; KVM's general failure is 0x80000000")


@structure("ghcb-msr-run-vmpl-request", size=8, source=SOURCE)
class RunVmplRequest(MsrWord):
    """Code 0x016: run this vCPU at another VMPL."""

    info: int = _info(GhcbInfo.RUN_VMPL_REQUEST)
    reserved_31_12: int = reserved(20)
    vmpl: int = bits(8, "VMPL to run")
    reserved_63_40: int = reserved(24)

    def broken(self) -> Iterator[Problem]:
        if self.vmpl > 3:
            yield Problem("vmpl", self.vmpl, "there are VMPL 0 to 3", "")


@structure("ghcb-msr-run-vmpl-response", size=8, source=SOURCE)
class RunVmplResponse(MsrWord):
    """Code 0x017: the other VMPL ran, and this one runs again."""

    info: int = _info(GhcbInfo.RUN_VMPL_RESPONSE)
    reserved_31_12: int = reserved(20)
    error: int = bits(32, "0 = it ran")


@structure("ghcb-msr-unregister-gpa-request", size=8, source=UNREGISTER_SOURCE)
class UnregisterGpaRequest(MsrWord):
    """Code 0x018: forget the vCPU's GHCB. Feature bit 8 announces it."""

    info: int = _info(GhcbInfo.UNREGISTER_GPA_REQUEST)
    reserved_63_12: int = reserved(52)


@structure("ghcb-msr-unregister-gpa-response", size=8, source=UNREGISTER_SOURCE)
class UnregisterGpaResponse(MsrWord):
    """Code 0x019: which page was registered."""

    info: int = _info(GhcbInfo.UNREGISTER_GPA_RESPONSE)
    frame: int = _frame("Guest frame number that was registered; all ones = none")


@structure("ghcb-msr-features-request", size=8, source=SOURCE)
class FeaturesRequest(MsrWord):
    """Code 0x080: which features does the host have. mushroom refuses data that is not 0."""

    info: int = _info(GhcbInfo.FEATURES_REQUEST)
    reserved_63_12: int = reserved(52)


@structure("ghcb-msr-features-response", size=8, source=SOURCE)
class FeaturesResponse(MsrWord):
    """Code 0x081: the feature bitmap; bit n of it is bit 12 + n of the word (see `features`)."""

    info: int = _info(GhcbInfo.FEATURES_RESPONSE)
    snp: bool = bit("SEV-SNP", spec="SEV_SNP")
    ap_creation: bool = bit("AP creation exit", spec="AP_CREATION")
    restricted_injection: bool = bit("Restricted injection", spec="RESTR_INJ")
    restricted_injection_timer: bool = bit("Restricted injection timer", spec="RESTR_INJ_TIMER")
    apic_id_list: bool = bit("APIC ID list exit", spec="APIC_ID_LIST")
    multi_vmpl: bool = bit("Several VMPLs per vCPU; run VMPL", spec="MULTI_VMPL")
    es_page_state_change: bool = bit("Page state change for SEV-ES", spec="ES_PAGE_STATE")
    sev_tio: bool = bit("SEV-TIO", spec="SEV_TIO")
    unregister_gpa: bool = bit("A GHCB can be unregistered", spec="UNREGISTER_GPA")
    extended_interrupts: bool = bit("Alternate injection", spec="EXT_INTERRUPTS")
    reserved_63_22: int = reserved(42)


@structure("ghcb-msr-termination-request", size=8, source="edk2 SevSnpMsr.h; zyuiop/ghcb src/msr")
class TerminationRequest(MsrWord):
    """Code 0x100: the guest cannot go on. There is no response."""

    info: int = _info(GhcbInfo.TERMINATION_REQUEST)
    reason_set: int = bits(4, "Who numbers the reasons", enum=ReasonSet)
    reason_code: int = bits(8, "Which reason of the set")
    reserved_63_24: int = reserved(40)

    def notes(self) -> Iterator[Note]:
        yield Note("reason_code", reason(self.reason_set, self.reason_code))
        if self.reason_set == ReasonSet.LINUX and self.reason_code in (1, 2):
            yield Note("reason_code", OVMF_TERMINATIONS.readings)


@structure("ghcb-msr-hyperv-hypercall", size=8, source=HYPERV_SOURCE)
class HypervHypercall(MsrWord):
    """Code 0xf00: special hypercall. Of Hyper-V only; the data are not described."""

    info: int = _info(GhcbInfo.HYPERV_HYPERCALL)
    data: int = _undescribed()


@structure("ghcb-msr-hyperv-fast-call", size=8, source=HYPERV_SOURCE)
class HypervFastCall(MsrWord):
    """Code 0xf01: fast call. Of Hyper-V only; the data are not described."""

    info: int = _info(GhcbInfo.HYPERV_FAST_CALL)
    data: int = _undescribed()


@structure("ghcb-msr-hyperv-output", size=8, source=HYPERV_SOURCE)
class HypervOutput(MsrWord):
    """Code 0xf02: output of a hypercall. Of Hyper-V only; the data are not described."""

    info: int = _info(GhcbInfo.HYPERV_OUTPUT)
    data: int = _undescribed()


@structure("ghcb-msr-hyperv-debug-print", size=8, source=HYPERV_SOURCE)
class HypervDebugPrint(MsrWord):
    """Code 0xf03: debug print. Of Hyper-V only; the data are not described."""

    info: int = _info(GhcbInfo.HYPERV_DEBUG_PRINT)
    data: int = _undescribed()


DECLARATIONS: dict[int, type[MsrWord]] = {
    word().info: word
    for word in tuple(vars().values())
    if isinstance(word, type) and issubclass(word, MsrWord) and word is not MsrWord
}
"""Which declaration reads a word, by its low 12 bits."""

RESPONSE_TO: dict[int, GhcbInfo] = {
    GhcbInfo.SEV_INFO_REQUEST: GhcbInfo.SEV_INFO_RESPONSE,
    GhcbInfo.CPUID_REQUEST: GhcbInfo.CPUID_RESPONSE,
    GhcbInfo.AP_RESET_HOLD_REQUEST: GhcbInfo.AP_RESET_HOLD_RESPONSE,
    GhcbInfo.PREFERRED_GPA_REQUEST: GhcbInfo.PREFERRED_GPA_RESPONSE,
    GhcbInfo.REGISTER_GPA_REQUEST: GhcbInfo.REGISTER_GPA_RESPONSE,
    GhcbInfo.PAGE_STATE_REQUEST: GhcbInfo.PAGE_STATE_RESPONSE,
    GhcbInfo.RUN_VMPL_REQUEST: GhcbInfo.RUN_VMPL_RESPONSE,
    GhcbInfo.UNREGISTER_GPA_REQUEST: GhcbInfo.UNREGISTER_GPA_RESPONSE,
    GhcbInfo.FEATURES_REQUEST: GhcbInfo.FEATURES_RESPONSE,
}
"""Which response a request waits for. A termination gets none."""


def decode_msr(value: int) -> Bits:
    """The word `value` by the declaration of its code; `GhcbMsr` for a code that has none."""
    return DECLARATIONS.get(value & 0xFFF, GhcbMsr).of(value)
