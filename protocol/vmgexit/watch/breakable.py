"""What each command can break, for `Quick`: a function for each in `COMMANDS`.

It carries the command out, brings the tallies up to date as `ledger` does, and asks for those
invariants alone that the command can break. What each of them says stands in `invariants`.
"""

from __future__ import annotations

from collections.abc import Callable

from ..descriptions import Command
from ..machine.vcpu import (
    EVENT_VALID,
    EVENT_VECTOR,
    EVENTS_AT,
    GUEST_EVENT,
    STATUS_WORD,
    is_external,
    is_nmi,
)
from ..machine.vm import Vcpu
from .called import call
from .hold import acknowledged, ascending, entered, nothing_lost
from .tally import Tallies, Tally

# --- what each command can break ------------------------------------------------------------------------


def _alone(watch: Tallies, cpu: Vcpu, tally: Tally, command: Command) -> None:
    """What the host and the guest do to memory and registers that the SVSM has not looked at."""
    watch.acts[command["op"]](watch.machine, cpu, command)


def _guest(watch: Tallies, cpu: Vcpu, tally: Tally, command: Command) -> None:
    _alone(watch, cpu, tally, command)
    if command.get("cr8", tally.tpr >> 4) != tally.tpr >> 4:
        tally.tpr = command["cr8"] << 4


def _set_vmsa(watch: Tallies, cpu: Vcpu, tally: Tally, command: Command) -> None:
    _alone(watch, cpu, tally, command)
    tally.new_tpr = (command.get("vintr", 0) & 0xFF) << 4 & 0xFF


def _set_doorbell(watch: Tallies, cpu: Vcpu, tally: Tally, command: Command) -> None:
    _alone(watch, cpu, tally, command)
    tally.honest = False
    tally.meddled = cpu.entry is not None


def _guest_lazy_eoi(watch: Tallies, cpu: Vcpu, tally: Tally, command: Command) -> None:
    if not watch.acts["guest_lazy_eoi"](watch.machine, cpu, command):
        return
    tally.end_lazily()


def _guest_take(watch: Tallies, cpu: Vcpu, tally: Tally, command: Command) -> None:
    taken, vector = watch.acts["guest_take"](watch.machine, cpu, command)
    if taken == "none" or tally.closed:
        return
    unasked = False
    if taken == "nmi":
        unasked = not (tally.nmi_owed or tally.nmi_may)
        if tally.nmi_owed:
            tally.nmi_owed = False
        else:
            tally.nmi_may = max(tally.nmi_may - 1, 0)
    elif taken in ("event", "virq"):
        bit, level = 1 << vector, False
        if tally.may & bit:
            tally.may &= ~bit
        else:
            unasked = not tally.owed & bit
            level = tally.owed_level & bit != 0
            tally.owed &= ~bit
            tally.owed_level &= ~bit
        if tally.early == vector:
            tally.early = None
        else:
            tally.delivered.append(vector)
            tally.level.append(level)
    tally.last_taken = (taken, vector)
    if unasked and tally.genuine:
        watch.broken("INV-2")
    nothing_lost(watch, cpu, tally)


def enter(watch: Tallies, cpu: Vcpu, tally: Tally, command: Command) -> None:
    emulated, requests = cpu.guest.alternate_injection, cpu.vm.requests
    due = tally.take_up() if tally.new_tpr is not None and cpu.entry is None else []
    made = len(requests)
    signalled = cpu.page[EVENTS_AT] & GUEST_EVENT != 0
    status = cpu.words[STATUS_WORD] if signalled else 0
    watch.acts["enter"](watch.machine, cpu, command)
    if watch.dropped or due or len(requests) > made:
        _dropped(watch, due)
        acknowledged(watch, cpu, tally, made, due)
    entered(watch, cpu, tally, emulated, status, signalled)
    nothing_lost(watch, cpu, tally)


def _svsm_step(watch: Tallies, cpu: Vcpu, tally: Tally, command: Command) -> None:
    emulated, requests = cpu.guest.alternate_injection, cpu.vm.requests
    due = tally.take_up() if tally.new_tpr is not None and cpu.entry is None else []
    made = len(requests)
    step = watch.acts["svsm_step"](watch.machine, cpu, command)
    if watch.dropped or due or len(requests) > made:
        _dropped(watch, due)
        acknowledged(watch, cpu, tally, made, due)
    if step == "entered":
        entered(watch, cpu, tally, emulated, 0, False)
    elif not tally.closed and len(cpu.apic.isr) > 1:
        ascending(watch, cpu.apic.isr)
    nothing_lost(watch, cpu, tally)


def _intercept(watch: Tallies, cpu: Vcpu, tally: Tally, command: Command) -> None:
    emulated = cpu.guest.alternate_injection
    waiting = 0 if cpu.new_guest is not None else cpu.guest.event_inj
    due = tally.take_up() if tally.new_tpr is not None and cpu.entry is None else []
    made = len(cpu.vm.requests)
    watch.acts["intercept"](watch.machine, cpu, command)
    event = command["exitintinfo"]
    if emulated and event & EVENT_VALID and event != waiting:
        _cut_short(watch, tally, event, waiting)
    acknowledged(watch, cpu, tally, made, due)
    if not tally.closed and len(cpu.apic.isr) > 1:
        ascending(watch, cpu.apic.isr)
    nothing_lost(watch, cpu, tally)


def _cut_short(watch: Tallies, tally: Tally, event: int, waiting: int) -> None:
    """As `ledger._intercept`."""
    vector, external, nmi = event & EVENT_VECTOR, is_external(event), is_nmi(event)
    if waiting & EVENT_VALID or ((external or nmi) and not _was_taken(watch, tally, event)):
        tally.honest = tally.genuine = False
        if external:
            tally.may |= 1 << vector
        tally.nmi_may += nmi
    elif nmi:
        tally.nmi_owed = True
    elif external:
        tally.delivered.pop()
        bit = 1 << vector
        tally.owed |= bit
        tally.owed_level = tally.owed_level & ~bit | bit * tally.level.pop()


def _was_taken(watch: Tallies, tally: Tally, event: int) -> bool:
    if watch.last_taken is None:
        return False
    taken, vector = watch.last_taken
    if not is_external(event):
        return taken == "nmi"
    newest = tally.delivered[-1] if tally.delivered else None
    return taken in ("event", "virq") and vector == newest == event & EVENT_VECTOR


def _dropped(watch: Tallies, due: list[int]) -> None:
    """What the SVSM dropped of what the host waits for is due at once."""
    due += watch.dropped
    watch.dropped = []


COMMANDS: dict[str, Callable[[Tallies, Vcpu, Tally, Command], None]] = {
    "call": call,
    "enter": enter,
    "svsm_step": _svsm_step,
    "intercept": _intercept,
    "guest_take": _guest_take,
    "guest_lazy_eoi": _guest_lazy_eoi,
    "guest": _guest,
    "set_vmsa": _set_vmsa,
    "set_doorbell": _set_doorbell,
    **dict.fromkeys(("host_irq", "host_begin", "host_step", "host_refuse"), _alone),
    **dict.fromkeys(("svsm_hv", "doorbell", "state"), _alone),
}
