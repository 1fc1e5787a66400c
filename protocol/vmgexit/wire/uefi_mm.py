"""The SVSM UEFI MM protocol (4): requests of firmware to its variable store.

Sources: COCONUT-SVSM kernel/src/protocols/uefivars.rs, edk2 OvmfPkg/Library/AmdSvsmLib
(AmdSvsmUefiMmRequest).
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum

from ..schema import Note, Problem, Record, raw, structure, u64
from .attestation import guid_text
from .svsm import Call, Memory, Operand, Protocol, ResultCode, address_of

SOURCE = "COCONUT-SVSM kernel/src/protocols/uefivars.rs"

HEADER_SIZE = 24
BUFFER_LIMIT = 0x40000
"""Largest buffer that COCONUT-SVSM takes, in bytes."""


class UefiMmCall(IntEnum):
    """Calls of protocol 4. There is no call 0."""

    REQUEST = 1


@structure("mm-communicate-header", size=HEADER_SIZE, source=SOURCE)
class MmCommunicateHeader(Record):
    """What a buffer begins with: 24 bytes; the message follows, and the reply overwrites it."""

    guid: bytes = raw(16, "Who is to handle the message", spec="HeaderGuid")
    message_length: int = u64("Bytes of the message")

    def broken(self) -> Iterator[Problem]:
        if self.message_length > BUFFER_LIMIT - HEADER_SIZE:
            rule = f"a buffer holds at most {BUFFER_LIMIT - HEADER_SIZE} bytes of it"
            yield Problem("message_length", self.message_length, rule, "")

    def notes(self) -> Iterator[Note]:
        yield Note("guid", guid_text(self.guid))


UEFI_MM_CALLS = (
    Call(
        Protocol.UEFI_MM,
        UefiMmCall.REQUEST,
        "SVSM_UEFI_MM_REQUEST",
        "handle a message of firmware",
        inputs=(
            address_of("rcx", "the buffer", 4096),
            Operand("rdx", "bytes of the buffer, 24 to 0x40000"),
        ),
        memory=(
            Memory("rcx", "header, then the message; the reply overwrites it", MmCommunicateHeader),
        ),
        results=(
            ResultCode.SUCCESS,
            ResultCode.INVALID_PARAMETER,  # address 0, sizes
            ResultCode.INVALID_ADDRESS,  # not the guest's memory, not aligned
        ),
    ),
)
