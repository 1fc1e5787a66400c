"""SEV-TIO: guest messages 19 to 24, by which a guest checks a trusted device before it uses it.

A TDI is the part of a device that belongs to a guest. The guest asks the firmware what the TDI is
(TDI_INFO), validates its MMIO (MMIO_VALIDATE), reads or changes attributes of an MMIO range
(MMIO_CONFIG), and lets it do DMA (SDTE_WRITE, in `tio_dma`). The payloads are those of AMD #58271,
revision 0.91, message version 1. Newer kernels of AMD use message version 2, in which a 64-bit TDI ID
stands for the guest device ID: revision `tdi-id`, of TDI_INFO and SDTE_WRITE; those of MMIO_VALIDATE
and MMIO_CONFIG were not found.

Sources: OpenVMM's definitions after AMD #58271 0.91 (sizes asserted there), Linux TIO series
20260225053806.3311234-8-aik@amd.com and its RFC 20250218111017.491719-19-aik@amd.com (mail), Linux
drivers/virt/coco/sev-guest/tio.c of AMD's tree.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum

from ..schema import (
    Bits,
    Code,
    Note,
    Record,
    bit,
    bits,
    nested,
    raw,
    reserved,
    reserved_bytes,
    structure,
    u16,
    u32,
    u64,
)
from .readings import notes_on

SPECIFICATION = "AMD #58271 0.91, as OpenVMM declares it; Linux TIO series (mail)"
SERIES = "Linux TIO series 20260225053806.3311234-8-aik@amd.com (mail)"
NEWEST = "Linux drivers/virt/coco/sev-guest/tio.c of AMD's tree"


class TdiStatus(IntEnum):
    """What the firmware knows of a TDI."""

    BOUND = 0
    INVALID = 1
    UNBOUND = 2


class MmioValidateStatus(Code):
    """What became of MMIO_VALIDATE. The RFC had no NOT_IO, and every later number one lower."""

    SUCCESS = 0
    INVALID_TDI = 1, "no such TDI"
    TDI_UNBOUND = 2, "the TDI is not bound"
    NOT_ASSIGNED = 3, "a page is not the guest's"
    NOT_IO = 4, "a page is not of a device"
    NOT_UNIFORM = 5, "some pages are validated, some are not"
    NOT_IMMUTABLE = 6, "a page that is not validated is not immutable"
    NOT_MAPPED = 7, "a page is not at the expected address"
    NOT_REPORTED = 8, "the interface report does not have the range"
    OUT_OF_RANGE = 9, "the pages are not all in the range"
    NOT_4K = 10, "a page is not of 4 KiB"


class MmioConfigStatus(Code):
    """What became of MMIO_CONFIG. Source: the RFC."""

    SUCCESS = 0
    INVALID_TDI = 1, "no such TDI"
    TDI_UNBOUND = 2, "the TDI is not bound"
    NOT_REPORTED = 3, "the interface report does not have the range"
    COULD_NOT_CHANGE = 4, "an attribute cannot be changed"


# --- TDI_INFO, 19 and 20 --------------------------------------------------------------------------


@structure("tdi-info-request", size=16, source=SPECIFICATION)
class TdiInfoRequest(Record):
    """Payload of TDI_INFO_REQ (type 19): which device."""

    guest_device_id: int = u16("Guest device ID, which the host gave", spec="GUEST_DEVICE_ID")
    reserved_0x002: bytes = reserved_bytes(14)


@structure("tdi-info-request", size=16, revision="tdi-id", source=NEWEST)
class TdiInfoRequestTdiId(Record):
    """TDI_INFO_REQ of message version 2: by the TDI ID that the bind gave."""

    tdi_id: int = u64("TDI ID", spec="TDI_ID")
    reserved_0x008: bytes = reserved_bytes(8)


@structure("tdi-measurement-flags", size=4, source=SERIES)
class TdiMeasurementFlags(Bits):
    """What holds of the measurement's digest in a TDI_INFO_RSP."""

    valid: bool = bit("The digest is there", spec="MEAS_DIGEST_VALID")
    fresh: bool = bit("It was measured for this request", spec="MEAS_DIGEST_FRESH")
    reserved_31_2: int = reserved(30)


@structure("tdisp-lock-flags", size=4, source=SERIES)
class TdispLockFlags(Bits):
    """Flags of TDISP's LOCK_INTERFACE_REQUEST: what was locked in the device."""

    no_fw_update: bool = bit("The device's firmware cannot be updated", spec="NO_FW_UPDATE")
    cache_line_size: bool = bit("Cache lines of 128 bytes, not 64", spec="CACHE_LINE_SIZE")
    lock_msix: bool = bit("The MSI-X table is locked", spec="LOCK_MSIX")
    bind_p2p: bool = bit("Other devices may access it directly", spec="BIND_P2P")
    all_request_redirect: bool = bit("All requests go upstream", spec="ALL_REQUEST_REDIRECT")
    reserved_31_5: int = reserved(27)


