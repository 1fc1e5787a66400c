"""What a sequence chart is: lanes, and what passes between them, in the order of time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import NamedTuple


class Party(StrEnum):
    """Who takes part, in the order of the lanes."""

    HOST = "host"
    SVSM = "SVSM"
    VMPL1 = "VMPL1"
    GUEST = "guest"
    VMPL3 = "VMPL3"
    MEMORY = "memory"
    DEVICES = "devices"
    FIRMWARE = "firmware"


GUEST_FIRST = (Party.GUEST, Party.HOST, Party.MEMORY, Party.DEVICES, Party.FIRMWARE)
"""The order where there is no SVSM: the guest talks to the host."""

ON_EACH_VCPU = frozenset({Party.SVSM, Party.GUEST})
"""The parties that have a lane for each vCPU."""


class Lane(NamedTuple):
    """A party, on one vCPU where it has a lane for each."""

    party: Party
    cpu: int = 0


def lane(party: Party, cpu: int) -> Lane:
    """The lane of a party in what vCPU `cpu` does."""
    return Lane(party, cpu if party in ON_EACH_VCPU else 0)


class Mark(Enum):
    """What a message or note says beside its text."""

    PLAIN = "plain"
    REFUSED = "refused"
    BROKEN = "broken"  # an invariant, or what was expected


@dataclass(frozen=True, slots=True)
class Message:
    """From a lane to another, or to itself: what a party does alone. `index` is the command's number."""

    index: int
    source: Lane
    target: Lane
    text: str
    is_answer: bool = False
    mark: Mark = Mark.PLAIN


@dataclass(frozen=True, slots=True)
class Note:
    """A remark beside one lane, or across all of them."""

    index: int
    over: Lane | None
    text: str
    mark: Mark = Mark.PLAIN


Item = Message | Note


@dataclass(frozen=True, slots=True)
class Chart:
    """The lanes that take part, from the left to the right, and the items from top to bottom. `terms` are
    words of the items that are explained beneath."""

    title: str
    about: str
    lanes: tuple[Lane, ...]
    items: tuple[Item, ...]
    terms: tuple[tuple[str, str], ...] = ()

    @property
    def has_several_vcpus(self) -> bool:
        return len({lane.cpu for lane in self.lanes if lane.party in ON_EACH_VCPU}) > 1

    def name(self, of: Lane) -> str:
        """A lane's name: `guest`, or `guest 1` where there are several vCPUs."""
        numbered = self.has_several_vcpus and of.party in ON_EACH_VCPU
        return f"{of.party} {of.cpu}" if numbered else of.party.value


def lanes_of(items: Iterable[Item], order: Iterable[Party]) -> tuple[Lane, ...]:
    """The lanes that some item needs, in `order`; those of one party by vCPU."""
    rank = {party: number for number, party in enumerate(order)}
    found: set[Lane] = set()
    for item in items:
        ends = (item.source, item.target) if isinstance(item, Message) else (item.over,)
        found.update(end for end in ends if end is not None)
    return tuple(sorted(found, key=lambda one: (rank[one.party], one.cpu)))
