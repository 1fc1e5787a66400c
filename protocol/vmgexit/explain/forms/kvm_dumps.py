"""KVM's dumps of a GHCB, a VMCB and a VMSA as text, line by line.

KVM prints them with its parameter dump_invalid_vmcb. The holes of the control area are fields of
`VmcbControl`, those of the save area fields of `Vmsa`.
"""

from __future__ import annotations

from ..form import Form

_GHCB = "Linux arch/x86/kvm/svm/sev.c dump_ghcb"
_VMCB = "Linux arch/x86/kvm/svm/svm.c dump_vmcb"
_OF_CONTROL = "A field of the VMCB's control area."


def _ghcb(text: str, says: str = "A field of the GHCB.", heads: bool = False) -> Form:
    return Form("KVM", text, says, _GHCB, of="ghcb", block="ghcb dump", heads=heads)


def _control(text: str) -> Form:
    return Form("KVM", text, _OF_CONTROL, _VMCB, block="vmcb dump")


def _common(text: str) -> Form:
    """A line whose name others use too."""
    return Form("KVM", text, _OF_CONTROL, _VMCB, of="vmcb-control", block="vmcb dump", inside=True)


def _save(text: str, inside: bool = True) -> Form:
    says = "Fields of the state save area: of the VMSA, where KVM may decrypt it."
    return Form("KVM", text, says, _VMCB, of="vmsa", block="vmcb dump", inside=inside)


_CONTROL = (
    "cr_read:            {cr_read:04x}",
    "cr_write:           {cr_write:04x}",
    "dr_read:            {dr_read:04x}",
    "dr_write:           {dr_write:04x}",
    "exceptions:         {exception_intercepts:08x}",
    "intercepts:         {intercepts_3:08x} {intercepts_4:08x}",
    "pause filter count: {pause_filter_count:d}",
    "pause filter threshold:{pause_filter_thresh:d}",
    "iopm_base_pa:       {iopm_base_pa:016x}",
    "msrpm_base_pa:      {msrpm_base_pa:016x}",
    "tsc_offset:         {tsc_offset:016x}",
    "asid:               {asid:d}",
    "tlb_ctl:            {tlb_ctl:d}",
    "int_ctl:            {int_ctl:08x}",
    "int_vector:         {int_vector:08x}",
    "int_state:          {int_state:08x}",
    "exit_int_info:      {exit_int_info:08x}",
    "exit_int_info_err:  {event_error:08x}",
    "nested_ctl:         {misc_ctl:d}",
    "misc_ctl:           {misc_ctl:d}",
    "nested_cr3:         {nested_cr3:016x}",
    "avic_vapic_bar:     {avic_vapic_bar:016x}",
    "event_inj:          {event_inj:08x}",
    "event_inj_err:      {event_error:08x}",
    "virt_ext:           {misc_ctl2:d}",
    "next_rip:           {next_rip:016x}",
    "avic_backing_page:  {avic_backing_page:016x}",
    "avic_logical_id:    {avic_logical_id:016x}",
    "avic_physical_id:   {avic_physical_id:016x}",
)
_TELLING = (
    "vmpl: {vmpl:d}   cpl:  {cpl:d}               efer:          {efer:016x}",
    "sev_features    {sev_features:016x}",
)
_SAVED = (
    "cr0:            {cr0:016x} cr2:          {cr2:016x}",
    "cr3:            {cr3:016x} cr4:          {cr4:016x}",
    "dr6:            {dr6:016x} dr7:          {dr7:016x}",
    "rip:            {rip:016x} rflags:       {rflags:016x}",
    "rsp:            {rsp:016x} rax:          {rax:016x}",
    "s_cet:          {s_cet:016x} ssp:          {ssp:016x}",
    "isst_addr:      {isst_addr:016x}",
    "star:           {star:016x} lstar:        {lstar:016x}",
    "cstar:          {cstar:016x} sfmask:       {sfmask:016x}",
    "kernel_gs_base: {kernel_gs_base:016x} sysenter_cs:  {sysenter_cs:016x}",
    "sysenter_esp:   {sysenter_esp:016x} sysenter_eip: {sysenter_eip:016x}",
    "gpat:           {g_pat:016x} dbgctl:       {dbgctl:016x}",
    "br_from:        {br_from:016x} br_to:        {br_to:016x}",
    "excp_from:      {last_excp_from:016x} excp_to:      {last_excp_to:016x}",
    "pl0_ssp:        {pl0_ssp:016x} pl1_ssp:      {pl1_ssp:016x}",
    "pl2_ssp:        {pl2_ssp:016x} pl3_ssp:      {pl3_ssp:016x}",
    "u_cet:          {u_cet:016x}",
    "rax:            {rax:016x} rbx:          {rbx:016x}",
    "rcx:            {rcx:016x} rdx:          {rdx:016x}",
    "rsi:            {rsi:016x} rdi:          {rdi:016x}",
    "rbp:            {rbp:016x} rsp:          {rsp:016x}",
    "r8:             {r8:016x} r9:           {r9:016x}",
    "r10:            {r10:016x} r11:          {r11:016x}",
    "r12:            {r12:016x} r13:          {r13:016x}",
    "r14:            {r14:016x} r15:          {r15:016x}",
    "xcr0:           {xcr0:016x} xss:          {xss:016x}",
)

