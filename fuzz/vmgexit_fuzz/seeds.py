"""The committed seeds: programs made from the recordings, a few of each kind.

`vmgexit fuzz seeds` makes them again; a test checks that they are what it would make.
"""

from __future__ import annotations

from pathlib import Path

from vmgexit.files import write
from vmgexit.machine import program
from vmgexit.machine.scenario import sequences
from vmgexit.read.streams import lines

from .targets import REPOSITORY, find
from .targets.base import ON_MEMORY

RECORDINGS = REPOSITORY / "corpus" / "recordings"
TARGETS = {"scenario": RECORDINGS, ON_MEMORY: RECORDINGS / "memory"}
"""The targets that have seeds, and the recordings that they are made from."""
OF_EACH_KIND = 2
SHORTEST_SEED = 10  # commands; a shorter one leaves a campaign little to change


def chosen(target: str) -> dict[str, bytes]:
    """The seeds by file name: of each recording and kind the first that are neither too short nor long."""
    seeds: dict[str, bytes] = {}
    longest = find(target).longest
    for path in sorted(TARGETS[target].glob("*.jsonl.xz")):
        kinds: dict[str, int] = {}
        recorded = path.name.removesuffix(".jsonl.xz")
        for sequence in sequences(lines(str(path)), recorded):
            data = program.write(sequence.commands)
            kind = sequence.kind or "sequence"
            fits = len(sequence.commands) >= SHORTEST_SEED and len(data) <= longest
            if not fits or kinds.get(kind, 0) == OF_EACH_KIND:
                continue
            kinds[kind] = kinds.get(kind, 0) + 1
            seeds[f"{target}-{recorded}-{kind}-{kinds[kind]}.bin"] = data
    return seeds


def make(directory: Path | None = None) -> int:
    """Write the seeds, each target's into a folder of its own; how many there are."""
    directory = directory or REPOSITORY / "corpus" / "seeds"
    made = 0
    for target in TARGETS:
        for name, data in chosen(target).items():
            write(directory / target / name, data)
            made += 1
    return made
