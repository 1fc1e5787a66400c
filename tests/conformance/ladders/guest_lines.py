"""Lines as guests, SVSMs, firmware and monitors print them; as `log_lines`, which has those of hosts."""

from __future__ import annotations

from .log_lines import BTB, Row

VMM: list[Row] = [
    (
        "qemu-system-x86_64: SEV-SNP: CPUID validation failed for function 0x80000021, index: 0x0,"
        " provided: eax:0x18000245, ebx: 0x00000000, ecx: 0x00000000, edx: 0x00000000,"
        " expected: eax:0x18000045, ebx: 0x00000000, ecx: 0x00000000, edx: 0x00000000",
        {"cpuid_function": 0x80000021, "provided_eax": 0x18000245, "expected_eax": 0x18000045},
    ),
    (
        "qemu-system-x86_64: SEV-SNP: CPUID validation failed for function 0x8000001e, index: 0x0.",
        {"cpuid_function": 0x8000001E, "cpuid_index": 0},
    ),
    (
        "qemu-system-x86_64: SEV-SNP: CPUID validation failed due to count mismatch, provided: 65,"
        " expected: 64",
        {"provided_count": 65, "expected_count": 64},
    ),
    ("qemu-system-x86_64: SEV-SNP: failed update CPUID page", {}),
    (
        "qemu-system-x86_64: sev_snp_launch_start: SNP_LAUNCH_START ret=-5 fw_error=7 'Policy failure'",
        {"error": "EIO", "fw_error": "POLICY_FAILURE (the guest's policy does not allow it)"},
    ),
    (
        "qemu-system-x86_64: SNP_LAUNCH_UPDATE ret=-5 fw_error=28 'Invalid page owner'",
        {"fw_error": "INVALID_PAGE_OWNER (the page belongs to another guest)"},
    ),
    # Seen in the field, in a description of signed launches.
    (
        "qemu-system-x86_64: SNP_LAUNCH_FINISH ret=-5 fw_error=11 'Bad measurement'",
        {"fw_error": "BAD_MEASUREMENT (the measurement is not the expected one)"},
    ),
    (
        "qemu-system-x86_64: sev_common_kvm_init: failed to initialize ret=-22 fw_error=0 ''",
        {"error": "EINVAL", "fw_error": "SUCCESS"},
    ),
    (
        "2718@1764300000.123456:kvm_sev_snp_launch_start policy 0x30000 gosvw (null)",
        {"policy": "SMT (SMT may be on), Reserved = 0x1 (Reserved, must be 1)"},
    ),
    (
        "kvm_sev_snp_launch_update src 0x7f0000001000 gpa 0x80d000 len 0x1000 (Cpuid page)",
        {"hva": 0x7F0000001000, "gpa": 0x80D000, "length": 0x1000, "page_kind": "Cpuid"},
    ),
    (
        "kvm_sev_snp_launch_finish id_block AAAA id_auth (null) host_data (null)",
        {"id_block": "AAAA", "host_data": "(null)"},
    ),
    ("KVM: unknown exit reason 24", {}),
    (  # libkrun pull request 234
        "[2024-10-25T02:11:11Z ERROR vmm::linux::vstate] Unexpected exit reason on vcpu run:"
        " SystemEvent(6, [256])",
        {"ghcb_msr": "GHCBInfo = TERMINATION_REQUEST, ReasonSet = GENERAL (common to all guests)"},
    ),
    (
        "WARN ghcb page used for vmgexit does not match overlay page vmgexit_pfn=0x10 overlay_pfn=0x11",
        {},
    ),
    ("guest AVIC backing page is not validated or cannot be accessed", {}),
    (
        "thread 'vp-0' panicked: Received unexpected SEV exit code VMMCALL",
        {"exit_name": "VMMCALL (hypercall; which registers, only the host knows)"},
    ),
    ("Received unexpected SEV exit code 7f", {"exit_name": "SHUTDOWN"}),
    (
        "not implemented: unhandled GHCB BASE sw_exit_code CPUID",
        {"exit_name": "CPUID (CPUID of a function and sub-leaf)"},
    ),
    ("isa error 6", {"pvalidate_ret": "FAIL_SIZEMISMATCH (the page's size in the RMP is another)"}),
    ("KVM does not support SNP VMSA feature bits 0x80", {"sev_features": BTB}),
    ("SNP IGVM VMSA GPA 0x1000 is not supported by KVM", {"vmsa_gpa": 0x1000}),
]

