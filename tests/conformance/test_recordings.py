"""The machine against what COCONUT-SVSM answered: every recording, every answer."""

import itertools
import lzma
from pathlib import Path

import pytest

from vmgexit.compare.replay import Tally, explained, replay, same
from vmgexit.machine.machine import Machine
from vmgexit.machine.quirks import COCONUT, COCONUT_SEEN, REFERENCE, Quirks, names, only
from vmgexit.machine.scenario import sequences
from vmgexit.sequences import Sequence
from vmgexit.watch.invariants import INVARIANTS
from vmgexit.watch.judged import Violation
from vmgexit.watch.watch import Watch

RECORDINGS = Path(__file__).parents[2] / "corpus" / "recordings"
# Sequences and operations of each recording.
KINDS = {
    "host": (120, 4100),
    "intercept": (120, 4111),
    "hostile": (120, 4198),
    "fuzzed": (100, 3292),
}
MEMORY = {
    "memory/core-honest": (100, 3556),
    "memory/core-hostile": (100, 3051),
    "memory/attest": (100, 3331),
    "memory/vtpm": (100, 3282),
}
ALL = KINDS | MEMORY


def recorded(name: str) -> list[Sequence]:
    with lzma.open(RECORDINGS / f"{name}.jsonl.xz") as stream:
        return list(sequences(stream, name))


def run(wanted: list[Sequence], quirks: Quirks) -> Tally:
    tally = Tally()
    assert list(replay(wanted, quirks, tally)) == []
    return tally


@pytest.mark.parametrize("name", ALL)
def test_coconut_gives_every_recorded_answer(name: str) -> None:
    tally = run(recorded(name), COCONUT)
    assert (tally.sequences, tally.operations) == ALL[name]
    assert tally.mismatches == 0


@pytest.mark.clause("REG-2", "REG-3", "REG-4", "REG-5", "REG-8")
def test_recordings_about_registration_match() -> None:
    configure = [sequence for sequence in recorded("host") if sequence.kind == "configure"]
    assert len(configure) == 10
    assert run(configure, COCONUT).operations == sum(len(s.commands) for s in configure)


@pytest.mark.parametrize("name", ALL)
def test_the_reference_breaks_no_invariant_on_a_recording(name: str) -> None:
    for sequence in recorded(name):
        watch = Watch(Machine(REFERENCE))
        for command in sequence.commands:
            watch.execute(command)


def test_coconut_breaks_invariants_on_recordings() -> None:
    broken = set()
    for name in KINDS:
        for sequence in recorded(name):
            watch = Watch(Machine(COCONUT))
            try:
                for command in sequence.commands:
                    watch.execute(command)
            except Violation as violation:
                broken.add(violation.invariant.name)
    assert broken >= {
        "INV-1",
        "INV-2",
        "INV-3",
        "INV-4",
        "INV-6",
        "INV-7",
        "INV-8",
        "INV-9",
        "INV-10",
    }


def test_coconut_breaks_invariants_of_memory_on_recordings() -> None:
    broken = set()
    for name in MEMORY:
        for sequence in recorded(name):
            for wanted in (f"MEM-{number}" for number in range(1, 13)):
                held = [one for one in INVARIANTS if one.name == wanted]
                watch = Watch(Machine(COCONUT), invariants=held)
                try:
                    for command in sequence.commands:
                        watch.execute(command)
                except Violation as violation:
                    broken.add(violation.invariant.name)
    # Of the others a count by hand says that no recording breaks them, or the host alone.
    assert broken == {
        "MEM-1",
        "MEM-2",
        "MEM-3",
        "MEM-5",
        "MEM-6",
        "MEM-9",
        "MEM-10",
        "MEM-11",
        "MEM-12",
    }


@pytest.mark.parametrize("name", ALL)
def test_the_reference_departs_only_where_a_quirk_explains_it(name: str) -> None:
    departures = list(explained(replay(recorded(name), REFERENCE, Tally()), REFERENCE))
    assert len(departures) > 50
    for mismatch in departures:
        assert mismatch.explained_by, str(mismatch)
        assert set(mismatch.explained_by) <= set(names(seen=COCONUT_SEEN))


@pytest.mark.parametrize("name", KINDS)
def test_a_quirk_that_explains_an_answer_is_needed_for_it(name: str) -> None:
    for mismatch in itertools.islice(
        explained(replay(recorded(name), REFERENCE, Tally()), REFERENCE), 40
    ):
        assert mismatch.explained_by
        for quirk in mismatch.explained_by:
            left = [other for other in names(seen=COCONUT_SEEN) if other != quirk]
            assert mismatch.index in {
                other.index for other in replay([mismatch.sequence], only(*left), Tally())
            }


def test_an_answer_that_no_quirk_gives_stays_unexplained() -> None:
    sequence = recorded("host")[0]
    last = sequence.answers[-1]
    assert last is not None
    last["nothing"] = "such"
    for mismatch in explained(replay([sequence], REFERENCE, Tally()), REFERENCE):
        assert mismatch.explained_by == ()


def stopping(text: str, kind: str) -> Sequence:
    """A recording of a machine check, with the text of its stop changed."""
    [sequence] = (one for one in recorded("fuzzed") if one.name == "fuzzed #0")
    assert sequence.answers[2] == {"terminated": "#MC"}
    sequence.answers[2] = {kind: text}
    return sequence


@pytest.mark.parametrize("kind", ["panic", "terminated"])
def test_the_text_of_a_stop_is_free(kind: str) -> None:
    assert run([stopping("some other words", kind)], COCONUT).operations == 3


def test_an_assertion_does_not_meet_a_termination_request() -> None:
    assert same({"panic": ""}, {"panic": "index"})
    assert same({"terminated": ""}, {"panic": "index"})
    assert not same({"panic": ""}, {"terminated": "#MC"})
    assert not same({"rax": 0}, {"panic": "index"})


def test_a_changed_answer_is_a_mismatch() -> None:
    sequence = recorded("host")[0]
    last = sequence.answers[1]
    assert last is not None
    last["rax"] += 1
    [mismatch] = replay([sequence], COCONUT, Tally())
    assert mismatch.index == 1
    assert mismatch.differences == {"rax": (0, 1)}
