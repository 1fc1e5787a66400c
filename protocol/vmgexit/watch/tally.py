"""The books of `Quick`: those of `ledger`, in integers and without words.

What the fields of a `Tally` mean, `ledger.Account` says.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..machine.machine import Machine
from ..machine.vcpu import IRR_WORD, LEVEL, NMI, STATUS_WORD, VECTOR, VECTOR_31
from ..machine.vm import Vcpu
from ..wire.doorbell import LOWEST_VECTOR

IN_IRR = (1 << 256) - (1 << 32)  # of a descriptor as one integer
DESCRIPTOR = slice(4 * STATUS_WORD, 4 * (IRR_WORD + 8))  # status, and IRR up to vector 255


class Broken(Exception):
    """An invariant does not hold."""


@dataclass(slots=True)
class Tally:
    """The books of one vCPU, as `ledger.Account` has them, with 256-bit sets.

    `owed_level` are those of `owed` for whose end the host waits; `level` goes with `delivered`.
    """

    mailed: int = 0
    owed: int = 0
    owed_level: int = 0
    may: int = 0
    nmi_mailed: bool = False
    nmi_owed: bool = False
    nmi_may: int = 0
    delivered: list[int] = field(default_factory=list)
    level: list[bool] = field(default_factory=list)
    allowed: int = 0
    tpr: int = 0
    token: int | None = None
    early: int | None = None
    last_taken: tuple[str, int] | None = None
    new_tpr: int | None = None
    honest: bool = True
    genuine: bool = True
    meddled: bool = False
    closed: bool = False
    disables: int = 0

    def look(self) -> None:
        """The mailbox is emptied."""
        self.owed |= self.mailed
        self.mailed = 0
        self.nmi_may += self.nmi_owed and self.nmi_mailed
        self.nmi_owed |= self.nmi_mailed
        self.nmi_mailed = False


class Tallies:
    """The books of a VM: a `Tally` for each vCPU. It hears of the SVSM's steps, and `held` are the names of
    the invariants that are to hold."""

    def __init__(self, machine: Machine, held: frozenset[str]) -> None:
        self.machine, self.held = machine, held
        self.tallies: list[Tally] = []
        self.dropped: list[int] = []  # level-triggered, taken and not allowed
        self.last_taken: tuple[str, int] | None = None  # by this vCPU, in the command before
        self.found = bytearray()  # the descriptor before the SVSM's steps
        self.mail = False

    def broken(self, name: str) -> None:
        """An invariant does not hold: the end, if it has to."""
        if name in self.held:
            raise Broken(name)

    def before_steps(self, cpu: Vcpu) -> None:
        """Note what the SVSM is about to look at: its descriptor and its mailbox."""
        self.found, self.mail = cpu.page[DESCRIPTOR], cpu.mailbox.pending

    def after_steps(self, cpu: Vcpu) -> None:
        """What left the descriptor since is the SVSM's to deliver, if it was allowed."""
        tally = self.tallies[cpu.index]
        if self.mail and not cpu.mailbox.pending:
            tally.look()
        now = cpu.page[DESCRIPTOR]
        if now != self.found:
            self._left(tally, self.found, now)

    def _left(self, tally: Tally, before: bytearray, after: bytearray) -> None:
        found, now = int.from_bytes(before, "little"), int.from_bytes(after, "little")
        if found & NMI and not now & NMI:
            tally.nmi_may += tally.nmi_owed
            tally.nmi_owed = True
        gone = found & ~now & IN_IRR
        if found & ~now & VECTOR_31:
            gone |= 1 << LOWEST_VECTOR
        vector = found & VECTOR
        if vector and vector != now & VECTOR:
            gone |= 1 << vector
            if found & LEVEL:
                if tally.allowed >> vector & 1:
                    tally.owed_level |= 1 << vector
                else:
                    self.dropped.append(vector)
        tally.owed |= gone & tally.allowed
