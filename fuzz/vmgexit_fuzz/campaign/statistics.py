"""How workers are doing, on disk: one file for each, one JSON line every few seconds.

A line counts inputs, steps, seconds and restarts since the line before, so that sums are right
whatever was killed in between. Its other numbers are those of that time. A reader skips a last line
that is torn.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from vmgexit.files import write

from .untrusted import MOST, append, files, filled, object_of, typed

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
    samples: int = 0  # inputs from nothing that were looked at, of the whole campaign,
    species: int = 0  # the states that they reached,
    singletons: int = 0  # those that one input reached alone,
    incidences: int = 0  # and of each input how many, summed


class StateCounts:
    """How many inputs from nothing reached each state, in a file of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.samples, self.counts = 0, dict[int, int]()
        with contextlib.suppress(OSError, ValueError, TypeError):
            told = json.loads(path.read_bytes())
            self.samples, self.counts = int(told["samples"]), dict(told["states"])

    def add(self, samples: int, states: list[list[int]]) -> None:
        """What a process counted since it last told."""
        self.samples += samples
        for state, count in states:
            self.counts[state] = self.counts.get(state, 0) + count

    def line(self) -> dict[str, int]:
        """Its part of a `Line`."""
        singletons = sum(count == 1 for count in self.counts.values())
        return {
            "samples": self.samples,
            "species": len(self.counts),
            "singletons": singletons,
            "incidences": sum(self.counts.values()),
        }

    def save(self) -> None:
        """Write it. Raises OSError."""
        told = {"samples": self.samples, "states": list(self.counts.items())}
        write(self.path, json.dumps(told).encode())


def add(folder: Path, line: Line) -> None:
    """Add a line to its worker's file. Raises OSError."""
    append(folder / f"{line.worker}.jsonl", asdict(line))


def read(folder: Path) -> list[Line]:
    """Every worker's lines by time. Unreadable ones are passed over."""
    return read_lines(folder)[0]


def read_lines(folder: Path) -> tuple[list[Line], int]:
    """Every worker's lines by time, and how many could not be read."""
    lines, unreadable = [], 0
    for number, path in enumerate(files(folder, "*.jsonl")):
        for text in path.read_bytes().splitlines():
            line = _line(text, int(path.stem) if path.stem.isdecimal() else number)
            if line is None:
                unreadable += bool(text.strip())
            else:
                lines.append(line)
    return sorted(lines, key=lambda line: (line.at, line.worker)), unreadable


def _line(text: bytes, worker: int) -> Line | None:
    told = object_of(text)
    if told is None or not 0 < typed(told.get("at"), 0.0) < MOST:
        return None
    nothing = Line(0.0, worker, "", 0.0, 0, 0, 0, 0, 0, 0)
    return filled(nothing, told, "worker")


def unseen(lines: list[Line]) -> tuple[float, int] | None:
    """The estimated share of what inputs from nothing reach that none of them reached yet, and from
    how many of them; None before there are any.

    Good and Turing's estimate for several species in a sample: states reached by one input alone, over
    all that inputs reached (Good, Biometrika 1953; Chao and Jost, Ecology 2012; for fuzzing Böhme,
    STADS, TOSEM 2018). It holds for inputs drawn independently, which those of coverage-guided
    workers are not (Böhme, Liyanage, Wüstholz, ESEC/FSE 2021): only inputs from nothing are counted.
    """
    most = max(lines, key=lambda line: line.samples, default=None)
    if most is None or not most.incidences:
        return None
    return most.singletons / most.incidences, most.samples
