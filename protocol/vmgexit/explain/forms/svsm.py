"""What SVSMs print: COCONUT-SVSM and linux-svsm."""

from __future__ import annotations

from ...wire.exit_codes import ExitCode
from ..form import Form, Values


def _coconut(text: str, says: str, place: str, **implied: int) -> Form:
    words: Values = dict(implied)
    return Form("COCONUT-SVSM", text, says, f"COCONUT-SVSM kernel/src/{place}", words)


SVSM = (
    _coconut(
        "Failed to handle #VC from user-mode at RIP {rip:#x} code: {vc_error:#x}",
        "A #VC of a user process that the SVSM cannot handle; the process is ended.",
        "cpu/idt/svsm.rs",
    ),
    _coconut(
        "Failed to handle #VC from kernel-mode at RIP {rip:#x} code: {vc_error:#x}",
        "A #VC of the SVSM itself that it cannot handle; it stops.",
        "cpu/idt/svsm.rs",
    ),
    _coconut(
        "VcError {{ rip: {rip_decimal:d}, code: {vc_error:d}, error_type: {vc_error_type:s} }}",
        "A #VC that the SVSM could not handle.",
        "cpu/vc.rs",
    ),
    _coconut(
        "VmgexitError({vmgexit_error_1:d}, {vmgexit_error_2:d})",
        "An exit of the SVSM failed.",
        "sev/ghcb.rs",
    ),
    _coconut(
        "SevSnp({page_error:s}({page_error_value:d}))",
        "PVALIDATE or RMPADJUST failed; the number is the address, or what the instruction returned.",
        "sev/utils.rs",
    ),
    _coconut(
        "GHCB SnpPageStateChange failed err_high: {psc_class:#x} err_low: {psc_detail:#x}",
        "The host refused a page state change of the SVSM.",
        "sev/ghcb.rs",
        sw_exit_code=ExitCode.SNP_PAGE_STATE_CHANGE,
    ),
    _coconut(
        "SNP_GUEST_REQUEST failed, unknown error code={guest_request_result:d}",
        "A request of the SVSM to the firmware failed; it erases its key.",
        "greq/driver.rs",
        sw_exit_code=ExitCode.SNP_GUEST_REQUEST,
    ),
    _coconut(
        "SNP_GUEST_REQ_INVALID_LEN. Aborting, request resend failed",
        "The host's certificates did not fit, and the request without them failed too.",
        "greq/driver.rs",
    ),
    _coconut(
        "SNP_GUEST_REQ_ERR_BUSY. Aborting, request resend failed",
        "The host was busy with other requests, and the second try failed too.",
        "greq/driver.rs",
    ),
    _coconut(
        "Required hypervisor GHCB features not available: present={features:#x},"
        " required={required_features:#x}, missing={missing_features:#x}",
        "The host does not announce what the SVSM needs.",
        "sev/msr_protocol.rs",
    ),
    _coconut(
        "the hypervisor doesn't support GHCB version 2 (min: {min_version:d}, max: {max_version:d})",
        "The SVSM stops: it speaks version 2 of the GHCB standard only.",
        "sev/msr_protocol.rs",
    ),
    _coconut(
        "Soft error handling protocol {protocol:d} request {svsm_call:d}: {svsm_result:s}",
        "The SVSM refuses a call of the guest.",
        "requests.rs",
    ),
    _coconut(
        "Fatal error handling core protocol request {fatal_call:d}: {svsm_error}",
        "A call of the guest failed within the SVSM, which stops. The number is that of the call, of"
        " whichever protocol.",
        "requests.rs",
    ),
    _coconut(
        "PVALIDATE: unexpected return value: {pvalidate_ret:d}",
        "PVALIDATE answered what no document names.",
        "sev/utils.rs",
    ),
    _coconut(
        "RMPADJUST: Unexpected return value: {rmpadjust_ret:#x}",
        "RMPADJUST answered what no document names.",
        "sev/utils.rs",
    ),
    _coconut(
        "rmpadjust failed for addr {address:#x}",
        "The guest's firmware could not be given rights to a page.",
        "platform/snp_fw.rs",
    ),
    _coconut(
        "Failed to switch to VMPL {vmpl:d}",
        "The host does not run the vCPU at this VMPL (exit 0x80000018); the SVSM stops.",
        "sev/ghcb.rs",
        sw_exit_code=ExitCode.SNP_RUN_VMPL,
    ),
    _coconut("VMSA PA: {vmsa_gpa:#x}", "Where the guest's first VMSA lies.", "platform/snp_fw.rs"),
    _coconut(
        "Launching AP {cpu:d} with APIC-ID {apic_id:d}",
        "The SVSM starts another of its vCPUs by AP creation.",
        "cpu/smp.rs",
    ),
    _coconut(
        "Host EOI failed: {svsm_error}",
        "The host did not take a specific EOI (exit 0x8000001D).",
        "cpu/apic.rs",
        sw_exit_code=ExitCode.SPECIFIC_EOI,
    ),
    Form(
        "linux-svsm",
        "Unhandled #VC exception: {vc_error:#x}",
        "A #VC of the SVSM, which handles none: it asks to be ended, set 15, code 2.",
        "AMDESE/linux-svsm src/cpu/vc.rs vc_handler",
    ),
)
