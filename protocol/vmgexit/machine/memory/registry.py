"""What the SVSM knows of the guest's vCPUs and pages: registered VMSAs, and which pages are validated."""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from ...wire.page_size import LARGE_PAGE, PAGE, PAGES_IN_LARGE
from ...wire.svsm import CallingArea
from .layout import Layout
from .memory import HOLE, Memory
from .rmp import VALIDATED
from .sparse import Sparse

HEAD = CallingArea.size - CallingArea.declaration["buffer"].width // 8
"""The first bytes of a calling area, which are not for the guest's own use."""

END = 1 << 64


class Home(NamedTuple):
    """The VMSA and the calling area of a vCPU; None where it has none."""

    vmsa: int | None = None
    calling_area: int | None = None


@dataclass(slots=True)
class Registration:
    """A VMSA that the SVSM knows, and the calling area beside it."""

    vmsa: int
    calling_area: int
    cpu: int
    guest_owned: bool  # a guest named it; else it is the one that the SVSM began with
    in_use: bool = False

    def copy(self) -> Registration:
        """The same as it is now."""
        return Registration(
            self.vmsa, self.calling_area, self.cpu, self.guest_owned, in_use=self.in_use
        )

    def overlaps(self, start: int, end: int) -> bool:
        """Whether the bytes from `start` to `end` touch the VMSA or the head of the calling area."""
        return (start < self.vmsa + PAGE and self.vmsa < end) or (
            start < self.calling_area + HEAD and self.calling_area < end
        )


class Registry:
    """The registered VMSAs, and which pages of the guest have been validated through the SVSM."""

    def __init__(self, memory: Memory, first: Registration) -> None:
        self.memory = memory
        self.entries = [first]
        self._validated = _validated(memory.layout).copy()

    def copy(self, memory: Memory) -> Registry:
        """The same beside `memory`, a copy of its own."""
        other = copy(self)
        other.memory = memory
        other.entries = [one.copy() for one in self.entries]
        other._validated = self._validated.copy()
        return other

    def find(self, vmsa: int | None) -> Registration | None:
        """The registration of a VMSA, if there is one."""
        for one in self.entries:
            if one.vmsa == vmsa:
                return one
        return None

    def holds(self, vmsa: int | None, cpu: int) -> bool:
        """Whether a VMSA is registered for a vCPU."""
        found = self.find(vmsa)
        return found is not None and found.cpu == cpu

    def is_free(self, start: int, length: int) -> bool:
        """Whether a guest may name this region: it is the guest's memory, and not in use."""
        end = start + length
        if end >= END or (start < HOLE + PAGE and end > HOLE):
            return False
        for one in self.entries:
            if one.overlaps(start, end):
                return False
        return self.memory.in_map(start, length)

    def rows(self) -> list[list[int | bool]]:
        """The registrations as rows, by the VMSA's address."""
        return sorted(
            [one.vmsa, one.calling_area, one.cpu, one.guest_owned, one.in_use]
            for one in self.entries
        )

    # --- which pages are validated -------------------------------------------------------------------

    def note(self, start: int, length: int, *, valid: bool) -> None:
        """Note that a page, or a chunk, was validated or made invalid."""
        if length == LARGE_PAGE:
            self._validated.put_chunk(start, valid)
        else:
            self._validated.pages[start] = valid

    def noted(self, start: int, length: int) -> bool:
        """Whether a page, or any page of a chunk, is noted as validated."""
        if length != LARGE_PAGE:
            own = self._validated.pages.get(start)
            return self._validated.common(start) if own is None else own
        own_ones = self._validated.own_in(start)
        if any(map(self._validated.pages.get, own_ones)):
            return True
        return len(own_ones) < PAGES_IN_LARGE and self._common(start)

    def _common(self, chunk: int) -> bool:
        pages: Iterable[int] = range(chunk, chunk + LARGE_PAGE, PAGE)
        return any(map(self._validated.common, pages))


@lru_cache(maxsize=256)
def _validated(layout: Layout) -> Sparse[bool]:
    """Which pages are validated at the launch; every machine of this layout copies it."""
    ranges = [(first, end, bool(entry & VALIDATED)) for first, end, entry in layout.entries()]
    return Sparse(False, ranges)
