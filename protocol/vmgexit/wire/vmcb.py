"""The control area of the VMCB: what a host intercepts, how it runs a guest, and why the guest exited.

The other half of the VMCB, the save area, belongs to guests without SEV-ES; those with SEV-ES have a
`vmsa` in its place, and `vmsa_pa` leads there.

Sources: Linux arch/x86/include/asm/svm.h (vmcb_control_area, enum intercept words, V_ and SVM_MISC
bits), arch/x86/kvm/svm/svm.h (clean bits), the Secure AVIC host series (mail) for `update_irr` and
`requested_irr`, a patch of Xen svm/vmcb.h (mail) for bits 3 to 5 of `misc_ctl`.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..schema import (
    Bits,
    Code,
    Note,
    Record,
    Rule,
    bit,
    bitmap,
    bits,
    nested,
    raw,
    reserved,
    reserved_bytes,
    structure,
    u8,
    u16,
    u32,
    u64,
)
from .exit_codes import exit_name
from .exit_information import information_notes
from .vmsa import EventInj, SevFeatures

SOURCE = "Linux arch/x86/include/asm/svm.h"
CONTROL_SIZE = 0x400


@structure("register-intercepts", size=4, source=SOURCE)
class RegisterIntercepts(Bits):
    """Accesses to control or debug registers that exit: words 0 and 1 of the VMCB."""

    reads: int = bits(16, "Reads: bit n is that of register n")
    writes: int = bits(16, "Writes: bit n is that of register n")


@structure("intercepts-word-3", size=4, source=SOURCE)
class InterceptsWord3(Bits):
    """Events and instructions that exit: word 3 of the VMCB, exit codes 0x60 to 0x7F."""

    intr: bool = bit("Interrupts", spec="INTR")
    nmi: bool = bit("NMIs", spec="NMI")
    smi: bool = bit("SMIs", spec="SMI")
    init: bool = bit("INIT", spec="INIT")
    vintr: bool = bit("Virtual interrupts, when they can be taken", spec="VINTR")
    cr0_selective: bool = bit("Writes of CR0 that change more than TS and MP", spec="SELECTIVE_CR0")
    store_idtr: bool = bit("SIDT", spec="STORE_IDTR")
    store_gdtr: bool = bit("SGDT", spec="STORE_GDTR")
    store_ldtr: bool = bit("SLDT", spec="STORE_LDTR")
    store_tr: bool = bit("STR", spec="STORE_TR")
    load_idtr: bool = bit("LIDT", spec="LOAD_IDTR")
    load_gdtr: bool = bit("LGDT", spec="LOAD_GDTR")
    load_ldtr: bool = bit("LLDT", spec="LOAD_LDTR")
    load_tr: bool = bit("LTR", spec="LOAD_TR")
    rdtsc: bool = bit("RDTSC", spec="RDTSC")
    rdpmc: bool = bit("RDPMC", spec="RDPMC")
    pushf: bool = bit("PUSHF", spec="PUSHF")
    popf: bool = bit("POPF", spec="POPF")
    cpuid: bool = bit("CPUID", spec="CPUID")
    rsm: bool = bit("RSM", spec="RSM")
    iret: bool = bit("IRET", spec="IRET")
    int_n: bool = bit("INT n", spec="INTn")
    invd: bool = bit("INVD", spec="INVD")
    pause: bool = bit("PAUSE", spec="PAUSE")
    hlt: bool = bit("HLT", spec="HLT")
    invlpg: bool = bit("INVLPG", spec="INVLPG")
    invlpga: bool = bit("INVLPGA", spec="INVLPGA")
    ioio: bool = bit("IN and OUT of the ports in the IOPM", spec="IOIO_PROT")
    msr: bool = bit("RDMSR and WRMSR of the registers in the MSRPM", spec="MSR_PROT")
    task_switch: bool = bit("Task switches", spec="TASK_SWITCH")
    ferr_freeze: bool = bit("Freezes by FERR", spec="FERR_FREEZE")
    shutdown: bool = bit("Shutdown", spec="SHUTDOWN")


@structure("intercepts-word-4", size=4, source=SOURCE)
class InterceptsWord4(Bits):
    """Instructions that exit: word 4 of the VMCB, exit codes 0x80 to 0x9F."""

    vmrun: bool = bit("VMRUN; must be set", spec="VMRUN")
    vmmcall: bool = bit("VMMCALL", spec="VMMCALL")
    vmload: bool = bit("VMLOAD", spec="VMLOAD")
    vmsave: bool = bit("VMSAVE", spec="VMSAVE")
    stgi: bool = bit("STGI", spec="STGI")
    clgi: bool = bit("CLGI", spec="CLGI")
    skinit: bool = bit("SKINIT", spec="SKINIT")
    rdtscp: bool = bit("RDTSCP", spec="RDTSCP")
    icebp: bool = bit("ICEBP", spec="ICEBP")
    wbinvd: bool = bit("WBINVD", spec="WBINVD")
    monitor: bool = bit("MONITOR", spec="MONITOR")
    mwait: bool = bit("MWAIT", spec="MWAIT")
    mwait_conditional: bool = bit("MWAIT where the monitor is armed", spec="MWAIT_COND")
    xsetbv: bool = bit("XSETBV", spec="XSETBV")
    rdpru: bool = bit("RDPRU", spec="RDPRU")
    efer_write_trap: bool = bit("Writes of EFER, after they were done", spec="TRAP_EFER_WRITE")
    cr_write_traps: int = bits(
        16, "Writes of CRn, after they were done; Linux names CR0 to CR8", spec="TRAP_CR_WRITE"
    )


@structure("intercepts-word-5", size=4, source=SOURCE)
class InterceptsWord5(Bits):
    """Instructions that exit: word 5 of the VMCB, exit codes from 0xA0 on."""

    invlpgb: bool = bit("INVLPGB", spec="INVLPGB")
    invlpgb_illegal: bool = bit("INVLPGB that the guest may not execute", spec="INVLPGB_ILLEGAL")
    invpcid: bool = bit("INVPCID", spec="INVPCID")
    mcommit: bool = bit("MCOMMIT", spec="MCOMMIT")
    tlbsync: bool = bit("TLBSYNC", spec="TLBSYNC")
    bus_lock: bool = bit("Bus locks, when the counter is at its end", spec="BUSLOCK")
    idle_hlt: bool = bit("HLT with nothing pending", spec="IDLE_HLT")
    reserved_31_7: int = reserved(25, Rule.IGNORED, meaning="Not described by the sources read")


class TlbControl(Code):
    """What VMRUN removes from the TLB."""

    DO_NOTHING = 0
    FLUSH_ALL_ASID = 1, "translations of everybody"
    FLUSH_ASID = 3, "translations of this guest"
    FLUSH_ASID_LOCAL = 7, "translations of this guest that are not global"


@structure("erap-control", size=1, source=SOURCE)
class ErapControl(Bits):
    """Control of the return address predictor, offset 0x05D of the VMCB."""

    allow_larger_rap: bool = bit("The guest may use all of it", spec="ALLOW_LARGER_RAP")
    clear_rap: bool = bit("VMRUN clears it", spec="CLEAR_RAP")
    reserved_7_2: int = reserved(6)


@structure("vmcb-int-ctl", size=4, source=SOURCE)
class VmcbIntCtl(Bits):
    """Virtual interrupts, offset 0x060 of the VMCB; guests with SEV-ES: `vintr-ctrl` of the VMSA, too."""

    v_tpr: int = bits(8, "Virtual TPR; the hardware uses bits 3:0", spec="V_TPR")
    v_irq: bool = bit("A virtual interrupt is pending", spec="V_IRQ")
    v_gif: bool = bit("Virtual global interrupt flag", spec="V_GIF")
    reserved_10: int = reserved(1)
    v_nmi_pending: bool = bit("A virtual NMI is pending", spec="V_NMI_PENDING")
    v_nmi_blocking: bool = bit("Virtual NMIs are blocked", spec="V_NMI_BLOCKING")
    reserved_15_13: int = reserved(3)
    v_intr_prio: int = bits(4, "Priority of the virtual interrupt", spec="V_INTR_PRIO")
    v_ign_tpr: bool = bit("Deliver whatever the TPR says", spec="V_IGN_TPR")
    reserved_23_21: int = reserved(3)
    v_intr_masking: bool = bit(
        "RFLAGS.IF of the guest masks virtual interrupts only", spec="V_INTR_MASKING"
    )
    v_gif_enable: bool = bit("The virtual GIF is in use", spec="V_GIF_ENABLE")
    v_nmi_enable: bool = bit("Virtual NMIs are in use", spec="V_NMI_ENABLE")
    reserved_29_27: int = reserved(3)
    x2apic_mode: bool = bit("AVIC for x2APIC", spec="X2APIC_MODE")
    avic_enable: bool = bit("AVIC is on", spec="AVIC_ENABLE")


@structure("vmcb-int-state", size=4, source=SOURCE)
class VmcbIntState(Bits):
    """Interrupts of the guest, offset 0x068 of the VMCB."""

    interrupt_shadow: bool = bit("The guest is in an interrupt shadow")
    guest_interrupt_mask: bool = bit("RFLAGS.IF of a guest with SEV-ES")
    reserved_31_2: int = reserved(30)


@structure("vmcb-misc-ctl", size=8, source=f"{SOURCE}; Xen svm/vmcb.h (mail)")
class VmcbMiscCtl(Bits):
    """What the guest runs with, offset 0x090 of the VMCB; older Linux: nested_ctl."""

    nested_paging: bool = bit("Nested paging", spec="ENABLE_NP")
    sev: bool = bit("SEV", spec="ENABLE_SEV")
    sev_es: bool = bit("SEV-ES", spec="ENABLE_SEV_ES")
    guest_mode_execute_trap: bool = bit("Guest mode execute trap; Xen alone names it", spec="GMET")
    supervisor_shadow_stacks: bool = bit(
        "Check of supervisor shadow stacks; Xen alone names it", spec="NP_SSS"
    )
    virtual_transparent_encryption: bool = bit(
        "Virtual transparent encryption; Xen alone names it", spec="VTE"
    )
    reserved_63_6: int = reserved(58, Rule.IGNORED, meaning="Not described by the sources read")


@structure("vmcb-misc-ctl2", size=8, source=SOURCE)
class VmcbMiscCtl2(Bits):
    """What the guest runs with, offset 0x0B8 of the VMCB; older Linux: virt_ext."""

    v_lbr: bool = bit("Last branch records are virtualized", spec="ENABLE_V_LBR")
    v_vmload_vmsave: bool = bit("VMLOAD and VMSAVE are virtualized", spec="ENABLE_V_VMLOAD_VMSAVE")
    reserved_63_2: int = reserved(62, Rule.IGNORED, meaning="Not described by the sources read")


@structure("vmcb-clean", size=4, source="Linux arch/x86/kvm/svm/svm.h")
class VmcbClean(Bits):
    """What the host has not changed since the last VMRUN, offset 0x0C0 of the VMCB."""

    intercepts: bool = bit("Intercepts, TSC offset, pause filter", spec="INTERCEPTS")
    permission_maps: bool = bit("IOPM and MSRPM", spec="PERM_MAP")
    asid: bool = bit("ASID", spec="ASID")
    interrupts: bool = bit("Virtual interrupts", spec="INTR")
    nested_paging: bool = bit("Nested paging", spec="NPT")
    control_registers: bool = bit("CR0, CR3, CR4, EFER", spec="CR")
    debug_registers: bool = bit("DR6, DR7", spec="DR")
    descriptor_tables: bool = bit("GDT, IDT", spec="DT")
    segments: bool = bit("CS, DS, SS, ES, CPL", spec="SEG")
    cr2: bool = bit("CR2", spec="CR2")
    last_branches: bool = bit("Last branch records", spec="LBR")
    avic: bool = bit("AVIC's addresses", spec="AVIC")
    cet: bool = bit("Control-flow enforcement", spec="CET")
    reserved_30_13: int = reserved(18, Rule.IGNORED)
    software: bool = bit("For the hypervisor's own use", spec="SW")


@structure("avic-physical-table", size=8, source=SOURCE)
class AvicPhysicalTable(Bits):
    """AVIC's table of physical APIC IDs, offset 0x0F8 of the VMCB."""

    max_index: int = bits(12, "Last index of the table", spec="AVIC_PHYSICAL_MAX_INDEX")
    frame: int = bits(40, "Frame of the table")
    reserved_63_52: int = reserved(12)


