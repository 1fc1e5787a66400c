"""What KVM logs of the exits of its guests."""

from __future__ import annotations

from ...wire.exit_codes import ExitCode
from ..form import Form, Values

_SEV = "Linux arch/x86/kvm/svm/sev.c"
_TRACE = "Linux arch/x86/kvm/trace.h"


def _kvm(text: str, says: str, function: str, **implied: int) -> Form:
    words: Values = dict(implied)
    return Form("KVM", text, says, f"{_SEV} {function}", words)


_AP = {"sw_exit_code": ExitCode.SNP_AP_CREATION}

KVM = (
    _kvm(
        "SEV-ES guest requested termination: {reason_set:#x}:{reason_code:#x}",
        "The guest asked to be ended, by GHCB MSR request 0x100.",
        "sev_handle_vmgexit_msr_protocol",
    ),
    _kvm(
        "SEV-ES guest requested termination: reason {term_info:#x} info {exit_info_2:#x}",
        "The guest asked to be ended, by exit 0x8000FFFE.",
        "sev_handle_vmgexit",
        exit_code=ExitCode.TERMINATION_REQUEST,
    ),
    _kvm(
        "vmgexit: ghcb usage {ghcb_usage:#x} is not valid",
        "The host refuses the exit with error 2: it knows no GHCB usage but 0.",
        "sev_es_validate_vmgexit",
    ),
    _kvm(
        "vmgexit: exit code {exit_code:#x} is not valid",
        "The host refuses the exit with error 6: it does not know the code.",
        "sev_es_validate_vmgexit",
    ),
    _kvm(
        "vmgexit: exit code {exit_code:#x} input is not valid",
        "The host refuses the exit with error 4: a field that the exit needs is not marked valid.",
        "sev_es_validate_vmgexit",
    ),
    _kvm(
        "vmgexit: scratch gpa not provided",
        "The host refuses the exit with error 3: SW_SCRATCH is 0.",
        "setup_vmgexit_scratch",
    ),
    _kvm(
        "vmgexit: scratch length ({length:#x}) not valid for scratch address ({scratch_gpa:#x})",
        "The host refuses the exit with error 3: address and length wrap.",
        "setup_vmgexit_scratch",
    ),
    _kvm(
        "vmgexit: scratch area is outside of GHCB shared buffer area"
        " ({scratch_gpa:#x} - {scratch_end:#x})",
        "The host refuses the exit with error 3: the area must lie at 0x800 to 0xFEF of the GHCB.",
        "setup_vmgexit_scratch",
    ),
    _kvm(
        "vmgexit: scratch area exceeds KVM limits ({length:#x} requested, {scratch_limit:#x} limit)",
        "The host refuses the exit with error 3: so much is not copied from guest memory.",
        "setup_vmgexit_scratch",
    ),
    _kvm(
        "vmgexit: kvm_read_guest for scratch area failed",
        "The run of the vCPU fails: the scratch area is no memory of the guest.",
        "setup_vmgexit_scratch",
    ),
    _kvm(
        "vmgexit: GHCB gpa is not set",
        "The guest executed VMGEXIT with 0 in the GHCB MSR; it goes on without an answer.",
        "sev_handle_vmgexit",
    ),
    _kvm(
        "vmgexit: error mapping GHCB [{ghcb_gpa:#x}] from guest",
        "The GHCB is no memory of the guest; the guest goes on without an answer.",
        "sev_handle_vmgexit",
    ),
    _kvm(
        "vmgexit: GHCB GPA [{ghcb_gpa:#x}] is not registered",
        "The guest used a GHCB that it did not register by GHCB MSR request 0x012; its run fails.",
        "sev_handle_vmgexit",
    ),
    _kvm(
        "vmgexit: unsupported AP jump table request - exit_info_1={exit_info_1:#x}",
        "The host refuses the exit with error 5.",
        "sev_handle_vmgexit",
        exit_code=ExitCode.AP_JUMP_TABLE,
    ),
    _kvm(
        "vmgexit: unsupported event - exit_info_1={vc_error:#x}, exit_info_2={exit_info_2:#x}",
        "The guest got a #VC that it cannot handle, and said so by exit 0x8000FFFF; its run fails.",
        "sev_handle_vmgexit",
        exit_code=ExitCode.UNSUPPORTED_EVENT,
    ),
    _kvm(
        "vmgexit: invalid AP APIC ID [{apic_id:#x}] from guest",
        "AP creation is refused with error 5: no vCPU has this APIC ID.",
        "sev_snp_ap_creation",
        **_AP,
    ),
    _kvm(
        "vmgexit: mismatched AP sev_features [{sev_features:#x}] != [{vm_sev_features:#x}] from guest",
        "AP creation is refused with error 5: RAX must equal the SEV_FEATURES of the VM.",
        "sev_snp_ap_creation",
        **_AP,
    ),
    _kvm(
        "vmgexit: invalid AP VMSA address [{vmsa_gpa:#x}] from guest",
        "AP creation is refused with error 5: the VMSA is not 4 KiB aligned, or past the last address.",
        "sev_snp_ap_creation",
        **_AP,
    ),
    _kvm(
        "vmgexit: AP VMSA address [{vmsa_gpa:x}] from guest is unsafe as it is 2M aligned",
        "AP creation is refused with error 5: an erratum forbids a VMSA at a multiple of 2 MiB.",
        "sev_snp_ap_creation",
        **_AP,
    ),
    _kvm(
        "vmgexit: invalid AP creation request [{ap_request:#x}] from guest",
        "AP creation is refused with error 5. KVM takes bits 31:0 as the operation, so a VMPL in bits"
        " 19:16 makes it unknown.",
        "sev_snp_ap_creation",
        **_AP,
    ),
    _kvm(
        "SEV: Unexpected RMP fault for non-private GPA {gpa:#x}",
        "A nested page fault by the RMP at a page that is shared.",
        "sev_handle_rmp_fault",
    ),
    _kvm(
        "SEV: Unexpected RMP fault, non-private slot for GPA {gpa:#x}",
        "A nested page fault by the RMP in memory that cannot be private.",
        "sev_handle_rmp_fault",
    ),
    _kvm(
        "SEV: Unexpected RMP fault, no backing page for private GPA {gpa:#x}",
        "A nested page fault by the RMP at a private page without memory behind it.",
        "sev_handle_rmp_fault",
    ),
    _kvm(
        "SEV: Unexpected RMP fault, no assigned RMP entry found for"
        " GPA {gpa:#x} PFN {pfn:#x} error {error:d}",
        "A nested page fault by the RMP at a page that the RMP does not give to the guest.",
        "sev_handle_rmp_fault",
    ),
    _kvm(
        "SEV: Unable to split RMP entry for GPA {gpa:#x} PFN {pfn:#x} ret {psmash_ret:d}",
        "PSMASH, which splits a 2 MiB entry of the RMP into 4 KiB ones, failed.",
        "sev_handle_rmp_fault",
    ),
    _kvm(
        "SEV: Failed to PSMASH RMP entry for PFN {pfn:#x} error {psmash_ret:d}",
        "PSMASH failed while private memory is given back.",
        "sev_gmem_invalidate",
    ),
    _kvm(
        "SEV: Failed to update RMP entry for PFN {pfn:#x} error {error:d}",
        "Private memory that is given back could not be made shared in the RMP.",
        "sev_gmem_invalidate",
    ),
    _kvm(
        "SEV: Failed to look up RMP entry: GFN {gfn:x} PFN {pfn:x} error {error:d}",
        "The RMP has no entry for memory that is to become private.",
        "sev_gmem_prepare",
    ),
    _kvm(
        "SEV: Failed to update RMP entry: GFN {gfn:x} PFN {pfn:x} level {rmp_level:d}"
        " error {error:d}",
        "Memory could not be made private in the RMP.",
        "sev_gmem_prepare",
    ),
    _kvm(
        "SEV: Failed to retrieve RMP entry: PFN {pfn:#x} GFN start {gfn:#x} GFN end {gfn_end:#x}"
        " RMP level {rmp_level:d} error {error:d}",
        "The RMP has no entry for a page of a range that is to become private.",
        "is_pfn_range_shared",
    ),
    *(
        Form(
            "KVM",
            f"kvm_exit: vcpu {{vcpu:d}} reason {name} rip {{rip:#x}} info1 {{npf_error:#x}}"
            " info2 {gpa:#x}",
            "Tracepoint: a nested page fault, exit 0x400.",
            f"{_TRACE}; {tool}",
            {"exit_code": ExitCode.NPF},
        )
        for name, tool in (("npf", "tracefs"), ("EXIT_NPF", "trace-cmd plugin_kvm.c"))
    ),
    *(
        Form(
            "KVM",
            f"kvm_exit: vcpu {{vcpu:d}} reason {name} rip {{rip:#x}}",
            "Tracepoint: the guest executed VMGEXIT; kvm_vmgexit_enter says what it asked for.",
            f"{_TRACE}; {tool}",
            {"exit_code": ExitCode.VMGEXIT},
        )
        for name, tool in (("vmgexit", "tracefs"), ("EXIT_VMGEXIT", "trace-cmd plugin_kvm.c"))
    ),
    Form(
        "KVM",
        "kvm_page_fault: vcpu {vcpu:d} rip {rip:#x} address {gpa:#x} error_code {npf_error:#x}",
        "Tracepoint: a nested page fault is handled.",
        _TRACE,
    ),
    Form(
        "KVM",
        "svm: unexpected exit reason {exit_code:#x}",
        "KVM has no handler for what the guest exited with; the run fails with an internal error.",
        "Linux arch/x86/kvm/svm/svm.c svm_handle_invalid_exit",
    ),
)
