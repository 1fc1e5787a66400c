"""One defect of a peer has one name, whatever brings it to light."""

import random

import pytest

from tests.checkout import quirk_scenario
from vmgexit.compare.causes import _key, explaining, first
from vmgexit.compare.replay import apart
from vmgexit.descriptions import Answer, Command
from vmgexit.machine.commands import call
from vmgexit.machine.machine import Machine
from vmgexit.machine.quirks import REFERENCE, profile
from vmgexit_fuzz.inputs.programs import stock
from vmgexit_fuzz.targets import Conditions, Finding, find
from vmgexit_fuzz.targets.peer import PeerTarget
from vmgexit_fuzz.targets.with_peer import OurOwn

INIT: Command = {"op": "init", "cpus": 1, "reg_count": 1}
ENTER: Command = {"op": "enter", "cpu": 0}
TAKE: Command = {"op": "guest_take", "cpu": 0}
OPEN: Command = {"op": "guest", "cpu": 0, "if": True, "shadow": False}
ALLOW_ALL = call(0, 4, 0x300)
EOI = call(0, 3, 0x80B)
TEN = (
    "handoff-drops-vector-31",
    "ppr-keeps-low-nibble",
    "level-dropped-without-eoi",
    "refused-ipi-crashes",
    "switch-window-unchecked",
    "host-nmi-ignored",
    "self-ipi-below-16",
    "allow-below-31",
    "tpr-low-nibble-dropped",
    "physical-nmi-becomes-fixed",
)


def posted(vector: int) -> Command:
    return {"op": "host_irq", "cpu": 0, "vector": vector, "level": False}


class EndsTheOldest:
    """Our machine, but that an EOI ends the oldest interrupt in service."""

    def __init__(self) -> None:
        self.machine = Machine()

    def execute(self, command: Command) -> Answer:
        if command == EOI:
            apic = self.machine.vm.vcpus[0].apic
            for stack in (apic.isr, apic.isr_tmr):
                stack.reverse()
            answer = self.machine.execute(command)
            for stack in (apic.isr, apic.isr_tmr):
                stack.reverse()
            return answer
        return self.machine.execute(command)


NESTED = [INIT, ALLOW_ALL, OPEN, posted(0x47), ENTER, TAKE, posted(0x61), ENTER, TAKE, EOI]


@pytest.mark.parametrize(
    "seen_by",
    [
        call(0, 2, 0x80A),  # the PPR
        call(0, 2, 0x812),  # the ISR of vectors from 64
        {"op": "state", "cpu": 0},
    ],
)
def test_what_shows_a_defect_does_not_name_it(seen_by: Command) -> None:
    cause = first(EndsTheOldest(), REFERENCE, [*NESTED, seen_by])
    assert cause is not None
    assert (cause.index, cause.quirk) == (9, "")
    assert cause.name == "apic.isr_stack differs"
    assert cause.place == "call SVSM_APIC_WRITE_REGISTER of EOI"
    assert "in service 0x47 below 0x61" in cause.before
    assert str(cause).startswith(f"{cause.place}: apic.isr_stack: [0x61] found, [0x47] expected")


def test_a_peer_that_is_right_has_no_cause() -> None:
    assert first(Machine(), REFERENCE, NESTED) is None


@pytest.mark.parametrize("name", TEN)
def test_a_quirk_of_ours_names_what_it_explains(name: str) -> None:
    commands = quirk_scenario(name)
    cause = first(Machine(profile(name)), REFERENCE, commands)
    assert cause is not None
    assert cause.name == cause.quirk == name
    assert str(cause).endswith(f"(explained by {name})")


def test_quirks_that_explain_the_same_are_told_apart() -> None:
    """The EOI of 0x47 is missing, beside a stale field and MultipleVectors."""
    page = {"op": "set_doorbell", "cpu": 0, "hex": f"00800002{'0' * 248}10400000{'0' * 248}"}
    late = {**ENTER, "late": [{"vector": 0x47, "level": True}, {"vector": 0x10, "level": False}]}
    for name in ("level-dropped-without-eoi", "stale-field-beside-multiple"):
        cause = first(Machine(profile(name)), REFERENCE, [{**INIT, "reg_count": 0}, page, late])
        assert cause is not None
        assert cause.quirk == name


def test_what_is_in_service_is_one_cause() -> None:
    """The wrong one ended; what came after it found room, or none."""
    for found, expected in (([128], [32]), ([128], [32, 128]), ([32, 128], [32])):
        assert _key("enter", {"apic.isr_stack": (found, expected)}) == "apic.isr_stack differs"


def test_what_no_quirk_does_is_not_explained() -> None:
    told = [(INIT, {"ok": True, "cpus": 1, "reg_count": 1}), (call(0, 2, 0x80A), {"rax": 7})]
    assert explaining(told, REFERENCE) == []


def test_ten_defects_are_ten_findings() -> None:
    """Of ten quirks at once in a peer, each input finds one; all inputs together find no eleventh."""
    target = find("peer").open(Conditions())
    assert isinstance(target, PeerTarget)
    peer = OurOwn(Machine(profile(",".join(TEN))).execute)
    target.answering = lambda: peer  # type: ignore[method-assign]
    made, found = stock(), dict[str, int]()
    pick = random.Random(15)
    for _ in range(300):
        try:
            target.run(made.program(pick))
        except Finding as finding:
            found[finding.cause] = found.get(finding.cause, 0) + 1
    assert set(found) <= set(TEN)
    assert len(found) >= 6


def test_long_values_are_told_from_where_they_differ() -> None:
    ours, theirs = bytes(256).hex(), (bytes(64) + b"\x05" + bytes(191)).hex()
    zeros = "0" * 24  # of the 129 that are alike
    found, _, expected = apart(ours, theirs).partition(" found, ")
    assert found == f"...{zeros}{'0' * 50}..."
    assert expected == f"...{zeros}5{'0' * 49}... expected"
    assert (
        apart([["adjust", 49, 0]], None, "recorded")
        == "[['adjust', 0x31, 0]] found, nothing recorded"
    )
    assert apart("same" * 30, "same" * 30 + "!").endswith("same!' expected")
