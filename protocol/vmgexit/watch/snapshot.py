"""The state of a vCPU in words, for the reader of a finding."""

from __future__ import annotations

from collections.abc import Iterator

from ..machine.vcpu import EVENTS_AT, FLAGS_AT, GUEST_EVENT, NO_FURTHER_SIGNAL
from ..machine.vm import Vcpu
from ..schema import set_numbers
from .whereabouts import carried, descriptor


def snapshot(cpu: Vcpu) -> str:
    """The state of one vCPU in one line; what is empty or off is left out."""
    parts = _parts(cpu) if cpu.vm.memory is None or cpu.vm.has_apic else ()
    return "; ".join((f"vCPU {cpu.index}", *_on_memory(cpu), *parts))


def _on_memory(cpu: Vcpu) -> Iterator[str]:
    """Where the vCPU is at home, and every VMSA that the SVSM knows; nothing without memory."""
    if cpu.vm.registry is None:
        return
    home = cpu.home
    yield "idle" if not cpu.in_guest else "executing" if _executes(cpu) else "in its guest"
    if home.vmsa is not None:
        yield f"VMSA {home.vmsa:#x}"
    if home.calling_area is not None:
        yield f"calling area {home.calling_area:#x}"
    if cpu.mapped != home and cpu.mapped.vmsa is not None:
        yield f"still in VMSA {cpu.mapped.vmsa:#x}"
    yield "registered " + ", ".join(
        f"{one.vmsa:#x} with {one.calling_area:#x} of vCPU {one.cpu}"
        for one in cpu.vm.registry.entries
    )


def _executes(cpu: Vcpu) -> bool:
    return cpu.vm.memory is not None and cpu.index in cpu.vm.memory.running


def _parts(cpu: Vcpu) -> Iterator[str]:
    guest, local, held = cpu.guest, cpu.apic, descriptor(cpu)
    yield f"count {cpu.vm.registration_count}"
    if not guest.alternate_injection:
        yield "handed over"
    yield f"IF {guest.interrupts_enabled:d}"
    if cpu.tpr:
        yield f"TPR class {guest.vintr.v_tpr}"
    if local.isr:
        yield "in service " + " below ".join(
            f"{vector:#x}{' (level)' * level}"
            for vector, (level, _) in zip(local.isr, local.isr_tmr, strict=True)
        )
    for name, vectors in (("IRR", local.irr), ("level-triggered", local.tmr)):
        if vectors:
            yield f"{name} {_listed(vectors)}"
    if carried(cpu) is not None:
        yield f"carries {carried(cpu):#x}"
    for name, event in (("EVENTINJ", guest.event_inj), ("EXITINTINFO", guest.exit_int_info)):
        if event:
            yield f"{name} {event:#x}"
    if guest.vintr.v_irq:
        yield f"V_IRQ {guest.vintr.v_intr_vector:#x}"
    if local.nmi_pending:
        yield "NMI pending"
    if local.lazy_eoi_pending or cpu.calling.no_eoi_required:
        yield f"lazy EOI {local.lazy_eoi_pending:d}, NoEoiRequired {cpu.calling.no_eoi_required}"
    if cpu.mailbox.pending:
        yield f"mailbox {_listed(cpu.mailbox.irr)}{' NMI' * cpu.mailbox.nmi}"
    if cpu.entry is not None:
        yield f"entry before {cpu.entry.step}"
    if cpu.posting is not None:
        yield f"host before {cpu.posting.step} of {cpu.posting.vector:#x}"
    if held.pending or held.nmi or held.multiple:
        yield (
            f"descriptor {_listed(held.pending)}{' level' * held.level}"
            f"{' MultipleVectors' * held.multiple}{' NMI' * held.nmi}"
        )
    if cpu.page[EVENTS_AT] & GUEST_EVENT:
        yield "event bit"
    if cpu.page[FLAGS_AT] & NO_FURTHER_SIGNAL:
        yield "NoFurtherSignal"


def _listed(vectors: int) -> str:
    numbers = [f"{vector:#x}" for vector in set_numbers(vectors)]
    return ", ".join(numbers[:8]) + f" and {len(numbers) - 8} more" * (len(numbers) > 8) or "none"
