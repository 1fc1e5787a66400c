"""SEV-TIO: what lets a device do DMA into a guest, and the words of the exits for trusted devices.

SDTE_WRITE (messages 25 and 26) sets the guest's part of the secure device table entry. RDX of the TIO
guest request says more about its message, as far as the host must know it.

Sources: those of `tio`.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..schema import (
    Bits,
    Bodies,
    Code,
    Note,
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
    u16,
    u32,
    u64,
)
from .attestation import guid_text
from .tio import NEWEST, SERIES, SPECIFICATION


class SdteWriteStatus(Code):
    """What became of SDTE_WRITE."""

    SUCCESS = 0
    INVALID_TDI = 1, "no such TDI"
    TDI_NOT_BOUND = 2, "the TDI is not bound"
    RESERVED = 3, "a reserved field is not zero"


@structure("sdte-mapping", size=8, source=SERIES)
class SdteMapping(Bits):
    """Bytes 0x00 to 0x07 of a secure device table entry."""

    valid: bool = bit("The entry is valid", spec="V")
    reserved_3_1: int = reserved(3)
    cxl_io: int = bits(3, "CXL.io; no source says more", spec="CXLIO")
    reserved_51_7: int = reserved(45)
    ppr: bool = bit("Page requests of the device", spec="PPR")
    reserved_53: int = reserved(1)
    giov: bool = bit("Guest I/O protection", spec="GIOV")
    gv: bool = bit("Guest translation", spec="GV")
    glx: int = bits(2, "Levels of the guest's table of page tables", spec="GLX")
    gcr3_table_0: int = bits(3, "Address of that table, part 0", spec="GCR3_TBL_RP0")
    read: bool = bit("The device may read", spec="IR")
    write: bool = bit("The device may write", spec="IW")
    reserved_63: int = reserved(1)


@structure("sdte-domain", size=8, source=SERIES)
class SdteDomain(Bits):
    """Bytes 0x08 to 0x0F of a secure device table entry."""

    domain_id: int = bits(16, "Domain", spec="DomainID")
    gcr3_table_1: int = bits(
        16, "Address of the guest's table of page tables, part 1", spec="GCR3_TBL_RP1"
    )
    interrupt: bool = bit("Interrupts", spec="I")
    reserved_37_33: int = reserved(5)
    ex: bool = bit("EX; no source says more", spec="EX")
    sd: bool = bit("SD; no source says more", spec="SD")
    reserved_41_40: int = reserved(2)
    secure_ats: bool = bit("Secure address translation services", spec="SATS")
    gcr3_table_2: int = bits(
        21, "Address of the guest's table of page tables, part 2", spec="GCR3_TBL_RP2"
    )


@structure("sdte-interrupts", size=8, source=SERIES)
class SdteInterrupts(Bits):
    """Bytes 0x10 to 0x17 of a secure device table entry."""

    valid: bool = bit("The guest's interrupt table is valid", spec="GIV")
    table_length: int = bits(4, "Length of the table", spec="GINT_TBL_LEN")
    reserved_5: int = reserved(1)
    table: int = bits(46, "Address of the table", spec="GINT_TBL")
    reserved_53_52: int = reserved(2)
    gpm: int = bits(2, "GPM; no source says more", spec="GPM")
    reserved_58_56: int = reserved(3)
    hpt_mode: bool = bit("HPT mode; no source says more", spec="HPT_MODE")
    reserved_63_60: int = reserved(4)


@structure("sdte-guest", size=8, source=SERIES)
class SdteGuest(Bits):
    """Bytes 0x18 to 0x1F of a secure device table entry: whose the device is."""

    asid: int = bits(12, "ASID of the guest", spec="ASID")
    reserved_14_12: int = reserved(3)
    viommu: bool = bit("A virtual IOMMU is in use", spec="VIOMMU_EN")
    guest_device_id: int = bits(16, "Guest device ID", spec="GUEST_DEVICE_ID")
    guest_id: int = bits(15, "Guest ID", spec="GUEST_ID")
    guest_id_must_be_one: bool = bit("Must be 1, by its name in Linux", spec="GUEST_ID_MBO")
    reserved_48: int = reserved(1)
    vmpl: int = bits(2, "VMPL whose permissions hold for the device", spec="VMPL")
    reserved_53_51: int = reserved(3)
    attributes_valid: bool = bit("AttrV; no source says more", spec="ATTRV")
    reserved_55: int = reserved(1)
    sa: int = bits(8, "SA; no source says more", spec="SA")


@structure("sdte-vtom", size=8, source=SPECIFICATION)
class SdteVtom(Bits):
    """Bytes 0x28 to 0x2F of a secure device table entry: which memory is private."""

    enabled: bool = bit("Below vTOM the device sees private memory", spec="VTOM_EN")
    virtual_tom: int = bits(31, "Virtual top of memory, in units of 2 MiB", spec="VIRTUAL_TOM")
    rp_id: int = bits(5, "RP ID; no source says more", spec="RP_ID")
    reserved_63_37: int = reserved(27)


@structure("sdte", size=64, source=f"{SERIES}; AMD #58271 0.91, as OpenVMM declares it")
class Sdte(Record):
    """Secure device table entry. OpenVMM has V, IR, IW, VMPL and vTOM; the others are reserved there."""

    mapping: SdteMapping = nested(SdteMapping, "What the device may do")
    domain: SdteDomain = nested(SdteDomain, "Domain, and the guest's page tables")
    interrupts: SdteInterrupts = nested(SdteInterrupts, "The guest's interrupt table")
    guest: SdteGuest = nested(SdteGuest, "Whose the device is")
    ide_stream_id: bytes = raw(8, "Streams of link encryption", spec="IDE_STREAM_ID")
    vtom: SdteVtom = nested(SdteVtom, "Which memory is private")
    reserved_0x030: bytes = reserved_bytes(16)


@structure("sdte-write-request", size=80, source=SPECIFICATION)
class SdteWriteRequest(Record):
    """Payload of SDTE_WRITE_REQ (type 25): the entry that lets a device do DMA; zero stops it."""

    guest_device_id: int = u16("Guest device ID", spec="GUEST_DEVICE_ID")
    reserved_0x002: bytes = reserved_bytes(14)
    sdte: Sdte = nested(Sdte, "The entry", spec="SDTE")


@structure("sdte-write-request", size=80, revision="tdi-id", source=NEWEST)
class SdteWriteRequestTdiId(Record):
    """SDTE_WRITE_REQ of message version 2: by the TDI ID."""

    tdi_id: int = u64("TDI ID", spec="TDI_ID")
    reserved_0x008: bytes = reserved_bytes(8)
    sdte: Sdte = nested(Sdte, "The entry", spec="SDTE")


@structure("sdte-write-response", size=16, source=SPECIFICATION)
class SdteWriteResponse(Record):
    """Payload of SDTE_WRITE_RSP (type 26)."""

    guest_device_id: int = u16("Guest device ID", spec="GUEST_DEVICE_ID")
    status: int = u16("What became of it", enum=SdteWriteStatus, spec="STATUS")
    reserved_0x004: bytes = reserved_bytes(12)


@structure("sdte-write-response", size=16, revision="tdi-id", source=NEWEST)
class SdteWriteResponseTdiId(Record):
    """SDTE_WRITE_RSP of message version 2: by the TDI ID."""

    tdi_id: int = u64("TDI ID", spec="TDI_ID")
    status: int = u16("What became of it", enum=SdteWriteStatus, spec="STATUS")
    reserved_0x00a: bytes = reserved_bytes(6)


# --- Words and tables of the exits ----------------------------------------------------------------


@structure("tio-mmio", size=8, source="Linux include/uapi/linux/sev-guest.h (TIO series, mail)")
class TioMmio(Bits):
    """RDX of a TIO guest request with MMIO_VALIDATE or MMIO_CONFIG: which MMIO."""

    range_id: int = bits(3, "Which range: the BAR")
    private: bool = bit("Private; of MMIO_CONFIG in the RFC: TEE", spec="TEE")
    order: int = bits(8, "Binary logarithm of the number of 4 KiB pages")
    frame: int = bits(40, "Guest frame number of the first page", spec="GPA")
    reserved_63_52: int = reserved(12)

    @property
    def length(self) -> int:
        """Bytes of the MMIO."""
        return 4096 << self.order


@structure("tio-info-wanted", size=8, source=SERIES)
class TioInfoWanted(Bits):
    """RDX of a TIO guest request with TDI_INFO: what the host is to add. It answers TDISP's state."""

    state: bool = bit("The device's TDISP state, in RDX", spec="STATE")
    reserved_2_1: int = reserved(2)
    report: bool = bit("The interface report, in the pages of RAX", spec="REPORT")
    reserved_63_4: int = reserved(60)


