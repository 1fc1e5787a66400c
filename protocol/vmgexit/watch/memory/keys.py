"""What reports, sequence numbers and the TPM's answers must hold: the invariant MEM-12.

An attestation that succeeded has read its operation and its nonce: both can be read from the memory of
before the call. Requests to the secure processor are judged as the host sees them.
"""

from __future__ import annotations

import hashlib

from ...machine.vm import Vm
from ...wire.attestation import AttestationCall
from ...wire.report import AttestationReport
from ...wire.svsm import Protocol
from ...wire.vtpm import VtpmCall, VtpmRequest
from ..judged import Invariant, Wrong, adding_to
from .books import Books, MemoryStep, operation_of, parts_of

KEYS: list[Invariant] = []

_ATTESTS = tuple(map(int, AttestationCall))
_invariant = adding_to(KEYS, on_memory=True)
_DATA = AttestationReport.declaration["report_data"]
_DATA_AT = slice(_DATA.bit_offset // 8, (_DATA.bit_offset + _DATA.width) // 8)


def _nonce(step: MemoryStep) -> bytes:
    operation = operation_of(step)
    return step.before.memory.read(operation.nonce_gpa, operation.nonce_size)


@_invariant(
    "MEM-12",
    "a report that succeeds is about this call's nonce and manifest",
    when="an attestation succeeded",
)
def _reports(vm: Vm, books: Books, step: MemoryStep) -> Wrong | None:
    if not step.is_call(Protocol.ATTESTATION, *_ATTESTS) or step.result != 0:
        return None
    memory, operation = parts_of(vm)[0], operation_of(step)
    manifest = memory.read(operation.manifest_gpa, step.answer["rcx"])
    found = memory.read(operation.report_gpa, AttestationReport.size)[_DATA_AT]
    if found == hashlib.sha512(_nonce(step) + manifest).digest():
        return []
    return [(step.place, "the report is about another nonce or manifest")]


@_invariant(
    "MEM-12",
    "a sequence number of the secure processor encrypts one request only",
    when="the secure processor was asked",
)
def _numbers(vm: Vm, books: Books, step: MemoryStep) -> Wrong | None:
    asked = vm.processor.requests[books.requested :]
    if not asked:
        return None
    books.requested += len(asked)
    return [
        (step.place, f"the number {request.number} encrypted another request before")
        for request in asked
        if books.sealed.setdefault(request.number, request.shown) != request.shown
    ]


@_invariant(
    "MEM-12",
    "a TPM command that succeeds leaves the TPM's answer in the buffer",
    when="a TPM command succeeded",
)
def _tpm_answers(vm: Vm, books: Books, step: MemoryStep) -> Wrong | None:
    if not step.is_call(Protocol.VTPM, VtpmCall.COMMAND) or step.result != 0:
        return None
    at = step.command["rcx"]
    request = VtpmRequest.decode(step.before.memory.read(at, VtpmRequest.size))
    response = vm.devices.tpm.answered(request.input[: request.input_size])
    held = parts_of(vm)[0].read(at, VtpmRequest.size)
    if held.startswith(len(response).to_bytes(4, "little") + response):
        return []
    return [(step.place, f"the TPM's {len(response)} bytes are not in the buffer")]
