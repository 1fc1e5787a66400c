"""The documented answer and effects of the calls of attestation and vTPM, in the documents' order."""

from __future__ import annotations

import hashlib
from itertools import pairwise

from ...devices.secure_processor import (
    ANSWERED,
    BUSY,
    CERTIFICATE_HEADER,
    CERTIFICATE_PAGES,
    TOO_SHORT,
    HostError,
)
from ...machine.memory.registry import END
from ...wire.attestation import (
    MANIFEST_GUID,
    MAX_CERTIFICATES,
    NONCE_SIZE,
    VTPM_GUID,
    AttestationCall,
    AttestServices,
    AttestSingleService,
    guid_bytes,
)
from ...wire.page_size import PAGE
from ...wire.report import AttestationReport
from ...wire.svsm import ResultCode
from ...wire.vtpm import (
    INPUT_SIZE,
    OUTPUT_SIZE,
    PlatformCommand,
    VtpmCall,
    VtpmCommands,
    VtpmRequest,
)
from .outcome import Outcome, Refusal

Result = ResultCode

# Manifests: what the vTPM's says is the device's own; that of all services has it behind one entry.
_VTPM = bytes((7 * index + 3) % 256 for index in range(314))
_HEAD = 24  # GUID, length, number of entries
_ENTRY = 24  # GUID, offset, length
_ALL = (
    guid_bytes(MANIFEST_GUID)
    + (_HEAD + _ENTRY + len(_VTPM)).to_bytes(4, "little")
    + (1).to_bytes(4, "little")
    + guid_bytes(VTPM_GUID)
    + (_HEAD + _ENTRY).to_bytes(4, "little")
    + len(_VTPM).to_bytes(4, "little")
    + _VTPM
)
# The bytes of an operation structure that must be zero.
_RESERVED = (slice(0x0C, 0x10), slice(0x1A, 0x20), slice(0x2C, 0x30), slice(0x3C, 0x40))
_VERSION_ON = slice(0x50, 0x58)  # version of the manifest, and the reserved bytes after it


def attest(call: Outcome, number: int) -> None:
    """ATTEST_SERVICES and ATTEST_SINGLE_SERVICE."""
    if number not in list(AttestationCall):
        raise Refusal(Result.UNSUPPORTED_CALL)
    single = number == AttestationCall.ATTEST_SINGLE_SERVICE
    data = call.read(call.rcx, AttestSingleService.size if single else AttestServices.size)
    _require(not any(any(data[at]) for at in _RESERVED) and not any(data[_VERSION_ON]))
    if single and data[0x40:0x50] != guid_bytes(VTPM_GUID):
        raise Refusal(Result.UNSUPPORTED_PROTOCOL)
    manifest = _VTPM if single else _ALL
    operation = AttestServices.decode(data[: AttestServices.size])
    at = operation.nonce_gpa
    _require(operation.nonce_size == NONCE_SIZE)
    _require(at // PAGE == (at + NONCE_SIZE - 1) % END // PAGE)
    nonce = call.read(at, NONCE_SIZE)
    wants_certificates = operation.cert_size > 0
    buffers = [
        (operation.report_gpa, operation.report_size, AttestationReport.size),
        (operation.manifest_gpa, operation.manifest_size, len(manifest)),
        (operation.cert_gpa, operation.cert_size, MAX_CERTIFICATES),
    ][: 2 + wants_certificates]
    _check(call, buffers)
    made = _report(call, hashlib.sha512(nonce + manifest).digest(), manifest, wants_certificates)
    certificates = b""
    if wants_certificates and any(call.processor.delivered[:CERTIFICATE_HEADER]):
        certificates = call.processor.delivered
    call.rcx, call.rdx, call.r8 = len(manifest), len(certificates), len(made)
    parts = list(zip((made, manifest, certificates), buffers, strict=False))
    _require(all(len(part) <= size for part, (_, size, _) in parts))
    for part, (start, _, _) in parts:
        call.memory.write(start, part)


def _require(is_so: bool) -> None:
    if not is_so:
        raise Refusal(Result.INVALID_PARAMETER)


def _check(call: Outcome, buffers: list[tuple[int, int, int]]) -> None:
    """Before anything is asked for: buffers are whole pages of the guest's memory, and lie apart."""
    report_first, manifest, *certificates = buffers
    for start, size, most in (manifest, report_first, *certificates):
        _require(start % PAGE == 0)
        _require(most != MAX_CERTIFICATES or size <= most)
        if start + size >= END:
            raise Refusal(Result.INVALID_ADDRESS)
    used = [(start, min(size, most)) for start, size, most in buffers]
    _require(all(one + length <= other for (one, length), (other, _) in pairwise(sorted(used))))
    for start, length in used:
        if length:
            call.read(start, length)


def _report(call: Outcome, data: bytes, manifest: bytes, extended: bool) -> bytes:
    """The secure processor's report on `data`, if the host lets its answer through unchanged."""
    processor, did = call.processor, call.memory.did
    pages = CERTIFICATE_PAGES if extended else 0
    processor.delivered = b""
    if not processor.has_key:
        raise Refusal(Result.INVALID_REQUEST)
    answer = processor.request(pages, data, did)
    if isinstance(answer, HostError) and _kind(answer) == BUSY:  # once more
        answer = processor.request(pages, data, did)
    if isinstance(answer, HostError) and _kind(answer) == TOO_SHORT and extended:
        # The request that is out must be answered, or its number would encrypt another one.
        wanted = answer.pages * PAGE
        answer = processor.request(0, data, did)
        if answer == ANSWERED and wanted < END:
            call.rcx, call.rdx = len(manifest), wanted
            raise Refusal(Result.INVALID_PARAMETER)
        answer = "refused"
    if answer != ANSWERED:
        processor.has_key = False
        raise Refusal(Result.INVALID_REQUEST)
    response = processor.response
    if response is None or response.number != processor.number:
        processor.has_key = False
        raise Refusal(Result.INVALID_FORMAT)
    if not response.is_authentic:
        processor.has_key = False
        raise Refusal(Result.INVALID_REQUEST)
    if not response.fits:
        raise Refusal(Result.INVALID_FORMAT)
    if response.status:
        raise Refusal(Result.INVALID_REQUEST)
    return response.report


def _kind(error: HostError) -> int:
    """The host's part of an error; the low half is the firmware's."""
    return error.error >> 32 << 32


def tpm_call(call: Outcome, number: int) -> None:
    """The calls of the vTPM protocol."""
    match number:
        case VtpmCall.QUERY:
            call.rcx, call.rdx = int(VtpmCommands(send_command=True)), 0
        case VtpmCall.COMMAND:
            _command(call, call.rcx)
        case _:
            raise Refusal(Result.UNSUPPORTED_CALL)


def _command(call: Outcome, at: int) -> None:
    _require(at != 0)
    _require(call.read(at, 4) == PlatformCommand.SEND_COMMAND.to_bytes(4, "little"))
    call.require_free(at, VtpmRequest.size)
    call.reach(at, VtpmRequest.size)
    request = VtpmRequest.decode(call.memory.read(at, VtpmRequest.size))
    _require(request.locality == 0 and request.input_size <= INPUT_SIZE)
    call.memory.did.append(["tpm", request.input_size])
    response = call.tpm.answered(request.input[: request.input_size])
    if not 0 < len(response) <= OUTPUT_SIZE:
        raise Refusal(Result.INVALID_REQUEST)
    call.memory.write(at, len(response).to_bytes(4, "little") + response.ljust(OUTPUT_SIZE, b"\0"))
