"""Invariants judge a peer by its own answers, as they judge our machine."""

import copy
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.checkout import quirk_scenario
from tests.conformance.test_quirks import BROKEN, COMPANIONS
from tests.watched import broken_by
from vmgexit.compare.mirror import NEEDS, Exchange, ask, broken, judge
from vmgexit.descriptions import Answer, Command
from vmgexit.machine.commands import call
from vmgexit.machine.machine import Machine
from vmgexit.machine.quirks import profile
from vmgexit.watch.invariants import INVARIANTS
from vmgexit.watch.watch import Watch
from vmgexit_fuzz.inputs.programs import stock
from vmgexit_fuzz.targets import find
from vmgexit_fuzz.targets.scenarios import ProgramTarget

CORPUS = Path(__file__).parents[2] / "corpus" / "quirks"
INIT: Command = {"op": "init", "cpus": 1, "reg_count": 1}
BEGUN: Answer = {"ok": True, "cpus": 1, "reg_count": 1}
STEPS = ("host_begin", "host_step", "svsm_step", "svsm_hv")  # which peers do not have


def exchanges(commands: Sequence[Command], quirks: str = "reference") -> list[Exchange]:
    """What our machine answers in the place of a peer."""
    machine = Machine(profile(quirks))
    return [ask(machine, command, len(machine.vm.vcpus)) for command in commands]


def name(told: Sequence[Exchange]) -> str:
    violation = judge(told)
    return violation.invariant.name if violation else ""


# --- written by hand ---------------------------------------------------------------------------------


def state(count: int, **more: Any) -> tuple[Command, Answer]:
    """A state that tells no more than the count and the bit, and `more`."""
    return {"op": "state", "cpu": 0}, {
        "unsupported": "state",
        "reg_count": count,
        "alt_inj": True,
    } | more


def test_a_count_that_rises_from_0_breaks_inv_7() -> None:
    register = call(0, 1, 2)
    answered = {"rax": 0, "rcx": 2, "rdx": 0, "r8": 0}
    told = [
        Exchange(INIT | {"reg_count": 0}, BEGUN | {"reg_count": 0}, [state(0)]),
        Exchange(register, answered, [state(1)]),
    ]
    violation = judge(told)
    assert violation is not None
    assert str(violation) == "INV-7 at call of vCPU 0: the count rose from 0 to 1"
    assert violation.index == 1
    told[1] = Exchange(register, answered | {"rax": 0x8000_1000}, [state(0)])
    assert judge(told) is None


def test_a_code_that_is_not_the_documented_one_breaks_inv_9() -> None:
    asked = call(0, 9)  # there is no call 9
    answered = {"rax": 0x8000_0005, "rcx": 0, "rdx": 0, "r8": 0}
    told = [Exchange(INIT, BEGUN, [state(1)]), Exchange(asked, answered, [state(1)])]
    assert str(judge(told)) == (
        "INV-9 at call 3.9 of vCPU 0: answered 0x80000005, 0x80000002 is documented"
    )


@pytest.mark.parametrize(
    ("before", "answer", "expected"),
    [
        ({"op": "enter", "cpu": 0}, {"panic": "never"}, "INV-10"),
        ({"op": "enter", "cpu": 0}, {"terminated": "never mind"}, "INV-10"),
        (
            {"op": "host_refuse", "cpu": 0, "call": "disable_alternate_injection"},
            {"terminated": "any words at all"},
            "",
        ),
    ],
)
def test_a_stop_needs_a_reason_that_the_host_gave(
    before: Command, answer: Answer, expected: str
) -> None:
    told = [
        Exchange(INIT, BEGUN),
        Exchange(before, {"ok": True}),
        Exchange(call(0, 1, 1), answer),
    ]
    assert name(told) == expected


def test_a_machine_check_is_a_reason_to_stop() -> None:
    page = bytearray(256)
    page[1] = 0x82  # NoFurtherSignal, and the SVSM's own machine check
    looks: list[tuple[Command, Answer]] = [({"op": "doorbell", "cpu": 0}, {"hex": page.hex()})]
    told = [
        Exchange(INIT, BEGUN),
        Exchange({"op": "set_doorbell", "cpu": 0, "hex": page.hex()}, {"ok": True}, looks),
        Exchange({"op": "enter", "cpu": 0}, {"terminated": "MC"}),
    ]
    assert name(told) == ""


# --- as of our own machine ---------------------------------------------------------------------------


ALONE = [one for one in BROKEN if not BROKEN[one].startswith("MEM") and one not in COMPANIONS]


