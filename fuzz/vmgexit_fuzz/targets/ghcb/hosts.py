"""Invariant: no scenario of exits, MSR words and events breaks an invariant of a GHCB host.

The bytes are a scenario (`programs`). It runs on a host of the profile under HOST-1 to HOST-12. Of another
profile than the reference, an answer that the reference does not give is a finding too: a difference, which
says less than a broken invariant.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

from vmgexit.compare.replay import differences
from vmgexit.descriptions import Command
from vmgexit.hosts.quirks import REFERENCE
from vmgexit.hosts.scenario import Session, show
from vmgexit.watch.hosts.invariants import HostWatch
from vmgexit.watch.judged import Violation
from vmgexit.wire.exits import find_exit

from ..base import Conditions, Finding, Target, TargetRow, as_finding
from ..scenarios import finding
from . import programs
from .mutation import crossover, make, mutate


class HostScenarios(Target):
    """Scenarios of a host, under all invariants."""

    takes_profile = True
    operation = programs.SIZE
    arguments = programs.ARGUMENTS

    def __init__(self, row: TargetRow, conditions: Conditions) -> None:
        super().__init__(row, conditions)
        self.quirks = row.quirks(conditions.profile)

    def run(self, data: bytes) -> int:
        commands = programs.read(data)
        self.carry_out(commands)
        return len(commands)

    def carry_out(self, commands: list[Command]) -> None:
        for _ in self._steps(commands):
            pass

    def _steps(self, commands: list[Command]) -> Iterator[Command]:
        """Each command, carried out under watch and beside the reference. Raises Finding."""
        watch = HostWatch(Session(self.quirks))
        other = None if self.quirks == REFERENCE else Session(REFERENCE)
        for index, command in enumerate(commands):
            try:
                answer = watch.execute(command)
            except Violation as violation:
                raise finding(violation) from None
            if other is not None and answer != (expected := other.execute(command)):
                raise _difference(command, differences(answer, expected), index + 1)
            yield command

    def examine(self, data: bytes) -> tuple[Finding | None, str]:
        commands = programs.read(data)
        done = 0
        try:
            for _ in self._steps(commands):
                done += 1
        except (Exception, SystemExit) as error:
            return as_finding(error), show(commands[: done + 1], mark=done)
        return None, self.read(data)

    def read(self, data: bytes) -> str:
        return show(programs.read(data))

    def count(self, data: bytes) -> int:
        return len(programs.read(data))

    def lines(self, data: bytes) -> str:
        """The scenario as the one line that `vmgexit replay` takes."""
        operations = [{"cmd": command} for command in programs.read(data)]
        return json.dumps({"kind": "host", "ops": operations}) + "\n"

    def mutate(self, data: bytes, longest: int, seed: int) -> bytes:
        return mutate(data, longest, seed)

    def make(self, pick: random.Random) -> bytes:
        return make(pick)[: self.row.longest]

    def crossover(self, one: bytes, other: bytes, longest: int, seed: int) -> bytes:
        """The beginning of one scenario and the end of the other."""
        return crossover(one, other, longest, seed)


def _difference(command: Command, found: dict[str, tuple[object, object]], steps: int) -> Finding:
    """The difference of the last of so many commands."""
    place = command["op"]
    if place == "vmgexit":
        page = programs.page_in(command)
        row = find_exit(page.sw_exit_code)
        place = f"the exit {row.name}" if row else "an exit that does not exist"
    keys = ", ".join(sorted({key.partition(".")[0] for key in found}))
    told = "; ".join(
        f"{key}: {ours!r} found, {theirs!r} expected" for key, (ours, theirs) in found.items()
    )
    return Finding(
        f"differs from the reference at {place}: {keys}",
        f"differs from the reference at {place}: {told}"[:400],
        place=place,
        steps=steps,
    )
