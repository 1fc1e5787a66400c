"""Invariant: another GHCB host answers every command as the host of the profile does, one answer to each,
in time, and never stops.

The bytes are a scenario, as for `ghcb-host`. The peer gets it whole; our host carries out each command
while the answer to it comes. After an answer that differs, both run it once more in step
(`compare.host_causes`), which gives the finding. Coverage is our own host's, and what a peer tells of its
own. Without a command for a peer our own host stands in for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from vmgexit.compare.causes import Failed
from vmgexit.compare.host_causes import first, place
from vmgexit.compare.lockstep import compare
from vmgexit.compare.peer import UNSUPPORTED
from vmgexit.descriptions import Answer, Command
from vmgexit.errors import PeerError, brief
from vmgexit.hosts.scenario import Session, show

from ..base import Conditions, Finding, TargetRow, as_finding
from ..with_peer import WithPeer
from . import programs
from .hosts import HostScenarios


class HostPeer(WithPeer, HostScenarios):
    """A peer beside our host."""

    def __init__(self, row: TargetRow, conditions: Conditions) -> None:
        super().__init__(row, conditions)
        self.unexplained: Counter[str] = Counter()
        self.marked = (0, "")  # of the last finding: the command, and the state around it

    def run(self, data: bytes) -> int:
        commands = programs.read(data)
        self.carry_out(commands)
        return len(commands)

    def carry_out(self, commands: list[Command]) -> None:
        """Run a scenario on both. Raises Finding where the peer fails or differs."""
        ours, index = Session(self.quirks), 0
        doubted: tuple[int, Finding] | None = None
        try:
            for index, answer in enumerate((self.peer or _OurOwn(self.quirks)).answers(commands)):
                self.note_hits()
                if doubted is not None:
                    continue  # what follows tells whether there is one answer to each
                if set(answer) == {UNSUPPORTED}:
                    if not index:
                        return  # it has no such VM
                    continue
                found = compare(answer, ours.execute(commands[index]))
                if found:
                    key, (given, due) = next(iter(found.items()))
                    cause = f"{place(commands[index], ours)} differs when written at once"
                    text = f"{cause}: {key}: {brief(given)} found, {brief(due)} expected"
                    doubted = index, Finding(cause, text)
        except PeerError as error:
            text = f"peer: {error} (near {place(commands[index], ours)})"
            doubted = index, Finding(f"{error.kind} when written at once", text)
        if doubted is not None:
            self._doubt(commands, *doubted)

    def _doubt(self, commands: list[Command], index: int, otherwise: Finding) -> None:
        """Run a scenario in step up to a command, then whole, and raise what is found. Where that is
        nothing, the peer does wrong only what it does at its own speed: `otherwise` is raised."""
        self.marked = (index, "")
        peer = self.peer or _OurOwn(self.quirks)
        for tried in (commands[: index + 1], commands):
            try:
                cause = first(peer, self.quirks, tried, self.unexplained)
            except Failed as failed:
                self.marked = (failed.index, "")
                name = f"{failed.error.kind} at {failed.place}"
                raise Finding(name, str(failed), steps=failed.index + 1) from None
            if cause is not None:
                around = f"\n   before: {cause.before}\n   after:  {cause.after}"
                self.marked = (cause.index, around)
                raise Finding(
                    cause.name,
                    str(cause),
                    clause=cause.clause,
                    place=cause.place,
                    steps=cause.index + 1,
                )
        raise otherwise

    def examine(self, data: bytes) -> tuple[Finding | None, str]:
        """What it finds; the scenario up to the failing command, and what our host keeps around it."""
        commands = programs.read(data)
        try:
            self.carry_out(commands)
        except (Exception, SystemExit) as error:
            at, around = self.marked if isinstance(error, Finding) else (len(commands) - 1, "")
            return as_finding(error), show(commands[: at + 1], mark=at) + around
        return None, self.read(data)


class _OurOwn(Session):
    """Our host in the place of a peer."""

    def answers(self, commands: Sequence[Command]) -> Iterator[Answer]:
        return map(self.execute, commands)
