"""The explorer: what it proves of small systems, and the counterexamples that it shows."""

import pytest

from vmgexit.explore.search import Bounds, Outcome, explore
from vmgexit.machine.commands import Command
from vmgexit.machine.machine import Machine
from vmgexit.machine.quirks import only
from vmgexit.watch.invariants import Violation, run


def proved(bounds: Bounds) -> Outcome:
    outcome = explore(bounds)
    assert outcome.violation is None
    assert outcome.stopped_by == ""
    return outcome


def repeated(scenario: list[Command], quirk: str) -> Violation:
    with pytest.raises(Violation) as caught:
        run(scenario, Machine(only(quirk)))
    return caught.value


@pytest.mark.clause("SCHED-3", "INV-1", "INV-2", "INV-3")
def test_the_switch_window_loses_nothing() -> None:
    outcome = proved(Bounds(vcpus=1, edge=(0x31, 0x51)))
    assert outcome.states > 2000


@pytest.mark.clause("INV-4", "INV-5")
def test_edge_and_level_in_every_order() -> None:
    assert proved(Bounds(vcpus=1, edge=(0x51,), level=(0x61,))).states > 500


@pytest.mark.clause("REG-1", "REG-2", "REG-3", "REG-4", "REG-5", "REG-6", "REG-7", "INV-7")
def test_registration_of_three_vcpus_in_every_order() -> None:
    assert proved(Bounds(vcpus=3, calls=3)).states > 1000


def test_vcpus_are_symmetrical() -> None:
    one, two = proved(Bounds(vcpus=1, calls=2)), proved(Bounds(vcpus=2, calls=2))
    assert two.states < one.states**2 / 2


@pytest.mark.clause("SCHED-3")
def test_without_the_check_in_the_window_a_shortest_counterexample() -> None:
    outcome = explore(Bounds(vcpus=1, edge=(0x31,)), only("switch-window-unchecked"))
    assert outcome.violation is not None
    assert outcome.violation.invariant.name == "INV-3"
    assert len(outcome.scenario) <= 13
    again = repeated(outcome.scenario, "switch-window-unchecked")
    assert again.invariant.name == "INV-3"
    assert again.index == len(outcome.scenario) - 1


@pytest.mark.parametrize(
    ("quirk", "bounds", "invariant"),
    [
        ("handoff-drops-vector-31", Bounds(edge=(31,), calls=1, vcpus=1), "INV-1"),
        ("emulation-survives-disable", Bounds(calls=2, vcpus=1), "INV-7"),
        ("lazy-eoi-survives-disable", Bounds(edge=(0x51,), calls=2, vcpus=1), "INV-7"),
    ],
)
def test_quirks_are_found(quirk: str, bounds: Bounds, invariant: str) -> None:
    outcome = explore(bounds, only(quirk))
    assert outcome.violation is not None
    assert outcome.violation.invariant.name == invariant
    assert repeated(outcome.scenario, quirk).invariant.name == invariant


@pytest.mark.parametrize(
    ("bounds", "stopped_by"),
    [
        (Bounds(vcpus=1, edge=(0x31, 0x51), depth=5), "depth 5"),
        (Bounds(vcpus=1, edge=(0x31, 0x51), states=300), "300 states"),
        (Bounds(vcpus=1, edge=(0x31, 0x51), megabytes=1), "1 MB"),
    ],
)
def test_bounds_end_it_cleanly(bounds: Bounds, stopped_by: str) -> None:
    outcome = explore(bounds)
    assert outcome.stopped_by == stopped_by
    assert outcome.frontier > 0
    assert outcome.violation is None
