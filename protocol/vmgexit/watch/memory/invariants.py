"""What every call must hold where the SVSM has memory: MEM-1 to MEM-11 here, MEM-12 in `keys`.

Each is a function of the VM, the books and the step, as in `watch.invariants`. They know no quirk, and
none needs an honest host: what a host took away is in the books, and no breach of the SVSM's.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from ...machine.memory.layout import GUEST_VMPL
from ...machine.memory.memory import HOLE, Memory, chunk_of
from ...machine.memory.registry import HEAD, Registration
from ...machine.memory.rmp import (
    FRAME,
    LARGE,
    VALIDATED,
    VMSA,
    WRITE,
    permissions,
)
from ...machine.memory.words import R8, RAX, RCX, RDX
from ...machine.vm import Reason, Vm
from ...wire.attestation import AttestationCall
from ...wire.core import PvalidateEntry, PvalidateHeader
from ...wire.doorbell import LOWER_VMPLS
from ...wire.page_size import LARGE_PAGE, PAGE
from ...wire.rmp import PageSize
from ...wire.svsm import CoreCall, Protocol
from ...wire.vtpm import VtpmCall, VtpmRequest
from ..judged import Invariant, Wrong, adding_to
from .books import Books, MemoryStep, is_usable, operation_of, parts_of

INVARIANTS: list[Invariant] = []

_ATTESTS = tuple(map(int, AttestationCall))
_ZERO = bytes(PAGE)
_invariant = adding_to(INVARIANTS, on_memory=True)


# --- isolation of memory -----------------------------------------------------------------------------


@_invariant(
    "MEM-1",
    "no VMPL of the guest may read, write or execute a page that a call made a VMSA",
    when="a VMSA that a guest named was registered",
)
def _vmsas_are_the_svsms(vm: Vm, books: Books, step: MemoryStep) -> Wrong | None:
    memory, registry = parts_of(vm)
    named = [one.vmsa for one in registry.entries if one.guest_owned]
    if not named:
        return None
    return [
        (step.place, f"VMPL {vmpl} may do {allowed:#x} with the VMSA at {page:#x}")
        for page in named
        if memory.is_mine(page)  # else it is another page that the host put there
        for vmpl in LOWER_VMPLS
        if (allowed := permissions(memory.entry(page), vmpl))
    ]


@_invariant(
    "MEM-2",
    "a page that a call made valid is zero before the guest may read it",
    when="a call made a page valid",
)
def _zero_at_first(vm: Vm, books: Books, step: MemoryStep) -> Wrong | None:
    memory = parts_of(vm)[0]
    made: dict[int, tuple[int, int]] = {}
    for at, was, entry in step.entries:
        if entry & VALIDATED and not was & VALIDATED and permissions(entry, GUEST_VMPL):
            is_large = entry & LARGE
            made[chunk_of(at) if is_large else at] = entry & FRAME, is_large
    if not made:
        return None
    wrong: Wrong = []
    for at, (frame, is_large) in made.items():
        for held in range(at, at + (LARGE_PAGE if is_large else PAGE), PAGE):
            if memory.pages.content(held) != _ZERO:
                where = held if is_large else frame
                wrong.append((step.place, f"the page at {where:#x} was not cleared"))
    return wrong


@_invariant(
    "MEM-3",
    "a call never takes bytes from a page that was valid before and after, but where it answers",
    when="a call changed a page that stayed valid",
)
def _bytes_stay(vm: Vm, books: Books, step: MemoryStep) -> Wrong | None:
    memory, before = parts_of(vm)[0], step.before.memory
    looked_at, given_up = False, [*_made_invalid(step), *_vmsas(vm, step)]
    wrong: Wrong = []
    for at in step.pages:
        was, now = before.rmp[at], memory.rmp[at]
        if not (was & VALIDATED and now & VALIDATED and was & FRAME == now & FRAME):
            continue
        page = now & FRAME
        if any(start <= page < end for start, end in given_up):
            continue
        looked_at = True
        held, holds = bytes(before.pages.content(at)), bytearray(memory.pages.content(at))
        for start, length in _answers_at(vm, step):
            first, end = max(start - page, 0), min(start + length - page, PAGE)
            if first < end:
                holds[first:end] = held[first:end]
        if holds != held:
            wrong.append((step.place, f"bytes of the page at {page:#x} are lost"))
    return wrong if looked_at else None


def _made_invalid(step: MemoryStep) -> list[tuple[int, int]]:
    """What a list made invalid, even if a later entry of it made it valid again: the guest gave it up."""
    return [
        (page, page + (LARGE_PAGE if size == PageSize.SIZE_2M else PAGE))
        for _, page, size, valid, status, unchanged in _pvalidated(step)
        if not (valid or status or unchanged)
    ]


def _vmsas(vm: Vm, step: MemoryStep) -> Iterator[tuple[int, int]]:
    """The pages that are the SVSM's to write, before the call or after it."""
    for one in (*step.before.registered, *parts_of(vm)[1].entries):
        yield one.vmsa, one.vmsa + PAGE


