"""Why a guest gives up: the reason sets and codes of both termination requests.

The GHCB MSR form (code 0x100, in `ghcb_msr`) and exit 0x8000FFFE carry the same two numbers, at
different places. Set 0 is common to all; whoever writes guest code numbers a set of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum

from ..schema import Bits, Note, bits, members, reserved, structure


class ReasonSet(IntEnum):
    """Who numbers the reasons."""

    GENERAL = 0  # edk2 SevSnpMsr.h, mushroom, Oak, linux-svsm
    LINUX = 1  # Linux arch/x86/include/asm/sev-common.h
    LINUX_SVSM = 15  # linux-svsm src/globals.rs


class GeneralReason(IntEnum):
    """Set 0."""

    GENERAL_REQUEST = 0
    PROTOCOL_RANGE = 1  # no GHCB version in common
    SNP_FEATURES = 2  # an SNP feature that the guest does not support is active


class LinuxReason(IntEnum):
    """Set 1. Number 12 is from the secure AVIC patches. One more is proposed, ALT_INJ_FAIL."""

    REGISTER = 0
    PSC = 1
    PVALIDATE = 2
    NOT_VMPL0 = 3
    CPUID = 4
    CPUID_HV = 5
    SECRETS_PAGE = 6
    NO_SVSM = 7
    SVSM_VMPL0 = 8
    SVSM_CAA = 9
    SECURE_TSC = 10
    SVSM_CA_REMAP_FAIL = 11
    SAVIC_FAIL = 12


class LinuxSvsmReason(IntEnum):
    """Set 15."""

    GENERAL = 0
    ENOMEM = 1
    UNHANDLED_VC = 2
    PSC_ERROR = 3
    SET_PAGE_ERROR = 4
    NO_GHCB = 5
    GHCB_RESP_INVALID = 6
    FW_CFG_ERROR = 7
    BIOS_FORMAT = 8
    NOT_VMPL0 = 9
    VMPL0_SEV_FEATURES = 10
    INCORRECT_VMPL = 11
    VMPL1_SEV_FEATURES = 12


REASONS: dict[int, type[IntEnum]] = {
    ReasonSet.GENERAL: GeneralReason,
    ReasonSet.LINUX: LinuxReason,
    ReasonSet.LINUX_SVSM: LinuxSvsmReason,
}
"""The codes of each set."""


def reason(reason_set: int, code: int) -> str:
    """The name of a reason, or that it has none."""
    codes = REASONS.get(reason_set)
    member = None if codes is None else members(codes).get(code)
    if member is None:
        return f"set {int(reason_set)}, code {code}: not known"
    return f"{ReasonSet(reason_set).name} {member.name}"


@structure("termination-info", size=8, source="Linux arch/x86/include/uapi/asm/svm.h")
class TerminationInfo(Bits):
    """SW_EXITINFO1 of exit 0x8000FFFE. SW_EXITINFO2 may hold details, as Linux's SNP feature bits."""

    reason_set: int = bits(4, "Who numbers the reasons", enum=ReasonSet)
    reason_code: int = bits(8, "Why")
    reserved_63_12: int = reserved(52)

    def notes(self) -> Iterator[Note]:
        yield Note("reason_code", reason(self.reason_set, self.reason_code))
