"""What a host knows of guest memory: its bytes, and which pages are private or shared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..wire.ghcb_msr import PageOperation
from ..wire.page_size import PAGE, PAGES_IN_LARGE


class GuestMemory:
    """Bytes from 0 to `top`, of which only pages that were written are kept; the others read as zero."""

    def __init__(self, top: int, pieces: Iterable[tuple[int, str]] = ()) -> None:
        """`pieces` are addresses and hex. What lies past `top` is not there."""
        self.top = top
        self.pages: dict[int, bytearray] = {}
        for gpa, text in pieces:
            data = bytes.fromhex(text)
            self.write(gpa, data[: max(0, top - gpa)])

    def holds(self, gpa: int, size: int) -> bool:
        """Whether there are `size` bytes from `gpa` on."""
        return gpa + size <= self.top

    def read(self, gpa: int, size: int) -> bytes | None:
        """Those bytes, or None if one of them is not there."""
        if not self.holds(gpa, size):
            return None
        data = bytearray(size)
        for frame, start, end, at in _pieces(gpa, size):
            page = self.pages.get(frame)
            if page is not None:
                data[at : at + end - start] = page[start:end]
        return bytes(data)

    def write(self, gpa: int, data: bytes) -> bool:
        """Put bytes there. False, and nothing is written, if one of them is not there."""
        if not self.holds(gpa, len(data)):
            return False
        for frame, start, end, at in _pieces(gpa, len(data)):
            page = self.pages.setdefault(frame, bytearray(PAGE))
            page[start:end] = data[at : at + end - start]
        return True

    def place(self, gpa: int, page: bytearray) -> None:
        """Let `page` be the memory of the page at `gpa`, and not a copy of it."""
        self.pages[gpa // PAGE] = page


def _pieces(gpa: int, size: int) -> Iterator[tuple[int, int, int, int]]:
    """The parts of a range by page: frame, start and end in it, place in the range."""
    at = 0
    while at < size:
        frame, start = divmod(gpa + at, PAGE)
        end = min(PAGE, start + size - at)
        yield frame, start, end, at
        at += end - start


class PageStates:
    """Which pages a guest made private or shared. Of a page that it never named, nothing is known."""

    def __init__(self) -> None:
        # By 2 MiB: a bit for each page that is known, and one for each that is private.
        self._blocks: dict[int, tuple[int, int]] = {}

    def change(self, frame: int, pages: int, operation: int) -> None:
        """Make `pages` pages from `frame` on private or shared, by a PageOperation."""
        while pages > 0:
            block, at = divmod(frame, PAGES_IN_LARGE)
            count = min(pages, PAGES_IN_LARGE - at)
            mask = (1 << count) - 1 << at
            known, private = self._blocks.get(block, (0, 0))
            private = private | mask if operation == PageOperation.PRIVATE else private & ~mask
            self._blocks[block] = known | mask, private
            frame += count
            pages -= count

    def of(self, frame: int) -> PageOperation | None:
        """What a page was made last; None where it was not named."""
        block, at = divmod(frame, PAGES_IN_LARGE)
        known, private = self._blocks.get(block, (0, 0))
        if not known >> at & 1:
            return None
        return PageOperation.PRIVATE if private >> at & 1 else PageOperation.SHARED

    def runs(self) -> list[tuple[int, int, PageOperation]]:
        """Every known page, as frame, count and state of runs that touch no run of the same state."""
        found: list[tuple[int, int, PageOperation]] = []
        for block in sorted(self._blocks):
            for at in range(PAGES_IN_LARGE):
                frame = block * PAGES_IN_LARGE + at
                state = self.of(frame)
                if state is None:
                    continue
                if found and found[-1][0] + found[-1][1] == frame and found[-1][2] is state:
                    found[-1] = found[-1][0], found[-1][1] + 1, state
                else:
                    found.append((frame, 1, state))
        return found
