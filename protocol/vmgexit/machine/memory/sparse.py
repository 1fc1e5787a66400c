"""Values of pages, kept as ranges, chunks of 2 MiB, and single pages: what nobody touched costs nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

from ...wire.page_size import LARGE_PAGE, PAGE

Value = TypeVar("Value")
Range = tuple[int, int, Value]
"""First byte, byte after the last, and the value that each page between them has."""


class Sparse(Generic[Value]):
    """A value for each page. A page's own value goes before its chunk's, and that before the ranges'.

    Pages are named by the address of their first byte, chunks likewise. `pages` has the pages' own values.
    `written` has the pages and chunks that got another one since the last copy; who changes `pages` adds to
    it.
    """

    __slots__ = ("_chunks", "_default", "_last", "_origin", "_ranges", "pages", "written")

    def __init__(self, default: Value, ranges: Iterable[Range[Value]]) -> None:
        """Of ranges that overlap the last one counts."""
        self._default = default
        self._ranges = tuple(ranges)[::-1]
        self._chunks: dict[int, Value] = {}
        self.pages: dict[int, Value] = {}
        self.written: set[int] = set()
        # Tokens of the last copy of it, and of the copying that it came from.
        self._last, self._origin = object(), object()

    def copy(self) -> Sparse[Value]:
        """Another one with the same values."""
        other: Sparse[Value] = Sparse.__new__(Sparse)
        other._default, other._ranges = self._default, self._ranges
        other._chunks, other.pages = self._chunks.copy(), self.pages.copy()
        self.written, other.written = set(), set()
        self._last = other._last = other._origin = object()
        return other

    def differing(self, other: Sparse[Value]) -> set[int]:
        """Where the two, of which `other` is a copy of earlier, can differ: pages, and the first pages of
        chunks."""
        if self._last is other._origin is other._last:
            return self.written | other.written
        if self.pages == other.pages and self._chunks == other._chunks:
            return set()
        return {
            page
            for ours, theirs in ((self.pages, other.pages), (self._chunks, other._chunks))
            for page in ours.keys() | theirs.keys()
            if ours.get(page) is not theirs.get(page)
        }

    def common(self, page: int) -> Value:
        """What the page has unless it has a value of its own."""
        chunk = self._chunks.get(page & -LARGE_PAGE)
        if chunk is not None:
            return chunk
        for first, end, value in self._ranges:
            if first <= page < end:
                return value
        return self._default

    def put_chunk(self, chunk: int, value: Value) -> None:
        """Give all pages of a chunk one value."""
        for page in self.own_in(chunk):
            del self.pages[page]
            self.written.add(page)
        self._chunks[chunk] = value
        self.written.add(chunk)

    def own_in(self, chunk: int) -> list[int]:
        """The pages of a chunk that have values of their own."""
        pages = range(chunk, chunk + LARGE_PAGE, PAGE)
        if len(self.pages) < len(pages):
            return [page for page in self.pages if page & -LARGE_PAGE == chunk]
        return [page for page in pages if page in self.pages]
