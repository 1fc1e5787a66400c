"""The SVSM core protocol (0): its calls, what their registers hold, and the PVALIDATE list.

Sources: COCONUT-SVSM kernel/src/protocols/core.rs, edk2 MdePkg/Include/Register/Amd/Svsm.h and
OvmfPkg/Library/AmdSvsmLib, Linux arch/x86/include/asm/sev.h, linux-svsm src/protocols/core.rs.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..schema import (
    Bits,
    Note,
    Problem,
    Record,
    Rule,
    Whole,
    bit,
    bits,
    list_of,
    nested,
    reserved,
    reserved_bytes,
    rest,
    structure,
    u16,
)
from .page_size import PAGES_IN_LARGE
from .readings import notes_on
from .rmp import PageSize
from .svsm import Call, CoreCall, Memory, Operand, Protocol, Refusal, ResultCode, address_of

SOURCE = "COCONUT-SVSM kernel/src/protocols/core.rs"

MAX_ENTRIES = 511
"""Entries of a PVALIDATE list that starts with its page; 510 fit the buffer of a calling area."""


@structure("svsm-protocol-query", size=8, clause="REG-8", source=SOURCE)
class ProtocolQuery(Bits):
    """RCX of QUERY_PROTOCOL: the protocol asked for, and the version the guest wants."""

    version: int = bits(32, "Version wanted")
    protocol: int = bits(32, "Protocol asked for", enum=Protocol)


@structure("svsm-version-range", size=8, source=SOURCE)
class VersionRange(Bits):
    """RCX that QUERY_PROTOCOL answers; all zero where protocol or version are not supported."""

    lowest: int = bits(32, "Lowest version supported")
    highest: int = bits(32, "Highest version supported")


@structure("create-vcpu-apic-id", size=8, source=SOURCE)
class CreateVcpuApicId(Bits):
    """R8 of CREATE_VCPU: which vCPU."""

    apic_id: int = bits(32, "APIC ID", spec="APIC_ID")
    reserved_63_32: int = reserved(32, Rule.IGNORED)


@structure("configure-vtom", size=8, source=SOURCE)
class ConfigureVtom(Bits):
    """RCX of CONFIGURE_VTOM. linux-svsm takes the whole register: 1 is a query."""

    query: bool = bit("1 = ask only; COCONUT-SVSM refuses anything else")
    reserved_63_1: int = reserved(63, Rule.IGNORED)


@structure("pvalidate-header", size=8, source=SOURCE)
class PvalidateHeader(Record):
    """Header of a PVALIDATE list: 8 bytes."""

    entries: int = u16("How many entries follow")
    next: int = u16(
        "Entry to do next. After a failure it names the entry that failed; after success it equals"
        " Entries",
        access="guest sets, SVSM writes back",
    )
    reserved_0x004: bytes = reserved_bytes(4)

    def broken(self) -> Iterator[Problem]:
        if not self.entries:
            yield Problem("entries", 0, "an empty list is INVALID_PARAMETER", "")
        elif self.next >= self.entries:
            rule = "past the last entry: as a request, INVALID_PARAMETER"
            yield Problem("next", self.next, rule, "")


@structure("pvalidate-entry", size=8, source=SOURCE)
class PvalidateEntry(Bits):
    """One page to validate or to make invalid."""

    page_size: int = bits(2, "Size of the page", enum=PageSize)
    validate: bool = bit("Action: 1 = validate, 0 = make invalid", spec="Action")
    ignore_cf: bool = bit("A page that is in that state already is no failure", spec="IgnoreCF")
    reserved_11_4: int = reserved(8)
    frame: int = bits(52, "Guest frame number")

    def broken(self) -> Iterator[Problem]:
        if self.page_size == PageSize.SIZE_2M and self.frame % PAGES_IN_LARGE:
            yield Problem("frame", self.frame, "a 2 MiB page starts on a multiple of 512", "")

    def notes(self) -> Iterator[Note]:
        yield from notes_on(self)


@structure("pvalidate-list", source=SOURCE)
class PvalidateList(Whole):
    """PVALIDATE list: a header and its entries.

    It stands anywhere, 8-byte aligned, as long as it does not cross its page.
    """

    header: PvalidateHeader = nested(PvalidateHeader, "Which entries are to be done")
    entries: list[PvalidateEntry] = list_of(
        PvalidateEntry, "Pages", count="header.entries", most=MAX_ENTRIES
    )
    rest: bytes = rest("What follows the list in its page")


_NOWHERE = "no source describes its operands; COCONUT-SVSM and linux-svsm do not support it"

CORE_CALLS = (
    Call(
        Protocol.CORE,
        CoreCall.REMAP_CA,
        "SVSM_CORE_REMAP_CA",
        "use another page as this vCPU's calling area",
        inputs=(address_of("rcx", "the new calling area", 4096),),
        results=(
            ResultCode.SUCCESS,
            ResultCode.INVALID_PARAMETER,  # not aligned
            ResultCode.INVALID_ADDRESS,  # not the guest's memory, or in use
        ),
        refusals=(
            Refusal(
                ResultCode.INVALID_PARAMETER,
                "RCX is not 4 KiB aligned",
                "COCONUT-SVSM 63e9f174, by table 6 of the SVSM specification",
            ),
        ),
    ),
    Call(
        Protocol.CORE,
        CoreCall.PVALIDATE,
        "SVSM_CORE_PVALIDATE",
        "validate pages, or make them invalid",
        inputs=(address_of("rcx", "the list", 8),),
        memory=(
            Memory("rcx", "the list; its header is written back", PvalidateList, written=True),
        ),
        results=(
            ResultCode.SUCCESS,
            ResultCode.INCOMPLETE,
            ResultCode.INVALID_PARAMETER,  # alignment, counts, an entry's reserved bits or size
            ResultCode.INVALID_ADDRESS,  # an entry is not the guest's memory
            ResultCode.FAIL_INPUT,
            ResultCode.FAIL_SIZEMISMATCH,
            ResultCode.FAIL_NOCHANGE,
        ),
    ),
    Call(
        Protocol.CORE,
        CoreCall.CREATE_VCPU,
        "SVSM_CORE_CREATE_VCPU",
        "start a vCPU from a VMSA",
        inputs=(
            address_of("rcx", "the VMSA", 4096),
            address_of("rdx", "its calling area", 4096),
            Operand("r8", "APIC ID", CreateVcpuApicId),
        ),
        results=(
            ResultCode.SUCCESS,
            ResultCode.INVALID_ADDRESS,  # alignment, overlap, not the guest's, registered already
            ResultCode.INVALID_PARAMETER,  # APIC ID, or VMPL, EFER.SVME, SEV_FEATURES of the VMSA
            ResultCode.FAIL_PERMISSION,
        ),
        refusals=(
            Refusal(
                ResultCode.INVALID_ADDRESS,
                "RDX is not 4 KiB aligned",
                "COCONUT-SVSM 63e9f174, by table 10 of the SVSM specification",
            ),
        ),
    ),
    Call(
        Protocol.CORE,
        CoreCall.DELETE_VCPU,
        "SVSM_CORE_DELETE_VCPU",
        "delete a vCPU",
        inputs=(Operand("rcx", "guest-physical address of the VMSA"),),
        results=(
            ResultCode.SUCCESS,
            ResultCode.INVALID_PARAMETER,  # not aligned, or no VMSA
            ResultCode.INVALID_ADDRESS,  # RMPADJUST failed
            ResultCode.FAIL_INUSE,
        ),
    ),
    Call(
        Protocol.CORE,
        CoreCall.DEPOSIT_MEM,
        "SVSM_CORE_DEPOSIT_MEM",
        f"give memory to the SVSM: {_NOWHERE}",
        results=(ResultCode.UNSUPPORTED_CALL,),
    ),
    Call(
        Protocol.CORE,
        CoreCall.WITHDRAW_MEM,
        "SVSM_CORE_WITHDRAW_MEM",
        f"take memory back from the SVSM: {_NOWHERE}",
        results=(ResultCode.UNSUPPORTED_CALL,),
    ),
    Call(
        Protocol.CORE,
        CoreCall.QUERY_PROTOCOL,
        "SVSM_CORE_QUERY_PROTOCOL",
        "which versions of a protocol are supported",
        inputs=(Operand("rcx", "protocol and version asked for", ProtocolQuery),),
        outputs=(Operand("rcx", "versions supported; 0 = none", VersionRange),),
    ),
    Call(
        Protocol.CORE,
        CoreCall.CONFIGURE_VTOM,
        "SVSM_CORE_CONFIGURE_VTOM",
        "query or set the virtual top of memory",
        inputs=(Operand("rcx", "query or set", ConfigureVtom),),
        outputs=(Operand("rcx", "0: not supported"),),
        results=(ResultCode.SUCCESS, ResultCode.INVALID_REQUEST),
    ),
)
