"""The SVSM attestation protocol (1): operation structures, manifests and the GUIDs of services.

A call attests to all services, or to one: the report's data is SHA-512 of the nonce and the
manifest. GUIDs have their first three fields little-endian, as UEFI writes them.

Sources: COCONUT-SVSM kernel/src/protocols/attest.rs and uefivars.rs (offsets asserted there), Linux
arch/x86/include/asm/sev.h.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from ..schema import (
    Bits,
    Bodies,
    Note,
    Problem,
    Record,
    Structure,
    Whole,
    bit,
    list_of,
    nested,
    raw,
    reserved,
    reserved_bytes,
    rest,
    structure,
    u16,
    u32,
    u64,
)
from .page_size import PAGE
from .svsm import Call, Memory, Operand, Protocol, ResultCode
from .svsm_drafts import RebootManifest

SOURCE = "COCONUT-SVSM kernel/src/protocols/attest.rs"

NONCE_SIZE = 64
MAX_CERTIFICATES = 0x4000


class AttestationCall(IntEnum):
    """Calls of protocol 1."""

    ATTEST_SERVICES = 0
    ATTEST_SINGLE_SERVICE = 1


GUID_ORDER = "first three fields little-endian"
MANIFEST_GUID = "63849ebb-3d92-4670-a1ff-58f9c94b87bb"
VTPM_GUID = "c476f1eb-0123-45a5-9641-b4e7dde5bfe3"
UEFI_MM_GUID = "a4453a59-9e1b-4787-a033-1986d6adbe55"
REBOOT_GUID = "0cc20f93-afaa-4013-9fb6-9d16fc42ceae"


@dataclass(frozen=True, slots=True)
class Service:
    """What a GUID of the protocol stands for, and the structure of its manifest."""

    name: str
    about: str = ""
    manifest: type[Structure] | None = None

    def __str__(self) -> str:
        return f"{self.name}; {self.about}" if self.about else self.name


def guid_bytes(text: str) -> bytes:
    """The 16 bytes of a GUID as they stand in memory."""
    return uuid.UUID(text).bytes_le


def guid_text(data: bytes) -> str:
    """A GUID in memory as text."""
    return str(uuid.UUID(bytes_le=bytes(data)))


def _service(data: bytes) -> str:
    text = guid_text(data)
    return f"{text}: {SERVICES.get(text, 'not known')}"


def _manifest(entry: ServiceEntry) -> tuple[str, type[Structure] | None]:
    """The name of a service, and the structure of its manifest."""
    text = guid_text(entry.guid)
    service = SERVICES.get(text, Service(text))
    return service.name, service.manifest


@structure("attest-services", size=0x40, source=SOURCE)
class AttestServices(Record):
    """Operation structure of ATTEST_SERVICES: where the guest wants what. 0x40 bytes."""

    report_gpa: int = u64("Guest-physical address of the report, 4 KiB aligned", spec="ReportGPA")
    report_size: int = u32("Bytes there")
    reserved_0x00c: bytes = reserved_bytes(4)
    nonce_gpa: int = u64("Guest-physical address of the nonce", spec="NonceGPA")
    nonce_size: int = u16("Bytes of the nonce", value=NONCE_SIZE)
    reserved_0x01a: bytes = reserved_bytes(6)
    manifest_gpa: int = u64("Guest-physical address of the manifest, 4 KiB aligned")
    manifest_size: int = u32("Bytes there")
    reserved_0x02c: bytes = reserved_bytes(4)
    cert_gpa: int = u64("Guest-physical address of the certificates, 4 KiB aligned")
    cert_size: int = u32("Bytes there; 0 = no certificates wanted")
    reserved_0x03c: bytes = reserved_bytes(4)

    def broken(self) -> Iterator[Problem]:
        if self.nonce_gpa % PAGE + self.nonce_size > PAGE:
            yield Problem("nonce_gpa", self.nonce_gpa, "the nonce crosses a page", "")
        regions = (
            ("report_gpa", self.report_gpa, self.report_size),
            ("manifest_gpa", self.manifest_gpa, self.manifest_size),
            ("cert_gpa", self.cert_gpa, self.cert_size),
        )
        for name, start, length in regions:
            if start % PAGE:
                yield Problem(name, start, "not 4 KiB aligned", "")
            elif start + length > 1 << 64:
                yield Problem(name, start, f"{length} bytes from here wrap", "")
        if self.cert_size > MAX_CERTIFICATES:
            rule = f"at most {MAX_CERTIFICATES:#x} bytes of certificates"
            yield Problem("cert_size", self.cert_size, rule, "")


@structure(
    "attest-services",
    size=0x40,
    revision="linux",
    source="Linux arch/x86/include/asm/sev.h (svsm_loc_entry)",
)
class AttestServicesLinux(Record):
    """Operation structure as Linux declares it: every size 32 bits wide, the nonce's too."""

    report_gpa: int = u64("Guest-physical address of the report", spec="report_buf.pa")
    report_size: int = u32("Bytes there", spec="report_buf.len")
    reserved_0x00c: bytes = reserved_bytes(4)
    nonce_gpa: int = u64("Guest-physical address of the nonce", spec="nonce.pa")
    nonce_size: int = u32("Bytes of the nonce", spec="nonce.len")
    reserved_0x01c: bytes = reserved_bytes(4)
    manifest_gpa: int = u64("Guest-physical address of the manifest", spec="manifest_buf.pa")
    manifest_size: int = u32("Bytes there", spec="manifest_buf.len")
    reserved_0x02c: bytes = reserved_bytes(4)
    cert_gpa: int = u64("Guest-physical address of the certificates", spec="certificates_buf.pa")
    cert_size: int = u32("Bytes there", spec="certificates_buf.len")
    reserved_0x03c: bytes = reserved_bytes(4)


