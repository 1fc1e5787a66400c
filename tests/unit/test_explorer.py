"""The explorer: what it proves of small systems, and the counterexamples that it shows."""

import dataclasses
from typing import Any

import pytest

from vmgexit.descriptions import Command
from vmgexit.explore.freeze import freeze, restore
from vmgexit.explore.model import VmModel, explore
from vmgexit.explore.search import Limits, Outcome, search
from vmgexit.explore.system import System
from vmgexit.guests.guest import Guest, Makes, objections
from vmgexit.guests.linux import LINUX
from vmgexit.guests.profiles import GUESTS
from vmgexit.guests.values import OneOf
from vmgexit.machine.commands import call
from vmgexit.machine.machine import Machine
from vmgexit.machine.quirks import COCONUT, REFERENCE, Quirks, only
from vmgexit.watch.judged import Violation
from vmgexit.watch.watch import run
from vmgexit.wire.svsm import Protocol

REFUSED_TPR = Makes(
    "goes too far", Protocol.APIC, 3, OneOf("TPR", (0x808,)), OneOf("0x100", (0x100,)), ends=True
)


def proved(system: System) -> Outcome[Command]:
    outcome = explore(system)
    assert outcome.broken is None
    assert outcome.stopped_by == ""
    return outcome


def broken(system: System, quirk: str) -> tuple[Violation, list[Command]]:
    """What breaks with a quirk, and the scenario."""
    outcome = explore(system, only(quirk))
    assert isinstance(outcome.broken, Violation)
    return outcome.broken, outcome.path


def repeated(scenario: list[Command], quirk: str) -> Violation:
    with pytest.raises(Violation) as caught:
        run(scenario, Machine(only(quirk)))
    return caught.value


@pytest.mark.clause("SCHED-3", "INV-1", "INV-2", "INV-3")
def test_the_switch_window_loses_nothing() -> None:
    outcome = proved(System(vcpus=1, edge=(0x31, 0x51)))
    assert outcome.states > 2000


@pytest.mark.clause("INV-4", "INV-5")
def test_edge_and_level_in_every_order() -> None:
    assert proved(System(vcpus=1, edge=(0x51,), level=(0x61,))).states > 500


@pytest.mark.clause("REG-1", "REG-2", "REG-3", "REG-4", "REG-5", "REG-6", "REG-7", "INV-7")
def test_registration_of_three_vcpus_in_every_order() -> None:
    assert proved(System(vcpus=3, calls=3)).states > 1000


def test_vcpus_are_symmetrical() -> None:
    one, two = proved(System(vcpus=1, calls=2)), proved(System(vcpus=2, calls=2))
    assert two.states < one.states**2 / 2


class Reached(VmModel):
    """Keeps the keys of the states that a search reaches. With `exact` no two states are one: neither those
    that differ by which vCPU is which, nor those that differ in what is passive."""

    def __init__(self, system: System, *, exact: bool) -> None:
        super().__init__(system, REFERENCE, None)
        self.exact = exact
        self.keys: set[int] = set()

    def key(self, state: Any) -> Any:
        key = super().key(state)
        # One number for each vCPU in both models: what is alike has the same hash.
        shared, left, vcpus, _ = state
        self.keys.add(hash((shared, left, tuple(sorted(map(hash, vcpus))))))
        return state if self.exact else key


@pytest.mark.parametrize(
    "system",
    [
        System(vcpus=2, ipis=(0x41,)),
        System(vcpus=1, edge=(0x31,), level=(0x61,)),
        System(vcpus=2, calls=2),
    ],
)
def test_taking_states_for_one_loses_none(system: System) -> None:
    exact, merged = Reached(system, exact=True), Reached(system, exact=False)
    assert search(exact, Limits()).states > search(merged, Limits()).states
    assert exact.keys == merged.keys


@pytest.mark.clause("SCHED-3")
def test_without_the_check_in_the_window_a_shortest_counterexample() -> None:
    violation, scenario = broken(System(vcpus=1, edge=(0x31,)), "switch-window-unchecked")
    assert violation.invariant.name == "INV-3"
    assert len(scenario) <= 13
    again = repeated(scenario, "switch-window-unchecked")
    assert again.invariant.name == "INV-3"
    assert again.index == len(scenario) - 1


@pytest.mark.clause("SCHED-3", "INV-1")
def test_what_the_check_in_the_window_protects_from_is_a_lost_interrupt() -> None:
    """Where the #HV handler runs inside the window, nothing signals the vector any more."""
    system = System(vcpus=1, edge=(0x31,), handler_in_window=True)
    proved(system)
    violation, scenario = broken(system, "switch-window-unchecked")
    assert violation.invariant.name == "INV-1"
    assert [command["op"] for command in scenario[-3:]] == ["host_step", "svsm_hv", "svsm_step"]
    assert len(scenario) == 14
    again = repeated(scenario, "switch-window-unchecked")
    assert (again.invariant.name, again.index) == ("INV-1", 13)


