"""What a person should know of a GHCB page: its exit and words by name, what no host looks at, its answer.

Notes break no rule. `exits` has the rules.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..schema import Bits, Note
from ..wire.ap_creation import JumpTableOperation
from ..wire.exit_codes import FORMER_CODES, ExitCode, ExitError, ExitStatus, IoioInfo, Status
from ..wire.exits import exit_text, find_exit
from ..wire.ghcb import BUFFER_OFFSET, BUFFER_SIZE, GhcbPage, GhcbUsage, ProtocolVersion
from ..wire.page_size import PAGE
from ..wire.page_state import ENTRY_SIZE, HEADER_SIZE, PscEntry, PscHeader
from ..wire.readings import notes_on, notes_on_exit
from ..wire.readings_ghcb import UNSTATED_VERSION
from ..wire.vmsa import EventInj

_ENTRIES = 3  # of a page list that a note shows


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
    if second and row is not None and row.result.layout is not None:
        return f"{name}: {set_fields(row.result.layout.of(second))}"
    return name


def set_fields(word: Bits) -> str:
    """The fields that are not 0, and every code, as `port=0x3f8, size_8`."""
    parts = []
    for field in word.declaration.fields:
        value = getattr(word, field.name)
        if field.name == "info":  # the word's own name says it
            continue
        if value is True:
            parts.append(field.name)
        elif field.enum is not None:
            parts.append(f"{field.name}={getattr(value, 'name', '') or hex(value)}")
        elif value:
            parts.append(f"{field.name}={value:#x}")
    return ", ".join(parts)
