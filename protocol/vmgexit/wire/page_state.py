"""Page state change, exit 0x80000010: a header and up to 253 entries in the shared buffer.

The host works from `cur_entry` to `end_entry`, both included, and moves `cur_entry` on; the guest
repeats the exit until `cur_entry` is past `end_entry`. The form for a single page is in `ghcb_msr`.

Sources: edk2 MdePkg/Include/Register/Amd/Ghcb.h, COCONUT-SVSM kernel/src/sev/ghcb.rs, Oak
oak_sev_guest/src/ghcb.rs, mushroom common/snp-types/src/ghcb.rs, KVM arch/x86/kvm/svm/sev.c.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..schema import (
    Bits,
    Code,
    Note,
    Problem,
    Whole,
    bit,
    bits,
    list_of,
    nested,
    reserved,
    rest,
    structure,
)
from .ghcb_msr import PageOperation
from .page_size import PAGES_IN_LARGE
from .readings import notes_on

SOURCE = "edk2 MdePkg/Include/Register/Amd/Ghcb.h; COCONUT-SVSM kernel/src/sev/ghcb.rs"

HEADER_SIZE = 8
ENTRY_SIZE = 8
MAX_ENTRIES = 253
"""As many as fit the shared buffer of 2032 bytes after the header."""


@structure("psc-header", size=8, source=SOURCE)
class PscHeader(Bits):
    """Header of a page state change: 8 bytes at the scratch address."""

    cur_entry: int = bits(16, "Entry to work on next; the host moves it on")
    end_entry: int = bits(16, "Last entry, included")
    reserved_63_32: int = reserved(32)

    @property
    def done(self) -> bool:
        """Whether the host has finished every entry."""
        return self.cur_entry > self.end_entry

    def notes(self) -> Iterator[Note]:
        if self.done:
            yield Note("cur_entry", "past end_entry: the list is finished, nothing is left to do")

    def broken(self) -> Iterator[Problem]:
        if self.end_entry >= MAX_ENTRIES:
            rule = f"the buffer holds {MAX_ENTRIES} entries, 0 to {MAX_ENTRIES - 1}"
            yield Problem("end_entry", self.end_entry, rule, "")


@structure("psc-entry", size=8, source=SOURCE)
class PscEntry(Bits):
    """One page, or one range of 512, to change."""

    current_page: int = bits(
        12, "4 KiB pages that are done; a finished 4 KiB entry has 1 (KVM) or 0"
    )
    frame: int = bits(40, "Guest frame number")
    operation: int = bits(4, "What to do", enum=PageOperation)
    large: bool = bit("Size: 0 = 4 KiB, 1 = 2 MiB", spec="PageSize")
    reserved_63_57: int = reserved(7)

    @property
    def pages(self) -> int:
        """4 KiB pages of the entry."""
        return PAGES_IN_LARGE if self.large else 1

    @property
    def left(self) -> int:
        """4 KiB pages that are not done."""
        return max(0, self.pages - self.current_page)

    def notes(self) -> Iterator[Note]:
        if not self.large:
            yield from notes_on(self)

    def broken(self) -> Iterator[Problem]:
        if self.current_page > self.pages:
            size, pages = ("2 MiB", f"{self.pages} pages") if self.large else ("4 KiB", "1 page")
            yield Problem("current_page", self.current_page, f"a {size} entry has {pages}", "")
        if self.large and self.frame % PAGES_IN_LARGE:
            yield Problem("frame", self.frame, "a 2 MiB entry starts on a multiple of 512", "")


@structure("psc-request", source=SOURCE)
class PscRequest(Whole):
    """Page state change: the header, and the entries up to the last one that is to be done."""

    header: PscHeader = nested(PscHeader, "Which entries are to be done")
    entries: list[PscEntry] = list_of(
        PscEntry, "Pages to change", last="header.end_entry", most=MAX_ENTRIES
    )
    rest: bytes = rest("What else the shared buffer holds")


class PscErrorClass(Code):
    """High half of SW_EXITINFO2 after a page state change. zyuiop/ghcb has 2 and 3, KVM 1 and 0x100."""

    NONE = 0
    INVALID = 1, "detail 1: header, 2: the entry at cur_entry"
    UNSMASH_FAILED = 2, "detail: what UNSMASH said"
    RMP = 3, "detail 1: already in that state, 2: 2 MiB and 4 KiB overlap"
    OTHER = 4, "AMD's preview host"
    GENERIC = 0x100, "KVM: any other failure"


PSC_DETAILS: dict[tuple[int, int], str] = {
    (PscErrorClass.INVALID, 1): "invalid header",
    (PscErrorClass.INVALID, 2): "invalid entry, the one at cur_entry",
    (PscErrorClass.RMP, 1): "entry is in that state already",
    (PscErrorClass.RMP, 2): "2 MiB and 4 KiB pages overlap in the RMP",
}
"""What the detail of an error class means, where it has a meaning of its own."""


@structure("psc-result", size=8, source="KVM arch/x86/kvm/svm/sev.c; zyuiop/ghcb")
class PscResult(Bits):
    """SW_EXITINFO2 after a page state change: 0 = no error, though perhaps not done."""

    detail: int = bits(32, "What went wrong, within the class")
    error: int = bits(32, "Class of error", enum=PscErrorClass, spec="ErrorClass")

    def notes(self) -> Iterator[Note]:
        if self.error or self.detail:
            named = PSC_DETAILS.get((self.error, self.detail), "a detail without a name")
            yield Note("detail", f"{named} (class {int(self.error)}, detail {self.detail})")
