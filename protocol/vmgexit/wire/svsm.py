"""How a guest calls its SVSM: the calling area, the result codes, and what describes a call.

Sources: COCONUT-SVSM kernel/src/requests.rs and kernel/src/protocols/; edk2
MdePkg/Include/Register/Amd/Svsm.h; Linux arch/x86/include/asm/sev.h; linux-svsm
src/protocols/error_codes.rs. Calls are in a file for each protocol (`core`, `attestation`, `vtpm`,
`apic`, `uefi_mm`, `omp`, `svsm_drafts`); `calls` has all of them, and the registers of a call.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from ..schema import Bits, Code, Note, Record, bits, raw, reserved_bytes, structure, u8
from .readings import notes_on

SOURCE = "COCONUT-SVSM kernel/src/requests.rs"


class Protocol(Code):
    """Protocol numbers, bits 63:32 of a call's RAX."""

    CORE = 0, "vCPUs, memory, versions"
    ATTESTATION = 1, "reports on the SVSM's services"
    VTPM = 2, "a TPM within the SVSM"
    APIC = 3, "the APIC that the SVSM emulates"
    UEFI_MM = 4, "UEFI variables within the SVSM"
    OBSERVABILITY = 5, "what the SVSM lets a guest read and write of itself"
    MEMORY_MAP = 42, "the guest's memory; a draft, and a number for the time being"


@dataclass(frozen=True, slots=True)
class ProtocolOrigin:
    """Since when a protocol exists, and where its calls were read off."""

    since: str
    source: str
    clause: str = ""  # what says which calls there are


PROTOCOLS = {
    Protocol.CORE: ProtocolOrigin(
        "revision 1.00 of AMD #58019",
        "COCONUT-SVSM kernel/src/protocols/core.rs; linux-svsm src/protocols/core.rs",
    ),
    Protocol.ATTESTATION: ProtocolOrigin(
        "revision 1.00 of AMD #58019", "COCONUT-SVSM kernel/src/protocols/attest.rs"
    ),
    Protocol.VTPM: ProtocolOrigin(
        "revision 1.00 of AMD #58019", "COCONUT-SVSM kernel/src/protocols/vtpm.rs"
    ),
    Protocol.APIC: ProtocolOrigin(
        "named as part of revision 1.01 of AMD #58019 (COCONUT-SVSM pull request 1120)",
        "COCONUT-SVSM kernel/src/protocols/apic.rs",
        clause="REG-8",
    ),
    Protocol.UEFI_MM: ProtocolOrigin(
        "named as part of revision 1.01 of AMD #58019 (COCONUT-SVSM pull request 1120)",
        "COCONUT-SVSM kernel/src/protocols/uefivars.rs",
    ),
    Protocol.OBSERVABILITY: ProtocolOrigin(
        "a draft of 2026-04-14; the number is reserved by COCONUT-SVSM pull request 1182",
        "COCONUT-SVSM kernel/src/protocols/omp/requests.rs (2026)",
    ),
    Protocol.MEMORY_MAP: ProtocolOrigin(
        "a draft of 2025-07-14", "COCONUT-SVSM refs/pull/760 kernel/src/protocols/memmap.rs"
    ),
}
"""The origin of each protocol."""


