"""The GHCB page as guest and host share it: every access of the host is recorded."""

from __future__ import annotations

from collections.abc import Callable

from ..wire.ghcb import BITMAP_OFFSET, BUFFER_END, BUFFER_OFFSET, GhcbPage
from ..wire.page_size import PAGE

OFFSETS = {
    field.name: field.byte_offset
    for field in GhcbPage.declaration.fields
    if field.rule is None and field.byte_offset < BITMAP_OFFSET
}
"""Where the fields stand that have a valid bit."""

NEAR = 7  # changed bytes that lie no further apart are told as one run


class SharedPage:
    """A page of guest memory that the guest may change at any time, so that what a host fetches twice may
    differ. `meanwhile` is what the guest does after each access of the host."""

    def __init__(self, data: bytes, meanwhile: Callable[[SharedPage], None] | None = None) -> None:
        self.given = data.ljust(PAGE, b"\0")
        self.memory = bytearray(self.given)
        self.fetches: list[tuple[int, bytes]] = []  # offset and bytes of each
        self.stores: list[tuple[int, bytes]] = []
        self._meanwhile = meanwhile

    def fetch(self, at: int, size: int) -> bytes:
        """Bytes of the page, as they are now."""
        data = bytes(self.memory[at : at + size])
        self.fetches.append((at, data))
        self._let_go_on()
        return data

    def store(self, at: int, data: bytes) -> None:
        """Write to the guest."""
        self.stores.append((at, data))
        self.memory[at : at + len(data)] = data
        self._let_go_on()

    def _let_go_on(self) -> None:
        if self._meanwhile is not None:
            self._meanwhile(self)

    def fetched_twice(self) -> list[tuple[int, int]]:
        """The fetches, by offset and size, of a byte that had been fetched before."""
        seen, twice = 0, []
        for at, data in self.fetches:
            mask = (1 << len(data)) - 1 << at
            if seen & mask:
                twice.append((at, len(data)))
            seen |= mask
        return twice

    def as_fetched(self) -> bytes:
        """The page as the host saw it: as the guest gave it, with what each first fetch gave."""
        page = bytearray(self.given)
        for at, data in reversed(self.fetches):
            page[at : at + len(data)] = data
        return bytes(page)


def changed_runs(before: bytes, after: bytes) -> list[list[int | str]]:
    """What changed in the shared buffer: page offset and hex of each run, which begins and ends with a
    changed byte."""
    runs: list[list[int]] = []
    if before[BUFFER_OFFSET:BUFFER_END] == after[BUFFER_OFFSET:BUFFER_END]:
        return []
    for at in range(BUFFER_OFFSET, BUFFER_END):
        if before[at] == after[at]:
            continue
        if runs and at - runs[-1][1] <= NEAR:
            runs[-1][1] = at
        else:
            runs.append([at, at])
    return [[first, after[first : last + 1].hex()] for first, last in runs]
