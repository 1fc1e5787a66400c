"""Guest messages between SVSM and secure processor, as they lie in the pages shared with the host.

`PLAIN` keeps what a message says, and seals nothing: what recordings of an SVSM need. `sealed.Sealed` has
the pages themselves. Both answer alike, but for the signature of a report.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple, Protocol

from ..wire.report import AttestationReport

_REPORT_DATA, _SIGNED = (
    AttestationReport.declaration[name].bit_offset // 8 for name in ("report_data", "signature")
)


class Request(NamedTuple):
    """A request that was sent: its sequence number, and what it says as the host sees it."""

    number: int
    shown: bytes


class Response(NamedTuple):
    """What the SVSM reads in the response page. `fits`: the payload has the size of a report response."""

    number: int
    is_authentic: bool = True
    status: int = 0
    fits: bool = True
    report: bytes = b""


class Messages(Protocol):
    """How messages lie in the shared pages. `kind` is a word of `secure_processor.ANSWERS`, or a status."""

    def request(self, number: int, report_data: bytes) -> Request: ...

    def respond(self, number: int, kind: Any, report_data: bytes) -> Any:
        """What lies in the response page afterwards."""

    def read(self, page: Any) -> Response:
        """What the SVSM reads in the response page."""


class Plain:
    """What messages say, kept as it is."""

    def request(self, number: int, report_data: bytes) -> Request:
        return Request(number, report_data)

    def respond(self, number: int, kind: Any, report_data: bytes) -> Response:
        return Response(
            number,
            is_authentic=kind != "tamper",
            status=status_of(kind),
            fits=kind != "size",
            report=hashed(report_data),
        )

    def read(self, page: Response) -> Response:
        return page


PLAIN = Plain()


def status_of(kind: Any) -> int:
    """The status that an answer of this kind carries."""
    return int(kind["status"]) if isinstance(kind, dict) else 0


def hashed(report_data: bytes) -> bytes:
    """The report of the recordings: for a signature it has SHA-512 of what is signed."""
    return report_on(_blank(), report_data, lambda data: hashlib.sha512(data).digest())


def report_on(blank: bytes, report_data: bytes, sign: Callable[[bytes], bytes]) -> bytes:
    """`blank` with REPORT_DATA; `sign` makes the first bytes of its signature from what is signed."""
    data = bytearray(blank)
    data[_REPORT_DATA : _REPORT_DATA + len(report_data)] = report_data
    signature = sign(bytes(data[:_SIGNED]))
    data[_SIGNED : _SIGNED + len(signature)] = signature
    return bytes(data)


def report_of_a_test() -> AttestationReport:
    """What is the same in every report: version, algorithm, a measurement."""
    made = AttestationReport.decode(bytes(AttestationReport.size))
    made.version, made.signature_algo, made.measurement = 2, 1, b"\xa1" * 48
    return made


@cache
def _blank() -> bytes:
    return report_of_a_test().encode()
