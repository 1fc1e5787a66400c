"""Guest messages sealed as the firmware's ABI has it, and reports that are signed.

AES-256-GCM and ECDSA P-384 are those of `cryptography`, which the extra `open` brings. The keys are made
for tests and known to everyone: `VMPCK0` seals, `signing_key()` stands for a chip's VCEK.

Source of the layout: wire/guest_message.py, wire/report.py.
"""

from __future__ import annotations

import hashlib
from functools import cache, lru_cache
from importlib import import_module
from types import ModuleType
from typing import Any

from ..errors import UsageError
from ..wire.guest_message import (
    PAYLOAD_SIZE,
    Algorithm,
    GuestMessage,
    GuestMessageHeader,
    MessageKind,
    ReportRequest,
    ReportResponse,
)
from ..wire.report import REPORT_SIZE, AttestationReport, ReportSignature
from .messages import Request, Response, report_of_a_test, report_on, status_of

VMPCK0 = hashlib.sha256(b"the key of VMPL 0 in tests of vmgexit").digest()
_TAG_SIZE = 16


def seal(key: bytes, header: GuestMessageHeader, payload: bytes) -> bytes:
    """The page of a message, 4096 bytes: `payload` of at most 4000 bytes sealed by the 32 bytes of `key`,
    under the header's sequence number. Raises UsageError where `cryptography` is not installed."""
    header.msg_sz = len(payload)
    sealed: bytes = _aesgcm()(key).encrypt(header.iv, payload, header.authenticated)
    header.authtag = sealed[len(payload) :].ljust(32, b"\0")
    return header.encode() + sealed[: len(payload)].ljust(PAYLOAD_SIZE, b"\0")


def unseal(key: bytes, message: GuestMessage) -> bytes | None:
    """The payload in the clear; None where the tag says that it was changed, or that it is another key's.

    Raises UsageError where `cryptography` is not installed.
    """
    header = message.header
    made = message.payload[: header.msg_sz] + header.authtag[:_TAG_SIZE]
    aesgcm = _aesgcm()
    try:
        return bytes(aesgcm(key).decrypt(header.iv, made, header.authenticated))
    except _cryptography("exceptions").InvalidTag:
        return None


class Sealed:
    """Messages of the SVSM at VMPL 0, in the pages as the host sees them."""

    def request(self, number: int, report_data: bytes) -> Request:
        return _request(number, report_data)

    def respond(self, number: int, kind: Any, report_data: bytes) -> bytes:
        is_word = isinstance(kind, str)
        return _response(number, status_of(kind), kind if is_word else "", report_data)

    def read(self, page: bytes) -> Response:
        return _read(page)


# Campaigns repeat their nonces, and so do the SVSM and the oracle beside it.
_kept = lru_cache(maxsize=1024)


@_kept
def _request(number: int, report_data: bytes) -> Request:
    payload = ReportRequest(user_data=report_data).encode()
    return Request(number, seal(VMPCK0, _header(number, MessageKind.REPORT_REQUEST), payload))


@_kept
def _response(number: int, status: int, word: str, report_data: bytes) -> bytes:
    made = ReportResponse(status=status)
    if not status:
        made.report_size = REPORT_SIZE
        made.report = AttestationReport.decode(_report(report_data))
    payload = made.encode()
    if word == "size":
        payload = payload[:-1]
    page = seal(VMPCK0, _header(number, MessageKind.REPORT_RESPONSE), payload)
    if word == "tamper":
        return page[: GuestMessageHeader.size] + _other_bit(page[GuestMessageHeader.size :])
    return page


@_kept
def _read(page: bytes) -> Response:
    message = GuestMessage.decode(page)
    number, payload = message.header.msg_seqno, unseal(VMPCK0, message)
    if payload is None:
        return Response(number, is_authentic=False)
    if len(payload) != ReportResponse.size:
        return Response(number, fits=False)
    made = ReportResponse.decode(payload)
    return Response(number, status=made.status, report=made.report.encode())


def _header(number: int, kind: MessageKind) -> GuestMessageHeader:
    return GuestMessageHeader(
        msg_seqno=number,
        algo=Algorithm.AES_256_GCM,
        hdr_version=1,
        hdr_sz=GuestMessageHeader.size,
        msg_type=kind,
        msg_version=1,
    )


def _other_bit(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:]


@_kept  # a signature takes a millisecond
def _report(report_data: bytes) -> bytes:
    blank = report_of_a_test()
    blank.policy.one = 1  # the recorded report has no policy at all
    return report_on(blank.encode(), report_data, _sign)


def _sign(data: bytes) -> bytes:
    """The signature as a report has it: R and S, least significant byte first. It is always the same for
    the same bytes (RFC 6979), so that a scenario repeats."""
    ec, utils = (_cryptography(f"hazmat.primitives.asymmetric.{name}") for name in ("ec", "utils"))
    sha384 = _cryptography("hazmat.primitives.hashes").SHA384()
    made = signing_key().sign(data, ec.ECDSA(sha384, deterministic_signing=True))
    r, s = utils.decode_dss_signature(made)
    return ReportSignature(r=r.to_bytes(72, "little"), s=s.to_bytes(72, "little")).encode()


@cache
def signing_key() -> Any:
    """The private key that signs reports: an `EllipticCurvePrivateKey` of `cryptography`."""
    ec = _cryptography("hazmat.primitives.asymmetric.ec")
    number = hashlib.sha256(b"the key of a chip in tests of vmgexit").digest()
    return ec.derive_private_key(int.from_bytes(number, "big"), ec.SECP384R1())


def public_key() -> bytes:
    """What verifies reports, as PEM."""
    formats = _cryptography("hazmat.primitives.serialization")
    made = (
        signing_key()
        .public_key()
        .public_bytes(formats.Encoding.PEM, formats.PublicFormat.SubjectPublicKeyInfo)
    )
    return bytes(made)


def _aesgcm() -> Any:
    return _cryptography("hazmat.primitives.ciphers.aead").AESGCM


def _cryptography(name: str) -> ModuleType:
    """A module of the extra. Raises UsageError."""
    try:
        return import_module(f"cryptography.{name}")
    except ImportError:
        raise UsageError(
            "guest messages need cryptography, which is not installed; the extra has it:"
            " vmgexit[open]"
        ) from None
