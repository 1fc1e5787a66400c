"""Error codes of page faults: of the nested ones that a host sees, and of those in its own kernel.

Sources: OpenVMM vm/x86/x86defs/src/snp.rs (SevNpfInfo), Linux arch/x86/include/asm/kvm_host.h
(PFERR_*) and arch/x86/include/asm/trap_pf.h (X86_PF_*).
"""

from __future__ import annotations

from ..schema import Bits, bit, reserved, structure


@structure("npf-info", size=8, source="OpenVMM vm/x86/x86defs/src/snp.rs (SevNpfInfo)")
class NpfInfo(Bits):
    """EXITINFO1 of a nested page fault, exit 0x400: why the access failed."""

    present: bool = bit("The page is present: a right was missing", spec="P")
    write: bool = bit("A write", spec="W")
    user: bool = bit("An access of user mode, as all of a guest are", spec="U")
    reserved_bit: bool = bit("A reserved bit is set in a page table", spec="RSV")
    fetch: bool = bit("An instruction fetch", spec="F")
    reserved_5: int = reserved(1)
    shadow_stack: bool = bit("An access to the shadow stack", spec="SS")
    reserved_30_7: int = reserved(24)
    rmp: bool = bit("The RMP forbids the access", spec="RMP")
    guest_physical: bool = bit("At the final guest-physical address", spec="GPA")
    page_table: bool = bit("At a page table of the guest", spec="PT")
    encrypted: bool = bit("The guest's access was to private memory (C-bit 1)", spec="ENC")
    size_mismatch: bool = bit("Page sizes of PVALIDATE or RMPADJUST and RMP differ", spec="SIZEM")
    vmpl: bool = bit("The VMPL's permissions forbid the access", spec="VMPL")
    supervisor_shadow_stack: bool = bit("VMPL supervisor shadow stack", spec="SSS")
    reserved_62_38: int = reserved(25)
    not_restartable: bool = bit("The access cannot be repeated", spec="NotRestartable")


@structure("page-fault-error", size=8, source="Linux arch/x86/include/asm/trap_pf.h")
class PageFaultError(Bits):
    """Error code of #PF on a host or in a guest."""

    present: bool = bit("The page is present: a right was missing", spec="P")
    write: bool = bit("A write", spec="W")
    user: bool = bit("An access of user mode", spec="U")
    reserved_bit: bool = bit("A reserved bit is set in a page table", spec="RSV")
    fetch: bool = bit("An instruction fetch", spec="I")
    protection_key: bool = bit("A protection key forbids the access", spec="PK")
    shadow_stack: bool = bit("An access to the shadow stack", spec="SS")
    reserved_14_7: int = reserved(8)
    sgx: bool = bit("An SGX violation", spec="SGX")
    reserved_30_16: int = reserved(15)
    rmp: bool = bit("The RMP forbids the access: the page belongs to a guest", spec="RMP")
    reserved_63_32: int = reserved(32)
