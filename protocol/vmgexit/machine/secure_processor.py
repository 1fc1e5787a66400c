"""The secure processor as the SVSM meets it through the host: prepared answers, certificates, a report.

A host stands between and may answer what it likes. The SVSM's half, the driver, is in
`rules.attestation`.
"""

from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

from ..wire.page_size import PAGE
from ..wire.report import AttestationReport

ANSWERED, INVALID = "answered", "invalid"
ANSWERS = ("ok", INVALID, "stale", "tamper", "size")
"""What a scenario can prepare as an answer, beside an error of the host and a status."""

CERTIFICATE_PAGES = 4
"""Pages of the SVSM's buffer for certificates."""
CERTIFICATE_HEADER = 24
TOO_SHORT, BUSY = 1 << 32, 2 << 32
"""Errors of the host: the buffer for certificates is too short; try again later."""

_REPORT_DATA, _SIGNED = (
    AttestationReport.declaration[name].bit_offset // 8 for name in ("report_data", "signature")
)


class Certificates(NamedTuple):
    """What the host has: so many pages of one byte, which begin with a header or with 24 zeroes."""

    pages: int
    fill: int
    has_header: bool

    @property
    def content(self) -> bytes:
        """All of their bytes."""
        size = self.pages * PAGE
        head = b"" if self.has_header else bytes(min(size, CERTIFICATE_HEADER))
        return head + bytes([self.fill]) * (size - len(head))


class Response(NamedTuple):
    """What lies in the shared response page: the sequence number, what it is, the report's data."""

    number: int
    kind: Any  # `ok`, `tamper`, `size`, or {"status": n}
    report_data: bytes


class HostError(NamedTuple):
    """The host did not pass the request on: its error, and RBX."""

    error: int
    pages: int


@dataclass(slots=True)
class SecureProcessor:
    """What it is prepared to answer, and what it shares with the SVSM.

    `delivered` is what lies in the SVSM's buffer for certificates. `has_key` and `number` are the SVSM's
    own: whether it still uses its message key, and the sequence number of the last response."""

    answers: deque[Any] = field(default_factory=deque)
    certificates: Certificates = field(default=Certificates(1, 0xCE, has_header=True))
    response: Response | None = None
    delivered: bytes = b""
    has_key: bool = True
    number: int = 0

    def request(self, pages: int, report_data: bytes, did: list[list[Any]]) -> HostError | str:
        """One exit to the host, extended if `pages` for certificates are given; `did` gets its line.

        It returns ANSWERED, or INVALID where what the host answered is not valid, or the host's error."""
        answer = self.answers.popleft() if self.answers else "ok"
        line: list[Any] = ["guest_request", pages]
        did.append(line)
        if answer == INVALID:
            line.append(answer)
            return INVALID
        if isinstance(answer, dict) and "err" in answer:
            line += ["err", answer["err"], answer["rbx"]]
            return HostError(answer["err"], answer["rbx"])
        if pages and self.certificates.pages > pages:
            line += ["err", TOO_SHORT, self.certificates.pages]
            return HostError(TOO_SHORT, self.certificates.pages)
        line += ["status", answer["status"]] if isinstance(answer, dict) else [answer]
        if pages:
            self.delivered = self.certificates.content
        self.number += 2
        if answer != "stale":
            self.response = Response(self.number, answer, report_data)
        return ANSWERED


def report(report_data: bytes) -> bytes:
    """The report of the secure processor; for a signature it has SHA-512 of what is signed."""
    data = bytearray(_blank())
    data[_REPORT_DATA : _REPORT_DATA + len(report_data)] = report_data
    digest = hashlib.sha512(memoryview(data)[:_SIGNED]).digest()
    data[_SIGNED : _SIGNED + len(digest)] = digest
    return bytes(data)


@cache
def _blank() -> bytes:
    """What is the same in every report."""
    made = AttestationReport.decode(bytes(AttestationReport.size))
    made.version, made.signature_algo, made.measurement = 2, 1, b"\xa1" * 48
    return made.encode()
