"""What the kit of a GHCB host has: the commands that it reads, the structures that its sources use, what a
host may ask for, and the exits with what a guest has to mark valid for them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from typing import get_type_hints

from ..descriptions import U64, Argument, Bytes, Description, Kind, Number
from ..hosts import commands as hosts
from ..hosts import restricted
from ..hosts.asked import ASKED
from ..hosts.host import RETURNED as REGISTERS
from ..hosts.kinds import Maybe
from ..hosts.page import OFFSETS
from ..hosts.vm import Vcpu, Vmsa
from ..layout.subjects import Subject, subject
from ..wire.exit import Where
from ..wire.exits import exits
from ..wire.ghcb import ALWAYS_VALID

COMMANDS: dict[str, Description] = hosts.COMMANDS

EVENTS = {
    "interrupt": restricted.interrupt(0),  # without its vector
    "nmi": restricted.NMI,
    "machine_check": restricted.MACHINE_CHECK,
    "hv": restricted.HV,
}
"""The events for VMPL 0, as EVENTINJ holds them."""

RETURNED = {name: OFFSETS[name] for name in REGISTERS}
"""The registers that an answer tells, and where they stand in the page."""

_STRUCTURES = (
    "ghcb",
    "exit-status",
    "exit-error",
    "ioio-info",
    "ghcb-msr",
    "ghcb-msr-sev-info-response",
    "ghcb-msr-register-gpa-request",
    "ghcb-msr-register-gpa-response",
    "ghcb-msr-page-state-request",
    "ghcb-msr-page-state-response",
    "doorbell-info",
    "doorbell-flags",
    "sev-features",
)
_CODES = ("ghcb-exits",)
_VALUES: dict[str, Kind] = {"data": Bytes(), "vmsa": Maybe(Number(U64))}
"""The kinds of what a host asks, where it is no number."""
_OF_ANY_LENGTH = ("exit",)


def subjects() -> list[Subject]:
    """The structures and codes of a host's kit, as `vmgexit layout` knows them."""
    return [subject(name) for name in (*_STRUCTURES, *_CODES)]


def asked() -> dict[str, tuple[Argument, ...]]:
    """What a host may ask for, by its word: the values, in order."""
    return {
        word: tuple(Argument(name, _VALUES.get(name, Number(U64))) for name in names)
        for word, names in ASKED.items()
        if word not in _OF_ANY_LENGTH
    }


class Held(Enum):
    """What a field of a vCPU holds."""

    NUMBER = auto()
    FLAG = auto()
    MAYBE = auto()  # a number, or nothing
    VECTORS = auto()  # in ascending order
    VMSAS = auto()  # by VMPL


_HOLDS = {
    int: Held.NUMBER,
    bool: Held.FLAG,
    int | None: Held.MAYBE,
    list[int]: Held.VECTORS,
    dict[int, Vmsa]: Held.VMSAS,
}


@dataclass(frozen=True, slots=True)
class VcpuField:
    """What a host keeps of a vCPU, and `state` tells where it is not as it was set up."""

    name: str
    holds: Held
    meaning: str


def vcpu_fields() -> list[VcpuField]:
    """The fields of a vCPU, in the order in which `state` tells them."""
    hints = get_type_hints(Vcpu)
    return [
        VcpuField(one.name, _HOLDS[hints[one.name]], one.metadata["meaning"])
        for one in dataclasses.fields(Vcpu)
        if "meaning" in one.metadata
    ]


@dataclass(frozen=True, slots=True)
class ExitRow:
    """An exit, the first GHCB version that has it, and the valid bits that each page of it needs."""

    name: str
    code: int
    since: int
    needs: int


def known_exits() -> list[ExitRow]:
    """Every exit of a GHCB page."""
    return [
        ExitRow(
            row.name,
            int(row.code),
            row.since,
            _bits(ALWAYS_VALID) | _bits(need.field for need in row.needs if need.test is None),
        )
        for row in exits()
        if row.where is Where.GHCB
    ]


def _bits(names: Iterable[str]) -> int:
    """The valid bits of fields."""
    return sum(1 << OFFSETS[name] // 8 for name in names)


NO_EXIT = ExitRow("no exit", 0, 0, _bits(ALWAYS_VALID))
"""A code that is no exit, and what its pages need all the same."""
