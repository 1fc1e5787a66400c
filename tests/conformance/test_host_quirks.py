"""Each quirk of a host has an exchange that shows it, and the decisions name what KVM was seen to do."""

import json
from pathlib import Path

import pytest

from vmgexit.compare.replay import Tally, explained, replay
from vmgexit.hosts.quirks import KVM, PROFILES, REFERENCE, names, only
from vmgexit.hosts.scenario import sequence_of
from vmgexit.hosts.settled import SETTLED
from vmgexit.sequences import Sequence

SHOWN = Path(__file__).parents[2] / "corpus" / "hosts"
OF_KVM = PROFILES.of_profile("kvm")


def exchange(name: str) -> Sequence:
    sequence = sequence_of(json.loads((SHOWN / f"{name}.jsonl").read_text()), 1, name)
    assert sequence is not None
    return sequence


def test_every_quirk_is_shown() -> None:
    assert {path.stem for path in SHOWN.glob("*.jsonl")} >= set(OF_KVM)


@pytest.mark.parametrize("name", sorted(OF_KVM))
def test_a_quirk_is_what_an_exchange_shows(name: str) -> None:
    shown = exchange(name)
    assert list(replay([shown], KVM, Tally())) == []
    without = only(*(other for other in OF_KVM if other != name))
    [mismatch] = replay([shown], without, Tally())
    [told] = explained([mismatch], without)
    assert told.explained_by == (name,)
    assert list(replay([shown], REFERENCE, Tally())) != []


def test_no_name_means_two_things() -> None:
    settled = [one.name for one in SETTLED]
    assert len({*settled, *names()}) == len(settled) + len(names())
