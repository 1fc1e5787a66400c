"""A row of a table of exchanges: what one command is, as a message from one lane to another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ...descriptions import Actor, Command, Description
from . import words
from .chart import Item, Mark, Message, Note, Party, lane

Says = Callable[[Any], str]
"""What a step says in a chart; several lines have line feeds between them."""
Whose = Party | Callable[[Command], Party]


def nothing(step: Any) -> str:
    return ""


def is_not_ok(step: Any) -> bool:
    """Whether the answer says that it was not done."""
    return step.answer.get("ok") is False


def why(step: Any) -> str:
    """Why it was not done."""
    return f"refused: {step.answer.get('why', 'not done')}" if is_not_ok(step) else ""


@dataclass(frozen=True, slots=True)
class Row:
    """Who sends what to whom, and what comes back.

    Without a `target` the command is a note beside the source, and without a source across all lanes.
    An `answers` that says nothing draws no answer.
    """

    source: Whose | None
    target: Party | Callable[[Any], Party] | None
    says: Says
    answers: Says = why
    is_refused: Callable[[Any], bool] = is_not_ok

    def receiver(self, step: Any) -> Party | None:
        return self.target if isinstance(self.target, Party | None) else self.target(step)

    def sender(self, command: Command) -> Party | None:
        return self.source if isinstance(self.source, Party | None) else self.source(command)


_ENDS = {
    Actor.GUEST: (Party.GUEST, Party.SVSM),
    Actor.HOST: (Party.HOST, Party.SVSM),
    Actor.SVSM: (Party.SVSM, Party.GUEST),
    Actor.NOBODY: (None, None),
}


def derived(described: Description) -> Row:
    """The row of a command that has none: from who acts, its arguments and the keys of its answer."""

    def says(step: Any) -> str:
        told = words.arguments(step.command, described)
        return f"{described.name}\n{told}".strip()

    return Row(*_ENDS[described.by], says, lambda step: words.keys(step.answer))


def drawn(
    table: Mapping[str, Row], described: Description, step: Any, meanwhile: Iterable[Item]
) -> Iterator[Item]:
    """The message of a command, what comes of it `meanwhile`, and the answer; or a note."""
    row = table.get(described.name) or derived(described)
    command, at = step.command, step.index
    cpu = command.get("cpu", 0)
    mark = Mark.REFUSED if row.is_refused(step) else Mark.PLAIN
    sender, receiver = row.sender(command), row.receiver(step)
    if sender is None or receiver is None:
        yield Note(at, lane(sender, cpu) if sender else None, row.says(step), mark)
        return
    source, target = lane(sender, cpu), lane(receiver, cpu)
    answer = row.answers(step)
    yield Message(at, source, target, row.says(step), mark=Mark.PLAIN if answer else mark)
    yield from meanwhile
    if answer:
        yield Message(at, target, source, answer, is_answer=source != target, mark=mark)