class ResultCode(Code):
    """What a call answers in RAX. From 0x80001000 on a code belongs to the protocol called."""

    SUCCESS = 0
    INCOMPLETE = 0x80000000, "the guest repeats the call"
    UNSUPPORTED_PROTOCOL = 0x80000001, "the SVSM does not have the protocol"
    UNSUPPORTED_CALL = 0x80000002, "the protocol does not have the call"
    INVALID_ADDRESS = 0x80000003, "an address is not the guest's, or not aligned"
    INVALID_FORMAT = 0x80000004, "a structure in memory is not as the call wants it"
    INVALID_PARAMETER = 0x80000005, "a register's value is not allowed"
    INVALID_REQUEST = 0x80000006, "not allowed in the state that the vCPU is in"
    BUSY = 0x80000007, "the guest repeats the call"
    CANNOT_REGISTER = 0x80001000, "APIC: the registration count is 0, or full"
    FAIL_INPUT = 0x80001001, "core, PVALIDATE: an operand is not valid"
    FAIL_PERMISSION = 0x80001002, "core, RMPADJUST: the VMPL's rights do not allow it"
    FAIL_INUSE = 0x80001003, "core, linux-svsm: the vCPU to delete is running"
    FAIL_SIZEMISMATCH = 0x80001006, "core, PVALIDATE: the page's size in the RMP is another"
    FAIL_NOCHANGE = 0x80001010, "core, PVALIDATE: the page was in that state already"


class CoreCall(IntEnum):
    """Calls of protocol 0."""

    REMAP_CA = 0
    PVALIDATE = 1
    CREATE_VCPU = 2
    DELETE_VCPU = 3
    DEPOSIT_MEM = 4
    WITHDRAW_MEM = 5
    QUERY_PROTOCOL = 6
    CONFIGURE_VTOM = 7


@structure("calling-area", size=4096, source=SOURCE)
class CallingArea(Record):
    """SVSM calling area: one 4 KiB page per vCPU, 4 KiB aligned."""

    call_pending: int = u8(
        "Not 0: a call is waiting. The guest exchanges it with 0 afterwards; an old value that is"
        " not 0 says that the SVSM did not see the call",
        access="guest sets, SVSM clears",
    )
    mem_available: int = u8("Not 0: the SVSM has memory to give back", access="SVSM sets")
    no_eoi_required: int = u8(
        "Not 0: the guest ends the interrupt in service by writing 0 here (lazy EOI)",
        spec="NoEoiRequired",
        access="SVSM sets and clears, guest clears",
        clause="INV-5",
    )
    reserved_0x003: bytes = reserved_bytes(5)
    buffer: bytes = raw(4088, "For the guest's use, such as a list that a call's RCX points to")

    def notes(self) -> Iterator[Note]:
        yield from notes_on(self)


@structure("svsm-call-number", size=8, source=SOURCE)
class CallNumber(Bits):
    """RAX of a call: which call of which protocol."""

    call: int = bits(32, "Number of the call within its protocol")
    protocol: int = bits(32, "Number of the protocol", enum=Protocol)


@dataclass(frozen=True, slots=True)
class Operand:
    """One register of a call. `layout` says what its bits mean, where they mean anything."""

    register: str  # rcx, rdx, r8, r9
    meaning: str
    layout: type[Bits] | None = None
    alignment: int = 1  # what the value must be a multiple of, in bytes


def address_of(register: str, what: str, alignment: int) -> Operand:
    """A register with a guest-physical address that is a multiple of `alignment` bytes."""
    said = "4 KiB aligned" if alignment == 4096 else f"{alignment}-byte aligned"
    return Operand(register, f"guest-physical address of {what}, {said}", alignment=alignment)


@dataclass(frozen=True, slots=True)
class Memory:
    """What the guest memory holds that a register points to. `written`: the SVSM writes there."""

    register: str
    meaning: str
    layout: type[Record]
    written: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a call answers when something is wrong, where public code cites the specification for it."""

    result: ResultCode
    when: str
    source: str


@dataclass(frozen=True, slots=True)
class Call:
    """One call of one protocol: what goes in, what comes out, what it may answer."""

    protocol: Protocol
    number: int  # a member of the protocol's enumeration
    name: str
    meaning: str
    inputs: tuple[Operand, ...] = ()
    outputs: tuple[Operand, ...] = ()
    memory: tuple[Memory, ...] = ()
    results: tuple[ResultCode, ...] = (ResultCode.SUCCESS,)
    refusals: tuple[Refusal, ...] = ()
    clause: str = ""
    revision: str = ""  # "" is the current reading of the number
