"""The host: it posts interrupts to the guest VMPL and answers the SVSM's requests.

`STEPS` is the table of a post: each step makes one atomic access to the doorbell page and names the
next, so that an SVSM which takes at the same time never loses or doubles an interrupt. Facts: the doorbell
rules of COCONUT-SVSM kernel/src/cpu/apic.rs, read from the consumer's side (DESC-3, DESC-4).
"""

from __future__ import annotations

from collections.abc import Callable

from ...wire.doorbell import LOWEST_VECTOR
from ..vcpu import (
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
    Posting,
)
from ..vm import Vcpu


def read_status(cpu: Vcpu, post: Posting) -> str:
    """Read the status word and decide. What follows compares with what was read."""
    post.status = status = cpu.words[STATUS_WORD]
    field, vector = status & VECTOR, post.vector
    if not vector:
        return "refused"
    if post.level:
        if field and status & LEVEL:
            return "set_event" if field == vector else "refused"
        if not field:
            return "put_level"
        return "move_occupant" if field >= LOWEST_VECTOR else "refused"
    if not field and not status & MULTIPLE:
        return "put_edge"
    if field == vector and not status & (LEVEL | MULTIPLE):
        return "set_event"
    moves = field and not status & (LEVEL | MULTIPLE)
    if vector < LOWEST_VECTOR or (moves and field < LOWEST_VECTOR):
        return "refused"
    return "move_occupant" if moves else "set_irr"


def put_edge(cpu: Vcpu, post: Posting) -> str:
    """Compare-and-swap the vector into the empty field."""
    return "set_event" if _swap(cpu, post, post.status | post.vector) else "read_status"


def put_level(cpu: Vcpu, post: Posting) -> str:
    """Compare-and-swap the vector into the empty field, with LevelSensitive."""
    return "set_event" if _swap(cpu, post, post.status | post.vector | LEVEL) else "read_status"


def move_occupant(cpu: Vcpu, post: Posting) -> str:
    """Compare-and-swap the edge vector out of the field, before it appears in the IRR: found in both
    places it would be two."""
    if not _swap(cpu, post, post.status & ~VECTOR):
        return "read_status"
    post.occupant = post.status & VECTOR
    return "set_occupant"


def set_occupant(cpu: Vcpu, post: Posting) -> str:
    """Set the moved vector's IRR bit. A level post then has the field to itself."""
    set_irr_bit(cpu, post.occupant)
    return "set_multiple" if post.level else "set_irr"


def set_irr(cpu: Vcpu, post: Posting) -> str:
    """Set the vector's IRR bit."""
    set_irr_bit(cpu, post.vector)
    return "set_multiple"


def set_multiple(cpu: Vcpu, post: Posting) -> str:
    """Set MultipleVectors, last and always: the SVSM may have cleared it since it was read."""
    cpu.words[STATUS_WORD] |= MULTIPLE
    return "read_status" if post.level else "set_event"


def set_event(cpu: Vcpu, post: Posting) -> str:
    """Set the guest VMPL's bit in the SVSM's own event byte (DESC-3)."""
    cpu.page[EVENTS_AT] |= GUEST_EVENT
    return "signal"


def signal(cpu: Vcpu, post: Posting) -> str:
    """Set NoFurtherSignal; a #HV is raised unless one is outstanding (DESC-4)."""
    post.raised = not cpu.page[FLAGS_AT] & NO_FURTHER_SIGNAL
    cpu.page[FLAGS_AT] |= NO_FURTHER_SIGNAL
    cpu.hv_raised |= post.raised
    return "posted"


def _swap(cpu: Vcpu, post: Posting, new: int) -> bool:
    if cpu.words[STATUS_WORD] != post.status:
        return False
    cpu.words[STATUS_WORD] = new
    return True


STEPS: dict[str, Callable[[Vcpu, Posting], str]] = {
    step.__name__: step
    for step in (
        read_status,
        put_edge,
        put_level,
        move_occupant,
        set_occupant,
        set_irr,
        set_multiple,
        set_event,
        signal,
    )
}
ENDS = ("posted", "refused")


def advance(cpu: Vcpu, post: Posting) -> None:
    """Make one atomic access of a post."""
    post.step = STEPS[post.step](cpu, post)


def finish(cpu: Vcpu, post: Posting) -> bool:
    """Carry a post to its end: whether it was accepted. A refused one has changed nothing."""
    step = post.step
    while step not in ENDS:
        post.step = step = STEPS[step](cpu, post)
    return step == "posted"


def set_irr_bit(cpu: Vcpu, vector: int) -> None:
    """Set a vector's bit in the descriptor: in the status word for 31, in the IRR above."""
    if vector == LOWEST_VECTOR:
        cpu.words[STATUS_WORD] |= VECTOR_31
    else:
        cpu.words[IRR_WORD + vector // 32] |= 1 << vector % 32
