"""The minimiser: fewer commands, the same cause, and never another bug."""

import random
from pathlib import Path

import pytest

from vmgexit.machine import program
from vmgexit.machine.commands import Command
from vmgexit.machine.quirks import only
from vmgexit.machine.scenario import sequences
from vmgexit_fuzz.campaign.minimize import minimized
from vmgexit_fuzz.inputs.programs import SIZE, mutate
from vmgexit_fuzz.targets import Finding, find, scenario

QUIRKS = Path(__file__).parents[2] / "corpus" / "quirks"
TARGET = find("scenario")


def known(name: str) -> list[Command]:
    with (QUIRKS / f"{name}.jsonl").open("rb") as stream:
        [sequence] = sequences(stream)
    return sequence.commands


def cause_of(data: bytes) -> str:
    with pytest.raises(Finding) as caught:
        TARGET.run(data)
    return caught.value.cause


def cause_if_any(data: bytes) -> str:
    try:
        TARGET.run(data)
    except Finding as finding:
        return finding.cause
    return ""


@pytest.mark.parametrize("name", ["remap-loses-lazy-eoi", "handoff-drops-vector-31"])
def test_noise_around_a_known_scenario_goes_away(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scenario, "quirks", only(name))
    short = program.write(known(name))
    state = program.write([known(name)[0], {"op": "state", "cpu": 0}])[SIZE:]
    long = short[:SIZE] + state * 20
    for at in range(SIZE, len(short), SIZE):
        long += short[at : at + SIZE] + state * 3
    found = minimized(TARGET, long, cause_of(long))
    assert cause_of(found) == cause_of(short)
    assert len(found) <= len(short)


def test_random_findings_stay_the_same_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenario, "quirks", only("emulation-survives-disable", "self-ipi-below-16"))
    pick = random.Random(7)
    shortened = 0
    for seed in range(400):
        data = b""
        for _ in range(6):
            data = mutate(data, TARGET.longest, pick.randrange(1 << 30) + seed)
        cause = cause_if_any(data)
        if cause:
            less = minimized(TARGET, data, cause)
            assert cause_of(less) == cause
            assert len(less) <= len(data)
            shortened += len(less) <= 5 * SIZE
    assert shortened > 5


def test_an_input_of_another_cause_is_left_alone() -> None:
    data = program.write([{"op": "init", "cpus": 1, "reg_count": 1}])
    assert minimized(TARGET, data, "INV-1 enter") == data