TIO_BLOBS = {
    "5caa80c6-12ef-401a-b364-ec59a93abe3f": "measurements",
    "078ccb75-2644-49e8-afe7-5686c5cf72f1": "certificates",
    "70dc5b0e-0cc0-4cd5-97bb-ff0ba25bf320": "interface report",
}
"""Blobs of a TIO guest request by GUID. Source: the TIO series."""


@structure("tio-blob-entry", size=24, source=SERIES)
class TioBlobEntry(Record):
    """Entry of the table in the pages of RAX: where the host put what it added."""

    guid: bytes = raw(16, "What it is; all zero ends the table", spec="GUID")
    offset: int = u32("Where it starts, in bytes from the table's start")
    length: int = u32("Its size in bytes; 0 = it is not there")

    def notes(self) -> Iterator[Note]:
        # guid_t of Linux: the first three fields are little-endian, unlike those of certificates.
        text = guid_text(self.guid)
        ends = "end of the table"
        yield Note("guid", TIO_BLOBS.get(text, "not known") if any(self.guid) else ends)


def _blob(entry: TioBlobEntry) -> tuple[str, None]:
    text = guid_text(entry.guid)
    return TIO_BLOBS.get(text, text), None


@structure("tio-blob-table", source=SERIES)
class TioBlobTable(Whole):
    """Table in the pages of RAX of a TIO guest request: entries to an all-zero GUID, then the blobs."""

    entries: list[TioBlobEntry] = list_of(
        TioBlobEntry,
        "Blobs, and the entry that ends the table",
        until=lambda entry: not any(entry.guid),
        bodies=Bodies("offset", "length", _blob),
    )
    rest: bytes = rest("The blobs, and what stands between them")
