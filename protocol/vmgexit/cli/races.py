"""`vmgexit explore --races`: two calls at once, in every order of their steps."""

from __future__ import annotations

from ..errors import UsageError
from ..explore.memory.races import races
from ..machine.quirks import Quirks
from ..machine.scenario import sequences, show
from ..read.streams import lines
from .sequence_files import named


def show_races(name: str, quirks: Quirks) -> int:
    """The first order that breaks an invariant, of the scenario in a file whose last two commands are calls
    of two vCPUs. Raises UsageError where they are not, ScenarioError where the rest cannot be run."""
    with named(name):
        found = list(sequences(lines(name), name))
    commands = found[0].commands if len(found) == 1 else []
    *before, one, other = commands if len(commands) > 2 else ({}, {}, {})
    calls = [command.get("op") for command in (one, other)] == ["call", "call"]
    if not (calls and one["cpu"] != other["cpu"] and "memory" in before[0]):
        raise UsageError(
            f"{name}: one scenario of a machine with memory expected, whose last two commands are calls of"
            " two vCPUs"
        )
    with named(f"{name} line {found[0].line}:"):
        race = next(races(before, (one, other), quirks), None)
    print(show(commands))
    if race is None:
        print("no order of the steps of the last two calls breaks an invariant")
        return 0
    print(f"without a lock around the last two calls, {race.invariant} breaks: {race.wrong}")
    for who, step in zip(race.order, race.steps, strict=True):
        print(f"   vCPU {(one, other)[who]['cpu']} {step}")
    return 1
