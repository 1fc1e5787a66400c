"""Messages between an SNP guest and the firmware: exits 0x80000011 and 0x80000012.

A request page and a response page, 4 KiB each and shared with the host: a header of 0x60 bytes and
an encrypted payload. The payloads here, and those of `tio` and `tio_dma`, are what the ciphertext
holds. Initialisation vector: the sequence number's 8 bytes and 4 zero bytes; authenticated: header
bytes 0x30 to 0x5F.

Sources: COCONUT-SVSM kernel/src/greq/ (offsets asserted there), Oak oak_sev_guest/src/guest.rs,
mushroom common/snp-types/src/guest_message.rs, zyuiop/ghcb src/structures/snp_guest_request, Linux
include/uapi/linux/sev-guest.h and arch/x86/include/asm/sev.h, virtee/sev src/firmware (version 2 of
key requests).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from enum import IntEnum

from ..schema import (
    Bits,
    Bodies,
    Code,
    Note,
    Problem,
    Record,
    Whole,
    bit,
    bits,
    list_of,
    nested,
    raw,
    reserved,
    reserved_bytes,
    rest,
    structure,
    u8,
    u16,
    u32,
    u64,
)
from .firmware_status import FirmwareStatus, VmmStatus
from .readings import notes_on
from .report import REPORT_SIZE, AttestationReport

SOURCE = "COCONUT-SVSM kernel/src/greq/msg.rs"
REPORT_SOURCE = "COCONUT-SVSM kernel/src/greq/pld_report.rs"
OAK = "Oak oak_sev_guest/src/guest.rs"

HEADER_SIZE = 0x60
PAYLOAD_SIZE = 4000


class MessageKind(Code):
    """Message types. A response's is its request's plus 1."""

    CPUID_REQUEST = 1
    CPUID_RESPONSE = 2
    KEY_REQUEST = 3
    KEY_RESPONSE = 4
    REPORT_REQUEST = 5
    REPORT_RESPONSE = 6
    EXPORT_REQUEST = 7
    EXPORT_RESPONSE = 8
    IMPORT_REQUEST = 9
    IMPORT_RESPONSE = 10
    ABSORB_REQUEST = 11
    ABSORB_RESPONSE = 12
    VMRK_REQUEST = 13
    VMRK_RESPONSE = 14
    ABSORB_NOMA_REQUEST = 15, "without a migration agent; Oak and zyuiop/ghcb"
    ABSORB_NOMA_RESPONSE = 16
    TSC_INFO_REQUEST = 17
    TSC_INFO_RESPONSE = 18
    TDI_INFO_REQUEST = 19, "SEV-TIO; as all from here on"
    TDI_INFO_RESPONSE = 20
    MMIO_VALIDATE_REQUEST = 21
    MMIO_VALIDATE_RESPONSE = 22
    MMIO_CONFIG_REQUEST = 23
    MMIO_CONFIG_RESPONSE = 24
    SDTE_WRITE_REQUEST = 25
    SDTE_WRITE_RESPONSE = 26


HAS_VERSION_2 = (
    MessageKind.KEY_REQUEST,
    MessageKind.KEY_RESPONSE,
    *range(MessageKind.TDI_INFO_REQUEST, MessageKind.SDTE_WRITE_RESPONSE + 1),
)
"""Types whose payload has versions 1 and 2. A response has its request's version."""


class Algorithm(IntEnum):
    """How the payload is encrypted."""

    AES_256_GCM = 1


@structure("guest-message-header", size=0x60, source=SOURCE)
class GuestMessageHeader(Record):
    """Header of a guest message: 0x60 bytes."""

    authtag: bytes = raw(32, "AES-GCM tag in the first 16 bytes, the others 0")
    msg_seqno: int = u64("Sequence number: odd in a request, the next one in its response")
    reserved_0x028: bytes = reserved_bytes(8)
    algo: int = u8("How the payload is encrypted", enum=Algorithm, value=Algorithm.AES_256_GCM)
    hdr_version: int = u8("Version of the header", value=1)
    hdr_sz: int = u16("Size of the header", value=HEADER_SIZE)
    msg_type: int = u8("Type of the message", enum=MessageKind)
    msg_version: int = u8("Version of the payload: 1, or 2 where there is one")
    msg_sz: int = u16("Bytes of the payload, without the tag")
    reserved_0x038: bytes = reserved_bytes(4)
    msg_vmpck: int = u8("Which key: VMPCK 0 to 3")
    reserved_0x03d: bytes = reserved_bytes(35)

    @property
    def iv(self) -> bytes:
        """The initialisation vector: 12 bytes."""
        return self.msg_seqno.to_bytes(8, "little") + bytes(4)

    @property
    def authenticated(self) -> bytes:
        """The additional authenticated data: 48 bytes, 0x30 to 0x5F."""
        return self.encode()[0x30:]

    def broken(self) -> Iterator[Problem]:
        if self.msg_sz > PAYLOAD_SIZE:
            yield Problem("msg_sz", self.msg_sz, f"a page holds {PAYLOAD_SIZE} bytes", "")
        if self.msg_vmpck > 3:
            yield Problem("msg_vmpck", self.msg_vmpck, "there are VMPCK 0 to 3", "")
        newest = 2 if self.msg_type in HAS_VERSION_2 else 1
        if not 1 <= self.msg_version <= newest:
            rule = "1 or 2 expected" if newest == 2 else "1 expected"
            yield Problem("msg_version", self.msg_version, rule, "")

    def notes(self) -> Iterator[Note]:
        yield from notes_on(self)


