"""What several commands can break: the invariants of `Quick`, over its tallies.

Each says in integers what the invariant of its number says in `invariants`.
"""

from __future__ import annotations

from ..machine.vcpu import (
    EVENT_TYPE,
    EVENT_VALID,
    EVENT_VECTOR,
    EVENTS_AT,
    FLAGS_AT,
    GUEST_EVENT,
    MULTIPLE,
    NMI,
    NO_FURTHER_SIGNAL,
    STATUS_WORD,
    VECTOR,
    VECTOR_31,
)
from ..machine.vm import Vcpu
from ..wire.exit_codes import ExitCode
from .tally import DESCRIPTOR, IN_IRR, Tallies, Tally
from .whereabouts import carried, descriptor, nmi_located, settled

_SPECIFIC_EOI = ExitCode.SPECIFIC_EOI
_EVENT_KIND = EVENT_VALID | EVENT_TYPE
_TO_TAKE = IN_IRR | VECTOR_31 | VECTOR | MULTIPLE  # of a descriptor as one integer
_EMPTY = bytes(DESCRIPTOR.stop - DESCRIPTOR.start)


def acknowledged(watch: Tallies, cpu: Vcpu, tally: Tally, made: int, due: list[int]) -> None:
    """Since so many requests were made, exactly the level-triggered interrupts that are due were
    acknowledged (INV-4)."""
    requests = cpu.vm.requests
    if not (due or len(requests) > made) or not tally.honest or tally.closed:
        return
    ended = [one.info1 & 0xFF for one in requests[made:] if one.code is _SPECIFIC_EOI]
    if sorted(ended) != sorted(due):
        watch.broken("INV-4")


def entered(
    watch: Tallies, cpu: Vcpu, tally: Tally, emulated: bool, status: int, signalled: bool
) -> None:
    """The guest runs: `status` is that of a signalled descriptor before."""
    local = cpu.apic
    meddled, tally.meddled = tally.meddled, False
    offered = cpu.calling.no_eoi_required
    if offered or not local.lazy_eoi_pending:
        tally.early = None
    tally.token = None
    if offered:
        tally.token = carried(cpu)
        if tally.token is None and tally.delivered:
            tally.token = tally.delivered[-1]
    if not tally.closed:
        if (local.isr or tally.delivered) and tally.genuine:
            one_end(watch, cpu, tally)
        if len(local.isr) > 1:
            ascending(watch, local.isr)
    if not emulated:
        if carried(cpu) is not None:
            watch.broken("INV-7")
        return
    page, left = cpu.page, 0
    if cpu.hv_raised or (page[FLAGS_AT] & NO_FURTHER_SIGNAL and not meddled):
        watch.broken("INV-3")
    if cpu.posting is None and not meddled:  # else the host is not done, or obeys no order
        if tally.honest or (signalled and status & MULTIPLE):
            held = page[DESCRIPTOR]
            if held != _EMPTY:
                left = int.from_bytes(held, "little") & _TO_TAKE
        elif signalled:
            left = cpu.words[STATUS_WORD] & (VECTOR | MULTIPLE)
        if left or page[EVENTS_AT] & GUEST_EVENT:
            watch.broken("INV-3")
            if tally.honest and not cpu.hv_raised and descriptor(cpu).pending & tally.allowed:
                watch.broken("INV-1")  # nothing signals it any more
        if status & NMI and cpu.words[STATUS_WORD] & NMI:
            watch.broken("INV-8")
    irr = local.irr
    if irr:
        newest = local.isr[-1] if local.isr else 0
        if irr & 0xFFFF or irr.bit_length() - 1 >> 4 > newest >> 4:
            watch.broken("INV-3")


def one_end(watch: Tallies, cpu: Vcpu, tally: Tally) -> None:
    """In service is what the guest took and did not end (INV-5)."""
    if settled(cpu) != tally.delivered:
        watch.broken("INV-5")


def ascending(watch: Tallies, in_service: list[int]) -> None:
    """Classes in service ascend (INV-6)."""
    below = -1
    for vector in in_service:
        if vector >> 4 <= below:
            watch.broken("INV-6")
        below = vector >> 4


def nothing_lost(watch: Tallies, cpu: Vcpu, tally: Tally) -> None:
    """What the guest is owed is on its way, NMIs too (INV-1, INV-8)."""
    if tally.closed or not tally.honest:
        return
    owed = tally.owed | tally.mailed
    if owed:
        guest = cpu.guest
        owed &= ~(cpu.apic.irr | cpu.mailbox.irr)
        if owed:
            for event in (guest.event_inj, guest.exit_int_info):
                if event & _EVENT_KIND == EVENT_VALID:
                    owed &= ~(1 << (event & EVENT_VECTOR))
            if guest.vintr.v_irq:
                owed &= ~(1 << guest.vintr.v_intr_vector)
            if owed:
                watch.broken("INV-1")
    if (tally.nmi_owed or tally.nmi_mailed) and not nmi_located(cpu):
        watch.broken("INV-8")