class SpdmKeyExchange(IntEnum):
    """Key exchange of SPDM."""

    SECP256R1 = 0
    SECP384R1 = 1


class SpdmEncryption(IntEnum):
    """Encryption of SPDM."""

    AES_128_GCM = 0
    AES_256_GCM = 1


class SpdmSigning(IntEnum):
    """Signatures of SPDM."""

    RSASSA_3072 = 0
    ECDSA_P256 = 1
    ECDSA_P384 = 2


class SpdmHashing(IntEnum):
    """Hashes of SPDM."""

    SHA_256 = 0
    SHA_384 = 1


class SpdmKeySchedule(IntEnum):
    """Key schedule of SPDM."""

    SPDM = 0


@structure("spdm-algorithms", size=8, source="Linux TIO series (mail), TIO_SPDM_ALGOS")
class SpdmAlgorithms(Bits):
    """What protects the way to a device."""

    key_exchange: int = bits(8, "Key exchange", enum=SpdmKeyExchange, spec="DHE")
    encryption: int = bits(8, "Encryption", enum=SpdmEncryption, spec="AEAD")
    signing: int = bits(8, "Signatures", enum=SpdmSigning, spec="ASYM")
    hashing: int = bits(8, "Hash", enum=SpdmHashing, spec="HASH")
    key_schedule: int = bits(8, "Key schedule", enum=SpdmKeySchedule, spec="KEY_SCHED")
    reserved_63_40: int = reserved(24)


@structure("tdi-info-response", size=192, source=SPECIFICATION)
class TdiInfoResponse(Record):
    """Payload of TDI_INFO_RSP (type 20): what the firmware knows of a TDI."""

    guest_device_id: int = u16("Guest device ID", spec="GUEST_DEVICE_ID")
    status: int = u16("What the TDI is", enum=TdiStatus, spec="TDI_STATUS")
    reserved_0x004: bytes = reserved_bytes(12)
    measurement_flags: TdiMeasurementFlags = nested(TdiMeasurementFlags, "About the measurement")
    lock_flags: TdispLockFlags = nested(TdispLockFlags, "What was locked", spec="LOCK_FLAGS")
    spdm_algorithms: SpdmAlgorithms = nested(
        SpdmAlgorithms, "What protects the way to it", spec="SPDM_ALGOS"
    )
    certificates_digest: bytes = raw(48, "SHA-384 of its certificates", spec="CERTS_DIGEST")
    measurements_digest: bytes = raw(48, "SHA-384 of its measurements", spec="MEAS_DIGEST")
    report_digest: bytes = raw(
        48, "SHA-384 of its interface report", spec="INTERFACE_REPORT_DIGEST"
    )
    report_count: int = u64("How often the report was made", spec="TDI_REPORT_COUNT")
    reserved_0x0b8: bytes = reserved_bytes(8)


@structure("tdi-info-response", size=192, revision="tdi-id", source=NEWEST)
class TdiInfoResponseTdiId(Record):
    """TDI_INFO_RSP of message version 2: by the TDI ID."""

    tdi_id: int = u64("TDI ID", spec="TDI_ID")
    status: int = u16("What the TDI is", enum=TdiStatus, spec="TDI_STATUS")
    reserved_0x00a: bytes = reserved_bytes(6)
    measurement_flags: TdiMeasurementFlags = nested(TdiMeasurementFlags, "About the measurement")
    lock_flags: TdispLockFlags = nested(TdispLockFlags, "What was locked", spec="LOCK_FLAGS")
    spdm_algorithms: SpdmAlgorithms = nested(
        SpdmAlgorithms, "What protects the way to it", spec="SPDM_ALGOS"
    )
    certificates_digest: bytes = raw(48, "SHA-384 of its certificates", spec="CERTS_DIGEST")
    measurements_digest: bytes = raw(48, "SHA-384 of its measurements", spec="MEAS_DIGEST")
    report_digest: bytes = raw(
        48, "SHA-384 of its interface report", spec="INTERFACE_REPORT_DIGEST"
    )
    report_count: int = u64("How often the report was made", spec="TDI_REPORT_COUNT")
    reserved_0x0b8: bytes = reserved_bytes(8)


# --- MMIO_VALIDATE, 21 and 22 ---------------------------------------------------------------------


@structure("mmio-validate-flags", size=2, source=SPECIFICATION)
class MmioValidateFlags(Bits):
    """What MMIO_VALIDATE_REQ is to do."""

    validated: bool = bit("1 = validate the pages, 0 = make them invalid", spec="VALIDATED")
    force_validated: bool = bit(
        "Also where some are validated and some are not", spec="FORCE_VALIDATED"
    )
    reserved_15_2: int = reserved(14)


