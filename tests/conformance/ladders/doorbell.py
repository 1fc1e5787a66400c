"""The #HV doorbell page and its descriptors, in every revision, written by hand from the sources."""

from .rows import Ladder, Row

HV_DOORBELL = "COCONUT-SVSM f4bc4bcd kernel/src/sev/hv_doorbell.rs"
RFC = "Linux #HV guest RFC and KVM struct hvdb, 2023-2024"

PAGE: list[Row] = [
    ("vector", 0x00, 1),
    ("flags", 0x01, 1),
    ("no_eoi_required", 0x02, 1),
    ("per_vmpl_events", 0x03, 1),
    ("reserved_0x004", 0x04, 60),
    ("vmpl1", 0x40, 64),
    ("vmpl1.status", 0x40, 4),
    ("vmpl1.irr", 0x44, 28),
    ("vmpl1.isr", 0x60, 32),
    ("vmpl2", 0x80, 64),
    ("vmpl2.status", 0x80, 4),
    ("vmpl2.irr", 0x84, 28),
    ("vmpl2.isr", 0xA0, 32),
    ("vmpl3", 0xC0, 64),
    ("vmpl3.status", 0xC0, 4),
    ("vmpl3.irr", 0xC4, 28),
    ("vmpl3.isr", 0xE0, 32),
]

# One 16-bit word for the events of the executing VMPL.
PAGE_RFC: list[Row] = [
    ("pending_events", 0x00, 2),
    ("no_eoi_required", 0x02, 1),
    ("reserved_0x003", 0x03, 61),
    ("reserved_0x040", 0x40, 192),
]

PAGE_DWORD: list[Row] = [("status", 0x00, 4), ("reserved_0x004", 0x04, 252)]

PAGE_FOUR: list[Row] = [
    ("executing", 0x00, 64),
    ("executing.status", 0x00, 4),
    ("executing.irr", 0x04, 28),
    ("executing.isr", 0x20, 32),
    ("vmpl1", 0x40, 64),
    ("vmpl1.status", 0x40, 4),
    ("vmpl1.irr", 0x44, 28),
    ("vmpl1.isr", 0x60, 32),
    ("vmpl2", 0x80, 64),
    ("vmpl2.status", 0x80, 4),
    ("vmpl2.irr", 0x84, 28),
    ("vmpl2.isr", 0xA0, 32),
    ("vmpl3", 0xC0, 64),
    ("vmpl3.status", 0xC0, 4),
    ("vmpl3.irr", 0xC4, 28),
    ("vmpl3.isr", 0xE0, 32),
]

PAGE_MAY_16: list[Row] = [
    ("pending_events", 0x00, 2),
    ("events", 0x02, 2),
    ("reserved_0x004", 0x04, 60),
    ("vmpl1", 0x40, 64),
    ("vmpl1.status", 0x40, 4),
    ("vmpl1.irr", 0x44, 28),
    ("vmpl1.isr", 0x60, 32),
    ("vmpl2", 0x80, 64),
    ("vmpl2.status", 0x80, 4),
    ("vmpl3", 0xC0, 64),
    ("vmpl3.status", 0xC0, 4),
    ("vmpl3.isr", 0xE0, 32),
]

REST: Row = ("reserved_0x100", 0x100, 3840)

STATUS_DWORD: list[Row] = [
    ("pending_vector", "7:0"),
    ("nmi_pending", "8"),
    ("mc_pending", "9"),
    ("level_sensitive", "10"),
    ("ipi_pending", "11"),
    ("timer_pending", "12"),
    ("guest_msr_access", "13"),
    ("multiple_vectors", "14"),
    ("no_further_signal", "15"),
    ("no_eoi_required", "16"),
    ("vmpl1_events", "17"),
    ("vmpl2_events", "18"),
    ("vmpl3_events", "19"),
    ("reserved_30_20", "30:20"),
    ("vector_31", "31"),
]

