"""Worked values of a guest's launch, of its CPUID page, and of what a host does to the RMP."""

from __future__ import annotations

import hashlib
import struct

import pytest

from vmgexit import (
    CcBlobSevInfo,
    CpuidFunction,
    CpuidPage,
    GuestPolicy,
    IdAuthentication,
    IdBlock,
    LaunchPageInfo,
    LaunchPageType,
    PsmashResult,
    PsmashStatus,
    RmpReadEntry,
    RmpState,
    RmpTableEntry,
    RmpUpdateResult,
    RmpUpdateStatus,
)

PAGE = bytes(range(256)) * 16


def test_a_launch_digest_is_the_digest_of_page_info() -> None:
    """virtee/sev src/measurement/gctx.rs: a normal page at 0x1000, then a VMSA."""
    digest = bytes(48)
    for page_type, gpa in ((1, 0x1000), (2, 0xFFFFFFFFF000)):
        contents = hashlib.sha384(PAGE).digest()
        packed = digest + contents + struct.pack("<HBBBBBBQ", 0x70, page_type, 0, 0, 0, 0, 0, gpa)
        info = LaunchPageInfo(
            digest_current=digest,
            contents=contents,
            page_type=LaunchPageType(page_type),
            gpa=gpa,
        )
        assert info.encode() == packed
        assert LaunchPageInfo.decode(packed, strict=True) == info
        digest = hashlib.sha384(packed).digest()


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({}, ""),
        ({"length": 0x60}, "length"),
        ({"page_type": 0}, "page_type"),
        ({"page_type": 7}, "page_type"),
        ({"imi_page": 2}, "imi_page"),
        ({"gpa": 0x1001}, "gpa"),
        ({"vmpl1_permissions": 0xF}, ""),
    ],
)
def test_page_info_problems(changes: dict[str, int], path: str) -> None:
    info = LaunchPageInfo(page_type=LaunchPageType.NORMAL)
    for name, value in changes.items():
        setattr(info, name, value)
    assert next((problem.path for problem in info.problems()), "") == path


def test_cpuid_page() -> None:
    """Two functions: Linux reads EAX, EBX, ECX and EDX of the one that fits."""
    data = struct.pack("<I12x", 2)
    data += struct.pack("<IIQQIIIIQ", 0xD, 1, 1, 0, 0xF, 0x240, 0, 0, 0)
    data += struct.pack("<IIQQIIIIQ", 0x8000001F, 0, 0, 0, 0x1A, 0x4173, 0x1FD, 0x1, 0)
    page = CpuidPage.decode(data.ljust(4096, b"\0"), strict=True)
    assert page.functions[0] == CpuidFunction(eax_in=0xD, ecx_in=1, xcr0_in=1, eax=0xF, ebx=0x240)
    assert [note.text for note in page.notes()] == [
        "CPUID 0x0000000d, sub-leaf 0x1: eax ebx ecx edx 0000000f 00000240 00000000 00000000",
        "CPUID 0x8000001f, sub-leaf 0x0: eax ebx ecx edx 0000001a 00004173 000001fd 00000001",
    ]


def test_cpuid_page_with_too_many_functions() -> None:
    page = CpuidPage(count=65)
    assert [problem.path for problem in page.problems()] == ["count"]
    assert len(list(page.notes())) == 64
    page.count = 64
    assert page.problems() == []


def test_confidential_computing_blob() -> None:
    """edk2 OvmfPkg/AmdSevDxe/AmdSevDxe.c, with the addresses of OvmfPkgX64.fdf."""
    data = bytes.fromhex(
        "414d4445 0100 0000 00d0800000000000 00100000 00000000 00e0800000000000 00100000 00000000"
    )
    blob = CcBlobSevInfo.decode(data, strict=True)
    assert (blob.secrets_phys, blob.secrets_len) == (0x80D000, 0x1000)
    assert (blob.cpuid_phys, blob.cpuid_len) == (0x80E000, 0x1000)
    assert blob.encode() == data
    blob.magic, blob.cpuid_phys = 0x4D444541, 0x80E001
    assert [problem.path for problem in blob.problems()] == ["magic", "cpuid_phys"]


def test_id_block() -> None:
    """virtee/sev src/measurement/idblock_types.rs: version 1, policy 0x30000 where nothing is said."""
    data = bytes(48) + b"f" * 16 + b"i" * 16 + struct.pack("<IIQ", 1, 7, 0x30000)
    block = IdBlock.decode(data, strict=True)
    assert (block.family_id, block.image_id, block.guest_svn) == (b"f" * 16, b"i" * 16, 7)
    assert block.policy == GuestPolicy(smt=True)
    block.version = 2
    assert [problem.path for problem in block.problems()] == ["version"]


def test_id_authentication() -> None:
    """virtee/sev src/measurement/idblock_types.rs: algorithm 1, curve 2."""
    data = bytearray(4096)
    data[0:8] = struct.pack("<II", 1, 1)
    data[0x40:0x43] = b"sig"
    data[0x240:0x248] = struct.pack("<I4s", 2, b"pubx")
    data[0x880:0x884] = struct.pack("<I", 2)
    page = IdAuthentication.decode(data, strict=True)
    assert page.id_block_signature.r[:3] == b"sig"
    assert (page.id_key.curve, page.id_key.qx[:4]) == (2, b"pubx")
    assert page.encode() == data
    data[0x67F] = 1
    data[0x880] = 3
    found = [problem.path for problem in IdAuthentication.decode(data).problems()]
    assert found == ["reserved_0x644", "author_key.curve"]


# --- RMP ------------------------------------------------------------------------------------------


def test_what_rmpupdate_sets() -> None:
    """Linux rmp_make_private: a 2 MiB page of ASID 5 that is not immutable."""
    data = struct.pack("<QBBBxI", 0x40000000, 1, 1, 0, 5)
    state = RmpState.decode(data, strict=True)
    assert (state.gpa, state.assigned, state.page_size, state.asid) == (0x40000000, 1, 1, 5)
    state.assigned, state.page_size, state.immutable = 2, 2, 3
    found = [problem.path for problem in state.problems()]
    assert found == ["page_size", "assigned", "immutable"]


def test_what_rmpread_answers() -> None:
    data = struct.pack("<QBBBBI", 0x7000, 1, 3, 1, 0, 9)
    entry = RmpReadEntry.decode(data, strict=True)
    assert (entry.gpa, entry.asid) == (0x7000, 9)
    flags = entry.flags
    assert (flags.assigned, flags.large, flags.hpage_region_status, flags.immutable) == (1,) * 4


def test_an_entry_of_the_table() -> None:
    """The entry of a VMSA that a host wrote to (lkml, 2026-02-25), and a second half."""
    data = struct.pack("<QQ", 0x6010FFFFFFFFF001, 0x1234)
    entry = RmpTableEntry.decode(data, strict=True)
    assert (entry.low.asid, entry.low.vmsa, entry.high) == (2, True, 0x1234)


def test_statuses_of_rmpupdate_and_psmash() -> None:
    assert RmpUpdateResult.decode(b"\4\0\0\0").status is RmpUpdateStatus.FAIL_OVERLAP
    assert PsmashResult.decode(b"\3\0\0\0").status is PsmashStatus.FAIL_INUSE
    assert [problem.path for problem in PsmashResult.of(5).problems()] == ["status"]
