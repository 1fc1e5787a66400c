"""The hardware side of the guest: what a CPU takes from EVENTINJ and V_IRQ, and when (SCHED-2)."""

from __future__ import annotations

from ...wire.vmsa import EventType
from ..vcpu import EVENT_VALID, EVENT_VECTOR, Guest, event_type

NMI_VECTOR = 2
_KINDS: dict[int, str] = {EventType.EXTERNAL_INTERRUPT: "event", EventType.NMI: "nmi"}


def take(guest: Guest) -> tuple[str, int]:
    """What the CPU takes now, and its vector: `event`, `nmi`, `other`, `virq` or `none`.

    An event in EVENTINJ is taken whatever IF is; a virtual interrupt needs VGIF, IF, no interrupt
    shadow, and a priority above the TPR's unless that is ignored.
    """
    event = guest.event_inj
    if event & EVENT_VALID:
        guest.event_inj = 0
        kind = _KINDS.get(event_type(event), "other")
        return kind, NMI_VECTOR if kind == "nmi" else event & EVENT_VECTOR
    if _virtual(guest):
        guest.vintr.v_irq = False
        return "virq", guest.vintr.v_intr_vector
    return "none", 0


def can_take(guest: Guest) -> bool:
    """Whether the CPU would take something now."""
    return bool(guest.event_inj & EVENT_VALID) or _virtual(guest)


def _virtual(guest: Guest) -> bool:
    vintr = guest.vintr
    deliverable = vintr.v_ign_tpr or vintr.v_intr_prio > vintr.v_tpr & 15
    open_to_it = vintr.vgif and guest.interrupts_enabled and not vintr.int_shadow
    return bool(vintr.v_irq and open_to_it and deliverable)
