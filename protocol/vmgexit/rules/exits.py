"""Judging a GHCB page by the rows of `wire.exits`: as a request, and as the answer to one.

A page does not say where it lies. The scratch address is therefore judged by its place within the
page (its low 12 bits), which is what a host that knows the page's address would see.

A rule is what some host looks at. What no host looks at, such as an information word that an exit
does not use, is a note. KVM is the only source that orders its checks (sev_es_validate_vmgexit): what
must be marked valid comes before the values, the scratch area and what it holds come last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..schema import Bits, Note, Problem, members
from ..wire.ap_creation import ApCreation, ApOperation, JumpTableOperation
from ..wire.exit import Exit, Where, Word
from ..wire.exit_codes import (
    FORMER_CODES,
    ExitCode,
    ExitError,
    ExitStatus,
    IoioInfo,
    MalformedInput,
    Status,
)
from ..wire.exits import exit_text, find_exit
from ..wire.ghcb import (
    ALWAYS_VALID,
    BITMAP_OFFSET,
    BUFFER_END,
    BUFFER_OFFSET,
    BUFFER_SIZE,
    GhcbPage,
    GhcbUsage,
    ProtocolVersion,
)
from ..wire.injection import DoorbellOperation
from ..wire.page_size import LARGE_PAGE, PAGE
from ..wire.page_state import ENTRY_SIZE, HEADER_SIZE, MAX_ENTRIES, PscEntry, PscHeader
from ..wire.readings import notes_on, notes_on_exit
from ..wire.readings_ghcb import UNSTATED_VERSION
from ..wire.vmsa import EventInj, EventType

_MARKED = frozenset(
    field.name for field in GhcbPage.declaration.fields if field.byte_offset < BITMAP_OFFSET
)
"""Fields that have a valid bit."""

_ENTRIES = 3  # of a page list that a note shows
MMIO_LIMIT = 8  # bytes, from version 2 on; KVM commits 1aa8a6dc and dcf1b2d4


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

    In version 1 they may be anywhere in memory.
    """
    if not page.is_valid("sw_scratch"):
        return
    if version < ProtocolVersion.V2:
        if not 0 < page.sw_scratch <= (1 << 64) - length:
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
    if length > BUFFER_SIZE:
        rule = f"{length} bytes do not fit the shared buffer of {BUFFER_SIZE}"
        yield Problem("sw_exit_info_2", count, rule, "")
    else:
        yield from _scratch_problems(page, version, length)


def _check_mmio(page: GhcbPage, version: int) -> Iterator[Problem]:
    length = page.sw_exit_info_2
    limit = MMIO_LIMIT if version >= ProtocolVersion.V2 else BUFFER_SIZE
    if length > limit:
        yield Problem("sw_exit_info_2", length, f"a length of at most {limit} bytes expected", "")
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


def answer_text(page: GhcbPage) -> str:
    """The answer in words: `DONE`, `MALFORMED_INPUT: MISSING_INPUT`, `RAISE_EVENT: vector 13`."""
    status = ExitStatus.of(page.sw_exit_info_1).status
    name = status.name if isinstance(status, Status) else f"status {status:#x}"
    second = page.sw_exit_info_2
    if status == Status.MALFORMED_INPUT:
        error = ExitError.of(second).error
        return f"{name}: {getattr(error, 'name', '') or f'error {error:#x}'}"
    if status == Status.RAISE_EVENT:
        return f"{name}: vector {EventInj.of(second).vector}"
    row = find_exit(page.sw_exit_code)
    if row is not None and row.result.layout is not None:
        return f"{name}: {row.result.layout.of(second)!r}"
    return name


# --- what a person should know --------------------------------------------------------------------


def notes(page: GhcbPage) -> Iterator[Note]:
    """What `GhcbPage.notes` says: the exit, and on which fields sources differ."""
    if page.ghcb_usage == GhcbUsage.STANDARD:
        yield from _notes_of_exit(page)
    elif page.ghcb_usage == GhcbUsage.HYPERCALL:
        text = "a Hyper-V hypercall, which ghcb-hypercall reads; KVM answers it with error 2"
        yield Note("ghcb_usage", text)
    yield from notes_on(page)


