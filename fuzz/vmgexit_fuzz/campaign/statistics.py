"""How workers are doing, on disk: one file for each, one JSON line every few seconds.

Inputs, steps, seconds and restarts of a line are those since the line before, so that sums hold
whatever was killed between; the others are what stands at that time. A torn last line is passed over.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

WRITE_SECONDS = 2.0  # between two lines


@dataclass(slots=True)
class Line:
    """What one worker did since its line before. `at` is seconds since 1970."""

    at: float
    worker: int
    kind: str
    seconds: float
    inputs: int
    steps: int
    restarts: int  # after a process died
    coverage: int  # counters reached; 0 for kinds without
    corpus: int  # inputs
    causes: int  # findings in the store
    samples: int = 0  # inputs from nothing that were looked at,
    species: int = 0  # the states that they reached,
    singletons: int = 0  # and those that one input reached alone


def append(folder: Path, line: Line) -> None:
    """Add a line to its worker's file. Raises OSError."""
    text = json.dumps(asdict(line), separators=(",", ":")) + "\n"
    path = folder / f"{line.worker}.jsonl"
    with path.open("ab") as stream:
        if stream.tell() and not _ends_well(path):
            text = f"\n{text}"
        os.write(stream.fileno(), text.encode())


def _ends_well(path: Path) -> bool:
    with path.open("rb") as stream:
        stream.seek(-1, os.SEEK_END)
        return stream.read(1) == b"\n"


def read(folder: Path) -> list[Line]:
    """Every worker's lines by time. Unreadable ones are passed over."""
    return sorted(_lines(folder), key=lambda line: line.at)


def _lines(folder: Path) -> Iterator[Line]:
    for path in sorted(folder.glob("*.jsonl")):
        for text in path.read_bytes().splitlines():
            try:
                yield Line(**json.loads(text))
            except (ValueError, TypeError):
                continue


def unseen(lines: list[Line]) -> tuple[float, int] | None:
    """The estimated probability that the next input from nothing reaches a state not seen yet, and
    from how many samples; None before there are any.

    Good and Turing's estimate, states reached once over samples (Good, Biometrika 1953; for fuzzing
    Böhme, STADS, TOSEM 2018). It holds for inputs drawn independently, which those of coverage-guided
    workers are not (Böhme, Liyanage, Wüstholz, ESEC/FSE 2021): only inputs from nothing are counted,
    and of those the longest turn's.
    """
    most = max(lines, key=lambda line: line.samples, default=None)
    if most is None or not most.samples:
        return None
    return most.singletons / most.samples, most.samples
