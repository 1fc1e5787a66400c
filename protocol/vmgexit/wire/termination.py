"""Why a guest gives up: the reason sets and codes of both termination requests.

The GHCB MSR form (code 0x100, in `ghcb_msr`) and exit 0x8000FFFE carry the same two numbers, at
different places. Set 0 is common to all; the author of guest code numbers a set of its own.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..schema import Bits, Code, Note, bits, named, reserved, structure


class ReasonSet(Code):
    """Who numbers the reasons."""

    GENERAL = 0, "common to all guests"  # edk2 SevSnpMsr.h, mushroom, Oak, linux-svsm
    LINUX = 1, "Linux"  # Linux arch/x86/include/asm/sev-common.h
    LINUX_SVSM = 15, "linux-svsm"  # linux-svsm src/globals.rs


class GeneralReason(Code):
    """Set 0."""

    GENERAL_REQUEST = 0, "no reason given (Linux GHCB_SEV_ES_GEN_REQ)"
    PROTOCOL_RANGE = 1, "guest and host have no GHCB version in common"
    SNP_FEATURES = (
        2,
        "the guest cannot run as an SNP guest: the host lacks what it needs, or SEV_FEATURES has a bit"
        " that it does not support (Linux GHCB_SNP_UNSUPPORTED)",
    )


class LinuxReason(Code):
    """Set 1. Number 12 is from the secure AVIC patches. One more is proposed, ALT_INJ_FAIL."""

    REGISTER = 0, "registering the GHCB failed"
    PSC = 1, "a page state change failed"
    PVALIDATE = 2, "PVALIDATE failed"
    NOT_VMPL0 = 3, "the guest runs below VMPL 0 without an SVSM"
    CPUID = 4, "the CPUID page does not hold"
    CPUID_HV = 5, "the host did not answer for CPUID"
    SECRETS_PAGE = 6, "the secrets page cannot be used"
    NO_SVSM = 7, "below VMPL 0, and the secrets page names no SVSM"
    SVSM_VMPL0 = 8, "there is an SVSM, and it says that the guest runs at VMPL 0"
    SVSM_CAA = 9, "the SVSM's calling area is not page aligned"
    SECURE_TSC = 10, "secure TSC could not be set up"
    SVSM_CA_REMAP_FAIL = 11, "the SVSM did not move the calling area"
    SAVIC_FAIL = 12, "secure AVIC could not be set up"


class LinuxSvsmReason(Code):
    """Set 15."""

    GENERAL = 0, "no reason given"
    ENOMEM = 1, "the SVSM is out of memory"
    UNHANDLED_VC = 2, "a #VC that the SVSM does not handle"
    PSC_ERROR = 3, "a page state change failed"
    SET_PAGE_ERROR = 4, "page tables could not be changed"
    NO_GHCB = 5, "there is no GHCB"
    GHCB_RESP_INVALID = 6, "the host's answer is not valid"
    FW_CFG_ERROR = 7, "fw_cfg could not be read"
    BIOS_FORMAT = 8, "the firmware image is not as expected"
    NOT_VMPL0 = 9, "the SVSM does not run at VMPL 0"
    VMPL0_SEV_FEATURES = 10, "SEV_FEATURES of VMPL 0 are not as expected"
    INCORRECT_VMPL = 11, "a VMSA has the wrong VMPL"
    VMPL1_SEV_FEATURES = 12, "SEV_FEATURES of VMPL 1 are not as expected"


REASONS: dict[int, type[Code]] = {
    ReasonSet.GENERAL: GeneralReason,
    ReasonSet.LINUX: LinuxReason,
    ReasonSet.LINUX_SVSM: LinuxSvsmReason,
}
"""The codes of each set."""


def find_reason(reason_set: int, code: int) -> Code | None:
    """The reason with this number in its set, or None where it has no name."""
    codes = REASONS.get(reason_set)
    found = None if codes is None else named(code, codes)
    return found if isinstance(found, Code) else None


def reason(reason_set: int, code: int) -> str:
    """The name of a reason, or that it has none."""
    found = find_reason(reason_set, code)
    if found is None:
        return f"set {int(reason_set)}, code {code}: not known"
    return f"{ReasonSet(reason_set).name} {found.name}"


@structure("termination-info", size=8, source="Linux arch/x86/include/uapi/asm/svm.h")
class TerminationInfo(Bits):
    """SW_EXITINFO1 of exit 0x8000FFFE. SW_EXITINFO2 may hold details, as Linux's SNP feature bits."""

    reason_set: int = bits(4, "Who numbers the reasons", enum=ReasonSet)
    reason_code: int = bits(8, "Which reason of the set")
    reserved_63_12: int = reserved(52)

    def notes(self) -> Iterator[Note]:
        yield Note("reason_code", reason(self.reason_set, self.reason_code))
