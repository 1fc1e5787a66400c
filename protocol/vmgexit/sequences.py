"""Sequences of commands as JSON lines, with the answers that were recorded, for every kind of machine.

`machine.scenario` reads those of an SVSM, `hosts.scenario` those of a GHCB host.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .descriptions import Answer, Command, Description, checked
from .errors import ScenarioError, brief

SVSM, HOST = "SVSM", "host"
"""What a sequence can be for."""


@dataclass(slots=True)
class Sequence:
    """Commands, their recorded answers (empty without any), and their place in the file."""

    name: str
    line: int
    kind: str = ""  # what a recording says that it is about
    commands: list[Command] = field(default_factory=list)
    answers: list[Answer | None] = field(default_factory=list)
    machine: str = SVSM

    def add(self, command: Command, answer: Answer | None = None) -> None:
        self.commands.append(command)
        self.answers.append(answer)


def entries(lines: Iterable[str | bytes]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The object of each line that is not empty, with the line's number. Raises ScenarioError."""
    for number, text in enumerate(lines, 1):
        if not text.strip():
            continue
        try:
            entry = json.loads(text if isinstance(text, str) else text.decode())
        except UnicodeDecodeError:
            raise ScenarioError(
                "bytes that are no text found, JSON expected", line=number
            ) from None
        except (ValueError, RecursionError) as error:
            raise ScenarioError(f"not JSON: {error}", line=number) from None
        if not isinstance(entry, dict):
            raise ScenarioError(f"{brief(entry)} found, a JSON object expected", line=number)
        yield number, entry


def sequence(
    entry: dict[str, Any], number: int, name: str, table: Mapping[str, Description]
) -> Sequence:
    """The sequence of a line with `ops`; `table` describes its commands."""
    operations = entry["ops"]
    if not isinstance(operations, list):
        raise ScenarioError(f"ops: {brief(operations)} is not a list", line=number)
    label = f"{name} #{entry['seq']}" if "seq" in entry else name
    found = Sequence(label, number, str(entry.get("kind", "")))
    for index, operation in enumerate(operations):
        found.add(*step(operation, number, table, f"ops[{index}]: "))
    return found


def step(
    entry: Any, number: int, table: Mapping[str, Description], where: str = ""
) -> tuple[Command, Answer | None]:
    """A command, bare or with its answer: `{"cmd", "ans"}`."""
    answer = None
    if isinstance(entry, dict) and "cmd" in entry:
        answer = entry.get("ans")
        entry = entry["cmd"]
    if answer is not None and not isinstance(answer, dict):
        raise ScenarioError(f"{where}ans: {brief(answer)} is not an object", line=number)
    try:
        return checked(entry, table), answer
    except ScenarioError as error:
        raise ScenarioError(f"{where}{error}", line=number) from None


def listed(
    commands: Iterable[Command],
    table: Mapping[str, Description],
    *,
    mark: int | None = None,
    remark: Callable[[Command], str] = lambda command: "",
) -> str:
    """Commands for a person, one numbered line each; `mark` gets an arrow, `remark` ends a line."""
    lines = []
    for index, command in enumerate(commands):
        kinds = table[command["op"]].kinds
        arguments = " ".join(
            f"{key}={kinds[key].shown(value)}" for key, value in command.items() if key != "op"
        )
        arrow = "->" if index == mark else "  "
        lines.append(f"{arrow} {index:3} {command['op']:14} {arguments}{remark(command)}")
    return "\n".join(lines)
