"""What a call on memory can break, for `Quick`: it asks for an invariant only where its condition holds.

A condition may hold too often, and never too seldom: whether something is wrong, the invariant itself
says. Most calls change little, so that most conditions do not hold. They look at the step's changes, and
at the few pages that are registered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ...machine.memory.registry import HEAD, Registry
from ...machine.memory.rmp import FRAME, LARGE, VALIDATED, VMSA, with_permissions
from ...machine.vm import Vm
from ...wire.svsm import Protocol
from ..judged import Invariant
from .books import Books, MemoryStep, is_usable, parts_of

Condition = Callable[[Vm, Books, MemoryStep], bool]

_GUEST_RIGHTS = sum(with_permissions(0, vmpl, 0xFF) for vmpl in (1, 2, 3))
_ATTESTATION, _VTPM = int(Protocol.ATTESTATION), int(Protocol.VTPM)


def _a_vmsa_is_open(vm: Vm, books: Books, step: MemoryStep) -> bool:
    memory, registry = parts_of(vm)
    return any(
        one.guest_owned and memory.entry(one.vmsa) & _GUEST_RIGHTS for one in registry.entries
    )


def _a_page_became_valid(vm: Vm, books: Books, step: MemoryStep) -> bool:
    return any(entry & VALIDATED and not was & VALIDATED for _, was, entry in step.entries)


def _bytes_changed(vm: Vm, books: Books, step: MemoryStep) -> bool:
    """Bytes of a page that stayed valid, but for VMSAs and the heads of calling areas."""
    memory, registry = parts_of(vm)
    before = step.before.memory
    vmsas, areas = _pages_in_use(step, registry)
    for at in step.pages:
        entry = memory.rmp[at]
        if not entry & VALIDATED or entry & FRAME in vmsas:
            continue
        if entry & FRAME not in areas:
            return True
        if memory.pages.content(at)[HEAD:] != before.pages.content(at)[HEAD:]:
            return True
    return False


def _pages_in_use(step: MemoryStep, registry: Registry) -> tuple[set[int], set[int | None]]:
    """VMSAs and calling areas, before the call and after it."""
    vmsas, areas = set[int](), {step.caller.calling_area}
    for entries in (step.before.registered, registry.entries):
        for one in entries:
            vmsas.add(one.vmsa)
            areas.add(one.calling_area)
    return vmsas, areas


def _svsm_entries_changed(vm: Vm, books: Books, step: MemoryStep) -> bool:
    first, last = parts_of(vm)[0].layout.svsm
    return any(first <= at < last for at, _, _ in step.entries)


def _refused_and_changed(vm: Vm, books: Books, step: MemoryStep) -> bool:
    return any((was ^ entry) & ~LARGE for _, was, entry in step.entries) and bool(step.result)


def _was_remapped(vm: Vm, books: Books, step: MemoryStep) -> bool:
    return bool(books.backed)


def _registered_others(vm: Vm, books: Books, step: MemoryStep) -> bool:
    return parts_of(vm)[1].entries != step.before.registered


def _vmsa_bits_differ(vm: Vm, books: Books, step: MemoryStep) -> bool:
    memory, registry = parts_of(vm)
    for _, _, entry in step.entries:
        if entry & VMSA:
            return True
    for one in registry.entries:
        if one.in_use and not memory.entry(one.vmsa) & VMSA:
            return True
    return _registered_others(vm, books, step)


def _an_area_is_not_usable(vm: Vm, books: Books, step: MemoryStep) -> bool:
    memory, registry = parts_of(vm)
    return any(not is_usable(memory, one.calling_area) for one in registry.entries)


def _stopped(vm: Vm, books: Books, step: MemoryStep) -> bool:
    return "panic" in step.answer or "terminated" in step.answer


def _homeless_has_an_area(vm: Vm, books: Books, step: MemoryStep) -> bool:
    return any(cpu.home.vmsa is None and cpu.home.calling_area is not None for cpu in vm.vcpus)


def _another_vmsa_changed(vm: Vm, books: Books, step: MemoryStep) -> bool:
    """Or the call was not served where it was made."""
    if not (step.answer.get("ran") and step.is_served):
        return True
    memory, registry = parts_of(vm)
    own = step.caller.vmsa
    for entries in (step.before.registered, registry.entries):
        for one in entries:
            if one.vmsa != own and memory.backed_by(one.vmsa) in step.pages:
                return True
    return False


def _attested(vm: Vm, books: Books, step: MemoryStep) -> bool:
    return step.command["protocol"] == _ATTESTATION and step.is_served


def _asked(vm: Vm, books: Books, step: MemoryStep) -> bool:
    return len(vm.processor.requests) > books.requested


def _tpm_asked(vm: Vm, books: Books, step: MemoryStep) -> bool:
    return step.command["protocol"] == _VTPM and step.is_served


def _served(vm: Vm, books: Books, step: MemoryStep) -> bool:
    return step.is_served


CAN_BREAK: dict[str, Condition] = {
    "_vmsas_are_the_svsms": _a_vmsa_is_open,
    "_zero_at_first": _a_page_became_valid,
    "_bytes_stay": _bytes_changed,
    "_svsm_memory": _svsm_entries_changed,
    "_refused_changes_nothing": _refused_and_changed,
    "_one_page": _was_remapped,
    "_apart": _registered_others,
    "_vmsa_bits": _vmsa_bits_differ,
    "_calling_areas": _an_area_is_not_usable,
    "_never_stops": _stopped,
    "_nothing_left": _homeless_has_an_area,
    "_where_it_was_made": _another_vmsa_changed,
    "_reports": _attested,
    "_numbers": _asked,
    "_tpm_answers": _tpm_asked,
    "_as_documented": _served,
}
"""The condition of each invariant on memory, by the name of its function."""


def breakable(invariants: Iterable[Invariant]) -> list[tuple[Condition, Invariant]]:
    """Those of the invariants that are on memory, each after its condition."""
    return [(CAN_BREAK[one.check.__name__], one) for one in invariants if one.on_memory]
