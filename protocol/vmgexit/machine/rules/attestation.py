"""The calls of the attestation protocol: a report of the secure processor on nonce and manifest.

Facts: COCONUT-SVSM kernel/src/protocols/attest.rs and kernel/src/greq/driver.rs.
"""

from __future__ import annotations

import hashlib
from functools import cache
from itertools import pairwise
from typing import NamedTuple

from ...devices.secure_processor import (
    ANSWERED,
    BUSY,
    CERTIFICATE_HEADER,
    CERTIFICATE_PAGES,
    INVALID,
    TOO_SHORT,
    HostError,
)
from ...wire.attestation import (
    MANIFEST_GUID,
    MAX_CERTIFICATES,
    NONCE_SIZE,
    VTPM_GUID,
    AttestationCall,
    AttestServices,
    AttestSingleService,
    ServiceEntry,
    ServicesManifestHeader,
    guid_bytes,
)
from ...wire.page_size import PAGE
from ...wire.report import AttestationReport
from ...wire.svsm import ResultCode
from ..memory.registry import END
from ..vm import Assertion, Vcpu
from .operands import Refused, Registers, fetch, memory_of, reach, require_free

Result = ResultCode


_CALLS = frozenset(map(int, AttestationCall))


class _Buffer(NamedTuple):
    """Where the guest wants something, how many bytes it has there, and how many may come."""

    address: int
    size: int
    most: int

    @property
    def length(self) -> int:
        """How many bytes may be written."""
        return min(self.size, self.most)


class _TooShort(Exception):
    """The guest's buffer for certificates is too short. Attribute: `pages`, how many are needed."""

    def __init__(self, pages: int) -> None:
        super().__init__(pages)
        self.pages = pages


def attest(cpu: Vcpu, call: int, registers: Registers) -> None:
    """ATTEST_SERVICES and ATTEST_SINGLE_SERVICE."""
    quirks = cpu.vm.quirks
    if call not in _CALLS:
        if quirks.unknown_attest_call:
            raise Refused(Result.UNSUPPORTED_PROTOCOL)
        raise Refused(Result.UNSUPPORTED_CALL)
    single = call == AttestationCall.ATTEST_SINGLE_SERVICE
    operation = _operation(cpu, registers.rcx, single=single)
    manifest = vtpm_manifest() if single else services_manifest()
    nonce = _nonce(cpu, operation)
    buffers = [
        _Buffer(operation.report_gpa, operation.report_size, AttestationReport.size),
        _Buffer(operation.manifest_gpa, operation.manifest_size, len(manifest)),
        _Buffer(operation.cert_gpa, operation.cert_size, MAX_CERTIFICATES),
    ][: 3 if operation.cert_size else 2]
    if not quirks.asked_before_checked:
        _check(cpu, buffers)
    data = hashlib.sha512(nonce + manifest).digest()
    try:
        made = _report(cpu, data, extended=operation.cert_size > 0)
    except _TooShort as short:
        registers.rcx, registers.rdx = len(manifest), short.pages * PAGE % END
        raise Refused(Result.INVALID_PARAMETER) from None
    if quirks.asked_before_checked:
        _check(cpu, buffers)
    certificates = _certificates(cpu) if operation.cert_size else b""
    registers.rcx, registers.rdx, registers.r8 = len(manifest), len(certificates), len(made)
    parts = list(zip((made, manifest, certificates), buffers, strict=False))
    _require_sound(all(len(part) <= buffer.size for part, buffer in parts))
    for part, buffer in parts:
        _require_writable(cpu, buffer.address, len(part))
        memory_of(cpu).write(buffer.address, part)


def _operation(cpu: Vcpu, address: int, *, single: bool) -> AttestServices:
    if not single:
        operation = AttestServices.decode(fetch(cpu, address, AttestServices.size))
        _require_sound(not any(_reserved(operation)))
        return operation
    service = AttestSingleService.decode(fetch(cpu, address, AttestSingleService.size))
    reserved = _reserved(service.operation) + service.reserved_0x054
    _require_sound(not any(reserved) and service.manifest_version == 0)
    if service.service_guid != guid_bytes(VTPM_GUID):
        raise Refused(Result.UNSUPPORTED_PROTOCOL)
    return service.operation


def _require_sound(is_sound: bool) -> None:
    if not is_sound:
        raise Refused(Result.INVALID_PARAMETER)


def _reserved(operation: AttestServices) -> bytes:
    return (
        operation.reserved_0x00c
        + operation.reserved_0x01a
        + operation.reserved_0x02c
        + operation.reserved_0x03c
    )


