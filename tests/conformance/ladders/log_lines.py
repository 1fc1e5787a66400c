"""Lines as hosts print them, and what their words must be read as.

Each line is a form's text with values filled in; the readings are written by hand, from the tables of
the sources that the form names. A number is the value of a word that is not read further. What guests,
SVSMs, firmware and monitors print is in `guest_lines`.
"""

from __future__ import annotations

Row = tuple[str, dict[str, int | str]]

SNP = "SNPActive (SEV-SNP)"
BTB = "SNPBTBIsolation (Branch target buffer is isolated)"
PSC = "SNP_PAGE_STATE_CHANGE (make pages private or shared)"

KVM: list[Row] = [
    (
        "[  101.5] kvm_amd: SEV-ES guest requested termination: 0x0:0x1",
        {
            "reason_set": "GENERAL (common to all guests)",
            "reason_code": "PROTOCOL_RANGE (guest and host have no GHCB version in common)",
        },
    ),
    (
        "kvm_amd: SEV-ES guest requested termination: 0x0:0x0",
        {
            "reason_set": "GENERAL (common to all guests)",
            "reason_code": "GENERAL_REQUEST (no reason given (Linux GHCB_SEV_ES_GEN_REQ))",
        },
    ),
    (
        "SEV-ES guest requested termination: 0x1:0x0",
        {
            "reason_set": "LINUX (Linux)",
            "reason_code": "REGISTER (registering the GHCB failed)",
        },
    ),
    (
        "SEV-ES guest requested termination: 0xf:0x1",
        {
            "reason_set": "LINUX_SVSM (linux-svsm)",
            "reason_code": "ENOMEM (the SVSM is out of memory)",
        },
    ),
    (
        "SEV-ES guest requested termination: 0x7:0x2",
        {
            "reason_set": "0x7, which has no name",
            "reason_code": "no reason that is known in this set",
        },
    ),
    (
        "kvm_amd: SEV-ES guest requested termination: reason 0x21 info 0x0",
        {
            "term_info": "ReasonSet = LINUX (Linux), ReasonCode = 0x2 (Which reason of the set)",
            "exit_info_2": 0,
        },
    ),
    ("kvm [4242]: vcpu0, guest rIP: 0x0 vmgexit: ghcb usage 0x1 is not valid", {"ghcb_usage": 1}),
    (
        "kvm_amd: kvm [4242]: vcpu1, guest rIP: 0x0 vmgexit: exit code 0x8000001f is not valid",
        {"exit_code": "no exit that is known"},
    ),
    (
        "vmgexit: exit code 0x80000018 is not valid",
        {"exit_code": "SNP_RUN_VMPL (run this vCPU at another VMPL; as GHCB MSR request 0x016)"},
    ),
    (
        "kvm [7]: vcpu0, guest rIP: 0x0 vmgexit: exit code 0x72 input is not valid",
        {"exit_code": "CPUID (CPUID of a function and sub-leaf)"},
    ),
    ("kvm_amd: vmgexit: scratch gpa not provided", {}),
    (
        "vmgexit: scratch length (0x1000) not valid for scratch address (0xfffffffffffff800)",
        {"length": 0x1000, "scratch_gpa": 0xFFFFFFFFFFFFF800},
    ),
    (
        "vmgexit: scratch area is outside of GHCB shared buffer area (0x5ff0 - 0x6008)",
        {"scratch_gpa": 0x5FF0, "scratch_end": 0x6008},
    ),
    (
        "vmgexit: scratch area exceeds KVM limits (0x20000 requested, 0x10000 limit)",
        {"length": 0x20000, "scratch_limit": 0x10000},
    ),
    ("vmgexit: kvm_read_guest for scratch area failed", {}),
    ("kvm [7]: vcpu0, guest rIP: 0x0 vmgexit: GHCB gpa is not set", {}),
    ("vmgexit: error mapping GHCB [0x7f000] from guest", {"ghcb_gpa": 0x7F000}),
    ("vmgexit: GHCB GPA [0x5000] is not registered.", {"ghcb_gpa": 0x5000}),
    (
        "svm: vmgexit: unsupported AP jump table request - exit_info_1=0x2",
        {"exit_info_1": "Operation = 0x2, which has no name"},
    ),
    (
        "vmgexit: unsupported event - exit_info_1=0x404, exit_info_2=0x0",
        {
            "vc_error": "PAGE_NOT_VALIDATED (access to a page that is not validated;"
            " processor to guest, error code of #VC)",
            "exit_info_2": "details",
        },
    ),
    ("vmgexit: invalid AP APIC ID [0x40] from guest", {"apic_id": 0x40}),
    (
        "vmgexit: mismatched AP sev_features [0x81] != [0x1] from guest",
        {"sev_features": f"{SNP}, {BTB}", "vm_sev_features": SNP},
    ),
    ("vmgexit: invalid AP VMSA address [0x5008] from guest", {"vmsa_gpa": 0x5008}),
    (
        "vmgexit: AP VMSA address [200000] from guest is unsafe as it is 2M aligned",
        {"vmsa_gpa": 0x200000},
    ),
    (
        "vmgexit: invalid AP creation request [0x20001] from guest",
        {"ap_request": "0x20001, which has no name"},
    ),
    ("SEV: Unexpected RMP fault for non-private GPA 0x80d000", {"gpa": 0x80D000}),
    ("SEV: Unexpected RMP fault, non-private slot for GPA 0xfee00000", {"gpa": 0xFEE00000}),
    ("SEV: Unexpected RMP fault, no backing page for private GPA 0x1000", {"gpa": 0x1000}),
    (
        "SEV: Unexpected RMP fault, no assigned RMP entry found for GPA 0x1000 PFN 0x566 error -19",
        {"gpa": 0x1000, "pfn": 0x566, "error": "ENODEV"},
    ),
    (
        "SEV: Unable to split RMP entry for GPA 0x200000 PFN 0x56600 ret 3",
        {"psmash_ret": "FAIL_INUSE (another processor works on the entry)"},
    ),
    (
        "SEV: Failed to PSMASH RMP entry for PFN 0x56600 error 1",
        {"psmash_ret": "FAIL_INPUT (an operand is not valid)"},
    ),
    ("SEV: Failed to update RMP entry for PFN 0x56600 error -14", {"error": "EFAULT"}),
    (
        "SEV: Failed to look up RMP entry: GFN 80d PFN 5660d error -19",
        {"gfn": 0x80D, "pfn": 0x5660D, "error": "ENODEV"},
    ),
    (
        "SEV: Failed to update RMP entry: GFN 80d PFN 5660d level 1 error -14",
        {"gfn": 0x80D, "rmp_level": "4 KiB", "error": "EFAULT"},
    ),
    (
        "SEV: Failed to retrieve RMP entry: PFN 0x56600 GFN start 0x800 GFN end 0xa00 RMP level 2"
        " error -19",
        {"gfn": 0x800, "gfn_end": 0xA00, "rmp_level": "2 MiB"},
    ),
    (
        "kvm_amd: kvm [7]: vcpu0, guest rIP: 0x0 svm: unexpected exit reason 0x6e",
        {"exit_code": "RDTSC (read the time stamp counter)"},
    ),
]

