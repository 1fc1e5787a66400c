"""What a Linux guest logs of its exits, its pages and its requests to the firmware."""

from __future__ import annotations

from ...wire.exit_codes import ExitCode
from ..form import Form, Values

_VC = "Linux arch/x86/coco/sev/vc-handle.c"
_SHARED = "Linux arch/x86/coco/sev/vc-shared.c"
_CORE = "Linux arch/x86/coco/sev/core.c"


def _guest(text: str, says: str, source: str, **implied: int) -> Form:
    words: Values = dict(implied)
    return Form("Linux guest", text, says, source, words)


_REFUSED = "The host answered the exit with an error, or not as expected."
_NO_HANDLER = (
    "The guest has no handler for this #VC: its kernel asks to be ended, set 0, code 0; a process gets"
    " SIGBUS."
)
_DECODE = "The instruction behind the #VC could not be decoded."

GUEST = (
    _guest(
        "PANIC: Unsupported exit-code {vc_error:#x} in early #VC exception (IP: {rip:#x})",
        _NO_HANDLER,
        f"{_VC} handle_vc_boot_ghcb",
    ),
    _guest(
        "Unsupported exit-code {vc_error:#x} in #VC exception (IP: {rip:#x})",
        _NO_HANDLER,
        f"{_VC} vc_raw_handle_exception",
    ),
    _guest(
        "Wrong/unhandled opcode bytes: {opcode:#x}, exit_code: {vc_error:#x}, rIP: {rip:#x}",
        "The guest does not handle this error code of #VC, or not for this instruction: unsupported.",
        f"{_SHARED} vc_check_opcode_bytes",
    ),
    _guest(
        "Failure in communication with VMM (exit-code {exit_code:#x} IP: {rip:#x})",
        _REFUSED,
        f"{_VC} vc_raw_handle_exception",
    ),
    _guest(
        "Failed to decode instruction (exit-code {exit_code:#x} IP: {rip:#x})",
        _DECODE,
        f"{_VC} vc_raw_handle_exception",
    ),
    _guest(
        "#VC exception for INVD??? Seriously???",
        "The guest executed INVD, which it never forwards to the host.",
        f"{_VC} vc_handle_exitcode",
    ),
    _guest(
        "SNP: PSC failed ret={result:d} exit_info_2={psc_result:x}",
        "A page state change failed; the guest asks to be ended, set 1, code 1.",
        f"{_CORE} vmgexit_psc",
        sw_exit_code=ExitCode.SNP_PAGE_STATE_CHANGE,
    ),
    _guest(
        "SNP: PSC processing going backward, end_entry {end_entry:d} (got {end_entry_now:d})"
        " cur_entry {cur_entry:d} (got {cur_entry_now:d})",
        "The host moved a page state change back, or made it longer: the guest does not trust it.",
        f"{_CORE} vmgexit_psc",
        sw_exit_code=ExitCode.SNP_PAGE_STATE_CHANGE,
    ),
    _guest(
        "Reserved bit is set in the PSC header",
        "The host wrote reserved bits of a page state change: the guest does not trust it.",
        f"{_CORE} vmgexit_psc",
    ),
    _guest(
        "SNP AP {ap_action:s} error",
        "AP creation, exit 0x80000013, was refused.",
        f"{_CORE} vmgexit_ap_control",
        sw_exit_code=ExitCode.SNP_AP_CREATION,
    ),
    _guest(
        "clear VMSA page failed ({rmpadjust_ret:d}), leaking page",
        "RMPADJUST, or the SVSM, did not make the page an ordinary one again.",
        f"{_CORE} snp_cleanup_vmsa",
    ),
    _guest(
        "PVALIDATE failure: pfn: {gfn:#x}, action: {action:d}, size: {page_size:d},"
        " ret: {pvalidate_result:d}, svsm_ret: {svsm_ret:#x}",
        "A page could not be validated; the guest asks to be ended, set 1, code 2.",
        f"{_CORE} __pval_terminate",
    ),
    _guest(
        "PVALIDATE failure: pfn {gfn:#x}, action={action:d}, size={page_size:d} -"
        " ret={pvalidate_result:d}, svsm_ret={svsm_ret:#x}",
        "A page could not be validated; the guest asks to be ended, set 1, code 2.",
        f"{_CORE}, before the text was changed",
    ),
    _guest(
        "Detected error from ASP request. rc: {error:d}, exitinfo2: {guest_request_result:#x}",
        "A request to the firmware failed; the guest gives up its key.",
        f"{_CORE} snp_send_guest_request",
        sw_exit_code=ExitCode.SNP_GUEST_REQUEST,
    ),
    _guest(
        "Detected error from ASP request. rc: {error:d}, exitinfo2: {guest_request_result:d}",
        "A request to the firmware failed; the guest gives up its key.",
        "Linux drivers/virt/coco/sev-guest/sev-guest.c (patch of 2023)",
        sw_exit_code=ExitCode.SNP_GUEST_REQUEST,
    ),
    _guest(
        "Detected error from ASP request. rc: {error:d}, fw_err: {guest_request_result:d}",
        "A request to the firmware failed; the guest gives up its key.",
        "Linux drivers/virt/coco/sev-guest/sev-guest.c before 6.3",
        sw_exit_code=ExitCode.SNP_GUEST_REQUEST,
    ),
    _guest(
        "Detected unexpected decode failure from ASP. rc: {error:d}",
        "The firmware's response does not hold: number, type, size or tag are wrong.",
        f"{_CORE} snp_send_guest_request",
    ),
    _guest(
        "Disabling VMPCK{vmpck:d} communication key to prevent IV reuse.",
        "No further request goes to the firmware with this key, until the guest starts again.",
        f"{_CORE} snp_disable_vmpck",
    ),
    _guest(
        "Empty VMPCK{vmpck:d} communication key",
        "The secrets page has no key of this number: it was erased, or belongs to another VMPL.",
        f"{_CORE} snp_msg_init",
    ),
    _guest(
        "Invalid VMPCK{vmpck:d} communication key",
        "There are keys 0 to 3 only.",
        f"{_CORE} snp_msg_init",
    ),
    _guest(
        "VMPCK is disabled",
        "No request goes to the firmware: the key was given up after an error.",
        f"{_CORE} snp_send_guest_request",
    ),
    _guest(
        "request [seqno {msg_seqno:d} type {message_type:d} version {msg_version:d} sz {msg_sz:d}]",
        "A request to the firmware; its sequence number is odd.",
        f"{_CORE} enc_payload",
    ),
    _guest(
        "response [seqno {msg_seqno:d} type {message_type:d} version {msg_version:d} sz {msg_sz:d}]",
        "A response of the firmware; its sequence number is even.",
        f"{_CORE} verify_and_dec_payload",
    ),
    _guest(
        "SNP running at VMPL{vmpl:d}.",
        "At VMPL 0 there is no SVSM below the guest.",
        f"{_CORE} report_snp_info",
    ),
    _guest(
        "SEV: Status: {sev_status_names}",
        "What SEV_STATUS, MSR 0xC0010131, has switched on.",
        f"{_CORE} sev_show_status",
    ),
    _guest(
        "Memory Encryption Features active: AMD {sev_status_names}",
        "What of SEV is on for this guest, as SEV_STATUS says.",
        "Linux arch/x86/mm/mem_encrypt.c print_mem_encrypt_feature_info",
    ),
    _guest(
        "wakeup_secondary_cpu() replaced with wakeup_cpu_via_vmgexit()",
        "APs are started by AP creation, exit 0x80000013.",
        "Linux arch/x86/include/asm/apic.h apic_update_callback",
    ),
    _guest(
        "Using SNP CPUID table, {cpuid_entries:d} entries present.",
        "CPUID is answered from the page that the firmware checked, not by the host.",
        f"{_CORE} report_snp_info",
    ),
    _guest(
        "SNP guest platform device initialized.",
        "Guest requests can be sent: there is a device for the driver of /dev/sev-guest.",
        f"{_CORE} snp_init_platform_device",
    ),
    _guest(
        "SNP guest platform devices initialized.",
        "Guest requests can be sent: there is a device for the driver of /dev/sev-guest.",
        f"{_CORE} snp_init_platform_device, since the vTPM of an SVSM has a device too",
    ),
    _guest(
        "Initialized SEV guest driver (using VMPCK{vmpck:d} communication key)",
        "The driver of /dev/sev-guest is ready.",
        "Linux drivers/virt/coco/sev-guest/sev-guest.c sev_guest_probe",
    ),
    _guest(
        "Initialized SEV guest driver (using vmpck_id {vmpck:d})",
        "The driver of /dev/sev-guest is ready.",
        "Linux drivers/virt/coco/sev-guest/sev-guest.c sev_guest_probe, before the text was changed",
    ),
)
