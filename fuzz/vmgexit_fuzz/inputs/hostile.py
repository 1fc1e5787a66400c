"""Mutating programs for `hostile-host`: as for `scenario`, with acts of the host between the commands.

An act is an operation with random arguments; the target reads a meaning into any arguments.
"""

from __future__ import annotations

import random

from vmgexit.machine.program import CODES, SIZE, spelled

from . import programs
from .stock import Stock

OFTEN = 0.7  # how often acts are put in
MOST_ACTS = 4

_STEP = {"op": "svsm_step", "cpu": 0}
_AFTER = (b"", b"", spelled(_STEP), spelled(_STEP) * 3, spelled({"op": "enter", "cpu": 0}))


def mutate(data: bytes, longest: int, seed: int, stock: Stock | None = None) -> bytes:
    """Another program, of at most `longest` bytes. Never raises, whatever `data` is. With a `stock` its
    bursts come from there."""
    pick = random.Random(seed)
    changed = programs.mutate(data, longest, pick.getrandbits(31), stock=stock)
    return with_acts(changed, longest, pick)


def with_acts(program: bytes, longest: int, pick: random.Random) -> bytes:
    """A program, mostly with acts of the host between its commands; at most `longest` bytes."""
    if program and pick.random() < OFTEN:
        for _ in range(pick.randint(1, MOST_ACTS)):
            at = pick.randint(1, len(program) // SIZE) * SIZE
            act = bytes([CODES["doorbell"], pick.choice((0, 0, 1))]) + pick.randbytes(SIZE - 2)
            program = program[:at] + act + pick.choice(_AFTER) + program[at:]
    return program[: longest - longest % SIZE]