@structure("attest-single-service", size=0x58, source=SOURCE)
class AttestSingleService(Record):
    """Operation structure of ATTEST_SINGLE_SERVICE: the common part, and which service."""

    operation: AttestServices = nested(AttestServices, "Where the guest wants what")
    service_guid: bytes = raw(16, f"Which service; {GUID_ORDER}", spec="ServiceGUID")
    manifest_version: int = u32("Version of the manifest", value=0)
    reserved_0x054: bytes = reserved_bytes(4)

    def notes(self) -> Iterator[Note]:
        yield Note("service_guid", _service(self.service_guid))


@structure("services-manifest-header", size=24, source=SOURCE)
class ServicesManifestHeader(Record):
    """Header of the services manifest."""

    guid: bytes = raw(
        16,
        f"That of the manifest itself, {MANIFEST_GUID}",
        value=guid_bytes(MANIFEST_GUID),
        spec="GUID",
    )
    total_length: int = u32("Bytes of the whole manifest")
    entry_count: int = u32("How many services follow")

    def notes(self) -> Iterator[Note]:
        yield Note("guid", _service(self.guid))


@structure("service-entry", size=24, source=SOURCE)
class ServiceEntry(Record):
    """One service of the services manifest: 24 bytes."""

    guid: bytes = raw(16, f"Which service; {GUID_ORDER}", spec="GUID")
    offset: int = u32("Where its manifest starts, in bytes from the start of the whole one")
    length: int = u32("Its size in bytes")

    def notes(self) -> Iterator[Note]:
        yield Note("guid", _service(self.guid))


@structure("uefi-mm-flags", size=4, source="COCONUT-SVSM kernel/src/protocols/uefivars.rs")
class UefiMmFlags(Bits):
    """What the variable store is like."""

    persistent: bool = bit("Variables outlive the VM")
    secure_boot: bool = bit("Secure boot is on")
    db_update: bool = bit("The signature database may be changed")
    reserved_31_3: int = reserved(29)


@structure("uefi-mm-manifest", size=8, source="COCONUT-SVSM kernel/src/protocols/uefivars.rs")
class UefiMmManifest(Record):
    """Manifest of the UEFI MM service."""

    version: int = u32("Version", value=0)
    flags: UefiMmFlags = nested(UefiMmFlags, "What the variable store is like")


SERVICES = {
    MANIFEST_GUID: Service("services manifest"),
    VTPM_GUID: Service("vTPM", "its manifest is the public area of the endorsement key"),
    UEFI_MM_GUID: Service("UEFI MM", manifest=UefiMmManifest),
    REBOOT_GUID: Service("reboot", "a draft", RebootManifest),
}
"""What the GUIDs of the protocol stand for. In memory their first three fields are little-endian."""


@structure("services-manifest", source=SOURCE, total="header.total_length")
class ServicesManifest(Whole):
    """Services manifest: a header, an entry for each service, and their manifests."""

    header: ServicesManifestHeader = nested(ServicesManifestHeader, "How long it is")
    services: list[ServiceEntry] = list_of(
        ServiceEntry,
        "Services",
        count="header.entry_count",
        bodies=Bodies("offset", "length", _manifest),
    )
    rest: bytes = rest("The manifests of the services, and what stands between them")


_OUTPUTS = (
    Operand("rcx", "bytes of the manifest; also where its buffer is too small"),
    Operand("rdx", "bytes of the certificates, 0 = none; also where the buffer is too small"),
    Operand("r8", "bytes of the report; also where its buffer is too small"),
)
_RESULTS = (
    ResultCode.SUCCESS,
    ResultCode.INVALID_PARAMETER,  # the structure, the nonce, a buffer that is too small
    ResultCode.INVALID_ADDRESS,  # address and size wrap
    ResultCode.INVALID_REQUEST,  # the firmware refused
)

# An unknown call of this protocol is answered by UNSUPPORTED_PROTOCOL, not UNSUPPORTED_CALL.
ATTESTATION_CALLS = (
    Call(
        Protocol.ATTESTATION,
        AttestationCall.ATTEST_SERVICES,
        "SVSM_ATTEST_SERVICES",
        "attest to every service",
        inputs=(Operand("rcx", "guest-physical address of the operation structure"),),
        outputs=_OUTPUTS,
        memory=(Memory("rcx", "where the guest wants what", AttestServices),),
        results=_RESULTS,
    ),
    Call(
        Protocol.ATTESTATION,
        AttestationCall.ATTEST_SINGLE_SERVICE,
        "SVSM_ATTEST_SINGLE_SERVICE",
        "attest to one service",
        inputs=(Operand("rcx", "guest-physical address of the operation structure"),),
        outputs=_OUTPUTS,
        memory=(Memory("rcx", "where the guest wants what, and of which", AttestSingleService),),
        results=(*_RESULTS, ResultCode.UNSUPPORTED_PROTOCOL),  # the last: a GUID not known
    ),
)
