"""The calling area, the registers of a call and the APIC protocol, written by hand from the sources."""

from .rows import Ladder, Row

REQUESTS = "COCONUT-SVSM f4bc4bcd kernel/src/requests.rs"
CALL_DATA = "edk2 MdePkg/Include/Register/Amd/Svsm.h, SVSM_FUNCTION"
QUERY = "COCONUT-SVSM f4bc4bcd kernel/src/protocols/core.rs, core_query_protocol"
APIC_PROTOCOL = "COCONUT-SVSM f4bc4bcd kernel/src/protocols/apic.rs"
APIC = "COCONUT-SVSM f4bc4bcd kernel/src/cpu/apic.rs"
X86APIC = "COCONUT-SVSM f4bc4bcd cpuarch/src/x86apic.rs"

REGISTERS: list[Row] = [
    ("rax", 0x00, 8),
    ("rcx", 0x08, 8),
    ("rdx", 0x10, 8),
    ("r8", 0x18, 8),
    ("r9", 0x20, 8),
]

LADDERS = {
    ("calling-area", ""): Ladder(
        f"{REQUESTS}, SvsmCaa; 4088 bytes of buffer: edk2 MdePkg/Include/Register/Amd/Svsm.h",
        4096,
        [
            ("call_pending", 0, 1),
            ("mem_available", 1, 1),
            ("no_eoi_required", 2, 1),
            ("reserved_0x003", 3, 5),
            ("buffer", 8, 4088),
        ],
    ),
    ("svsm-call-number", ""): Ladder(CALL_DATA, 8, [("call", "31:0"), ("protocol", "63:32")]),
    # No memory layout is specified: the order is the one that RAX, RCX, RDX, R8, R9 are named in.
    ("svsm-call", ""): Ladder("edk2 MdePkg/Include/Register/Amd/Svsm.h", 40, REGISTERS),
    ("svsm-result", ""): Ladder("edk2 MdePkg/Include/Register/Amd/Svsm.h", 40, REGISTERS),
    ("svsm-protocol-query", ""): Ladder(QUERY, 8, [("version", "31:0"), ("protocol", "63:32")]),
    ("svsm-version-range", ""): Ladder(QUERY, 8, [("lowest", "31:0"), ("highest", "63:32")]),
    ("apic-configure-emulation", ""): Ladder(
        f"{APIC_PROTOCOL}, apic_configure", 8, [("request", "1:0"), ("reserved_63_2", "63:2")]
    ),
    ("apic-configure-emulation", "2024-05-16"): Ladder(
        "COCONUT-SVSM 6c5a3650 kernel/src/protocols/apic.rs",
        8,
        [("request", "1:0"), ("reserved_63_2", "63:2")],
    ),
    ("apic-features", ""): Ladder(
        f"{APIC_PROTOCOL}, apic_query_features", 8, [("reserved_63_0", "63:0")]
    ),
    ("apic-register-number", ""): Ladder(
        f"{APIC_PROTOCOL}, apic_read_register", 8, [("number", "63:0")]
    ),
    ("apic-configure-vector", ""): Ladder(
        f"{APIC_PROTOCOL}, VectorConfig",
        8,
        [
            ("vector", "7:0"),
            ("enable", "8"),
            ("all_vectors", "9"),
            ("reserved_63_10", "63:10"),
        ],
    ),
    ("apic-tpr", ""): Ladder(
        f"{APIC}: up to 0xFF, of which bits 7:4 are kept",
        8,
        [("sub_class", "3:0"), ("priority_class", "7:4"), ("reserved_63_8", "63:8")],
    ),
    ("apic-eoi", ""): Ladder(f"{APIC}: only 0", 8, [("reserved_63_0", "63:0")]),
    ("apic-ldr", ""): Ladder(
        f"{APIC}: ((id & ~0xF) << 12) + (1 << (id & 0xF))",
        8,
        [("bit_in_cluster", "15:0"), ("cluster", "31:16"), ("reserved_63_32", "63:32")],
    ),
    ("apic-self-ipi", ""): Ladder(
        f"{APIC}: up to 0xFF", 8, [("vector", "7:0"), ("reserved_63_8", "63:8")]
    ),
    ("apic-icr", ""): Ladder(
        f"{X86APIC}, ApicIcr",
        8,
        [
            ("vector", "7:0"),
            ("message_type", "10:8"),
            ("logical", "11"),
            ("delivery_status", "12"),
            ("reserved_13", "13"),
            ("assert_", "14"),
            ("level_triggered", "15"),
            ("remote_read_status", "17:16"),
            ("shorthand", "19:18"),
            ("reserved_31_20", "31:20"),
            ("destination", "63:32"),
        ],
    ),
}
