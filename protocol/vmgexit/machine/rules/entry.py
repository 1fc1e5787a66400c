"""Entering the guest, in atomic steps: from the #HV handler over taking and presenting to VMGEXIT.

`STEPS` is the table: each step makes one access that races with the host or another vCPU, and names
the next. The SVSM tests NoFurtherSignal last; a #HV from there on cancels the switch, and the SVSM
starts over (SCHED-3). Ordinary scenarios run the steps one after the other (`enter`); the explorer
chooses what comes between them. Facts: COCONUT-SVSM kernel/src/cpu/apic.rs and kernel/src/sev/ghcb.rs.
"""

from __future__ import annotations

from collections.abc import Callable

from ...schema import set_numbers
from ...wire.doorbell import LOWEST_VECTOR
from ..vcpu import (
    EVENT_VALID,
    EVENT_VECTOR,
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
    OWN_VECTOR_AT,
    STATUS_WORD,
    VECTOR,
    VECTOR_31,
    CallingPage,
    Entry,
    is_external,
)
from ..vm import Reason, Termination, Vcpu
from . import apic


def handle_hv(cpu: Vcpu, entry: Entry) -> str:
    """Answer the signal, if there was one, before looking at what it was about."""
    answer_signal(cpu)
    return "swap_events"


def answer_signal(cpu: Vcpu) -> None:
    """The #HV handler: clear NoFurtherSignal, so that events signal again, and take what the host has
    for the SVSM itself: its vector and its NMI."""
    flags = cpu.page[FLAGS_AT]
    cpu.hv_raised = False
    if not flags & NO_FURTHER_SIGNAL:
        return
    cpu.page[FLAGS_AT] = flags & ~(NO_FURTHER_SIGNAL | OWN_NMI)
    cpu.page[OWN_VECTOR_AT] = 0
    if flags & OWN_MC:
        raise Termination(Reason.MACHINE_CHECK)


def swap_events(cpu: Vcpu, entry: Entry) -> str:
    """Exchange the event byte with 0. Bits of other VMPLs are dropped: there is no such guest."""
    events = cpu.page[EVENTS_AT]
    cpu.page[EVENTS_AT] = 0
    return "load_status" if events & GUEST_EVENT and cpu.vm.emulated(cpu) else "take_mailbox"


def load_status(cpu: Vcpu, entry: Entry) -> str:
    """Read the descriptor's status word once; what follows compares with it."""
    entry.status = cpu.words[STATUS_WORD]
    if entry.status & NMI and not cpu.vm.quirks.host_nmi_ignored:
        return "take_nmi"
    return _what_next(entry.status)


def _what_next(status: int) -> str:
    if status & LEVEL:
        return "take_level"
    if status & MULTIPLE:
        return "clear_multiple"
    return "take_vector" if status & VECTOR else "take_mailbox"


def take_nmi(cpu: Vcpu, entry: Entry) -> str:
    """Clear the descriptor's NMI bit; the guest gets an NMI."""
    if cpu.words[STATUS_WORD] & NMI:
        cpu.apic.nmi_pending = True
        cpu.apic.update_required = True
    cpu.words[STATUS_WORD] &= ~NMI
    entry.status &= ~NMI
    return _what_next(entry.status)


def take_level(cpu: Vcpu, entry: Entry) -> str:
    """Compare-and-swap the level-triggered vector out of the status word."""
    if cpu.words[STATUS_WORD] != entry.status:
        entry.status = cpu.words[STATUS_WORD]
        return "take_level"
    vector = entry.status & VECTOR
    entry.status &= ~(VECTOR | LEVEL)
    cpu.words[STATUS_WORD] = entry.status
    exists = vector or cpu.vm.quirks.level_vector_zero
    if exists and cpu.apic.allowed >> vector & 1:
        apic.accept(cpu.apic, vector, level=True, from_host=True)
    elif vector and not cpu.vm.quirks.level_dropped_without_eoi:
        apic.specific_eoi(cpu, vector)
    return _what_next(entry.status & ~LEVEL)


def clear_multiple(cpu: Vcpu, entry: Entry) -> str:
    """Clear MultipleVectors first, so that a later post uses the field again."""
    status = cpu.words[STATUS_WORD]
    taken = MULTIPLE
    if not status & LEVEL and not cpu.vm.quirks.stale_field_beside_multiple:
        taken |= VECTOR
        post(cpu, status & VECTOR)
    cpu.words[STATUS_WORD] = status & ~taken
    if not cpu.vm.quirks.vector_31_from_stale_status:
        entry.status = status  # vector 31 may have come since the word was read
    entry.word = 1
    return "take_vector_31" if entry.status & VECTOR_31 else "take_irr"


def take_vector_31(cpu: Vcpu, entry: Entry) -> str:
    """Clear the bit that stands for vector 31 beside the IRR words."""
    if cpu.words[STATUS_WORD] & VECTOR_31:
        post(cpu, LOWEST_VECTOR)
    cpu.words[STATUS_WORD] &= ~VECTOR_31
    return "take_irr"


