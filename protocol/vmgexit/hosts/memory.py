"""What a host knows of guest memory: its bytes, and which pages are private or shared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..wire.ghcb_msr import PageOperation
from ..wire.page_size import PAGE


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
        self.runs: list[tuple[int, int, PageOperation]] = []
        """First frame, frame after the last, and state; in order, apart, and none beside its like."""

    def change(self, frame: int, pages: int, state: PageOperation) -> None:
        """Make `pages` pages from `frame` on private or shared."""
        end = frame + pages
        kept = []
        for start, stop, held in self.runs:
            for first, last in ((start, min(stop, frame)), (max(start, end), stop)):
                if first < last:
                    kept.append((first, last, held))
        self.runs = []
        for first, last, held in sorted([*kept, (frame, end, state)]):
            if self.runs and self.runs[-1][1:] == (first, held):
                self.runs[-1] = self.runs[-1][0], last, held
            else:
                self.runs.append((first, last, held))

    def of(self, frame: int) -> PageOperation | None:
        """What a page was made last; None where it was not named."""
        return next((held for first, last, held in self.runs if first <= frame < last), None)
