"""Every move of a small system: what its host, its SVSMs and its guests can do in a state.

A guest that is known makes the calls of its table (`guests`). Without one, guests end interrupts in
both ways, send to all others, and configure.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from ..descriptions import Command
from ..guests.guest import Guest, Makes, When
from ..guests.values import Setting
from ..machine.commands import REFUSABLE, call
from ..machine.rules.entry import WINDOW
from ..machine.rules.guest import can_take
from ..machine.vcpu import EVENT_VALID, Entry
from ..machine.vm import Vcpu
from ..watch.ledger import Account
from ..watch.watch import Watch
from ..wire.apic import ApicCall, ApicIcr, ApicRegister, Shorthand
from ..wire.svsm import Protocol
from .system import Budget, Commands, Enabled, Left, Running, System

_CALLING_AREAS = (0x30000000, 0x30001000, 0x30002000, 0x30003000, 0x30004000)
"""Pages that guests move their calling areas to; one more than there are vCPUs."""


def enabled(
    watch: Watch, system: System, running: Running, left: Budget
) -> Iterator[tuple[Commands, Running, Budget]]:
    """Every move from a state."""
    for cpu, account in zip(watch.machine.vm.vcpus, watch.ledger.accounts, strict=True):
        own = left if isinstance(left, Left) else left[cpu.index]
        yield from (
            (
                commands,
                then,
                after
                if isinstance(left, Left)
                else (*left[: cpu.index], after, *left[cpu.index + 1 :]),
            )
            for commands, then, after in (
                *of_host(cpu, running, own),
                *of_vcpu(cpu, account, system, running, own),
            )
        )


def of_host(cpu: Vcpu, running: Running, left: Left) -> Enabled:
    """What the host does to a vCPU: it goes on with a post or starts one; or it will refuse a request."""
    if cpu.posting is not None:
        yield _one("host_step", cpu.index), running, left
    else:
        for post in left.posts:
            rest = tuple(other for other in left.posts if other is not post)
            yield _post(cpu.index, *post), running, left._replace(posts=rest)
    if left.refusals:
        fewer = left._replace(refusals=left.refusals - 1)
        for name in REFUSABLE:
            yield _one("host_refuse", cpu.index, call=name), running, fewer


def of_vcpu(cpu: Vcpu, account: Account, system: System, running: Running, left: Left) -> Enabled:
    """What a vCPU does: its SVSM takes a step, its hardware delivers, or its guest goes on."""
    index, stopped, guest = cpu.index, stop(running, cpu.index), system.guest
    if system.handler_in_window and cpu.hv_raised and in_window(cpu.entry):
        yield _one("svsm_hv", index), running, left  # the hardware waits for nobody
    elif not running[index]:
        yield walk(index), running, left
    elif cpu.hv_raised:  # VMPL0 runs next (SCHED-1)
        yield walk(index), stopped, left
    elif can_take(cpu.guest):  # the hardware waits for nobody
        yield _one("guest_take", index), running, left
        if left.intercepts:
            fewer = left._replace(intercepts=left.intercepts - 1)
            yield _cut_short(index, _delivered(cpu)), stopped, fewer
    else:
        if cpu.mailbox.pending:  # another vCPU's IPI: the host notifies
            yield walk(index), stopped, left
        toggled = {"if": not cpu.guest.interrupts_enabled, "shadow": False}
        yield _one("guest", index, **toggled), running, left
        if guest is None:
            yield from _any_guest(cpu, account, running, left)
        else:
            yield from _known(guest, system.words, cpu, account, running, left)
        if left.creations and (guest is None or _is_quiet(cpu, account)):
            fewer = left._replace(creations=left.creations - 1)
            yield _one("set_vmsa", index), stopped, fewer


def in_window(entry: Entry | None) -> bool:
    """Whether an entry is in the switch window."""
    return entry is not None and entry.step == WINDOW


def _any_guest(cpu: Vcpu, account: Account, running: Running, left: Left) -> Enabled:
    """What a guest of which nothing is known does."""
    index, stopped = cpu.index, stop(running, cpu.index)
    if account.delivered:
        if cpu.calling.no_eoi_required:
            yield _one("guest_lazy_eoi", index), running, left
        elif cpu.guest.alternate_injection:
            yield _called(index, ApicCall.WRITE_REGISTER, ApicRegister.EOI), stopped, left
    if cpu.guest.alternate_injection:
        for vector in left.ipis:
            yield _send(index, vector), stopped, _without(left, vector)
    if left.calls:
        fewer = left._replace(calls=left.calls - 1)
        for request in range(3):
            yield _called(index, ApicCall.CONFIGURE_EMULATION, request), stopped, fewer


def _known(
    guest: Guest,
    words: frozenset[int],
    cpu: Vcpu,
    account: Account,
    running: Running,
    left: Left,
) -> Enabled:
    """The calls of a guest's table, but those on memory, which the machine does not have."""
    stopped = stop(running, cpu.index)
    now = {When.ANY}
    if account.delivered:
        now.add(When.TAKEN)
    if _is_quiet(cpu, account):
        now.add(When.QUIET)
    ids = tuple(other.apic_id for other in cpu.vm.vcpus)
    used = {(other.new_calling or other.calling).address for other in cpu.vm.vcpus}
    page = next(page for page in _CALLING_AREAS if page not in used)
    for row, commands in _table(guest, words, cpu.index, Setting(ids, (), (page,))):
        if row.when in now:
            yield commands, stopped, left
    for vector in left.ipis:
        for row, commands in _table(guest, words, cpu.index, Setting(ids, (vector,))):
            if row.sends:
                yield commands, stopped, _without(left, vector)


