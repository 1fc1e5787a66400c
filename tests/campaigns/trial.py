"""What one search is, and what came of it."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass

from .cases import Case

_APART = 1000  # the seeds of two trials, since a campaign's turns count up from theirs


@dataclass(frozen=True, slots=True)
class Trial:
    """One method on one case, from one seed, for so many seconds after its first input."""

    method: str
    case: Case
    seed: int
    seconds: float

    @property
    def first(self) -> int:
        """Where randomness starts. It is every method's, so that a campaign, whose first turn has no
        feedback either, does not differ from the baseline by luck while that lasts."""
        return self.seed * _APART

    @classmethod
    def read(cls, text: str) -> Trial:
        """The trial that `spelled` wrote."""
        held = json.loads(text)
        return cls(**{**held, "case": Case(**held["case"])})

    def spelled(self) -> str:
        return json.dumps(dataclasses.asdict(self))


@dataclass(frozen=True, slots=True)
class TrialOutcome:
    """What came of a trial. `seconds` and `inputs` are those to the first finding, or all there were."""

    found: bool
    seconds: float
    inputs: int
    cause: str = ""
    # Of the shortened input, in commands, or bytes where it is no program; 0: unknown.
    size: int = 0