@structure("mmio-validate-request", size=48, source=SPECIFICATION)
class MmioValidateRequest(Record):
    """Payload of MMIO_VALIDATE_REQ (type 21): which pages of a device become the guest's."""

    guest_device_id: int = u16("Guest device ID", spec="GUEST_DEVICE_ID")
    reserved_0x002: bytes = reserved_bytes(14)
    subrange_base: int = u64("Guest-physical address of the pages", spec="SUBRANGE_BASE")
    subrange_page_count: int = u32("How many pages of 4 KiB", spec="SUBRANGE_PAGE_COUNT")
    range_offset: int = u32("Where they start in the range", spec="RANGE_OFFSET")
    flags: MmioValidateFlags = nested(MmioValidateFlags, "What is to be done")
    range_id: int = u16("Which range of the interface report", spec="RANGE_ID")
    reserved_0x024: bytes = reserved_bytes(12)


@structure("mmio-validate-result", size=2, source=SPECIFICATION)
class MmioValidateResult(Bits):
    """What MMIO_VALIDATE_RSP says of the pages."""

    changed: bool = bit("Pages were changed", spec="CHANGED")
    reserved_15_1: int = reserved(15)


@structure("mmio-validate-response", size=48, source=SPECIFICATION)
class MmioValidateResponse(Record):
    """Payload of MMIO_VALIDATE_RSP (type 22)."""

    guest_device_id: int = u16("Guest device ID", spec="GUEST_DEVICE_ID")
    status: int = u16("What became of it", enum=MmioValidateStatus, spec="STATUS")
    reserved_0x004: bytes = reserved_bytes(12)
    subrange_base: int = u64("Guest-physical address of the pages", spec="SUBRANGE_BASE")
    subrange_page_count: int = u32("How many pages of 4 KiB", spec="SUBRANGE_PAGE_COUNT")
    range_offset: int = u32("Where they start in the range", spec="RANGE_OFFSET")
    result: MmioValidateResult = nested(MmioValidateResult, "What happened to the pages")
    range_id: int = u16("Which range of the interface report", spec="RANGE_ID")
    reserved_0x024: bytes = reserved_bytes(12)

    def notes(self) -> Iterator[Note]:
        yield from notes_on(self)


# --- MMIO_CONFIG, 23 and 24 -----------------------------------------------------------------------


@structure("mmio-config-request-flags", size=2, source=SPECIFICATION)
class MmioConfigRequestFlags(Bits):
    """What MMIO_CONFIG_REQ is to set."""

    reserved_1_0: int = reserved(2)
    non_tee_mem: bool = bit("Shared memory may lead there, too", spec="NON_TEE_MEM")
    reserved_15_3: int = reserved(13)


@structure("mmio-config-write", size=4, source=SERIES)
class MmioConfigWrite(Bits):
    """Whether MMIO_CONFIG writes."""

    write: bool = bit("1 = set the attributes, 0 = read them", spec="WRITE")
    reserved_31_1: int = reserved(31)


@structure("mmio-config-request", size=16, source=SPECIFICATION)
class MmioConfigRequest(Record):
    """Payload of MMIO_CONFIG_REQ (type 23): attributes of an MMIO range."""

    guest_device_id: int = u16("Guest device ID", spec="GUEST_DEVICE_ID")
    reserved_0x002: bytes = reserved_bytes(2)
    flags: MmioConfigRequestFlags = nested(MmioConfigRequestFlags, "Attributes to set")
    range_id: int = u16("Which range of the interface report", spec="RANGE_ID")
    operation: MmioConfigWrite = nested(MmioConfigWrite, "Read or set")
    reserved_0x00c: bytes = reserved_bytes(4)


@structure("mmio-config-response-flags", size=2, source=SPECIFICATION)
class MmioConfigResponseFlags(Bits):
    """Attributes of an MMIO range."""

    msix_table: bool = bit("It has the MSI-X table", spec="MSIX_TABLE")
    msix_pba: bool = bit("It has the pending bits of MSI-X", spec="MSIX_PBA")
    non_tee_mem: bool = bit("Shared memory may lead there, too", spec="NON_TEE_MEM")
    mem_attr_updateable: bool = bit("Its attributes can be changed", spec="MEM_ATTR_UPDATEABLE")
    reserved_15_4: int = reserved(12)


@structure("mmio-config-response", size=16, source=SPECIFICATION)
class MmioConfigResponse(Record):
    """Payload of MMIO_CONFIG_RSP (type 24)."""

    guest_device_id: int = u16("Guest device ID", spec="GUEST_DEVICE_ID")
    status: int = u16("What became of it", enum=MmioConfigStatus, spec="STATUS")
    flags: MmioConfigResponseFlags = nested(MmioConfigResponseFlags, "Attributes of the range")
    range_id: int = u16("Which range of the interface report", spec="RANGE_ID")
    operation: MmioConfigWrite = nested(MmioConfigWrite, "Read or set")
    reserved_0x00c: bytes = reserved_bytes(4)