@pytest.mark.parametrize("quirk", ALONE)
def test_each_quirk_breaks_by_answers_what_it_breaks_in_the_machine(quirk: str) -> None:
    commands = quirk_scenario(quirk)
    if "memory" in commands[0]:
        assert judge(exchanges(commands, quirk)) is None
        return
    assert name(exchanges(commands, quirk)) == BROKEN[quirk]
    assert name(exchanges(commands)) == ""


def scenarios(count: int, seed: int) -> list[list[Command]]:
    target, made, pick = find("peer").open(), stock(), random.Random(seed)
    assert isinstance(target, ProgramTarget)
    several = [target.commands(made.program(pick)) for _ in range(count)]
    return [[one for one in commands if one["op"] not in STEPS] for commands in several]


@pytest.mark.parametrize("count", [50, pytest.param(3000, marks=pytest.mark.long)])
def test_the_reference_breaks_nothing_and_coconut_what_it_breaks_in_the_machine(count: int) -> None:
    """Of INV-1 an intercept tells earlier: an EXITINTINFO that is not in EVENTINJ is nowhere."""
    for commands in scenarios(count, 5):
        assert name(exchanges(commands)) == ""
        expected = broken_by(commands, Watch(Machine(profile("coconut"))))
        assert name(exchanges(commands, "coconut")) == expected


# --- what is not told, or not so ---------------------------------------------------------------------


def test_every_invariant_has_its_needs_but_those_of_memory() -> None:
    judged = {one.name for one in INVARIANTS if not one.on_memory}
    assert set(NEEDS) == judged


def test_what_a_peer_does_not_tell_is_not_judged() -> None:
    commands = quirk_scenario("ppr-keeps-low-nibble")
    told = exchanges(commands, "ppr-keeps-low-nibble")
    for exchange in told:
        for _, answer in exchange.looks:
            answer.pop("apic", None)
    assert name(told) == ""


def test_what_is_left_out_counts_as_a_step() -> None:
    told = [
        Exchange(INIT, BEGUN),
        Exchange(call(0, 0), {"unsupported": "call"}),
        Exchange({"op": "enter", "cpu": 0}, {"panic": ""}),
    ]
    violation = judge(told)
    assert violation is not None
    assert violation.index == 2


STRANGE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-1, 1 << 65)
    | st.text(max_size=3)
    | st.just("00" * 256),
    lambda inner: st.lists(inner, max_size=9) | st.dictionaries(st.text(max_size=3), inner),
)
KNOWN = exchanges(
    [
        INIT | {"cpus": 2},
        call(0, 4, 0x300),
        {"op": "host_irq", "cpu": 0, "vector": 0x61, "level": True},
        {"op": "enter", "cpu": 0, "late": [{"vector": 0x71, "level": False}]},
        {"op": "guest_take", "cpu": 0},
        call(0, 3, 0x830, 1 << 32 | 0x61),
        call(0, 1, 1),
    ]
)


@given(st.data())
def test_an_answer_of_any_kind_is_judged_or_not(data: st.DataObject) -> None:
    told = copy.deepcopy(KNOWN)
    exchange = data.draw(st.sampled_from(told))
    answer = data.draw(st.sampled_from([one for _, one in exchange.all]))
    key = data.draw(st.sampled_from([*answer, "calls", "taken", "apic", "hex"]))
    if isinstance(answer.get(key), dict) and data.draw(st.booleans()):
        answer = answer[key]
        key = data.draw(st.sampled_from(sorted(answer)))
    answer[key] = data.draw(STRANGE)
    judge(told)


@pytest.mark.parametrize("answer", [{}, {"next": 7}, {"next": None, "calls": []}])
def test_a_step_that_tells_no_next_one_is_not_judged(answer: Answer) -> None:
    told = [Exchange(INIT, BEGUN, [state(1)]), Exchange({"op": "svsm_step", "cpu": 0}, answer)]
    assert judge(told) is None


def test_harm_shows_in_what_the_vcpu_does_next() -> None:
    """An interrupt that went astray breaks INV-1 once the guest is entered."""

    class Loses:
        """Our machine, but that a self-IPI is lost."""

        def __init__(self) -> None:
            self.machine = Machine()

        def execute(self, command: Command) -> Answer:
            answer = self.machine.execute(command)
            if command == sent:
                self.machine.vm.vcpus[0].apic.irr = 0
            return answer

    sent = call(0, 3, 0x83F, 0x61)
    peer = Loses()
    told = [ask(peer, command, 1) for command in (INIT, sent)]
    violation = broken(peer, told, 1)
    assert violation is not None
    assert str(violation) == "INV-1 at call of vCPU 0: vector 0x61 is nowhere"