@pytest.mark.parametrize(
    ("quirk", "system", "invariant"),
    [
        ("handoff-drops-vector-31", System(edge=(31,), calls=1, vcpus=1), "INV-1"),
        ("emulation-survives-disable", System(calls=2, vcpus=1), "INV-7"),
        ("lazy-eoi-survives-disable", System(edge=(0x51,), calls=2, vcpus=1), "INV-7"),
    ],
)
def test_quirks_are_found(quirk: str, system: System, invariant: str) -> None:
    violation, scenario = broken(system, quirk)
    assert violation.invariant.name == invariant
    assert repeated(scenario, quirk).invariant.name == invariant


def test_a_bound_ends_it_cleanly() -> None:
    outcome = explore(System(vcpus=1, edge=(0x31, 0x51)), limits=Limits(depth=5))
    assert outcome.stopped_by == "depth 5"
    assert outcome.frontier > 0
    assert outcome.broken is None


@pytest.mark.parametrize("quirks", [REFERENCE, COCONUT], ids=["reference", "coconut"])
def test_a_state_that_is_restored_goes_on_as_the_scenario_that_led_there(quirks: Quirks) -> None:
    """Along a run of every kind of move, the machine is frozen and restored after each command; it and
    one that was left alone answer the same, and are the same at the end."""
    scenario: list[Command] = [
        {"op": "init", "cpus": 2, "reg_count": 2},
        call(0, 4, 0x300),
        call(0, 3, 0x808, 0x23),  # TPR, with low bits
        call(0, 3, 0x830, 3 << 18 | 0x41),  # an IPI to all others
        {"op": "host_begin", "cpu": 0, "vector": 0x31, "level": True},
        *[{"op": "host_step", "cpu": 0}] * 4,
        *[{"op": "svsm_step", "cpu": 0}] * 5,
        {"op": "set_vmsa", "cpu": 1, "vintr": 5 << 32 | 0x103},
        {"op": "intercept", "cpu": 0, "exitintinfo": 0x80000031, "busy": True},
        call(0, 0, 0x30000000, protocol=0),  # REMAP_CA
        {"op": "host_refuse", "cpu": 0, "call": "hv_ipi"},
        {"op": "enter", "cpu": 0},
        {"op": "guest_take", "cpu": 0},
        call(0, 2, 0x830),  # reads the ICR back
        call(0, 2, 0x808),
        call(1, 1, 1),
        {"op": "state", "cpu": 0},
        {"op": "state", "cpu": 1},
    ]
    one, other = Machine(quirks), Machine(quirks)
    for command in scenario:
        expected = one.execute(command)
        assert other.execute(command) == expected
        for cpu in other.vm.vcpus:
            restore(cpu, freeze(cpu))


def test_a_guest_that_ends_itself_is_an_end_of_its_own() -> None:
    """A write that the SVSM refuses, of which Linux makes none, ends it by its driver's rule."""
    guest = dataclasses.replace(LINUX, makes=(*LINUX.makes, REFUSED_TPR))
    outcome = explore(System(vcpus=1, guest=guest))
    assert outcome.broken is None
    [(ending, scenario)] = outcome.endings.items()
    assert (
        ending == "linux ends itself: SVSM_APIC_WRITE_REGISTER (goes too far) answered 0x80000005"
    )
    assert scenario[-1] == call(0, 3, 0x808, 0x100)


def test_a_refused_request_of_linux() -> None:
    """Linux sends an IPI, and the host refuses to tell: the reference keeps it, the quirk stops."""
    system = System(vcpus=2, ipis=(0x41,), refusals=1, guest=LINUX)
    outcome = explore(system, only("refused-ipi-crashes"))
    assert isinstance(outcome.broken, Violation)
    assert outcome.broken.invariant.name == "INV-10"
    opening = 3  # what came before the guest: init, and the vectors of each vCPU allowed
    assert not objections(LINUX, outcome.path[opening:])


def test_the_svsm_asking_for_termination_is_an_end_of_its_own() -> None:
    outcome = explore(System(vcpus=1, calls=1, refusals=1))
    assert outcome.broken is None
    assert list(outcome.endings) == [
        "the SVSM asks for termination: the host refused to disable Alternate Injection"
    ]


@pytest.mark.parametrize("guest", GUESTS.values(), ids=GUESTS)
def test_deliveries_cut_short_and_new_vcpus_in_every_order(guest: Guest) -> None:
    assert (
        proved(System(vcpus=1, edge=(0x31,), intercepts=1, creations=1, guest=guest)).states > 400
    )
