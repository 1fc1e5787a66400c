"""What a call on memory can break, for `Quick`, which asks for no other invariants of memory.

An invariant may be named too often, and never too seldom: whether something is wrong, it says itself. Most
calls change little, so that few are named. What is looked at are the step's changes, and the few pages
that are registered.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...machine.memory.memory import Memory
from ...machine.memory.registry import HEAD, Registry
from ...machine.memory.rmp import FRAME, VALIDATED, VMSA, with_permissions
from ...machine.vm import Vm
from ...wire.svsm import Protocol
from .books import Books, MemoryStep, is_usable, parts_of

_GUEST_RIGHTS = sum(with_permissions(0, vmpl, 0xFF) for vmpl in (1, 2, 3))
_APIC, _ATTESTATION, _VTPM = map(int, (Protocol.APIC, Protocol.ATTESTATION, Protocol.VTPM))


def can_break(vm: Vm, books: Books, step: MemoryStep) -> Iterator[str]:
    """The invariants of memory that a call which came back can have broken, by the names of their
    functions."""
    memory, registry = parts_of(vm)
    if step.entries:
        yield from _by_entries(memory, step)
    yield from _by_registered(memory, registry, step)
    if _is_doubtful(memory, registry, step):
        yield "_bytes_stay"
    if not (step.is_served and step.answer.get("ran")) or _another_answered(memory, registry, step):
        yield "_where_it_was_made"
    if books.backed:
        yield "_one_page"
    for cpu in vm.vcpus:
        vmsa, area = cpu.home
        if vmsa is None and area is not None:
            yield "_nothing_left"
    if len(vm.processor.requests) > books.requested:
        yield "_numbers"
    if step.is_served:
        protocol = step.command["protocol"]
        if protocol == _ATTESTATION:
            yield "_reports"
        elif protocol == _VTPM:
            yield "_tpm_answers"
        if protocol != _APIC or not vm.has_apic:
            yield AS_DOCUMENTED


AS_DOCUMENTED = "_as_documented"
"""The last one: it needs nothing of before the call but what it changes itself."""
STOPPED = "_never_stops"
"""Of a call that did not come back."""


def _by_entries(memory: Memory, step: MemoryStep) -> Iterator[str]:
    """By the RMP entries that changed."""
    first, last = memory.layout.svsm
    if step.result:
        yield "_refused_changes_nothing"
    for at, was, entry in step.entries:
        if entry & VALIDATED and not was & VALIDATED:
            yield "_zero_at_first"
        if first <= at < last:
            yield "_svsm_memory"
        if entry & VMSA:
            yield "_vmsa_bits"


def _by_registered(memory: Memory, registry: Registry, step: MemoryStep) -> Iterator[str]:
    """By the VMSAs that are registered, and their calling areas."""
    for one in registry.entries:
        entry = memory.entry(one.vmsa)
        if one.guest_owned and entry & _GUEST_RIGHTS:
            yield "_vmsas_are_the_svsms"
        if one.in_use and not entry & VMSA:
            yield "_vmsa_bits"
        if not is_usable(memory, one.calling_area):
            yield "_calling_areas"
    if registry.entries != step.before.registered:
        yield "_apart"
        yield "_vmsa_bits"


def _is_doubtful(memory: Memory, registry: Registry, step: MemoryStep) -> bool:
    """Whether bytes changed of a page that is valid, and neither a VMSA nor the head of a calling area."""
    before, areas, vmsas = step.before.memory.pages, {step.caller.calling_area}, set[int]()
    for entries in (step.before.registered, registry.entries):
        for one in entries:
            vmsas.add(one.vmsa)
            areas.add(one.calling_area)
    for at in step.pages:
        entry = memory.rmp[at]
        if not entry & VALIDATED or (frame := entry & FRAME) in vmsas:
            continue
        if frame not in areas or memory.pages.content(at)[HEAD:] != before.content(at)[HEAD:]:
            return True
    return False


def _another_answered(memory: Memory, registry: Registry, step: MemoryStep) -> bool:
    """Whether a VMSA changed that is not the caller's."""
    own = step.caller.vmsa
    for entries in (step.before.registered, registry.entries):
        for one in entries:
            if one.vmsa != own and memory.backed_by(one.vmsa) in step.pages:
                return True
    return False
