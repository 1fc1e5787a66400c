"""Invariant: another implementation answers every command as the machine of the profile does, one
answer to each, in time, and stops only where that stops.

The bytes are a program, as for `scenario`. It runs on the peer and on the machine in step; the first
answer that differs is the finding. Coverage is our own machine's, and what a peer tells of its own. The
process is kept from input to input; each program starts with `init`. Without a command for a peer our
own machine stands in for it, so that only its determinism is checked.
"""

from __future__ import annotations

import atexit
import re
import shlex

from vmgexit.compare.lockstep import Lockstep, compare
from vmgexit.compare.peer import COUNTERS, STOPS, Peer, plain
from vmgexit.descriptions import Answer, Command
from vmgexit.errors import PeerError, UsageError, brief
from vmgexit.machine.machine import Machine
from vmgexit.wire.calls import find_call

from .. import probes
from .base import Conditions, Finding, TargetRow
from .scenarios import ProgramTarget

# A peer may take this part of the time of an input for one answer, so that its hang is not ours.
ANSWERS_IN_A_HANG = 4

_NUMBER = re.compile(r"0x[0-9a-f]+|\d+")


class PeerTarget(ProgramTarget):
    """A peer, started with the first command, beside the machine."""

    takes_peer = True

    def __init__(self, row: TargetRow, conditions: Conditions) -> None:
        super().__init__(row, conditions)
        self.peer: Peer | None = None
        self.first_counter = -1  # of those for the peer's own coverage
        try:
            words = shlex.split(conditions.peer)
        except ValueError as error:
            raise UsageError(f"--peer {conditions.peer}: {error}") from None
        if words:
            self.peer = Peer(words, conditions.hang_seconds / ANSWERS_IN_A_HANG)
            atexit.register(self.close)

    def begin(self) -> _InStep:
        return _InStep(self)

    def reserve_counters(self) -> None:
        self.first_counter = probes.reserve(COUNTERS)

    def start(self) -> None:
        if self.peer is not None:
            self.peer.restart()

    def close(self) -> None:
        if self.peer is not None:
            self.peer.close()


class _InStep:
    """Carries out each command on both."""

    def __init__(self, target: PeerTarget) -> None:
        self.target = target
        if target.peer is not None:
            target.peer.forget()
        self.both = Lockstep(target.peer or Machine(target.quirks), target.quirks)
        self.machine = self.both.machine

    def execute(self, command: Command) -> Answer:
        """Carry out a command. Raises Finding where the peer fails or differs."""
        place = _place(command)
        try:
            answer, expected = self.both.execute(command)
        except PeerError as error:
            raise Finding(f"{error.kind} at {place}", f"peer: {error} (at {place})") from None
        if self.target.peer is not None and self.target.first_counter >= 0:
            for number in self.target.peer.hits:
                probes.counters[self.target.first_counter + number] = 1
        found = compare(answer, expected)
        if found:
            raise _finding(place, answer, found)
        return answer


def _finding(place: str, answer: Answer, found: dict[str, tuple[object, object]]) -> Finding:
    for stop in STOPS:
        if stop in answer:
            # Texts that differ in numbers only are one defect.
            text = plain(str(answer[stop]))
            return Finding(
                f"{stop} at {place}: {_NUMBER.sub('N', text)}", f"{place}: {stop}: {text}"
            )
    key = next(iter(found))
    parts = [
        f"{name}: {brief(ours)} found, {brief(theirs)} expected"
        for name, (ours, theirs) in found.items()
    ]
    return Finding(f"{place} differs in {key}", f"{place}: {'; '.join(parts)}")


def _place(command: Command) -> str:
    """The operation; of a call, which one."""
    if command["op"] != "call":
        return str(command["op"])
    call = find_call(command["protocol"], command["request"])
    return f"call {call.name}" if call else "an unknown call"