TOOLS: list[Row] = [
    (  # virtee/snpguest issue 154
        "because: Firmware Error Encountered: Known SEV FW Error: Status Code: 0x16: Given parameter is"
        " invalid.",
        {"fw_error": "INVALID_PARAMETER (a parameter is not valid)"},
    ),
    ("Status Code: 0x16", {"fw_error": "INVALID_PARAMETER (a parameter is not valid)"}),
    (  # AMDESE/sev-guest issue 26
        "firmware error 0x16",
        {
            "guest_request_result": "Firmware = INVALID_PARAMETER (a parameter is not valid),"
            " VMM = SUCCESS"
        },
    ),
    (  # AMDESE/sev-guest issue 40, below `ioctl: Input/output error`
        "firmware error 29",
        {
            "report_error": "if 29 is decimal, AEAD_OVERFLOW (the sequence number is at its end);"
            " if hex, 0x29, which has no name"
        },
    ),
    (  # AMDESE/sev-guest issue 43; errno 0x27 is `Directory not empty`, so that it is hex
        "firmware error 27",
        {
            "report_error": "if 27 is decimal, INVALID_METADATA_ENTRY (an entry of the metadata is not"
            " valid); if hex, INVALID_KEY (the key that was chosen is not there)"
        },
    ),
]

GUEST: list[Row] = [
    (
        "Memory Encryption Features active: AMD SEV SEV-ES SEV-SNP",
        {"sev_status_names": "SEV SEV-ES SEV-SNP"},
    ),
    ("SEV: APIC: wakeup_secondary_cpu() replaced with wakeup_cpu_via_vmgexit()", {}),
    ("SEV: Using SNP CPUID table, 28 entries present.", {"cpuid_entries": 28}),
    ("SEV: SNP guest platform device initialized.", {}),
    ("SEV: SNP guest platform devices initialized.", {}),
    (
        "sev-guest sev-guest: Initialized SEV guest driver (using VMPCK0 communication key)",
        {"vmpck": 0},
    ),
    ("sev-guest sev-guest: Initialized SEV guest driver (using vmpck_id 2)", {"vmpck": 2}),
    (
        "PANIC: Unsupported exit-code 0x404 in early #VC exception (IP: 0xffffffff81000000)",
        {
            "vc_error": "PAGE_NOT_VALIDATED (access to a page that is not validated;"
            " processor to guest, error code of #VC)",
            "rip": 0xFFFFFFFF81000000,
        },
    ),
    (
        "SEV: Unsupported exit-code 0x76 in #VC exception (IP: 0xffffffff81000000)",
        {"vc_error": "INVD (invalidate caches; Linux refuses it, edk2 forwards it)"},
    ),
    (
        "Wrong/unhandled opcode bytes: 0x8b, exit_code: 0x404, rIP: 0x7fe5404d3840",
        {
            "opcode": 0x8B,
            "vc_error": "PAGE_NOT_VALIDATED (access to a page that is not validated;"
            " processor to guest, error code of #VC)",
            "rip": 0x7FE5404D3840,
        },
    ),
    (
        "SEV: Failure in communication with VMM (exit-code 0x7c IP: 0xffffffff81000000)",
        {"exit_code": "MSR (RDMSR and WRMSR)"},
    ),
    (
        "SEV: Failed to decode instruction (exit-code 0x400 IP: 0xffffffff81000000)",
        {
            "exit_code": "NPF (nested page fault: MMIO that the guest emulates by exits 0x80000001"
            " and 0x80000002; processor to guest, error code of #VC)"
        },
    ),
    ("SEV: #VC exception for INVD??? Seriously???", {}),
    (
        "SNP: PSC failed ret=0 exit_info_2=10000000000",
        {
            "result": 0,
            "psc_result": "ErrorClass = GENERIC (KVM: any other failure)",
        },
    ),
    (
        "SNP: PSC processing going backward, end_entry 63 (got 252) cur_entry 5 (got 4)",
        {"end_entry": 63, "end_entry_now": 252, "cur_entry": 5, "cur_entry_now": 4},
    ),
    ("Reserved bit is set in the PSC header", {}),
    ("SEV: SNP AP CREATE error", {"ap_action": "CREATE"}),
    (
        "SEV: clear VMSA page failed (2), leaking page",
        {"rmpadjust_ret": "FAIL_PERMISSION (RMPADJUST: the VMPL's own rights do not allow it)"},
    ),
    (
        "PVALIDATE failure: pfn: 0x12345, action: 1, size: 1, ret: 6, svsm_ret: 0x80001006",
        {
            "gfn": 0x12345,
            "action": "validate the page",
            "page_size": "2 MiB",
            "pvalidate_result": "FAIL_SIZEMISMATCH (the page's size in the RMP is another)",
            "svsm_ret": "FAIL_SIZEMISMATCH (core, PVALIDATE: the page's size in the RMP is another)",
        },
    ),
    (
        "PVALIDATE failure: pfn 0x12345, action=0, size=0 - ret=255, svsm_ret=0x0",
        {
            "action": "make the page invalid",
            "page_size": "4 KiB",
            "pvalidate_result": "the page was in that state already",
            "svsm_ret": "SUCCESS",
        },
    ),
    (
        "SEV: Detected error from ASP request. rc: -5, exitinfo2: 0x200000000",
        {
            "error": "EIO",
            "guest_request_result": "Firmware = SUCCESS, VMM = BUSY (try the same message again later)",
        },
    ),
    (
        "sev-guest sev-guest: Detected error from ASP request. rc: -5, exitinfo2: 22",
        {
            "guest_request_result": "Firmware = INVALID_PARAMETER (a parameter is not valid),"
            " VMM = SUCCESS"
        },
    ),
    (
        "sev-guest sev-guest: Detected error from ASP request. rc: -5, fw_err: 4294967296",
        {
            "guest_request_result": "Firmware = SUCCESS, VMM = INVALID_LEN"
            " (RBX holds the pages needed; nothing went to the firmware)"
        },
    ),
    ("SEV: Detected unexpected decode failure from ASP. rc: -74", {"error": "EBADMSG"}),
    ("SEV: Disabling VMPCK0 communication key to prevent IV reuse.", {"vmpck": 0}),
    ("SEV: Empty VMPCK2 communication key", {"vmpck": 2}),
    ("SEV: Invalid VMPCK4 communication key", {"vmpck": 4}),
    ("SEV: VMPCK is disabled", {}),
    (
        "SEV: request [seqno 1 type 5 version 1 sz 96]",
        {"msg_seqno": 1, "message_type": "REPORT_REQUEST", "msg_sz": 96},
    ),
    (
        "SEV: response [seqno 2 type 6 version 1 sz 1216]",
        {"msg_seqno": 2, "message_type": "REPORT_RESPONSE"},
    ),
    ("SEV: SNP running at VMPL2.", {"vmpl": 2}),
    ("SEV: Status: SEV SEV-ES SEV-SNP ", {"sev_status_names": "SEV SEV-ES SEV-SNP"}),
]

