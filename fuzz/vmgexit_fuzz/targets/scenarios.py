"""Invariant: no scenario, of any commands in any order, breaks an invariant of the machine.

The bytes are a program (`vmgexit.machine.program`): every byte string is one. It runs on a fresh
machine of the profile under all invariants; the reference is what must hold. `ProgramTarget` is the
base of every target whose inputs are programs.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Protocol

from vmgexit.descriptions import Answer, Command
from vmgexit.devices import RECORDED, Devices
from vmgexit.guests.follow import as_guest
from vmgexit.guests.profiles import find_guest
from vmgexit.machine import program
from vmgexit.machine.machine import Machine
from vmgexit.machine.quirks import profile
from vmgexit.machine.scenario import show as show_scenario
from vmgexit.machine.scenario import to_lines
from vmgexit.watch.invariants import INVARIANTS
from vmgexit.watch.judged import Invariant, Violation
from vmgexit.watch.quick import Quick
from vmgexit.watch.snapshot import snapshot
from vmgexit.watch.watch import Watch

from ..inputs import programs
from ..inputs.stock import Stock
from .base import Conditions, Finding, Target, TargetRow, as_finding

CHANGED = 1 / 4  # how often a program from nothing is changed


class Execution(Protocol):
    """What carries out the commands of one input."""

    @property
    def machine(self) -> Machine: ...

    def execute(self, command: Command) -> Answer: ...


class ProgramTarget(Target):
    """A target that runs each input on a fresh machine. A subclass says what carries it out."""

    operation = program.SIZE
    # The least telling first: R8, RDX, RCX, ...
    arguments = tuple(at for name, at in reversed(program.PLACES.items()) if name != "code")
    takes_guest = True
    takes_profile = True
    is_quick = False  # whether `Quick` stands for what `begin` gives
    invariants: Sequence[Invariant] = INVARIANTS  # those that hold for the inputs
    devices: Devices = RECORDED

    def __init__(self, row: TargetRow, conditions: Conditions) -> None:
        super().__init__(row, conditions)
        self.quirks = profile(conditions.profile)
        self.guest = find_guest(conditions.guest)
        self.stock = self.stocked()

    def stocked(self) -> Stock:
        """What inputs from nothing are made of."""
        return programs.stock(self.guest)

    def begin(self) -> Execution:
        """What carries out an input command by command; it raises Violation and Finding."""
        return Watch(Machine(self.quirks, self.devices), invariants=self.invariants)

    def commands(self, data: bytes) -> list[Command]:
        """The scenario of an input."""
        return self._of_guest(data)[0]

    def _of_guest(self, data: bytes) -> tuple[list[Command], str]:
        """The scenario of an input, and why its guest ends itself at the end."""
        commands = program.read(data)
        if self.guest is None:
            return commands, ""
        return as_guest(self.guest, commands, Machine(self.quirks))

    def run(self, data: bytes) -> int:
        """Run a program; how many commands it has."""
        commands = self.commands(data)
        try:
            self.carry_out(commands)
        except Violation as violation:
            raise finding(violation) from None
        return len(commands)

    def carry_out(self, commands: list[Command]) -> None:
        """Carry out a scenario, and tell the observer. Raises Violation and Finding."""
        if self.is_quick:
            machine = Machine(self.quirks, self.devices)
            Quick(machine, self.invariants, self.observe).run(commands)
            machine.close()
            return
        execution, observe = self.begin(), self.observe
        execute = execution.execute
        for command in commands:
            execute(command)
            if observe is not None:
                observe(execution.machine, command)

    def examine(self, data: bytes) -> tuple[Finding | None, str]:
        """What it finds; the scenario up to the failing command, and the state around that."""
        commands, execution = self.commands(data), self.begin()
        for index, command in enumerate(commands):
            before = _state(execution.machine, command)
            try:
                execution.execute(command)
            except (Exception, SystemExit) as error:
                found = finding(error) if isinstance(error, Violation) else as_finding(error)
                shown = show_scenario(commands[: index + 1], mark=index)
                after = _state(execution.machine, command)
                return found, f"{shown}\n   before: {before}\n   after:  {after}"
        return None, self.read(data)

    def read(self, data: bytes) -> str:
        return show_scenario(self.commands(data))

    def ending(self, data: bytes) -> str:
        return self._of_guest(data)[1]

    def count(self, data: bytes) -> int:
        return len(self.commands(data))

    def lines(self, data: bytes) -> str:
        return to_lines(self.commands(data))

    def mutate(self, data: bytes, longest: int, seed: int) -> bytes:
        return programs.mutate(data, longest, seed, self.guest)

    def make(self, pick: random.Random) -> bytes:
        """A program of bursts in stock, one in four of them changed."""
        data = self.stock.program(pick)[: self.row.longest]
        if pick.random() < CHANGED:
            return self.mutate(data, self.row.longest, pick.getrandbits(31))
        return data

    def crossover(self, one: bytes, other: bytes, longest: int, seed: int) -> bytes:
        """The beginning of one program and the end of the other."""
        return programs.crossover(one, other, longest, seed)


class Scenario(ProgramTarget):
    """Any scenario, under all invariants."""

    is_quick = True

    def mutate(self, data: bytes, longest: int, seed: int) -> bytes:
        return programs.mutate(data, longest, seed, self.guest, self.stock)


def _state(machine: Machine, command: Command) -> str:
    """The state of the vCPU that a command is for."""
    if command["op"] == "init" or "cpu" not in command:
        return "nothing"
    return snapshot(machine.vm.vcpus[command["cpu"]])


def finding(violation: Violation) -> Finding:
    """A broken invariant of the machine as a finding."""
    return Finding(
        violation.cause,
        f"{violation} ({violation.invariant.meaning})",
        clause=violation.invariant.name,
        meaning=violation.invariant.meaning,
        place=violation.place,
        steps=violation.index + 1,
    )
