"""How the small host tells VMPL 0 of events, and where the doorbell pages are."""

from __future__ import annotations

from kit.events import (
    Pending,
    has_event,
    is_restricted,
    load_pending,
    store_pending,
    wait_for,
)
from kit.layouts import DoorbellFlags, DoorbellOperationCode, Ghcb, get, put
from kit.vm import PAGE, Vm
from kit.vms import HV, INTERRUPT, MACHINE_CHECK, NMI, Vcpu

NO_PAGE = (1 << 64) - 1


def doorbell(vm: Vm, vcpu: Vcpu) -> int | None:
    """The exit by which a vCPU says where its doorbell page is. SW_EXITINFO1 says what to do, SW_EXITINFO2
    where it is. The detail of the answer; None where it is refused."""
    operation, address = vm.page.get(Ghcb.SW_EXIT_INFO_1), vm.page.get(Ghcb.SW_EXIT_INFO_2)
    if operation == DoorbellOperationCode.GET_PREFERRED:
        return NO_PAGE
    if operation == DoorbellOperationCode.CLEAR:
        vcpu.doorbell = None
        return 0
    if operation == DoorbellOperationCode.SET:
        if address % PAGE or not vm.is_memory(address, PAGE):
            return None
        vcpu.doorbell = address
    elif operation != DoorbellOperationCode.QUERY:
        return None
    return NO_PAGE if vcpu.doorbell is None else vcpu.doorbell


def enter(vm: Vm, vcpu: Vcpu) -> None:
    """VMPL 0 runs where something waits for it. #HV is injected unless the guest has one to handle."""
    vcpu.event_inj = 0
    if has_event(vcpu):
        vcpu.vmpl = 0
    if vcpu.vmpl:
        return
    if not is_restricted(vm):
        vcpu.event_inj = next_event(vcpu)
        return
    pending = load_pending(vm, vcpu)
    if pending is None:
        return
    if present(vcpu, pending) and not get(pending.flags, DoorbellFlags.NO_FURTHER_SIGNAL):
        vcpu.event_inj = HV
        pending.flags = put(pending.flags, DoorbellFlags.NO_FURTHER_SIGNAL, 1)
    store_pending(vm, vcpu, pending)


def next_event(vcpu: Vcpu) -> int:
    """Without restricted injection: the event that is most urgent, which no longer waits."""
    if vcpu.waiting_machine_check:
        vcpu.waiting_machine_check = False
        return MACHINE_CHECK
    if vcpu.waiting_nmi:
        vcpu.waiting_nmi = False
        return NMI
    return INTERRUPT | vcpu.waiting_irqs.pop() if vcpu.waiting_irqs else 0


def present(vcpu: Vcpu, pending: Pending) -> bool:
    """Write down what waits, unless the guest has not taken the one before of its kind. Whether it is news:
    a vector in the place of a lower one, which waits again, is none."""
    is_news = False
    if vcpu.waiting_machine_check and not get(pending.flags, DoorbellFlags.MC_PENDING):
        pending.flags = put(pending.flags, DoorbellFlags.MC_PENDING, 1)
        vcpu.waiting_machine_check, is_news = False, True
    if vcpu.waiting_nmi and not get(pending.flags, DoorbellFlags.NMI_PENDING):
        pending.flags = put(pending.flags, DoorbellFlags.NMI_PENDING, 1)
        vcpu.waiting_nmi, is_news = False, True
    if vcpu.waiting_irqs and vcpu.waiting_irqs[-1] > pending.vector:
        before, pending.vector = pending.vector, vcpu.waiting_irqs.pop()
        if not before:
            return True
        wait_for(vcpu, INTERRUPT | before)
    return is_news


def cancel(vm: Vm, vcpu: Vcpu) -> list[int]:
    """The last entry did not come to VMRUN. What it told waits again: where it was #HV, all of the page."""
    events, vcpu.event_inj = [vcpu.event_inj] if vcpu.event_inj else [], 0
    if events and is_restricted(vm):
        events = (load_pending(vm, vcpu) or Pending()).events
        store_pending(vm, vcpu, Pending())
    for event in events:
        wait_for(vcpu, event)
    return events
