"""Scenarios: commands to a machine one after the other, as JSON lines and for people.

A recording is a scenario with the answers that an implementation gave. Three kinds of line are read: a
bare command; a command with its answer, `{"cmd", "ans"}`; a whole sequence,
`{"ops": [{"cmd", "ans"}, ...]}` with any labels beside it. `commands` describes the commands; `program`
has the binary spelling.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ..descriptions import Answer, Command
from ..errors import ScenarioError, brief
from ..wire.calls import find_call
from .commands import COMMANDS, checked


@dataclass(slots=True)
class Sequence:
    """Commands, their recorded answers (empty without any), and their place in the file."""

    name: str
    line: int
    kind: str = ""  # what a recording says that it is about
    commands: list[Command] = field(default_factory=list)
    answers: list[Answer | None] = field(default_factory=list)


def sequences(lines: Iterable[str | bytes], name: str = "") -> Iterator[Sequence]:
    """The sequences of a recording or scenario, one after the other.

    Lines with `ops` are a sequence each; bare commands make one sequence of all of them, or a new
    one at each `init`. Raises ScenarioError with the line.
    """
    loose: Sequence | None = None
    for number, text in enumerate(lines, 1):
        if not text.strip():
            continue
        entry = _parsed(text, number)
        if "ops" in entry:
            if loose is not None:
                yield loose
                loose = None
            yield _sequence(entry, number, name)
            continue
        command, answer = _step(entry, number)
        if loose is None or (command["op"] == "init" and loose.commands):
            if loose is not None:
                yield loose
            loose = Sequence(name, number)
        loose.commands.append(command)
        loose.answers.append(answer)
    if loose is not None:
        yield loose


def _parsed(text: str | bytes, number: int) -> dict[str, Any]:
    try:
        entry = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ScenarioError(f"not JSON: {error}", line=number) from None
    if not isinstance(entry, dict):
        raise ScenarioError(f"{brief(entry)} found, a JSON object expected", line=number)
    return entry


def _sequence(entry: dict[str, Any], number: int, name: str) -> Sequence:
    operations = entry["ops"]
    if not isinstance(operations, list):
        raise ScenarioError(f"ops: {brief(operations)} is not a list", line=number)
    label = f"{name} #{entry['seq']}" if "seq" in entry else name
    sequence = Sequence(label, number, str(entry.get("kind", "")))
    for index, operation in enumerate(operations):
        command, answer = _step(operation, number, f"ops[{index}]: ")
        sequence.commands.append(command)
        sequence.answers.append(answer)
    return sequence


def _step(entry: Any, number: int, where: str = "") -> tuple[Command, Answer | None]:
    answer = None
    if isinstance(entry, dict) and "cmd" in entry:
        answer = entry.get("ans")
        entry = entry["cmd"]
    if answer is not None and not isinstance(answer, dict):
        raise ScenarioError(f"{where}ans: {brief(answer)} is not an object", line=number)
    try:
        return checked(entry), answer
    except ScenarioError as error:
        raise ScenarioError(f"{where}{error}", line=number) from None


def to_lines(commands: Iterable[Command]) -> str:
    """The JSON-lines spelling, one command a line."""
    return "".join(json.dumps(command) + "\n" for command in commands)


def show(commands: Iterable[Command], *, mark: int | None = None) -> str:
    """A scenario for a person, one numbered line for each command; `mark` gets an arrow."""
    lines = []
    for index, command in enumerate(commands):
        kinds = COMMANDS[command["op"]].kinds
        arguments = " ".join(
            f"{key}={kinds[key].shown(value)}" for key, value in command.items() if key != "op"
        )
        arrow = "->" if index == mark else "  "
        lines.append(f"{arrow} {index:3} {command['op']:14} {arguments}")
        if command["op"] == "call":
            known = find_call(command["protocol"], command["request"])
            lines[-1] += f"   ({known.name})" if known else ""
    return "\n".join(lines)