def _pvalidated(step: MemoryStep) -> Iterator[list[Any]]:
    return (line for line in step.answer["did"] if line[0] == "pvalidate")


def _answers_at(vm: Vm, step: MemoryStep) -> Iterator[tuple[int, int]]:
    """Where the SVSM may write in a call: the heads of calling areas, and what the call names."""
    for one in (*step.before.registered, *parts_of(vm)[1].entries):
        yield one.calling_area, HEAD
    if step.caller.calling_area is not None:  # where the guest itself sets call_pending
        yield step.caller.calling_area, HEAD
    rcx = step.command["rcx"]
    if step.is_call(Protocol.CORE, CoreCall.PVALIDATE):
        yield rcx, PvalidateHeader.size
    elif step.is_call(Protocol.VTPM, VtpmCall.COMMAND):
        yield rcx, VtpmRequest.size
    elif step.is_call(Protocol.ATTESTATION, *_ATTESTS):
        operation = operation_of(step)
        yield operation.report_gpa, operation.report_size
        yield operation.manifest_gpa, operation.manifest_size
        yield operation.cert_gpa, operation.cert_size


@_invariant(
    "MEM-4",
    "memory of the SVSM keeps its permissions, and its bytes reach no guest",
    when="the RMP entry of a system page in the SVSM's range changed",
)
def _svsm_memory(vm: Vm, books: Books, step: MemoryStep) -> Wrong | None:
    memory = parts_of(vm)[0]
    first, last = memory.layout.svsm
    wrong: Wrong | None = None
    for at, was, entry in step.entries:
        if not first <= at < last:
            continue
        wrong = wrong or []
        allowed = [permissions(entry, vmpl) for vmpl in LOWER_VMPLS]
        if entry & FRAME == at:
            if any(allowed) and allowed != [permissions(was, vmpl) for vmpl in LOWER_VMPLS]:
                wrong.append((step.place, f"VMPLs may do {allowed} with SVSM memory at {at:#x}"))
        elif was & VALIDATED and was & FRAME == entry & FRAME:
            continue  # the host gave the page away before, and the guest has had it
        elif any(allowed) and memory.pages.content(at) != _ZERO:
            wrong.append((step.place, f"the guest may read SVSM memory at {entry & FRAME:#x}"))
    return wrong


# --- the RMP -----------------------------------------------------------------------------------------

_KEPT = ~LARGE


@_invariant(
    "MEM-5",
    "a refused call leaves the RMP as it was, but for entries of a list that were done",
    when="a call was refused",
)
def _refused_changes_nothing(vm: Vm, books: Books, step: MemoryStep) -> Wrong | None:
    if not step.result:
        return None
    memory = parts_of(vm)[0]
    done = [*_done(step, memory), *_assigned_by_host(step), *_left(vm, step)]
    return [
        (step.place, f"refused, and the RMP entry of {at:#x} changed")
        for at, was, entry in step.entries
        if (was ^ entry) & _KEPT and not any(start <= entry & FRAME < end for start, end in done)
    ]