@structure("guest-message", size=4096, source=SOURCE)
class GuestMessage(Record):
    """A request or response page: header and encrypted payload."""

    header: GuestMessageHeader = nested(GuestMessageHeader, "Header")
    payload: bytes = raw(PAYLOAD_SIZE, "Encrypted payload, the first msg_sz bytes of it")


class ReportKey(IntEnum):
    """Which key signs a report."""

    VLEK_OR_VCEK = 0  # VLEK if one is installed
    VCEK = 1
    VLEK = 2


@structure("report-key-select", size=4, source=REPORT_SOURCE)
class ReportKeySelect(Bits):
    """Key selection of a report request: 4 bytes at offset 0x44."""

    key: int = bits(2, "Key that signs the report", enum=ReportKey, spec="KEY_SEL")
    reserved_31_2: int = reserved(30)


@structure("report-request", size=96, source=REPORT_SOURCE)
class ReportRequest(Record):
    """Payload of a report request (type 5)."""

    user_data: bytes = raw(64, "REPORT_DATA: what the guest wants signed")
    vmpl: int = u32("VMPL to put in the report", spec="VMPL")
    key_select: ReportKeySelect = nested(ReportKeySelect, "Which key signs")
    reserved_0x048: bytes = reserved_bytes(24)


@structure("report-request", size=96, revision="oak", source=OAK)
class ReportRequestOak(Record):
    """Report request as Oak and older Linux read it: no key selection."""

    user_data: bytes = raw(64, "REPORT_DATA: what the guest wants signed")
    vmpl: int = u32("VMPL to put in the report", spec="VMPL")
    reserved_0x044: bytes = reserved_bytes(28)


class ReportStatus(IntEnum):
    """What became of a report or key request."""

    SUCCESS = 0
    INVALID_PARAMETERS = 0x16
    INVALID_KEY_SELECTION = 0x27


@structure("report-response", size=0x4C0, source=REPORT_SOURCE)
class ReportResponse(Record):
    """Payload of a report response (type 6)."""

    status: int = u32("What became of the request", enum=ReportStatus)
    report_size: int = u32("Bytes of the report: 0x4A0")
    reserved_0x008: bytes = reserved_bytes(24)
    report: AttestationReport = nested(AttestationReport, "The report")

    def judged(self, path: str = "") -> Iterator[Problem]:
        """A request that failed has no report: its bytes are not looked at."""
        for problem in Record.judged(self, path):
            if self.status == ReportStatus.SUCCESS or not problem.path.startswith(f"{path}report."):
                yield problem

    def broken(self) -> Iterator[Problem]:
        if self.status == ReportStatus.SUCCESS and self.report_size != REPORT_SIZE:
            yield Problem("report_size", self.report_size, f"{REPORT_SIZE:#x} expected", "")


class RootKey(IntEnum):
    """What a derived key grows from."""

    VCEK = 0
    VMRK = 1


class DerivationKey(IntEnum):
    """Which endorsement key, where the root is one."""

    DEFAULT = 0
    VCEK = 1
    VLEK = 2


@structure("key-select", size=4, source=OAK)
class KeySelect(Bits):
    """Key selection of a key request."""

    root: int = bits(1, "What the key grows from", enum=RootKey, spec="ROOT_KEY_SELECT")
    key: int = bits(2, "Which endorsement key", enum=DerivationKey, spec="KEY_SEL")
    reserved_31_3: int = reserved(29)


@structure("guest-field-select", size=8, source=OAK)
class GuestFieldSelect(Bits):
    """Which values are mixed into a derived key."""

    guest_policy: bool = bit("Policy of the guest")
    image_id: bool = bit("Image ID")
    family_id: bool = bit("Family ID")
    measurement: bool = bit("Measurement of the launch")
    guest_svn: bool = bit("Security version of the guest")
    tcb_version: bool = bit("TCB version")
    launch_mit_vector: bool = bit("Mitigations at launch", spec="LAUNCH_MIT_VECTOR")
    reserved_63_7: int = reserved(57)


