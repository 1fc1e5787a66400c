"""Scenarios that once broke something of ours: the reference must keep every invariant on them."""

from pathlib import Path

import pytest

from vmgexit.machine.scenario import sequences
from vmgexit.watch.watch import run

REGRESSIONS = Path(__file__).parents[2] / "corpus" / "regressions"


@pytest.mark.parametrize("path", sorted(REGRESSIONS.glob("*.jsonl")), ids=lambda path: path.stem)
def test_the_reference_keeps_its_invariants(path: Path) -> None:
    with path.open("rb") as stream:
        run([command for sequence in sequences(stream) for command in sequence.commands])