def _is_quiet(cpu: Vcpu, account: Account) -> bool:
    """Whether the guest is where it starts a CPU, and where it takes one away."""
    return not (cpu.guest.interrupts_enabled or account.delivered)


def _delivered(cpu: Vcpu) -> int:
    """What EXITINTINFO holds when an intercept cuts the next delivery short."""
    event = cpu.guest.event_inj
    return event if event & EVENT_VALID else EVENT_VALID | cpu.guest.vintr.v_intr_vector


def _without(left: Left, vector: int) -> Left:
    return left._replace(ipis=tuple(other for other in left.ipis if other != vector))


def stop(running: Running, index: int) -> Running:
    """The same with one guest stopped."""
    return (*running[:index], False, *running[index + 1 :])


# --- the commands of a move; equal ones are one object ------------------------------------------------


@cache
def _one(operation: str, cpu: int, **arguments: Any) -> Commands:
    return ({"op": operation, "cpu": cpu, **arguments},)


@cache
def _called(cpu: int, request: int, rcx: int) -> Commands:
    return (call(cpu, request, rcx),)


@cache
def _send(cpu: int, vector: int) -> Commands:
    icr = ApicIcr(vector=vector, shorthand=Shorthand.ALL_BUT_SELF)
    return (call(cpu, ApicCall.WRITE_REGISTER, ApicRegister.ICR, int(icr)),)


@cache
def _table(
    guest: Guest, words: frozenset[int], cpu: int, setting: Setting
) -> tuple[tuple[Makes, Commands], ...]:
    return tuple(
        (row, (command,))
        for row, command in guest.calls(cpu, setting)
        if not row.in_memory and not _reads_nothing(command, words)
    )


def _reads_nothing(command: Command, words: frozenset[int]) -> bool:
    """Whether a call reads a part of IRR, ISR or TMR in which no vector of the system is."""
    register = command["rcx"]
    return (
        command["protocol"] == Protocol.APIC
        and command["request"] == ApicCall.READ_REGISTER
        and ApicRegister.ISR0 <= register <= ApicRegister.IRR7
        and (register - ApicRegister.ISR0) % 8 not in words
    )


@cache
def _cut_short(cpu: int, event: int) -> Commands:
    left = _one("intercept", cpu, exitintinfo=event, busy=False)
    return (*_one("guest_take", cpu), *left)


@cache
def _post(cpu: int, vector: int, level: bool) -> Commands:
    return (*_one("host_begin", cpu, vector=vector, level=level), *_one("host_step", cpu))


@cache
def walk(cpu: int, steps: int = 1) -> Commands:
    """So many steps of an SVSM."""
    return _one("svsm_step", cpu) * steps
