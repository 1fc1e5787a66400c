"""What every target with a peer has: the peer's process, and the coverage that the peer tells of itself."""

from __future__ import annotations

import atexit
import shlex

from vmgexit.compare.peer import COUNTERS, Peer
from vmgexit.errors import UsageError
from vmgexit.sequences import HOST, SVSM

from .. import probes
from .base import Conditions, Target, TargetRow

# A peer may take this part of the time of an input for one answer, so that its hang is not ours: it may
# hang at each of the runs that a finding takes.
ANSWERS_IN_A_HANG = 8

_KINDS = {SVSM: ("an SVSM", "peer"), HOST: ("a GHCB host", "host-peer")}
"""What a peer is, and the target that drives it."""


class WithPeer(Target):
    """A target whose inputs go to a peer, which is started with the first one and kept. Without a command
    for a peer there is none, and our own machine stands in for it."""

    def __init__(self, row: TargetRow, conditions: Conditions) -> None:
        super().__init__(row, conditions)
        self.peer: Peer | None = None
        self.first_counter = -1  # of those for the peer's own coverage
        try:
            words = shlex.split(conditions.peer)
        except ValueError as error:
            raise UsageError(f"--peer {conditions.peer}: {error}") from None
        if words:
            patience = conditions.hang_seconds
            self.peer = Peer(words, patience / ANSWERS_IN_A_HANG, starting=patience / 2)
            atexit.register(self.close)

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