HOST: list[Row] = [
    (
        "SEV-SNP: RMPUPDATE failed for PFN 5660d, pg_level: 1, ret: 4",
        {
            "pfn": 0x5660D,
            "rmp_level": "4 KiB",
            "rmpupdate_ret": "FAIL_OVERLAP (4 KiB and 2 MiB entries would overlap)",
        },
    ),
    (
        "SEV-SNP: RMPUPDATE failed for PFN 5660d, ret: 2",
        {"rmpupdate_ret": "FAIL_PERMISSION (the entry may not be changed)"},
    ),
    # Seen in the field beside a fault at a VMSA: lkml, 2026-02-25, CVE-2026-31591.
    (
        "SEV-SNP: PFN 0x40fdf36, RMP entry: [0x6010fffffffff001 - 0x000000000000001f]",
        {
            "rmp_entry": "Assigned (The page belongs to a guest or to the firmware),"
            " GPA = 0xfffffffff (Guest frame number), ASID = 0x2 (ASID of the guest; 0 = the firmware),"
            " VMSA (The page is a VMSA), Validated (The guest has validated the page)",
            "rmp_entry_high": 0x1F,
        },
    ),
    (
        "SEV-SNP: PFN: 0x5660e, [0x0000000000000003 - 0x0000000000000000]",
        {
            "rmp_entry": "Assigned (The page belongs to a guest or to the firmware),"
            " PageSize (Size: 0 = 4 KiB, 1 = 2 MiB)"
        },
    ),
    (
        "SEV-SNP: PFN 0x5660d unassigned, dumping non-zero entries in 2M PFN region:"
        " [0x56600 - 0x56800]",
        {"first_pfn": 0x56600, "last_pfn": 0x56800},
    ),
    ("SEV-SNP: Failed to read RMP entry for PFN 0x5660d, error -19", {"error": "ENODEV"}),
    ("SEV-SNP: Failed to split direct map for PFN 0x5660d, ret: -12", {"error": "ENOMEM"}),
    # AMDESE/AMDSEV issues 143, 109, 159 and 97; enarx issue 1315
    (
        "[ 1187.437064] SEV-SNP: rmpupdate failed, ret: 4, pfn: 37d4fe8, npages: 1, level: 1,"
        " retrying (max: 96)...",
        {
            "rmpupdate_ret": "FAIL_OVERLAP (4 KiB and 2 MiB entries would overlap)",
            "pfn": 0x37D4FE8,
            "pages": 1,
            "rmp_level": "4 KiB",
        },
    ),
    (
        "SEV-SNP: RMPUPDATE failed, ret: 1, pfn: 12345, npages: 512, level: 2, retrying (max: 2)...",
        {"rmpupdate_ret": "FAIL_INPUT (an operand is not valid)", "rmp_level": "2 MiB"},
    ),
    (
        "[ +0.000003] SEV-SNP: RMPEntry paddr 0x1001ea000 [assigned=1 immutable=1 pagesize=0"
        " gpa=0x2000000001 asid=0 vmsa=0 validated=0]",
        {
            "spa": 0x1001EA000,
            "rmp_assigned": "yes",
            "rmp_immutable": "yes",
            "page_size": "4 KiB",
            "rmp_gpa": 0x2000000001,
            "asid": 0,
            "rmp_vmsa": "no",
            "rmp_validated": "no",
        },
    ),
    (
        "SEV-SNP: RMP table physical address [0x0000000035e00000 - 0x00000000566fffff]",
        {"rmp_base": 0x35E00000, "rmp_end": 0x566FFFFF},
    ),
    (
        "SEV-SNP: RMP table physical address 0x000001fe4f500000 - 0x000002004fafffff",
        {"rmp_base": 0x1FE4F500000, "rmp_end": 0x2004FAFFFFF},
    ),
    (
        "[   14.150879] ccp 0000:49:00.1: SEV: failed to INIT error 0x13",
        {"fw_error": "HARDWARE_ERROR_PLATFORM (a hardware error; the platform is safe)"},
    ),
    (
        "SEV-SNP: RMP table physical range [0x0000000035600000 - 0x0000000075bfffff]",
        {"rmp_base": 0x35600000, "rmp_end": 0x75BFFFFF},
    ),
    (
        "SEV-SNP: Memory reserved for the RMP table does not cover full system RAM"
        " (expected 0x40600000 got 0x10600000)",
        {"expected_size": 0x40600000, "size": 0x10600000},
    ),
    # Seen in the field: the same report.
    (
        "#PF: error_code(0x80000003) - RMP violation",
        {
            "page_fault_error": "P (The page is present: a right was missing), W (A write),"
            " RMP (The RMP forbids the access: the page belongs to a guest)"
        },
    ),
    (
        "vfio-pci 0000:41:00.0: AMD-Vi: Event logged [RMP_PAGE_FAULT vmg_tag=0x0001, gpa=0x7f000,"
        " flags_rmp=0x0002, flags=0x0030]",
        {"vmg_tag": 1, "gpa": 0x7F000, "flags_rmp": 2, "iommu_flags": 0x30},
    ),
    (
        "vfio-pci 0000:41:00.0: AMD-Vi: Event logged [RMP_HW_ERROR vmg_tag=0x0001, spa=0x7f000,"
        " flags=0x0010]",
        {"vmg_tag": 1, "spa": 0x7F000, "iommu_flags": 0x10},
    ),
    (
        "ccp 0000:46:00.1: sev command 0xa0 failed (0x0000001c)",
        {
            "firmware_command": 0xA0,
            "fw_error": "INVALID_PAGE_OWNER (the page belongs to another guest)",
        },
    ),
    # Seen in the field, in a guide to hosts.
    (
        "ccp 0000:46:00.1: SEV-SNP: failed to INIT rc -5, error 0x14",
        {
            "error": "EIO",
            "fw_error": "HARDWARE_ERROR_UNSAFE (a hardware error; the platform is not safe)",
        },
    ),
    (
        "ccp 0000:46:00.1: SEV-SNP: failed to INIT error 0x3",
        {"fw_error": "INVALID_CONFIG (the platform's configuration does not allow it)"},
    ),
    ("SEV-SNP: Memory for the RMP table has not been reserved by BIOS", {}),
    (
        "SEV-SNP: RMP configuration not valid: base=0x2000, end=0x1fff",
        {"rmp_base": 0x2000, "rmp_end": 0x1FFF},
    ),
    ("AMD-Vi: IOMMU SNP support enabled.", {}),
    ("AMD-Vi: SNP: IOMMU SNP feature not enabled, SNP cannot be supported.", {}),
    (
        "ccp 0000:45:00.1: SEV-SNP API:1.55 build:24",
        {"api_major": 1, "api_minor": 55, "api_build": 24},
    ),
    ("ccp 0000:45:00.1: SEV API:1.55 build:8", {"api_major": 1, "api_minor": 55, "api_build": 8}),
    (
        "ccp 0000:45:00.1: sev command 0x93 timed out, disabling PSP",
        {"firmware_command": "SNP_GCTX_CREATE (make the context page of a guest)"},
    ),
    (
        "ccp 0000:45:00.1: SEV: failed to INIT error 0x15, rc -5",
        {"fw_error": "UNSUPPORTED (the feature is not supported)", "error": "EIO"},
    ),
    (
        "kvm_amd: SEV enabled (ASIDs 100 - 1006)",
        {"guest_support": "enabled", "first_asid": 100, "last_asid": 1006},
    ),
    (
        "kvm_amd: SEV-ES unusable (ASIDs 100 - 99)",
        {"guest_support": "unusable", "first_asid": 100, "last_asid": 99},
    ),
    (
        "kvm_amd: SEV-SNP enabled (ASIDs 1 - 99)",
        {"guest_support": "enabled", "first_asid": 1, "last_asid": 99},
    ),
]


