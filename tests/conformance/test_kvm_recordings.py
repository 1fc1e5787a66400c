"""The host of profile kvm against KVM's own code: 1,500 GHCB pages and 500 MSR words, every answer."""

import lzma
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from vmgexit.compare.replay import Tally, explained, replay
from vmgexit.hosts.quirks import KVM, REFERENCE, names, only
from vmgexit.hosts.scenario import sequence_of
from vmgexit.hosts.settled import SETTLED
from vmgexit.sequences import Sequence, entries

RECORDINGS = Path(__file__).parents[2] / "corpus" / "recordings" / "kvm"
EXCHANGES = {"kvm-ghcb": 1500, "kvm-msr": 500}


def recorded(name: str) -> Iterator[tuple[Sequence, list[str]]]:
    """Each exchange, and the departures of KVM that whoever recorded it saw in it."""
    with lzma.open(RECORDINGS / f"{name}.jsonl.xz") as stream:
        for number, entry in entries(stream):
            sequence = sequence_of(entry, number, name)
            assert sequence is not None
            yield sequence, entry["quirks"]


@pytest.mark.parametrize("name", EXCHANGES)
def test_kvm_gives_every_recorded_answer(name: str) -> None:
    tally = Tally()
    assert list(replay((sequence for sequence, _ in recorded(name)), KVM, tally)) == []
    assert tally.sequences == EXCHANGES[name]


def test_every_departure_seen_is_a_quirk_or_settled() -> None:
    seen = Counter(label for name in EXCHANGES for _, labels in recorded(name) for label in labels)
    known = {*names(), *(settled.name for settled in SETTLED)}
    assert len(seen) == 61
    assert set(seen) <= known


@pytest.mark.slow
@pytest.mark.parametrize("name", EXCHANGES)
def test_the_reference_departs_only_where_a_quirk_explains_it(name: str) -> None:
    every = 4  # the whole recording takes ten times as long as all the rest of this file
    chosen = [sequence for sequence, _ in recorded(name)][::every]
    departures = list(explained(replay(chosen, REFERENCE, Tally()), REFERENCE))
    assert len(departures) > 20
    for mismatch in departures:
        assert mismatch.explained_by, str(mismatch)


@pytest.mark.parametrize("name", EXCHANGES)
def test_where_no_departure_was_seen_the_reference_agrees(name: str) -> None:
    quiet = [
        sequence
        for sequence, labels in recorded(name)
        if not set(labels) - {settled.name for settled in SETTLED}
    ]
    assert len(quiet) > 40
    # Who saw the departures took the page's version, which KVM never looks at, for the VM's.
    quirks = only("version-field-ignored")
    assert [str(mismatch) for mismatch in replay(quiet, quirks, Tally())] == []
