"""Recordings of a peer: what it answers to sequences of commands, in the form that replay reads."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ..counting import count_of
from ..descriptions import Answer, Command
from ..errors import PeerError, ScenarioError
from ..sequences import HOST, Sequence
from .peer import UNSUPPORTED, Peer, stops


@dataclass(slots=True)
class Recorded:
    """What a recording came to. `failed` has a line for each sequence that a failure of the peer ended."""

    sequences: int = 0
    commands: int = 0
    unanswered: int = 0  # commands whose answer the peer does not know, or not all of it
    failed: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        told = (
            f"{count_of(self.sequences, 'sequence')}, {count_of(self.commands, 'command')} recorded"
        )
        return f"{told}, {self.unanswered} of them without an answer" if self.unanswered else told


def record(sequences: Iterable[Sequence], peer: Peer, recorded: Recorded) -> Iterator[str]:
    """A line of JSON for each sequence, as the peer answers it; a sequence ends with a stop or a failure.

    A command that the peer does not fully support stands there without an answer. Raises PeerError when
    the peer cannot be started, ScenarioError on a sequence that is none.
    """
    for number, sequence in enumerate(sequences):
        steps: list[dict[str, Command | Answer]] = []
        peer.forget()
        for command in sequence.commands:
            try:
                answer = peer.execute(command)
            except ScenarioError as error:
                raise ScenarioError(
                    f"operation {len(steps)}: {error}", line=sequence.line
                ) from None
            except PeerError as error:
                if error.kind == "start":
                    raise
                where = f"{sequence.name} line {sequence.line}, operation {len(steps)}"
                recorded.failed.append(f"{where}, {command['op']}: peer: {error}")
                break
            is_known = UNSUPPORTED not in answer
            steps.append({"cmd": command, "ans": answer} if is_known else {"cmd": command})
            recorded.unanswered += not is_known
            if stops(answer):
                break
            if not is_known and command["op"] == "init":
                break
        recorded.sequences += 1
        recorded.commands += len(steps)
        kind = HOST if sequence.machine == HOST else sequence.kind
        yield json.dumps({"seq": number, **({"kind": kind} if kind else {}), "ops": steps}) + "\n"
