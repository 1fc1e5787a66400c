"""Mutating programs for `hostile-host`: as for `scenario`, with acts of the host between the commands.

An act is an operation with random arguments; the target reads a meaning into any arguments.
"""

from __future__ import annotations

import random

from vmgexit.machine.program import CODES, SIZE, spelled

from . import programs

OFTEN = 0.7  # how often acts are put in
MOST_ACTS = 4

_STEP = {"op": "svsm_step", "cpu": 0}
_AFTER = (b"", b"", spelled(_STEP), spelled(_STEP) * 3, spelled({"op": "enter", "cpu": 0}))


def mutate(data: bytes, longest: int, seed: int) -> bytes:
    """Another program, of at most `longest` bytes. Never raises, whatever `data` is."""
    pick = random.Random(seed)
    changed = programs.mutate(data, longest, pick.getrandbits(31))
    if changed and pick.random() < OFTEN:
        for _ in range(pick.randint(1, MOST_ACTS)):
            at = pick.randint(1, len(changed) // SIZE) * SIZE
            act = bytes([CODES["doorbell"], pick.choice((0, 0, 1))]) + pick.randbytes(SIZE - 2)
            changed = changed[:at] + act + pick.choice(_AFTER) + changed[at:]
    return changed[: longest - longest % SIZE]
