"""What the APIC half and the memory half of a machine share: the guest's state is a page, its VMSA.

The rules of interrupts work on `Vcpu.guest` and `Vcpu.calling`. With memory these are loaded from the VMSA
and the calling area before such rules run, and stored there afterwards.
"""

from __future__ import annotations

from ...wire.svsm import CallingArea
from ...wire.vmsa import RFLAGS_IF, SevFeatures, VintrCtrl
from ..memory.registry import Home
from ..memory.words import EVENT_INJ, EXIT_INT_INFO, FEATURES, RFLAGS, VINTR, words
from ..vcpu import CallingPage, Guest, mask
from ..vm import Vcpu
from . import entry
from .operands import memory_of

NO_EOI_REQUIRED = CallingArea.declaration["no_eoi_required"].bit_offset // 8
_ALTERNATE = mask(SevFeatures, "alternate_injection")


def load(cpu: Vcpu) -> None:
    """Take the guest's state from the VMSA and the calling area that the vCPU has mapped."""
    cpu.guest = _guest(cpu)
    _load_calling(cpu)


def store(cpu: Vcpu) -> None:
    """Put it back there."""
    memory, guest = memory_of(cpu), cpu.guest
    vmsa, area = cpu.mapped
    if vmsa is not None:
        held = words(memory.writable(vmsa))
        held[VINTR], held[EVENT_INJ] = int(guest.vintr), guest.event_inj
        held[EXIT_INT_INFO] = guest.exit_int_info
        held[RFLAGS] = _with(held[RFLAGS], RFLAGS_IF, is_set=guest.interrupts_enabled)
        if cpu.vm.has_apic:
            is_set = guest.alternate_injection
            held[FEATURES] = _with(held[FEATURES], _ALTERNATE, is_set=is_set)
    if area is not None and memory.is_usable(area):
        memory.writable(area)[NO_EOI_REQUIRED] = cpu.calling.no_eoi_required


def move(cpu: Vcpu, left: Home) -> None:
    """After the vCPU was given another VMSA or calling area than `left`: what it finds there."""
    if left.vmsa == cpu.mapped.vmsa:
        _load_calling(cpu)
        return
    cpu.new_guest = new = _guest(cpu)
    says_emulated = new.alternate_injection
    entry.take_up(cpu)
    # A vCPU that was handed over stays so (REG-3), whatever its next VMSA says.
    cpu.guest.alternate_injection &= says_emulated
    _load_calling(cpu)


def _guest(cpu: Vcpu) -> Guest:
    held = words(memory_of(cpu).writable(cpu.mapped.vmsa or 0))
    return Guest(
        interrupts_enabled=held[RFLAGS] & RFLAGS_IF != 0,
        vintr=VintrCtrl.of(held[VINTR]),
        event_inj=held[EVENT_INJ],
        exit_int_info=held[EXIT_INT_INFO],
        alternate_injection=cpu.vm.has_apic and held[FEATURES] & _ALTERNATE != 0,
    )


def _load_calling(cpu: Vcpu) -> None:
    area = cpu.mapped.calling_area
    if area is not None:
        offered = memory_of(cpu).read(area + NO_EOI_REQUIRED, 1)[0]
        cpu.calling = CallingPage(area, offered)


def _with(word: int, bit: int, *, is_set: bool) -> int:
    return word | bit if is_set else word & ~bit