@structure("key-request", size=32, source=OAK)
class KeyRequest(Record):
    """Payload of a key request (type 3)."""

    key_select: KeySelect = nested(KeySelect, "What the key grows from")
    reserved_0x004: bytes = reserved_bytes(4)
    guest_field_select: GuestFieldSelect = nested(GuestFieldSelect, "What is mixed in")
    vmpl: int = u32("VMPL to mix in", spec="VMPL")
    guest_svn: int = u32("Security version to mix in, at most the guest's")
    tcb_version: int = u64("TCB version to mix in, at most the guest's")


@structure(
    "key-request", size=40, revision="2", source="virtee/sev src/firmware/linux/guest/types.rs"
)
class KeyRequest2(Record):
    """Payload of a key request of message version 2, of firmware 1.58: mitigations can be mixed in."""

    key_select: KeySelect = nested(KeySelect, "What the key grows from")
    reserved_0x004: bytes = reserved_bytes(4)
    guest_field_select: GuestFieldSelect = nested(GuestFieldSelect, "What is mixed in")
    vmpl: int = u32("VMPL to mix in", spec="VMPL")
    guest_svn: int = u32("Security version to mix in, at most the guest's")
    tcb_version: int = u64("TCB version to mix in, at most the guest's")
    launch_mit_vector: int = u64("Mitigations to mix in", spec="LAUNCH_MIT_VECTOR")


@structure("key-response", size=64, source=OAK)
class KeyResponse(Record):
    """Payload of a key response (type 4)."""

    status: int = u32("What became of the request", enum=ReportStatus)
    reserved_0x004: bytes = reserved_bytes(28)
    key: bytes = raw(32, "The derived key")


@structure("tsc-info-request", size=128, source="Linux arch/x86/include/asm/sev.h")
class TscInfoRequest(Record):
    """Payload of a TSC information request (type 17): nothing is asked for."""

    reserved_0x000: bytes = reserved_bytes(128)


@structure("tsc-info-response", size=128, source="Linux arch/x86/include/asm/sev.h")
class TscInfoResponse(Record):
    """Payload of a TSC information response (type 18)."""

    status: int = u32("0 = success")
    reserved_0x004: bytes = reserved_bytes(4)
    tsc_scale: int = u64("GUEST_TSC_SCALE of the VMSA", spec="TSC_SCALE")
    tsc_offset: int = u64("GUEST_TSC_OFFSET of the VMSA", spec="TSC_OFFSET")
    tsc_factor: int = u32("By how much the mean frequency is below the nominal one, in 1/100000")
    reserved_0x01c: bytes = reserved_bytes(100)


@structure("guest-request-result", size=8, source="Linux include/uapi/linux/sev-guest.h")
class GuestRequestResult(Bits):
    """SW_EXITINFO2 after a guest request: 0 = success."""

    firmware: int = bits(32, "Status of the firmware", enum=FirmwareStatus)
    vmm: int = bits(32, "Status of the host", enum=VmmStatus, spec="VMM")


CERTIFICATES = {
    "c0b406a4a803495297433fb6014cd0ae": "ARK",
    "4ab7b379bbac4fe4a02f05aef327c782": "ASK",
    "63da758de6644564adc5f4b93be8accd": "VCEK",
    "a8074bc2a25a483eaae639c045a0b8a1": "VLEK",
    "92f81bc358114d3d97ffd19f88dc67ea": "CRL",
}
"""Certificates by GUID, as hex digits in the order of memory: network byte order (RFC 4122).

Source: virtee/sev, sev-guest tools; the order: T. Lendacky, 2025-02-26 (mail).
"""


@structure("certificate-entry", size=24, source="KVM arch/x86/kvm/svm/sev.c; virtee/sev")
class CertificateEntry(Record):
    """Entry of a certificate table; an all-zero one ends the table."""

    guid: bytes = raw(16, "What the certificate is; network byte order (RFC 4122)", spec="GUID")
    offset: int = u32("Where it starts, in bytes from the table's start")
    length: int = u32("Its size in bytes")

    @property
    def ends_table(self) -> bool:
        return not (any(self.guid) or self.offset or self.length)

    def notes(self) -> Iterator[Note]:
        if self.ends_table:
            yield Note("guid", "end of the table")
        else:
            name = CERTIFICATES.get(self.guid.hex(), "not known")
            yield Note("guid", f"{uuid.UUID(bytes=self.guid)}: {name}")


def _certificate(entry: CertificateEntry) -> tuple[str, None]:
    return CERTIFICATES.get(entry.guid.hex(), str(uuid.UUID(bytes=entry.guid))), None


@structure("certificate-table", source="KVM arch/x86/kvm/svm/sev.c; virtee/sev")
class CertificateTable(Whole):
    """Certificate table of an extended guest request: entries to an all-zero one, then certificates.

    Its GUIDs are in network byte order (RFC 4122), unlike those of the SVSM's manifests.
    """

    entries: list[CertificateEntry] = list_of(
        CertificateEntry,
        "Certificates, and the entry that ends the table",
        until=lambda entry: entry.ends_table,
        bodies=Bodies("offset", "length", _certificate),
    )
    rest: bytes = rest("The certificates, and what stands between them")