LADDERS = {
    ("ext-int-status", ""): Ladder(
        f"{HV_DOORBELL}, HVExtIntStatus",
        4,
        [
            ("pending_vector", "7:0"),
            ("nmi_pending", "8"),
            ("mc_pending", "9"),
            ("level_sensitive", "10"),
            ("reserved_13_11", "13:11"),
            ("multiple_vectors", "14"),
            ("reserved_26_15", "26:15"),
            ("ipi_requested", "27"),
            ("reserved_30_28", "30:28"),
            ("vector_31", "31"),
        ],
    ),
    ("ext-int-descriptor", ""): Ladder(
        f"{HV_DOORBELL}, HVExtIntInfo",
        64,
        [
            ("status", 0x00, 4),
            ("irr", 0x04, 28),
            ("isr", 0x20, 32),
            # The status word opens the descriptor: its bytes are the descriptor's.
            ("status.pending_vector", 0x00, 1),
        ],
    ),
    ("doorbell-flags", ""): Ladder(
        f"{HV_DOORBELL}, HVDoorbellFlags",
        1,
        [
            ("nmi_pending", "0"),
            ("mc_pending", "1"),
            ("reserved_6_2", "6:2"),
            ("no_further_signal", "7"),
        ],
    ),
    ("vmpl-events", ""): Ladder(
        "COCONUT-SVSM f4bc4bcd kernel/src/cpu/apic.rs: bit n - 1 for VMPL n",
        1,
        [("vmpl1", "0"), ("vmpl2", "1"), ("vmpl3", "2"), ("reserved_7_3", "7:3")],
    ),
    ("doorbell-head", ""): Ladder(f"{HV_DOORBELL}, HVDoorbell", 256, PAGE),
    ("doorbell-page", ""): Ladder(f"{HV_DOORBELL}, HVDoorbell", 4096, [*PAGE, REST]),
    ("pending-events", "2023-rfc"): Ladder(
        RFC,
        2,
        [
            ("vector", "7:0"),
            ("nmi_pending", "8"),
            ("mc_pending", "9"),
            ("reserved_14_10", "14:10"),
            ("no_further_signal", "15"),
        ],
    ),
    ("doorbell-head", "2023-rfc"): Ladder(RFC, 256, PAGE_RFC),
    ("doorbell-page", "2023-rfc"): Ladder(RFC, 4096, [*PAGE_RFC, REST]),
    ("doorbell-head", "2024-01-05"): Ladder(
        "msft-jlange/svsm 3c7cc3e2 src/sev/hv_doorbell.rs", 256, PAGE_RFC
    ),
    ("doorbell-page", "2024-01-05"): Ladder(
        "msft-jlange/svsm 3c7cc3e2 src/sev/hv_doorbell.rs", 4096, [*PAGE_RFC, REST]
    ),
    ("ext-int-status", "2024-04-30-dword"): Ladder(
        "msft-jlange/svsm f42f8f0c kernel/src/sev/hv_doorbell.rs, HVExtIntStatus", 4, STATUS_DWORD
    ),
    ("doorbell-head", "2024-04-30-dword"): Ladder(
        "msft-jlange/svsm f42f8f0c kernel/src/sev/hv_doorbell.rs, HVDoorbell", 256, PAGE_DWORD
    ),
    ("doorbell-page", "2024-04-30-dword"): Ladder(
        "msft-jlange/svsm f42f8f0c kernel/src/sev/hv_doorbell.rs, HVDoorbell",
        4096,
        [*PAGE_DWORD, REST],
    ),
    ("ext-int-descriptor", "2024-04-30"): Ladder(
        "msft-jlange/svsm 649160f8 kernel/src/sev/hv_doorbell.rs, HVExtIntInfo",
        64,
        [("status", 0x00, 4), ("irr", 0x04, 28), ("isr", 0x20, 32)],
    ),
    ("doorbell-head", "2024-04-30"): Ladder(
        "msft-jlange/svsm 649160f8 kernel/src/sev/hv_doorbell.rs, HVDoorbell", 256, PAGE_FOUR
    ),
    ("doorbell-page", "2024-04-30"): Ladder(
        "msft-jlange/svsm 649160f8 kernel/src/sev/hv_doorbell.rs, HVDoorbell",
        4096,
        [*PAGE_FOUR, REST],
    ),
    ("doorbell-events", "2024-05-16"): Ladder(
        "svsm-devel, May 2024: bit 1, 2 or 3 as written, bits 8, 9 and 10 as meant",
        2,
        [
            ("no_eoi_required", "0"),
            ("vmpl1_as_written", "1"),
            ("vmpl2_as_written", "2"),
            ("vmpl3_as_written", "3"),
            ("reserved_7_4", "7:4"),
            ("vmpl1_as_meant", "8"),
            ("vmpl2_as_meant", "9"),
            ("vmpl3_as_meant", "10"),
            ("reserved_15_11", "15:11"),
        ],
    ),
    ("doorbell-head", "2024-05-16"): Ladder("svsm-devel, May 2024", 256, PAGE_MAY_16),
    ("doorbell-page", "2024-05-16"): Ladder("svsm-devel, May 2024", 4096, [*PAGE_MAY_16, REST]),
}