TRACE: list[Row] = [
    (
        "CPU 1/KVM-4243 [004] ..... 100.000310: kvm_exit: vcpu 1 reason npf rip 0x0"
        " info1 0x0000000180000002 info2 0x000000000080d000 intr_info 0x00000000 error_code 0x00000000",
        {
            "npf_error": "W (A write), RMP (The RMP forbids the access),"
            " GPA (At the final guest-physical address)",
            "gpa": 0x80D000,
        },
    ),
    (
        "kvm_exit: vcpu 1 reason EXIT_NPF rip 0x0 info1 0x0000000100000004 info2 0x00000000fee00000"
        " intr_info 0x00000000 error_code 0x00000000",
        {
            "npf_error": "U (An access of user mode, as all of a guest are),"
            " GPA (At the final guest-physical address)"
        },
    ),
    ("kvm_exit: vcpu 1 reason vmgexit rip 0x0 info1 0x0000000000000000", {"vcpu": 1}),
    ("kvm_exit: vcpu 1 reason EXIT_VMGEXIT rip 0x0 info1 0x0000000000000000", {"vcpu": 1}),
    (
        "kvm_page_fault: vcpu 0 rip 0x0 address 0x000000000080d000 error_code 0x880000000",
        {
            "npf_error": "RMP (The RMP forbids the access),"
            " SIZEM (Page sizes of PVALIDATE or RMPADJUST and RMP differ)",
        },
    ),
]

