"""Bursts: several commands that belong together, made at random. Their weights are in `BURSTS`."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

from vmgexit.descriptions import Actor, Choice, Command, Flag, Hex, Holds, Kind, Number, Numbers
from vmgexit.guests.guest import Guest
from vmgexit.guests.values import NMI, Setting
from vmgexit.machine.commands import REFUSABLE, WITHOUT_MEMORY, call
from vmgexit.machine.kinds import Posts
from vmgexit.wire.apic import ApicCall, ApicRegister, MessageType
from vmgexit.wire.calls import calls
from vmgexit.wire.svsm import CoreCall, Protocol

from .stock import Stock

_SINGLE_REGISTERS = tuple(
    ApicRegister[name] for name in ("ID", "TPR", "PPR", "EOI", "LDR", "ICR", "SELF_IPI")
)
_NO_REGISTERS = (0, 0x800, 0x803, 0x80F, 0x82F, 0x831, 0x840, 0xFFFFFFFF)

# Vectors at the edges of what is allowed, and some that share a class or cross one. 31 has a bit of its
# own in the descriptor.
VECTORS = (0, 5, 15, 16, 30, 31, 31, 32, 0x31, 0x47, 0x50, 0x55, 0x61, 0x80, 0x85, 0xF1, 0xFF)
_DELIVERABLE = 31
_DELIVERED = sorted({vector for vector in VECTORS if vector >= _DELIVERABLE})
_CLASSES = [list(alike) for _, alike in groupby(_DELIVERED, lambda vector: vector >> 4)]
"""The vectors that can be delivered, by their class of priority."""
_DEPTHS = (2, 2, 2, 3, 3, 3, 4, 5)  # of interrupts above each other
EXITS = (0, 0x80000000, 0x80000200, 0x80000300, 0x80000B0D)
NUMBERS = (0, 1, 2, 3, 4, 0xFF, 0x100, 0x200, 0x300, 0xFFFFFFFF, 1 << 32, (1 << 64) - 1)
PAGES = (0x20002000, 0x30000000, 0x30001000, 0x30000800)

WORTH: dict[Holds, tuple[int, ...]] = {
    Holds.COUNT: (0, 1, 2, 3),
    Holds.VECTOR: VECTORS,
    Holds.EVENT: (*EXITS, *(0x80000000 | vector for vector in VECTORS)),
    Holds.BITS: (*NUMBERS, *PAGES),
}
"""The values that matter, by what a number holds."""

# How often a burst takes a vector that the program has already: bugs sit where interrupts meet.
SAME_VECTOR = 0.5

OF_ITS_TABLE = 0.5  # how often a burst is a call of the guest's table


class Pick(random.Random):
    """Choices for one program. `present` are the vectors that are in it."""

    present: Sequence[int] = ()
    guest: Guest | None = None  # whose calls are made half of the time
    stock: Stock | None = None  # where bursts come from, instead of being made

    def vector(self, lowest: int = 0) -> int:
        """A vector, often one that the program has, not below `lowest`."""
        near = [vector for vector in self.present if vector >= lowest]
        if near and self.random() < SAME_VECTOR:
            return self.choice(near)
        return self.choice([vector for vector in VECTORS if vector >= lowest])


Burst = Callable[[Pick, int], list[Command]]


def _refuse(cpu: int, request: str) -> Command:
    return {"op": "host_refuse", "cpu": cpu, "call": request}


def _write(cpu: int, register: int, value: int) -> Command:
    return call(cpu, ApicCall.WRITE_REGISTER, register, value)


def _read(pick: Pick, cpu: int) -> Command:
    registers = pick.choice((_SINGLE_REGISTERS, tuple(ApicRegister), _NO_REGISTERS))
    return call(cpu, ApicCall.READ_REGISTER, pick.choice(registers))


def _enter(pick: Pick, cpu: int, late: float = 0.2) -> Command:
    """An entry, with that probability one in whose window something arrives."""
    command: Command = {"op": "enter", "cpu": cpu}
    if pick.random() < late:
        command["late"] = [
            {"vector": pick.vector(), "level": pick.random() < 0.3}
            for _ in range(pick.randint(1, 2))
        ]
    return command


def _post(pick: Pick, cpu: int, operation: str = "host_irq") -> Command:
    level = pick.random() < 0.35
    return {"op": operation, "cpu": cpu, "vector": pick.vector(), "level": level}


def _take(cpu: int) -> Command:
    return {"op": "guest_take", "cpu": cpu}


def _enabled(cpu: int) -> Command:
    return {"op": "guest", "cpu": cpu, "if": True, "shadow": False}


def _guest(pick: Pick, cpu: int) -> Command:
    command: Command = {
        "op": "guest",
        "cpu": cpu,
        "if": pick.random() < 0.75,
        "shadow": pick.random() < 0.1,
    }
    if pick.random() < 0.2:
        command["cr8"] = pick.randrange(16)
    return command


def _end(pick: Pick, cpu: int) -> Command:
    if pick.random() < 0.5:
        return {"op": "guest_lazy_eoi", "cpu": cpu}
    return _write(cpu, ApicRegister.EOI, pick.choice((0,) * 9 + (1,)))


def _interrupt(pick: Pick, cpu: int) -> list[Command]:
    """The host posts, the guest is entered, takes and ends."""
    run = [_post(pick, cpu), _enter(pick, cpu), _take(cpu), _end(pick, cpu), _enter(pick, cpu)]
    if pick.random() < 0.3:
        run[4:4] = [_post(pick, cpu)]
    if pick.random() < 0.05:
        run[1:1] = [_refuse(cpu, "specific_eoi")]
    return run[: pick.randint(2, len(run))]


def _ipi(pick: Pick, cpu: int) -> list[Command]:
    """A vCPU sends to itself or to others."""
    if pick.random() < 0.5:
        sent = _write(cpu, ApicRegister.SELF_IPI, pick.vector())
    else:
        icr = pick.vector() | pick.choice((0, 0, 4)) << 8 | pick.randrange(2) << 11
        icr |= pick.choice((0, 0, 1, 2, 3)) << 18
        icr |= pick.choice((0, 1, 2, 3, 0xFFFFFFFF, 0x00010001)) << 32
        if pick.random() < 0.2:  # reserved, or of no meaning to an x2APIC
            icr |= 1 << pick.choice((12, 13, 14, 15, 16, 17, 20, 31))
        sent = _write(cpu, ApicRegister.ICR, icr)
    other = pick.randrange(4)
    refused = [_refuse(cpu, "hv_ipi")] if pick.random() < 0.1 else []
    return [*refused, sent, _enter(pick, cpu), _take(cpu), _enter(pick, other), _take(other)]


def _register(pick: Pick, cpu: int) -> list[Command]:
    """Registration calls, and what a vCPU then still finds."""
    requests = pick.choices((0, 1, 2, 3), (3, 4, 3, 1), k=pick.randint(1, 4))
    made = [call(pick.randrange(4), ApicCall.CONFIGURE_EMULATION, r) for r in requests]
    if pick.random() < 0.15:
        made.insert(0, _refuse(made[-1]["cpu"], "disable_alternate_injection"))
    asked = pick.choice((Protocol.APIC, Protocol.APIC, *range(6), 0xFFFFFFFF))
    version = pick.choice((1, 1, 1, 0, 2))
    query = call(cpu, CoreCall.QUERY_PROTOCOL, asked << 32 | version, protocol=Protocol.CORE)
    return [*made, query, _read(pick, cpu)]


def _nested(pick: Pick, cpu: int) -> list[Command]:
    """Interrupts above each other, each taken and none ended."""
    run = [_enabled(cpu)] if pick.random() < 0.5 else []
    levels = pick.sample(_CLASSES, pick.choice(_DEPTHS))
    for vector in sorted(map(pick.choice, levels)):
        comes = _write(cpu, ApicRegister.SELF_IPI, vector)
        if pick.random() < 0.25:
            comes = _post(pick, cpu) | {"vector": vector}
        run += [comes, _enter(pick, cpu), _take(cpu)]
    return run


def _nest(pick: Pick, cpu: int) -> list[Command]:
    """Interrupts above each other, on one vCPU or on two; some of them end, one by one."""
    run = _nested(pick, cpu)
    if pick.random() < 0.2:
        run += _nested(pick, pick.randrange(3))
    for _ in range(pick.choice((0, 2, 2, 2, 3))):
        run += [_end(pick, cpu), _enter(pick, cpu)]
    return run


def _cut_short(pick: Pick, cpu: int) -> list[Command]:
    """A delivery is intercepted and repeated, and something else comes meanwhile."""
    vector = pick.vector(_DELIVERABLE)
    event = pick.choice((0x80000000 | vector, 0x80000000 | vector, pick.choice(EXITS)))
    left = {"op": "intercept", "cpu": cpu, "exitintinfo": event, "busy": pick.random() < 0.3}
    run = [_write(cpu, ApicRegister.SELF_IPI, vector), _enter(pick, cpu), _take(cpu), left]
    if pick.random() < 0.75:  # enabled at once, or only once V_IRQ carries it
        run.insert(pick.choice((0, 2)), _enabled(cpu))
    meanwhile: Callable[[], list[Command]] = pick.choice(
        (
            lambda: _ipi(pick, pick.randrange(4))[:1],
            lambda: [_post(pick, cpu)],
            lambda: [_write(cpu + 1, ApicRegister.ICR, MessageType.NMI << 8 | cpu << 32)],
            lambda: _register(pick, cpu),
            list,
        )
    )
    return [*run, *meanwhile(), _enter(pick, cpu, late=0.5), _take(cpu)]


def _remap(pick: Pick, cpu: int) -> list[Command]:
    """The calling area moves while something is in service."""
    moved = call(cpu, CoreCall.REMAP_CA, pick.choice(PAGES), protocol=Protocol.CORE)
    return [*_nested(pick, cpu), moved, _end(pick, cpu), _enter(pick, cpu)]


def _step_by_step(pick: Pick, cpu: int) -> list[Command]:
    """The host and the SVSM take turns, access by access."""
    run = [_post(pick, cpu) for _ in range(pick.randint(0, 2))]
    for _ in range(pick.randint(4, 24)):
        if pick.random() < 0.2:
            run.append(_post(pick, cpu, pick.choice(("host_begin", "host_irq"))))
        run.append({"op": pick.choice(("svsm_step", "svsm_step", "host_step")), "cpu": cpu})
    return [*run, _enter(pick, cpu), _take(cpu)]


def _new_vcpu(pick: Pick, cpu: int) -> list[Command]:
    """A vCPU is created anew while its old self had work."""
    new: Command = {"op": "set_vmsa", "cpu": cpu}
    if pick.random() < 0.5:
        new["event_inj"] = 0x80000000 | pick.vector()
    return [*_nested(pick, cpu), new, _enter(pick, cpu), _take(cpu)]


def _unruly(pick: Pick, cpu: int) -> list[Command]:
    """A host that writes what it likes, or refuses."""
    if pick.random() < 0.3:
        return [_refuse(cpu, pick.choice(REFUSABLE))]
    page = bytearray(256)
    page[1] = pick.choice((0, 0x80, 0x80, 0x81, 0x82, 0xFF))
    page[3] = pick.choice((0, 2, 2, 7))
    status = pick.vector() | pick.choice((0, 0x100, 0x400, 0x4000, 0x4400, 0x80004000))
    page[0x80:0x84] = status.to_bytes(4, "little")
    for _ in range(pick.randint(0, 3)):
        page[0x84 + pick.randrange(60)] = pick.getrandbits(8)
    written = {"op": "set_doorbell", "cpu": cpu, "hex": page.hex()}
    return [written, _enter(pick, cpu), _take(cpu)]


def _settings(pick: Pick, cpu: int) -> list[Command]:
    """What decides what comes through: allowed vectors, IF, TPR."""
    return [
        call(cpu, ApicCall.CONFIGURE_VECTOR, pick.choice((0x300, 0x300, 0x200, 0x10E, 0x161))),
        _guest(pick, cpu),
        _write(cpu, ApicRegister.TPR, pick.choice((0, 0x10, 0x3F, 0x50, 0xFF))),
        _read(pick, cpu),
    ][: pick.randint(1, 4)]


def _any_calls(pick: Pick, cpu: int) -> list[Command]:
    """Calls of every protocol, and some unknown ones."""
    made = []
    for _ in range(pick.randint(1, 3)):
        known = pick.choice(calls())
        number = known.number + pick.choice((0, 0, 0, 0, 1, 0x100))
        rcx, rdx = pick.choice((*PAGES, *NUMBERS)), pick.choice((*PAGES, *NUMBERS))
        made.append(call(cpu, number, rcx, rdx, protocol=known.protocol))
    return made


def _any_command(pick: Pick, cpu: int) -> list[Command]:
    """A command of any kind but those that only look, each argument by itself."""
    described = pick.choice([one for one in WITHOUT_MEMORY.values() if one.by is not Actor.NOBODY])
    made: Command = {"op": described.name}
    for argument in described.arguments:
        if not argument.optional or pick.random() < 0.5:
            made[argument.name] = _any_value(pick, argument.kind)
    return [made | {"cpu": cpu}]


def _any_value(pick: Pick, kind: Kind) -> Any:
    match kind:
        case Number(most, least, holds):
            return pick.choice([value for value in WORTH[holds] if least <= value <= most])
        case Flag():
            return pick.random() < 0.5
        case Choice(names):
            return pick.choice(names)
        case Hex(size):
            return pick.randbytes(size).hex()
        case Numbers(each):
            return [_any_value(pick, each)]
        case Posts(arguments):
            return [{one.name: _any_value(pick, one.kind) for one in arguments}]


def _of_table(pick: Pick, cpu: int) -> list[Command]:
    """A call of the guest's table, and what follows from it."""
    assert pick.guest is not None
    setting = Setting((0, 1, 2), (pick.vector(_DELIVERABLE), NMI), PAGES)
    rows = [row for row in pick.guest.makes if not row.in_memory]
    if not rows:
        return [_enter(pick, cpu), _take(cpu)]
    row = pick.choice(rows)
    rcx, rdx, r8 = pick.choice(list(row.given(setting)))
    made = call(cpu, row.request, rcx, rdx, r8, protocol=row.protocol)
    other = pick.randrange(3)
    return [made, _enter(pick, cpu), _take(cpu), _enter(pick, other), _take(other)]


BURSTS: dict[Burst, int] = {
    _interrupt: 6,
    _settings: 5,
    _ipi: 4,
    _nest: 3,
    _register: 3,
    _cut_short: 3,
    _step_by_step: 7,
    _remap: 2,
    _new_vcpu: 1,
    _unruly: 2,
    _any_calls: 1,
    _any_command: 1,
}


def any_burst(pick: Pick) -> list[Command]:
    """One burst: by the weights, or, where there is a guest, a call of its table half of the time."""
    if pick.guest is not None and pick.random() < OF_ITS_TABLE:
        return _of_table(pick, pick.choice((0, 0, 1, 2)))
    burst = pick.choices(list(BURSTS), list(BURSTS.values()))[0]
    return burst(pick, pick.choice((0, 0, 1, 2)))
