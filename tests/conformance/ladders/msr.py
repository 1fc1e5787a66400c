"""Literal bits of the GHCB MSR protocol, of the feature bitmap and of the exits' words."""

from .rows import ladder

OAK = "Oak oak_sev_guest/src/msr.rs"
COCONUT = "COCONUT-SVSM kernel/src/sev/msr_protocol.rs"
MUSHROOM = "mushroom common/snp-types/src/ghcb/msr_protocol.rs"
ZYUIOP = "zyuiop/ghcb src/msr"
OPENVMM = "OpenVMM vm/x86/x86defs/src/snp.rs"
EDK2 = "edk2 MdePkg/Include/Register/Amd/Ghcb.h"
GHCB = "COCONUT-SVSM kernel/src/sev/ghcb.rs"
LINUX = "Linux arch/x86/include/uapi/asm/svm.h"

FRAME = "0 12 info\n 12 52 frame"
EMPTY = "0 12 info\n 12 52 reserved_63_12"
DATA = "0 12 info\n 12 52 data"

LADDERS = [
    ladder("ghcb-msr", OAK, DATA),
    ladder("ghcb-msr-gpa", MUSHROOM, FRAME),
    ladder(
        "ghcb-msr-sev-info-response",
        OAK,
        """
        0  12 info
        12 12 reserved_23_12
        24 8  c_bit
        32 16 min_version
        48 16 max_version
        """,
    ),
    ladder("ghcb-msr-sev-info-request", OAK, EMPTY),
    ladder("ghcb-msr-ap-jump-table", OPENVMM, DATA),
    ladder(
        "ghcb-msr-cpuid-request",
        OAK,
        """
        0  12 info
        12 18 reserved_29_12
        30 2  register
        32 32 function
        """,
    ),
    ladder(
        "ghcb-msr-cpuid-response",
        OAK,
        """
        0  12 info
        12 18 reserved_29_12
        30 2  register
        32 32 value
        """,
    ),
    ladder("ghcb-msr-ap-reset-hold-request", OAK, EMPTY),
    ladder("ghcb-msr-ap-reset-hold-response", OAK, "0 12 info\n 12 52 released"),
    ladder("ghcb-msr-preferred-gpa-request", OAK, EMPTY),
    ladder("ghcb-msr-preferred-gpa-response", OAK, FRAME),
    ladder("ghcb-msr-register-gpa-request", COCONUT, FRAME),
    ladder("ghcb-msr-register-gpa-response", COCONUT, FRAME),
    ladder(
        "ghcb-msr-page-state-request",
        MUSHROOM,
        """
        0  12 info
        12 40 frame
        52 4  operation
        56 8  reserved_63_56
        """,
    ),
    ladder(
        "ghcb-msr-page-state-response",
        OAK,
        """
        0  12 info
        12 20 reserved_31_12
        32 32 error
        """,
    ),
    ladder(
        "ghcb-msr-run-vmpl-request",
        MUSHROOM,
        """
        0  12 info
        12 20 reserved_31_12
        32 8  vmpl
        40 24 reserved_63_40
        """,
    ),
    ladder(
        "ghcb-msr-run-vmpl-response",
        MUSHROOM,
        """
        0  12 info
        12 20 reserved_31_12
        32 32 error
        """,
    ),
    ladder("ghcb-msr-unregister-gpa-request", ZYUIOP, EMPTY),
    ladder("ghcb-msr-unregister-gpa-response", ZYUIOP, FRAME),
    ladder("ghcb-msr-features-request", COCONUT, EMPTY),
    ladder(
        "ghcb-msr-features-response",
        COCONUT,
        """
        0  12 info
        12 1  snp
        13 1  ap_creation
        14 1  restricted_injection
        15 1  restricted_injection_timer
        16 1  apic_id_list
        17 1  multi_vmpl
        18 1  es_page_state_change
        19 1  sev_tio
        20 1  unregister_gpa
        21 1  extended_interrupts
        """,
    ),
    ladder(
        "ghcb-msr-termination-request",
        ZYUIOP,
        """
        0  12 info
        12 4  reason_set
        16 8  reason_code
        24 40 reserved_63_24
        """,
    ),
    ladder("ghcb-msr-hyperv-hypercall", OPENVMM, DATA),
    ladder("ghcb-msr-hyperv-fast-call", OPENVMM, DATA),
    ladder("ghcb-msr-hyperv-output", OPENVMM, DATA),
    ladder("ghcb-msr-hyperv-debug-print", OPENVMM, DATA),
    ladder(
        "hypervisor-features",
        COCONUT,
        """
        0 1 snp
        1 1 ap_creation
        2 1 restricted_injection
        3 1 restricted_injection_timer
        4 1 apic_id_list
        5 1 multi_vmpl
        6 1 es_page_state_change
        7 1 sev_tio
        8 1 unregister_gpa
        9 1 extended_interrupts
        """,
    ),
    ladder(
        "hypervisor-features",
        "COCONUT-SVSM before e27e9683",
        """
        0 1 snp
        1 1 ap_creation
        2 1 restricted_injection
        3 1 restricted_injection_timer
        4 1 apic_id_list
        5 1 multi_vmpl
        6 1 page_state_change
        7 1 alternate_injection
        """,
        revision="2024",
    ),
    ladder(
        "ioio-info",
        EDK2,
        """
        0  1  is_in
        1  1  reserved_1
        2  1  string
        3  1  repeat
        4  1  size_8
        5  1  size_16
        6  1  size_32
        7  1  address_16
        8  1  address_32
        9  1  address_64
        10 3  segment
        13 3  reserved_15_13
        16 16 port
        """,
    ),
    ladder("msr-info", "KVM arch/x86/kvm/svm/sev.c", "0 1 access"),
    ladder("exit-status", "Linux arch/x86/coco/sev", "0 32 status"),
    ladder("exit-error", "zyuiop/ghcb src/structures/errors.rs", "0 32 error"),
    ladder("psc-result", "zyuiop/ghcb change_page_state.rs", "0 32 detail\n 32 32 error"),
    ladder("guest-request-result", "Linux sev-guest.h", "0 32 firmware\n 32 32 vmm"),
    ladder(
        "ap-creation",
        GHCB,
        """
        0  16 operation
        16 4  vmpl
        20 12 reserved_31_20
        32 32 apic_id
        """,
    ),
    ladder("ap-jump-table-info", LINUX, "0 64 operation"),
    ladder("doorbell-info", "KVM restricted-injection RFC", "0 64 operation"),
    ladder("secure-avic-info", LINUX, "0 64 operation"),
    ladder("run-vmpl", "linux-svsm src/cpu/vc.rs", "0 64 vmpl"),
    ladder("configure-injection", GHCB, "0 8 vector"),
    ladder(
        "disable-injection",
        GHCB,
        """
        0  1  interrupts_enabled
        1  1  interrupt_shadow
        2  6  reserved_7_2
        8  8  tpr
        16 8  vmpl
        24 40 reserved_63_24
        """,
    ),
    ladder(
        "specific-eoi",
        GHCB,
        """
        0  8  vector
        8  8  reserved_15_8
        16 8  vmpl
        24 40 reserved_63_24
        """,
    ),
    ladder(
        "termination-info",
        LINUX,
        """
        0  4  reason_set
        4  8  reason_code
        12 52 reserved_63_12
        """,
    ),
    ladder("tio-op-info", "Linux TIO RFC", "0 32 guest_device_id\n 32 32 action"),
]
