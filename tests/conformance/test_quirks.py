"""Each quirk has a short scenario: with the quirk a named invariant breaks, without it none does."""

import dataclasses
from pathlib import Path

import pytest

from tests.checkout import quirk_scenario
from tests.watched import broken_by as breaks
from vmgexit.descriptions import Command
from vmgexit.hosts import quirks as host_quirks
from vmgexit.machine.machine import Machine
from vmgexit.machine.quirks import (
    COCONUT,
    COCONUT_SEEN,
    MEMORY,
    REFERENCE,
    Quirks,
    names,
    only,
    profile,
)
from vmgexit.watch.invariants import INVARIANTS
from vmgexit.watch.watch import Watch

SCENARIOS = Path(__file__).parents[2] / "corpus" / "quirks"

# The invariant that each quirk's scenario breaks.
BROKEN = {
    "handoff-drops-vector-31": "INV-1",
    "physical-nmi-becomes-fixed": "INV-8",
    "emulation-survives-disable": "INV-7",
    "lazy-eoi-survives-disable": "INV-7",
    "ppr-keeps-low-nibble": "INV-6",
    "host-nmi-ignored": "INV-8",
    "stale-field-beside-multiple": "INV-3",
    "vector-31-from-stale-status": "INV-3",
    "level-dropped-without-eoi": "INV-4",
    "nmi-overwrites-reinjection": "INV-1",
    "reinjection-follows-global-count": "INV-1",
    "remap-loses-lazy-eoi": "INV-5",
    "self-ipi-below-16": "INV-9",
    "allow-below-31": "INV-9",
    "tpr-low-nibble-dropped": "INV-6",
    "level-on-edge-in-service": "INV-4",
    "level-vector-zero": "INV-3",
    "vcpu-create-keeps-apic": "INV-5",
    "cancelled-switch-reuses-exitintinfo": "INV-1",
    "foreign-vmsa-crashes": "INV-2",
    "refused-disable-crashes": "INV-10",
    "refused-ipi-crashes": "INV-10",
    "switch-window-unchecked": "INV-3",
    "unvalidated-operand-stops": "MEM-10",
    "unvalidated-calling-area-accepted": "MEM-9",
    "list-invalidates-itself": "MEM-10",
    "delete-running-stops": "MEM-10",
    "wrapping-buffer-stops": "MEM-10",
    "invalidate-twice-stops": "MEM-10",
    "taken-page-panics": "MEM-10",
    "list-cleared-while-read": "MEM-3",
    "ignore-cf-wipes": "MEM-3",
    "ignore-cf-unused-on-invalidate": "INV-9",
    "legacy-range-not-cleared": "MEM-2",
    "validated-twice": "MEM-6",
    "refused-create-changes-permissions": "MEM-5",
    "guest-reads-vmsa": "MEM-1",
    "vmsa-at-2m": "INV-9",
    "remap-to-current-refused": "INV-9",
    "answer-in-new-vmsa": "MEM-11",
    "replaced-call-lost": "MEM-11",
    "boot-calling-area-stuck": "INV-9",
    "deleted-keeps-calling-area": "MEM-11",
    "unaligned-codes-differ": "INV-9",
    "stale-report": "MEM-12",
    "nonce-reused": "MEM-12",
    "host-error-stops": "MEM-10",
    "host-error-looks-short": "INV-9",
    "asked-before-checked": "INV-9",
    "report-left-after-refusal": "INV-9",
    "certificates-always-16k": "INV-9",
    "buffers-may-overlap": "MEM-12",
    "unknown-attest-call": "INV-9",
    "bad-operand-is-parameter": "INV-9",
    "tpm-response-dropped": "MEM-12",
    "tpm-echo": "INV-9",
}

# Vector 0 must be allowed before LevelSensitive with an empty field does anything, and allowing it is
# a quirk of its own, which INV-9 sees first.
COMPANIONS = {"level-vector-zero": "allow-below-31"}


def broken_by(commands: list[Command], quirks: Quirks, wanted: str = "") -> str:
    """The invariant that breaks; only `wanted` is looked at where it is named."""
    checked = [i for i in INVARIANTS if wanted in ("", i.name)]
    return breaks(commands, Watch(Machine(quirks), invariants=checked))


def test_every_quirk_has_a_scenario_and_every_scenario_a_quirk() -> None:
    of_an_svsm = {path.stem for path in SCENARIOS.glob("*.jsonl")} - set(host_quirks.names())
    assert of_an_svsm == set(names())
    assert set(BROKEN) == set(names())


@pytest.mark.parametrize("name", BROKEN)
def test_the_quirk_alone_breaks_its_invariant(name: str) -> None:
    companion = COMPANIONS.get(name)
    quirks = only(name, *([companion] if companion else []))
    assert (
        broken_by(quirk_scenario(name), quirks, BROKEN[name] if companion else "") == BROKEN[name]
    )


@pytest.mark.parametrize("name", sorted(set(names(seen=COCONUT_SEEN)) & set(BROKEN)))
def test_coconut_breaks_an_invariant_on_it(name: str) -> None:
    assert broken_by(quirk_scenario(name), COCONUT)


@pytest.mark.parametrize("name", BROKEN)
def test_the_reference_breaks_none(name: str) -> None:
    assert broken_by(quirk_scenario(name), REFERENCE) == ""
    assert len(quirk_scenario(name)) <= 15


def test_profiles_are_sets_of_named_quirks() -> None:
    assert not any(dataclasses.asdict(REFERENCE).values())
    assert profile("reference") == REFERENCE
    assert profile("coconut") == COCONUT
    assert profile("ppr-keeps-low-nibble") == Quirks(ppr_keeps_low_nibble=True)
    assert COCONUT.handoff_drops_vector_31
    assert not COCONUT.switch_window_unchecked


def answers(name: str, quirks: Quirks) -> list[dict[str, object]]:
    """The answers to a scenario, from its second command on. What stopped stays so."""
    machine = Machine(quirks)
    return [machine.execute(command) for command in quirk_scenario(name)][1:]


@pytest.mark.parametrize("name", MEMORY)
def test_a_quirk_of_memory_alone_answers_otherwise(name: str) -> None:
    commands = quirk_scenario(name)
    assert "memory" in commands[0]
    assert len(commands) <= 15
    assert answers(name, only(name)) != answers(name, REFERENCE)
    others = [other for other in names(seen=COCONUT_SEEN) if other != name]
    assert answers(name, COCONUT) != answers(name, only(*others))


@pytest.mark.parametrize("name", MEMORY)
def test_the_reference_stops_on_none(name: str) -> None:
    stops = {"panic"} if name == "taken-page-panics" else {"panic", "terminated"}
    assert not [answer for answer in answers(name, REFERENCE) if stops & set(answer)]


STOPS = [name for name in MEMORY if name.endswith(("-stops", "-panics"))]


@pytest.mark.parametrize("name", [*STOPS, "list-invalidates-itself"])
def test_a_quirk_that_stops_does_so(name: str) -> None:
    assert "panic" in answers(name, only(name))[-1]
