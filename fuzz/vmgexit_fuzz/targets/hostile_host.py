"""Invariant: a host may write and refuse anything at any time, and the SVSM still keeps the invariants in
`FOR_ANY_HOST`. The guest gets nothing that nobody asked for; priorities and calls stay right; a disabled
vCPU stays disabled; the SVSM does not stop.

The bytes are a program, as for `scenario`. An operation that only looks (`doorbell`, `state`) becomes an
act of the host where it has arguments. Most acts write a doorbell page with flags, events and a status
that mean something. The others make the host refuse a GHCB request.
"""

from __future__ import annotations

import random

from vmgexit.descriptions import Command
from vmgexit.machine import program
from vmgexit.machine.commands import REFUSABLE
from vmgexit.machine.program import CODES, CODES_WITHOUT_MEMORY, SIZE, spelled
from vmgexit.watch.invariants import INVARIANTS

from ..inputs import hostile
from .scenarios import Scenario

FOR_ANY_HOST = ("INV-2", "INV-5", "INV-6", "INV-7", "INV-9", "INV-10")

LOOKS = (CODES["doorbell"], CODES["state"])
_ARGUMENTS = 2  # from this byte on

# What the host writes: flags, per-VMPL events, and the status of the guest's descriptor but its vector.
FLAGS = (0x80, 0x80, 0x80, 0, 0x81, 0x82, 0xFF)
EVENTS = (2, 2, 2, 0, 7, 0xFF)
STATUS = (0, 0x100, 0x400, 0x4000, 0x4000, 0x4400, 0x4500, 0x80004000, 0x80000000, 0xFFFFFF00)
_STATUS_AT, _VECTORS_AT, _VECTORS = 0x80, 0x84, 0x3C


def act(operation: bytes) -> Command:
    """What the host does by the arguments of an operation."""
    cpu, kind, which, *numbers = operation[1:12]
    if kind % 4 == 3:
        return {"op": "host_refuse", "cpu": cpu, "call": REFUSABLE[which % len(REFUSABLE)]}
    own, flags, lazy, events, vector, status, place, size = numbers
    page = bytearray(256)
    page[0], page[1] = own, FLAGS[flags % len(FLAGS)]
    page[2], page[3] = lazy, EVENTS[events % len(EVENTS)]
    word = vector | STATUS[status % len(STATUS)]
    page[_STATUS_AT : _STATUS_AT + 4] = word.to_bytes(4, "little")
    start = _VECTORS_AT + place % _VECTORS
    held = operation[12:][: size % 25]
    page[start : start + len(held)] = held
    return {"op": "set_doorbell", "cpu": cpu, "hex": page.hex()}


class HostileHost(Scenario):
    """Scenarios in which the host follows no rule."""

    takes_guest = False
    invariants = tuple(one for one in INVARIANTS if one.name in FOR_ANY_HOST)

    def commands(self, data: bytes) -> list[Command]:
        read = []
        for at in range(0, len(data) - SIZE + 1, SIZE):
            operation = data[at : at + SIZE]
            if operation[0] % CODES_WITHOUT_MEMORY in LOOKS and any(operation[_ARGUMENTS:]):
                operation = spelled(act(operation))
            read.append(operation)
        return program.read(b"".join(read))

    def make(self, pick: random.Random) -> bytes:
        """A program of bursts in stock, with acts of the host."""
        return hostile.with_acts(self.stock.program(pick), self.row.longest, pick)

    def mutate(self, data: bytes, longest: int, seed: int) -> bytes:
        """Another program, with acts of the host put in between."""
        return hostile.mutate(data, longest, seed, self.stock)
