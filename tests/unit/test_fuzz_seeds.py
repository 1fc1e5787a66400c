"""The committed seeds are what the recordings give, small, and mean what the recordings mean."""

import lzma
from pathlib import Path

import pytest

from vmgexit.machine import program
from vmgexit.machine.scenario import sequences
from vmgexit_fuzz import seeds
from vmgexit_fuzz.targets import find

CORPUS = Path(__file__).parents[2] / "corpus"
COMMITTED = CORPUS / "seeds"


def test_the_committed_seeds_are_current(tmp_path: Path) -> None:
    assert seeds.make(tmp_path) > 50
    made, committed = (
        {str(path.relative_to(at)): path.read_bytes() for path in at.rglob("*.bin")}
        for at in (tmp_path, COMMITTED)
    )
    assert made == committed, "make them again: vmgexit fuzz seeds"


@pytest.mark.parametrize("name", seeds.TARGETS)
def test_seeds_are_small(name: str) -> None:
    sizes = [path.stat().st_size for path in (COMMITTED / name).iterdir()]
    assert sum(sizes) < 300_000
    assert max(sizes) <= find(name).longest  # libFuzzer would cut longer ones


@pytest.mark.parametrize("name", ["scenario", "svsm", "svsm-hostile"])
def test_seeds_run_and_find_nothing(name: str) -> None:
    row = find(name)
    target = row.open()
    for path in sorted(row.seeds.iterdir()):
        assert target.run(path.read_bytes()) > 8, path.name


@pytest.mark.parametrize(("name", "recordings"), seeds.TARGETS.items())
def test_every_kind_of_every_recording_has_a_seed(name: str, recordings: Path) -> None:
    kinds = set()
    for path in recordings.glob("*.jsonl.xz"):
        recorded = path.name.removesuffix(".jsonl.xz")
        with lzma.open(path) as stream:
            kinds |= {f"{recorded}-{sequence.kind}" for sequence in sequences(stream)}
    held = (COMMITTED / name).iterdir()
    assert {path.stem.removeprefix(f"{name}-").rpartition("-")[0] for path in held} == kinds


@pytest.mark.parametrize(
    ("name", "count"), [("host", 120), ("intercept", 120), ("hostile", 120), ("fuzzed", 100)]
)
def test_every_recording_survives_the_binary_spelling(name: str, count: int) -> None:
    with lzma.open(CORPUS / "recordings" / f"{name}.jsonl.xz") as stream:
        recorded = list(sequences(stream))
    assert len(recorded) == count
    for sequence in recorded:
        spelled = [
            {key: value for key, value in command.items() if value != []}
            for command in sequence.commands
        ]
        assert program.read(program.write(sequence.commands)) == spelled, sequence.line
