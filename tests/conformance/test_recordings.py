"""The machine against what COCONUT-SVSM answered: every recording, every answer."""

import lzma
from pathlib import Path

import pytest

from vmgexit.compare.replay import Tally, explain, replay
from vmgexit.machine.machine import Machine
from vmgexit.machine.quirks import COCONUT, REFERENCE, Quirks, names
from vmgexit.machine.scenario import Sequence, sequences
from vmgexit.watch.invariants import Violation, Watch

RECORDINGS = Path(__file__).parents[2] / "corpus" / "recordings"
KINDS = ("host", "intercept", "hostile")


def recorded(name: str) -> list[Sequence]:
    with lzma.open(RECORDINGS / f"{name}.jsonl.xz") as stream:
        return list(sequences(stream, name))


def run(wanted: list[Sequence], quirks: Quirks) -> Tally:
    tally = Tally()
    assert list(replay(wanted, quirks, tally)) == []
    return tally


@pytest.mark.parametrize(
    ("name", "operations"), [("host", 4100), ("intercept", 4111), ("hostile", 4198)]
)
def test_coconut_gives_every_recorded_answer(name: str, operations: int) -> None:
    tally = run(recorded(name), COCONUT)
    assert (tally.sequences, tally.operations, tally.mismatches) == (120, operations, 0)
    assert str(tally) == f"120 sequences, {operations} operations, 0 mismatches"


@pytest.mark.clause("REG-2", "REG-3", "REG-4", "REG-5", "REG-8")
def test_recordings_about_registration_match() -> None:
    configure = [sequence for sequence in recorded("host") if sequence.kind == "configure"]
    assert len(configure) == 10
    assert run(configure, COCONUT).operations == sum(len(s.commands) for s in configure)


@pytest.mark.parametrize("name", KINDS)
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


def test_the_reference_departs_only_where_a_quirk_explains_it() -> None:
    for sequence in (*recorded("host")[:60], *recorded("intercept")[:20]):
        tally = Tally()
        if list(replay([sequence], REFERENCE, tally)):
            needed = explain(sequence, REFERENCE)
            assert needed, sequence.name
            assert set(needed) <= set(names())


def test_a_changed_answer_is_a_mismatch() -> None:
    sequence = recorded("host")[0]
    last = sequence.answers[1]
    assert last is not None
    last["rax"] += 1
    [mismatch] = replay([sequence], COCONUT, Tally())
    assert mismatch.index == 1
    assert mismatch.differences == {"rax": (0, 1)}
