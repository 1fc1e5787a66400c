"""Invariant: whatever guests call an SVSM with memory for, MEM-1 to MEM-12 and INV-9 hold.

The bytes are a program, as for `scenario`, of a machine with memory. With `svsm` the host is honest: it
takes no page, and passes requests to the secure processor on. With `svsm-hostile` it remaps, unassigns,
splits, joins and lies at any time. Guest messages are sealed, and reports signed.
"""

from __future__ import annotations

from typing import Any

from vmgexit.descriptions import Command
from vmgexit.devices import Devices
from vmgexit.devices.sealed import Sealed
from vmgexit.machine import program
from vmgexit.machine.commands import NOT_ON_MEMORY

from ..inputs import memory, memory_programs
from ..inputs.stock import Stock
from .scenarios import ProgramTarget

OPENING: Command = {
    "op": "init",
    "cpus": 2,
    "memory": [[0, memory.END]],
    "svsm": [memory.SVSM, 0x200000],
    "caa": memory.FIRST_AREA,
    "sev_features": memory.FEATURES,
    "npf": "assign",
    "unvalidated": "input",
    "pages": [[0, memory.SVSM, "valid", 0]],
}
"""In the place of a machine that has no memory."""

_JUDGED = {"init", "host_page", "psp", *NOT_ON_MEMORY}
"""Commands that a host may not give, or that are of no use here."""


class WholeSvsm(ProgramTarget):
    """Any scenario on a machine with memory, whose host takes nothing."""

    takes_guest = False
    is_quick = True
    devices = Devices(Sealed())
    hostile = False

    def stocked(self) -> Stock:
        return memory_programs.stock(hostile=self.hostile)

    def commands(self, data: bytes) -> list[Command]:
        allowed: list[Command] = []
        for command in program.read(data, memory=True):
            if command["op"] not in _JUDGED:
                allowed.append(command)
            elif (changed := self._allowed(command)) is not None:
                allowed.append(changed)
        return allowed

    def _allowed(self, command: Command) -> Command | None:
        """One of `_JUDGED` as this host may give it; None where it may not, or where it has no use."""
        match command["op"]:
            case "init" if "memory" not in command:
                return OPENING | {key: command[key] for key in ("cpus", "reg_count")}
            case "host_page" if not self.hostile:
                return None
            case "psp" if not self.hostile:
                return {**command, "answers": list(filter(_is_honest, command["answers"]))}
            case name if name in NOT_ON_MEMORY:
                return None
        return command

    def mutate(self, data: bytes, longest: int, seed: int) -> bytes:
        return memory_programs.mutate(data, longest, seed, self.stock)


class HostileWholeSvsm(WholeSvsm):
    """The same with a host that follows no rule."""

    hostile = True


def _is_honest(answer: Any) -> bool:
    """Whether the secure processor, or a host that has no room or no time, can answer so."""
    return answer == "ok" or (isinstance(answer, dict) and answer.get("rbx", 0) < 1 << 32)
