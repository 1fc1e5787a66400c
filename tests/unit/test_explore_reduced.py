"""The reduced search beside the full one: the same verdict, and the same invariant."""

import pytest

from vmgexit.explore.exact import Exact
from vmgexit.explore.model import explore
from vmgexit.explore.parts import COUNT
from vmgexit.explore.search import Limits
from vmgexit.explore.system import Left, System
from vmgexit.guests.linux import LINUX
from vmgexit.guests.values import NMI
from vmgexit.machine.quirks import REFERENCE, WITHOUT_MEMORY, only
from vmgexit.watch.judged import Violation

BOUNDS = {
    "two edge": System(vcpus=1, edge=(0x31, 0x51)),
    "vector 31": System(vcpus=1, edge=(31, 0x31)),
    "edge and level": System(vcpus=1, edge=(0x51,), level=(0x61,)),
    "a hand-over": System(vcpus=1, edge=(0x31,), calls=2),
    "registration": System(vcpus=2, calls=3),
    "IPIs": System(vcpus=2, ipis=(0x41,)),
    "an IPI and a post": System(vcpus=2, ipis=(0x41,), edge=(0x31,)),
    "two vCPUs": System(vcpus=2, edge=(0x31,), calls=1, intercepts=1),
    "created anew": System(vcpus=1, edge=(0x31,), intercepts=1, creations=1),
    "refused": System(vcpus=1, edge=(0x31,), calls=1, refusals=1),
    "the handler in the window": System(vcpus=1, edge=(0x31,), handler_in_window=True),
    "Linux sends an NMI": System(vcpus=2, ipis=(NMI,), guest=LINUX),
}
PROFILES = ("", *WITHOUT_MEMORY)
CASES = [(name, quirk) for name in BOUNDS for quirk in PROFILES]
SHORT = CASES[::11]  # about a tenth; 11 and the number of profiles have no common divisor


@pytest.mark.parametrize(
    ("name", "quirk"),
    [
        pytest.param(name, quirk, marks=() if (name, quirk) in SHORT else pytest.mark.long)
        for name, quirk in CASES
    ],
)
def test_the_verdict_is_the_full_searchs(name: str, quirk: str) -> None:
    quirks = only(quirk) if quirk else REFERENCE
    full = explore(BOUNDS[name], quirks)
    reduced = explore(BOUNDS[name], quirks, reduced=True)
    assert full.stopped_by == reduced.stopped_by == ""
    assert (full.broken is None) == (reduced.broken is None)
    assert quirk or full.broken is None
    if isinstance(full.broken, Violation) and isinstance(reduced.broken, Violation):
        assert reduced.broken.invariant.name == full.broken.invariant.name
        assert reduced.shortest
        assert len(reduced.path) == len(full.path)
    else:
        assert reduced.states < full.states
        assert reduced.endings.keys() == full.endings.keys()


@pytest.mark.parametrize(
    ("system", "states", "most"),
    [
        (System(vcpus=3, calls=3), 6_849, 1 / 5),
        (System(vcpus=1, edge=(0x31, 0x51), level=(0x61,)), 70_142, 1 / 2),
        (System(vcpus=2, edge=(0x31, 0x51), calls=1), 337_036, 1 / 5),
    ],
)
def test_how_many_states_are_left(system: System, states: int, most: float) -> None:
    outcome = explore(system, reduced=True)
    assert outcome.broken is None
    assert outcome.states <= states * most


_SHARED = (COUNT, "signal", "events", "status", "irr")


def _made(system: System, *, reduced: bool) -> set[tuple[object, ...]]:
    """Every step that a search made, with the count and what it found in the page."""
    exact = Exact(system, REFERENCE, Limits(), reduced=reduced)
    exact.run()
    found: set[tuple[object, ...]] = set()
    for (name, _), done in exact.steps.done.items():
        reads = exact.steps.touches[name].reads
        for key in done:
            values = zip(reads, key if len(reads) > 1 else (key,), strict=True)
            held = (
                at if part == COUNT else exact.steps.parts[part].values[at][0]
                for part, at in values
                if part in _SHARED
            )
            found.add((name, *held))
    return found


@pytest.mark.parametrize(
    "name", ["two edge", "vector 31", "edge and level", "two vCPUs", "registration"]
)
def test_every_step_is_made_with_all_that_it_can_find_in_the_page(name: str) -> None:
    """Orders that are left out differ in nothing that a step can see."""
    assert _made(BOUNDS[name], reduced=True) == _made(BOUNDS[name], reduced=False)


def test_what_is_left_to_do_is_dealt_out_in_every_way() -> None:
    system = System(vcpus=2, edge=(0x31,), calls=1)
    one, none = ((0x31, False),), ()
    assert Left.of(system).deals(2) == {
        tuple(sorted((Left(one, (), 1, 0, 0, 0), Left(none, (), 0, 0, 0, 0)))),
        tuple(sorted((Left(one, (), 0, 0, 0, 0), Left(none, (), 1, 0, 0, 0)))),
    }
    assert len(Left.of(System(vcpus=3, calls=3)).deals(3)) == 3


def test_a_path_that_may_not_be_the_shortest_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    system, quirks = System(vcpus=1, edge=(0x31, 0x51), calls=1), only("lazy-eoi-survives-disable")
    monkeypatch.setattr("vmgexit.explore.model.SHORTENING", 10)
    outcome = explore(system, quirks, reduced=True, limits=Limits())
    assert isinstance(outcome.broken, Violation)
    assert not outcome.shortest
    assert len(outcome.path) >= len(explore(system, quirks).path)
