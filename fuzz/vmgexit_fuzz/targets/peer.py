"""Invariant: another implementation answers every command as the machine of the profile does, one
answer to each, in time, and stops only where that stops.

The bytes are a program, as for `scenario`. The peer gets it whole; our machine runs it too, while the
answers come. After an answer that differs, both run it once more in step (`compare.causes`), which gives
the finding. Coverage is our own machine's, and what a peer tells of its own. The process is kept from
input to input; each program starts with `init`. Without a command for a peer our own machine stands in
for it, so that only its determinism is checked.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict

from vmgexit.compare.causes import Cause, first, place
from vmgexit.compare.lockstep import compare
from vmgexit.compare.peer import STOPS, Peer, is_unsupported
from vmgexit.compare.pipes import plain
from vmgexit.descriptions import Answer, Command
from vmgexit.errors import PeerError, brief
from vmgexit.machine.machine import Machine
from vmgexit.machine.scenario import show as show_scenario

from .base import Conditions, Finding, TargetRow
from .scenarios import ProgramTarget
from .with_peer import OurOwn, WithPeer

_NUMBER = re.compile(r"0x[0-9a-f]+|\d+")


class PeerTarget(WithPeer, ProgramTarget):
    """A peer beside the machine."""

    def __init__(self, row: TargetRow, conditions: Conditions) -> None:
        super().__init__(row, conditions)
        # What the peer does not support, as it says so: by operation, then by what it is.
        self.lacking: defaultdict[str, dict[object, Answer]] = defaultdict(dict)

    def make(self, pick: random.Random) -> bytes:
        """A program of bursts in stock."""
        return self.stock.program(pick)[: self.row.longest]

    def carry_out(self, commands: list[Command]) -> None:
        peer = self.answering()
        answers: list[Answer] = []
        try:
            coming = peer.answers(commands)
            expected = self._expected(commands)  # while the peer works
            telling = self.peer if self.first_counter >= 0 else None
            for answer in coming:
                answers.append(answer)
                if telling is not None and telling.hits:
                    self.note_hits()
        except PeerError as error:
            at = min(len(answers), len(commands) - 1)
            self.doubt(commands, at, error, f"peer: {error} (near {place(commands[at])})")
        if answers == expected:
            return
        expected = self._supported(commands, answers)
        for index, answer in enumerate(answers):
            found = compare(answer, expected[index])
            if found:
                key, (ours, theirs) = next(iter(found.items()))
                text = f"{place(commands[index])}: {key}: {brief(ours)} found, {brief(theirs)} expected"
                self.doubt(commands, index, None, text)

    def _expected(self, commands: list[Command]) -> list[Answer]:
        """What our machine answers, where the peer supports what it did so far."""
        execute = Machine(self.quirks).execute
        if not self.lacking:
            return [execute(command) for command in commands]
        lacking = self.lacking
        return [
            execute(command)
            if command["op"] not in lacking
            else lacking[command["op"]].get(_what(command)) or execute(command)
            for command in commands
        ]

    def _supported(self, commands: list[Command], answers: list[Answer]) -> list[Answer]:
        """What our machine answers when it leaves out what the peer left out."""
        machine, expected = Machine(self.quirks), list[Answer]()
        has_machine = True
        for command, answer in zip(commands, answers, strict=True):
            is_left_out = is_unsupported(answer)
            if command["op"] == "init":
                has_machine = not is_left_out
            elif is_left_out and has_machine:
                self.lacking[command["op"]][_what(command)] = answer
            left_out = is_left_out or not has_machine
            expected.append(answer if left_out else machine.execute(command))
        return expected

    def first(self, commands: list[Command]) -> Cause | None:
        return first(self.answering(), self.quirks, commands, self.unexplained)

    def finding(self, cause: Cause) -> Finding:
        broken = cause.violation
        named = {
            "clause": cause.clause,
            "meaning": broken.invariant.meaning if broken else "",
            "place": cause.place,
        }
        for stop in STOPS:
            text = cause.differences.get(stop, (None,))[0]
            if text is not None and not cause.quirk:
                # Texts that differ in numbers only are one defect.
                said = plain(str(text))
                return Finding(
                    f"{stop} at {cause.place}: {_NUMBER.sub('N', said)}",
                    f"{cause.place}: {stop}: {said}",
                    **named,
                    steps=cause.index + 1,
                )
        return Finding(cause.name, str(cause), **named, steps=cause.index + 1)

    def examine(self, data: bytes) -> tuple[Finding | None, str]:
        return self.examined(data, self.commands(data), show_scenario)

    def scenario(self, data: bytes) -> list[Command]:
        return self.commands(data)

    def place(self, commands: list[Command]) -> str:
        return place(commands[-1])

    def answering(self) -> Peer | OurOwn:
        return self.peer or OurOwn(Machine(self.quirks).execute)


def _what(command: Command) -> object:
    """What a peer supports or not of an operation: all of it, or a call."""
    return (command.get("protocol"), command.get("request"))
