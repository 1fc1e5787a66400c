"""The #HV doorbell page and its descriptors, in every revision, written by hand from the sources."""

from .rows import ladder

HV_DOORBELL = "COCONUT-SVSM f4bc4bcd kernel/src/sev/hv_doorbell.rs"
JANUARY = "msft-jlange/svsm 3c7cc3e2 src/sev/hv_doorbell.rs"
DWORD = "msft-jlange/svsm f42f8f0c kernel/src/sev/hv_doorbell.rs"
APRIL = "msft-jlange/svsm 649160f8 kernel/src/sev/hv_doorbell.rs"
MAY = "svsm-devel, May 2024"
RFC = "Linux #HV guest RFC and KVM struct hvdb, 2023-2024"

PAGE = """
0x00 1  vector
0x01 1  flags
0x02 1  no_eoi_required
0x03 1  per_vmpl_events
0x04 60 reserved_0x004
0x40 64 vmpl1
0x40 4  vmpl1.status
0x44 28 vmpl1.irr
0x60 32 vmpl1.isr
0x80 64 vmpl2
0x80 4  vmpl2.status
0x84 28 vmpl2.irr
0xA0 32 vmpl2.isr
0xC0 64 vmpl3
0xC0 4  vmpl3.status
0xC4 28 vmpl3.irr
0xE0 32 vmpl3.isr
"""

# One 16-bit word for the events of the executing VMPL.
PAGE_RFC = """
0x00 2   pending_events
0x02 1   no_eoi_required
0x03 61  reserved_0x003
0x40 192 reserved_0x040
"""

PAGE_DWORD = """
0x00 4   status
0x04 252 reserved_0x004
"""

PAGE_FOUR = """
0x00 64 executing
0x00 4  executing.status
0x04 28 executing.irr
0x20 32 executing.isr
0x40 64 vmpl1
0x40 4  vmpl1.status
0x44 28 vmpl1.irr
0x60 32 vmpl1.isr
0x80 64 vmpl2
0x80 4  vmpl2.status
0x84 28 vmpl2.irr
0xA0 32 vmpl2.isr
0xC0 64 vmpl3
0xC0 4  vmpl3.status
0xC4 28 vmpl3.irr
0xE0 32 vmpl3.isr
"""

PAGE_MAY_16 = """
0x00 2  pending_events
0x02 2  events
0x04 60 reserved_0x004
0x40 64 vmpl1
0x40 4  vmpl1.status
0x44 28 vmpl1.irr
0x60 32 vmpl1.isr
0x80 64 vmpl2
0x80 4  vmpl2.status
0xC0 64 vmpl3
0xC0 4  vmpl3.status
0xE0 32 vmpl3.isr
"""

REST = "0x100 3840 reserved_0x100"

LADDERS = [
    ladder(
        "ext-int-status",
        f"{HV_DOORBELL}, HVExtIntStatus",
        """
        0  8  pending_vector
        8  1  nmi_pending
        9  1  mc_pending
        10 1  level_sensitive
        11 3  reserved_13_11
        14 1  multiple_vectors
        15 12 reserved_26_15
        27 1  ipi_requested
        28 3  reserved_30_28
        31 1  vector_31
        """,
    ),
    ladder(
        "ext-int-descriptor",
        f"{HV_DOORBELL}, HVExtIntInfo",
        """
        0x00 4  status
        0x04 28 irr
        0x20 32 isr
        0x00 1  status.pending_vector
        """,
    ),
    ladder(
        "doorbell-flags",
        f"{HV_DOORBELL}, HVDoorbellFlags",
        """
        0 1 nmi_pending
        1 1 mc_pending
        2 5 reserved_6_2
        7 1 no_further_signal
        """,
    ),
    ladder(
        "vmpl-events",
        "COCONUT-SVSM f4bc4bcd kernel/src/cpu/apic.rs: bit n - 1 for VMPL n",
        """
        0 1 vmpl1
        1 1 vmpl2
        2 1 vmpl3
        3 5 reserved_7_3
        """,
    ),
    ladder("doorbell-head", f"{HV_DOORBELL}, HVDoorbell", PAGE),
    ladder("doorbell-page", f"{HV_DOORBELL}, HVDoorbell", PAGE + REST),
    ladder(
        "pending-events",
        RFC,
        """
        0  8 vector
        8  1 nmi_pending
        9  1 mc_pending
        10 5 reserved_14_10
        15 1 no_further_signal
        """,
        revision="2023-rfc",
    ),
    ladder("doorbell-head", RFC, PAGE_RFC, revision="2023-rfc"),
    ladder("doorbell-page", RFC, PAGE_RFC + REST, revision="2023-rfc"),
    ladder(
        "doorbell-head",
        JANUARY,
        PAGE_RFC,
        revision="2024-01-05",
    ),
    ladder(
        "doorbell-page",
        JANUARY,
        PAGE_RFC + REST,
        revision="2024-01-05",
    ),
    ladder(
        "ext-int-status",
        f"{DWORD}, HVExtIntStatus",
        """
        0  8  pending_vector
        8  1  nmi_pending
        9  1  mc_pending
        10 1  level_sensitive
        11 1  ipi_pending
        12 1  timer_pending
        13 1  guest_msr_access
        14 1  multiple_vectors
        15 1  no_further_signal
        16 1  no_eoi_required
        17 1  vmpl1_events
        18 1  vmpl2_events
        19 1  vmpl3_events
        20 11 reserved_30_20
        31 1  vector_31
        """,
        revision="2024-04-30-dword",
    ),
    ladder(
        "doorbell-head",
        f"{DWORD}, HVDoorbell",
        PAGE_DWORD,
        revision="2024-04-30-dword",
    ),
    ladder(
        "doorbell-page",
        f"{DWORD}, HVDoorbell",
        PAGE_DWORD + REST,
        revision="2024-04-30-dword",
    ),
    ladder(
        "ext-int-descriptor",
        f"{APRIL}, HVExtIntInfo",
        """
        0x00 4  status
        0x04 28 irr
        0x20 32 isr
        """,
        revision="2024-04-30",
    ),
    ladder(
        "doorbell-head",
        f"{APRIL}, HVDoorbell",
        PAGE_FOUR,
        revision="2024-04-30",
    ),
    ladder(
        "doorbell-page",
        f"{APRIL}, HVDoorbell",
        PAGE_FOUR + REST,
        revision="2024-04-30",
    ),
    ladder(
        "doorbell-events",
        f"{MAY}: bit 1, 2 or 3 as written, bits 8, 9 and 10 as meant",
        """
        0  1 no_eoi_required
        1  1 vmpl1_as_written
        2  1 vmpl2_as_written
        3  1 vmpl3_as_written
        4  4 reserved_7_4
        8  1 vmpl1_as_meant
        9  1 vmpl2_as_meant
        10 1 vmpl3_as_meant
        11 5 reserved_15_11
        """,
        revision="2024-05-16",
    ),
    ladder("doorbell-head", MAY, PAGE_MAY_16, revision="2024-05-16"),
    ladder("doorbell-page", MAY, PAGE_MAY_16 + REST, revision="2024-05-16"),
]
