"""What virtual machine monitors print: QEMU, and OpenVMM with its paravisor OpenHCL."""

from __future__ import annotations

from ..form import Form

_QEMU = "QEMU target/i386/sev.c"
_TRACE = "QEMU target/i386/trace-events"  # as the backend `log` prints them
_SNP = "OpenVMM openhcl/virt_mshv_vtl/src/processor/snp/mod.rs"


def _launch(command: str, says: str, function: str) -> Form:
    return Form(
        "QEMU",
        f"{command} ret={{error:d}} fw_error={{fw_error:d}} ",
        says,
        f"{_QEMU} {function}",
    )


VMM = (
    _launch("SNP_LAUNCH_START", "The launch of the guest could not begin.", "sev_snp_launch_start"),
    _launch(
        "SNP_LAUNCH_UPDATE",
        "A page could not be added to the guest that is launched.",
        "sev_snp_launch_update",
    ),
    _launch(
        "SNP_LAUNCH_FINISH",
        "The launch could not be completed: measurement, ID block or policy do not agree.",
        "sev_snp_launch_finish",
    ),
    _launch(
        "failed to initialize", "SEV could not be set up for the guest.", "sev_common_kvm_init"
    ),
    Form(
        "QEMU",
        "SEV-SNP: CPUID validation failed for function {cpuid_function:#x}, index: {cpuid_index:#x}, "
        "provided: eax:{provided_eax:#x}, ebx: {provided_ebx:#x}, ecx: {provided_ecx:#x}, "
        "edx: {provided_edx:#x}, expected: eax:{expected_eax:#x}, ebx: {expected_ebx:#x}, "
        "ecx: {expected_ecx:#x}, edx: {expected_edx:#x}",
        "The firmware refused the CPUID page; it wrote what it takes for this function.",
        f"{_QEMU} sev_snp_cpuid_report_mismatches",
    ),
    Form(
        "QEMU",
        "SEV-SNP: CPUID validation failed for function {cpuid_function:#x}, index: {cpuid_index:#x}",
        "The firmware refused the CPUID page; it wrote what it takes for this function.",
        f"{_QEMU} sev_snp_cpuid_report_mismatches, before the text was one line",
    ),
    Form(
        "QEMU",
        "SEV-SNP: CPUID validation failed due to count mismatch, provided: {provided_count:d},"
        " expected: {expected_count:d}",
        "The firmware refused the CPUID page.",
        f"{_QEMU} sev_snp_cpuid_report_mismatches",
    ),
    Form(
        "QEMU",
        "SEV-SNP: failed update CPUID page",
        "The firmware refused the CPUID page: a function has bits that it does not take.",
        f"{_QEMU} sev_snp_launch_update",
    ),
    Form(
        "QEMU",
        "kvm_sev_snp_launch_start policy {policy:#x} gosvw {guest_visible_workarounds:s}",
        "A trace: the launch of the guest begins.",
        f"{_TRACE} kvm_sev_snp_launch_start",
    ),
    Form(
        "QEMU",
        "kvm_sev_snp_launch_update src {hva:#x} gpa {gpa:#x} len {length:#x} ({page_kind} page)",
        "A trace: pages are added to the guest that is launched.",
        f"{_TRACE} kvm_sev_snp_launch_update",
    ),
    Form(
        "QEMU",
        "kvm_sev_snp_launch_finish id_block {id_block:s} id_auth {id_auth:s} host_data {host_data:s}",
        "A trace: the launch is completed; the guest can run.",
        f"{_TRACE} kvm_sev_snp_launch_finish",
    ),
    Form(
        "QEMU",
        "KVM: unknown exit reason 24",
        "KVM_EXIT_SYSTEM_EVENT, of a type that this QEMU does not know. Of an SEV-ES or SNP guest it is"
        " KVM_SYSTEM_EVENT_SEV_TERM, type 6: the guest asked to be ended; the kernel's log says why.",
        "QEMU accel/kvm/kvm-all.c kvm_cpu_exec, target/i386/kvm/kvm.c kvm_arch_handle_exit",
    ),
    Form(
        "libkrun",
        "SystemEvent(6, [{ghcb_msr:d}])",
        "KVM_SYSTEM_EVENT_SEV_TERM: the guest asked to be ended; the event holds the GHCB MSR.",
        "libkrun src/vmm/src/linux/vstate.rs; its number: Linux include/uapi/linux/kvm.h",
    ),
    Form(
        "OpenHCL",
        "ghcb page used for vmgexit does not match overlay page",
        "The guest used a GHCB at another place than the one that the paravisor gave it.",
        _SNP,
    ),
    Form(
        "OpenHCL",
        "guest AVIC backing page is not validated or cannot be accessed",
        "The vCPU cannot go on: exit NOT_RESTARTABLE, 0x406.",
        _SNP,
    ),
    Form(
        "OpenHCL",
        "Received unexpected SEV exit code {exit_name:s}",
        "The paravisor has no handler for what the guest exited with, and ends.",
        _SNP,
    ),
    Form(
        "OpenHCL",
        "unhandled GHCB BASE sw_exit_code {exit_name:s}",
        "The paravisor knows no exit of a GHCB but its own hypercalls, and ends.",
        _SNP,
    ),
    Form(
        "OpenHCL",
        "isa error {pvalidate_ret:d}",
        "PVALIDATE, RMPADJUST or RMPQUERY answered an error.",
        "OpenVMM openhcl/hcl/src/ioctl/snp.rs",
    ),
    Form(
        "OpenVMM",
        "KVM does not support SNP VMSA feature bits {sev_features:#x}",
        "The image asks for SEV_FEATURES that KVM does not offer.",
        "OpenVMM vmm_core/virt_kvm/src/snp.rs",
    ),
    Form(
        "OpenVMM",
        "SNP IGVM VMSA GPA {vmsa_gpa:#x} is not supported by KVM",
        "The image places the VMSA where KVM does not take it.",
        "OpenVMM vmm_core/virt_kvm/src/snp.rs",
    ),
)
