"""The RMP: an entry for each system page, laid out as the declaration `rmp-table-entry` says.

An entry is a number of 128 bits, so that a test of several fields is one comparison. Its first half is
the declared one. What processors keep in the second half is not public; here it holds the permissions
of VMPL 1 to 3, 8 bits each. Zero is an entry that is not assigned.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ...schema import locate
from ...wire.page_size import LARGE_PAGE
from ...wire.rmp import RmpTableEntry
from .sparse import Range, Sparse


def _mask(path: str) -> int:
    place = locate(RmpTableEntry, path)
    return (1 << place.field.width) - 1 << place.bit_offset


ASSIGNED, LARGE, FRAME, VMSA, VALIDATED = (
    _mask(f"low.{name}") for name in ("assigned", "large", "frame", "vmsa", "validated")
)
OWNER = ASSIGNED | FRAME
"""The page belongs to the guest, and which guest page it is: an address fits FRAME as it is."""

MOST_ADDRESS = FRAME | (FRAME & -FRAME) - 1
"""The highest address that has an entry."""

READ, WRITE = 1, 2
ALL = 15
"""Permissions: read, write, execute in user mode, execute in supervisor mode."""

_HIGH = locate(RmpTableEntry, "high").bit_offset


def permissions(entry: int, vmpl: int) -> int:
    """What a VMPL, 1 to 3, may do with the page."""
    return entry >> _HIGH + 8 * vmpl & 0xFF


def with_permissions(entry: int, vmpl: int, allowed: int) -> int:
    """The entry with other permissions of one VMPL."""
    at = _HIGH + 8 * vmpl
    return entry & ~(0xFF << at) | allowed << at


class Rmp:
    """The entries of all system pages, by address. Those of a 2 MiB page are all alike."""

    __slots__ = ("_entries", "_own")

    def __init__(self, ranges: Iterable[Range[int]]) -> None:
        """The entries at first. They name each page by its own address; their FRAME is empty."""
        self._entries = Sparse(0, _unmixed(ranges))
        self._own = self._entries.pages

    def __getitem__(self, page: int) -> int:
        entry = self._own.get(page)
        if entry is None:
            entry = self._entries.common(page)
            if entry:
                entry |= page
            self._own[page] = entry
        return entry

    def __setitem__(self, page: int, entry: int) -> None:
        """Change an entry; with LARGE those of the whole chunk."""
        if entry & LARGE:
            self._entries.put_chunk(page & -LARGE_PAGE, entry & ~FRAME)
        else:
            self._own[page] = entry
            self._entries.written.add(page)

    def copy(self) -> Rmp:
        """Another RMP with the same entries."""
        other = Rmp.__new__(Rmp)
        other._entries = self._entries.copy()
        other._own = other._entries.pages
        return other

    def changes(self, before: Rmp) -> Iterator[tuple[int, int, int]]:
        """Each system page whose entry is another than in `before`, a copy of earlier: the page, both
        entries. Of a chunk that was changed as a whole the first page is among them."""
        for page in self._entries.differing(before._entries):
            was, now = before[page], self[page]
            if was != now:
                yield page, was, now

    def assign(self, page: int, gpa: int) -> None:
        """RMPUPDATE: the page is the guest's, and what it was is gone."""
        self[page] = ASSIGNED | gpa

    def assign_chunk(self, chunk: int) -> None:
        """RMPUPDATE of a 2 MiB page, which is backed by itself."""
        self._entries.put_chunk(chunk, ASSIGNED | LARGE)

    def smash(self, page: int) -> None:
        """PSMASH of the 2 MiB page around `page`: 512 entries, in all else as they were."""
        self._entries.put_chunk(page & -LARGE_PAGE, self[page] & ~(LARGE | FRAME))

    def looked_at(self, chunk: int) -> list[int]:
        """Pages of a chunk with entries of their own; the others' entries are all of one kind."""
        return self._entries.own_in(chunk)


def _unmixed(ranges: Iterable[Range[int]]) -> list[Range[int]]:
    """The ranges, with what is left of a 2 MiB page under a later range as 4 KiB pages."""
    before: list[Range[int]] = []
    for first, end, entry in ranges:
        for edge in (first, end):
            chunk = edge & -LARGE_PAGE
            if edge != chunk:
                under = Sparse(0, before).common(chunk)
                if under & LARGE:
                    before.append((chunk, chunk + LARGE_PAGE, under & ~LARGE))
        before.append((first, end, entry))
    return before
