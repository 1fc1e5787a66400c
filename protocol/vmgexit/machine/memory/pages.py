"""System pages: the bytes that the host's memory holds. A page that nobody wrote is one byte repeated."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cache

from ...wire.page_size import LARGE_PAGE, PAGE
from .sparse import Range, Sparse


class SystemPages:
    """The bytes of system pages, by system-physical address."""

    __slots__ = ("_held", "_is_copied", "_own")

    def __init__(self, fills: Iterable[Range[int]]) -> None:
        """Ranges and the byte that fills each; all else is zero."""
        self._held: Sparse[int | bytearray] = Sparse(0, fills)
        self._own = self._held.pages
        # Whether a copy holds the bytes too, of pages that were not written since.
        self._is_copied = False

    def copy(self) -> SystemPages:
        """The same bytes. A page is copied once one of the two writes to it."""
        other = SystemPages.__new__(SystemPages)
        other._held = self._held.copy()
        other._own = other._held.pages
        self._is_copied = other._is_copied = True
        return other

    def changes(self, before: SystemPages) -> list[int]:
        """The pages whose bytes are others than in `before`, a copy of earlier. Of a chunk that was
        changed as a whole the first page is among them."""
        return [
            page
            for page in self._held.differing(before._held)
            if self.content(page) != before.content(page)
        ]

    def content(self, page: int) -> bytes | bytearray:
        """The bytes of a page, to be read."""
        held = self._own.get(page)
        if held is None:
            held = self._own[page] = self._held.common(page)
        return held if isinstance(held, bytearray) else _filled(held)

    def writable(self, page: int) -> bytearray:
        """The bytes of a page, to be written in place."""
        held, written = self._own.get(page), self._held.written
        if page not in written or not isinstance(held, bytearray):
            written.add(page)
            if self._is_copied or not isinstance(held, bytearray):
                held = self._own[page] = bytearray(self.content(page))
        return held

    def fill(self, page: int, byte: int) -> None:
        """Fill a page with one byte."""
        self._own[page] = byte
        self._held.written.add(page)

    def clear(self, start: int, length: int) -> None:
        """Fill one page, or a whole chunk, with zero."""
        if length == LARGE_PAGE:
            self._held.put_chunk(start, 0)
        else:
            self.fill(start, 0)

    def digest(self, page: int) -> str:
        """SHA-256 of a page."""
        held = self.content(page)
        return _sha256(held) if isinstance(held, bytes) else hashlib.sha256(held).hexdigest()


@cache
def _filled(byte: int) -> bytes:
    return bytes([byte]) * PAGE


@cache
def _sha256(page: bytes) -> str:
    return hashlib.sha256(page).hexdigest()
