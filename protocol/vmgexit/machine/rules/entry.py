"""Entering the guest, in atomic steps: from the #HV handler over taking and presenting to VMGEXIT.

`STEPS` is the table: each step makes one access that races with the host or another vCPU, and names
the next. The SVSM tests NoFurtherSignal last; a #HV from there on cancels the switch, and the SVSM
starts over (SCHED-3). Ordinary scenarios run the steps one after the other (`enter`); the explorer
chooses what comes between them. Facts: COCONUT-SVSM kernel/src/cpu/apic.rs and kernel/src/sev/ghcb.rs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...wire.doorbell import LOWEST_VECTOR
from ..vcpu import (
    EVENT_TYPE,
    EVENT_VALID,
    EVENTS_AT,
    FLAGS_AT,
    GUEST_EVENT,
    IRR_WORD,
    LEVEL,
    MULTIPLE,
    NMI,
    NO_FURTHER_SIGNAL,
    OWN_MC,
    OWN_NMI,
    STATUS_WORD,
    VECTOR,
    VECTOR_31,
    Vcpu,
)
from . import apic

if TYPE_CHECKING:
    from ..machine import Machine


@dataclass(slots=True)
class Entry:
    """How far one entry has come: what a register of the SVSM holds between two steps."""

    step: str = "handle_hv"
    status: int = 0  # the descriptor's status word as last read
    word: int = 0  # which IRR word is next
    cancelled: int = 0  # how often the switch started over


def handle_hv(machine: Machine, cpu: Vcpu, entry: Entry) -> str:
    """Answer the signal, if there was one, before looking at what it was about."""
    answer_signal(cpu)
    return "swap_events"


def answer_signal(cpu: Vcpu) -> None:
    """The #HV handler: clear NoFurtherSignal and the SVSM's own NMI, so that events signal again."""
    flags = cpu.page[FLAGS_AT]
    cpu.hv_raised = False
    if not flags & NO_FURTHER_SIGNAL:
        return
    cpu.page[FLAGS_AT] = flags & ~(NO_FURTHER_SIGNAL | OWN_NMI)
    if flags & OWN_MC:
        raise apic.Termination("the host signalled a machine check")


def swap_events(machine: Machine, cpu: Vcpu, entry: Entry) -> str:
    """Exchange the event byte with 0. Bits of other VMPLs are dropped: there is no such guest."""
    events = cpu.page[EVENTS_AT]
    cpu.page[EVENTS_AT] = 0
    return "load_status" if events & GUEST_EVENT and machine.emulated(cpu) else "take_mailbox"


def load_status(machine: Machine, cpu: Vcpu, entry: Entry) -> str:
    """Read the descriptor's status word once; what follows compares with it."""
    entry.status = cpu.words[STATUS_WORD]
    if entry.status & NMI and not machine.quirks.host_nmi_ignored:
        return "take_nmi"
    return _what_next(entry.status)


def _what_next(status: int) -> str:
    if status & LEVEL:
        return "take_level"
    if status & MULTIPLE:
        return "clear_multiple"
    return "take_vector" if status & VECTOR else "take_mailbox"


def take_nmi(machine: Machine, cpu: Vcpu, entry: Entry) -> str:
    """Clear the descriptor's NMI bit; the guest gets an NMI."""
    if cpu.words[STATUS_WORD] & NMI:
        cpu.apic.nmi_pending = True
        cpu.apic.update_required = True
    cpu.words[STATUS_WORD] &= ~NMI
    entry.status &= ~NMI
    return _what_next(entry.status)


def take_level(machine: Machine, cpu: Vcpu, entry: Entry) -> str:
    """Compare-and-swap the level-triggered vector out of the status word."""
    if cpu.words[STATUS_WORD] != entry.status:
        entry.status = cpu.words[STATUS_WORD]
        return "take_level"
    vector = entry.status & VECTOR
    entry.status &= ~(VECTOR | LEVEL)
    cpu.words[STATUS_WORD] = entry.status
    exists = vector or machine.quirks.level_vector_zero
    if exists and cpu.apic.allowed >> vector & 1:
        apic.accept(cpu.apic, vector, level=True, from_host=True)
    elif vector and not machine.quirks.level_dropped_without_eoi:
        apic.specific_eoi(machine, cpu, vector)
    return _what_next(entry.status & ~LEVEL)


def clear_multiple(machine: Machine, cpu: Vcpu, entry: Entry) -> str:
    """Clear MultipleVectors first, so that a later post uses the field again."""
    status = cpu.words[STATUS_WORD]
    taken = MULTIPLE
    if not status & LEVEL and not machine.quirks.stale_field_beside_multiple:
        taken |= VECTOR
        post(cpu, status & VECTOR)
    cpu.words[STATUS_WORD] = status & ~taken
    if not machine.quirks.vector_31_from_stale_status:
        entry.status = status  # vector 31 may have come since the word was read
    entry.word = 1
    return "take_vector_31" if entry.status & VECTOR_31 else "take_irr"


