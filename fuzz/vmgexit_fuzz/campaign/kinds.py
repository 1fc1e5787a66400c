"""The kinds of worker, and the mix of them that a campaign is.

Workers of every kind share one corpus. A campaign gives each kind its share of the time, whatever the
number of workers: a worker works in turns, and each turn goes to the kind that is furthest behind.
The first turns are short, so that soon everything has been tried; they double to `LONGEST_TURN`.

What was measured stands in `WHY`; what was tried and did not help:
- libFuzzer's value profile of every compare (all of ours report from one place): the corpus grows
  tenfold and finds nothing sooner;
- hit counts instead of hits in the probes: a fifth of the speed, the same finds.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..targets import Target

FIRST_TURN = 4.0  # seconds
LONGEST_TURN = 60.0


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of worker. `share` is its part of the time, in parts of all shares of the mix."""

    name: str
    share: int
    what: str
    engine: bool = True  # libFuzzer; without it, programs from nothing in a plain loop
    probes: bool = False  # our own probes
    states: bool = False  # the machine's coarse state; of targets that have one
    atheris: bool = False  # atheris's instrumentation, whose compares libFuzzer learns from
    mutator: bool = True  # what the declarations know, beside plain bytes


KINDS = {
    kind.name: kind
    for kind in (
        Kind("random", 2, "well-formed inputs from nothing, no feedback", engine=False),
        Kind("state", 5, "probes, and the machine's coarse state", probes=True, states=True),
        Kind("probes", 2, "probes in every branch", probes=True),
        Kind("compare", 1, "atheris, with what its compares saw", atheris=True),
        # To measure with; they have no share of a campaign.
        Kind("atheris", 0, "atheris on plain bytes", atheris=True, mutator=False),
        Kind("none", 0, "libFuzzer without feedback"),
    )
}


def mix(names: list[str], target: Target) -> dict[str, int]:
    """The shares of the kinds named, or of the usual ones; those that the target has a use for."""
    chosen = [KINDS[name] for name in names] or [kind for kind in KINDS.values() if kind.share]
    return {
        kind.name: kind.share or 1
        for kind in chosen
        if names or target.has_states or not kind.states
    }
