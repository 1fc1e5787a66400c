"""Guest requests: messages for the firmware, with or without the host's certificates."""

from __future__ import annotations

from ...wire.exit_codes import ExitCode, MalformedInput
from ...wire.firmware_status import VmmStatus
from ...wire.guest_message import (
    CertificateEntry,
    GuestMessageHeader,
    GuestRequestResult,
    MessageKind,
)
from ...wire.page_size import PAGE
from ..request import IO_ERROR, CarryOut, Refused, Request, Stop

TYPE_OFFSET = GuestMessageHeader.declaration["msg_type"].byte_offset
EMPTY_TABLE = bytes(CertificateEntry.declaration.size)


def guest_request(request: Request) -> None:
    _check_pages(request)
    _message(request)


def extended_guest_request(request: Request) -> None:
    _check_pages(request)
    if _certificates(request):
        _message(request)


def _check_pages(request: Request) -> None:
    """Refuse request and response pages that cannot be used."""
    asked, answered = request.sw_exit_info_1, request.sw_exit_info_2
    if asked % PAGE or answered % PAGE or asked == answered:
        missing = request.quirks.request_page_wrong_is_missing
        raise Refused(MalformedInput.MISSING_INPUT if missing else MalformedInput.INVALID_INPUT)
    _reach(request, asked, PAGE)
    _reach(request, answered, PAGE)


def _reach(request: Request, gpa: int, size: int) -> None:
    """Refuse, before anything is done, memory that is not there; with the quirk, KVM meets it later."""
    if not request.quirks.request_page_fault_ends_run and not request.vm.memory.holds(gpa, size):
        raise Refused(MalformedInput.INVALID_INPUT)


def _read(request: Request, gpa: int, size: int) -> bytes:
    data = request.read_memory(gpa, size)
    if data is None:
        raise Stop("error", IO_ERROR)
    return data


def _write(request: Request, gpa: int, data: bytes) -> None:
    if not request.write_memory(gpa, data):
        raise Stop("error", IO_ERROR)


def _message(request: Request) -> None:
    _read(request, request.sw_exit_info_1, PAGE)
    request.ask("firmware")
    error = request.vm.setup.firmware_error
    if not error or request.quirks.response_page_always_written:
        _write(request, request.sw_exit_info_2, bytes(PAGE))
    request.detail = int(GuestRequestResult(firmware=error))


def _certificates(request: Request) -> bool:
    """Hand the certificates over; False where they do not fit, and the message must wait."""
    quirks, setup = request.quirks, request.vm.setup
    if quirks.certificates_only_for_reports:
        kind = _read(request, request.sw_exit_info_1 + TYPE_OFFSET, 1)
        if kind[0] != MessageKind.REPORT_REQUEST:
            return True
    if not (request.is_marked("rax") and request.is_marked("rbx")):
        invalid = quirks.certificate_area_missing_is_invalid
        raise Refused(MalformedInput.INVALID_INPUT if invalid else MalformedInput.MISSING_INPUT)
    area, room = request.aligned(request.rax), request.field("rbx")
    table = b"" if quirks.certificate_table_emptied else bytes.fromhex(setup.certificates)
    needed = -(-len(table) // PAGE)
    if room < needed:
        request.results["rbx"] = needed
        request.detail = int(GuestRequestResult(vmm=VmmStatus.INVALID_LEN))
        return False
    if not room:
        return True
    _reach(request, area, len(table) or len(EMPTY_TABLE))
    if table:
        _write(request, area, table)
        return True
    request.ask("clear-memory", area, len(EMPTY_TABLE))
    if not request.vm.memory.write(area, EMPTY_TABLE):
        raise Stop("error", IO_ERROR)
    return True


EXITS: dict[int, CarryOut] = {
    ExitCode.SNP_GUEST_REQUEST: guest_request,
    ExitCode.SNP_EXTENDED_GUEST_REQUEST: extended_guest_request,
}
