"""Invariant: another implementation of an SVSM with memory answers every command as the machine of the
profile does, one answer to each, in time, and stops only where that stops.

The inputs are those of `svsm-hostile`, with looks at memory in between; all else is as for `peer`. What a
peer does not support is left out on both sides, APIC emulation on memory too. One that has no machine
with memory at all is refused.
"""

from __future__ import annotations

import random
from contextlib import suppress

from vmgexit.compare.peer import is_unsupported
from vmgexit.descriptions import Command
from vmgexit.errors import PeerError, UsageError

from ..inputs import looks
from .peer import PeerTarget
from .whole_svsm import OPENING, HostileWholeSvsm


class SvsmPeer(PeerTarget, HostileWholeSvsm):
    """A peer with memory, started with the first command, beside the machine."""

    _has_apic: bool | None = None

    @property
    def has_apic(self) -> bool:
        """Whether the peer emulates APICs on a machine with memory. Without a peer our machine does. A peer
        that does not start is told when an input is run."""
        if self._has_apic is None and self.peer is not None:
            with suppress(PeerError):
                self._has_apic = self._has(OPENING | {"reg_count": 1})
        return self._has_apic is not False

    def commands(self, data: bytes) -> list[Command]:
        read = super().commands(data)
        return read if self.has_apic else list(map(_without_apic, read))

    def make(self, pick: random.Random) -> bytes:
        """A program of bursts in stock, with looks."""
        return looks.with_looks(super().make(pick), self.row.longest, pick.getrandbits(31))

    def mutate(self, data: bytes, longest: int, seed: int) -> bytes:
        return looks.mutate(data, longest, seed, self.stock)

    def start(self) -> None:
        """Start the peer, and ask which machines it has. Raises UsageError where none has memory."""
        super().start()
        if self.peer is not None and not self._has(OPENING):
            self.close()
            raise UsageError(
                f"--peer {self.conditions.peer}: it does not support an init with memory; the target peer"
                " drives an SVSM without"
            )

    def _has(self, opening: Command) -> bool:
        """Whether the peer carries out an `init`."""
        assert self.peer is not None
        try:
            return not is_unsupported(self.peer.execute(opening))
        except PeerError as error:
            message = f"--peer {self.conditions.peer}: {error} (at an init with memory)"
            raise PeerError(message, kind=error.kind) from None


def _without_apic(command: Command) -> Command:
    """The command for a machine without APIC emulation."""
    if command["op"] != "init":
        return command
    return {key: value for key, value in command.items() if key != "reg_count"}