KVM_DUMPS = (
    _ghcb("GHCB (GPA={ghcb_gpa:016x}):", "A dump of a GHCB, whose request was not valid.", True),
    _ghcb(
        "GHCB (GPA={ghcb_gpa:016x}) snapshot:",
        "A dump of what KVM took from a GHCB, whose request was not valid.",
        True,
    ),
    _ghcb("sw_exit_code        {sw_exit_code:016x} is_valid: {is_valid:d}"),
    _ghcb("sw_exit_info_1      {sw_exit_info_1:016x} is_valid: {is_valid:d}"),
    _ghcb("sw_exit_info_2      {sw_exit_info_2:016x} is_valid: {is_valid:d}"),
    _ghcb("sw_scratch          {sw_scratch:016x} is_valid: {is_valid:d}"),
    _ghcb("valid_bitmap        {valid_bits}", "Which fields of the GHCB the guest marked valid."),
    Form(
        "KVM",
        "{guest_type:s} vCPU{vcpu:d} VMCB {vmcb:x}, last attempted VMRUN on CPU {cpu:d}",
        "A dump of a VMCB: KVM could not run the vCPU, or did not know its exit.",
        _VMCB,
        block="vmcb dump",
        heads=True,
    ),
    _control("exit_code:          {vmcb_exit_code:08x}"),
    _control("exit_info1:         {vmcb_exit_info_1:016x}"),
    _control("exit_info2:         {vmcb_exit_info_2:016x}"),
    _control("ghcb:               {ghcb_msr:016x}"),
    _control("vmsa_pa:            {vmsa_hpa:016x}"),
    _control("allowed_sev_features:{allowed_sev_features:016x}"),
    _control("guest_sev_features: {guest_sev_features:016x}"),
    *map(_common, _CONTROL),
    Form(
        "KVM",
        "VMCB Control Area:",
        "What KVM asked of the processor, and why the guest exited, follow.",
        _VMCB,
        block="vmcb dump",
    ),
    Form(
        "KVM",
        "VMCB State Save Area:",
        "The state of the vCPU follows.",
        _VMCB,
        block="vmcb dump",
    ),
    Form(
        "KVM",
        "{segment:s}   s: {selector:04x} a: {attributes:04x} l: {limit:08x} b: {base:016x}",
        "A segment register of the state save area.",
        _VMCB,
        of="segment",
        block="vmcb dump",
    ),
    *(_save(text, inside=False) for text in _TELLING),
    *(_save(text) for text in _SAVED),
)
