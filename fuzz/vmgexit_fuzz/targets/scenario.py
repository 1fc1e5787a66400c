"""Invariant: no scenario, of any commands in any order, breaks an invariant of the machine.

The bytes are a program (`vmgexit.machine.program`): every byte string is one. It runs on a fresh
machine under all invariants. `quirks` chooses the profile; the reference is what must hold.
"""

from __future__ import annotations

from collections.abc import Callable

from vmgexit.machine import program
from vmgexit.machine.commands import Command
from vmgexit.machine.machine import Machine
from vmgexit.machine.quirks import REFERENCE, Quirks
from vmgexit.machine.scenario import show as show_scenario
from vmgexit.watch.invariants import Violation, Watch
from vmgexit.watch.snapshot import snapshot

from . import Finding

quirks: Quirks = REFERENCE
observe: Callable[[Machine, Command], None] | None = None  # told of each command carried out


def run(data: bytes) -> int:
    """Run a program; how many commands it has."""
    commands = program.read(data)
    watch = Watch(Machine(quirks))
    try:
        if observe is None:
            for command in commands:
                watch.execute(command)
        else:
            for command in commands:
                watch.execute(command)
                observe(watch.machine, command)
    except Violation as violation:
        raise finding(violation) from None
    return len(commands)


def show(data: bytes) -> str:
    """The scenario, up to the command that breaks an invariant, and the state around that."""
    commands = program.read(data)
    watch = Watch(Machine(quirks))
    before = ""
    try:
        for command in commands:
            before = _state(watch.machine, command)
            watch.execute(command)
    except (Exception, SystemExit):
        shown = show_scenario(commands[: watch.index + 1], mark=watch.index)
        after = _state(watch.machine, commands[watch.index])
        return f"{shown}\n   before: {before}\n   after:  {after}"
    return show_scenario(commands)


def _state(machine: Machine, command: Command) -> str:
    """The state of the vCPU that a command is for."""
    if command["op"] == "init":
        return "nothing"
    return snapshot(machine.vm.vcpus[command["cpu"]])


def read(data: bytes) -> str:
    """The whole scenario."""
    return show_scenario(program.read(data))


def commands(data: bytes) -> list[Command]:
    """The scenario of an input, to be written as JSON lines."""
    return program.read(data)


def finding(violation: Violation) -> Finding:
    """A broken invariant of the machine as a finding."""
    return Finding(
        violation.cause,
        f"{violation} ({violation.invariant.meaning})",
        clause=violation.invariant.name,
        meaning=violation.invariant.meaning,
        place=violation.place,
    )
