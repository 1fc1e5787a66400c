"""What every target with a peer has: the peer's process, the coverage that the peer tells of itself, and
the second look at a scenario whose answers are doubted.
"""

from __future__ import annotations

import atexit
import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from vmgexit.compare.causes import Cause, Failed
from vmgexit.compare.peer import COUNTERS, Peer
from vmgexit.descriptions import Answer, Command
from vmgexit.errors import UsageError
from vmgexit.sequences import HOST, SVSM

from .. import probes
from .base import Conditions, Finding, Target, TargetRow, as_finding

# A peer may take this part of the time of an input for one answer, so that its hang is not ours: it may
# hang at each of the runs that a finding takes.
ANSWERS_IN_A_HANG = 8

_KINDS = {SVSM: ("an SVSM", "peer"), HOST: ("a GHCB host", "host-peer")}
"""What a peer is, and the target that drives it."""


class OurOwn:
    """Our own machine, or our host, in the place of a peer."""

    def __init__(self, execute: Callable[[Command], Answer]) -> None:
        self.execute = execute

    def answers(self, commands: Sequence[Command]) -> Iterator[Answer]:
        return map(self.execute, commands)


class WithPeer(Target):
    """A target whose inputs go to a peer, which is started with the first one and kept. Without a command
    for a peer there is none, and our own machine stands in for it."""

    def __init__(self, row: TargetRow, conditions: Conditions) -> None:
        super().__init__(row, conditions)
        self.peer: Peer | None = None
        self.first_counter = -1  # of those for the peer's own coverage
        self.unexplained: Counter[str] = Counter()
        self.marked = (0, "")  # of the last finding: the command, and the state around it
        try:
            words = shlex.split(conditions.peer)
        except ValueError as error:
            raise UsageError(f"--peer {conditions.peer}: {error}") from None
        if words:
            patience = conditions.hang_seconds
            self.peer = Peer(words, patience / ANSWERS_IN_A_HANG, starting=patience / 2)
            atexit.register(self.close)

    def carry_out(self, commands: list[Command]) -> None:
        """Run a scenario on both. Raises Finding where the peer fails or differs."""
        raise NotImplementedError

    def first(self, commands: list[Command]) -> Cause | None:
        """Where the peer first differs when it is asked in step. Raises Failed."""
        raise NotImplementedError

    def finding(self, cause: Cause) -> Finding:
        """A difference as a finding."""
        raise NotImplementedError

    def doubt(self, commands: list[Command], index: int, otherwise: Finding) -> None:
        """Run a scenario in step up to a command, then whole, and raise what is found: to each command its
        own answer. Where that is nothing, the peer does wrong only what it does at its own speed:
        `otherwise` is raised."""
        self.marked = (index, "")
        is_whole = index + 1 == len(commands)
        for tried in (commands,) if is_whole else (commands[: index + 1], commands):
            try:
                cause = self.first(tried)
            except Failed as failed:
                self.marked = (failed.index, "")
                name = f"{failed.error.kind} at {failed.place}"
                raise Finding(name, str(failed), steps=failed.index + 1) from None
            if cause is not None:
                around = f"\n   before: {cause.before}\n   after:  {cause.after}"
                self.marked = (cause.index, around)
                raise self.finding(cause)
        raise otherwise

    def examined(
        self, data: bytes, commands: list[Command], show: Callable[..., str]
    ) -> tuple[Finding | None, str]:
        """As `examine`: `show` gives the scenario up to the failing command; the state of ours around it
        stands below."""
        try:
            self.carry_out(commands)
        except (Exception, SystemExit) as error:
            at, around = self.marked if isinstance(error, Finding) else (len(commands) - 1, "")
            return as_finding(error), show(commands[: at + 1], mark=at) + around
        return None, self.read(data)

    def note_hits(self) -> None:
        """Count what the peer says that its code passed before its last answer."""
        if self.first_counter >= 0 and self.peer is not None:
            for number in self.peer.hits:
                probes.counters[self.first_counter + number] = 1

    def reserve_counters(self) -> None:
        self.first_counter = probes.reserve(COUNTERS)

    def start(self) -> None:
        if self.peer is None:
            return
        self.peer.restart()
        kind = self.peer.hello.machine
        if kind != self.row.machine:
            self.close()
            what, target = _KINDS[kind]
            raise UsageError(
                f"--peer {self.conditions.peer}: it is {what}, which the target {target} drives"
            )

    def close(self) -> None:
        if self.peer is not None:
            self.peer.close()
