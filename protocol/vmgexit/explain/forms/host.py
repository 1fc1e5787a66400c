"""What a Linux host logs of the RMP, of faults by it, and of the SEV firmware."""

from __future__ import annotations

from ..form import Form

_RMP = "Linux arch/x86/virt/svm/sev.c"
_EARLY = "Linux arch/x86/kernel/sev.c"  # of AMDESE/linux and of the patches of 2021 to 2023
_CCP = "Linux drivers/crypto/ccp/sev-dev.c"
_IOMMU = "Linux drivers/iommu/amd/iommu.c"
_IOMMU_INIT = "Linux drivers/iommu/amd/init.c"

HOST = (
    Form(
        "Linux host",
        "RMPUPDATE failed for PFN {pfn:x}, pg_level: {rmp_level:d}, ret: {rmpupdate_ret:d}",
        "The host could not change the RMP.",
        f"{_RMP} rmpupdate",
    ),
    Form(
        "Linux host",
        "RMPUPDATE failed for PFN {pfn:x}, ret: {rmpupdate_ret:d}",
        "The host could not change the RMP.",
        f"{_RMP} rmpupdate, before the level was printed",
    ),
    Form(
        "Linux host",
        "rmpupdate failed, ret: {rmpupdate_ret:d}, pfn: {pfn:x}, npages: {pages:d}, level: {rmp_level:d},"
        " retrying",
        "The host could not change the RMP, and tries again.",
        f"{_EARLY} rmpupdate",
    ),
    Form(
        "Linux host",
        "RMPUPDATE failed, ret: {rmpupdate_ret:d}, pfn: {pfn:x}, npages: {pages:d}, level: {rmp_level:d},"
        " retrying",
        "The host could not change the RMP, and tries again.",
        f"{_EARLY} rmpupdate",
    ),
    Form(
        "Linux host",
        "RMPEntry paddr {spa:#x} [assigned={rmp_assigned:d} immutable={rmp_immutable:d}"
        " pagesize={page_size:d} gpa={rmp_gpa:#x} asid={asid:d} vmsa={rmp_vmsa:d}"
        " validated={rmp_validated:d}]",
        "The RMP's entry for a page, beside a fault.",
        f"{_EARLY} dump_rmpentry",
    ),
    Form(
        "Linux host",
        "PFN {pfn:#x}, RMP entry: [{rmp_entry:#x} - {rmp_entry_high:#x}]",
        "The RMP's entry for a page, beside a fault or a failed RMPUPDATE.",
        f"{_RMP} dump_rmpentry",
    ),
    Form(
        "Linux host",
        "PFN: {pfn:#x}, [{rmp_entry:#x} - {rmp_entry_high:#x}]",
        "An entry of the RMP that is not zero, in the 2 MiB around a page that is not assigned.",
        f"{_RMP} dump_rmpentry",
    ),
    Form(
        "Linux host",
        "PFN {pfn:#x} unassigned, dumping non-zero entries in 2M PFN region:"
        " [{first_pfn:#x} - {last_pfn:#x}]",
        "The page belongs to no guest; its neighbours' entries follow.",
        f"{_RMP} dump_rmpentry",
    ),
    Form(
        "Linux host",
        "Failed to read RMP entry for PFN {pfn:#x}, error {error:d}",
        "The RMP has no entry for the page.",
        f"{_RMP} dump_rmpentry",
    ),
    Form(
        "Linux host",
        "Failed to split direct map for PFN {pfn:#x}, ret: {error:d}",
        "The host's own mapping of a page could not be split, so the page cannot become private.",
        f"{_RMP} adjust_direct_map",
    ),
    Form(
        "Linux host",
        "RMP table physical range [{rmp_base:#x} - {rmp_end:#x}]",
        "Where the RMP lies, as the BIOS reserved it.",
        f"{_RMP} snp_probe_rmptable_info",
    ),
    *(
        Form(
            "Linux host",
            f"RMP table physical address {brackets}",
            "Where the RMP lies, as the BIOS reserved it.",
            f"{_EARLY} snp_rmptable_init",
        )
        for brackets in ("[{rmp_base:#x} - {rmp_end:#x}]", "{rmp_base:#x} - {rmp_end:#x}")
    ),
    Form(
        "Linux host",
        "Memory reserved for the RMP table does not cover full system RAM"
        " (expected {expected_size:#x} got {size:#x})",
        "SEV-SNP stays off: the RMP is too small for this much memory.",
        f"{_RMP} snp_rmptable_init",
    ),
    Form(
        "Linux host",
        "#PF: error_code({page_fault_error:#x}) - RMP violation",
        "The kernel wrote to a page that the RMP gives to a guest or to the firmware.",
        "Linux arch/x86/mm/fault.c show_fault_oops",
    ),
    Form(
        "Linux host",
        "Event logged [RMP_PAGE_FAULT vmg_tag={vmg_tag:#x}, gpa={gpa:#x}, flags_rmp={flags_rmp:#x},"
        " flags={iommu_flags:#x}]",
        "A device's access was refused by the RMP.",
        f"{_IOMMU} amd_iommu_report_rmp_fault",
    ),
    Form(
        "Linux host",
        "Event logged [RMP_HW_ERROR vmg_tag={vmg_tag:#x}, spa={spa:#x}, flags={iommu_flags:#x}]",
        "The IOMMU could not check a device's access against the RMP.",
        f"{_IOMMU} amd_iommu_report_rmp_hw_error",
    ),
    Form(
        "Linux host",
        "sev command {firmware_command:#x} failed ({fw_error:#x})",
        "The SEV firmware refused a command of the host.",
        f"{_CCP} __sev_do_cmd_locked",
    ),
    Form(
        "Linux host",
        "SEV-SNP: failed to INIT rc {error:d}, error {fw_error:#x}",
        "The SEV firmware could not be set up for SEV-SNP.",
        f"{_CCP} __sev_snp_init_locked",
    ),
    Form(
        "Linux host",
        "SEV-SNP: failed to INIT error {fw_error:#x}",
        "The SEV firmware could not be set up for SEV-SNP.",
        f"{_CCP} sev_pci_init, before the kernel's error was printed",
    ),
    Form(
        "Linux host",
        "Memory for the RMP table has not been reserved by BIOS",
        "SEV-SNP cannot be used: the BIOS has it off, or reserved no memory for the RMP.",
        f"{_RMP} probe_contiguous_rmptable_info",
    ),
    Form(
        "Linux host",
        "RMP configuration not valid: base={rmp_base:#x}, end={rmp_end:#x}",
        "SEV-SNP cannot be used: the BIOS gave a range that is none.",
        f"{_RMP} probe_contiguous_rmptable_info",
    ),
    Form(
        "Linux host",
        "IOMMU SNP support enabled.",
        "The IOMMU checks the RMP: SEV-SNP guests can run.",
        f"{_IOMMU_INIT} iommu_snp_enable",
    ),
    Form(
        "Linux host",
        "SNP: IOMMU SNP feature not enabled, SNP cannot be supported.",
        "SEV-SNP cannot be used: the IOMMU does not check the RMP.",
        f"{_IOMMU_INIT} iommu_snp_enable",
    ),
    Form(
        "Linux host",
        "SEV-SNP API:{api_major:d}.{api_minor:d} build:{api_build:d}",
        "The firmware is initialized for SEV-SNP.",
        f"{_CCP} __sev_snp_init_locked",
    ),
    Form(
        "Linux host",
        "SEV API:{api_major:d}.{api_minor:d} build:{api_build:d}",
        "The firmware is initialized for SEV and SEV-ES.",
        f"{_CCP} __sev_platform_init_locked",
    ),
    Form(
        "Linux host",
        "sev command {firmware_command:#x} timed out, disabling PSP",
        "The firmware did not answer; the host asks it nothing any more.",
        f"{_CCP} __sev_do_cmd_locked",
    ),
    Form(
        "Linux host",
        "SEV: failed to INIT error {fw_error:#x}, rc {error:d}",
        "The firmware could not be initialized.",
        f"{_CCP} sev_pci_init",
    ),
    Form(
        "Linux host",
        "SEV: failed to INIT error {fw_error:#x}",
        "The firmware could not be initialized.",
        f"{_CCP} sev_pci_init, before the kernel's error was printed",
    ),
    *(
        Form(
            "KVM",
            f"{kind} {{guest_support:s}} (ASIDs {{first_asid:d}} - {{last_asid:d}})",
            f"Whether the host runs guests with {kind}.",
            "Linux arch/x86/kvm/svm/sev.c sev_hardware_setup",
        )
        for kind in ("SEV", "SEV-ES", "SEV-SNP")
    ),
)
