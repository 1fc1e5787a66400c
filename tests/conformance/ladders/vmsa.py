"""Literal offsets of the VMSA, literal bits of its words and of RMPADJUST's operands."""

from .rows import ladder

COCONUT = "COCONUT-SVSM cpuarch/src/vmsa.rs, read with OpenVMM x86defs snp.rs"
OPENVMM = "OpenVMM vm/x86/x86defs/src/snp.rs"
UTILS = "COCONUT-SVSM kernel/src/sev/utils.rs"

LADDERS = [
    ladder(
        "vmsa",
        COCONUT,
        """
        0x000 16   es
        0x010 16   cs
        0x020 16   ss
        0x030 16   ds
        0x040 16   fs
        0x050 16   gs
        0x060 16   gdt
        0x070 16   ldt
        0x080 16   idt
        0x090 16   tr
        0x0A0 8    pl0_ssp
        0x0A8 8    pl1_ssp
        0x0B0 8    pl2_ssp
        0x0B8 8    pl3_ssp
        0x0C0 8    u_cet
        0x0C8 2    reserved_0x0c8
        0x0CA 1    vmpl
        0x0CB 1    cpl
        0x0CC 4    reserved_0x0cc
        0x0D0 8    efer
        0x0D8 104  reserved_0x0d8
        0x140 8    xss
        0x148 8    cr4
        0x150 8    cr3
        0x158 8    cr0
        0x160 8    dr7
        0x168 8    dr6
        0x170 8    rflags
        0x178 8    rip
        0x180 8    dr0
        0x188 8    dr1
        0x190 8    dr2
        0x198 8    dr3
        0x1A0 8    dr0_mask
        0x1A8 8    dr1_mask
        0x1B0 8    dr2_mask
        0x1B8 8    dr3_mask
        0x1C0 24   reserved_0x1c0
        0x1D8 8    rsp
        0x1E0 8    s_cet
        0x1E8 8    ssp
        0x1F0 8    isst_addr
        0x1F8 8    rax
        0x200 8    star
        0x208 8    lstar
        0x210 8    cstar
        0x218 8    sfmask
        0x220 8    kernel_gs_base
        0x228 8    sysenter_cs
        0x230 8    sysenter_esp
        0x238 8    sysenter_eip
        0x240 8    cr2
        0x248 32   reserved_0x248
        0x268 8    g_pat
        0x270 8    dbgctl
        0x278 8    br_from
        0x280 8    br_to
        0x288 8    last_excp_from
        0x290 8    last_excp_to
        0x298 72   reserved_0x298
        0x2E0 8    spec_ctrl
        0x2E8 4    pkru
        0x2EC 4    tsc_aux
        0x2F0 8    guest_tsc_scale
        0x2F8 8    guest_tsc_offset
        0x300 8    reg_prot_nonce
        0x308 8    rcx
        0x310 8    rdx
        0x318 8    rbx
        0x320 8    secure_avic_control
        0x328 8    rbp
        0x330 8    rsi
        0x338 8    rdi
        0x340 8    r8
        0x348 8    r9
        0x350 8    r10
        0x358 8    r11
        0x360 8    r12
        0x368 8    r13
        0x370 8    r14
        0x378 8    r15
        0x380 16   reserved_0x380
        0x390 8    guest_exitinfo1
        0x398 8    guest_exitinfo2
        0x3A0 8    guest_exitintinfo
        0x3A8 8    guest_nrip
        0x3B0 8    sev_features
        0x3B8 8    vintr_ctrl
        0x3C0 8    guest_exit_code
        0x3C8 8    vtom
        0x3D0 8    tlb_id
        0x3D8 8    pcpu_id
        0x3E0 8    event_inj
        0x3E8 8    xcr0
        0x3F0 16   x87_state_valid
        0x400 8    x87_dp
        0x408 4    mxcsr
        0x40C 2    x87_ftw
        0x40E 2    x87_fsw
        0x410 2    x87_fcw
        0x412 2    x87_fop
        0x414 2    x87_ds
        0x416 2    x87_cs
        0x418 8    x87_rip
        0x420 80   fpreg_x87
        0x470 256  fpreg_xmm
        0x570 256  fpreg_ymm
        0x670 256  lbr_stack
        0x770 8    lbr_select
        0x778 8    ibs_fetch_ctl
        0x780 8    ibs_fetch_linaddr
        0x788 8    ibs_op_ctl
        0x790 8    ibs_op_rip
        0x798 8    ibs_op_data
        0x7A0 8    ibs_op_data2
        0x7A8 8    ibs_op_data3
        0x7B0 8    ibs_dc_linaddr
        0x7B8 8    bp_ibstgt_rip
        0x7C0 8    ic_ibs_extd_ctl
        0x7C8 2104 reserved_0x7c8
        """,
    ),
    ladder(
        "segment",
        COCONUT,
        """
        0 2 selector
        2 2 attributes
        4 4 limit
        8 8 base
        """,
    ),
    ladder(
        "vintr-ctrl",
        COCONUT,
        """
        0  8  v_tpr
        8  1  v_irq
        9  1  vgif
        10 1  int_shadow
        11 1  v_nmi
        12 1  v_nmi_mask
        13 3  reserved_15_13
        16 4  v_intr_prio
        20 1  v_ign_tpr
        21 5  reserved_25_21
        26 1  v_nmi_enable
        27 5  reserved_31_27
        32 8  v_intr_vector
        40 23 reserved_62_40
        63 1  busy
        """,
    ),
    ladder(
        "event-inj",
        COCONUT,
        """
        0  8  vector
        8  3  type
        11 1  error_code_valid
        12 19 reserved_30_12
        31 1  valid
        32 32 error_code
        """,
    ),
    ladder(
        "sev-features",
        "OpenVMM x86defs snp.rs; edk2 MdePkg/Include/Register/Amd/SevSnpMsr.h",
        """
        0  1  snp_active
        1  1  vtom
        2  1  reflect_vc
        3  1  restricted_injection
        4  1  alternate_injection
        5  1  debug_swap
        6  1  prevent_host_ibs
        7  1  snp_btb_isolation
        8  1  vmpl_sss
        9  1  secure_tsc
        10 1  vmgexit_parameter
        11 1  pmc_virtualization
        12 1  ibs_virtualization
        13 1  guest_intercept_control
        14 1  vmsa_register_protection
        15 1  smt_protection
        16 1  secure_avic
        17 4  reserved_20_17
        21 1  ibpb_on_entry
        22 41 reserved_62_22
        63 1  allowed_sev_features_enable
        """,
    ),
    ladder(
        "sev-status",
        "COCONUT-SVSM cpuarch/src/sev_status.rs; edk2 SevSnpMsr.h",
        """
        0  1  sev
        1  1  sev_es
        2  1  snp_active
        3  1  vtom
        4  1  reflect_vc
        5  1  restricted_injection
        6  1  alternate_injection
        7  1  debug_swap
        8  1  prevent_host_ibs
        9  1  snp_btb_isolation
        10 1  vmpl_sss
        11 1  secure_tsc
        12 1  vmgexit_parameter
        13 1  pmc_virtualization
        14 1  ibs_virtualization
        15 1  guest_intercept_control
        16 1  vmsa_register_protection
        17 1  smt_protection
        18 1  secure_avic
        23 1  ibpb_on_entry
        """,
    ),
    ladder(
        "secure-avic-control",
        OPENVMM,
        """
        0  1  enabled
        1  1  allowed_nmi
        2  10 reserved_11_2
        12 52 backing_page_frame
        """,
    ),
    ladder(
        "rmpadjust-attributes",
        OPENVMM,
        """
        0  8  target_vmpl
        8  1  read
        9  1  write
        10 1  execute_user
        11 1  execute_supervisor
        12 4  reserved_15_12
        16 1  vmsa
        17 47 reserved_63_17
        """,
    ),
    ladder("rmp-page-size", UTILS, "0 64 page_size"),
    ladder("rmp-status", UTILS, "0 32 status"),
    ladder("pvalidate-action", UTILS, "0 1 validate"),
    ladder(
        "rmp-entry",
        "Linux arch/x86/virt/svm/sev.c, struct rmpentry_raw",
        """
        0  1  assigned
        1  1  large
        2  1  immutable
        3  9  reserved_11_3
        12 39 frame
        51 10 asid
        61 1  vmsa
        62 1  validated
        63 1  reserved_63
        """,
    ),
    ladder(
        "npf-info",
        "OpenVMM vm/x86/x86defs/src/snp.rs, SevNpfInfo",
        """
        0  1  present
        1  1  write
        2  1  user
        3  1  reserved_bit
        4  1  fetch
        6  1  shadow_stack
        31 1  rmp
        32 1  guest_physical
        33 1  page_table
        34 1  encrypted
        35 1  size_mismatch
        36 1  vmpl
        37 1  supervisor_shadow_stack
        63 1  not_restartable
        """,
    ),
    ladder(
        "page-fault-error",
        "Linux arch/x86/include/asm/trap_pf.h, enum x86_pf_error_code",
        """
        0  1  present
        1  1  write
        2  1  user
        3  1  reserved_bit
        4  1  fetch
        5  1  protection_key
        6  1  shadow_stack
        15 1  sgx
        31 1  rmp
        """,
    ),
    ladder(
        "kvm-plane-event",
        "KVM planes series, June 2026 (mail), patch 30 (struct kvm_plane_event_exit)",
        """
        0  4  cause
        4  4  plane
        8  8  apic_id
        16 56 extra
        """,
    ),
]
