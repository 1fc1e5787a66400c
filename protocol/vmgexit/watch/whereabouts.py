"""Where the interrupts of a vCPU stand: in the descriptor, in the SVSM, on the way to the guest.

This is read off the machine as it is. What it should hold is in the books of the ledger.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..machine.rules.shared import NO_EOI_REQUIRED
from ..machine.vcpu import (
    EVENT_VECTOR,
    IRR_WORD,
    LEVEL,
    MULTIPLE,
    NMI,
    STATUS_WORD,
    VECTOR,
    VECTOR_31,
    is_external,
    is_nmi,
)
from ..machine.vm import Vcpu
from ..schema import set_numbers
from ..wire.doorbell import LOWEST_VECTOR


@dataclass(slots=True)
class Descriptor:
    """What a descriptor holds: its single field, and its set of vectors (31 included)."""

    field: int
    level: bool
    multiple: bool
    vectors: int
    nmi: bool

    @property
    def pending(self) -> int:
        """Every vector in it, as a 256-bit set."""
        return self.vectors | (1 << self.field if self.field else 0)


def descriptor(cpu: Vcpu) -> Descriptor:
    """The guest VMPL's descriptor as it stands in the doorbell page."""
    status = cpu.words[STATUS_WORD]
    vectors = (1 << LOWEST_VECTOR) * bool(status & VECTOR_31)
    for word in range(1, 8):
        vectors |= cpu.words[IRR_WORD + word] << 32 * word
    return Descriptor(
        status & VECTOR, bool(status & LEVEL), bool(status & MULTIPLE), vectors, bool(status & NMI)
    )


def carried(cpu: Vcpu) -> int | None:
    """The interrupt that the SVSM has put where the hardware takes it from, and that is still there."""
    if cpu.apic.interrupt_delivered and is_external(cpu.guest.event_inj):
        return cpu.guest.event_inj & EVENT_VECTOR
    if cpu.apic.interrupt_queued and cpu.guest.vintr.v_irq:
        return cpu.guest.vintr.v_intr_vector
    return None


def located(cpu: Vcpu) -> int:
    """Every vector that is pending somewhere on its way to the guest, as a 256-bit set."""
    vectors = _in_guest(cpu)
    if is_external(cpu.guest.exit_int_info):
        vectors |= 1 << (cpu.guest.exit_int_info & EVENT_VECTOR)
    return vectors


def _in_guest(cpu: Vcpu) -> int:
    vectors = cpu.apic.irr | cpu.mailbox.irr
    if is_external(cpu.guest.event_inj):
        vectors |= 1 << (cpu.guest.event_inj & EVENT_VECTOR)
    if cpu.guest.vintr.v_irq:
        vectors |= 1 << cpu.guest.vintr.v_intr_vector
    return vectors


def nmi_located(cpu: Vcpu) -> bool:
    """Whether an NMI is pending somewhere on its way to the guest."""
    in_event = is_nmi(cpu.guest.event_inj) or is_nmi(cpu.guest.exit_int_info)
    return cpu.apic.nmi_pending or cpu.mailbox.nmi or in_event


def offered(cpu: Vcpu) -> int:
    """NoEoiRequired as it stands in the calling area; a guest may write there at any time."""
    memory, area = cpu.vm.memory, cpu.mapped.calling_area
    if memory is None or area is None:
        return cpu.calling.no_eoi_required
    return memory.read(area + NO_EOI_REQUIRED, 1)[0]


def settled(cpu: Vcpu) -> list[int]:
    """What is in service once the SVSM has looked: without what the guest has not taken, and without
    what it has ended lazily."""
    vectors, presented = cpu.apic.isr[:], carried(cpu)
    if vectors and (presented is not None or (cpu.apic.lazy_eoi_pending and not offered(cpu))):
        vectors.pop()
    # A re-injected interrupt is in service for the SVSM and not taken by the guest.
    event = cpu.guest.event_inj
    if presented is None and vectors and is_external(event) and vectors[-1] == event & EVENT_VECTOR:
        vectors.pop()
    return vectors


def visible(cpu: Vcpu) -> tuple[object, ...]:
    """What the guest can see of its interrupts and the VM's, whatever the SVSM took back since."""
    pending = _in_guest(cpu)
    event = cpu.guest.event_inj
    nmi = cpu.apic.nmi_pending or cpu.mailbox.nmi or (event if not is_external(event) else 0)
    tokens = tuple(map(offered, cpu.vm.vcpus))
    bits = tuple(other.guest.alternate_injection for other in cpu.vm.vcpus)
    kept = (cpu.apic.icr, cpu.apic.allowed, cpu.guest.vintr.v_tpr, cpu.vm.registration_count)
    return (pending, nmi, settled(cpu), tokens, bits, kept)


def listed(vectors: int) -> str:
    """A set of vectors for a person."""
    return ", ".join(f"{vector:#x}" for vector in set_numbers(vectors)) or "none"
