"""Restricted injection: interrupts, NMIs and machine checks for VMPL 0 by the #HV doorbell page.

An event waits with the host until the vCPU is entered (`enter`). Then it is written to the doorbell page of
the vCPU, and #HV is injected unless NoFurtherSignal says that the guest has one to handle. VMPL 0 runs next
when something waits for it (SCHED-1). An entry that does not come to VMRUN takes its events back
(`cancel`). The guest takes them from the page in its #HV handler (`take`). Without the feature in
SEV_FEATURES events are injected as they are. NoEoiRequired is a host's choice: KVM never sets it, nor does
the reference.

Sources: KVM planes series of 2026-06-08, patches 2 to 5, 52 and 58 (mail); the GHCB specification on
PendingEvent, as quoted in the review of KVM's series of 2024; COCONUT-SVSM kernel/src/sev/hv_doorbell.rs;
Linux #HV series (mail) for the handler.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..wire.doorbell import DoorbellFlags
from ..wire.exceptions import ExceptionVector
from ..wire.vmsa import EventInj, EventType, SevFeatures
from .quirks import Quirks
from .vm import Vcpu, Vm

NO_EVENT = 0


def _event(kind: EventType, vector: int = 0) -> int:
    return int(EventInj(valid=True, type=kind, vector=vector))


def interrupt(vector: int) -> int:
    """An external interrupt as EVENTINJ holds it."""
    return _event(EventType.EXTERNAL_INTERRUPT, vector)


HV = _event(EventType.EXCEPTION, ExceptionVector.HV)
NMI = _event(EventType.NMI)
MACHINE_CHECK = _event(EventType.EXCEPTION, ExceptionVector.MC)


@dataclass(slots=True)
class Pending:
    """The first two bytes of the doorbell page: PendingEvent."""

    vector: int
    flags: DoorbellFlags

    @property
    def events(self) -> list[int]:
        """What is pending, each as EVENTINJ would hold it."""
        found = [interrupt(self.vector)] if self.vector else []
        found += [NMI] * self.flags.nmi_pending
        return found + [MACHINE_CHECK] * self.flags.mc_pending


class Doorbell:
    """The doorbell page of a vCPU, while one is registered that is in guest memory."""

    def __init__(self, vm: Vm, cpu: Vcpu) -> None:
        self._memory, self._gpa = vm.memory, cpu.doorbell

    def read(self) -> Pending | None:
        """What is pending; None without a page."""
        data = None if self._gpa is None else self._memory.read(self._gpa, 2)
        return None if data is None else Pending(data[0], DoorbellFlags.of(data[1]))

    def write(self, vector: int, flags: int) -> None:
        if self._gpa is not None:
            self._memory.write(self._gpa, bytes((vector, flags)))


def word(vm: Vm, cpu: Vcpu) -> int | None:
    """PendingEvent in the doorbell page, 16 bits; None without a page."""
    pending = Doorbell(vm, cpu).read()
    return None if pending is None else int(pending.flags) << 8 | pending.vector


def is_restricted(vm: Vm) -> bool:
    """Whether the host injects #HV only."""
    return SevFeatures.of(vm.setup.vmsa_features).restricted_injection


# --- the host --------------------------------------------------------------------------------------


def enter(vm: Vm, cpu: Vcpu, quirks: Quirks) -> None:
    """Enter the vCPU: which VMPL runs, and what EVENTINJ holds for it, is in `cpu` then."""
    cpu.event_inj = NO_EVENT
    unseen = quirks.machine_check_leaves_plane
    if cpu.waiting_irqs or cpu.waiting_nmi or (cpu.waiting_machine_check and not unseen):
        cpu.vmpl = 0
    if cpu.vmpl:
        return
    if not is_restricted(vm):
        cpu.event_inj = _direct(cpu)
        return
    page = Doorbell(vm, cpu)
    pending = page.read()
    if pending is None:
        return
    if _present(cpu, pending, quirks) and not pending.flags.no_further_signal:
        cpu.event_inj = HV
        pending.flags.no_further_signal = True
    page.write(pending.vector, int(pending.flags))


