"""The attestation protocol of the small SVSM: a report of the secure processor on nonce and manifest."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from itertools import combinations
from typing import NamedTuple

from kit.adapter import Registers
from kit.layouts import (
    AttestationCallCode,
    AttestServices,
    AttestSingleService,
    Place,
    ResultCode,
)
from kit.memory import Memory
from kit.pages import PAGE
from kit.psp import ANSWERED, BUSY, REFUSED, REPORT_SIZE, TOO_SHORT, Exit
from refusals import Refused, overlap, require

MANIFEST, VTPM = (
    uuid.UUID(text).bytes_le
    for text in ("63849ebb-3d92-4670-a1ff-58f9c94b87bb", "c476f1eb-0123-45a5-9641-b4e7dde5bfe3")
)
NONCE_SIZE = 64
CERTIFICATE_PAGES, CERTIFICATE_HEADER = 4, 24
END = 1 << 64
VTPM_MANIFEST = bytes((7 * at + 3) % 256 for at in range(314))  # a public key, as it were


class Buffer(NamedTuple):
    """Where the guest wants something, how many bytes it has there, and how many may come."""

    address: int
    size: int
    most: int

    @property
    def length(self) -> int:
        return min(self.size, self.most)


class TooShort(Exception):
    """The host has more certificates than there is room for."""

    def __init__(self, pages: int) -> None:
        super().__init__(pages)
        self.pages = pages


class Attestation:
    """The calls, and what the SVSM keeps for its messages."""

    def __init__(self, memory: Memory, require_operand: Callable[[int, int], None]) -> None:
        """`require_operand` refuses bytes that the guest may not name, or that cannot be reached."""
        self.memory, self.require_operand = memory, require_operand
        self.has_key = True  # not once a message was lost: its number would be used for another one
        self.number = 0  # of the last response

    def call(self, registers: Registers) -> None:
        is_single = registers.request == AttestationCallCode.ATTEST_SINGLE_SERVICE
        require(
            is_single or registers.request == AttestationCallCode.ATTEST_SERVICES,
            ResultCode.UNSUPPORTED_CALL,
        )
        operation = self.operation(registers.rcx, is_single)
        manifest = VTPM_MANIFEST if is_single else services_manifest()
        nonce = self.nonce(operation)
        buffers = [
            Buffer(field(operation, address), field(operation, size), most)
            for address, size, most in (
                (AttestServices.REPORT_GPA, AttestServices.REPORT_SIZE, REPORT_SIZE),
                (AttestServices.MANIFEST_GPA, AttestServices.MANIFEST_SIZE, len(manifest)),
                (AttestServices.CERT_GPA, AttestServices.CERT_SIZE, CERTIFICATE_PAGES * PAGE),
            )
        ]
        if not buffers[2].size:
            del buffers[2]
        self.check(buffers)
        try:
            data = hashlib.sha512(nonce + manifest).digest()
            report, certificates = self.report(data, len(buffers) > 2)
        except TooShort as short:
            registers.rcx, registers.rdx = len(manifest), short.pages * PAGE
            raise Refused(ResultCode.INVALID_PARAMETER) from None
        parts = (report, manifest, certificates)
        registers.r8, registers.rcx, registers.rdx = map(len, parts)
        fits = all(len(part) <= buffer.size for part, buffer in zip(parts, buffers, strict=False))
        require(fits, ResultCode.INVALID_PARAMETER)
        for part, buffer in zip(parts, buffers, strict=False):
            self.memory.store(buffer.address, part)

    def fetch(self, address: int, length: int) -> bytes:
        require(address + length + PAGE - 1 < END, ResultCode.INVALID_ADDRESS)
        self.require_operand(address, length)
        return self.memory.load(address, length)

    def operation(self, address: int, is_single: bool) -> bytes:
        last = AttestSingleService.RESERVED_0X054 if is_single else AttestServices.RESERVED_0X03C
        held = self.fetch(address, last.offset + last.size)
        reserved = [
            AttestServices.RESERVED_0X00C,
            AttestServices.RESERVED_0X01A,
            AttestServices.RESERVED_0X02C,
            AttestServices.RESERVED_0X03C,
        ]
        if is_single:
            reserved += [last, AttestSingleService.MANIFEST_VERSION]
        is_sound = not any(field(held, place) for place in reserved)
        require(is_sound, ResultCode.INVALID_PARAMETER)
        if is_single:
            start = AttestSingleService.SERVICE_GUID.offset
            require(held[start : start + 16] == VTPM, ResultCode.UNSUPPORTED_PROTOCOL)
        return held

    def nonce(self, operation: bytes) -> bytes:
        address = field(operation, AttestServices.NONCE_GPA)
        is_in_one_page = address % PAGE + NONCE_SIZE <= PAGE
        is_nonce = field(operation, AttestServices.NONCE_SIZE) == NONCE_SIZE and is_in_one_page
        require(is_nonce, ResultCode.INVALID_PARAMETER)
        return self.fetch(address, NONCE_SIZE)

    def check(self, buffers: list[Buffer]) -> None:
        """Refuse buffers that cannot be written, before anyone is asked for a report."""
        report, manifest, *certificates = buffers
        for buffer in (manifest, report, *certificates):
            is_long = buffer in certificates and buffer.size > buffer.most
            require(not buffer.address % PAGE and not is_long, ResultCode.INVALID_PARAMETER)
            require(buffer.address + buffer.size < END, ResultCode.INVALID_ADDRESS)
        for one, other in combinations(buffers, 2):
            meet = overlap(one.address, one.length, other.address, other.length)
            require(not meet, ResultCode.INVALID_PARAMETER)
        for buffer in buffers:
            if buffer.length:
                end = buffer.address + buffer.length
                require(end + PAGE - 1 < END, ResultCode.INVALID_ADDRESS)
                self.require_operand(buffer.address, buffer.length)

    # --- guest requests

    def report(self, data: bytes, has_room: bool) -> tuple[bytes, bytes]:
        """A report on `data`, and the certificates of the host. Raises Refused, or TooShort."""
        require(self.has_key, ResultCode.INVALID_REQUEST)
        made = self.request(data, has_room)
        if made.kind == REFUSED and host_error(made) == BUSY:
            made = self.request(data, has_room)
        if made.kind == REFUSED and host_error(made) == TOO_SHORT and has_room:
            # The request that is out must be answered, or its number would be used for another one.
            again = self.request(data, False)
            if again.kind == ANSWERED and made.rbx * PAGE < END:
                raise TooShort(made.rbx)
            made = again._replace(kind=REFUSED)
        if made.kind != ANSWERED:
            self.has_key = False
            raise Refused(ResultCode.INVALID_REQUEST)
        certificates = made.certificates if any(made.certificates[:CERTIFICATE_HEADER]) else b""
        return self.answered(), certificates

    def request(self, data: bytes, has_room: bool) -> Exit:
        pages = CERTIFICATE_PAGES if has_room else 0
        made = self.memory.guest_request(self.number + 1, data, pages)
        self.number += 2 * (made.kind == ANSWERED)
        return made

    def answered(self) -> bytes:
        """The report in the response page. Refuses what is no answer to the last request."""
        response = self.memory.psp.response
        is_answer = response.number == self.number
        self.has_key = is_answer and response.is_authentic
        require(is_answer, ResultCode.INVALID_FORMAT)
        is_given = response.is_authentic and not response.status
        require(is_given, ResultCode.INVALID_REQUEST)
        require(response.fits, ResultCode.INVALID_FORMAT)
        return response.report


def host_error(made: Exit) -> int:
    """The host's part of an error; the low half is the firmware's."""
    return made.error & ~0xFFFF_FFFF


def field(held: bytes, place: Place) -> int:
    return int.from_bytes(held[place.offset : place.offset + place.size], "little")


def services_manifest() -> bytes:
    """The manifest of all services, of which there is one."""
    size, at = len(VTPM_MANIFEST), 48
    head = (at + size).to_bytes(4, "little") + (1).to_bytes(4, "little")
    entry = at.to_bytes(4, "little") + size.to_bytes(4, "little")
    return MANIFEST + head + VTPM + entry + VTPM_MANIFEST
