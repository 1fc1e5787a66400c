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
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from vmgexit.compare.causes import Cause, Failed, first, place
from vmgexit.compare.lockstep import compare
from vmgexit.compare.peer import STOPS, UNSUPPORTED
from vmgexit.compare.pipes import plain
from vmgexit.descriptions import Answer, Command
from vmgexit.errors import PeerError, brief
from vmgexit.machine.machine import Machine
from vmgexit.machine.quirks import Quirks
from vmgexit.machine.scenario import show as show_scenario

from .base import Conditions, Finding, TargetRow, as_finding
from .scenarios import ProgramTarget
from .with_peer import WithPeer

_NUMBER = re.compile(r"0x[0-9a-f]+|\d+")


class PeerTarget(WithPeer, ProgramTarget):
    """A peer beside the machine."""

    def __init__(self, row: TargetRow, conditions: Conditions) -> None:
        super().__init__(row, conditions)
        self.unexplained: Counter[str] = Counter()
        # What the peer does not support, as it says so: by operation, then by what it is.
        self.lacking: defaultdict[str, dict[object, Answer]] = defaultdict(dict)
        self.marked = (0, "")  # of the last finding: the command, and the state around it

    def make(self, pick: random.Random) -> bytes:
        """A program of bursts in stock."""
        return self.stock.program(pick)[: self.row.longest]

    def carry_out(self, commands: list[Command]) -> None:
        """Run a scenario on both. Raises Finding where the peer fails or differs."""
        peer = self.peer or _OurOwn(self.quirks)
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
            where = place(commands[min(len(answers), len(commands) - 1)])
            text = f"peer: {error} (near {where})"
            self._doubt(commands, Finding(f"{error.kind} when written at once", text))
        if answers == expected:
            return
        expected = self._supported(commands, answers)
        for index, answer in enumerate(answers):
            found = compare(answer, expected[index])
            if found:
                cause = f"{place(commands[index])} differs when written at once"
                key, (ours, theirs) = next(iter(found.items()))
                text = f"{cause}: {key}: {brief(ours)} found, {brief(theirs)} expected"
                self._doubt(commands[: index + 1], Finding(cause, text), commands)

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
            is_left_out = set(answer) == {UNSUPPORTED}
            if command["op"] == "init":
                has_machine = not is_left_out
            elif is_left_out and has_machine:
                self.lacking[command["op"]][_what(command)] = answer
            left_out = is_left_out or not has_machine
            expected.append(answer if left_out else machine.execute(command))
        return expected

    def _doubt(
        self, commands: list[Command], otherwise: Finding, rest: list[Command] | None = None
    ) -> None:
        """Run a scenario in step, and raise what is found then: to each command its own answer. Where that
        is nothing, the peer does wrong only what it does at its own speed: `otherwise` is raised."""
        self.marked = (len(commands) - 1, "")
        peer = self.peer or _OurOwn(self.quirks)
        for tried in (commands, rest or []):
            try:
                cause = first(peer, self.quirks, tried, self.unexplained) if tried else None
            except Failed as failed:
                self.marked = (failed.index, "")
                name = f"{failed.error.kind} at {failed.place}"
                raise Finding(name, str(failed), steps=failed.index + 1) from None
            if cause is not None:
                around = f"\n   before: {cause.before}\n   after:  {cause.after}"
                self.marked = (cause.index, around)
                raise _finding(cause)
        raise otherwise

    def examine(self, data: bytes) -> tuple[Finding | None, str]:
        """What it finds; the scenario up to the failing command, and the state of our machine around it."""
        commands = self.commands(data)
        try:
            self.carry_out(commands)
        except (Exception, SystemExit) as error:
            at, around = self.marked if isinstance(error, Finding) else (len(commands) - 1, "")
            return as_finding(error), show_scenario(commands[: at + 1], mark=at) + around
        return None, self.read(data)


def _what(command: Command) -> object:
    """What a peer supports or not of an operation: all of it, or a call."""
    return (command.get("protocol"), command.get("request"))


class _OurOwn:
    """Our machine in the place of a peer."""

    def __init__(self, quirks: Quirks) -> None:
        self.machine = Machine(quirks)
        self.execute = self.machine.execute

    def answers(self, commands: Sequence[Command]) -> Iterator[Answer]:
        return map(self.execute, commands)


def _finding(cause: Cause) -> Finding:
    broken = cause.violation
    named = {
        "clause": broken.invariant.name if broken else "",
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
