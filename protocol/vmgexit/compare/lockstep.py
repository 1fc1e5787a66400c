"""Comparing a peer's answers with recorded ones, and with the machine's where nothing was recorded.

A peer need not support everything. When it refuses a whole operation, the machine leaves that
operation out too, so that both stay in step. When it answers in part, only the keys of its answer
are compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from ..descriptions import Answer, Command
from ..devices import RECORDED
from ..errors import PeerError, ScenarioError
from ..sequences import SVSM, Sequence
from .peer import STOPS, Peer, plain
from .replay import KINDS, Mismatch, Tally, differences, same

UNSUPPORTED = "unsupported"
Differences = dict[str, tuple[Any, Any]]  # by dotted key: found, expected


def compare(answer: Answer, expected: Answer) -> Differences:
    """Where a peer's answer is not as expected; empty when it conforms.

    What a stop must be like says `same`; of a partial answer the keys that are there count.
    """
    if same(answer, expected):
        return {}
    if UNSUPPORTED in answer:
        answer = {key: value for key, value in answer.items() if key != UNSUPPORTED}
        expected = _only(expected, answer)
    # A stranger's keys are shown as they can be.
    return {plain(key): pair for key, pair in differences(answer, expected).items()}


def _only(expected: Answer, given: Answer) -> Answer:
    """The part of `expected` of which the peer says something."""
    return {
        key: _only(value, given[key])
        if isinstance(value, dict) and isinstance(given[key], dict)
        else value
        for key, value in expected.items()
        if key in given
    }


class Answering(Protocol):
    """A peer, or what stands in for one."""

    def execute(self, command: Command) -> Answer: ...


class Lockstep:
    """A peer and a machine that get the same commands, from an `init` on. `kind` says what machine."""

    def __init__(self, peer: Answering, quirks: Any, kind: str = SVSM) -> None:
        self.peer = peer
        self.machine: Any = KINDS[kind].begin(quirks, RECORDED)

    def execute(self, command: Command) -> tuple[Answer, Answer]:
        """Both answers, the peer's first; the machine's is empty when the peer does not support the
        operation. Raises PeerError and ScenarioError."""
        answer = self.peer.execute(command)
        if set(answer) == {UNSUPPORTED}:
            return answer, {}
        return answer, self.machine.execute(command)


def replay_peer(
    sequences: Iterable[Sequence], peer: Peer, quirks: Any, tally: Tally
) -> Iterator[Mismatch]:
    """Run every sequence on the peer and yield the answers that differ; `tally` counts on the way.

    Expected are the recorded answers, and those of a machine with `quirks` in sequences that lack
    some. A peer that fails ends its sequence by a mismatch and is started again for the next one.
    Raises PeerError when it cannot be started.
    """
    for sequence in sequences:
        tally.sequences += 1
        if _conforms(sequence, peer, quirks, tally):
            continue
        # Once more in step: only so is it certain which answer belongs to which command.
        lockstep = Lockstep(peer, quirks, sequence.machine) if None in sequence.answers else None
        peer.forget()
        for index, (command, recorded) in enumerate(
            zip(sequence.commands, sequence.answers, strict=True)
        ):
            tally.operations += 1
            try:
                if lockstep:
                    answer, expected = lockstep.execute(command)
                else:
                    answer, expected = peer.execute(command), {}
            except ScenarioError as error:
                raise ScenarioError(f"operation {index}: {error}", line=sequence.line) from None
            except PeerError as error:
                if error.kind == "start":
                    raise
                tally.mismatches += 1
                yield Mismatch(sequence, index, {}, failure=f"peer: {error}")
                break
            tally.unsupported += UNSUPPORTED in answer
            if UNSUPPORTED in answer and command["op"] == "init":
                break  # it has no machines with memory
            expected = expected if recorded is None else recorded
            found = compare(answer, expected)
            if found:
                tally.mismatches += 1
                yield Mismatch(sequence, index, found, is_recorded=recorded is not None)
                if _stops(answer) != _stops(expected):
                    break  # what comes after it would differ too


def _stops(answer: Answer) -> bool:
    return any(stop in answer for stop in STOPS)


def _conforms(sequence: Sequence, peer: Peer, quirks: Any, tally: Tally) -> bool:
    """Whether a peer that gets a whole sequence at once gives every answer; the tally counts it then."""
    machine = KINDS[sequence.machine].begin(quirks, RECORDED) if None in sequence.answers else None
    unsupported = 0
    try:
        for command, recorded, answer in zip(
            sequence.commands, sequence.answers, peer.answers(sequence.commands), strict=True
        ):
            expected: Answer = recorded or {}
            if machine is not None and set(answer) != {UNSUPPORTED}:
                given = machine.execute(command)
                expected = given if recorded is None else recorded
            if UNSUPPORTED in answer:
                if command["op"] == "init":
                    return False
                unsupported += 1
            if answer != expected and compare(answer, expected):
                return False
    except (PeerError, ScenarioError):
        return False
    tally.operations += len(sequence.commands)
    tally.unsupported += unsupported
    return True