DUMPS: list[Row] = [
    ("kvm_amd: GHCB (GPA=0000000000005000):", {"ghcb_gpa": 0x5000}),
    ("kvm_amd: GHCB (GPA=0000000000005000) snapshot:", {"ghcb_gpa": 0x5000}),
    (
        "kvm_amd: sw_exit_code        0000000000000072 is_valid: 1",
        {"sw_exit_code": "CPUID (CPUID of a function and sub-leaf)", "is_valid": "yes"},
    ),
    ("kvm_amd: sw_exit_info_1      0000000000000000 is_valid: 0", {"is_valid": "no"}),
    ("kvm_amd: sw_exit_info_2      0000000000000000 is_valid: 1", {"sw_exit_info_2": 0}),
    ("kvm_amd: sw_scratch          0000000000005800 is_valid: 1", {"sw_scratch": 0x5800}),
    # Quadwords 114, 115 and 116: bits 18, 19 and 20 of the highest 32.
    (
        "kvm_amd: valid_bitmap        001c0000,00000000,00000000,00000000",
        {"valid_bits": "sw_exit_code, sw_exit_info_1, sw_exit_info_2"},
    ),
    (
        "kvm_amd: SEV-SNP vCPU1 VMCB 00000000759a48a5, last attempted VMRUN on CPU 7",
        {"guest_type": "SEV-SNP", "vcpu": 1, "cpu": 7},
    ),
    # As kernels print -1 that know 32 bits of it only.
    (
        "kvm_amd: exit_code:          ffffffff",
        {
            "vmcb_exit_code": "INVALID (the VMSA cannot be run; processor to host or SVSM, in a VMSA)"
        },
    ),
    ("kvm_amd: exit_info1:         0000000000000000", {"vmcb_exit_info_1": 0}),
    ("kvm_amd: exit_info2:         0000000000000000", {"vmcb_exit_info_2": 0}),
    (
        "kvm_amd: ghcb:               0000000000021100",
        {
            "ghcb_msr": "GHCBInfo = TERMINATION_REQUEST, ReasonSet = LINUX (Linux),"
            " ReasonCode = 0x2 (Which reason of the set)"
        },
    ),
    ("kvm_amd: vmsa_pa:            00000005d35c0000", {"vmsa_hpa": 0x5D35C0000}),
    (
        "kvm_amd: allowed_sev_features:8000000000000001",
        {
            "allowed_sev_features": f"{SNP}, AllowedSevFeaturesEnable"
            " (The host's list of allowed features applies)"
        },
    ),
    ("kvm_amd: guest_sev_features: 0000000000000081", {"guest_sev_features": f"{SNP}, {BTB}"}),
    ("kvm_amd: VMCB State Save Area:", {}),
    (
        "kvm_amd: cs:   s: 9900 a: 009a l: 0000ffff b: 0000000000099000",
        {"selector": 0x9900, "attributes": 0x9A, "limit": 0xFFFF, "base": 0x99000},
    ),
    (
        "kvm_amd: vmpl: 1   cpl:  3               efer:          0000000000001000",
        {"vmpl": 1, "cpl": 3, "efer": 0x1000},
    ),
    ("kvm_amd: sev_features    0000000000000081", {"sev_features": f"{SNP}, {BTB}"}),
]

