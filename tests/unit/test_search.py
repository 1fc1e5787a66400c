"""The search, on models that are no machine: numbers that lead to others."""

from collections.abc import Iterator

import pytest

from vmgexit.explore import search as module
from vmgexit.explore.search import Limits, Move, Outcome, search


class Broken(Exception):
    """What is looked for."""


class Numbers:
    """From a number to its double and to the next, below a limit. Numbers that are alike modulo `alike` are
    one state."""

    def __init__(self, limit: int, *, alike: int = 1 << 60, bad: int = -1) -> None:
        self.limit, self.alike, self.bad = limit, alike, bad

    def start(self) -> tuple[tuple[str, ...], int]:
        return ("begin",), 1

    def moves(self, state: int) -> Iterator[Move[int, str]]:
        for name, following in (("double", 2 * state), ("next", state + 1)):
            if following == self.bad:
                yield Move((name,), broken=Broken(str(following)))
            elif following < self.limit:
                edge = (str(state % 2), str(following % 2), name)
                yield Move((name,), following, edge=edge)

    def key(self, state: int) -> int:
        return state % self.alike


def test_every_state_is_visited_once() -> None:
    outcome = search(Numbers(100), Limits())
    assert outcome.states == 99
    assert outcome.moves == 49 + 98
    assert outcome.stopped_by == ""
    assert outcome.frontier == 0
    # 95 = 1011111b: six doublings, and a step for every further bit that is set, but for 1 to 2.
    assert outcome.depth == 11


def test_states_with_one_key_are_one() -> None:
    assert search(Numbers(100, alike=10), Limits()).states == 10


def test_what_breaks_comes_with_a_shortest_path() -> None:
    outcome = search(Numbers(1000, bad=25), Limits())
    assert isinstance(outcome.broken, Broken)
    # 1, 2, 3, 6, 12, 24, 25; 1 to 2 is a doubling, which comes first.
    assert outcome.path == ["begin", "double", "next", "double", "double", "double", "next"]


def test_edges_keep_the_first_path() -> None:
    edges = search(Numbers(100), Limits()).edges
    assert edges["1", "0", "double"] == ["begin", "double"]
    assert edges["0", "1", "next"] == ["begin", "double", "next"]
    assert ("1", "1", "next") not in edges


@pytest.mark.parametrize(
    ("limits", "stopped_by", "states"),
    [(Limits(depth=3), "depth 3", 8), (Limits(states=40), "40 states", 41)],
)
def test_bounds_end_it_cleanly(limits: Limits, stopped_by: str, states: int) -> None:
    outcome = search(Numbers(10_000), limits)
    assert outcome.stopped_by == stopped_by
    assert outcome.states <= states
    assert outcome.frontier > 0
    assert outcome.broken is None


def test_the_memory_bound_is_of_what_the_search_adds(monkeypatch: pytest.MonkeyPatch) -> None:
    held = iter(range(5000, 10_000, 30))  # the process has 5000 MB before; each look finds 30 more
    monkeypatch.setattr(module, "resident", lambda: next(held))
    outcome = search(Numbers(100_000), Limits(megabytes=100))
    assert outcome.stopped_by == "100 MB"
    assert outcome.megabytes >= 100


def test_a_second_search_does_not_start_at_the_peak_of_the_first() -> None:
    megabytes = 150
    before = module.resident()
    held = b"\1" * (megabytes << 20)
    assert module.resident() - before > megabytes / 2
    del held
    assert search(Numbers(5000), Limits(megabytes=megabytes // 2)).stopped_by == ""


def test_progress_is_told() -> None:
    told: list[int] = []

    def progress(outcome: Outcome[str]) -> None:
        told.append(outcome.states)

    search(Numbers(5000), Limits(), progress)
    assert len(told) > 10
    assert told == sorted(told)
