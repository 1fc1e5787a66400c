"""What every target with a peer has: the peer's process, the coverage that the peer tells of itself, and
the second look at a scenario whose answers are doubted.

A finding is to have one name, whatever scenario brings it to light. A name says at which command the peer
does wrong where the peer does so again, at that command and no other, when it is not asked for its state
in between. What a peer does now and then, or after so many commands, has a name without a place.
"""

from __future__ import annotations

import atexit
import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from vmgexit.compare.causes import Cause, Failed
from vmgexit.compare.peer import COUNTERS, Peer
from vmgexit.descriptions import Answer, Command
from vmgexit.errors import PeerError, UsageError
from vmgexit.sequences import HOST, SVSM

from .. import probes
from .base import Conditions, Finding, Target, TargetRow, as_finding

# A peer may take this part of the time of an input for one answer, so that its hang is not ours: it may
# hang at each of the runs that a finding takes.
ANSWERS_IN_A_HANG = 8
NOWHERE = "at no certain command"
"""How the cause of a finding ends that has no place."""

_SETTLING_SECONDS = 0.1  # in which a peer has done what it does after an answer
_LATE_SECONDS = 0.001  # the same, of what was written long ago
_MORE_TRIES = 2  # that have to fail at the same command

_KINDS = {SVSM: ("an SVSM", "peer"), HOST: ("a GHCB host", "host-peer")}
"""What a peer is, and the target that drives it."""


class OurOwn:
    """Our own machine, or our host, in the place of a peer."""

    def __init__(self, execute: Callable[[Command], Answer]) -> None:
        self.execute = execute

    def answers(self, commands: Sequence[Command]) -> Iterator[Answer]:
        return map(self.execute, commands)

    def settle(self, seconds: float) -> None:
        """It does nothing of its own."""