def _nonce(cpu: Vcpu, operation: AttestServices) -> bytes:
    address = operation.nonce_gpa
    last = (address + NONCE_SIZE - 1) % END
    _require_sound(operation.nonce_size == NONCE_SIZE and address // PAGE == last // PAGE)
    return fetch(cpu, address, NONCE_SIZE)


def _check(cpu: Vcpu, buffers: list[_Buffer]) -> None:
    """Refuse buffers that are not where a report, a manifest and certificates can be written."""
    quirks = cpu.vm.quirks
    made, manifest, *certificates = buffers
    for buffer in (manifest, made, *certificates):
        _require_sound(buffer.address % PAGE == 0)
        _require_sound(buffer not in certificates or buffer.size <= MAX_CERTIFICATES)
        if buffer.address + buffer.size >= END:
            raise Refused(Result.INVALID_ADDRESS)
    overlap = any(
        one.address + one.length > other.address for one, other in pairwise(sorted(buffers))
    )
    _require_sound(quirks.buffers_may_overlap or not overlap)
    if not quirks.report_left_after_refusal:
        for buffer in buffers:
            _require_writable(cpu, buffer.address, buffer.length)


def _require_writable(cpu: Vcpu, address: int, length: int) -> None:
    if not length:
        return
    if address + length + PAGE - 1 >= END:
        if cpu.vm.quirks.wrapping_buffer_stops:
            raise Assertion("the end of a buffer wraps")
        raise Refused(Result.INVALID_ADDRESS)
    require_free(cpu, address, length)
    reach(cpu, address, length)


# --- manifests ---------------------------------------------------------------------------------------


@cache
def vtpm_manifest() -> bytes:
    """The manifest of the vTPM: in place of a public key, numbers."""
    return bytes((7 * index + 3) % 256 for index in range(314))


@cache
def services_manifest() -> bytes:
    """The manifest of all services, of which there is one."""
    body = vtpm_manifest()
    head = ServicesManifestHeader.size + ServiceEntry.size
    header = ServicesManifestHeader(
        guid=guid_bytes(MANIFEST_GUID), total_length=head + len(body), entry_count=1
    )
    entry = ServiceEntry(guid=guid_bytes(VTPM_GUID), offset=head, length=len(body))
    return header.encode() + entry.encode() + body


# --- the secure processor ----------------------------------------------------------------------------


def _certificates(cpu: Vcpu) -> bytes:
    """What the host put into the SVSM's buffer; nothing if its header is empty."""
    delivered = cpu.vm.processor.delivered
    if not any(delivered[:CERTIFICATE_HEADER]):
        return b""
    if cpu.vm.quirks.certificates_always_16k:
        return delivered.ljust(MAX_CERTIFICATES, b"\0")
    return delivered


def _report(cpu: Vcpu, data: bytes, *, extended: bool) -> bytes:
    """A report on `data`. Raises Refused, or _TooShort where the host has more certificates."""
    processor, quirks = cpu.vm.processor, cpu.vm.quirks
    processor.delivered = b""
    if not processor.has_key:
        raise Refused(Result.INVALID_REQUEST)
    answer = _exit(cpu, data, extended=extended)
    if isinstance(answer, HostError):
        _after_error(cpu, answer, data, extended=extended)
    elif answer == INVALID:
        # Whether the request was carried out is not known: its number is never used again.
        if not quirks.nonce_reused:
            processor.has_key = False
        if not quirks.stale_report:
            raise Refused(Result.INVALID_REQUEST)
    return _answered(cpu)


def _exit(cpu: Vcpu, data: bytes, *, extended: bool) -> HostError | str:
    pages = CERTIFICATE_PAGES if extended else 0
    return cpu.vm.processor.request(pages, data, memory_of(cpu).did)


def _after_error(cpu: Vcpu, error: HostError, data: bytes, *, extended: bool) -> None:
    """The host refused: try again where that helps. Returns if the host then took the request."""
    looks_short = cpu.vm.quirks.host_error_looks_short
    if _kind(error) == BUSY:
        again = _exit(cpu, data, extended=extended)
        if again == ANSWERED:
            return
        if not isinstance(again, HostError) or looks_short:
            raise _given_up(cpu, again, extended=extended)
        error = again
    if _kind(error) != TOO_SHORT:
        raise _given_up(cpu, error, extended=extended)
    if not extended:
        cpu.vm.processor.has_key = False
        raise Refused(Result.INVALID_REQUEST)
    # The request that is out must be answered, or its number would be used for another one.
    again = _exit(cpu, data, extended=False)
    if again == ANSWERED and (error.pages * PAGE < END or looks_short):
        raise _TooShort(error.pages)
    raise _given_up(cpu, again, extended=True)


def _kind(error: HostError) -> int:
    """The host's part of an error; the low half is the firmware's."""
    return error.error & ~0xFFFFFFFF


def _given_up(cpu: Vcpu, failure: HostError | str, *, extended: bool) -> Exception:
    """What a request comes to that nobody answered: the SVSM uses its key no more."""
    cpu.vm.processor.has_key = False
    if extended and isinstance(failure, HostError):
        if cpu.vm.quirks.host_error_looks_short:
            return _TooShort(failure.pages)
    elif cpu.vm.quirks.host_error_stops:
        return Assertion("the host refused a guest request")
    return Refused(Result.INVALID_REQUEST)


def _answered(cpu: Vcpu) -> bytes:
    """The report in the response page. Refuses what is no answer to the last request."""
    processor = cpu.vm.processor
    response = processor.response
    if response is None or response.number != processor.number:
        processor.has_key = False
        raise Refused(Result.INVALID_FORMAT)
    if not response.is_authentic:
        processor.has_key = False
        raise Refused(Result.INVALID_REQUEST)
    if response.status:
        raise Refused(Result.INVALID_REQUEST)
    if not response.fits:
        raise Refused(Result.INVALID_FORMAT)
    return response.report
