"""The host: it posts interrupts to the guest VMPL and answers the SVSM's requests.

The order of a post is fixed, and each numbered step is one atomic access to the doorbell page, so
that an SVSM which takes at the same time never loses or doubles an interrupt. Facts: the doorbell
rules of COCONUT-SVSM kernel/src/cpu/apic.rs, read from the consumer's side (DESC-3, DESC-4).
"""

from __future__ import annotations

from dataclasses import dataclass

from .vcpu import (
    EVENTS_AT,
    FLAGS_AT,
    GUEST_EVENT,
    IRR_WORD,
    LEVEL,
    MULTIPLE,
    NO_FURTHER_SIGNAL,
    STATUS_WORD,
    VECTOR,
    VECTOR_31,
    Vcpu,
)

LOWEST = 31  # vectors below have no place but the single field


@dataclass(frozen=True, slots=True)
class Post:
    """An interrupt that the host posted for a vCPU's guest VMPL."""

    cpu: int
    vector: int
    level: bool


@dataclass(frozen=True, slots=True)
class HostCall:
    """One GHCB request that the SVSM made."""

    cpu: int
    call: str  # specific_eoi, hv_ipi, disable_alternate_injection
    info1: int  # EXITINFO1
    info2: int = 0  # EXITINFO2

    def as_dict(self) -> dict[str, int | str]:
        return {"cpu": self.cpu, "call": self.call, "info1": self.info1, "info2": self.info2}


def post(cpu: Vcpu, vector: int, level: bool) -> tuple[bool, bool]:
    """Post one interrupt for the guest VMPL: (was it accepted, was a #HV raised).

    A refused post changes nothing.
    """
    accepted = _post_level(cpu, vector) if level else _post_edge(cpu, vector)
    return accepted, accepted and signal(cpu)


def signal(cpu: Vcpu) -> bool:
    """Tell VMPL0 that the descriptor changed; a #HV is raised unless one is outstanding (DESC-4)."""
    cpu.page[EVENTS_AT] |= GUEST_EVENT
    raised = not cpu.page[FLAGS_AT] & NO_FURTHER_SIGNAL
    cpu.page[FLAGS_AT] |= NO_FURTHER_SIGNAL
    cpu.hv_raised |= raised
    return raised


def _post_edge(cpu: Vcpu, vector: int) -> bool:
    status = cpu.words[STATUS_WORD]
    occupant = status & VECTOR
    if not vector:
        return False
    if status & MULTIPLE:
        if vector < LOWEST:
            return False
        set_irr(cpu, vector)
    elif not occupant:
        cpu.words[STATUS_WORD] = status | vector
    elif status & LEVEL:
        if vector < LOWEST:
            return False
        set_irr(cpu, vector)
        cpu.words[STATUS_WORD] |= MULTIPLE
    elif occupant != vector:
        if vector < LOWEST or occupant < LOWEST:
            return False
        # The occupant leaves the field before it appears in the IRR: taken twice it would be two.
        cpu.words[STATUS_WORD] = status & ~VECTOR
        set_irr(cpu, vector)
        set_irr(cpu, occupant)
        cpu.words[STATUS_WORD] |= MULTIPLE
    return True


def _post_level(cpu: Vcpu, vector: int) -> bool:
    status = cpu.words[STATUS_WORD]
    occupant = status & VECTOR
    if not vector:
        return False
    if status & LEVEL and occupant:
        return occupant == vector
    if occupant:
        if occupant < LOWEST:
            return False
        cpu.words[STATUS_WORD] = status & ~VECTOR
        set_irr(cpu, occupant)
        cpu.words[STATUS_WORD] |= MULTIPLE
    cpu.words[STATUS_WORD] |= vector | LEVEL
    return True


def set_irr(cpu: Vcpu, vector: int) -> None:
    """Set a vector's bit in the descriptor: in the status word for 31, in the IRR above."""
    if vector == LOWEST:
        cpu.words[STATUS_WORD] |= VECTOR_31
    else:
        cpu.words[IRR_WORD + vector // 32] |= 1 << vector % 32
