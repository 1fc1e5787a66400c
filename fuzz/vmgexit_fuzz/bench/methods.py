"""What searches: our campaign, and what it must be better than. A row says how a method is started."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from . import baselines, campaign
from .trial import Outcome, Trial

US = "campaign"
BASELINE = "random"
"""Needs nothing but the declarations: what feedback has to earn its place against."""


@dataclass(frozen=True, slots=True)
class Method:
    """One way to search."""

    name: str
    what: str
    run: Callable[[Trial], Outcome]


METHODS = {
    method.name: method
    for method in (
        Method(US, "our mix of workers, one process at a time", partial(campaign.run, kinds=[])),
        Method(
            BASELINE,
            "well-formed inputs from nothing, in a plain loop without engine or feedback",
            baselines.from_nothing,
        ),
        Method(
            "atheris",
            "atheris with its own instrumentation, on plain bytes",
            partial(campaign.run, kinds=["atheris"]),
        ),
        Method(
            "hypothesis",
            "hypothesis: a rule-based state machine of 50 steps; of other inputs, bytes",
            baselines.hypothesis,
        ),
    )
}
