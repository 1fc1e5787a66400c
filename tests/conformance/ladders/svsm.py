"""Literal offsets of what SVSM calls hold in registers and in memory."""

from .rows import ladder

CORE = "COCONUT-SVSM kernel/src/protocols/core.rs"
ATTEST = "COCONUT-SVSM kernel/src/protocols/attest.rs, compile-time asserts"
LINUX = "Linux arch/x86/include/asm/sev.h (svsm_loc_entry)"
VTPM = "COCONUT-SVSM kernel/src/protocols/vtpm.rs"
UEFI = "COCONUT-SVSM kernel/src/protocols/uefivars.rs"

CALL_DATA = "edk2 MdePkg/Include/Register/Amd/Svsm.h, SVSM_FUNCTION"
APIC_PROTOCOL = "COCONUT-SVSM f4bc4bcd kernel/src/protocols/apic.rs"
APIC = "COCONUT-SVSM f4bc4bcd kernel/src/cpu/apic.rs"
X86APIC = "COCONUT-SVSM f4bc4bcd cpuarch/src/x86apic.rs"
REQUESTS = "COCONUT-SVSM f4bc4bcd kernel/src/requests.rs"

REGISTERS = """
0x00 8 rax
0x08 8 rcx
0x10 8 rdx
0x18 8 r8
0x20 8 r9
"""

CONFIGURE = "0 2 request\n 2 62 reserved_63_2"

LADDERS = [
    ladder("svsm-protocol-query", CORE, "0 32 version\n 32 32 protocol"),
    ladder("svsm-version-range", CORE, "0 32 lowest\n 32 32 highest"),
    ladder("create-vcpu-apic-id", CORE, "0 32 apic_id"),
    ladder("configure-vtom", CORE, "0 1 query"),
    ladder(
        "pvalidate-header",
        CORE,
        """
        0 2 entries
        2 2 next
        4 4 reserved_0x004
        """,
    ),
    ladder(
        "pvalidate-entry",
        CORE,
        """
        0  2  page_size
        2  1  validate
        3  1  ignore_cf
        4  8  reserved_11_4
        12 52 frame
        """,
    ),
    ladder("pvalidate-list", CORE, "0 8 header\n 8 8 entries\n 16 0 rest"),
    ladder(
        "attest-services",
        ATTEST,
        """
        0x00 8 report_gpa
        0x08 4 report_size
        0x0C 4 reserved_0x00c
        0x10 8 nonce_gpa
        0x18 2 nonce_size
        0x1A 6 reserved_0x01a
        0x20 8 manifest_gpa
        0x28 4 manifest_size
        0x2C 4 reserved_0x02c
        0x30 8 cert_gpa
        0x38 4 cert_size
        0x3C 4 reserved_0x03c
        """,
    ),
    ladder(
        "attest-services",
        LINUX,
        """
        0x00 8 report_gpa
        0x08 4 report_size
        0x10 8 nonce_gpa
        0x18 4 nonce_size
        0x1C 4 reserved_0x01c
        0x20 8 manifest_gpa
        0x28 4 manifest_size
        0x30 8 cert_gpa
        0x38 4 cert_size
        """,
        revision="linux",
    ),
    ladder(
        "attest-single-service",
        ATTEST,
        """
        0x00 0x40 operation
        0x40 16   service_guid
        0x50 4    manifest_version
        0x54 4    reserved_0x054
        """,
    ),
    ladder(
        "services-manifest-header",
        ATTEST,
        """
        0  16 guid
        16 4  total_length
        20 4  entry_count
        """,
    ),
    ladder("services-manifest", ATTEST, "0 24 header\n 24 24 services\n 48 0 rest"),
    ladder(
        "service-entry",
        ATTEST,
        """
        0  16 guid
        16 4  offset
        20 4  length
        """,
    ),
    ladder("uefi-mm-manifest", UEFI, "0 4 version\n 4 4 flags"),
    ladder(
        "uefi-mm-flags",
        UEFI,
        """
        0 1 persistent
        1 1 secure_boot
        2 1 db_update
        """,
    ),
    ladder("vtpm-commands", VTPM, "8 1 send_command"),
    ladder("vtpm-features", VTPM, "0 64 reserved_63_0"),
    ladder(
        "vtpm-request",
        VTPM,
        """
        0 4    command
        4 1    locality
        5 4    input_size
        9 4087 input
        """,
    ),
    ladder("vtpm-response", VTPM, "0 4 output_size\n 4 4092 output"),
    ladder("mm-communicate-header", UEFI, "0 16 guid\n 16 8 message_length"),
    ladder(
        "calling-area",
        f"{REQUESTS}, SvsmCaa; 4088 bytes of buffer: edk2 MdePkg/Include/Register/Amd/Svsm.h",
        """
        0x00 1    call_pending
        0x01 1    mem_available
        0x02 1    no_eoi_required
        0x03 5    reserved_0x003
        0x08 4088 buffer
        """,
    ),
    ladder("svsm-call-number", CALL_DATA, "0 32 call\n 32 32 protocol"),
    ladder("svsm-call", "edk2 MdePkg/Include/Register/Amd/Svsm.h", REGISTERS),
    ladder("svsm-result", "edk2 MdePkg/Include/Register/Amd/Svsm.h", REGISTERS),
    ladder(
        "apic-configure-emulation",
        f"{APIC_PROTOCOL}, apic_configure",
        "0 2 request\n 2 62 reserved_63_2",
    ),
    ladder(
        "apic-configure-emulation",
        "COCONUT-SVSM 6c5a3650 kernel/src/protocols/apic.rs",
        "0 2 request\n 2 62 reserved_63_2",
        revision="2024-05-16",
    ),
    ladder("apic-features", f"{APIC_PROTOCOL}, apic_query_features", "0 64 reserved_63_0"),
    ladder("apic-register-number", f"{APIC_PROTOCOL}, apic_read_register", "0 64 number"),
    ladder(
        "apic-configure-vector",
        f"{APIC_PROTOCOL}, VectorConfig",
        """
        0  8  vector
        8  1  enable
        9  1  all_vectors
        10 54 reserved_63_10
        """,
    ),
    ladder(
        "apic-tpr",
        f"{APIC}: up to 0xFF, of which bits 7:4 are kept",
        """
        0 4  sub_class
        4 4  priority_class
        8 56 reserved_63_8
        """,
    ),
    ladder("apic-eoi", f"{APIC}: only 0", "0 64 reserved_63_0"),
    ladder(
        "apic-ldr",
        f"{APIC}: ((id & ~0xF) << 12) + (1 << (id & 0xF))",
        """
        0  16 bit_in_cluster
        16 16 cluster
        32 32 reserved_63_32
        """,
    ),
    ladder("apic-self-ipi", f"{APIC}: up to 0xFF", "0 8 vector\n 8 56 reserved_63_8"),
    ladder(
        "apic-icr",
        f"{X86APIC}, ApicIcr",
        """
        0  8  vector
        8  3  message_type
        11 1  logical
        12 1  delivery_status
        13 1  reserved_13
        14 1  assert_
        15 1  level_triggered
        16 2  remote_read_status
        18 2  shorthand
        20 12 reserved_31_20
        32 32 destination
        """,
    ),
]