def _notes_of_exit(page: GhcbPage) -> Iterator[Note]:
    """The exit by its name, its words by their layouts, and former meanings of its number."""
    if not page.sw_exit_code and not page.valid_bitmap:
        yield Note("sw_exit_code", "no exit: the page is at rest")
        return
    row = find_exit(page.sw_exit_code)
    named = "not known" if row is None else f"{row.name}: {row.meaning}"
    yield Note("sw_exit_code", named)
    for former in FORMER_CODES:
        if former.code == page.sw_exit_code:
            yield Note("sw_exit_code", f"formerly {former.meaning} ({former.source})")
    yield from notes_on_exit(page.sw_exit_code)
    yield Note("valid_bitmap", f"valid: {', '.join(page.valid_fields()) or 'none'}")
    if page.sw_exit_code == ExitCode.SNP_PAGE_STATE_CHANGE:
        yield from _notes_of_page_list(page)
    if page.is_answer:
        yield Note("sw_exit_info_1", f"read as an answer: {answer_text(page)}")
        if page.sw_exit_info_1 >> 32:
            # COCONUT-SVSM tests all 64 bits; Linux, Oak and zyuiop/ghcb look at the low half.
            yield Note("sw_exit_info_1", "bits 63:32 not 0: a failure to COCONUT-SVSM only")
        return
    if page.protocol_version == ProtocolVersion.UNSTATED:
        yield Note("protocol_version", UNSTATED_VERSION.readings)
    if row is None:
        return
    words = ("sw_exit_info_1", row.info1), ("sw_exit_info_2", row.info2)
    for name, word in words:
        held = getattr(page, name)
        if word.layout is not None:
            laid = word.layout.of(held)
            yield Note(name, f"{word.meaning}: {_in_words(laid)}")
            yield from (Note(name, note.text) for note in laid.notes())
        elif word.value:
            of = f": {exit_text(held)}" if word.is_code else ""
            yield Note(name, f"{word.meaning}{of}")
        elif held:
            yield Note(name, f"{row.name} does not use it; guests send 0")
    yield from _notes_of_nothing(page)


def _in_words(word: Bits) -> str:
    """The fields of an information word that say something: the first, and those that are not 0."""
    said: list[str] = []
    for field in word.declaration.fields:
        value = getattr(word, field.name)
        if field.rule is None and (value or not said):
            number = value if isinstance(value, bool) else f"{value:#x}"
            said.append(f"{field.name}={getattr(value, 'name', number)}")
    return ", ".join(said)


def _notes_of_page_list(page: GhcbPage) -> Iterator[Note]:
    """How far the list of a page state change is, and the next entries."""
    start = page.sw_scratch % PAGE - BUFFER_OFFSET
    if not 0 <= start <= BUFFER_SIZE - HEADER_SIZE:
        return
    data = page.shared_buffer[start:]
    header = PscHeader.decode(data[:HEADER_SIZE])
    if header.done:
        yield Note("shared_buffer", f"page list: finished, its last entry was {header.end_entry}")
        return
    shown = []
    for index in range(header.cur_entry, header.end_entry + 1)[:_ENTRIES]:
        at = HEADER_SIZE + index * ENTRY_SIZE
        if at + ENTRY_SIZE > len(data):
            break
        entry = PscEntry.decode(data[at : at + ENTRY_SIZE])
        operation = getattr(entry.operation, "name", f"operation {int(entry.operation)}")
        size = "2 MiB" if entry.large else "4 KiB"
        done = f", {entry.current_page} of {entry.pages} pages done" * bool(entry.current_page)
        shown.append(f"[{index}] {operation} {entry.frame * PAGE:#x}, {size}{done}")
    more = header.end_entry + 1 - header.cur_entry - len(shown)
    shown += [f"... (+{more})"] * bool(more)
    listed = "; ".join(shown)
    text = f"page list, entries {header.cur_entry} to {header.end_entry}: {listed}"
    yield Note("shared_buffer", text)


def _notes_of_nothing(page: GhcbPage) -> Iterator[Note]:
    """Where a request asks for nothing, or gives a number that nobody looks at."""
    code, first, second = page.sw_exit_code, page.sw_exit_info_1, page.sw_exit_info_2
    string = code == ExitCode.IOIO and IoioInfo.of(first).string
    if string and not second:
        yield Note("sw_exit_info_2", _NO_ELEMENT)
    if code == ExitCode.IOIO and not string and second:
        yield Note("sw_exit_info_2", "only a string form has a count; guests send 0")
    if code in (ExitCode.MMIO_READ, ExitCode.MMIO_WRITE) and not second:
        yield Note("sw_exit_info_2", _NO_BYTE)
    if code == ExitCode.AP_JUMP_TABLE and first == JumpTableOperation.GET and second:
        yield Note("sw_exit_info_2", "not used to get the address; guests send 0")


_NO_ELEMENT = (
    "nothing is moved; Linux sends this for a REP form with RCX 0"
    " (arch/x86/coco/sev/vc-shared.c vc_handle_ioio)"
)
_NO_BYTE = (
    "nothing is moved; edk2 sends this for MOV m64, imm32 (CcExitVcHandler.c MmioExit, case 0xC7)"
)
