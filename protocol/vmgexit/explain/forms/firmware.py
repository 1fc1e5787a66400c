"""What edk2's OVMF prints as the firmware of an SEV guest."""

from __future__ import annotations

from ...wire.exit_codes import ExitCode
from ..form import Form, Values


def _edk2(
    text: str, says: str, file: str, *, block: str = "", heads: bool = False, **implied: int
) -> Form:
    words: Values = dict(implied)
    return Form("edk2", text, says, f"edk2 {file}", words, block=block, heads=heads)


FIRMWARE = (
    _edk2(
        "MMIO using encrypted memory: {address:x}",
        "A #VC at private memory that looks like a device's register; the access gets #GP.",
        "OvmfPkg/Library/CcExitLib/CcExitVcHandler.c",
    ),
    _edk2(
        "Failed to {page_action:s} address {address:#x} Error code {pvalidate_ret:d}",
        "PVALIDATE failed; the firmware asks to be ended.",
        "OvmfPkg/Library/AmdSvsmLib/AmdSvsmLib.c",
    ),
    _edk2(
        "Address {address:#x} - {end_address:#x} State = {page_state:s} LargeEntry = {large:d}",
        "A page state change of the firmware.",
        "OvmfPkg/Library/BaseMemEncryptSevLib/X64/SnpPageStateChangeInternal.c",
        sw_exit_code=ExitCode.SNP_PAGE_STATE_CHANGE,
    ),
    _edk2(
        "SEV-SNP: RMPADJUST failed for VMSA creation",
        "The page of an AP's VMSA could not be made a VMSA.",
        "UefiCpuPkg/Library/MpInitLib/X64/AmdSev.c",
    ),
    _edk2(
        "SEV-SNP: RMPADJUST failed for VMSA reset",
        "The page of an AP's VMSA could not be made an ordinary one again.",
        "UefiCpuPkg/Library/MpInitLib/X64/AmdSev.c",
    ),
    _edk2(
        "SEV-SNP: AP Destroy failed",
        "AP creation, exit 0x80000013 with operation 2, was refused.",
        "UefiCpuPkg/Library/MpInitLib/X64/AmdSev.c",
        sw_exit_code=ExitCode.SNP_AP_CREATION,
    ),
    _edk2(
        "SEV is enabled (mask {c_bit_mask:#x})",
        "The C-bit, as a mask of page table entries.",
        "OvmfPkg/PlatformPei/AmdSev.c",
    ),
    _edk2(
        "SEV-ES is enabled, {pages:d} GHCB pages allocated starting at {ghcb_gpa:#x}",
        "Where the firmware's GHCBs lie: of two pages a vCPU, the first.",
        "OvmfPkg/PlatformPei/AmdSev.c",
    ),
    _edk2(
        "Exception Type - 1D(#VC - VMM Communication)  CPU Apic ID - {apic_id:08x}",
        "A #VC that the firmware could not handle; its error code follows as ExceptionData.",
        "UefiCpuPkg/Library/CpuExceptionHandlerLib/X64/ArchExceptionHandler.c",
        block="edk2 exception",
        heads=True,
    ),
    _edk2(
        "ExceptionData - {exception_data:016x}",
        "The error code of the exception above.",
        "UefiCpuPkg/Library/CpuExceptionHandlerLib/X64/ArchExceptionHandler.c",
        block="edk2 exception",
    ),
)
