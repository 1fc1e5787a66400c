"""`vmgexit replay --guest`: scenarios beside what a published guest does."""

from __future__ import annotations

from collections.abc import Iterable

from ..counting import count_of
from ..guests.follow import remarks
from ..guests.guest import Guest
from ..machine.machine import Machine
from ..machine.quirks import Quirks
from ..sequences import Sequence


def check(found: Iterable[Sequence], guest: Guest, quirks: Quirks) -> int:
    """Print where sequences do what the guest does not, and where it ends itself. 1 where one does, else
    0."""
    sequences = objections = ends = 0
    for sequence in found:
        sequences += 1
        for remark in remarks(guest, sequence.commands, Machine(quirks)):
            print(f"{sequence.name} line {sequence.line}, command {remark.index}: {remark.text}")
            objections += not remark.ends
            ends += remark.ends
    print(
        f"{count_of(sequences, 'sequence')}: {count_of(objections, 'command')} that {guest.name} does"
        f" not do; {count_of(ends, 'end')} of {guest.name} by itself"
    )
    return 1 if objections else 0
