"""INV-9 where the SVSM has memory: a call answers as documented, and does what is documented, in order.

The oracle carries the call out on a copy of the memory as the documents say; it knows neither quirks nor
how the machine does it. Calls of the APIC protocol are not judged here.
"""

from __future__ import annotations

from typing import Any

from ...machine.memory.layout import GUEST_VMPL
from ...machine.memory.memory import Memory, NestedPageFault
from ...machine.memory.rmp import FRAME
from ...machine.memory.sparse import Sparse
from ...machine.rules.shared import NO_EOI_REQUIRED
from ...machine.vm import Vm
from ...wire.rmp import PageSize
from ...wire.svsm import CoreCall, Protocol, ResultCode
from ..judged import Invariant, Wrong
from . import core, services
from .books import Before, Books, MemoryStep, parts_of
from .outcome import Outcome, Refusal

_VERSION_1 = 1 << 32 | 1


def documented(step: MemoryStep, before: Before, noted: Sparse[bool]) -> Outcome:
    """What the call of a step, which was served, must come to: `before` changes to that. Raises
    NestedPageFault where the host ends the VM on the way."""
    outcome = Outcome(step, before, noted)
    try:
        _carry_out(outcome, step.command["protocol"], step.command["request"])
    except Refusal as refusal:
        outcome.code = refusal.code
    _go_on(outcome)
    return outcome


def _carry_out(call: Outcome, protocol: int, number: int) -> None:
    match protocol, number:
        case Protocol.CORE, CoreCall.REMAP_CA:
            core.remap(call, call.rcx)
        case Protocol.CORE, CoreCall.PVALIDATE:
            core.pvalidate_list(call, call.rcx)
        case Protocol.CORE, CoreCall.CREATE_VCPU:
            core.create_vcpu(call, call.rcx, call.rdx, call.r8 & 0xFFFFFFFF)
        case Protocol.CORE, CoreCall.DELETE_VCPU:
            core.delete_vcpu(call, call.rcx)
        case Protocol.CORE, CoreCall.QUERY_PROTOCOL:
            call.rcx = _VERSION_1 * _is_present(call)
        case Protocol.CORE, CoreCall.CONFIGURE_VTOM if call.rcx & 1:
            call.rcx = 0
        case Protocol.CORE, CoreCall.CONFIGURE_VTOM:
            raise Refusal(ResultCode.INVALID_REQUEST)
        case Protocol.CORE, _:
            raise Refusal(ResultCode.UNSUPPORTED_CALL)
        case Protocol.ATTESTATION, _:
            services.attest(call, number)
        case Protocol.VTPM, _:
            services.tpm_call(call, number)
        case _:
            raise Refusal(ResultCode.UNSUPPORTED_PROTOCOL)


def _is_present(call: Outcome) -> bool:
    cpu = call.step.cpu
    present = {Protocol.CORE, Protocol.ATTESTATION, Protocol.VTPM}
    if cpu.vm.has_apic and cpu.guest.alternate_injection:
        present.add(Protocol.APIC)
    return call.rcx & 0xFFFFFFFF == 1 and call.rcx >> 32 in present


def _go_on(call: Outcome) -> None:
    """After a call the vCPU goes on where it is at home; the first VMSA, once left, is none any more."""
    caller, home = call.caller.vmsa, call.homes[call.index]
    first = next((one for one in call.registered if one.vmsa == caller), None)
    if first is not None and not first.guest_owned and home.vmsa != caller:
        call.adjust(first.vmsa, PageSize.SIZE_4K, {GUEST_VMPL: 0})
        call.registered.remove(first)
    if home.vmsa is not None:
        call.memory.did += [["flush_all"], ["enter", home.vmsa]]


def _as_documented(vm: Vm, books: Books, step: MemoryStep) -> Wrong | None:
    if not step.is_served or (step.command["protocol"] == Protocol.APIC and vm.has_apic):
        return None
    return departures(vm, books, step, step.before.copy())


def departures(vm: Vm, books: Books, step: MemoryStep, before: Before) -> Wrong:
    """What a call that was served did otherwise than documented: it is carried out on `before`."""
    states, homes = {one.vmsa for one in before.registered}, list(before.homes)
    try:
        call = documented(step, before, books.noted)
    except NestedPageFault as fault:
        return [(step.place, f"went on after a {fault}")]
    memory, registry = parts_of(vm)
    found: list[tuple[str, Any, Any]] = [
        ("did", step.done, call.memory.did),
        ("registered", registry.entries, call.registered),
        ("vCPUs are at", [cpu.home for cpu in vm.vcpus], call.homes),
    ]
    if step.answer.get("vmsa") == step.caller.vmsa:  # else the answer is not in these registers
        answered = [step.answer.get(name) for name in ("rax", "rcx", "rdx", "r8")]
        found.insert(0, ("answered", answered, [call.code, call.rcx, call.rdx, call.r8]))
    wrong = [
        (step.place, f"{what} {_shown(ours)}, {_shown(theirs)} documented")
        for what, ours, theirs in found
        if ours != theirs
    ]
    states |= {one.vmsa for one in registry.entries}
    areas = {home.calling_area for home in (*homes, *call.homes)} if vm.has_apic else set()
    wrong += [
        (step.place, f"the page at {at:#x} does not hold what is documented")
        for at in memory.pages.changes(call.memory.pages)
        if (page := memory.rmp[at] & FRAME) not in states
        and not (page in areas and _is_offered(memory, call.memory, at))
    ]
    wrong += [
        (step.place, f"the RMP entry of {at:#x} is {entry:#x}, {was:#x} documented")
        for at, was, entry in memory.rmp.changes(call.memory.rmp)
    ]
    return wrong


def _is_offered(memory: Memory, other: Memory, at: int) -> bool:
    """Whether a calling area differs in NoEoiRequired alone, of which the ledger keeps the books."""
    found, expected = bytearray(memory.pages.content(at)), bytearray(other.pages.content(at))
    found[NO_EOI_REQUIRED] = expected[NO_EOI_REQUIRED] = 0
    return found == expected


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_shown, value))}]"
    return f"{value:#x}" if type(value) is int else str(value)


AS_DOCUMENTED = Invariant(
    "INV-9",
    "a call on memory answers and does what is documented, in the documented order",
    "a call that is not of the APIC protocol was served",
    _as_documented,
    on_memory=True,
)
