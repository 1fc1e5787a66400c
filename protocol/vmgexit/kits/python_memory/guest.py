"""The guest of an SVSM that emulates APICs: it works on a copy of what VMSA and calling area hold."""

from __future__ import annotations

from .layouts import CallingArea, SevFeatures, Vmsa, get, put
from .memory import Memory
from .vm import Guest, Vcpu

RFLAGS_IF = 0x200


def guest_in(memory: Memory, vmsa: int) -> Guest:
    """The state that a VMSA holds."""
    features = memory.get(vmsa, Vmsa.SEV_FEATURES)
    return Guest(
        interrupts_enabled=memory.get(vmsa, Vmsa.RFLAGS) & RFLAGS_IF != 0,
        alternate_injection=get(features, SevFeatures.ALTERNATE_INJECTION) != 0,
        vintr=memory.get(vmsa, Vmsa.VINTR_CTRL),
        event_inj=memory.get(vmsa, Vmsa.EVENT_INJ),
        exit_int_info=memory.get(vmsa, Vmsa.GUEST_EXITINTINFO),
    )


def load_calling_area(memory: Memory, cpu: Vcpu) -> None:
    area = memory.places[cpu.index].mapped.area
    if area is not None:
        cpu.calling_address = area
        cpu.no_eoi_required = memory.get(area, CallingArea.NO_EOI_REQUIRED)


def load_guest(memory: Memory, cpu: Vcpu) -> None:
    vmsa = memory.places[cpu.index].mapped.vmsa
    assert vmsa is not None
    cpu.guest = guest_in(memory, vmsa)
    load_calling_area(memory, cpu)


def store_guest(memory: Memory, cpu: Vcpu) -> None:
    mapped, guest = memory.places[cpu.index].mapped, cpu.guest
    vmsa, area = mapped.vmsa, mapped.area
    assert vmsa is not None
    flags = memory.get(vmsa, Vmsa.RFLAGS) & ~RFLAGS_IF
    features = memory.get(vmsa, Vmsa.SEV_FEATURES)
    is_emulated = int(guest.alternate_injection)
    memory.put(vmsa, Vmsa.RFLAGS, flags | RFLAGS_IF * guest.interrupts_enabled)
    memory.put(vmsa, Vmsa.SEV_FEATURES, put(features, SevFeatures.ALTERNATE_INJECTION, is_emulated))
    memory.put(vmsa, Vmsa.VINTR_CTRL, guest.vintr)
    memory.put(vmsa, Vmsa.EVENT_INJ, guest.event_inj)
    memory.put(vmsa, Vmsa.GUEST_EXITINTINFO, guest.exit_int_info)
    if area is not None:
        entry = memory.pages.behind(area).rmp
        if entry.is_of(area) and entry.validated:
            memory.put(area, CallingArea.NO_EOI_REQUIRED, cpu.no_eoi_required)
