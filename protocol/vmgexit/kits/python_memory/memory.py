"""Guest memory as an SVSM reaches it, its instructions on the RMP, and where vCPUs are.

A `gpa` is guest-physical. What an instruction does is noted for the answer, in `did`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from .layouts import Place as Field
from .layouts import Vmsa
from .pages import LARGE_PAGE, PAGE, Entry, Page, Pages, assigned, pages_of
from .psp import Exit, Psp
from .vm import GUEST_VMPL, Stop

FAIL_INPUT, FAIL_PERMISSION, FAIL_INUSE, FAIL_SIZEMISMATCH = 1, 2, 3, 6
EFER_SVME = 0x1000
READ, WRITE = 1, 2


@dataclass(frozen=True)
class Home:
    """The VMSA and the calling area of a vCPU; None where it has none."""

    vmsa: int | None = None
    area: int | None = None


@dataclass
class Place:
    """Where a vCPU is."""

    home: Home = field(default_factory=Home)  # what the SVSM wants it to use
    mapped: Home = field(default_factory=Home)  # `home` as it was when it last entered its guest
    in_guest: bool = False
    executes: bool = False
    has_lost_vmsa: bool = False  # the mapped VMSA is none any more


class Memory:
    """The memory of a VM, and where its vCPUs are."""

    def __init__(self, pages: Pages, ranges: list[tuple[int, int]], cpus: int) -> None:
        """`ranges` is the guest's memory without the SVSM's range: first byte, and byte after the last."""
        self.pages, self.map = pages, ranges
        self.assigns = False  # the host does so at a nested page fault; else it ends the VM
        self.faults_on_unvalidated = False  # RMPADJUST of a page that is not validated is #VC
        self.has_apic = False  # the SVSM emulates APICs: `init` had `reg_count`
        self.places = [Place() for _ in range(cpus)]
        self.psp = Psp()
        self.did: list[list[Any]] = []

    def executes(self, gpa: int) -> bool:
        """Whether a vCPU executes in the VMSA that the page is."""
        return any(one.executes and one.mapped.vmsa == gpa & -PAGE for one in self.places)

    def _fault(self, gpa: int) -> None:
        """The SVSM reaches for a page that is not assigned to its address."""
        if not self.assigns:
            raise Stop("terminated", "a nested page fault")
        self.pages.behind(gpa).rmp = assigned(gpa)

    def _operand(self, gpa: int, is_large: bool) -> Page:
        """The page that an instruction works on, when it need not start again."""
        page = self.pages.behind(gpa)
        if not page.rmp.is_of(gpa):
            self._fault(gpa)
            self.did.append(["npf", gpa])
        if page.rmp.huge and not is_large:
            self.pages.smash(page)
            self.did.append(["psmash", gpa & -LARGE_PAGE])
        return page

    # --- what an SVSM calls

    def in_map(self, start: int, length: int) -> bool:
        """Whether one range of the guest's memory holds all of this."""
        return any(first <= start and start + length <= end for first, end in self.map)

    def touch(self, start: int, length: int) -> bool:
        """A private access: False where it is #VC, as a page is not validated. To a page that is not the
        guest's it is a nested page fault, which may raise Stop."""
        for gpa in pages_of(start, length):
            entry = self.pages.behind(gpa).rmp
            if not entry.is_of(gpa):
                self._fault(gpa)
                return False
            if not entry.validated:
                return False
        return True

    def load(self, gpa: int, length: int) -> bytes:
        """Read memory that was touched."""
        pages = pages_of(gpa, length)
        data = b"".join(bytes(self.pages.behind(page).data) for page in pages)
        return data[gpa % PAGE : gpa % PAGE + length]

    def store(self, gpa: int, data: bytes) -> None:
        """Write memory that was touched."""
        at = 0
        while at < len(data):
            start = (gpa + at) % PAGE
            part = data[at : at + PAGE - start]
            self.pages.behind(gpa + at).data[start : start + len(part)] = part
            at += len(part)

    def get(self, page: int, place: Field) -> int:
        """A field of a structure in a page, such as a VMSA."""
        return int.from_bytes(self.load(page + place.offset, place.size), "little")

    def put(self, page: int, place: Field, value: int) -> None:
        self.store(page + place.offset, value.to_bytes(place.size, "little"))

    def clear(self, page: int, length: int) -> None:
        """Clear a page, or 2 MiB."""
        for gpa in pages_of(page, length):
            self.pages.fill(self.pages.behind(gpa), 0)
        self.did.append(["zero", page, length])

    def pvalidate(self, gpa: int, is_large: bool, valid: bool) -> tuple[int, bool]:
        """PVALIDATE: its status, and the carry flag, which says that nothing changed."""
        page = self._operand(gpa, is_large)
        status = FAIL_SIZEMISMATCH if is_large and not page.rmp.huge else 0
        unchanged = not status and page.rmp.validated is valid
        if not status:
            self.pages.put(page, replace(page.rmp, validated=valid))
        self.did.append(["pvalidate", gpa, int(is_large), int(valid), status, int(unchanged)])
        return status, unchanged

    def rmpadjust(self, gpa: int, is_large: bool, vmpl: int, perms: int, vmsa: bool = False) -> int:
        """RMPADJUST: its status. Of a page that is not validated it is #VC on some processors: see
        `is_vc`."""
        page = self._operand(gpa, is_large)
        status = 0
        if is_large and not page.rmp.huge:
            status = FAIL_SIZEMISMATCH
        elif not page.rmp.validated:
            status = FAIL_INPUT
        elif self.executes(gpa):
            status = FAIL_INUSE
        else:
            self.pages.put(page, replace(page.rmp.with_perms(vmpl, perms), vmsa=vmsa))
        self.did.append(["rmpadjust", gpa, int(is_large), vmpl, perms, int(vmsa), status])
        return status

    def is_vc(self, status: int) -> bool:
        """Whether that failure of RMPADJUST is #VC on this processor."""
        return status == FAIL_INPUT and self.faults_on_unvalidated

    def flush(self, page: int, is_large: bool) -> None:
        """The SVSM drops what translations there are of a page."""
        self.did.append(["flush", page, int(is_large)])

    def flush_all(self) -> None:
        self.did.append(["flush_all"])

    def guest_request(self, number: int, data: bytes, pages: int = 0) -> Exit:
        """Ask the secure processor for a report on 64 bytes of `data`, by the message of this number, with
        so many pages of room for certificates. The answer is in `psp.response`."""
        return self.psp.request(number, data, pages, self.did)

    def lose_vmsa(self, vmsa: int) -> None:
        """A page is no VMSA any more: no vCPU goes on in it."""
        for place in self.places:
            place.has_lost_vmsa |= place.mapped.vmsa == vmsa

    # --- what host and guest do by commands: why they cannot, or an empty text

    def host_page(self, gpa: int, to: str, fill: int | None, spa: int | None) -> str:
        """What the host does to a page."""
        page = self.pages.behind(gpa)
        match to:
            case "split":
                if not page.rmp.huge:
                    return "size"
                self.pages.smash(page)
                return ""
            case "join":
                return self._join(gpa & -LARGE_PAGE)
            case "remap":
                self._remap(gpa, page, self.pages.at(spa or 0), fill)
                return ""
        if page.rmp.assigned:
            if not page.rmp.is_of(gpa):
                return "other"
            if self.executes(gpa):
                return "in_use"
            if page.rmp.huge:
                self.pages.smash(page)
        page.rmp = assigned(gpa) if to == "private" else Entry()
        if fill is not None:
            self.pages.fill(page, fill)
        return ""

    def _join(self, chunk: int) -> str:
        """The 512 pages of a chunk become one of 2 MiB, assigned and not validated."""
        for at in pages_of(chunk, LARGE_PAGE):
            entry = self.pages.at(at).rmp
            if self.pages.backing.get(at, at) != at:
                return "mapping"
            if entry.assigned and entry.gpa != at:
                return "other"
            if entry.assigned and self.executes(at):
                return "in_use"
        self.pages.put(self.pages.at(chunk), replace(assigned(chunk), huge=True))
        return ""

    def _remap(self, gpa: int, before: Page, after: Page, fill: int | None) -> None:
        """Another system page backs the guest's page. The entry of the one before stays as it is."""
        if before.rmp.is_of(gpa) and before.rmp.huge:
            self.pages.smash(before)
        if not after.rmp.assigned and fill is not None:
            self.pages.fill(after, fill)
        self.pages.backing[gpa & -PAGE] = after.address
        if after.rmp.is_of(gpa):
            return  # it was put back as it was
        if after.rmp.huge:
            self.pages.smash(after)
        after.rmp = assigned(gpa)

    def no_access(self, by: int | str | None, start: int, length: int, right: int) -> str:
        """Why a VMPL, or the host, may not reach these bytes. Nobody is anybody who may."""
        for gpa in pages_of(start, length) if by is not None else ():
            entry = self.pages.behind(gpa).rmp
            if by == "host":
                if entry.assigned:
                    return "rmp"
            elif not entry.is_of(gpa):
                return "npf"
            elif not entry.validated:
                return "not_validated"
            elif not entry.perms[int(by or 0)] & right:
                return "vmpl"
        return ""

    def guest_rmpadjust(self, gpa: int, vmpl: int, perms: int) -> int | str:
        """RMPADJUST of 4 KiB by the guest at VMPL 2: its status, or why it faults."""
        page = self.pages.behind(gpa)
        if not page.rmp.is_of(gpa):
            return "npf"
        if not page.rmp.validated:
            return "not_validated"
        if page.rmp.huge:
            return "size"
        if self.executes(gpa):
            return FAIL_INUSE
        if vmpl <= GUEST_VMPL:
            return FAIL_PERMISSION
        if vmpl > 3:
            return FAIL_INPUT
        if perms & ~page.rmp.perms[GUEST_VMPL]:
            return FAIL_PERMISSION
        page.rmp = page.rmp.with_perms(vmpl, perms)
        return 0

    def can_run(self, vmsa: int | None) -> bool:
        """VMRUN is possible: the VMSA is a page of this guest, validated, marked as one, of 4 KiB, with
        EFER.SVME."""
        if vmsa is None:
            return False
        entry = self.pages.behind(vmsa).rmp
        is_vmsa = entry.is_of(vmsa) and entry.validated and entry.vmsa and not entry.huge
        return is_vmsa and self.get(vmsa, Vmsa.EFER) & EFER_SVME != 0

    def has_guest(self, place: Place) -> bool:
        """A vCPU is in a guest that VMRUN can run."""
        return place.in_guest and not place.has_lost_vmsa and self.can_run(place.mapped.vmsa)
