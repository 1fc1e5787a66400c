"""Scenarios under watch: which invariant one breaks, of any machine that is watched."""

from collections.abc import Iterable
from typing import Protocol

from vmgexit.descriptions import Answer, Command
from vmgexit.watch.judged import Violation


class Watching(Protocol):
    """A machine under its invariants: `Watch`, `HostWatch`."""

    def execute(self, command: Command) -> Answer: ...


def broken_by(commands: Iterable[Command], watch: Watching) -> str:
    """The name of the invariant that breaks; empty where none does."""
    try:
        for command in commands:
            watch.execute(command)
    except Violation as violation:
        return violation.invariant.name
    return ""
