"""Literal offsets of the VMCB's control area, of AVIC's words and page, of INVLPGB and MOV to CR."""

from .rows import ladder

SVM = "Linux arch/x86/include/asm/svm.h"
CONTROL = f"{SVM} (vmcb_control_area), comments of its offsets"
INTERCEPTS = f"{SVM} (intercept words; bits counted from each word's first)"
CLEAN = "Linux arch/x86/kvm/svm/svm.h (VMCB_INTERCEPTS and those after it)"
OPENVMM = "OpenVMM vm/x86/x86defs/src/snp.rs"
AVIC_PAGE = f"{OPENVMM} (sev_avic_page_field_offsets); Linux arch/x86/include/asm/apicdef.h"

LADDERS = [
    ladder(
        "vmcb-control",
        CONTROL,
        """
        0x000 4   cr_intercepts
        0x004 4   dr_intercepts
        0x008 4   exception_intercepts
        0x00C 4   intercepts_3
        0x010 4   intercepts_4
        0x014 4   intercepts_5
        0x018 36  reserved_0x018
        0x03C 2   pause_filter_thresh
        0x03E 2   pause_filter_count
        0x040 8   iopm_base_pa
        0x048 8   msrpm_base_pa
        0x050 8   tsc_offset
        0x058 4   asid
        0x05C 1   tlb_ctl
        0x05D 1   erap_ctl
        0x05E 2   reserved_0x05e
        0x060 4   int_ctl
        0x064 4   int_vector
        0x068 4   int_state
        0x06C 4   reserved_0x06c
        0x070 8   exit_code
        0x078 8   exit_info_1
        0x080 8   exit_info_2
        0x088 8   exit_int_info
        0x090 8   misc_ctl
        0x098 8   avic_vapic_bar
        0x0A0 8   ghcb_gpa
        0x0A8 8   event_inj
        0x0B0 8   nested_cr3
        0x0B8 8   misc_ctl2
        0x0C0 4   clean
        0x0C4 4   reserved_0x0c4
        0x0C8 8   next_rip
        0x0D0 1   insn_len
        0x0D1 15  insn_bytes
        0x0E0 8   avic_backing_page
        0x0E8 8   reserved_0x0e8
        0x0F0 8   avic_logical_id
        0x0F8 8   avic_physical_id
        0x100 8   reserved_0x100
        0x108 8   vmsa_pa
        0x110 16  reserved_0x110
        0x120 2   bus_lock_counter
        0x122 18  reserved_0x122
        0x134 4   update_irr
        0x138 8   allowed_sev_features
        0x140 8   guest_sev_features
        0x148 8   reserved_0x148
        0x150 32  requested_irr
        0x170 624 reserved_0x170
        0x3E0 32  software
        """,
    ),
    ladder("register-intercepts", INTERCEPTS, "0 16 reads\n 16 16 writes"),
    ladder(
        "intercepts-word-3",
        INTERCEPTS,
        """
        0  1 intr
        1  1 nmi
        2  1 smi
        3  1 init
        4  1 vintr
        5  1 cr0_selective
        6  1 store_idtr
        7  1 store_gdtr
        8  1 store_ldtr
        9  1 store_tr
        10 1 load_idtr
        11 1 load_gdtr
        12 1 load_ldtr
        13 1 load_tr
        14 1 rdtsc
        15 1 rdpmc
        16 1 pushf
        17 1 popf
        18 1 cpuid
        19 1 rsm
        20 1 iret
        21 1 int_n
        22 1 invd
        23 1 pause
        24 1 hlt
        25 1 invlpg
        26 1 invlpga
        27 1 ioio
        28 1 msr
        29 1 task_switch
        30 1 ferr_freeze
        31 1 shutdown
        """,
    ),
    ladder(
        "intercepts-word-4",
        INTERCEPTS,
        """
        0  1  vmrun
        1  1  vmmcall
        2  1  vmload
        3  1  vmsave
        4  1  stgi
        5  1  clgi
        6  1  skinit
        7  1  rdtscp
        8  1  icebp
        9  1  wbinvd
        10 1  monitor
        11 1  mwait
        12 1  mwait_conditional
        13 1  xsetbv
        14 1  rdpru
        15 1  efer_write_trap
        16 16 cr_write_traps
        """,
    ),
    ladder(
        "intercepts-word-5",
        INTERCEPTS,
        """
        0 1  invlpgb
        1 1  invlpgb_illegal
        2 1  invpcid
        3 1  mcommit
        4 1  tlbsync
        5 1  bus_lock
        6 1  idle_hlt
        7 25 reserved_31_7
        """,
    ),
    ladder("erap-control", f"{SVM} (ERAP_CONTROL)", "0 1 allow_larger_rap\n 1 1 clear_rap"),
    ladder(
        "vmcb-int-ctl",
        f"{SVM} (V_TPR_MASK to AVIC_ENABLE_MASK)",
        """
        0  8 v_tpr
        8  1 v_irq
        9  1 v_gif
        11 1 v_nmi_pending
        12 1 v_nmi_blocking
        16 4 v_intr_prio
        20 1 v_ign_tpr
        24 1 v_intr_masking
        25 1 v_gif_enable
        26 1 v_nmi_enable
        30 1 x2apic_mode
        31 1 avic_enable
        """,
    ),
    ladder("vmcb-int-state", SVM, "0 1 interrupt_shadow\n 1 1 guest_interrupt_mask"),
    ladder(
        "vmcb-misc-ctl",
        f"{SVM} (SVM_MISC_ENABLE); Xen svm/vmcb.h (mail) from bit 3 on",
        """
        0 1 nested_paging
        1 1 sev
        2 1 sev_es
        3 1 guest_mode_execute_trap
        4 1 supervisor_shadow_stacks
        5 1 virtual_transparent_encryption
        """,
    ),
    ladder("vmcb-misc-ctl2", f"{SVM} (SVM_MISC2_ENABLE)", "0 1 v_lbr\n 1 1 v_vmload_vmsave"),
    ladder(
        "vmcb-clean",
        CLEAN,
        """
        0  1 intercepts
        1  1 permission_maps
        2  1 asid
        3  1 interrupts
        4  1 nested_paging
        5  1 control_registers
        6  1 debug_registers
        7  1 descriptor_tables
        8  1 segments
        9  1 cr2
        10 1 last_branches
        11 1 avic
        12 1 cet
        31 1 software
        """,
    ),
    ladder(
        "avic-physical-table",
        f"{SVM} (AVIC_PHYSICAL_MAX_INDEX_MASK)",
        "0 12 max_index\n 12 40 frame",
    ),
    ladder("avic-incomplete-ipi", f"{OPENVMM}, and its test", "0 32 icr_low\n 32 32 icr_high"),
    ladder(
        "avic-incomplete-ipi-cause",
        "Linux arch/x86/kvm/svm/avic.c (avic_incomplete_ipi_interception)",
        "0 12 index\n 32 32 failure",
    ),
    ladder("avic-noaccel", f"{OPENVMM}, and its tests", "4 8 register\n 32 1 write"),
    ladder("avic-noaccel-vector", f"{SVM} (AVIC_UNACCEL_ACCESS_VECTOR_MASK)", "0 32 vector"),
    ladder("avic-register", OPENVMM, "0 4 value\n 4 12 reserved_0x004"),
    ladder(
        "avic-irr-register",
        "Linux arch/x86/kernel/apic/x2apic_savic.c (SAVIC_ALLOWED_IRR, SAVIC_NMI_REQ)",
        "0 4 value\n 4 4 allowed\n 8 4 nmi_request\n 12 4 reserved_0x00c",
    ),
    ladder(
        "avic-icr-register",
        "Linux arch/x86/kernel/apic/x2apic_savic.c (apic_set_reg64)",
        "0 4 low\n 4 4 high\n 8 8 reserved_0x008",
    ),
    ladder(
        "secure-avic-page",
        AVIC_PAGE,
        """
        0x000 32   reserved_0x000
        0x020 16   id
        0x030 16   version
        0x040 64   reserved_0x040
        0x080 16   tpr
        0x090 16   apr
        0x0A0 16   ppr
        0x0B0 16   eoi
        0x0C0 16   remote_read
        0x0D0 16   ldr
        0x0E0 16   dfr
        0x0F0 16   spurious
        0x100 128  isr
        0x110 4    isr[1].value
        0x180 128  tmr
        0x200 128  irr
        0x204 4    irr[0].allowed
        0x274 4    irr[7].allowed
        0x278 4    irr[7].nmi_request
        0x280 16   error
        0x290 96   reserved_0x290
        0x2F0 16   lvt_cmci
        0x300 16   icr
        0x310 16   icr_high
        0x320 16   lvt_timer
        0x330 16   lvt_thermal
        0x340 16   lvt_performance
        0x350 16   lvt_lint0
        0x360 16   lvt_lint1
        0x370 16   lvt_error
        0x380 16   initial_count
        0x390 16   current_count
        0x3A0 64   reserved_0x3a0
        0x3E0 16   divider
        0x3F0 16   self_ipi
        0x400 16   extended_features
        0x410 16   extended_control
        0x420 16   specific_eoi
        0x430 80   reserved_0x430
        0x480 128  ier
        0x500 48   extended_lvt
        0x530 2768 reserved_0x530
        """,
    ),
    ladder(
        "invlpgb-rax",
        f"{OPENVMM} (SevInvlpgbRax)",
        """
        0  1  va_valid
        1  1  pcid_valid
        2  1  asid_valid
        3  1  include_global
        4  1  final_only
        5  1  nested
        12 52 virtual_page
        """,
    ),
    ladder("invlpgb-ecx", f"{OPENVMM} (SevInvlpgbEcx)", "0 16 count\n 31 1 large"),
    ladder("invlpgb-edx", f"{OPENVMM} (SevInvlpgbEdx)", "0 16 asid\n 16 12 pcid"),
    ladder("mov-cr-dr-info", f"{OPENVMM} (MovCrxDrxInfo)", "0 4 register\n 63 1 mov_cr"),
]
