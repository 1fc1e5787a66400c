"""What edk2's OVMF prints as the firmware of an SEV guest."""

from __future__ import annotations

from ...wire.exit_codes import ExitCode
from ..form import Form

FIRMWARE = (
    Form(
        "edk2",
        "MMIO using encrypted memory: {address:x}",
        "A #VC at private memory that looks like a device's register; the access gets #GP.",
        "edk2 OvmfPkg/Library/CcExitLib/CcExitVcHandler.c",
    ),
    Form(
        "edk2",
        "Failed to {page_action:s} address {address:#x} Error code {pvalidate_ret:d}",
        "PVALIDATE failed; the firmware asks to be ended.",
        "edk2 OvmfPkg/Library/AmdSvsmLib/AmdSvsmLib.c",
    ),
    Form(
        "edk2",
        "Address {address:#x} - {end_address:#x} State = {page_state:s} LargeEntry = {large:d}",
        "A page state change of the firmware.",
        "edk2 OvmfPkg/Library/BaseMemEncryptSevLib/X64/SnpPageStateChangeInternal.c",
        {"sw_exit_code": ExitCode.SNP_PAGE_STATE_CHANGE},
    ),
    Form(
        "edk2",
        "SEV-SNP: RMPADJUST failed for VMSA creation",
        "The page of an AP's VMSA could not be made a VMSA.",
        "edk2 UefiCpuPkg/Library/MpInitLib/X64/AmdSev.c",
    ),
    Form(
        "edk2",
        "SEV-SNP: RMPADJUST failed for VMSA reset",
        "The page of an AP's VMSA could not be made an ordinary one again.",
        "edk2 UefiCpuPkg/Library/MpInitLib/X64/AmdSev.c",
    ),
    Form(
        "edk2",
        "SEV-SNP: AP Destroy failed",
        "AP creation, exit 0x80000013 with operation 2, was refused.",
        "edk2 UefiCpuPkg/Library/MpInitLib/X64/AmdSev.c",
        {"sw_exit_code": ExitCode.SNP_AP_CREATION},
    ),
    Form(
        "edk2",
        "SEV is enabled (mask {c_bit_mask:#x})",
        "The C-bit, as a mask of page table entries.",
        "edk2 OvmfPkg/PlatformPei/AmdSev.c",
    ),
    Form(
        "edk2",
        "SEV-ES is enabled, {pages:d} GHCB pages allocated starting at {ghcb_gpa:#x}",
        "Where the firmware's GHCBs lie: of two pages a vCPU, the first.",
        "edk2 OvmfPkg/PlatformPei/AmdSev.c",
    ),
    Form(
        "edk2",
        "Exception Type - 1D(#VC - VMM Communication)  CPU Apic ID - {apic_id:08x}",
        "A #VC that the firmware could not handle; its error code follows as ExceptionData.",
        "edk2 UefiCpuPkg/Library/CpuExceptionHandlerLib/X64/ArchExceptionHandler.c",
        block="edk2 exception",
        heads=True,
    ),
    Form(
        "edk2",
        "ExceptionData - {exception_data:016x}",
        "The error code of the exception above.",
        "edk2 UefiCpuPkg/Library/CpuExceptionHandlerLib/X64/ArchExceptionHandler.c",
        block="edk2 exception",
    ),
)
