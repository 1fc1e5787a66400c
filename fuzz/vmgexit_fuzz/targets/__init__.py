"""What is fuzzed: the table of targets. Each target's file opens with the invariant that must hold."""

from __future__ import annotations

from vmgexit.errors import UsageError
from vmgexit.sequences import HOST

from .base import (
    ON_MEMORY,
    REPOSITORY,
    USUAL,
    Conditions,
    Finding,
    Target,
    TargetRow,
    as_finding,
    plant,
)

__all__ = [
    "REPOSITORY",
    "TARGETS",
    "USUAL",
    "Conditions",
    "Finding",
    "Target",
    "TargetRow",
    "as_finding",
    "find",
    "plant",
]

_CODEC = ("vmgexit.schema", "vmgexit.wire")
_MACHINE = ("vmgexit.machine", "vmgexit.watch")


def _message(
    name: str,
    invariant: str,
    place: str,
    longest: int = 8 + 4096,
    probed: tuple[str, ...] = _CODEC,
) -> TargetRow:
    """A target whose inputs are messages."""
    return TargetRow(name, invariant, f"{__name__}.{place}", probed, longest, "structures")


def _program(
    name: str,
    invariant: str,
    place: str,
    probed: tuple[str, ...] = _MACHINE,
    has_states: bool = True,
    *,
    on_memory: bool = False,
    takes_peer: bool = False,
) -> TargetRow:
    """A target whose inputs are scenarios in their binary spelling, of machines with memory or without."""
    place = f"{__name__}.{place}"
    longest, seeded = 36 * 96, "scenario"
    if on_memory:
        longest, seeded = 36 * 256, ON_MEMORY  # room for a list of 510 entries
    return TargetRow(
        name,
        invariant,
        place,
        probed,
        longest,
        "commands",
        is_program=True,
        has_states=has_states,
        seeded=seeded,
        takes_peer=takes_peer,
    )


TARGETS = {
    row.name: row
    for row in (
        _message(
            "codec",
            "any bytes of the right length decode and encode back, all others do not",
            "codec:Codec",
        ),
        _message(
            "codec-ghcb", "as codec: the GHCB page, its exits, the words of its MSR", "codec:Codec"
        ),
        _message(
            "codec-svsm",
            "as codec: the calling area, SVSM calls, what they point to",
            "codec:Codec",
        ),
        _message(
            "codec-doorbell", "as codec: the #HV doorbell page, every revision", "codec:Codec"
        ),
        _message(
            "codec-vmsa",
            "as codec: VMSA and VMCB, AVIC, words of the RMP and of INVLPGB, error codes of faults",
            "codec:Codec",
        ),
        _message(
            "codec-firmware",
            "as codec: guest messages, SEV-TIO, reports, secrets, launch, IGVM",
            "codec:Codec",
        ),
        _message(
            "codec-differential",
            "compiled codec, construct and views agree in all they do",
            "differential:Differential",
        ),
        _message(
            "msr",
            "any two values of the GHCB MSR are read, judged and paired rightly",
            "msr:Msr",
            longest=32,
        ),
        _message(
            "ghcb-exit",
            "what the rules of an exit let pass, a host can carry out",
            "ghcb.exit:GhcbExit",
            longest=128 + 2032,
            probed=(*_CODEC, "vmgexit.rules", f"{__name__}.ghcb.host"),
        ),
        TargetRow(
            "ghcb-host",
            "no scenario of exits, MSR words and events breaks an invariant of a GHCB host",
            f"{__name__}.ghcb.hosts:HostScenarios",
            ("vmgexit.hosts", "vmgexit.rules", "vmgexit.watch.hosts"),
            160 * 24,
            "commands",
            machine=HOST,
        ),
        _program(
            "svsm-calls",
            "any SVSM calls answer and change registers as documented",
            "svsm_calls:SvsmCalls",
        ),
        _program(
            "scenario",
            "no scenario breaks an invariant of the reference SVSM",
            "scenarios:Scenario",
        ),
        _program(
            "hostile-host",
            "whatever a host writes and refuses, what must hold with any host holds",
            "hostile_host:HostileHost",
        ),
        _program(
            "svsm",
            "whatever guests call an SVSM with memory for, MEM and INV-9 hold",
            "whole_svsm:WholeSvsm",
            on_memory=True,
        ),
        _program(
            "svsm-hostile",
            "as svsm, with a host that remaps, unassigns, splits, joins and lies",
            "whole_svsm:HostileWholeSvsm",
            on_memory=True,
        ),
        _program(
            "peer",
            "another implementation (--peer) answers as the machine does",
            "peer:PeerTarget",
            # The machine alone: how a pipe's bytes arrive is chance.
            probed=("vmgexit.machine.machine", "vmgexit.machine.rules"),
            has_states=False,
            takes_peer=True,
        ),
        _program(
            "svsm-peer",
            "another implementation of an SVSM with memory (--peer) answers as the machine does",
            "svsm_peer:SvsmPeer",
            probed=tuple(
                f"vmgexit.machine.{name}"
                for name in ("machine", "memory_commands", "memory", "rules")
            ),
            has_states=False,
            on_memory=True,
            takes_peer=True,
        ),
        TargetRow(
            "host-peer",
            "another GHCB host (--peer) answers as ours does",
            f"{__name__}.ghcb.peer:HostPeer",
            ("vmgexit.hosts",),
            160 * 24,
            "commands",
            machine=HOST,
            takes_peer=True,
        ),
    )
}


def find(name: str) -> TargetRow:
    """The target of that name. Raises UsageError with those that exist."""
    if name not in TARGETS:
        raise UsageError(f"unknown target {name}; there are {', '.join(TARGETS)}")
    return TARGETS[name]