def _direct(cpu: Vcpu) -> int:
    """The event that waits most urgently, which is on its way then."""
    if cpu.waiting_machine_check:
        cpu.waiting_machine_check = False
        return MACHINE_CHECK
    if cpu.waiting_nmi:
        cpu.waiting_nmi = False
        return NMI
    return interrupt(cpu.waiting_irqs.pop()) if cpu.waiting_irqs else 0


def _present(cpu: Vcpu, pending: Pending, quirks: Quirks) -> bool:
    """Write down what waits; whether the guest has to be told. Of each kind one event can be pending."""
    flags, told = pending.flags, False
    if cpu.waiting_machine_check and not flags.mc_pending:
        flags.mc_pending, cpu.waiting_machine_check, told = True, False, True
    if told and quirks.one_event_an_entry:
        return told
    if cpu.waiting_nmi and not flags.nmi_pending:
        flags.nmi_pending, cpu.waiting_nmi, told = True, False, True
    if told and quirks.one_event_an_entry:
        return told
    return _present_vector(cpu, pending, quirks) or told


def _present_vector(cpu: Vcpu, pending: Pending, quirks: Quirks) -> bool:
    """Write down the highest vector. In the place of a lower one, which waits again, it needs no signal:
    the guest was told of that."""
    if not cpu.waiting_irqs:
        return False
    before = pending.vector
    if before and (quirks.vector_waits_for_guest or cpu.waiting_irqs[-1] <= before):
        return False
    pending.vector = cpu.waiting_irqs.pop()
    if before:
        wait_for(cpu, before)
    return not before


def wait_for(cpu: Vcpu, vector: int) -> None:
    """Let an interrupt wait. `waiting_irqs` is in ascending order."""
    cpu.waiting_irqs = sorted({*cpu.waiting_irqs, vector})


def cancel(vm: Vm, cpu: Vcpu, quirks: Quirks) -> list[int]:
    """Take back what the last entry was to tell; the events, each as EVENTINJ holds it. Where #HV was
    injected, everything in the page goes back and the page is as if nothing had been told."""
    held, cpu.event_inj = cpu.event_inj, NO_EVENT
    if not held:
        return []
    events = [held]
    if is_restricted(vm):
        page = Doorbell(vm, cpu)
        pending = page.read()
        events = [] if pending is None else _in_one(pending, quirks)
        page.write(0, 0)
    for event in events:
        _wait_again(cpu, EventInj.of(event))
    return events


def _in_one(pending: Pending, quirks: Quirks) -> list[int]:
    """The events of a page. EVENTINJ has room for one."""
    events = pending.events
    if not events and pending.flags.no_further_signal and quirks.cancel_bare_signal_is_vector_0:
        return [interrupt(0)]
    if len(events) > 1 and quirks.cancel_merges_events:
        merged = 0
        for event in events:
            merged |= event
        return [merged]
    return events


def _wait_again(cpu: Vcpu, event: EventInj) -> None:
    """Let an event wait that was not delivered. An exception that is none of the host's is dropped."""
    if event.type == EventType.EXTERNAL_INTERRUPT:
        wait_for(cpu, event.vector)
    elif event.type == EventType.NMI:
        cpu.waiting_nmi = True
    elif event.vector == ExceptionVector.MC:
        cpu.waiting_machine_check = True


# --- the guest -------------------------------------------------------------------------------------


def take(vm: Vm, cpu: Vcpu, tpr: int | None = None) -> list[int]:
    """What VMPL 0 takes, each as EVENTINJ would hold it: from EVENTINJ, and from the doorbell page.

    Linux's #HV handler swaps PendingEvent with 0 and handles all of it. With a task priority class
    `tpr`, as COCONUT-SVSM: NoFurtherSignal and the NMI are cleared, a machine check is fatal and stays,
    and the vector stays while its class is not above.
    """
    held, cpu.event_inj = cpu.event_inj, NO_EVENT
    if not is_restricted(vm):
        return [held] if held else []
    page = Doorbell(vm, cpu)
    pending = page.read()
    if pending is None:
        return []
    taken = pending.events
    if tpr is None:
        page.write(0, 0)
        return taken
    stays = pending.vector if pending.vector >> 4 <= tpr else 0
    page.write(stays, int(DoorbellFlags(mc_pending=pending.flags.mc_pending)))
    return [event for event in taken if event != interrupt(stays)]
