"""The secure processor behind an SVSM, which it reaches through the host: prepared answers, a report.

A message is kept as what it says: nothing is sealed. An SVSM that seals its messages hands over what it
would seal, and reads `Psp.response` as what it would have opened.
"""

from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .layouts import AttestationReport
from .pages import PAGE

ANSWERED, INVALID, REFUSED = "answered", "invalid", "refused"
TOO_SHORT, BUSY = 1 << 32, 2 << 32
"""Errors of the host: it has more certificates than fit; try again later."""
REPORT_SIZE = AttestationReport.SIGNATURE.offset + AttestationReport.SIGNATURE.size
_HEADER = 24  # bytes of certificates, which may be zero


class Exit(NamedTuple):
    """What came of an exit to the host."""

    kind: str  # ANSWERED; INVALID: not what the host may answer; REFUSED: by an error of the host
    error: int = 0
    rbx: int = 0
    certificates: bytes = b""  # what the host wrote where there is room for them


@dataclass(frozen=True)
class Response:
    """What the response page holds. Its number is that of the request plus 1; at first it is 0."""

    number: int = 0
    is_authentic: bool = True
    status: int = 0
    fits: bool = True  # the payload has the size of a report response
    report: bytes = b""


@dataclass
class Psp:
    """What is prepared, and the pages that host and SVSM share."""

    prepared: deque[Any] = field(default_factory=deque)
    pages: int = 1  # of certificates, as the host has them
    fill: int = 0xCE
    has_header: bool = True
    response: Response = field(default_factory=Response)

    def prepare(self, answers: list[Any], certs: list[Any] | None) -> None:
        """What the host does by `psp`."""
        self.prepared = deque(answers)
        if certs is not None:
            self.pages, self.fill, self.has_header = certs

    def request(self, number: int, data: bytes, pages: int, did: list[list[Any]]) -> Exit:
        """A request for a report on 64 bytes of `data`, with so many pages of room for certificates."""
        answer = self.prepared.popleft() if self.prepared else "ok"
        line: list[Any] = ["guest_request", pages]
        did.append(line)
        if answer == "invalid":
            line.append(answer)
            return Exit(INVALID)
        refusal = None
        if isinstance(answer, dict) and "err" in answer:
            refusal = Exit(REFUSED, answer["err"], answer["rbx"])
        elif 0 < pages < self.pages:
            refusal = Exit(REFUSED, TOO_SHORT, self.pages)
        if refusal is not None:
            line += ["err", refusal.error, refusal.rbx]
            return refusal
        status = answer["status"] if isinstance(answer, dict) else 0
        line += ["status", status] if isinstance(answer, dict) else [answer]
        if answer != "stale":
            is_authentic, fits = answer != "tamper", answer != "size"
            self.response = Response(number + 1, is_authentic, status, fits, _report(data))
        return Exit(ANSWERED, certificates=self._certificates() if pages else b"")

    def _certificates(self) -> bytes:
        head = bytes([self.fill if self.has_header else 0]) * min(_HEADER, self.pages * PAGE)
        return head.ljust(self.pages * PAGE, bytes([self.fill]))


def _report(data: bytes) -> bytes:
    """A report on 64 bytes; for a signature it has SHA-512 of what would be signed."""
    report = bytearray(REPORT_SIZE)
    for place, value in (
        (AttestationReport.VERSION, b"\2"),
        (AttestationReport.SIGNATURE_ALGO, b"\1"),
        (AttestationReport.REPORT_DATA, data),
        (AttestationReport.MEASUREMENT, b"\xa1" * 48),
    ):
        report[place.offset : place.offset + len(value)] = value
    signed = AttestationReport.SIGNATURE.offset
    report[signed : signed + 64] = hashlib.sha512(report[:signed]).digest()
    return bytes(report)