SVSM: list[Row] = [
    (
        "[SVSM] ERROR: Failed to handle #VC from user-mode at RIP 0x0000000000401000"
        " code: 0x0000000000000072 - Terminating task",
        {"rip": 0x401000, "vc_error": "CPUID (CPUID of a function and sub-leaf)"},
    ),
    (
        "[SVSM] Failed to handle #VC from kernel-mode at RIP 0xffffff8000001000"
        " code: 0x000000000000007b",
        {"vc_error": "IOIO (IN, OUT and their string forms)"},
    ),
    (
        "[SVSM] ERROR: #VC handling error: Vc(VcError { rip: 4198400, code: 124,"
        " error_type: DecodeFailed })",
        {
            "rip_decimal": 4198400,
            "vc_error": "MSR (RDMSR and WRMSR)",
            "vc_error_type": "DecodeFailed",
        },
    ),
    (
        "[SVSM] ERROR: Host EOI refused: Ghcb(VmgexitError(2, 6))",
        {
            "vmgexit_error_1": 2,
            "vmgexit_error_2": "Error = INVALID_EVENT (the exit code is not known)",
        },
    ),
    (
        "Ghcb(VmgexitError(4, 4294967296))",
        {
            "vmgexit_error_2": "Firmware = SUCCESS, VMM = INVALID_LEN"
            " (RBX holds the pages needed; nothing went to the firmware)"
        },
    ),
    (
        "[SVSM] ERROR: Info: panicked: SevSnp(FAIL_INPUT(18446744071562067968))",
        {"page_error": "FAIL_INPUT", "page_error_value": 18446744071562067968},
    ),
    (
        "[SVSM] ERROR: GHCB SnpPageStateChange failed err_high: 0x1 err_low: 0x2",
        {
            "psc_class": 1,
            "psc_detail": "Detail = 0x2 (What went wrong, within the class), ErrorClass = INVALID"
            " (detail 1: header, 2: the entry at cur_entry)",
        },
    ),
    (
        "[SVSM] ERROR: SNP_GUEST_REQUEST failed, unknown error code=22",
        {
            "guest_request_result": "Firmware = INVALID_PARAMETER (a parameter is not valid),"
            " VMM = SUCCESS"
        },
    ),
    ("[SVSM] ERROR: SNP_GUEST_REQ_INVALID_LEN. Aborting, request resend failed", {}),
    ("[SVSM] ERROR: SNP_GUEST_REQ_ERR_BUSY. Aborting, request resend failed", {}),
    (
        "[SVSM] ERROR: Required hypervisor GHCB features not available: present=0x3, required=0x7,"
        " missing=0x4",
        {
            "features": "SEV_SNP (SEV-SNP), AP_CREATION (AP creation exit)",
            "missing_features": "RESTR_INJ (Restricted injection)",
        },
    ),
    (
        "the hypervisor doesn't support GHCB version 2 (min: 1, max: 1)",
        {"min_version": 1, "max_version": 1},
    ),
    (
        "[SVSM] DEBUG: Soft error handling protocol 0 request 1: INVALID_PARAMETER",
        {
            "protocol": "CORE (vCPUs, memory, versions)",
            "svsm_call": "SVSM_CORE_PVALIDATE (validate pages, or make them invalid)",
            "svsm_result": "0x80000005 a register's value is not allowed",
        },
    ),
    (
        "Fatal error handling core protocol request 1: SevSnp(FAIL_PERMISSION(0))",
        {"fatal_call": 1},
    ),
    (
        "[SVSM] ERROR: PVALIDATE: unexpected return value: 3",
        {"pvalidate_ret": "0x3, which has no name"},
    ),
    (
        "[SVSM] ERROR: RMPADJUST: Unexpected return value: 0x3",
        {"rmpadjust_ret": "0x3, which has no name"},
    ),
    (
        "[SVSM] rmpadjust failed for addr 0xffffff8000200000",
        {"address": 0xFFFFFF8000200000},
    ),
    ("Failed to switch to VMPL 2", {"vmpl": 2}),
    ("[SVSM] VMSA PA: 0x5d35c0000", {"vmsa_gpa": 0x5D35C0000}),
    ("[SVSM] Launching AP 1 with APIC-ID 1", {"cpu": 1, "apic_id": 1}),
    ("[SVSM] WARN: Host EOI failed: Ghcb(VmgexitInvalid)", {}),
    ("Unhandled #VC exception: 0x72", {"vc_error": "CPUID (CPUID of a function and sub-leaf)"}),
]

