"""Worked values of the parts of IGVM files that are about SNP guests."""

from __future__ import annotations

import struct

import pytest

from vmgexit import (
    GuestPolicy,
    IdAuthentication,
    IdBlock,
    IgvmFixedHeader,
    IgvmGuestPolicy,
    IgvmHeaderType,
    IgvmPageData,
    IgvmPageType,
    IgvmSnpIdBlock,
    IgvmSupportedPlatform,
    IgvmVariableHeader,
    IgvmVpContext,
)
from vmgexit.schema import Record

HEADER = b"IGVM" + struct.pack("<5I", 1, 24, 0x100, 0x2000, 0xDEADBEEF)
PLATFORM = struct.pack("<IBBHQ", 1, 2, 2, 1, 1 << 46)
PAGE = struct.pack("<QIIIHH", 0x200000, 1, 0x1000, 1, 0, 0)


def test_what_a_file_begins_with() -> None:
    header = IgvmFixedHeader.decode(HEADER, strict=True)
    assert (header.format_version, header.variable_header_offset) == (1, 24)
    assert header.checksum == 0xDEADBEEF


def test_headers_of_an_snp_guest() -> None:
    """SEV-SNP with VTL 2, policy 0x30000, a page of 2 MiB, the CPUID page, a VMSA."""
    platform = IgvmSupportedPlatform.decode(PLATFORM, strict=True)
    assert (platform.platform_type, platform.highest_vtl) == (2, 2)
    policy = IgvmGuestPolicy.decode(struct.pack("<QII", 0x30000, 1, 0), strict=True)
    assert policy.policy == GuestPolicy(smt=True)
    page = IgvmPageData.decode(PAGE, strict=True)
    assert (page.flags.is_2mb_page, page.flags.unmeasured) == (True, False)
    cpuid = IgvmPageData.decode(struct.pack("<QIIIHH", 0x5000, 1, 0, 2, 2, 0), strict=True)
    assert (cpuid.data_type, cpuid.flags.unmeasured) == (IgvmPageType.CPUID_DATA, True)
    state = IgvmVpContext.decode(struct.pack("<QIIHH", 0xFFFFFFFFF000, 1, 0x3000, 1, 0))
    assert (state.gpa, state.vp_index) == (0xFFFFFFFFF000, 1)
    before = IgvmVariableHeader.decode(struct.pack("<II", 0x304, 20), strict=True)
    assert (before.type, before.length) == (IgvmHeaderType.VP_CONTEXT, IgvmVpContext.size)


@pytest.mark.parametrize(
    ("cls", "data", "changes", "path"),
    [
        (IgvmFixedHeader, HEADER, {"magic": 0}, "magic"),
        (IgvmFixedHeader, HEADER, {"variable_header_offset": 28}, "variable_header_offset"),
        (IgvmFixedHeader, HEADER, {"variable_header_offset": 16}, "variable_header_offset"),
        (IgvmFixedHeader, HEADER, {"variable_header_size": 0x1FE9}, "variable_header_size"),
        (IgvmFixedHeader, HEADER, {"variable_header_size": 0x1FE8}, ""),
        (IgvmSupportedPlatform, PLATFORM, {"compatibility_mask": 0}, "compatibility_mask"),
        (IgvmSupportedPlatform, PLATFORM, {"compatibility_mask": 3}, "compatibility_mask"),
        (IgvmSupportedPlatform, PLATFORM, {"platform_type": 0}, ""),  # NATIVE
        (IgvmSupportedPlatform, PLATFORM, {"platform_type": 6}, ""),  # CCA, the last one
        (IgvmSupportedPlatform, PLATFORM, {"platform_type": 7}, "platform_type"),
        (IgvmPageData, PAGE, {"gpa": 0x201000}, "gpa"),
        (IgvmPageData, PAGE, {"data_type": 4}, "data_type"),
    ],
)
def test_broken_headers(cls: type[Record], data: bytes, changes: dict[str, int], path: str) -> None:
    value = cls.decode(data)
    for name, held in changes.items():
        setattr(value, name, held)
    assert next((problem.path for problem in value.problems()), "") == path


def test_an_id_block_has_what_the_firmware_gets() -> None:
    """The values of a test of cloud-hypervisor's launch: the same fields in both forms."""
    key = struct.pack("<II72s72s", 2, 0, b"\x30", b"\x40")
    data = struct.pack("<IB3x48s16s16s", 1, 0, b"\xaa" + bytes(46) + b"\xbb", b"\1", b"\2")
    data += struct.pack("<IIII", 1, 7, 1, 1)
    data += struct.pack("<72s72s", b"\x10", b"\x20") + key + bytes(144 + 152)
    held = IgvmSnpIdBlock.decode(data, strict=True)
    block = IdBlock(
        launch_digest=held.launch_digest,
        family_id=held.family_id,
        image_id=held.image_id,
        version=held.version,
        guest_svn=held.guest_svn,
        policy=GuestPolicy(smt=True),
    )
    assert block.encode()[0] == 0xAA
    assert block.encode()[47] == 0xBB
    assert block.problems() == []
    page = IdAuthentication(
        id_key_algorithm=held.id_key_algorithm, author_key_algorithm=held.author_key_algorithm
    )
    page.id_block_signature.r = held.id_block_signature.r
    page.id_key.curve, page.id_key.qx = held.id_key.curve, held.id_key.qx
    assert page.problems() == []
    assert (page.encode()[0x40], page.encode()[0x240], page.encode()[0x244]) == (0x10, 2, 0x30)
    held.author_key.curve = held.id_key.curve
    assert [problem.path for problem in held.problems()] == ["author_key_enabled"]
    held.author_key_enabled = 2
    assert [problem.path for problem in held.problems()] == ["author_key_enabled"]
