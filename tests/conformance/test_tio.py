"""Worked values of SEV-TIO: guest messages 19 to 26, the words beside them, firmware statuses."""

from __future__ import annotations

import struct

import pytest

from tests.conformance.worked import Worked
from vmgexit import (
    FirmwareStatus,
    KeyRequest2,
    MessageKind,
    MmioConfigResponse,
    MmioConfigStatus,
    MmioValidateRequest,
    MmioValidateResponse,
    MmioValidateStatus,
    Sdte,
    SdteWriteRequest,
    SdteWriteRequestTdiId,
    SdteWriteStatus,
    SpdmAlgorithms,
    TdiInfoRequest,
    TdiInfoResponse,
    TdiInfoResponseTdiId,
    TdispLockFlags,
    TdiStatus,
    TioBlobEntry,
    TioInfoWanted,
    TioMmio,
)
from vmgexit.wire.registry import structures

VALUES = [
    # MMIO_MK_VALIDATE of the Linux series: 4 pages of BAR 2 at 3 GiB, private
    Worked(0xC000002A, TioMmio, {"range_id": 2, "private": 1, "order": 2, "frame": 0xC0000}),
    Worked(0x0010000000000000, TioMmio, broken="reserved_63_52"),
    Worked(0x9, TioInfoWanted, {"state": 1, "report": 1}),
    Worked(0x2, TioInfoWanted, broken="reserved_2_1"),
    Worked(0x15, TdispLockFlags, {"no_fw_update": 1, "lock_msix": 1, "all_request_redirect": 1}),
    # P-384, AES-256-GCM, ECDSA P-384, SHA-384
    Worked(
        0x01020101, SpdmAlgorithms, {"key_exchange": 1, "encryption": 1, "signing": 2, "hashing": 1}
    ),
    Worked(0x0000030000, SpdmAlgorithms, broken="signing"),
]


@pytest.mark.parametrize("word", VALUES, ids=str)
def test_worked_value(word: Worked) -> None:
    word.check()


def test_length_of_an_mmio() -> None:
    assert TioMmio.of(0xC000002A).length == 0x4000


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (19, "TDI_INFO_REQUEST"),
        (20, "TDI_INFO_RESPONSE"),
        (21, "MMIO_VALIDATE_REQUEST"),
        (22, "MMIO_VALIDATE_RESPONSE"),
        (23, "MMIO_CONFIG_REQUEST"),
        (24, "MMIO_CONFIG_RESPONSE"),
        (25, "SDTE_WRITE_REQUEST"),
        (26, "SDTE_WRITE_RESPONSE"),
    ],
)
def test_number_of_a_message(number: int, name: str) -> None:
    assert MessageKind(number).name == name


@pytest.mark.parametrize(
    ("name", "revision", "size"),
    [
        # Sizes asserted by OpenVMM, and those of Linux
        ("tdi-info-request", "", 16),
        ("tdi-info-request", "tdi-id", 16),
        ("tdi-info-response", "", 192),
        ("tdi-info-response", "tdi-id", 192),
        ("mmio-validate-request", "", 48),
        ("mmio-validate-response", "", 48),
        ("mmio-config-request", "", 16),
        ("mmio-config-response", "", 16),
        ("sdte", "", 64),
        ("sdte-write-request", "", 80),
        ("sdte-write-request", "tdi-id", 80),
        ("sdte-write-response", "", 16),
        ("sdte-write-response", "tdi-id", 16),
        ("tio-blob-entry", "", 24),
        ("key-request", "2", 40),
    ],
)
def test_size(name: str, revision: str, size: int) -> None:
    assert structures()[name][revision].size == size


def test_tdi_info() -> None:
    """A TDI of device 0x0108 that is bound, and what the host locked in it."""
    assert TdiInfoRequest(guest_device_id=0x108).encode() == b"\x08\x01" + bytes(14)
    digests = b"c" * 48 + b"m" * 48 + b"r" * 48
    rest = struct.pack("<IIQ", 3, 0x15, 0x01020101) + digests + struct.pack("<QQ", 2, 0)
    answer = TdiInfoResponse.decode(struct.pack("<HH12x", 0x108, 0) + rest, strict=True)
    assert (answer.guest_device_id, answer.status) == (0x108, TdiStatus.BOUND)
    assert (answer.measurement_flags.valid, answer.measurement_flags.fresh) == (True, True)
    assert answer.lock_flags.lock_msix
    assert (answer.certificates_digest, answer.report_digest) == (b"c" * 48, b"r" * 48)
    assert answer.report_count == 2
    newer = TdiInfoResponseTdiId.decode(struct.pack("<QH6x", 1 << 40, 2) + rest, strict=True)
    assert (newer.tdi_id, newer.status) == (1 << 40, TdiStatus.UNBOUND)
    assert newer.report_digest == answer.report_digest


