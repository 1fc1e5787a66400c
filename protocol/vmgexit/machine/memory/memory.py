"""The memory of one VM: which system page backs which guest page, and who may reach it.

An address is guest-physical unless its name says otherwise. Addresses of pages are those of their first
byte. Encryption is not modelled: bytes belong to the system page.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from ...wire.page_size import LARGE_PAGE, PAGE
from .layout import Layout
from .pages import SystemPages
from .rmp import ASSIGNED, OWNER, VALIDATED, Rmp, permissions

_USABLE = OWNER | VALIDATED
_IS_USABLE = ASSIGNED | VALIDATED
HOLE = 0xFFFF_FFFF_F000
"""A page that is no guest's, whatever the memory map says."""


class NestedPageFault(Exception):
    """The host ended the VM on a nested page fault."""

    def __init__(self, page: int) -> None:
        super().__init__(f"nested page fault at {page:#x}")


class Memory:
    """Guest-physical memory, backed by system pages that have an RMP.

    `running` is the VMSA in which each vCPU executes that does, by the vCPU's index. `did` is what the
    SVSM did in the last call, in order: lists of a name and numbers, as scenarios show them.
    """

    __slots__ = (
        "assigns", "backing", "did", "layout", "map", "pages", "rmp", "running", "unvalidated_faults"
    )  # fmt: skip

    def __init__(self, layout: Layout, *, assigns: bool, unvalidated_faults: bool) -> None:
        """`assigns`: on a nested page fault the host assigns the page, else it ends the VM.
        `unvalidated_faults`: RMPADJUST of a page that is not validated is #VC, else FAIL_INPUT."""
        self.layout = layout
        self.assigns = assigns
        self.unvalidated_faults = unvalidated_faults
        self.map, rmp, pages = _at_first(layout)
        self.rmp, self.pages = rmp.copy(), pages.copy()
        self.backing: dict[int, int] = {}  # where it is not the same number
        self.running: dict[int, int] = {}
        self.did: list[list[Any]] = []

    def copy(self) -> Memory:
        """The memory as it is now, for one who watches it, or tries something."""
        other = Memory.__new__(Memory)
        other.layout, other.map = self.layout, self.map
        other.assigns, other.unvalidated_faults = self.assigns, self.unvalidated_faults
        other.rmp, other.pages = self.rmp.copy(), self.pages.copy()
        other.backing, other.running, other.did = self.backing.copy(), self.running.copy(), []
        return other

    # --- pages ---------------------------------------------------------------------------------------

    def backed_by(self, page: int) -> int:
        """The system page behind a guest page."""
        return self.backing.get(page, page)

    def entry(self, page: int) -> int:
        """The RMP entry of the system page behind a guest page."""
        return self.rmp[self.backing.get(page, page)]

    def is_mine(self, page: int) -> bool:
        """Whether the page is assigned to the guest, at this address."""
        return self.entry(page) & OWNER == ASSIGNED | page

    def is_usable(self, page: int) -> bool:
        """Whether the page is the guest's and validated."""
        return self.rmp[self.backing.get(page, page)] & _USABLE == _IS_USABLE | page

    def executes(self, page: int) -> bool:
        """Whether a vCPU executes in the VMSA that this page is."""
        return page in self.running.values()

    def in_map(self, start: int, length: int) -> bool:
        """Whether one range of the guest's memory holds all of it."""
        end = start + length
        return any(first <= start and end <= last for first, last in self.map)

    # --- accesses ------------------------------------------------------------------------------------

    def fault(self, page: int) -> None:
        """A nested page fault of the SVSM. Raises NestedPageFault where the host ends the VM."""
        if not self.assigns:
            raise NestedPageFault(page)
        self.rmp.assign(self.backed_by(page), page)

    def touch(self, start: int, length: int) -> bool:
        """A private access of the SVSM: whether all pages are validated, so that there is no #VC.

        A page that is not the guest's is a nested page fault."""
        for page in pages_of(start, length):
            if self.is_usable(page):
                continue
            if not self.is_mine(page):
                self.fault(page)
            return False
        return True

    def refusal(self, vmpl: int, start: int, length: int, right: int) -> str:
        """Why a VMPL, 1 to 3, may not read or write there: a word, empty where it may."""
        for page in pages_of(start, length):
            entry = self.entry(page)
            if entry & OWNER != ASSIGNED | page:
                return "npf"
            if not entry & VALIDATED:
                return "not_validated"
            if not permissions(entry, vmpl) & right:
                return "vmpl"
        return ""

    def refusal_of_host(self, start: int, length: int) -> str:
        """Why the host may not write there: `rmp` where a page is assigned, to whomever."""
        assigned = any(self.entry(page) & ASSIGNED for page in pages_of(start, length))
        return "rmp" if assigned else ""

    # --- bytes ---------------------------------------------------------------------------------------

    def writable(self, page: int) -> bytearray:
        """The bytes of a page, to be written in place, for one who may."""
        return self.pages.writable(self.backing.get(page, page))

    def read(self, start: int, length: int) -> bytes:
        """Bytes, for one who may read them."""
        within = start % PAGE
        content = self.pages.content(self.backed_by(start - within))
        if within + length <= PAGE:
            return bytes(content[within : within + length])
        found = bytearray(content[within:])
        for page in range(start - within + PAGE, start + length, PAGE):
            found += self.pages.content(self.backed_by(page))
        return bytes(found[:length])

    def write(self, start: int, data: bytes) -> None:
        """Write bytes, for one who may."""
        at, within = 0, start % PAGE
        while at < len(data):
            part = data[at : at + PAGE - within]
            self.writable(start + at - within)[within : within + len(part)] = part
            at += len(part)
            within = 0


@lru_cache(maxsize=256)
def _at_first(layout: Layout) -> tuple[tuple[tuple[int, int], ...], Rmp, SystemPages]:
    """The guest's memory map, and what every machine of this layout copies."""
    return tuple(layout.guest_memory()), Rmp(layout.entries()), SystemPages(layout.fills())


def pages_of(start: int, length: int) -> range:
    """The pages that `length` bytes from `start` lie in."""
    return range(start & -PAGE, start + length, PAGE)


def chunk_of(address: int) -> int:
    """The 2 MiB chunk around an address."""
    return address & -LARGE_PAGE
