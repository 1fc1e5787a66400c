"""AP creation, exit 0x80000013, the AP jump table, and the APIC ID list of exit 0x80000017.

Sources: COCONUT-SVSM kernel/src/sev/ghcb.rs, zyuiop/ghcb src/protocols/snp_ap_create.rs, edk2
UefiCpuPkg/Library/MpInitLib/X64/AmdSev.c, Linux arch/x86/include/uapi/asm/svm.h, KVM
arch/x86/kvm/svm/sev.c; the APIC ID list: edk2 MpInitLib and linux-svsm src/cpu/vc.rs.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum

from ..schema import (
    Bits,
    Code,
    Note,
    Problem,
    Whole,
    bits,
    list_of,
    reserved,
    rest,
    structure,
    u32,
)

SOURCE = "COCONUT-SVSM kernel/src/sev/ghcb.rs; zyuiop/ghcb src/protocols/snp_ap_create.rs"


class ApOperation(Code):
    """What is to happen to the vCPU."""

    CREATE_ON_INIT = 0, "start at the next INIT; not with restricted injection"
    CREATE = 1, "start now"
    DESTROY = 2, "stop, and give the VMSA back"


@structure("ap-creation", size=8, source=SOURCE)
class ApCreation(Bits):
    """SW_EXITINFO1 of AP creation. SW_EXITINFO2 is the VMSA's address, RAX its SEV_FEATURES."""

    operation: int = bits(16, "What is to happen", enum=ApOperation)
    vmpl: int = bits(4, "VMPL that the VMSA is for", spec="VMPL")
    reserved_31_20: int = reserved(12)
    apic_id: int = bits(32, "APIC ID of the vCPU", spec="APIC_ID")

    def broken(self) -> Iterator[Problem]:
        if self.vmpl > 3:
            yield Problem("vmpl", self.vmpl, "there are VMPL 0 to 3", "")

    def notes(self) -> Iterator[Note]:
        if self.operation == ApOperation.CREATE_ON_INIT:
            text = "not allowed with restricted injection (zyuiop/ghcb snp_ap_create.rs)"
            yield Note("operation", text)


class JumpTableOperation(IntEnum):
    """SW_EXITINFO1 of exit 0x80000005."""

    SET = 0
    GET = 1


@structure("ap-jump-table-info", size=8, source="Linux arch/x86/include/uapi/asm/svm.h")
class ApJumpTableInfo(Bits):
    """SW_EXITINFO1 of the AP jump table exit. KVM answers anything else with error 5."""

    operation: int = bits(64, "Set the address, or get it", enum=JumpTableOperation)


@structure("apic-id-list-entry", size=4, source="edk2 MdePkg/Include/Register/Amd/Ghcb.h")
class ApicIdListEntry(Bits):
    """One vCPU of the APIC ID list."""

    apic_id: int = bits(32, "APIC ID", spec="APIC_ID")


@structure("apic-id-list", source="edk2 MdePkg/Include/Register/Amd/Ghcb.h")
class ApicIdList(Whole):
    """APIC ID list: a count and 32-bit APIC IDs, in as many pages as they need."""

    count: int = u32("How many APIC IDs follow")
    entries: list[ApicIdListEntry] = list_of(ApicIdListEntry, "The vCPUs", count="count")
    rest: bytes = rest("What follows the list in its last page")

    def apic_ids(self) -> list[int]:
        """The APIC IDs that are in the list."""
        return [entry.apic_id for entry in self.entries]

    def notes(self) -> Iterator[Note]:
        listed = ", ".join(f"{number:#x}" for number in self.apic_ids())
        yield Note("entries", listed or "no APIC ID")


def apic_id_list_pages(vcpus: int) -> int:
    """Pages that the list of `vcpus` APIC IDs needs. Source: KVM #HV preview (mail)."""
    return -(-(4 + 4 * vcpus) // 4096)
