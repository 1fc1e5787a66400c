"""The secure processor as the SVSM meets it through the host: prepared answers, certificates, a report.

A host stands between and may answer what it likes. The SVSM's half, the driver, is in
`machine.rules.attestation`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..wire.page_size import PAGE
from .messages import PLAIN, Messages, Request, Response

ANSWERED, INVALID = "answered", "invalid"
ANSWERS = ("ok", INVALID, "stale", "tamper", "size")
"""What a scenario can prepare as an answer, beside an error of the host and a status."""

CERTIFICATE_PAGES = 4
"""Pages of the SVSM's buffer for certificates."""
CERTIFICATE_HEADER = 24
TOO_SHORT, BUSY = 1 << 32, 2 << 32
"""Errors of the host: the buffer for certificates is too short; try again later."""


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


class HostError(NamedTuple):
    """The host did not pass the request on: its error, and RBX."""

    error: int
    pages: int


@dataclass(slots=True)
class SecureProcessor:
    """What it is prepared to answer, and what it shares with the SVSM.

    `requests` is every request that the host was given, and `page` what lies in the response page.
    `delivered` is what lies in the SVSM's buffer for certificates. `has_key` and `number` are the SVSM's
    own: whether it still uses its message key, and the sequence number of the last response."""

    messages: Messages = PLAIN
    answers: deque[Any] = field(default_factory=deque)
    certificates: Certificates = field(default=Certificates(1, 0xCE, has_header=True))
    requests: list[Request] = field(default_factory=list)
    page: Any = None
    delivered: bytes = b""
    has_key: bool = True
    number: int = 0

    def request(self, pages: int, report_data: bytes, did: list[list[Any]]) -> HostError | str:
        """One exit to the host, extended if `pages` for certificates are given; `did` gets its line.

        It returns ANSWERED, or INVALID where what the host answered is not valid, or the host's error."""
        self.requests.append(self.messages.request(self.number + 1, report_data))
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
            self.page = self.messages.respond(self.number, answer, report_data)
        return ANSWERED

    @property
    def response(self) -> Response | None:
        """What the SVSM reads in the response page, which may be no answer to its last request."""
        return None if self.page is None else self.messages.read(self.page)

    def copy(self) -> SecureProcessor:
        """The same as it is now."""
        return SecureProcessor(
            self.messages,
            self.answers.copy(),
            self.certificates,
            self.requests.copy(),
            self.page,
            self.delivered,
            self.has_key,
            self.number,
        )
