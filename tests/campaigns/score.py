"""What the trials of one method on one case amount to, and how methods compare.

A trial that found nothing counts as one that took longer than any budget: infinitely long.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from .methods import US
from .trial import TrialOutcome

WORSE = 1.5  # times the best median of others: what is worth telling
LATE = 5.0  # seconds; what is found later without feedback is where a campaign has to be better
MOST_COMMANDS = 15  # of a shortened scenario


@dataclass(frozen=True, slots=True)
class Score:
    """The trials of one method on one case."""

    outcomes: tuple[TrialOutcome, ...]

    @property
    def found(self) -> int:
        """How many trials found something."""
        return sum(outcome.found for outcome in self.outcomes)

    @property
    def times(self) -> list[float]:
        """Seconds to the first finding, ascending; infinite where there was none."""
        return sorted(o.seconds if o.found else math.inf for o in self.outcomes)

    @property
    def median(self) -> float:
        """Seconds; infinite when half of the trials found nothing."""
        return statistics.median(self.times)

    @property
    def inputs(self) -> list[float]:
        """Inputs to the first finding, ascending; infinite where there was none."""
        return sorted(o.inputs if o.found else math.inf for o in self.outcomes)

    @property
    def size(self) -> int:
        """Of the shortest finding; 0 where none was shortened."""
        return min((o.size for o in self.outcomes if o.size), default=0)


Scores = Mapping[str, Mapping[str, Score]]  # of cases, of methods


def worse(scores: Scores, others: Collection[str]) -> Iterator[tuple[str, float, str, float]]:
    """Cases on which our median is above `WORSE` times the best of the others', by most seconds first:
    the case, our median, the other's name and its median."""
    found = []
    for case, of in scores.items():
        medians = [(score.median, name) for name, score in of.items() if name in others]
        if US in of and medians:
            best, name = min(medians)
            if of[US].median > WORSE * best:
                found.append((case, of[US].median, name, best))
    yield from sorted(found, key=lambda row: row[3] - row[1])


def late(scores: Scores, other: str) -> Iterator[tuple[str, float, float]]:
    """Cases that the other finds late or never: the case, our median, the other's."""
    for case, of in scores.items():
        if US in of and other in of and of[other].median > LATE:
            yield case, of[US].median, of[other].median
