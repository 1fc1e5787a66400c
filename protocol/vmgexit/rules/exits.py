"""Judging a GHCB page by the rows of `wire.exits`: as a request, and as the answer to one.

A page does not say where it lies. The scratch address is therefore judged by its place within the
page (its low 12 bits), which is what a host that knows the page's address would see.

A rule is what some host looks at. What no host looks at, such as an information word that an exit
does not use, is a note (`exit_notes`). KVM is the only source that orders its checks
(sev_es_validate_vmgexit): what must be marked valid comes before the values, the scratch area and what
it holds come last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..schema import Problem, members
from ..wire.ap_creation import ApCreation, ApOperation
from ..wire.exit import Exit, Where, Word
from ..wire.exit_codes import ExitCode, ExitError, IoioInfo, MalformedInput, Status
from ..wire.exits import find_exit
from ..wire.ghcb import (
    ALWAYS_VALID,
    BITMAP_OFFSET,
    BUFFER_END,
    BUFFER_OFFSET,
    BUFFER_SIZE,
    MMIO_LIMIT,
    SCRATCH_LIMIT,
    GhcbPage,
    GhcbUsage,
    ProtocolVersion,
)
from ..wire.injection import DoorbellOperation
from ..wire.page_size import LARGE_PAGE, PAGE
from ..wire.page_state import ENTRY_SIZE, HEADER_SIZE, MAX_ENTRIES, PscEntry, PscHeader
from ..wire.vmsa import EventInj, EventType
from .exit_notes import notes as notes  # `GhcbPage` takes both from here

_MARKED = frozenset(
    field.name for field in GhcbPage.declaration.fields if field.byte_offset < BITMAP_OFFSET
)
"""Fields that have a valid bit."""


def broken(page: GhcbPage) -> Iterator[Problem]:
    """What `GhcbPage.problems` says beyond single fields."""
    if page.ghcb_usage != GhcbUsage.STANDARD:
        return
    if page.is_answer:
        yield from problems_of_answer(page)
    elif page.sw_exit_code or page.valid_bitmap:
        yield from problems_of_request(page)


# --- requests -------------------------------------------------------------------------------------


def problems_of_request(page: GhcbPage, version: int | None = None) -> Iterator[Problem]:
    """The rules that `page` breaks as a request of a guest, in the order in which KVM checks.

    `version` is what the VM negotiated, which decides limits where it is known (KVM 1aa8a6dc,
    dcf1b2d4). Without it the page's own counts, and version 2 where the page states none.
    """
    spoken = version or page.protocol_version or ProtocolVersion.V2
    row = find_exit(page.sw_exit_code)
    clause = row.clause if row else ""
    for name in ALWAYS_VALID:
        if not page.is_valid(name):
            yield Problem(name, getattr(page, name), "not marked valid", clause)
    if row is None or row.where is not Where.GHCB:
        found = "not a known ExitCode" if row is None else f"{row.name}: {row.direction}"
        yield Problem("sw_exit_code", page.sw_exit_code, found, clause)
        return
    for need in row.needs:
        if need.applies(page) and not page.is_valid(need.field):
            rule = f"{row.name} needs it, and it is not marked valid"
            yield Problem(need.field, getattr(page, need.field), rule, clause)
    if spoken < row.since:
        rule = f"{row.name} exists since version {row.since}"
        yield Problem("protocol_version", page.protocol_version, rule, clause)
    yield from _word_problems("sw_exit_info_1", page.sw_exit_info_1, row.info1, row)
    yield from _word_problems("sw_exit_info_2", page.sw_exit_info_2, row.info2, row)
    if row.code in _CHECKS:
        yield from _CHECKS[row.code](page, spoken)


def refusal(page: GhcbPage, problem: Problem) -> MalformedInput:
    """Which error answers a request that breaks this rule.

    A problem of the buffer is none of a request: it is answered within the result of the exit.
    """
    path = problem.path
    if path in _MARKED and not page.is_valid(path):
        return MalformedInput.MISSING_INPUT
    if path == "sw_exit_code":
        return MalformedInput.INVALID_EVENT
    if path == "sw_scratch":
        return MalformedInput.INVALID_SCRATCH_AREA
    return MalformedInput.INVALID_INPUT


def _word_problems(path: str, value: int, word: Word, row: Exit) -> Iterator[Problem]:
    if word.layout is not None:
        for problem in word.layout.of(value).problems():
            rule = f"{row.name} {problem.path}: {problem.rule}"
            yield Problem(path, problem.value, rule, problem.clause or row.clause)


def _scratch_problems(page: GhcbPage, version: int, length: int) -> Iterator[Problem]:
    """Whether `length` bytes from the scratch address on stay inside the shared buffer.

    In version 1 they may be anywhere in memory, as many as a host copies.
    """
    if not page.is_valid("sw_scratch"):
        return
    if version < ProtocolVersion.V2:
        if length > SCRATCH_LIMIT:
            rule = f"{length} bytes are more than a host copies, {SCRATCH_LIMIT}"
            yield Problem("sw_scratch", page.sw_scratch, rule, "")
        elif not 0 < page.sw_scratch <= (1 << 64) - length:
            rule = f"no address of {length} bytes in memory"
            yield Problem("sw_scratch", page.sw_scratch, rule, "")
        return
    start = page.sw_scratch % PAGE
    if not BUFFER_OFFSET <= start < BUFFER_END:
        rule = f"outside the shared buffer, page offsets {BUFFER_OFFSET:#x} to {BUFFER_END - 1:#x}"
        yield Problem("sw_scratch", page.sw_scratch, rule, "")
    elif start + length > BUFFER_END:
        rule = f"{length} bytes from here pass the end of the shared buffer"
        yield Problem("sw_scratch", page.sw_scratch, rule, "")


def _aligned(path: str, value: int, what: str) -> Iterator[Problem]:
    if value % PAGE:
        yield Problem(path, value, f"{what} is not 4 KiB aligned", "")


def _check_ioio(page: GhcbPage, version: int) -> Iterator[Problem]:
    info = IoioInfo.of(page.sw_exit_info_1)
    count = page.sw_exit_info_2
    length = count * info.operand_size
    if not info.string or not length:
        return
    if version >= ProtocolVersion.V2 and length > BUFFER_SIZE:
        rule = f"{length} bytes do not fit the shared buffer of {BUFFER_SIZE}"
        yield Problem("sw_exit_info_2", count, rule, "")
    else:
        yield from _scratch_problems(page, version, length)


def _check_mmio(page: GhcbPage, version: int) -> Iterator[Problem]:
    length = page.sw_exit_info_2
    if version >= ProtocolVersion.V2 and length > MMIO_LIMIT:
        rule = f"a length of at most {MMIO_LIMIT} bytes expected"
        yield Problem("sw_exit_info_2", length, rule, "")
    elif length:
        yield from _scratch_problems(page, version, length)


def _check_page_state(page: GhcbPage, version: int) -> Iterator[Problem]:
    yield from _scratch_problems(page, version, HEADER_SIZE)
    for _, problem in page_list_problems(page):
        yield problem


def page_list_problems(page: GhcbPage) -> Iterator[tuple[int, Problem]]:
    """What is wrong with the list of a page state change, with the index of the entry; -1: the header.

    A host answers it by status 0 and a `PscResult`, after the entries before it are done. Only the
    entries that are still to be done are looked at.
    """
    start = page.sw_scratch % PAGE - BUFFER_OFFSET
    if not page.is_valid("sw_scratch") or not 0 <= start <= BUFFER_SIZE - HEADER_SIZE:
        return
    data = page.shared_buffer[start:]
    header = PscHeader.decode(data[:HEADER_SIZE])
    for problem in header.problems():
        rule = f"header.{problem.path}: {problem.rule}"
        yield -1, Problem("shared_buffer", problem.value, rule, "")
    held = min(MAX_ENTRIES, (len(data) - HEADER_SIZE) // ENTRY_SIZE)
    if header.end_entry >= held:
        rule = f"header.end_entry: {held} entries fit the buffer from here"
        yield -1, Problem("shared_buffer", header.end_entry, rule, "")
    for index in range(header.cur_entry, min(header.end_entry + 1, held)):
        at = HEADER_SIZE + index * ENTRY_SIZE
        for problem in PscEntry.decode(data[at : at + ENTRY_SIZE]).problems():
            rule = f"entries[{index}].{problem.path}: {problem.rule}"
            yield index, Problem("shared_buffer", problem.value, rule, "")


def _check_guest_request(page: GhcbPage, version: int) -> Iterator[Problem]:
    yield from _aligned("sw_exit_info_1", page.sw_exit_info_1, "the request page")
    yield from _aligned("sw_exit_info_2", page.sw_exit_info_2, "the response page")
    if page.sw_exit_info_1 == page.sw_exit_info_2:
        rule = "request and response are one page"
        yield Problem("sw_exit_info_2", page.sw_exit_info_2, rule, "")


def _check_extended_guest_request(page: GhcbPage, version: int) -> Iterator[Problem]:
    yield from _check_guest_request(page, version)
    if page.is_valid("rax"):
        yield from _aligned("rax", page.rax, "the certificate area")


def _check_ap_creation(page: GhcbPage, version: int) -> Iterator[Problem]:
    info = ApCreation.of(page.sw_exit_info_1)
    if info.operation == ApOperation.DESTROY:
        return
    yield from _aligned("sw_exit_info_2", page.sw_exit_info_2, "the VMSA")
    if page.sw_exit_info_2 % LARGE_PAGE == 0:
        rule = "a VMSA must not be 2 MiB aligned (erratum; KVM refuses it)"
        yield Problem("sw_exit_info_2", page.sw_exit_info_2, rule, "")


def _check_doorbell(page: GhcbPage, version: int) -> Iterator[Problem]:
    if page.sw_exit_info_1 == DoorbellOperation.SET:
        yield from _aligned("sw_exit_info_2", page.sw_exit_info_2, "the doorbell page")


_CHECKS: dict[int, Callable[[GhcbPage, int], Iterator[Problem]]] = {
    ExitCode.IOIO: _check_ioio,
    ExitCode.MMIO_READ: _check_mmio,
    ExitCode.MMIO_WRITE: _check_mmio,
    ExitCode.SNP_PAGE_STATE_CHANGE: _check_page_state,
    ExitCode.SNP_GUEST_REQUEST: _check_guest_request,
    ExitCode.SNP_EXTENDED_GUEST_REQUEST: _check_extended_guest_request,
    ExitCode.SNP_AP_CREATION: _check_ap_creation,
    ExitCode.HV_DOORBELL_PAGE: _check_doorbell,
}
"""The rules of an exit that its row cannot say, by the page and the version that is spoken."""


# --- answers --------------------------------------------------------------------------------------


def problems_of_answer(page: GhcbPage, request: GhcbPage | None = None) -> Iterator[Problem]:
    """The rules that `page` breaks as an answer of a host to the exit that it names.

    An answer keeps the exit code, but its SW_EXITINFO1 is the status: which fields it must return may
    depend on what was asked. With `request`, the page before the exit, that is judged as well.
    """
    status = page.sw_exit_info_1 & 0xFFFFFFFF
    row = find_exit(page.sw_exit_code)
    if status not in members(Status):
        yield Problem("sw_exit_info_1", status, "not a known Status", "")
    if status == Status.RAISE_EVENT:
        yield from _event_problems(page)
    elif status == Status.MALFORMED_INPUT:
        error = ExitError.of(page.sw_exit_info_2)
        if error.error <= 0xFFFF:
            for problem in error.problems():
                yield Problem("sw_exit_info_2", problem.value, problem.rule, "")
    elif status == Status.DONE and row is not None:
        for returned in row.returns:
            due = returned.applies(request, page) if request is not None else not returned.when
            if due and not page.is_valid(returned.field):
                rule = f"{row.name} returns it, and it is not marked valid"
                yield Problem(returned.field, getattr(page, returned.field), rule, "")
        if page.sw_exit_info_2 and row.result == Word():
            rule = f"{row.name} has no result: 0 expected"
            yield Problem("sw_exit_info_2", page.sw_exit_info_2, rule, row.clause)
        yield from _word_problems("sw_exit_info_2", page.sw_exit_info_2, row.result, row)
        if request is not None and row.code == ExitCode.SNP_PAGE_STATE_CHANGE:
            yield from _page_list_answer(page, request)


def _page_list_answer(page: GhcbPage, request: GhcbPage) -> Iterator[Problem]:
    """What Linux refuses of a page list that a host worked on (vmgexit_psc)."""
    start = request.sw_scratch % PAGE - BUFFER_OFFSET
    if not 0 <= start <= BUFFER_SIZE - HEADER_SIZE:
        return
    place = slice(start, start + HEADER_SIZE)
    asked = PscHeader.decode(request.shared_buffer[place])
    now = PscHeader.decode(page.shared_buffer[place])
    if now.cur_entry < asked.cur_entry:
        rule = f"header.cur_entry: goes back from {asked.cur_entry}"
        yield Problem("shared_buffer", now.cur_entry, rule, "")
    for name in ("end_entry", "reserved_63_32"):
        if getattr(now, name) != getattr(asked, name):
            rule = f"header.{name}: {getattr(asked, name):#x} before; a host does not change it"
            yield Problem("shared_buffer", getattr(now, name), rule, "")


def _event_problems(page: GhcbPage) -> Iterator[Problem]:
    """What Linux refuses: anything but a valid #GP or #UD."""
    event = EventInj.of(page.sw_exit_info_2)
    for problem in event.problems():
        yield Problem("sw_exit_info_2", problem.value, f"{problem.path}: {problem.rule}", "")
    if event.error_code and not event.error_code_valid:
        rule = "error_code: not 0, and error_code_valid is 0"
        yield Problem("sw_exit_info_2", page.sw_exit_info_2, rule, "")
    expected = event.valid and event.type == EventType.EXCEPTION and event.vector in (6, 13)
    if not expected:
        yield Problem("sw_exit_info_2", page.sw_exit_info_2, "not a valid #GP or #UD", "")
