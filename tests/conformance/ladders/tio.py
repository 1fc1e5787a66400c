"""Literal offsets of SEV-TIO: payloads of guest messages 19 to 26, and the words beside them."""

from .rows import ladder

RUST = "OpenVMM after AMD #58271 0.91, tables 60 to 69 (fields one after the other, sizes asserted)"
SERIES = "Linux TIO series 20260225053806.3311234-8-aik@amd.com (tio.c)"
NEWEST = "Linux drivers/virt/coco/sev-guest/tio.c of AMD's tree (tdi_id)"
UAPI = "Linux TIO series, include/uapi/linux/sev-guest.h"

TDI_INFO_REST = """
0x10 4  measurement_flags
0x14 4  lock_flags
0x18 8  spdm_algorithms
0x20 48 certificates_digest
0x50 48 measurements_digest
0x80 48 report_digest
0xB0 8  report_count
0xB8 8  reserved_0x0b8
"""

LADDERS = [
    ladder("tdi-info-request", RUST, "0 2 guest_device_id\n 2 14 reserved_0x002"),
    ladder("tdi-info-request", NEWEST, "0 8 tdi_id\n 8 8 reserved_0x008", revision="tdi-id"),
    ladder("tdi-measurement-flags", SERIES, "0 1 valid\n 1 1 fresh"),
    ladder(
        "tdisp-lock-flags",
        SERIES,
        """
        0 1 no_fw_update
        1 1 cache_line_size
        2 1 lock_msix
        3 1 bind_p2p
        4 1 all_request_redirect
        """,
    ),
    ladder(
        "spdm-algorithms",
        "Linux TIO RFC, TIO_SPDM_ALGOS (shifts)",
        """
        0  8 key_exchange
        8  8 encryption
        16 8 signing
        24 8 hashing
        32 8 key_schedule
        """,
    ),
    ladder(
        "tdi-info-response",
        RUST,
        f"0 2 guest_device_id\n 2 2 status\n 4 12 reserved_0x004 {TDI_INFO_REST}",
    ),
    ladder(
        "tdi-info-response",
        NEWEST,
        f"0 8 tdi_id\n 8 2 status\n 0xA 6 reserved_0x00a {TDI_INFO_REST}",
        revision="tdi-id",
    ),
    ladder("mmio-validate-flags", RUST, "0 1 validated\n 1 1 force_validated"),
    ladder("mmio-validate-result", RUST, "0 1 changed"),
    ladder(
        "mmio-validate-request",
        RUST,
        """
        0x00 2  guest_device_id
        0x02 14 reserved_0x002
        0x10 8  subrange_base
        0x18 4  subrange_page_count
        0x1C 4  range_offset
        0x20 2  flags
        0x22 2  range_id
        0x24 12 reserved_0x024
        """,
    ),
    ladder(
        "mmio-validate-response",
        RUST,
        """
        0x00 2  guest_device_id
        0x02 2  status
        0x04 12 reserved_0x004
        0x10 8  subrange_base
        0x18 4  subrange_page_count
        0x1C 4  range_offset
        0x20 2  result
        0x22 2  range_id
        0x24 12 reserved_0x024
        """,
    ),
    ladder("mmio-config-request-flags", RUST, "2 1 non_tee_mem"),
    ladder("mmio-config-write", SERIES, "0 1 write"),
    ladder(
        "mmio-config-request",
        RUST,
        """
        0x0 2 guest_device_id
        0x2 2 reserved_0x002
        0x4 2 flags
        0x6 2 range_id
        0x8 4 operation
        0xC 4 reserved_0x00c
        """,
    ),
    ladder(
        "mmio-config-response-flags",
        RUST,
        "0 1 msix_table\n 1 1 msix_pba\n 2 1 non_tee_mem\n 3 1 mem_attr_updateable",
    ),
    ladder(
        "mmio-config-response",
        RUST,
        """
        0x0 2 guest_device_id
        0x2 2 status
        0x4 2 flags
        0x6 2 range_id
        0x8 4 operation
        0xC 4 reserved_0x00c
        """,
    ),
    ladder(
        "sdte-mapping",
        f"{SERIES}; {RUST}: V, IR, IW",
        """
        0  1  valid
        4  3  cxl_io
        7  45 reserved_51_7
        52 1  ppr
        54 1  giov
        55 1  gv
        56 2  glx
        58 3  gcr3_table_0
        61 1  read
        62 1  write
        """,
    ),
    ladder(
        "sdte-domain",
        SERIES,
        """
        0  16 domain_id
        16 16 gcr3_table_1
        32 1  interrupt
        38 1  ex
        39 1  sd
        42 1  secure_ats
        43 21 gcr3_table_2
        """,
    ),
    ladder(
        "sdte-interrupts",
        SERIES,
        """
        0  1  valid
        1  4  table_length
        6  46 table
        54 2  gpm
        59 1  hpt_mode
        """,
    ),
    ladder(
        "sdte-guest",
        f"{SERIES}; {RUST}: VMPL",
        """
        0  12 asid
        15 1  viommu
        16 16 guest_device_id
        32 15 guest_id
        47 1  guest_id_must_be_one
        49 2  vmpl
        54 1  attributes_valid
        56 8  sa
        """,
    ),
    ladder("sdte-vtom", f"{SERIES}; {RUST}", "0 1 enabled\n 1 31 virtual_tom\n 32 5 rp_id"),
    ladder(
        "sdte",
        SERIES,
        """
        0x00 8  mapping
        0x08 8  domain
        0x10 8  interrupts
        0x18 8  guest
        0x20 8  ide_stream_id
        0x28 8  vtom
        0x30 16 reserved_0x030
        """,
    ),
    ladder("sdte-write-request", RUST, "0 2 guest_device_id\n 2 14 reserved_0x002\n 0x10 64 sdte"),
    ladder(
        "sdte-write-request",
        NEWEST,
        "0 8 tdi_id\n 8 8 reserved_0x008\n 0x10 64 sdte",
        revision="tdi-id",
    ),
    ladder("sdte-write-response", RUST, "0 2 guest_device_id\n 2 2 status\n 4 12 reserved_0x004"),
    ladder(
        "sdte-write-response",
        NEWEST,
        "0 8 tdi_id\n 8 2 status\n 0xA 6 reserved_0x00a",
        revision="tdi-id",
    ),
    ladder("tio-mmio", UAPI, "0 3 range_id\n 3 1 private\n 4 8 order\n 12 40 frame"),
    ladder("tio-info-wanted", SERIES, "0 1 state\n 3 1 report"),
    ladder("tio-blob-entry", UAPI, "0 16 guid\n 16 4 offset\n 20 4 length"),
    ladder("tio-blob-table", UAPI, "0 24 entries\n 24 0 rest"),
]
