"""Scenarios: commands to a machine one after the other, as JSON lines and for people.

A recording is a scenario with the answers that an implementation gave. Three kinds of line are read: a
bare command; a command with its answer, `{"cmd", "ans"}`; a whole sequence,
`{"ops": [{"cmd", "ans"}, ...]}` with any labels beside it. `commands` describes the commands; `program`
has the binary spelling.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ..descriptions import Command
from ..sequences import Sequence, entries, listed, sequence, step
from ..wire.calls import find_call
from .commands import COMMANDS

Others = Callable[[dict[str, Any], int, str], Sequence | None]
"""What reads the lines of another kind of machine: None for one that is not its own."""


def _none(entry: dict[str, Any], number: int, name: str) -> None:
    return None


def sequences(
    lines: Iterable[str | bytes], name: str = "", others: Others = _none
) -> Iterator[Sequence]:
    """The sequences of a recording or scenario, one after the other.

    Lines with `ops` are a sequence each; bare commands make one sequence of all of them, or a new
    one at each `init`. Raises ScenarioError with the line.
    """
    loose: Sequence | None = None
    for number, entry in entries(lines):
        whole = others(entry, number, name)
        if whole is None and "ops" in entry:
            whole = sequence(entry, number, name, COMMANDS)
        if whole is not None:
            if loose is not None:
                yield loose
                loose = None
            yield whole
            continue
        command, answer = step(entry, number, COMMANDS)
        if loose is None or (command["op"] == "init" and loose.commands):
            if loose is not None:
                yield loose
            loose = Sequence(name, number)
        loose.add(command, answer)
    if loose is not None:
        yield loose


def to_lines(commands: Iterable[Command]) -> str:
    """The JSON-lines spelling, one command a line."""
    return "".join(json.dumps(command) + "\n" for command in commands)


def show(commands: Iterable[Command], *, mark: int | None = None) -> str:
    """A scenario for a person, one numbered line for each command; `mark` gets an arrow."""
    return listed(commands, COMMANDS, mark=mark, remark=_named)


def _named(command: Command) -> str:
    """The name of a call that has one."""
    if command["op"] != "call":
        return ""
    known = find_call(command["protocol"], command["request"])
    return f"   ({known.name})" if known else ""
