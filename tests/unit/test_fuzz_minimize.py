"""The minimiser: fewer commands, the same cause, and never another bug."""

import random

import pytest

from tests.checkout import quirk_scenario
from vmgexit.machine import program
from vmgexit.machine.program import SIZE
from vmgexit_fuzz.inputs.programs import mutate
from vmgexit_fuzz.process.minimize import minimized
from vmgexit_fuzz.targets import Conditions, Finding, Target, find

ROW = find("scenario")


def cause_of(target: Target, data: bytes) -> str:
    with pytest.raises(Finding) as caught:
        target.run(data)
    return caught.value.cause


def cause_if_any(target: Target, data: bytes) -> str:
    try:
        target.run(data)
    except Finding as finding:
        return finding.cause
    return ""


@pytest.mark.parametrize("name", ["remap-loses-lazy-eoi", "handoff-drops-vector-31"])
def test_noise_around_a_known_scenario_goes_away(name: str) -> None:
    target = ROW.open(Conditions(profile=name))
    short = program.write(quirk_scenario(name))
    state = program.write([quirk_scenario(name)[0], {"op": "state", "cpu": 0}])[SIZE:]
    long = short[:SIZE] + state * 20
    for at in range(SIZE, len(short), SIZE):
        long += short[at : at + SIZE] + state * 3
    found = minimized(target, long, cause_of(target, long))
    assert cause_of(target, found) == cause_of(target, short)
    assert len(found) <= len(short)


def test_random_findings_stay_the_same_finding() -> None:
    target = ROW.open(Conditions(profile="emulation-survives-disable,self-ipi-below-16"))
    pick = random.Random(7)
    shortened = 0
    for seed in range(400):
        data = b""
        for _ in range(6):
            data = mutate(data, ROW.longest, pick.randrange(1 << 30) + seed)
        cause = cause_if_any(target, data)
        if cause:
            less = minimized(target, data, cause)
            assert cause_of(target, less) == cause
            assert len(less) <= len(data)
            shortened += len(less) <= 5 * SIZE
    assert shortened > 5


def test_an_input_of_another_cause_is_left_alone() -> None:
    data = program.write([{"op": "init", "cpus": 1, "reg_count": 1}])
    assert minimized(ROW.open(), data, "INV-1 enter") == data
