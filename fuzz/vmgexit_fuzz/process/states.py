"""The coarse state of what is fuzzed as coverage, for what lines of code cannot tell apart.

After each command some cells describe it and the state that it left: of an SVSM by `machine_states`, of a
GHCB host by `host_states`. The cells are few and bounded on purpose: a hash of the whole state floods the
corpus with inputs that mean nothing.

Use: `target.observe = marking(target.row)` before the engine is given the counters of `probes`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vmgexit.descriptions import Command
from vmgexit.sequences import HOST

from .. import probes
from ..targets import TargetRow
from . import host_states, machine_states

Seen = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class States:
    """The states of a target. `seen` gives all that the cells look at after a command, the same more often
    than not, and nothing for `init`; `cells` gives the cells of that, each below `count`."""

    seen: Callable[[Any, Command], Seen]
    cells: Callable[[Seen], tuple[int, ...]]
    count: int


_OF_A_MACHINE = States(machine_states.seen, machine_states.cells, machine_states.CELLS)
_OF_A_HOST = States(host_states.seen, host_states.cells, host_states.CELLS)


def of(row: TargetRow) -> States:
    """The states of a target that has some."""
    return _OF_A_HOST if row.machine == HOST else _OF_A_MACHINE


def marking(row: TargetRow) -> Callable[[Any, Command], None]:
    """Make room among the counters that the engine reads; what marks there the cells of the state after a
    command, once an input, which begins with `init`."""
    states = of(row)
    first, seen, cells = probes.reserve(states.count), states.seen, states.cells
    marked: set[Seen] = set()  # since the input began

    def mark(machine: Any, command: Command) -> None:
        if command["op"] == "init":
            marked.clear()
        state = seen(machine, command)
        if state not in marked:
            marked.add(state)
            for cell in cells(state):
                probes.counters[first + cell] = 1

    return mark