VALUES: tuple[int | str, int | str] = (0x1234, 0x5678)
SAVED: list[Row] = [
    (f"kvm_amd: {line}", dict(zip((first, second), VALUES, strict=True)))
    for line, first, second in (
        ("cr0:            0000000000001234 cr2:          0000000000005678", "cr0", "cr2"),
        ("cr3:            0000000000001234 cr4:          0000000000005678", "cr3", "cr4"),
        ("dr6:            0000000000001234 dr7:          0000000000005678", "dr6", "dr7"),
        ("rip:            0000000000001234 rflags:       0000000000005678", "rip", "rflags"),
        ("rsp:            0000000000001234 rax:          0000000000005678", "rsp", "rax"),
        ("s_cet:          0000000000001234 ssp:          0000000000005678", "s_cet", "ssp"),
        ("star:           0000000000001234 lstar:        0000000000005678", "star", "lstar"),
        ("cstar:          0000000000001234 sfmask:       0000000000005678", "cstar", "sfmask"),
        (
            "kernel_gs_base: 0000000000001234 sysenter_cs:  0000000000005678",
            "kernel_gs_base",
            "sysenter_cs",
        ),
        (
            "sysenter_esp:   0000000000001234 sysenter_eip: 0000000000005678",
            "sysenter_esp",
            "sysenter_eip",
        ),
        ("gpat:           0000000000001234 dbgctl:       0000000000005678", "g_pat", "dbgctl"),
        ("br_from:        0000000000001234 br_to:        0000000000005678", "br_from", "br_to"),
        (
            "excp_from:      0000000000001234 excp_to:      0000000000005678",
            "last_excp_from",
            "last_excp_to",
        ),
        ("pl0_ssp:        0000000000001234 pl1_ssp:      0000000000005678", "pl0_ssp", "pl1_ssp"),
        ("pl2_ssp:        0000000000001234 pl3_ssp:      0000000000005678", "pl2_ssp", "pl3_ssp"),
        ("rax:            0000000000001234 rbx:          0000000000005678", "rax", "rbx"),
        ("rcx:            0000000000001234 rdx:          0000000000005678", "rcx", "rdx"),
        ("rsi:            0000000000001234 rdi:          0000000000005678", "rsi", "rdi"),
        ("rbp:            0000000000001234 rsp:          0000000000005678", "rbp", "rsp"),
        ("r8:             0000000000001234 r9:           0000000000005678", "r8", "r9"),
        ("r10:            0000000000001234 r11:          0000000000005678", "r10", "r11"),
        ("r12:            0000000000001234 r13:          0000000000005678", "r12", "r13"),
        ("r14:            0000000000001234 r15:          0000000000005678", "r14", "r15"),
        ("xcr0:           0000000000001234 xss:          0000000000005678", "xcr0", "xss"),
    )
] + [
    ("kvm_amd: isst_addr:      0000000000001234", {"isst_addr": 0x1234}),
    ("kvm_amd: u_cet:          0000000000001234", {"u_cet": 0x1234}),
]
"""Lines that are known within a dump of a VMCB only."""