def take_irr(cpu: Vcpu, entry: Entry) -> str:
    """Exchange one IRR word with 0."""
    at = IRR_WORD + entry.word
    pending = cpu.words[at]
    if pending:
        cpu.words[at] = 0
        for vector in set_numbers(pending, 32 * entry.word):
            post(cpu, vector)
    entry.word += 1
    return "take_irr" if entry.word < 8 else "take_mailbox"


def take_vector(cpu: Vcpu, entry: Entry) -> str:
    """Compare-and-swap the single vector out of the field; if it changed, leave it for later."""
    if cpu.words[STATUS_WORD] == entry.status:
        cpu.words[STATUS_WORD] = entry.status & ~VECTOR
        post(cpu, entry.status & VECTOR)
    return "take_mailbox"


def post(cpu: Vcpu, vector: int) -> None:
    """An edge interrupt from the host: pending if it is allowed, else gone."""
    if vector and cpu.apic.allowed >> vector & 1:
        apic.accept(cpu.apic, vector)


def take_mailbox(cpu: Vcpu, entry: Entry) -> str:
    """Take what other vCPUs sent."""
    if cpu.vm.emulated(cpu):
        apic.take_mailbox(cpu)
        return "present"
    return "test_signal"


def present(cpu: Vcpu, entry: Entry) -> str:
    """Set up EVENTINJ and V_IRQ. Only this vCPU's own state; nothing races with it."""
    apic.present(cpu)
    return "test_signal"


def test_signal(cpu: Vcpu, entry: Entry) -> str:
    """The last look at NoFurtherSignal. The window opens right after it."""
    return "cancel" if cpu.page[FLAGS_AT] & NO_FURTHER_SIGNAL else "vmgexit"


def vmgexit(cpu: Vcpu, entry: Entry) -> str:
    """Leave for the guest, unless a #HV came inside the window."""
    if cpu.hv_raised and not cpu.vm.quirks.switch_window_unchecked:
        return "cancel"
    cpu.guest.exit_int_info = 0
    return "entered"


WINDOW = vmgexit.__name__
"""The step before which the switch window is open."""


def interrupt(cpu: Vcpu, entry: Entry) -> None:
    """The #HV handler inside the window, where the SVSM has interrupts on: what it answers is seen by
    nobody but the switch, which starts over (SCHED-3)."""
    answer_signal(cpu)
    if not cpu.vm.quirks.switch_window_unchecked:
        entry.step = "cancel"


def cancel(cpu: Vcpu, entry: Entry) -> str:
    """Start over as if the guest had run and left."""
    entry.cancelled += 1
    left_guest(cpu)
    return "handle_hv"


def take_up(cpu: Vcpu) -> None:
    """Use the new VMSA and the new calling area, if there are any."""
    quirks = cpu.vm.quirks
    if cpu.new_guest is not None:
        new, cpu.new_guest = cpu.new_guest, None
        new.alternate_injection = cpu.guest.alternate_injection
        cpu.guest = new
        cpu.new_calling = CallingPage(cpu.calling.address)
        if not quirks.foreign_vmsa_crashes:
            new.event_inj = 0
            new.vintr.v_irq = False
        if not quirks.vcpu_create_keeps_apic:
            apic.reset(cpu)
    if cpu.new_calling is not None:
        cpu.calling, cpu.new_calling = cpu.new_calling, None


def left_guest(cpu: Vcpu) -> None:
    """After the guest left, or a cancelled switch: an event whose delivery was cut short goes back
    into EVENTINJ, and the VMSA is no longer busy."""
    guest, quirks = cpu.guest, cpu.vm.quirks
    guest.vintr.busy = False
    ours = (
        cpu.vm.registration_count > 0
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
    return is_external(event) and cpu.apic.isr[-1:] == [event & EVENT_VECTOR]


STEPS: dict[str, Callable[[Vcpu, Entry], str]] = {
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


def advance(cpu: Vcpu, entry: Entry) -> None:
    """Make one step; a listener hears of what it took from the descriptor."""
    listener = cpu.vm.listener
    if listener is not None:
        listener.before_steps(cpu)
    entry.step = STEPS[entry.step](cpu, entry)
    if listener is not None:
        listener.after_steps(cpu)


def enter(cpu: Vcpu, entry: Entry, late: Callable[[], None] | None = None) -> None:
    """Run the steps in order. `late` is called once, inside the first window. Nobody else writes to the
    page but there: a listener hears of the steps before it as one, and of those after it."""
    listener, step = cpu.vm.listener, entry.step
    if listener is not None:
        listener.before_steps(cpu)
    while step != "entered":
        if late is not None and step == WINDOW:
            if listener is not None:
                listener.after_steps(cpu)
            late()
            late = None
            if listener is not None:
                listener.before_steps(cpu)
        step = STEPS[step](cpu, entry)
    entry.step = step
    if listener is not None:
        listener.after_steps(cpu)
