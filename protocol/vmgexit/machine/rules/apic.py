"""The local APIC that the SVSM emulates for the guest: priorities, accepting, presenting, EOI.

Facts: COCONUT-SVSM kernel/src/cpu/apic.rs; Intel SDM 3A chapter 10 for priorities (an AMD guest sees
the same). A vector's class is its upper four bits. Every departure of an implementation is asked for
by name (`quirks`) beside the rule it breaks.
"""

from __future__ import annotations

from functools import lru_cache

from ...schema import set_numbers
from ...wire.doorbell import LOWEST_VECTOR
from ...wire.exit_codes import ExitCode
from ...wire.injection import DisableInjection, SpecificEoi
from ..vcpu import (
    EVENT_VALID,
    EVENT_VECTOR,
    GUEST_VMPL,
    IRR_WORD,
    ISR_WORD,
    LEVEL,
    MULTIPLE,
    NMI,
    NMI_EVENT,
    STATUS_WORD,
    VECTOR,
    VECTOR_31,
    LocalApic,
    Mailbox,
    is_external,
    is_nmi,
)
from ..vm import Assertion, Reason, Termination, Vcpu


def priority(vector: int) -> int:
    """The class of a vector or of a task priority."""
    return vector >> 4


def top(vectors: int) -> int:
    """The highest vector of a set; 0 for the empty one."""
    return vectors.bit_length() - 1 if vectors else 0


def task_priority(cpu: Vcpu) -> int:
    """TPR. The VMSA keeps a class; the low bits are ours, as long as the guest did not write CR8."""
    v_tpr, low = cpu.apic.tpr_low
    kept = low if v_tpr == cpu.guest.vintr.v_tpr else 0
    return cpu.tpr | (0 if cpu.vm.quirks.tpr_low_nibble_dropped else kept)


def processor_priority(cpu: Vcpu) -> int:
    """PPR: the class in service where it is above the task priority's, else the task priority."""
    newest = cpu.apic.isr[-1] if cpu.apic.isr else 0
    tpr = task_priority(cpu)
    if priority(newest) <= priority(tpr):
        return tpr
    return newest if cpu.vm.quirks.ppr_keeps_low_nibble else newest & 0xF0


# --- accepting -------------------------------------------------------------------------------------


def accept(apic: LocalApic, vector: int, *, level: bool = False, from_host: bool = False) -> None:
    """Make a vector pending. An edge one joins a level one that is pending already."""
    apic.irr |= 1 << vector
    if level:
        apic.tmr |= 1 << vector
    if from_host and level:
        apic.host_tmr |= 1 << vector
    apic.update_required = True


def take_mailbox(cpu: Vcpu) -> None:
    """Move what other vCPUs sent into the local APIC."""
    mailbox, apic = cpu.mailbox, cpu.apic
    if not mailbox.pending:
        return
    mailbox.pending = False
    apic.irr |= mailbox.irr
    apic.nmi_pending |= mailbox.nmi
    mailbox.irr, mailbox.nmi = 0, False
    apic.update_required = True


# --- presenting, rewinding, ending -----------------------------------------------------------------


def present(cpu: Vcpu) -> None:
    """Put what is pending where the hardware delivers it from: EVENTINJ or V_IRQ. One at a time."""
    apic, guest = cpu.apic, cpu.guest
    if not apic.update_required:
        return
    rewind(cpu)
    apic.update_required = False
    if apic.nmi_pending:
        if not guest.event_inj & EVENT_VALID or cpu.vm.quirks.nmi_overwrites_reinjection:
            guest.event_inj = NMI_EVENT
            apic.nmi_pending = False
        else:
            apic.update_required = True  # another event is being delivered; try at the next entry
    apic.lazy_eoi_pending = False
    cpu.calling.no_eoi_required = 0
    vector = top(apic.irr)
    if priority(vector) <= priority(apic.isr[-1] if apic.isr else 0):
        return
    in_service_before = bool(apic.isr)
    at_once = (
        guest.interrupts_enabled
        and not guest.vintr.int_shadow
        and priority(vector) > priority(processor_priority(cpu))
        and not guest.event_inj & EVENT_VALID
    )
    if at_once:
        guest.event_inj = EVENT_VALID | vector
        apic.interrupt_delivered = True
    else:
        guest.vintr.v_intr_vector = vector
        guest.vintr.v_intr_prio = priority(vector)
        guest.vintr.v_ign_tpr = False
        guest.vintr.v_irq = True
        apic.interrupt_queued = True
    apic.irr &= ~(1 << vector)
    is_level = bool(apic.tmr >> vector & 1)
    _push(cpu, vector)
    if (at_once or not in_service_before) and not is_level and top(apic.irr) == 0:
        cpu.calling.no_eoi_required = 1
        apic.lazy_eoi_pending = True


def rewind(cpu: Vcpu) -> None:
    """Take back what the guest has not taken, and settle a lazy EOI that it has made."""
    apic, guest = cpu.apic, cpu.guest
    if apic.interrupt_delivered:
        apic.interrupt_delivered = False
        event = guest.event_inj
        if is_external(event) and _take_back(cpu, event & EVENT_VECTOR):
            guest.event_inj = 0
    if apic.interrupt_queued:
        apic.interrupt_queued = False
        if guest.vintr.v_irq and _take_back(cpu, guest.vintr.v_intr_vector):
            guest.vintr.v_irq = False
    if apic.lazy_eoi_pending and not cpu.calling.no_eoi_required:
        end_of_interrupt(cpu)


