"""Literal offsets of what SVSM calls hold in registers and in memory."""

from __future__ import annotations

import pytest

from tests.ladder import Rung, check_complete, check_rung, ladder

CORE = "COCONUT-SVSM kernel/src/protocols/core.rs"
ATTEST = "COCONUT-SVSM kernel/src/protocols/attest.rs, compile-time asserts"
LINUX = "Linux arch/x86/include/asm/sev.h (svsm_loc_entry)"
VTPM = "COCONUT-SVSM kernel/src/protocols/vtpm.rs"
UEFI = "COCONUT-SVSM kernel/src/protocols/uefivars.rs"

RUNGS = [
    *ladder("svsm-protocol-query", CORE, "0 32 version\n 32 32 protocol"),
    *ladder("svsm-version-range", CORE, "0 32 lowest\n 32 32 highest"),
    *ladder("create-vcpu-apic-id", CORE, "0 32 apic_id"),
    *ladder("configure-vtom", CORE, "0 1 query"),
    *ladder(
        "pvalidate-header",
        CORE,
        """
        0 2 entries
        2 2 next
        4 4 reserved_0x004
        """,
    ),
    *ladder(
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
    *ladder("pvalidate-list", CORE, "0 8 header\n 8 4080 entries"),
    *ladder(
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
    *ladder(
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
    *ladder(
        "attest-single-service",
        ATTEST,
        """
        0x00 0x40 operation
        0x40 16   service_guid
        0x50 4    manifest_version
        0x54 4    reserved_0x054
        """,
    ),
    *ladder(
        "services-manifest",
        ATTEST,
        """
        0  16 guid
        16 4  total_length
        20 4  entry_count
        """,
    ),
    *ladder(
        "service-entry",
        ATTEST,
        """
        0  16 guid
        16 4  offset
        20 4  length
        """,
    ),
    *ladder("uefi-mm-manifest", UEFI, "0 4 version\n 4 4 flags"),
    *ladder(
        "uefi-mm-flags",
        UEFI,
        """
        0 1 persistent
        1 1 secure_boot
        2 1 db_update
        """,
    ),
    *ladder("vtpm-commands", VTPM, "8 1 send_command"),
    *ladder("vtpm-features", VTPM, "0 64 reserved_63_0"),
    *ladder(
        "vtpm-request",
        VTPM,
        """
        0 4    command
        4 1    locality
        5 4    input_size
        9 4087 input
        """,
    ),
    *ladder("vtpm-response", VTPM, "0 4 output_size\n 4 4092 output"),
    *ladder("mm-communicate-header", UEFI, "0 16 guid\n 16 8 message_length"),
]


@pytest.mark.parametrize("rung", RUNGS, ids=str)
def test_field_is_where_the_source_says(rung: Rung) -> None:
    check_rung(rung)


def test_no_field_is_left_out() -> None:
    check_complete(RUNGS)