CONTROL: list[Row] = [
    ("kvm_amd: VMCB Control Area:", {}),
]
AREA: list[Row] = [
    ("kvm_amd: cr_read:            0010", {"cr_read": 0x10}),
    ("kvm_amd: cr_write:           0110", {"cr_write": 0x110}),
    ("kvm_amd: dr_read:            0080", {"dr_read": 0x80}),
    ("kvm_amd: dr_write:           0080", {"dr_write": 0x80}),
    ("kvm_amd: exceptions:         00060042", {"exception_intercepts": 0x60042}),
    (
        "kvm_amd: intercepts:         bd4c8027 00006ebf",
        {"intercepts_3": 0xBD4C8027, "intercepts_4": 0x6EBF},
    ),
    ("kvm_amd: pause filter count: 3000", {"pause_filter_count": 3000}),
    ("kvm_amd: pause filter threshold:128", {"pause_filter_thresh": 128}),
    ("kvm_amd: iopm_base_pa:       0000000100a2c000", {"iopm_base_pa": 0x100A2C000}),
    ("kvm_amd: msrpm_base_pa:      0000000100a4e000", {"msrpm_base_pa": 0x100A4E000}),
    ("kvm_amd: tsc_offset:         ffffff1234567800", {"tsc_offset": 0xFFFFFF1234567800}),
    ("kvm_amd: asid:               7", {"asid": 7}),
    ("kvm_amd: tlb_ctl:            3", {"tlb_ctl": "FLUSH_ASID (translations of this guest)"}),
    (
        "kvm_amd: int_ctl:            01000100",
        {
            "int_ctl": "V_IRQ (A virtual interrupt is pending), V_INTR_MASKING"
            " (RFLAGS.IF of the guest masks virtual interrupts only)"
        },
    ),
    ("kvm_amd: int_vector:         00000030", {"int_vector": 0x30}),
    (
        "kvm_amd: int_state:          00000001",
        {"int_state": "InterruptShadow (The guest is in an interrupt shadow)"},
    ),
    ("kvm_amd: exit_int_info:      80000030", {"exit_int_info": 0x80000030}),
    ("kvm_amd: exit_int_info_err:  00000000", {"event_error": 0}),
    (
        "kvm_amd: nested_ctl:         7",
        {
            "misc_ctl": "ENABLE_NP (Nested paging), ENABLE_SEV (SEV), ENABLE_SEV_ES (SEV-ES)",
        },
    ),
    ("kvm_amd: misc_ctl:           1", {"misc_ctl": "ENABLE_NP (Nested paging)"}),
    ("kvm_amd: nested_cr3:         0000000123456000", {"nested_cr3": 0x123456000}),
    ("kvm_amd: avic_vapic_bar:     00000000fee00000", {"avic_vapic_bar": 0xFEE00000}),
    (
        "kvm_amd: event_inj:          80000b0d",
        {
            "event_inj": "Vector = 0xd, Type = EXCEPTION, ErrorCodeValid"
            " (ErrorCode is pushed), Valid (There is an event)",
        },
    ),
    ("kvm_amd: event_inj_err:      00000000", {"event_error": 0}),
    ("kvm_amd: virt_ext:           2", {"misc_ctl2": 2}),
    ("kvm_amd: next_rip:           ffffffff81000000", {"next_rip": 0xFFFFFFFF81000000}),
    ("kvm_amd: avic_backing_page:  0000000100b00000", {"avic_backing_page": 0x100B00000}),
    ("kvm_amd: avic_logical_id:    0000000100c00000", {"avic_logical_id": 0x100C00000}),
    ("kvm_amd: avic_physical_id:   0000000100d000ff", {"avic_physical_id": 0x100D000FF}),
]
"""Known within a dump only."""

ROWS = [*CONTROL, *KVM, *HOST, *TRACE, *DUMPS]