def _done(step: MemoryStep, memory: Memory) -> Iterator[tuple[int, int]]:
    """What the entries of a list were about that were done before one was refused."""
    if not step.is_call(Protocol.CORE, CoreCall.PVALIDATE):
        return
    at, before = step.command["rcx"], step.before.memory
    if not _may_read(before, at) or at % PvalidateHeader.size:
        return
    first = PvalidateHeader.decode(before.read(at, PvalidateHeader.size)).next
    for index in range(first, PvalidateHeader.decode(memory.read(at, PvalidateHeader.size)).next):
        place = at + PvalidateHeader.size + index * PvalidateEntry.size
        if place // PAGE != at // PAGE:
            return
        entry = PvalidateEntry.of(int.from_bytes(before.read(place, PvalidateEntry.size), "little"))
        start = entry.frame * PAGE
        yield start, start + (LARGE_PAGE if entry.page_size == PageSize.SIZE_2M else PAGE)


def _may_read(memory: Memory, at: int) -> bool:
    return at < 1 << 52 and is_usable(memory, at & -PAGE)


def _assigned_by_host(step: MemoryStep) -> Iterator[tuple[int, int]]:
    """Pages that were not the guest's: the host assigned them in the call, on a nested page fault."""
    for _, was, entry in step.entries:
        if not was or was & FRAME != entry & FRAME:
            yield entry & FRAME, (entry & FRAME) + PAGE


def _left(vm: Vm, step: MemoryStep) -> Iterator[tuple[int, int]]:
    """The VMSA that the SVSM began with, if the vCPU left it in this step: it is none any more."""
    kept = {one.vmsa for one in parts_of(vm)[1].entries}
    for one in step.before.registered:
        if not one.guest_owned and one.vmsa not in kept:
            yield one.vmsa, one.vmsa + PAGE


@_invariant(
    "MEM-6",
    "no address of the guest has two validated pages",
    when="pages that the host had remapped were there",
)
def _one_page(vm: Vm, books: Books, step: MemoryStep) -> Wrong | None:
    if not books.backed:
        return None
    memory = parts_of(vm)[0]
    return [
        (step.place, f"{page:#x} has {count} validated pages")
        for page, backed in books.backed.items()
        if (count := sum(_is_valid_as(memory, at, page) for at in backed)) > 1
    ]


def _is_valid_as(memory: Memory, at: int, page: int) -> bool:
    entry = memory.rmp[at]
    return entry & VALIDATED != 0 and entry & FRAME == page


# --- vCPUs -------------------------------------------------------------------------------------------


@_invariant(
    "MEM-7",
    "registered VMSAs and calling areas never overlap, and lie in the guest's memory",
    when="a VMSA that a guest named was registered",
)
def _apart(vm: Vm, books: Books, step: MemoryStep) -> Wrong | None:
    memory, registry = parts_of(vm)
    named = [one for one in registry.entries if one.guest_owned]
    if not named:
        return None
    wrong = [
        (step.place, f"{start:#x} is not the guest's memory")
        for one in named
        for start, length in ((one.vmsa, PAGE), (one.calling_area, HEAD))
        if not memory.in_map(start, length) or start <= HOLE < start + length
    ]
    places = sorted(
        place for one in registry.entries for place in ((one.vmsa, PAGE), (one.calling_area, HEAD))
    )
    wrong += [
        (step.place, f"{next_start:#x} is in use twice")
        for (start, length), (next_start, _) in itertools.pairwise(places)
        if start + length > next_start and any(next_start in _pages_of(one) for one in named)
    ]
    return wrong


def _pages_of(one: Registration) -> tuple[int, int]:
    return one.vmsa, one.calling_area


@_invariant(
    "MEM-8",
    "a page is a VMSA to the processor while it is registered as one in use, and no longer",
    when="a VMSA was registered or ceased to be",
)
def _vmsa_bits(vm: Vm, books: Books, step: MemoryStep) -> Wrong | None:
    memory, registry = parts_of(vm)
    used = [one.vmsa for one in registry.entries if one.in_use]
    known = {one.vmsa for one in registry.entries}
    gone = {one.vmsa for one in step.before.registered} - known
    made = [entry & FRAME for _, _, entry in step.entries if entry & VMSA]
    if not (used or gone or made):
        return None
    wrong = [
        (step.place, f"the VMSA at {page:#x} is none to the processor")
        for page in used
        if not memory.entry(page) & VMSA and page not in books.taken
    ]
    wrong += [
        (step.place, f"the page at {page:#x} is still a VMSA to the processor")
        for page in gone
        if memory.entry(page) & VMSA and memory.is_mine(page) and page not in books.taken
    ]
    wrong += [
        (step.place, f"the page at {page:#x} is a VMSA and not registered")
        for page in made
        if page not in known
    ]
    return wrong


