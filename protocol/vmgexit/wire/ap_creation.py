"""AP creation, exit 0x80000013, the AP jump table, and the APIC ID list of exit 0x80000017.

Sources: COCONUT-SVSM kernel/src/sev/ghcb.rs, zyuiop/ghcb src/protocols/snp_ap_create.rs, edk2
UefiCpuPkg/Library/MpInitLib/X64/AmdSev.c, Linux arch/x86/include/uapi/asm/svm.h, KVM
arch/x86/kvm/svm/sev.c; the APIC ID list: edk2 MpInitLib and linux-svsm src/cpu/vc.rs.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum

from ..schema import Bits, Code, Note, Problem, Record, bits, raw, reserved, structure, u32

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


@structure("apic-id-list", size=4096, source="edk2 MdePkg/Include/Register/Amd/Ghcb.h")
class ApicIdListPage(Record):
    """First page of the APIC ID list: a count and 32-bit APIC IDs, up to 1023 in this page."""

    count: int = u32("How many APIC IDs follow, in this page and the next ones")
    apic_ids_data: bytes = raw(4092, "The APIC IDs, 32 bits each", spec="ApicIds")

    def apic_ids(self) -> list[int]:
        """The APIC IDs that stand in this page."""
        held = min(self.count, len(self.apic_ids_data) // 4)
        return [
            int.from_bytes(self.apic_ids_data[4 * index : 4 * index + 4], "little")
            for index in range(held)
        ]

    def notes(self) -> Iterator[Note]:
        listed = ", ".join(f"{number:#x}" for number in self.apic_ids())
        yield Note("apic_ids_data", listed or "no APIC ID")


def apic_id_list_pages(vcpus: int) -> int:
    """Pages that the list of `vcpus` APIC IDs needs. Source: KVM #HV preview (mail)."""
    return -(-(4 + 4 * vcpus) // 4096)
