"""The books of `Quick`: those of `ledger`, in integers and without words.

What the fields of a `Tally` mean, `ledger.Account` says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..descriptions import Command
from ..machine.machine import ACTS, Act, Machine
from ..machine.vcpu import IRR_WORD, LEVEL, NMI, STATUS_WORD, VECTOR, VECTOR_31
from ..machine.vm import Assertion, Termination, Vcpu
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
    # With memory: the VMSA that it was in last, and whether its calling area offered a lazy EOI then.
    vmsa: int | None = None
    offered: bool = False

    def look(self) -> None:
        """The mailbox is emptied."""
        self.owed |= self.mailed
        self.mailed = 0
        self.nmi_may += self.nmi_owed and self.nmi_mailed
        self.nmi_owed |= self.nmi_mailed
        self.nmi_mailed = False

    def take_up(self) -> list[int]:
        """A new vCPU starts empty. The vectors whose end the host waits for, which are due."""
        if self.new_tpr is None:
            return []
        due = [vector for vector, level in zip(self.delivered, self.level, strict=True) if level]
        due += [vector for vector in range(256) if self.owed_level >> vector & 1]
        self.tpr, self.new_tpr = self.new_tpr, None
        self.owed = self.owed_level = self.mailed = self.may = self.allowed = 0
        self.nmi_mailed = self.nmi_owed = False
        self.nmi_may = 0
        self.delivered, self.level = [], []
        self.token = self.early = None
        return due

    def end_lazily(self) -> None:
        """The guest ended the interrupt for which this was offered."""
        token, self.token = self.token, None
        if self.delivered and self.delivered[-1] == token:
            self.delivered.pop()
            self.level.pop()
        else:
            self.early = token


class Tallies:
    """The books of a VM: a `Tally` for each vCPU. It hears of the SVSM's steps, and `held` are the names of
    the invariants that are to hold. `acts` carry out commands, and answer nothing."""

    def __init__(self, machine: Machine, held: frozenset[str]) -> None:
        self.machine, self.held = machine, held
        self.acts: Mapping[str, Act] = ACTS
        self.tallies: list[Tally] = []
        self.dropped: list[int] = []  # level-triggered, taken and not allowed
        self.last_taken: tuple[str, int] | None = None  # by this vCPU, in the command before
        self.found = bytearray()  # the descriptor before the SVSM's steps
        self.mail = False

    def broken(self, name: str) -> None:
        """An invariant does not hold: the end, if it has to."""
        if name in self.held:
            raise Broken(name)

    def begin(self, command: Command) -> None:
        """Carry out an `init`."""
        raise NotImplementedError

    def one(self, command: Command) -> None:
        """Carry out any other command. Raises Broken."""
        raise NotImplementedError

    def stop(self, reason: Exception) -> None:
        """The SVSM stopped, which it may do by a termination request alone."""
        is_panic = isinstance(reason, Assertion)
        self.machine.stopped = {"panic" if is_panic else "terminated": str(reason)}
        if not isinstance(reason, Termination):
            self.broken("INV-10")

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