@_invariant(
    "MEM-9", "a registered calling area is validated", when="one was registered that the host left"
)
def _calling_areas(vm: Vm, books: Books, step: MemoryStep) -> Wrong | None:
    memory, registry = parts_of(vm)
    areas = [one.calling_area for one in registry.entries if one.calling_area not in books.taken]
    if not areas:
        return None
    return [
        (step.place, f"the calling area at {area:#x} is not validated")
        for area in areas
        if not is_usable(memory, area)
    ]


# --- calls -------------------------------------------------------------------------------------------

_REASONS = frozenset(Reason)


@_invariant(
    "MEM-10",
    "no call of a guest stops the SVSM, but where the host took a page that it needs",
    when="a call came back",
)
def _never_stops(vm: Vm, books: Books, step: MemoryStep) -> Wrong | None:
    answer = step.answer
    if "panic" in answer:
        return [(step.place, f"the SVSM stopped: {answer['panic']}")]
    reason = answer.get("terminated")
    if reason == Reason.PAGE_TAKEN:
        own = {page for home in (*step.before.homes, step.caller) for page in home}
        if not own & books.taken:
            return [(step.place, f"terminated, and the host took nothing: {reason}")]
    elif reason is not None and reason not in _REASONS and not _is_nested_fault(reason):
        return [(step.place, f"terminated for an undocumented reason: {reason}")]
    return []


def _is_nested_fault(reason: str) -> bool:
    """Whether the host ended the VM, on an access to a page that it had not assigned."""
    return reason.startswith("nested page fault")


@_invariant("MEM-11", "a vCPU without a VMSA has no calling area", when="a vCPU had no VMSA")
def _nothing_left(vm: Vm, books: Books, step: MemoryStep) -> Wrong | None:
    homeless = [cpu for cpu in vm.vcpus if cpu.home.vmsa is None]
    if not homeless:
        return None
    return [
        (step.place, f"vCPU {cpu.index} has no VMSA, and the calling area at {area:#x}")
        for cpu in homeless
        if (area := cpu.home.calling_area) is not None
    ]


@_invariant(
    "MEM-11",
    "a call is served and answered where it was made, and no other is",
    when="a call was made or served",
)
def _where_it_was_made(vm: Vm, books: Books, step: MemoryStep) -> Wrong | None:
    memory, before = parts_of(vm)[0], step.before
    caller, ran = step.caller, step.answer.get("ran")
    made = [step.command["protocol"], step.command["request"]]
    if step.served is not None and not (ran and step.served == made):
        return [(step.place, f"call {step.served} was served, which nobody made here")]
    registration = before.find(caller.vmsa)
    if not ran or registration is None or registration.cpu != step.cpu.index:
        return None
    area = caller.calling_area
    pending = step.command.get("pending", True) and area is not None
    if pending and not before.memory.refusal(GUEST_VMPL, area or 0, 1, WRITE) and not step.served:
        return [(step.place, "the call was not served")]
    return [
        (step.place, f"the VMSA at {page:#x} has the answer, which another called from")
        for page in {one.vmsa for one in (*before.registered, *parts_of(vm)[1].entries)}
        if page != caller.vmsa and not _keeps_registers(before.memory, memory, page)
    ]


def _keeps_registers(before: Memory, memory: Memory, page: int) -> bool:
    if not memory.is_mine(page):
        return True  # the host put another page there, or gave this one away
    at = memory.backed_by(page)
    was = memoryview(bytes(before.pages.content(at))).cast("Q")
    now = memoryview(bytes(memory.pages.content(at))).cast("Q")
    return all(was[number] == now[number] for number in (RAX, RCX, RDX, R8))
