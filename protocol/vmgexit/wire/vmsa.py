"""The VMSA: a vCPU's state as the processor saves it, and the words of it that have bits.

Where OpenVMM and COCONUT-SVSM differ, the field has the name that one of them gives it; `readings`
says which one reserves it. Operands of RMPADJUST and PVALIDATE are in `rmp`.

Sources: COCONUT-SVSM cpuarch/src/vmsa.rs (size asserted there) and cpuarch/src/sev_status.rs,
OpenVMM vm/x86/x86defs/src/snp.rs, mushroom common/snp-types/src/vmsa.rs, edk2
MdePkg/Include/Register/Amd/SevSnpMsr.h.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from typing import Self

from ..schema import (
    Bits,
    Note,
    Problem,
    Record,
    bit,
    bits,
    nested,
    raw,
    reserved,
    reserved_bytes,
    set_numbers,
    structure,
    u8,
    u16,
    u32,
    u64,
)
from .exceptions import exception
from .exit_codes import exit_name
from .exit_information import information_notes
from .readings import notes_on

SOURCE = "COCONUT-SVSM cpuarch/src/vmsa.rs"
FEATURES_SOURCE = "OpenVMM vm/x86/x86defs/src/snp.rs; edk2 SevSnpMsr.h"

EFER_SVME = 1 << 12
"""Set in EFER of a VMSA that can be run."""

RFLAGS_IF = 1 << 9
"""Interrupts are on, in RFLAGS."""


class EventType(IntEnum):
    """What kind of event EVENTINJ or EXITINTINFO holds."""

    EXTERNAL_INTERRUPT = 0
    NMI = 2
    EXCEPTION = 3
    SOFTWARE_INTERRUPT = 4


@structure("vintr-ctrl", size=8, source=SOURCE)
class VintrCtrl(Bits):
    """VINTR_CTRL, VMSA offset 0x3B8: the virtual interrupt that the hardware delivers."""

    v_tpr: int = bits(
        8, "Virtual TPR; the hardware uses bits 3:0, which are APIC TPR >> 4", spec="V_TPR"
    )
    v_irq: bool = bit("A virtual interrupt is pending", spec="V_IRQ")
    vgif: bool = bit("Virtual global interrupt flag", spec="VGIF")
    int_shadow: bool = bit("The guest is in an interrupt shadow", spec="INT_SHADOW")
    v_nmi: bool = bit("A virtual NMI is pending", spec="V_NMI")
    v_nmi_mask: bool = bit("Virtual NMIs are blocked", spec="V_NMI_MASK")
    reserved_15_13: int = reserved(3)
    v_intr_prio: int = bits(4, "Priority of the virtual interrupt: vector >> 4", spec="V_INTR_PRIO")
    v_ign_tpr: bool = bit("Deliver whatever the TPR says", spec="V_IGN_TPR")
    reserved_25_21: int = reserved(5)
    v_nmi_enable: bool = bit("Virtual NMIs are in use", spec="V_NMI_ENABLE")
    reserved_31_27: int = reserved(5)
    v_intr_vector: int = bits(8, "Vector of the virtual interrupt", spec="V_INTR_VECTOR")
    reserved_62_40: int = reserved(23)
    busy: bool = bit(
        "The VMSA is in use; only with Alternate Injection or Secure AVIC", spec="BUSY"
    )


@structure("event-inj", size=8, source=SOURCE)
class EventInj(Bits):
    """EVENTINJ, VMSA offset 0x3E0, and EXITINTINFO, 0x3A0: one event to deliver, or not delivered."""

    vector: int = bits(8, "Vector")
    type: int = bits(3, "What kind of event", enum=EventType)
    error_code_valid: bool = bit("ErrorCode is pushed")
    reserved_30_12: int = reserved(19)
    valid: bool = bit("There is an event")
    error_code: int = bits(32, "Error code")

    def notes(self) -> Iterator[Note]:
        if self.valid and self.type == EventType.EXCEPTION and (name := exception(self.vector)):
            yield Note("vector", name)


@structure("sev-features", size=8, source=FEATURES_SOURCE)
class SevFeatures(Bits):
    """SEV_FEATURES, VMSA offset 0x3B0: what is switched on for a vCPU at its VMPL."""

    snp_active: bool = bit("SEV-SNP", spec="SNPActive")
    vtom: bool = bit("Virtual top of memory", spec="vTOM")
    reflect_vc: bool = bit("#VC goes to the VMPL above", spec="ReflectVC")
    restricted_injection: bool = bit("The host injects #HV only", spec="RestrictInjection")
    alternate_injection: bool = bit("Events come by EVENTINJ and VINTR_CTRL of the VMSA")
    debug_swap: bool = bit("Debug registers are swapped", spec="DebugSwap")
    prevent_host_ibs: bool = bit("No IBS of the host", spec="PreventHostIBS")
    snp_btb_isolation: bool = bit("Branch target buffer is isolated", spec="SNPBTBIsolation")
    vmpl_sss: bool = bit("Supervisor shadow stacks by VMPL", spec="VmplSSS")
    secure_tsc: bool = bit("TSC that the host cannot change", spec="SecureTsc")
    vmgexit_parameter: bool = bit("VMGEXIT takes a parameter")
    pmc_virtualization: bool = bit("Performance counters are virtualized")
    ibs_virtualization: bool = bit("IBS is virtualized", spec="IbsVirtualization")
    guest_intercept_control: bool = bit("The guest controls intercepts")
    vmsa_register_protection: bool = bit("Registers in the VMSA are XORed with a nonce")
    smt_protection: bool = bit("The sibling thread is idle", spec="SmtProtection")
    secure_avic: bool = bit("APIC in a page of the guest's own", spec="SecureAvic")
    reserved_20_17: int = reserved(4)
    ibpb_on_entry: bool = bit("Branch prediction barrier at entry", spec="IbpbOnEntry")
    reserved_62_22: int = reserved(41)
    allowed_sev_features_enable: bool = bit("The host's list of allowed features applies")

    def broken(self) -> Iterator[Problem]:
        yield from _both_injections(self)

    def notes(self) -> Iterator[Note]:
        yield from notes_on(self)


@structure("sev-status", size=8, source="COCONUT-SVSM cpuarch/src/sev_status.rs; edk2 SevSnpMsr.h")
class SevStatus(Bits):
    """SEV_STATUS MSR, 0xC0010131: SEV_FEATURES shifted left by 2, above SEV and SEV-ES."""

    sev: bool = bit("SEV", spec="SEV")
    sev_es: bool = bit("SEV-ES", spec="SEV_ES")
    snp_active: bool = bit("SEV-SNP", spec="SEV_SNP")
    vtom: bool = bit("Virtual top of memory", spec="VTOM")
    reflect_vc: bool = bit("#VC goes to the VMPL above", spec="REFLECT_VC")
    restricted_injection: bool = bit("The host injects #HV only", spec="REST_INJ")
    alternate_injection: bool = bit("Events come by the VMSA", spec="ALT_INJ")
    debug_swap: bool = bit("Debug registers are swapped", spec="DBGSWP")
    prevent_host_ibs: bool = bit("No IBS of the host", spec="PREV_HOST_IBS")
    snp_btb_isolation: bool = bit("Branch target buffer is isolated", spec="BTB_ISOLATION")
    vmpl_sss: bool = bit("Supervisor shadow stacks by VMPL", spec="VMPL_SSS")
    secure_tsc: bool = bit("TSC that the host cannot change", spec="SECURE_TSC")
    vmgexit_parameter: bool = bit("VMGEXIT takes a parameter", spec="VMGEXIT_PARAMETER")
    pmc_virtualization: bool = bit("Performance counters are virtualized", spec="PMC_VIRT")
    ibs_virtualization: bool = bit("IBS is virtualized", spec="IBS_VIRT")
    guest_intercept_control: bool = bit("The guest controls intercepts", spec="GUEST_INTERCEPT")
    vmsa_register_protection: bool = bit("Registers are XORed", spec="VMSA_REG_PROT")
    smt_protection: bool = bit("The sibling thread is idle", spec="SMT_PROT")
    secure_avic: bool = bit("APIC in a page of the guest's own", spec="SECURE_AVIC")
    reserved_22_19: int = reserved(4)
    ibpb_on_entry: bool = bit("Branch prediction barrier at entry", spec="IBPB_ON_ENTRY")
    reserved_63_24: int = reserved(40)

    def broken(self) -> Iterator[Problem]:
        yield from _both_injections(self)


def _both_injections(word: SevFeatures | SevStatus) -> Iterator[Problem]:
    if word.secure_avic and word.alternate_injection:
        rule = "Secure AVIC and Alternate Injection exclude each other"
        yield Problem("secure_avic", True, rule, "EXIT-3")


@structure("secure-avic-control", size=8, source="OpenVMM vm/x86/x86defs/src/snp.rs")
class SecureAvicControl(Bits):
    """Secure AVIC control, VMSA offset 0x320."""

    enabled: bool = bit("Secure AVIC is on")
    allowed_nmi: bool = bit("The host may inject an NMI", spec="AllowedNmi")
    reserved_11_2: int = reserved(10)
    backing_page_frame: int = bits(52, "Guest frame number of the backing page")


@structure("segment", size=16, source=SOURCE)
class SegmentRegister(Record):
    """One segment register, or a descriptor table register: 16 bytes."""

    selector: int = u16("Selector")
    attributes: int = u16("Attributes: bits 15:8 and 23:20 of the descriptor, side by side")
    limit: int = u32("Limit in bytes")
    base: int = u64("Base address")


def _segment(name: str) -> SegmentRegister:
    held: SegmentRegister = nested(SegmentRegister, f"{name} segment register", spec=name)
    return held


def _table(name: str) -> SegmentRegister:
    held: SegmentRegister = nested(SegmentRegister, f"{name} register", spec=name)
    return held


@structure("vmsa", size=4096, source=SOURCE)
class Vmsa(Record):
    """VMSA: 4 KiB, one per vCPU and VMPL, encrypted."""

    es: SegmentRegister = _segment("ES")
    cs: SegmentRegister = _segment("CS")
    ss: SegmentRegister = _segment("SS")
    ds: SegmentRegister = _segment("DS")
    fs: SegmentRegister = _segment("FS")
    gs: SegmentRegister = _segment("GS")
    gdt: SegmentRegister = _table("GDT")
    ldt: SegmentRegister = _table("LDT")
    idt: SegmentRegister = _table("IDT")
    tr: SegmentRegister = _segment("TR")
    pl0_ssp: int = u64("Shadow stack pointer of privilege level 0", spec="PL0_SSP")
    pl1_ssp: int = u64("Shadow stack pointer of privilege level 1", spec="PL1_SSP")
    pl2_ssp: int = u64("Shadow stack pointer of privilege level 2", spec="PL2_SSP")
    pl3_ssp: int = u64("Shadow stack pointer of privilege level 3", spec="PL3_SSP")
    u_cet: int = u64("Control-flow enforcement in user mode", spec="U_CET")
    reserved_0x0c8: bytes = reserved_bytes(2)
    vmpl: int = u8("VMPL that this state runs at", spec="VMPL")
    cpl: int = u8("Privilege level", spec="CPL")
    reserved_0x0cc: bytes = reserved_bytes(4)
    efer: int = u64("EFER; bit 12, SVME, must be set for the state to be run", spec="EFER")
    reserved_0x0d8: bytes = reserved_bytes(104)
    xss: int = u64("XSS", spec="XSS")
    cr4: int = u64("CR4", spec="CR4")
    cr3: int = u64("CR3", spec="CR3")
    cr0: int = u64("CR0", spec="CR0")
    dr7: int = u64("DR7", spec="DR7")
    dr6: int = u64("DR6", spec="DR6")
    rflags: int = u64("RFLAGS; bit 9 is IF", spec="RFLAGS")
    rip: int = u64("RIP", spec="RIP")
    dr0: int = u64("DR0", spec="DR0")
    dr1: int = u64("DR1", spec="DR1")
    dr2: int = u64("DR2", spec="DR2")
    dr3: int = u64("DR3", spec="DR3")
    dr0_mask: int = u64("Address mask of DR0", spec="DR0_ADDR_MASK")
    dr1_mask: int = u64("Address mask of DR1", spec="DR1_ADDR_MASK")
    dr2_mask: int = u64("Address mask of DR2", spec="DR2_ADDR_MASK")
    dr3_mask: int = u64("Address mask of DR3", spec="DR3_ADDR_MASK")
    reserved_0x1c0: bytes = reserved_bytes(24)
    rsp: int = u64("RSP", spec="RSP")
    s_cet: int = u64("Control-flow enforcement in supervisor mode", spec="S_CET")
    ssp: int = u64("Shadow stack pointer", spec="SSP")
    isst_addr: int = u64("Address of the interrupt shadow stack table", spec="ISST_ADDR")
    rax: int = u64("RAX", spec="RAX")
    star: int = u64("STAR", spec="STAR")
    lstar: int = u64("LSTAR", spec="LSTAR")
    cstar: int = u64("CSTAR", spec="CSTAR")
    sfmask: int = u64("SFMASK", spec="SFMASK")
    kernel_gs_base: int = u64("KernelGsBase")
    sysenter_cs: int = u64("SYSENTER_CS", spec="SYSENTER_CS")
    sysenter_esp: int = u64("SYSENTER_ESP", spec="SYSENTER_ESP")
    sysenter_eip: int = u64("SYSENTER_EIP", spec="SYSENTER_EIP")
    cr2: int = u64("CR2", spec="CR2")
    reserved_0x248: bytes = reserved_bytes(32)
    g_pat: int = u64("Page attribute table of the guest", spec="G_PAT")
    dbgctl: int = u64("Debug control MSR", spec="DBGCTL")
    br_from: int = u64("Last branch: from", spec="BR_FROM")
    br_to: int = u64("Last branch: to", spec="BR_TO")
    last_excp_from: int = u64("Last exception: from", spec="LAST_EXCP_FROM")
    last_excp_to: int = u64("Last exception: to", spec="LAST_EXCP_TO")
    reserved_0x298: bytes = reserved_bytes(72)
    spec_ctrl: int = u64("Speculation control MSR", spec="SPEC_CTRL")
    pkru: int = u32("Protection keys", spec="PKRU")
    tsc_aux: int = u32("TSC_AUX", spec="TSC_AUX")
    guest_tsc_scale: int = u64("TSC scale, with Secure TSC", spec="GUEST_TSC_SCALE")
    guest_tsc_offset: int = u64("TSC offset, with Secure TSC", spec="GUEST_TSC_OFFSET")
    reg_prot_nonce: int = u64("What registers are XORed with", spec="REG_PROT_NONCE")
    rcx: int = u64("RCX", spec="RCX")
    rdx: int = u64("RDX", spec="RDX")
    rbx: int = u64("RBX", spec="RBX")
    secure_avic_control: SecureAvicControl = nested(SecureAvicControl, "Secure AVIC control")
    rbp: int = u64("RBP", spec="RBP")
    rsi: int = u64("RSI", spec="RSI")
    rdi: int = u64("RDI", spec="RDI")
    r8: int = u64("R8", spec="R8")
    r9: int = u64("R9", spec="R9")
    r10: int = u64("R10", spec="R10")
    r11: int = u64("R11", spec="R11")
    r12: int = u64("R12", spec="R12")
    r13: int = u64("R13", spec="R13")
    r14: int = u64("R14", spec="R14")
    r15: int = u64("R15", spec="R15")
    reserved_0x380: bytes = reserved_bytes(16)
    guest_exitinfo1: int = u64("First information word of the exit", spec="GUEST_EXITINFO1")
    guest_exitinfo2: int = u64("Second information word", spec="GUEST_EXITINFO2")
    guest_exitintinfo: EventInj = nested(
        EventInj, "Event that the exit interrupted", spec="GUEST_EXITINTINFO"
    )
    guest_nrip: int = u64("RIP of the next instruction", spec="GUEST_NRIP")
    sev_features: SevFeatures = nested(SevFeatures, "What is on", spec="SEV_FEATURES")
    vintr_ctrl: VintrCtrl = nested(VintrCtrl, "Virtual interrupt", spec="VINTR_CTRL")
    guest_exit_code: int = u64("Why the guest exited; see exit_codes", spec="GUEST_EXIT_CODE")
    vtom: int = u64("Virtual top of memory", spec="VIRTUAL_TOM")
    tlb_id: int = u64("TLB identifier", spec="TLB_ID")
    pcpu_id: int = u64("Processor; 0 = flush the TLB at the next entry", spec="PCPU_ID")
    event_inj: EventInj = nested(EventInj, "Event to deliver", spec="EVENTINJ")
    xcr0: int = u64("XCR0", spec="XCR0")
    x87_state_valid: bytes = raw(16, "Which x87 state is valid", spec="X87StateValid")
    x87_dp: int = u64("x87 data pointer", spec="X87_DP")
    mxcsr: int = u32("MXCSR", spec="MXCSR")
    x87_ftw: int = u16("x87 tag word", spec="X87_FTW")
    x87_fsw: int = u16("x87 status word", spec="X87_FSW")
    x87_fcw: int = u16("x87 control word", spec="X87_FCW")
    x87_fop: int = u16("x87 opcode", spec="X87_FOP")
    x87_ds: int = u16("x87 data segment", spec="X87_DS")
    x87_cs: int = u16("x87 code segment", spec="X87_CS")
    x87_rip: int = u64("x87 instruction pointer", spec="X87_RIP")
    fpreg_x87: bytes = raw(80, "x87 registers, 10 bytes each", spec="FPREG_X87")
    fpreg_xmm: bytes = raw(256, "XMM registers, 16 bytes each", spec="FPREG_XMM")
    fpreg_ymm: bytes = raw(256, "High halves of the YMM registers", spec="FPREG_YMM")
    lbr_stack: bytes = raw(256, "Last branch records", spec="LBR_STACK")
    lbr_select: int = u64("LBR_SELECT", spec="LBR_SELECT")
    ibs_fetch_ctl: int = u64("IBS fetch control", spec="IBS_FETCH_CTL")
    ibs_fetch_linaddr: int = u64("IBS fetch linear address", spec="IBS_FETCH_LINADDR")
    ibs_op_ctl: int = u64("IBS execution control", spec="IBS_OP_CTL")
    ibs_op_rip: int = u64("IBS operation address", spec="IBS_OP_RIP")
    ibs_op_data: int = u64("IBS operation data", spec="IBS_OP_DATA")
    ibs_op_data2: int = u64("IBS operation data 2", spec="IBS_OP_DATA2")
    ibs_op_data3: int = u64("IBS operation data 3", spec="IBS_OP_DATA3")
    ibs_dc_linaddr: int = u64("IBS data cache linear address", spec="IBS_DC_LINADDR")
    bp_ibstgt_rip: int = u64("IBS branch target", spec="BP_IBSTGT_RIP")
    ic_ibs_extd_ctl: int = u64("IBS extended fetch control", spec="IC_IBS_EXTD_CTL")
    reserved_0x7c8: bytes = reserved_bytes(2104)

    @property
    def runnable(self) -> bool:
        """Whether EFER.SVME is set, without which no VMRUN enters the state."""
        return bool(self.efer & EFER_SVME)

    def tweaked(self, bitmap: int) -> Self:
        """The VMSA with every quadword of `bitmap` XORed with the nonce: protects, or undoes it.

        `bitmap` is the secrets page's `vmsa_tweak_bitmap`: bit n stands for the bytes from 8 * n.
        Source: mushroom common/snp-types/src/vmsa.rs, OpenVMM openhcl/hcl/src/vmsa.rs.
        """
        data = bytearray(self.encode())
        for number in set_numbers(bitmap):
            at = slice(8 * number, 8 * number + 8)
            held = int.from_bytes(data[at], "little") ^ self.reg_prot_nonce
            data[at] = held.to_bytes(8, "little")
        return self.decode(bytes(data))

    def broken(self) -> Iterator[Problem]:
        if self.vmpl > 3:
            yield Problem("vmpl", self.vmpl, "there are VMPL 0 to 3", "")
        features = self.sev_features
        if self.vintr_ctrl.busy and not (features.alternate_injection or features.secure_avic):
            # OpenVMM pull request 1488: the state check fails then.
            rule = "only with Alternate Injection or Secure AVIC"
            yield Problem("vintr_ctrl.busy", True, rule, "")

    def notes(self) -> Iterator[Note]:
        exited = (self.guest_exit_code, self.guest_exitinfo1, self.guest_exitinfo2, self.guest_nrip)
        unless = (
            ""
            if any(exited)
            else "names no exit: nothing of one is set, as before the first run; else "
        )
        yield Note("guest_exit_code", f"{unless}{exit_name(self.guest_exit_code)}")
        if any(exited):
            yield from information_notes(
                self.guest_exit_code,
                guest_exitinfo1=self.guest_exitinfo1,
                guest_exitinfo2=self.guest_exitinfo2,
            )
        if not self.runnable:
            yield Note("efer", "SVME is not set: the state cannot be run")
        yield from notes_on(self)