class WithPeer(Target):
    """A target whose inputs go to a peer, which is started with the first one and kept. Without a command
    for a peer there is none, and our own machine stands in for it."""

    def __init__(self, row: TargetRow, conditions: Conditions) -> None:
        super().__init__(row, conditions)
        self.peer: Peer | None = None
        self.first_counter = -1  # of those for the peer's own coverage
        self.unexplained: Counter[str] = Counter()
        self.certain: set[str] = set()  # causes that were met again
        self.before = b""  # the input before
        self.marked = (0, "")  # of the last finding: the command, and the state around it
        try:
            words = shlex.split(conditions.peer)
        except ValueError as error:
            raise UsageError(f"--peer {conditions.peer}: {error}") from None
        if words:
            patience = conditions.hang_seconds
            self.peer = Peer(words, patience / ANSWERS_IN_A_HANG, starting=patience / 2)
            atexit.register(self.close)

    def run(self, data: bytes) -> int:
        """Run an input on both."""
        try:
            return super().run(data)
        finally:
            self.before = data

    def scenario(self, data: bytes) -> list[Command]:
        """The commands of an input."""
        raise NotImplementedError

    def answering(self) -> Peer | OurOwn:
        """The peer, or what stands in for it."""
        raise NotImplementedError

    def carry_out(self, commands: list[Command]) -> None:
        """Run a scenario on both. Raises Finding where the peer fails or differs."""
        raise NotImplementedError

    def first(self, commands: list[Command]) -> Cause | None:
        """Where the peer first differs when it is asked in step. Raises Failed."""
        raise NotImplementedError

    def place(self, commands: list[Command]) -> str:
        """What the last of some commands does, as findings are named by it."""
        raise NotImplementedError

    def finding(self, cause: Cause) -> Finding:
        """A difference as a finding."""
        raise NotImplementedError

    def doubt(
        self, commands: list[Command], index: int, error: PeerError | None, text: str
    ) -> None:
        """Look again at a scenario that failed with an error, or differed, at a command when it was written
        at once, of which `text` tells. Raises Finding.

        The scenario is run in step up to that command, then whole. Where that is nothing, the input before
        may have left behind what is wrong here.
        """
        if error is None:
            try:
                self.answering().settle(_LATE_SECONDS)
            except PeerError as late:
                error, text = late, f"peer: {late} (at the end)"
        whole = commands if index + 1 < len(commands) else []
        before = self.scenario(self.before) if self.before else []
        try:
            for tried in (commands[: index + 1], whole, before):
                found = self._certain(tried)
                if found is not None:
                    found.data = self.before if tried is before else None
                    raise found
        except _Uncertain as uncertain:
            if error is None and uncertain.failed is not None:
                error, text = uncertain.failed.error, str(uncertain.failed)
        self.marked = (index, "")
        kind = error.kind if error is not None else "another answer"
        raise Finding(f"{kind} {NOWHERE}", text, steps=index + 1)

    def _certain(self, commands: list[Command]) -> Finding | None:
        """What is wrong with a scenario in step; None where that is nothing. Raises _Uncertain where it is
        not the same again."""
        found, failed = self._in_step(commands)
        if found is None or found.cause in self.certain:
            return found
        marked, asked = self.marked, commands[: found.steps]
        alone = self._failed(asked)
        if alone is not None:
            # One answer too many may have been taken for the next one, and so for a difference.
            kind = failed.error.kind if failed is not None else "number"
            if alone.error.kind != kind or (kind == "hang" and alone.index != found.steps - 1):
                raise _Uncertain(alone)
            found = _finding(self._earliest(asked, alone) if kind != "hang" else alone)
            marked = (found.steps - 1, "")
        elif failed is not None:
            raise _Uncertain(failed)
        else:
            again, failed = self._in_step(commands)
            if again is None or (again.cause, again.steps) != (found.cause, found.steps):
                raise _Uncertain(failed)
        self.certain.add(found.cause)
        self.marked = marked
        return found

    def _earliest(self, commands: list[Command], failed: Failed) -> Failed:
        """How a peer that failed with these commands does so at the first one without which it does not.
        Raises _Uncertain where it does not do so again.

        That one too many was answered may be heard late, and so may be that a peer has died.
        """
        without, steps = 0, len(commands)
        tried = steps - 1
        while without < tried:
            if self._failed(commands[:tried]) is None:
                without = tried
            else:
                steps = tried
            tried = (without + steps) // 2
        for _ in range(_MORE_TRIES):
            again = self._failed(commands[:steps])
            if again is None or (again.index, again.error.kind) != (steps - 1, failed.error.kind):
                raise _Uncertain(failed)
            failed = again
        return failed

    def _failed(self, commands: list[Command]) -> Failed | None:
        """How a peer fails that gets these commands and nothing else."""
        answered = 0
        try:
            for command in commands:
                self.answering().execute(command)
                answered += 1
        except PeerError as error:
            at = answered - error.is_earlier
            return Failed(error, at, self.place(commands[: at + 1]))
        return self._failed_late(commands)

    def _failed_late(self, commands: list[Command]) -> Failed | None:
        """How a peer fails that has answered these commands, within a while."""
        try:
            self.answering().settle(_SETTLING_SECONDS)
        except PeerError as error:
            return Failed(error, len(commands) - 1, self.place(commands))
        return None

    def _in_step(self, commands: list[Command]) -> tuple[Finding | None, Failed | None]:
        """What is found in step, and how the peer failed, if it did."""
        if not commands:
            return None, None
        try:
            cause = self.first(commands)
            failed = None if cause is not None else self._failed_late(commands)
        except Failed as raised:
            cause, failed = None, raised
        if failed is not None:
            if failed.index < 0:
                raise _Uncertain(failed)
            self.marked = (failed.index, "")
            return _finding(failed), failed
        if cause is None:
            return None, None
        self.marked = (cause.index, f"\n   before: {cause.before}\n   after:  {cause.after}")
        return self.finding(cause), None

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

    @property
    def follows(self) -> str:
        return self.peer.hello.profile if self.peer is not None else ""


class _Uncertain(Exception):
    """A peer did wrong, but not so again; the failure that was one of the two, if any was."""

    def __init__(self, failed: Failed | None) -> None:
        super().__init__()
        self.failed = failed


def _finding(failed: Failed) -> Finding:
    """A failure of the peer as a finding."""
    cause = f"{failed.error.kind} at {failed.place}"
    return Finding(cause, str(failed), place=failed.place, steps=failed.index + 1)
