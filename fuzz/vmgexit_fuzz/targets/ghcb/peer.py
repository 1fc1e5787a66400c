"""Invariant: another GHCB host answers every command as the host of the profile does, one answer to each,
in time, and never stops.

The bytes are a scenario, as for `ghcb-host`. The peer gets it whole; our host carries out each command
while the answer to it comes. After an answer that differs, both run it once more in step
(`compare.host_causes`), which gives the finding. Coverage is our own host's, and what a peer tells of its
own. Without a command for a peer our own host stands in for it.
"""

from __future__ import annotations

from vmgexit.compare.causes import Cause
from vmgexit.compare.host_causes import HostCause, first, place
from vmgexit.compare.lockstep import compare
from vmgexit.compare.peer import Peer, is_unsupported
from vmgexit.descriptions import Command
from vmgexit.errors import PeerError, brief
from vmgexit.hosts.scenario import Session, show

from ..base import Finding
from ..with_peer import OurOwn, WithPeer
from . import programs
from .hosts import HostScenarios


class HostPeer(WithPeer, HostScenarios):
    """A peer beside our host."""

    def scenario(self, data: bytes) -> list[Command]:
        return programs.read(data)

    def carry_out(self, commands: list[Command]) -> None:
        ours, answered = Session(self.quirks), 0
        doubted: tuple[int, PeerError | None, str] | None = None
        try:
            for index, answer in enumerate(self.answering().answers(commands)):
                answered = index + 1
                self.note_hits()
                if doubted is not None:
                    continue  # what follows tells whether there is one answer to each
                if is_unsupported(answer):
                    if not index:
                        return  # it has no such VM
                    continue
                found = compare(answer, ours.execute(commands[index]))
                if found:
                    key, (given, due) = next(iter(found.items()))
                    where = place(commands[index], ours)
                    text = f"{where}: {key}: {brief(given)} found, {brief(due)} expected"
                    doubted = index, None, text
        except PeerError as error:
            at = min(answered, len(commands) - 1)
            doubted = at, error, f"peer: {error} (near {place(commands[at], ours)})"
        if doubted is not None:
            self.doubt(commands, *doubted)

    def first(self, commands: list[Command]) -> HostCause | None:
        return first(self.answering(), self.quirks, commands, self.unexplained)

    def finding(self, cause: Cause) -> Finding:
        return Finding(
            cause.name, str(cause), clause=cause.clause, place=cause.place, steps=cause.index + 1
        )

    def examine(self, data: bytes) -> tuple[Finding | None, str]:
        return self.examined(data, programs.read(data), show)

    def place(self, commands: list[Command]) -> str:
        ours = Session(self.quirks)
        for command in commands[:-1]:
            ours.execute(command)
        return place(commands[-1], ours)

    def answering(self) -> Peer | OurOwn:
        return self.peer or OurOwn(Session(self.quirks).execute)
