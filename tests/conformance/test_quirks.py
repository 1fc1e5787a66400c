"""Each quirk has a short scenario: with the quirk a named invariant breaks, without it none does."""

import dataclasses
from pathlib import Path

import pytest

from vmgexit.descriptions import Command
from vmgexit.hosts import quirks as host_quirks
from vmgexit.machine.machine import Machine
from vmgexit.machine.quirks import COCONUT, COCONUT_SEEN, REFERENCE, Quirks, names, only, profile
from vmgexit.machine.scenario import sequences
from vmgexit.watch.invariants import INVARIANTS, Violation, Watch

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
}

# Vector 0 must be allowed before LevelSensitive with an empty field does anything, and allowing it is
# a quirk of its own, which INV-9 sees first.
COMPANIONS = {"level-vector-zero": "allow-below-31"}


def scenario(name: str) -> list[Command]:
    with (SCENARIOS / f"{name}.jsonl").open("rb") as stream:
        [sequence] = sequences(stream, name)
    return sequence.commands


def broken_by(commands: list[Command], quirks: Quirks, wanted: str = "") -> str:
    """The invariant that breaks; only `wanted` is looked at where it is named."""
    checked = [i for i in INVARIANTS if wanted in ("", i.name)]
    watch = Watch(Machine(quirks), invariants=checked)
    try:
        for command in commands:
            watch.execute(command)
    except Violation as violation:
        return violation.invariant.name
    return ""


def test_every_quirk_has_a_scenario_and_every_scenario_a_quirk() -> None:
    of_an_svsm = {path.stem for path in SCENARIOS.glob("*.jsonl")} - set(host_quirks.names())
    assert of_an_svsm == set(names()) == set(BROKEN)


@pytest.mark.parametrize("name", names())
def test_the_quirk_alone_breaks_its_invariant(name: str) -> None:
    companion = COMPANIONS.get(name)
    quirks = only(name, *([companion] if companion else []))
    assert broken_by(scenario(name), quirks, BROKEN[name] if companion else "") == BROKEN[name]


@pytest.mark.parametrize("name", names(seen=COCONUT_SEEN))
def test_coconut_breaks_an_invariant_on_it(name: str) -> None:
    assert broken_by(scenario(name), COCONUT)


@pytest.mark.parametrize("name", names())
def test_the_reference_breaks_none(name: str) -> None:
    assert broken_by(scenario(name), REFERENCE) == ""
    assert len(scenario(name)) <= 15


def test_profiles_are_sets_of_named_quirks() -> None:
    assert not any(dataclasses.asdict(REFERENCE).values())
    assert profile("reference") == REFERENCE
    assert profile("coconut") == COCONUT
    assert profile("ppr-keeps-low-nibble") == Quirks(ppr_keeps_low_nibble=True)
    assert COCONUT.handoff_drops_vector_31
    assert not COCONUT.switch_window_unchecked