def test_mmio_is_validated() -> None:
    data = struct.pack("<H14xQIIHH12x", 0x108, 0xC0000000, 4, 0, 1, 2)
    request = MmioValidateRequest.decode(data, strict=True)
    assert (request.flags.validated, request.flags.force_validated) == (True, False)
    assert (request.subrange_base, request.subrange_page_count) == (0xC0000000, 4)
    assert request.range_id == 2
    data = struct.pack("<HH12xQIIHH12x", 0x108, 7, 0xC0000000, 4, 0, 1, 2)
    answer = MmioValidateResponse.decode(data, strict=True)
    assert (answer.status, answer.result.changed) == (MmioValidateStatus.NOT_MAPPED, True)
    assert "one lower" in next(iter(answer.notes())).text


def test_attributes_of_an_mmio_range() -> None:
    answer = MmioConfigResponse.decode(struct.pack("<HHHHI4x", 0x108, 4, 0xC, 2, 1), strict=True)
    assert answer.status is MmioConfigStatus.COULD_NOT_CHANGE
    assert (answer.flags.non_tee_mem, answer.flags.mem_attr_updateable) == (True, True)
    assert (answer.flags.msix_table, answer.operation.write) == (False, True)


def test_a_device_may_do_dma() -> None:
    """What OpenVMM writes: V, IR, IW, VMPL 2, vTOM 0x7FFFFFFF."""
    parts = (1 | 1 << 61 | 1 << 62, 0, 0, 2 << 49, 0, 0xFFFFFFFF, 0, 0)
    entry = Sdte.decode(struct.pack("<8Q", *parts), strict=True)
    assert (entry.mapping.valid, entry.mapping.read, entry.mapping.write) == (True, True, True)
    assert (entry.guest.vmpl, entry.vtom.enabled, entry.vtom.virtual_tom) == (2, True, 0x7FFFFFFF)
    data = SdteWriteRequest(guest_device_id=0x108, sdte=entry).encode()
    assert data == b"\x08\x01" + bytes(14) + struct.pack("<8Q", *parts)
    newer = SdteWriteRequestTdiId.decode(data)
    assert (newer.tdi_id, newer.sdte) == (0x108, entry)
    assert SdteWriteStatus(2).meaning == "the TDI is not bound"


def test_blobs_of_a_device() -> None:
    guid = bytes.fromhex("0e5bdc70 c00c d54c 97bbff0ba25bf320")
    entry = TioBlobEntry.decode(guid + struct.pack("<II", 96, 0x200), strict=True)
    assert [note.text for note in entry.notes()] == ["interface report"]
    assert (entry.offset, entry.length) == (96, 0x200)
    assert [note.text for note in TioBlobEntry().notes()] == ["end of the table"]
    assert [note.text for note in TioBlobEntry(guid=b"x" * 16).notes()] == ["not known"]


def test_key_request_of_version_2() -> None:
    """virtee/sev src/firmware/linux/guest/types.rs: as version 1, and the mitigations."""
    data = struct.pack("<IIQIIQQ", 1, 0, 1 << 6, 2, 7, 0xD3, 0x1F)
    request = KeyRequest2.decode(data, strict=True)
    assert request.guest_field_select.launch_mit_vector
    assert (request.vmpl, request.guest_svn, request.tcb_version) == (2, 7, 0xD3)
    assert request.launch_mit_vector == 0x1F


@pytest.mark.parametrize(
    ("number", "name"),
    [
        # Linux include/uapi/linux/psp-sev.h
        (0x27, "INVALID_KEY"),
        (0x28, "SHUTDOWN_INCOMPLETE"),
        (0x30, "INCORRECT_BUFFER_LENGTH"),
        (0x31, "EXPAND_BUFFER_LENGTH_REQUEST"),
        (0x32, "SPDM_REQUEST"),
        (0x33, "SPDM_ERROR"),
        (0x35, "ERR_IN_DEV_CONN"),
        (0x36, "INVALID_DEV_CTX"),
        (0x37, "INVALID_TDI_CTX"),
        (0x38, "INVALID_TDI"),
        (0x39, "RECLAIM_REQUIRED"),
        (0x3A, "IN_USE"),
        (0x3B, "INVALID_DEV_STATE"),
        (0x3C, "INVALID_TDI_STATE"),
        (0x3D, "DEV_CERT_CHANGED"),
        (0x3E, "RESYNC_REQ"),
        (0x3F, "RESPONSE_TOO_LARGE"),
    ],
)
def test_status_of_the_firmware(number: int, name: str) -> None:
    assert FirmwareStatus(number).name == name


@pytest.mark.parametrize("number", [0x1E, 0x29, 0x2F, 0x34, 0x40])
def test_numbers_that_are_no_status(number: int) -> None:
    assert number not in set(FirmwareStatus)
