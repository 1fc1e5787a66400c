"""Page state changes: a list of entries, worked on from the current one to the last.

An error ends the exit with status 0, and with its class and detail in SW_EXITINFO2. What was done until
then stays done, and the list in the buffer says so.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ...wire.exit_codes import ExitCode
from ...wire.ghcb_msr import PageOperation
from ...wire.page_size import PAGE, PAGES_IN_LARGE
from ...wire.page_state import ENTRY_SIZE, HEADER_SIZE, PscEntry, PscErrorClass, PscResult
from ..asked import LARGE_ATTRIBUTE, PRIVATE_ATTRIBUTE
from ..request import CarryOut, Request, Scratch, Stop

MOST_RANGES = 4096  # a list that the guest does not change has 253 at most
UNLIMITED = 1 << 62

BAD_HEADER = int(PscResult(error=PscErrorClass.INVALID, detail=1))
BAD_ENTRY = int(PscResult(error=PscErrorClass.INVALID, detail=2))
FAILED = int(PscResult(error=PscErrorClass.GENERIC))

MAPPED = (PageOperation.PRIVATE, PageOperation.SHARED)
HINTS = (PageOperation.PSMASH, PageOperation.UNSMASH)


class Fault(Exception):
    """What ends the exit with an error of its own."""

    def __init__(self, result: int) -> None:
        super().__init__(f"{result:#x}")
        self.result = result


@dataclass(slots=True)
class PageList:
    """Header and entries, read once each; with the quirk, from the page again each time."""

    area: Scratch
    again: bool
    read: dict[int, int] = field(default_factory=dict)  # words by their place

    def word(self, at: int) -> int:
        if self.again or at not in self.read:
            self.read[at] = int.from_bytes(self.area.load(at, 8), "little")
        return self.read[at]

    def store(self, at: int, word: int) -> None:
        self.read[at] = word
        self.area.store(at, word.to_bytes(8, "little"))

    def entry(self, index: int) -> PscEntry:
        return PscEntry.of(self.word(HEADER_SIZE + ENTRY_SIZE * index))

    def known(self, index: int) -> PscEntry:
        """An entry as it was read last."""
        return PscEntry.of(self.read[HEADER_SIZE + ENTRY_SIZE * index])

    def mark(self, index: int, entry: PscEntry, current_page: int) -> None:
        """Store how many pages of an entry are done."""
        word = int(entry) & ~0xFFF | current_page
        self.store(HEADER_SIZE + ENTRY_SIZE * index, word)

    def go_on(self, current: int) -> None:
        """Store which entry is next, and nothing else of the header."""
        if self.read[0] & 0xFFFF != current:
            self.read[0] = self.read[0] & ~0xFFFF | current
            self.area.store(0, current.to_bytes(2, "little"))


def page_state(request: Request) -> None:
    area = request.scratch(HEADER_SIZE)
    if not request.vm.setup.map_exit:
        request.detail = FAILED
        return
    pages = PageList(area, request.quirks.psc_list_read_again)
    left = request.vm.setup.page_budget or UNLIMITED
    try:
        for _ in range(MOST_RANGES):
            done = _next_range(request, pages, left)
            left -= done
            if not done or left <= 0:
                return
        raise Stop("endless", "page-state-change")
    except Fault as fault:
        request.detail = fault.result


def _next_range(request: Request, pages: PageList, most: int) -> int:
    """Work on the next entries with work that are one range, `most` pages of them at most; returns how
    many pages that was, 0 at the end of the list."""
    current, last = _bounds(request, pages)
    while current <= last and not _has_work(request, pages, current):
        current += 1
    pages.go_on(current)
    if current > last:
        return 0
    first = pages.known(current)
    left = _pages_of(first) - first.current_page
    if left > most:
        _map(request, first, most, partly=True)
        pages.mark(current, first, first.current_page + most)
        return most
    entries, count = [first], left
    joins = (
        request.quirks.psc_begun_entry_merged
        if first.current_page
        else request.quirks.psc_ranges_merged
    )
    while joins and current + len(entries) <= last:
        entry = pages.entry(current + len(entries))
        if not _follows(entry, first, count) or count + _pages_of(entry) > most:
            break
        entries.append(entry)
        count += _pages_of(entry)
    _map(request, first, count, partly=False)
    small = int(request.quirks.psc_small_entry_marked_one)
    for index, entry in enumerate(entries, current):
        pages.mark(index, entry, PAGES_IN_LARGE if entry.large else small)
    pages.go_on(current + len(entries))
    return count


def _bounds(request: Request, pages: PageList) -> tuple[int, int]:
    """The current and the last entry. Raises Fault."""
    header = pages.word(0)
    last = header >> 16 & 0xFFFF
    reserved = header >> 32 and not request.quirks.psc_reserved_ignored
    if reserved or last >= (pages.area.room - HEADER_SIZE) // ENTRY_SIZE:
        raise Fault(BAD_HEADER)
    return header & 0xFFFF, last


def _has_work(request: Request, pages: PageList, index: int) -> bool:
    """Whether something of an entry is left to do. Raises Fault, with the entry as the current one."""
    entry = pages.entry(index)
    if not _is_sound(request, entry):
        pages.go_on(index)
        raise Fault(BAD_ENTRY)
    return entry.current_page < _pages_of(entry)


def _pages_of(entry: PscEntry) -> int:
    return PAGES_IN_LARGE if entry.large else 1


def _is_sound(request: Request, entry: PscEntry) -> bool:
    if entry.current_page > _pages_of(entry) or (entry.large and entry.frame % PAGES_IN_LARGE):
        return False
    if entry.reserved_63_57 and not request.quirks.psc_reserved_ignored:
        return False
    return entry.operation in (*MAPPED, *HINTS) or request.quirks.psc_operation_skipped


def _follows(entry: PscEntry, first: PscEntry, count: int) -> bool:
    """Whether an entry goes on where a range of `count` pages ends, as KVM sees it: by the frame of the
    first entry, and not by the page at which that was begun."""
    return (
        entry.operation == first.operation
        and not entry.current_page
        and entry.large == (first.large and not first.current_page)
        and entry.frame == first.frame + count
    )


def _map(request: Request, first: PscEntry, count: int, *, partly: bool) -> None:
    """Ask user space for a range, unless its operation is a hint. Raises Fault."""
    if first.operation not in MAPPED:
        return
    whole = first.large and not first.current_page and not partly
    large = whole or (first.large and request.quirks.psc_large_flag_on_rest)
    private = first.operation == PageOperation.PRIVATE
    attributes = PRIVATE_ATTRIBUTE * private + LARGE_ATTRIBUTE * large
    if not request.map((first.frame + first.current_page) * PAGE, count, attributes):
        raise Fault(FAILED)


EXITS: dict[int, CarryOut] = {ExitCode.SNP_PAGE_STATE_CHANGE: page_state}
