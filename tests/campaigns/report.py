"""What a bench says: a table, the comparisons below it, and all of it as Markdown and JSON."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from vmgexit_fuzz.targets import find

from .cases import LEFT_OUT, Case
from .methods import BASELINE, METHODS, NO_FEEDBACK, PARTS, US
from .score import LATE, MOST_COMMANDS, WORSE, Score, late, worse
from .trial import Trial, TrialOutcome


@dataclass(slots=True)
class Bench:
    """What was asked for, and what there is of it."""

    cases: dict[str, Case]
    methods: list[str]
    seeds: int
    seconds: float  # of each trial
    jobs: int
    outcomes: list[tuple[Trial, TrialOutcome]] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)  # trials, and how

    def scores(self) -> dict[str, dict[str, Score]]:
        """The score of each method on each case that has any."""
        found: dict[str, dict[str, Score]] = {}
        for case in self.cases:
            for method in self.methods:
                of = tuple(o for t, o in self.outcomes if (t.case.name, t.method) == (case, method))
                if of:
                    found.setdefault(case, {})[method] = Score(of)
        return found

    def rows(self) -> Iterator[list[str]]:
        """A heading, then a line for each case."""
        yield ["bug", *self.methods, "shortened to"]
        for case, of in self.scores().items():
            cells = [self._cell(of[name]) if name in of else "" for name in self.methods]
            size = of[US].size if US in of else 0
            unit = "commands" if self._has_commands(case) else "bytes"
            yield [case, *cells, f"{size} {unit}" if size else ""]

    def _cell(self, score: Score) -> str:
        times = score.times
        spread = f" ({self._seconds(times[0])} to {self._seconds(times[-1])})" * (len(times) > 1)
        inputs = score.inputs[len(score.inputs) // 2]
        runs = "" if math.isinf(inputs) else f", {inputs:,.0f} runs"
        found = f"{score.found}/{len(times)}"
        return f"{found}: {self._seconds(score.median)} s{spread}{runs}"

    def _has_commands(self, case: str) -> bool:
        return find(self.cases[case].target).steps == "commands"

    def _seconds(self, value: float) -> str:
        if math.isinf(value):
            return f"> {self.seconds:g}"
        return f"{value:.{3 if value < 0.1 else 2 if value < 10 else 0}f}"

    def notes(self) -> Iterator[str]:
        """What the table means, and how the methods compare."""
        yield (
            "Each cell: trials that found the bug, median seconds to the first finding (range), median"
            f" inputs. {self.seeds} seeds, {self.seconds:g} s each, {self.jobs} at a time, from an empty"
            " corpus."
        )
        for name in self.methods:
            yield f"{name}: {METHODS[name].what}."
        for name, reason in LEFT_OUT.items():
            yield f"{name} is left out: it {reason}."
        yield f"Trials that failed, and are left out: {len(self.failed)}."
        yield from (f"- {message}" for message in self.failed)
        scores = self.scores()
        if US not in self.methods:
            return
        baselines = [name for name in self.methods if name not in (US, *PARTS)]
        for what, others in ("baseline", baselines), ("of our parts alone", PARTS):
            yield from self._worse(scores, what, others)
        for other in (BASELINE, NO_FEEDBACK):
            yield from self._late(scores, other)
        sizes = {case: of[US].size for case, of in scores.items() if US in of}
        long = [
            f"- {case}: {size} commands"
            for case, size in sizes.items()
            if size > MOST_COMMANDS and self._has_commands(case)
        ]
        yield f"Shortened scenarios above {MOST_COMMANDS} commands: {len(long)}."
        yield from long

    def _worse(
        self, scores: dict[str, dict[str, Score]], what: str, others: Sequence[str]
    ) -> Iterator[str]:
        if not set(others) & set(self.methods):
            return
        slow = list(worse(scores, others))
        on = f"{len(slow)} of {len(scores)}"
        yield f"Our median is above {WORSE:g} times that of the best {what} on {on}:"
        for case, ours, name, best in slow:
            yield f"- {case}: {self._seconds(ours)} s, {name} {self._seconds(best)} s{_times(ours, best)}"

    def _late(self, scores: dict[str, dict[str, Score]], other: str) -> Iterator[str]:
        if other not in self.methods:
            return
        hard = list(late(scores, other))
        yield f"{other} takes more than {LATE:g} s or never finds {len(hard)} of {len(scores)}:"
        for case, ours, theirs in hard:
            told = f"{self._seconds(ours)} s, {other} {self._seconds(theirs)} s"
            least = "at most " * math.isinf(theirs)
            yield f"- {case}: {told}{_times(ours, min(theirs, self.seconds), least)}"

    def markdown(self) -> str:
        """The table and the notes."""
        heading, *rows = self.rows()
        lines = [heading, ["---"] * len(heading), *rows]
        table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
        notes = ""
        for note in self.notes():
            notes += f"{note}\n" if note.startswith("- ") else f"\n{note}\n"
        return f"# How soon planted bugs are found\n\n{table}{notes}"

    def as_json(self) -> bytes:
        """Everything, trial by trial; times in seconds."""
        found: dict[str, Any] = {
            "python": platform.python_version(),
            "machine": platform.machine(),
            "processors": os.cpu_count(),
            "seeds": self.seeds,
            "seconds": self.seconds,
            "jobs": self.jobs,
            "methods": {name: METHODS[name].what for name in self.methods},
            "left_out": LEFT_OUT,
            "failed": self.failed,
            "cases": {name: dataclasses.asdict(case) for name, case in self.cases.items()},
            "trials": [
                {"bug": t.case.name, "method": t.method, "seed": t.seed, **dataclasses.asdict(o)}
                for t, o in self.outcomes
            ],
        }
        return json.dumps(found, indent=1).encode() + b"\n"


def _times(ours: float, theirs: float, least: str = "") -> str:
    return "" if math.isinf(ours) or not theirs else f", {least}{ours / theirs:.2g} times"


def show(rows: Sequence[list[str]], notes: Sequence[str]) -> None:
    """Print the table and the notes; elsewhere than on a terminal in lines that are not cut."""
    from rich.table import Table

    from vmgexit_fuzz.cli.status import console

    screen = console()
    table = Table(*rows[0], box=None, pad_edge=False)
    for row in rows[1:]:
        table.add_row(*row)
    screen.print(table)
    for note in notes:
        screen.print(note)