def _take_back(cpu: Vcpu, vector: int) -> bool:
    """Make a vector that was presented pending again; False where it is not the one that was, and
    the guest's own business."""
    apic = cpu.apic
    if not apic.isr or apic.isr[-1] != vector:
        if vector and cpu.vm.quirks.foreign_vmsa_crashes:
            raise Assertion("the vector taken back is not the newest in service")
        return cpu.vm.quirks.foreign_vmsa_crashes
    apic.isr.pop()
    level, from_host = apic.isr_tmr.pop()
    apic.tmr |= level << vector
    apic.host_tmr |= from_host << vector
    apic.irr |= 1 << vector
    apic.update_required = True
    apic.lazy_eoi_pending = False
    return True


def _push(cpu: Vcpu, vector: int) -> None:
    """Put a vector in service. Whether it is level-triggered goes with it, not with its number."""
    apic, bit = cpu.apic, 1 << vector
    apic.isr.append(vector)
    if cpu.vm.quirks.level_on_edge_in_service:
        apic.isr_tmr.append((False, False))
        return
    apic.isr_tmr.append((bool(apic.tmr & bit), bool(apic.host_tmr & bit)))
    apic.tmr &= ~bit
    apic.host_tmr &= ~bit


def end_of_interrupt(cpu: Vcpu) -> None:
    """End the highest interrupt in service, if there is one (INV-5)."""
    apic = cpu.apic
    if not apic.isr:
        return
    vector = apic.isr.pop()
    level, from_host = apic.isr_tmr.pop()
    if cpu.vm.quirks.level_on_edge_in_service:
        bit = 1 << vector
        level, from_host = bool(apic.tmr & bit), bool(apic.host_tmr & bit)
        apic.tmr &= ~bit
        apic.host_tmr &= ~bit
    if level and from_host:
        specific_eoi(cpu, vector)
    apic.update_required = True
    apic.lazy_eoi_pending = False


def specific_eoi(cpu: Vcpu, vector: int) -> None:
    """Tell the host that a level-triggered interrupt ended. Its refusal is only logged."""
    cpu.vm.request(cpu, ExitCode.SPECIFIC_EOI, _eoi_word(vector))


@lru_cache(256)
def _eoi_word(vector: int) -> int:
    return int(SpecificEoi(vector=vector, vmpl=GUEST_VMPL))


def reset(cpu: Vcpu) -> None:
    """Start a new vCPU with an empty local APIC. Level-triggered interrupts of the host that are
    dropped with the old one are acknowledged, so that their lines can rise again (INV-4)."""
    old = cpu.apic
    in_service = [v for v, (_, from_host) in zip(old.isr, old.isr_tmr, strict=True) if from_host]
    cpu.apic, cpu.mailbox = LocalApic(), Mailbox()
    for vector in (*in_service, *set_numbers(old.host_tmr)):
        specific_eoi(cpu, vector)


# --- handing over to the host ----------------------------------------------------------------------


def leave_calling_area(cpu: Vcpu) -> None:
    """Take back what was presented; the guest goes on with another calling area, which is zero."""
    is_offered = cpu.apic.lazy_eoi_pending
    rewind(cpu)
    if is_offered and not cpu.vm.quirks.remap_loses_lazy_eoi:
        # Its next EOI is an explicit one.
        cpu.apic.lazy_eoi_pending = False
        cpu.calling.no_eoi_required = 0


def disable(cpu: Vcpu) -> None:
    """Give this vCPU's interrupts to the host through the descriptor, once (EXIT-1, INV-7)."""
    quirks, apic, guest = cpu.vm.quirks, cpu.apic, cpu.guest
    rewind(cpu)
    if not quirks.emulation_survives_disable:
        take_mailbox(cpu)
    if is_nmi(guest.event_inj):
        guest.event_inj = 0
        apic.nmi_pending = True
    words = cpu.words
    words[STATUS_WORD] |= MULTIPLE | NMI * apic.nmi_pending
    status = words[STATUS_WORD]
    if not status & LEVEL and status & VECTOR >= LOWEST_VECTOR:
        apic.irr |= 1 << (status & VECTOR)
    if apic.irr >> LOWEST_VECTOR & 1 and not quirks.handoff_drops_vector_31:
        words[STATUS_WORD] |= VECTOR_31
    in_service = sum({1 << vector for vector in apic.isr})
    for word in range(8):
        if word:
            words[IRR_WORD + word] |= apic.irr >> 32 * word & 0xFFFFFFFF
        words[ISR_WORD + word] = in_service >> 32 * word & 0xFFFFFFFF
    cpu.calling.no_eoi_required = 0
    if not quirks.lazy_eoi_survives_disable:
        apic.lazy_eoi_pending = False
    state = DisableInjection(
        interrupts_enabled=guest.interrupts_enabled,
        interrupt_shadow=guest.vintr.int_shadow,
        tpr=cpu.tpr,
        vmpl=GUEST_VMPL,
    )
    guest.alternate_injection = False
    if not cpu.vm.emulated(cpu):
        cpu.apic = LocalApic()
    if not cpu.vm.request(cpu, ExitCode.DISABLE_ALTERNATE_INJECTION, int(state)):
        if quirks.refused_disable_crashes:
            raise Assertion("the host refused DISABLE")
        raise Termination(Reason.DISABLE_REFUSED)