FIRMWARE: list[Row] = [
    ("MMIO using encrypted memory: FEE00000", {"address": 0xFEE00000}),
    (
        "PlatformPei:AmdSvsmSnpPvalidate: Failed to Validate address 0x100000 Error code 6",
        {
            "page_action": "Validate",
            "pvalidate_ret": "FAIL_SIZEMISMATCH (the page's size in the RMP is another)",
        },
    ),
    (
        "PlatformPei:InternalSetPageState Address 0x100000 - 0x200000 State = Private LargeEntry = 1",
        {"address": 0x100000, "page_state": "Private", "large": "2 MiB where it fits"},
    ),
    ("SEV-SNP: RMPADJUST failed for VMSA creation", {}),
    ("SEV-SNP: RMPADJUST failed for VMSA reset", {}),
    ("SEV-SNP: AP Destroy failed", {}),
    ("SEV is enabled (mask 0x8000000000000)", {"c_bit_mask": 1 << 51}),
    (
        "SEV-ES is enabled, 8 GHCB pages allocated starting at 0x7F7DC000",
        {"pages": 8, "ghcb_gpa": 0x7F7DC000},
    ),
    (
        "!!!! X64 Exception Type - 1D(#VC - VMM Communication)  CPU Apic ID - 00000002 !!!!",
        {"apic_id": 2},
    ),
    # Alone it may be of any exception: only below the line above it is an exit code.
    ("ExceptionData - 0000000000000404", {"exception_data": 0x404}),
]

ROWS = [*VMM, *TOOLS, *GUEST, *SVSM, *FIRMWARE]