@structure("vmcb-control", size=CONTROL_SIZE, source=SOURCE)
class VmcbControl(Record):
    """Control area of the VMCB: its first 1,024 bytes."""

    cr_intercepts: RegisterIntercepts = nested(RegisterIntercepts, "Accesses to CR that exit")
    dr_intercepts: RegisterIntercepts = nested(RegisterIntercepts, "Accesses to DR that exit")
    exception_intercepts: int = bitmap(4, "Exceptions that exit, by vector")
    intercepts_3: InterceptsWord3 = nested(InterceptsWord3, "Exits 0x60 to 0x7F")
    intercepts_4: InterceptsWord4 = nested(InterceptsWord4, "Exits 0x80 to 0x9F")
    intercepts_5: InterceptsWord5 = nested(InterceptsWord5, "Exits from 0xA0 on")
    reserved_0x018: bytes = reserved_bytes(36)
    pause_filter_thresh: int = u16("Cycles between PAUSEs that count as one loop")
    pause_filter_count: int = u16("PAUSEs before one exits")
    iopm_base_pa: int = u64("Physical address of the I/O permission map", spec="IOPM_BASE_PA")
    msrpm_base_pa: int = u64("Physical address of the MSR permission map", spec="MSRPM_BASE_PA")
    tsc_offset: int = u64("Added to the TSC", spec="TSC_OFFSET")
    asid: int = u32("ASID of the guest", spec="GUEST_ASID")
    tlb_ctl: int = u8("What VMRUN removes from the TLB", enum=TlbControl, spec="TLB_CONTROL")
    erap_ctl: ErapControl = nested(ErapControl, "Return address predictor", spec="ERAP_CTL")
    reserved_0x05e: bytes = reserved_bytes(2)
    int_ctl: VmcbIntCtl = nested(VmcbIntCtl, "Virtual interrupts", spec="INT_CTL")
    int_vector: int = u32("Vector of the virtual interrupt, bits 7:0", spec="V_INTR_VECTOR")
    int_state: VmcbIntState = nested(VmcbIntState, "Interrupts of the guest", spec="INT_STATE")
    reserved_0x06c: bytes = reserved_bytes(4)
    exit_code: int = u64("Why the guest exited; see exit_codes", spec="EXITCODE")
    exit_info_1: int = u64("First information word of the exit", spec="EXITINFO1")
    exit_info_2: int = u64("Second information word", spec="EXITINFO2")
    exit_int_info: EventInj = nested(
        EventInj, "Event that the exit interrupted", spec="EXITINTINFO"
    )
    misc_ctl: VmcbMiscCtl = nested(VmcbMiscCtl, "What the guest runs with", spec="MISC_CTL")
    avic_vapic_bar: int = u64("Guest-physical address of the APIC", spec="AVIC_APIC_BAR")
    ghcb_gpa: int = u64("GHCB MSR of the guest", spec="GHCB_GPA")
    event_inj: EventInj = nested(EventInj, "Event to deliver", spec="EVENTINJ")
    nested_cr3: int = u64("Root of the nested page tables", spec="N_CR3")
    misc_ctl2: VmcbMiscCtl2 = nested(VmcbMiscCtl2, "What the guest runs with", spec="MISC_CTL2")
    clean: VmcbClean = nested(VmcbClean, "What has not changed", spec="CLEAN")
    reserved_0x0c4: bytes = reserved_bytes(4)
    next_rip: int = u64("RIP of the next instruction", spec="NRIP")
    insn_len: int = u8("Bytes of the instruction that were fetched")
    insn_bytes: bytes = raw(15, "Bytes of the instruction")
    avic_backing_page: int = u64("Physical address of the APIC's page", spec="AVIC_BACKING_PAGE")
    reserved_0x0e8: bytes = reserved_bytes(8)
    avic_logical_id: int = u64(
        "Physical address of the table of logical IDs", spec="AVIC_LOGICAL_ID"
    )
    avic_physical_id: AvicPhysicalTable = nested(
        AvicPhysicalTable, "Table of physical IDs", spec="AVIC_PHYSICAL_ID"
    )
    reserved_0x100: bytes = reserved_bytes(8)
    vmsa_pa: int = u64("Physical address of the VMSA, with SEV-ES", spec="VMSA_PA")
    reserved_0x110: bytes = reserved_bytes(16)
    bus_lock_counter: int = u16("Bus locks before one exits")
    reserved_0x122: bytes = reserved_bytes(18)
    update_irr: int = u32("Not 0: VMRUN takes `requested_irr`, with Secure AVIC", spec="UPDATE_IRR")
    allowed_sev_features: SevFeatures = nested(
        SevFeatures, "SEV_FEATURES that the host allows, in force with bit 63"
    )
    guest_sev_features: SevFeatures = nested(SevFeatures, "SEV_FEATURES of the VMSA that ran")
    reserved_0x148: bytes = reserved_bytes(8)
    requested_irr: int = bitmap(
        32, "Vectors that the host requests, with Secure AVIC", spec="REQUESTED_IRR"
    )
    reserved_0x170: bytes = reserved_bytes(0x270)
    software: bytes = raw(32, "For the hypervisor's own use; Hyper-V's enlightenments")

    def notes(self) -> Iterator[Note]:
        yield Note("exit_code", exit_name(self.exit_code))
        yield from information_notes(
            self.exit_code, exit_info_1=self.exit_info_1, exit_info_2=self.exit_info_2
        )
