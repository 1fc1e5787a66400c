"""The instructions that change the RMP: PVALIDATE and RMPADJUST of the SVSM, RMPADJUST of the guest,
and what a host does by RMPUPDATE and PSMASH.

An instruction on a page that is not the guest's is a nested page fault. One on 4 KiB of a 2 MiB entry
makes the host split it. Both then start again. Each that is carried out adds a line to `Memory.did`.
"""

from __future__ import annotations

from ...wire.page_size import LARGE_PAGE, PAGE
from ...wire.rmp import PageSize, PageStatus
from .layout import GUEST_VMPL
from .memory import Memory, chunk_of
from .rmp import ASSIGNED, FRAME, LARGE, OWNER, VALIDATED, VMSA, permissions, with_permissions

LOWEST_VMPL = 3
_4K, _2M = map(int, PageSize)
SIZES = {_4K: PAGE, _2M: LARGE_PAGE}
"""Bytes of a page, by the operand that says its size."""

IN_USE = 3
"""RMPADJUST: FAIL_INUSE, the page is the VMSA of a vCPU that executes."""


def pvalidate(memory: Memory, page: int, size: int, *, valid: bool) -> tuple[int, bool]:
    """PVALIDATE by the SVSM: the status, and the carry flag, which says that nothing changed."""
    at, entry = _operand(memory, page, size)
    if size == _2M and not entry & LARGE:
        status, unchanged = int(PageStatus.FAIL_SIZEMISMATCH), False
    else:
        status, unchanged = 0, bool(entry & VALIDATED) is valid
        memory.rmp[at] = entry | VALIDATED if valid else entry & ~VALIDATED
    memory.did.append(["pvalidate", page, int(size), int(valid), status, int(unchanged)])
    return status, unchanged


def rmpadjust(
    memory: Memory, page: int, size: int, vmpl: int, allowed: int, *, vmsa: bool = False
) -> int:
    """RMPADJUST by the SVSM: the status. FAIL_INPUT, a page that is not validated, may be #VC: that depends
    on the processor (`Memory.unvalidated_faults`)."""
    at, entry = _operand(memory, page, size)
    if size == _2M and not entry & LARGE:
        status = int(PageStatus.FAIL_SIZEMISMATCH)
    elif not entry & VALIDATED:
        status = int(PageStatus.FAIL_INPUT)
    elif memory.executes(page):
        status = IN_USE
    else:
        status = 0
        changed = with_permissions(entry, vmpl, allowed)
        memory.rmp[at] = changed | VMSA if vmsa else changed & ~VMSA
    memory.did.append(["rmpadjust", page, int(size), vmpl, allowed, int(vmsa), status])
    return status


def _operand(memory: Memory, page: int, size: int) -> tuple[int, int]:
    """The system page that an instruction works on, and its entry, when it need not start again."""
    at = memory.backed_by(page)
    entry = memory.rmp[at]
    if entry & OWNER != ASSIGNED | page:
        memory.fault(page)
        memory.did.append(["npf", page])
        entry = memory.rmp[at]
    if entry & LARGE and size == _4K:
        memory.rmp.smash(at)
        memory.did.append(["psmash", chunk_of(page)])
        entry = memory.rmp[at]
    return at, entry


def make_vmsa(memory: Memory, page: int, allowed: int) -> None:
    """What the launch of the VM makes of the first VMSA."""
    at = memory.backed_by(page)
    memory.rmp[at] = with_permissions(memory.rmp[at] | VMSA, GUEST_VMPL, allowed)


def guest_rmpadjust(memory: Memory, page: int, vmpl: int, allowed: int) -> int | str:
    """RMPADJUST of 4 KiB by the guest at its VMPL: the status, or the word for a fault."""
    entry = memory.entry(page)
    if entry & OWNER != ASSIGNED | page:
        return "npf"
    if not entry & VALIDATED:
        return "not_validated"
    if entry & LARGE:
        return "size"
    if memory.executes(page):
        return IN_USE
    if vmpl <= GUEST_VMPL:
        return int(PageStatus.FAIL_PERMISSION)
    if vmpl > LOWEST_VMPL:
        return int(PageStatus.FAIL_INPUT)
    if allowed & ~permissions(entry, GUEST_VMPL):
        return int(PageStatus.FAIL_PERMISSION)
    memory.rmp[memory.backed_by(page)] = with_permissions(entry, vmpl, allowed)
    return 0


# --- what a host does to a page ----------------------------------------------------------------------
#
# Each returns why it cannot, in a word that is empty where it can.


def make_shared(memory: Memory, page: int, fill: int | None) -> str:
    """The page is the host's: its entry is cleared."""
    return _change(memory, page, 0, fill)


def make_private(memory: Memory, page: int, fill: int | None) -> str:
    """The page is the guest's, not validated, even where it was the guest's before."""
    return _change(memory, page, ASSIGNED | page, fill)


def _change(memory: Memory, page: int, entry: int, fill: int | None) -> str:
    at = memory.backed_by(page)
    before = memory.rmp[at]
    if before & ASSIGNED:
        if before & FRAME != page:
            return "other"
        if memory.executes(page):
            return "in_use"
        if before & LARGE:
            memory.rmp.smash(at)
    memory.rmp[at] = entry
    if fill is not None:
        memory.pages.fill(at, fill)
    return ""


def split(memory: Memory, page: int) -> str:
    """The 2 MiB page becomes 512 pages of 4 KiB."""
    at = memory.backed_by(page)
    if not memory.rmp[at] & LARGE:
        return "size"
    memory.rmp.smash(at)
    return ""


def join(memory: Memory, page: int) -> str:
    """The 512 pages of the chunk become one of 2 MiB, assigned and not validated."""
    chunk = chunk_of(page)
    end = chunk + LARGE_PAGE
    odd = {
        *memory.rmp.looked_at(chunk),
        *(other for other in (*memory.backing, *memory.running.values()) if chunk <= other < end),
    }
    for other in sorted(odd):
        if memory.backed_by(other) != other:
            return "mapping"
        entry = memory.rmp[other]
        if entry & ASSIGNED:
            if entry & FRAME != other:
                return "other"
            if memory.executes(other):
                return "in_use"
    memory.rmp.assign_chunk(chunk)
    return ""


def remap(memory: Memory, page: int, to: int, fill: int | None) -> str:
    """Another system page backs the guest's page. The entry of the one before stays as it is, and so
    does that of the new one if it was assigned to this page already."""
    if memory.is_mine(page) and memory.entry(page) & LARGE:
        memory.rmp.smash(memory.backed_by(page))
    entry = memory.rmp[to]
    if not entry & ASSIGNED and fill is not None:
        memory.pages.fill(to, fill)
    memory.backing[page] = to
    if to == page:
        del memory.backing[page]
    if entry & OWNER != ASSIGNED | page:
        if entry & LARGE:
            memory.rmp.smash(to)
        memory.rmp.assign(to, page)
    return ""
