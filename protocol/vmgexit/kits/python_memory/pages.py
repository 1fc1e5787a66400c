"""System pages, their RMP entries, and which of them backs a page of the guest.

A page is kept from the first time that something looks at it: before, it is as `init` says.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

PAGE = 4096
LARGE_PAGE = 512 * PAGE
LAST_ADDRESS = (1 << 51) - 1
ALL_PERMISSIONS = 15  # read, write, execute in user and in supervisor mode
SVSM_FILL = 0xC5

Row = tuple[int, int, str, int]
"""What pages are at first: start, length, state, and the byte that fills them."""


@dataclass(frozen=True)
class Entry:
    """An RMP entry. `perms` are those of VMPL 0 to 3, of which 0 may always do everything."""

    assigned: bool = False
    gpa: int = 0
    validated: bool = False
    huge: bool = False
    vmsa: bool = False
    perms: tuple[int, ...] = (0, 0, 0, 0)

    def is_of(self, gpa: int) -> bool:
        """Whether it is assigned to this guest page."""
        return self.assigned and self.gpa == gpa & -PAGE

    def with_perms(self, vmpl: int, perms: int) -> Entry:
        """The same with other permissions of one VMPL."""
        changed = list(self.perms)
        changed[vmpl] = perms
        return replace(self, perms=tuple(changed))


def assigned(gpa: int) -> Entry:
    """An entry as RMPUPDATE makes it."""
    return Entry(assigned=True, gpa=gpa & -PAGE)


@dataclass
class Page:
    """A system page."""

    address: int
    rmp: Entry
    data: bytearray = field(repr=False)


class Pages:
    """All pages. `rows` says what they are at first; the last row is the SVSM's own range."""

    def __init__(self, rows: list[Row]) -> None:
        self.rows = rows
        self.backing: dict[int, int] = {}  # of a guest page, where it is not the same number
        self._kept: dict[int, Page] = {}

    def at(self, address: int) -> Page:
        """The system page at an address."""
        start = address & -PAGE
        if start not in self._kept:
            self._kept[start] = self._first(start)
        return self._kept[start]

    def _first(self, start: int) -> Page:
        named = [at for at, row in enumerate(self.rows) if row[0] <= start < row[0] + row[1]]
        if not named:
            return Page(start, Entry(), bytearray(PAGE))
        *_, state, fill = self.rows[named[-1]]
        entry = Entry() if state == "shared" else assigned(start)
        if state in ("valid", "huge-valid"):
            entry = replace(entry, validated=True)
            if named[-1] + 1 < len(self.rows):  # not the SVSM's
                entry = entry.with_perms(2, ALL_PERMISSIONS)
        # Of 2 MiB a later row may name a part: all of it is pages of 4 KiB then.
        chunk = start & -LARGE_PAGE
        is_cut = any(
            row[0] < chunk + LARGE_PAGE and chunk < row[0] + row[1]
            for row in self.rows[named[-1] + 1 :]
        )
        entry = replace(entry, huge=state.startswith("huge-") and not is_cut)
        return Page(start, entry, bytearray([fill]) * PAGE)

    def behind(self, gpa: int) -> Page:
        """The system page behind the guest's page at an address."""
        return self.at(self.backing.get(gpa & -PAGE, gpa))

    def fill(self, page: Page, byte: int) -> None:
        page.data[:] = bytes([byte]) * PAGE

    def put(self, page: Page, entry: Entry) -> None:
        """Change an entry; those of 2 MiB are kept alike."""
        page.rmp = entry
        if entry.huge:
            self._of_chunk(page, lambda other: replace(entry, gpa=other.address))

    def smash(self, page: Page) -> None:
        """PSMASH: 512 entries of 4 KiB, in all else as they were."""
        self._of_chunk(page, lambda other: replace(other.rmp, huge=False))

    def _of_chunk(self, page: Page, change: Callable[[Page], Entry]) -> None:
        for other in map(self.at, pages_of(page.address & -LARGE_PAGE, LARGE_PAGE)):
            other.rmp = change(other)


def pages_of(start: int, length: int) -> range:
    """The pages that some bytes lie in."""
    return range(start & -PAGE, start + length, PAGE)
