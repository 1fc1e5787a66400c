"""Events for VMPL 0: interrupts, NMIs and machine checks.

They wait in a vCPU until the host enters it. It then tells them: by EVENTINJ, one at a time, or under
restricted injection by PendingEvent in the doorbell page of the vCPU, and #HV. The guest takes them.
"""

from __future__ import annotations

from dataclasses import dataclass

from .layouts import DoorbellFlags, SevFeatures, get, put
from .vm import Vm
from .vms import HV, INTERRUPT, MACHINE_CHECK, NMI, Vcpu


@dataclass
class Pending:
    """PendingEvent: the first two bytes of the doorbell page."""

    vector: int = 0  # 0: none
    flags: int = 0

    @property
    def events(self) -> list[int]:
        """What is pending, each as EVENTINJ holds it."""
        found = [INTERRUPT | self.vector] if self.vector else []
        found += [NMI] * get(self.flags, DoorbellFlags.NMI_PENDING)
        return found + [MACHINE_CHECK] * get(self.flags, DoorbellFlags.MC_PENDING)


def is_restricted(vm: Vm) -> bool:
    return bool(get(vm.setup.vmsa_features, SevFeatures.RESTRICTED_INJECTION))


def load_pending(vm: Vm, vcpu: Vcpu) -> Pending | None:
    """None where the vCPU has no doorbell page in guest memory."""
    data = None if vcpu.doorbell is None else vm.load(vcpu.doorbell, 2)
    return None if data is None else Pending(*data)


def store_pending(vm: Vm, vcpu: Vcpu, pending: Pending) -> None:
    if vcpu.doorbell is not None:
        vm.store(vcpu.doorbell, bytes((pending.vector, pending.flags)))


def word(vm: Vm, vcpu: Vcpu) -> int | None:
    """PendingEvent as a number; None without a page."""
    pending = load_pending(vm, vcpu)
    return None if pending is None else pending.flags << 8 | pending.vector


def has_event(vcpu: Vcpu) -> bool:
    """Whether something waits for VMPL 0."""
    return bool(vcpu.waiting_machine_check or vcpu.waiting_nmi or vcpu.waiting_irqs)


def waiting(vcpu: Vcpu) -> list[int | str]:
    """What the host still has to tell VMPL 0."""
    found: list[int | str] = ["machine check"] * vcpu.waiting_machine_check
    return [*found, *["NMI"] * vcpu.waiting_nmi, *vcpu.waiting_irqs]


def wait_for(vcpu: Vcpu, event: int) -> None:
    """Let an event wait that was not delivered. One that is none of the host's is dropped."""
    if event == NMI:
        vcpu.waiting_nmi = True
    elif event == MACHINE_CHECK:
        vcpu.waiting_machine_check = True
    elif event != HV:
        vcpu.waiting_irqs = sorted({*vcpu.waiting_irqs, event & 0xFF})


def take(vm: Vm, vcpu: Vcpu, tpr: int | None) -> list[int]:
    """What VMPL 0 takes. Linux's #HV handler handles all of PendingEvent and clears it; with `tpr`, a class
    of task priority, COCONUT-SVSM's leaves a vector that is not above it, and a machine check, which is
    fatal."""
    held, vcpu.event_inj = vcpu.event_inj, 0
    if not is_restricted(vm):
        return [held] if held else []
    pending, stays = load_pending(vm, vcpu), Pending()
    if pending is None:
        return []
    if tpr is not None:
        is_fatal = get(pending.flags, DoorbellFlags.MC_PENDING)
        stays.flags = put(0, DoorbellFlags.MC_PENDING, is_fatal)
        if pending.vector >> 4 <= tpr:
            stays.vector, pending.vector = pending.vector, 0
    store_pending(vm, vcpu, stays)
    return pending.events