def take_vector_31(machine: Machine, cpu: Vcpu, entry: Entry) -> str:
    """Clear the bit that stands for vector 31 beside the IRR words."""
    if cpu.words[STATUS_WORD] & VECTOR_31:
        post(cpu, LOWEST_VECTOR)
    cpu.words[STATUS_WORD] &= ~VECTOR_31
    return "take_irr"


def take_irr(machine: Machine, cpu: Vcpu, entry: Entry) -> str:
    """Exchange one IRR word with 0."""
    at = IRR_WORD + entry.word
    pending = cpu.words[at]
    if pending:
        cpu.words[at] = 0
        for bit in range(32):
            if pending >> bit & 1:
                post(cpu, 32 * entry.word + bit)
    entry.word += 1
    return "take_irr" if entry.word < 8 else "take_mailbox"


def take_vector(machine: Machine, cpu: Vcpu, entry: Entry) -> str:
    """Compare-and-swap the single vector out of the field; if it changed, leave it for later."""
    if cpu.words[STATUS_WORD] == entry.status:
        cpu.words[STATUS_WORD] = entry.status & ~VECTOR
        post(cpu, entry.status & VECTOR)
    return "take_mailbox"


def post(cpu: Vcpu, vector: int) -> None:
    """An edge interrupt from the host: pending if it is allowed, else gone."""
    if vector and cpu.apic.allowed >> vector & 1:
        apic.accept(cpu.apic, vector)


def take_mailbox(machine: Machine, cpu: Vcpu, entry: Entry) -> str:
    """Take what other vCPUs sent."""
    if machine.emulated(cpu):
        apic.take_mailbox(cpu)
        return "present"
    return "test_signal"


def present(machine: Machine, cpu: Vcpu, entry: Entry) -> str:
    """Set up EVENTINJ and V_IRQ. Only this vCPU's own state; nothing races with it."""
    apic.present(machine, cpu)
    return "test_signal"


def test_signal(machine: Machine, cpu: Vcpu, entry: Entry) -> str:
    """The last look at NoFurtherSignal. The window opens right after it."""
    return "cancel" if cpu.page[FLAGS_AT] & NO_FURTHER_SIGNAL else "vmgexit"


def vmgexit(machine: Machine, cpu: Vcpu, entry: Entry) -> str:
    """Leave for the guest, unless a #HV came inside the window."""
    if cpu.hv_raised and not machine.quirks.switch_window_unchecked:
        return "cancel"
    cpu.guest.exit_int_info = 0
    return "entered"


def cancel(machine: Machine, cpu: Vcpu, entry: Entry) -> str:
    """Start over as if the guest had run and left."""
    entry.cancelled += 1
    left_guest(machine, cpu)
    return "handle_hv"


def left_guest(machine: Machine, cpu: Vcpu) -> None:
    """After the guest left, or a cancelled switch: an event whose delivery was cut short goes back
    into EVENTINJ, and the VMSA is no longer busy."""
    guest, quirks = cpu.guest, machine.quirks
    guest.vintr.busy = False
    ours = (
        machine.registration.enabled
        if quirks.reinjection_follows_global_count
        else guest.alternate_injection
    )
    event = guest.exit_int_info
    if not (event & EVENT_VALID and ours):
        return
    guest.event_inj = event
    if not quirks.cancelled_switch_reuses_exitintinfo:
        guest.exit_int_info = 0
    if not quirks.nmi_overwrites_reinjection and _is_newest(cpu, event):
        # It can be taken back like any interrupt that the guest has not taken.
        cpu.apic.interrupt_delivered = True


def _is_newest(cpu: Vcpu, event: int) -> bool:
    is_external = not event & EVENT_TYPE
    return is_external and bool(cpu.apic.isr) and cpu.apic.isr[-1] == event & 0xFF


STEPS: dict[str, Callable[[Machine, Vcpu, Entry], str]] = {
    step.__name__: step
    for step in (
        handle_hv,
        swap_events,
        load_status,
        take_nmi,
        take_level,
        clear_multiple,
        take_vector_31,
        take_irr,
        take_vector,
        take_mailbox,
        present,
        test_signal,
        vmgexit,
        cancel,
    )
}


def advance(machine: Machine, cpu: Vcpu, entry: Entry) -> None:
    """Make one step; a listener hears of what it took from the descriptor."""
    step = STEPS[entry.step]
    if machine.listener is None:
        entry.step = step(machine, cpu, entry)
    else:
        machine.listener.before_step(cpu)
        entry.step = step(machine, cpu, entry)
        machine.listener.after_step(cpu)


def enter(machine: Machine, cpu: Vcpu, entry: Entry, late: Callable[[], None]) -> None:
    """Run the steps in order. `late` is called once, inside the first window."""
    waiting = True
    while entry.step != "entered":
        if entry.step == "vmgexit" and waiting:
            late()
            waiting = False
        advance(machine, cpu, entry)
