"""Each planted bug has a short scenario: with the bug a named invariant breaks, without it none does."""

from typing import Any

import pytest

from tests.campaigns.planted import Bug, bugs, planted
from vmgexit.descriptions import Command
from vmgexit.errors import VmgexitError
from vmgexit.machine import program
from vmgexit.machine.commands import call
from vmgexit.watch.judged import Violation
from vmgexit.watch.watch import run
from vmgexit.wire.apic import ApicCall, ApicRegister
from vmgexit.wire.svsm import CoreCall, Protocol
from vmgexit_fuzz.targets import Conditions, Finding, find, plant

OURS = {
    name: bug for name, bug in bugs().items() if bug.place.startswith("tests.campaigns.planted.m")
}


def op(name: str, **arguments: Any) -> Command:
    return {"op": name, "cpu": 0, **arguments}


def read(number: int) -> Command:
    return call(0, ApicCall.READ_REGISTER, number)


def write(number: int, value: int) -> Command:
    return call(0, ApicCall.WRITE_REGISTER, number, value)


def post(vector: int, level: bool = False) -> Command:
    return op("host_irq", vector=vector, level=level)


ENTER, TAKE, STEP = op("enter"), op("guest_take"), op("svsm_step")
ENABLED = op("guest", **{"if": True, "shadow": False})
ALL_ALLOWED = call(0, ApicCall.CONFIGURE_VECTOR, 0x300)
NMI_TO_SELF = write(ApicRegister.ICR, 0x400)
IPI = write(ApicRegister.SELF_IPI, 0x61)

# The invariant that breaks, and the commands after `init`.
SCENARIOS: dict[str, tuple[str, list[Command]]] = {
    "signal-answered-after-events": ("INV-3", [STEP, STEP, post(0x61), ENTER]),
    "events-copied-before-signal": ("INV-3", [STEP, post(0x61), ENTER]),
    "exitintinfo-not-reinjected": (
        "INV-1",
        [ENABLED, IPI, ENTER, TAKE, op("intercept", exitintinfo=0x80000061, busy=True), ENTER],
    ),
    "pending-event-overwritten": (
        "INV-1",
        [ENABLED, ALL_ALLOWED, post(0x61), ENTER, post(0x85), ENTER],
    ),
    "nmi-never-cleared": ("INV-2", [NMI_TO_SELF, ENTER, TAKE, ENTER, TAKE]),
    "lazy-eoi-for-level": (
        "INV-4",
        [ENABLED, ALL_ALLOWED, post(0x61, True), ENTER, TAKE, op("guest_lazy_eoi"), IPI, ENTER],
    ),
    "registering-holds-nothing": (
        "INV-7",
        [call(0, ApicCall.CONFIGURE_EMULATION, 2), call(0, ApicCall.CONFIGURE_EMULATION, 1)],
    ),
    "ppr-from-next-free-slot": ("INV-6", [ENABLED, IPI, ENTER, TAKE, read(ApicRegister.PPR)]),
    "ldr-not-readable": ("INV-9", [read(ApicRegister.LDR)]),
    "icr-not-readable": ("INV-9", [read(ApicRegister.ICR)]),
    "isr-index-from-irr-base": ("INV-10", [read(ApicRegister.ISR0)]),
    "invalid-register-is-a-parameter": ("INV-9", [read(0x803)]),
    "tpr-written-to-a-copy": ("INV-6", [write(ApicRegister.TPR, 0x50), read(ApicRegister.TPR)]),
    "eoi-of-any-value": ("INV-9", [write(ApicRegister.EOI, 1)]),
    "refused-eoi-crashes": (
        "INV-10",
        [op("host_refuse", call="specific_eoi"), post(0x61, True), ENTER],
    ),
    "all-vectors-refused": ("INV-9", [ALL_ALLOWED]),
    "calling-area-within-a-page": (
        "INV-9",
        [call(0, CoreCall.REMAP_CA, 0x30000008, protocol=Protocol.CORE)],
    ),
    "nmi-to-itself-becomes-fixed": ("INV-8", [NMI_TO_SELF]),
    "icr-reserved-bits-accepted": ("INV-9", [write(ApicRegister.ICR, 1 << 13 | 0x61)]),
    "icr-assert-refused": ("INV-9", [write(ApicRegister.ICR, 1 << 14 | 0x61)]),
}


def broken(commands: list[Command]) -> str:
    try:
        run([{"op": "init", "cpus": 1, "reg_count": 1}, *commands])
    except Violation as violation:
        return violation.invariant.name
    return ""


def test_every_bug_has_a_scenario() -> None:
    assert OURS.keys() == SCENARIOS.keys()
    assert all(bug.wrong.endswith(".") and bug.source for bug in OURS.values())


@pytest.mark.parametrize("bug", OURS.values(), ids=OURS.keys())
def test_the_bug_breaks_its_invariant_and_nothing_else_does(bug: Bug) -> None:
    invariant, commands = SCENARIOS[bug.name]
    assert len(commands) < 15
    assert broken(commands) == ""
    with planted(bug):
        assert broken(commands) == invariant
    assert broken(commands) == ""


def test_a_bug_is_planted_by_its_place_and_found_by_its_target() -> None:
    bug = OURS["ldr-not-readable"]
    data = program.write([{"op": "init", "cpus": 1, "reg_count": 1}, read(ApicRegister.LDR)])
    with planted(bug):  # so that it is undone, whatever `plant` adds to it
        target = find(bug.target).open(Conditions(plant=bug.place))
        with pytest.raises(Finding, match="INV-9"):
            target.run(data)
    assert target.run(data) == 2


def test_a_place_that_there_is_not_is_told() -> None:
    with pytest.raises(VmgexitError, match="no_such_bug"):
        plant("tests.campaigns.planted.machine:no_such_bug")
