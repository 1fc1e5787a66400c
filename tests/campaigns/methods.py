"""What searches: our campaign, and what it must be better than. A row says how a method is started."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from .trial import Trial, TrialOutcome

US = "campaign"
BASELINE = "random"
"""Needs nothing but the declarations: the one to beat."""
NO_FEEDBACK = "bursts"
"""Has our mutator and nothing else: what feedback has to earn its place against."""
PARTS = (NO_FEEDBACK, "state", "probes", "compare", "none")
"""What our campaign is made of: no baselines, but none should do better alone."""


@dataclass(frozen=True, slots=True)
class Method:
    """One way to search."""

    name: str
    what: str
    run: Callable[[Trial], TrialOutcome]
    usual: bool = True  # takes part where no methods are named


def _by(place: str, **options: list[str]) -> Callable[[Trial], TrialOutcome]:
    """The function at `MODULE:FUNCTION`, imported only when it is run: naming methods is to be cheap."""

    def run(trial: Trial) -> TrialOutcome:
        module, _, function = place.partition(":")
        outcome: TrialOutcome = getattr(import_module(f".{module}", __package__), function)(
            trial, **options
        )
        return outcome

    return run


METHODS = {
    method.name: method
    for method in (
        Method(US, "our mix of workers, one process at a time", _by("campaign:run", kinds=[])),
        Method(
            BASELINE,
            "well-formed scenarios of random commands, in a plain loop without engine or feedback;"
            " of other inputs, random bytes",
            _by("baselines:commands"),
        ),
        Method(
            NO_FEEDBACK,
            "what our mutator makes from nothing, in a plain loop: our campaign without feedback,"
            " whose first turn draws the same inputs",
            _by("baselines:from_nothing"),
        ),
        Method(
            "atheris",
            "atheris with its own instrumentation, on plain bytes",
            _by("campaign:run", kinds=["atheris"]),
        ),
        Method(
            "hypothesis",
            "hypothesis: a rule-based state machine of 50 steps; of other inputs, bytes",
            _by("baselines:hypothesis"),
        ),
        *(
            Method(
                kind,
                f"only our workers of the kind {kind}",
                _by("campaign:run", kinds=[kind]),
                usual=False,
            )
            for kind in PARTS
            if kind != NO_FEEDBACK
        ),
    )
}
USUAL = tuple(name for name, method in METHODS.items() if method.usual)
