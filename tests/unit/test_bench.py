# ruff: noqa: E402
"""The bench: its peers read the values that we read, and its report says what holds."""

import json
from pathlib import Path
from typing import Any

import pytest

for peer in ("bitstruct.c", "dissect.cstruct", "kaitaistruct", "numpy"):
    pytest.importorskip(peer, reason=f"needs {peer}")

# What follows imports the peers.
from tests.bench import layouts, loop, report, rows
from tests.bench.peers import Contestant, check, ours
from tests.bench.timing import Job, Timing, bytes_held, interleaved
from vmgexit import ExtIntStatus
from vmgexit.schema import Structure

EVERY = pytest.mark.parametrize(
    ("cls", "layout"), [entry[1:] for entry in rows.CODECS], ids=[entry[0] for entry in rows.CODECS]
)


@EVERY
@pytest.mark.parametrize("noise", [False, True], ids=["wire", "noise"])
def test_every_peer_reads_what_we_read(cls: type[Structure], layout: Any, noise: bool) -> None:
    check(rows.contestants(cls, layout), rows.records_of(cls, noise)[:4])
    assert sum(bits for _, _, bits in layouts.leaves(layout)) == 8 * cls.size


def test_a_peer_that_reads_otherwise_is_found() -> None:
    us = ours(ExtIntStatus)
    other = Contestant("other", lambda data: us.decode(bytes(reversed(data))), us.encode, us.values)
    with pytest.raises(AssertionError, match=r"^other reads pending_vector"):
        check([us, other], [b"\x61\0\0\0"])


def test_contestants_take_turns() -> None:
    turns: list[str] = []
    jobs = {name: Job(turns.append, [name] * 50) for name in ("one", "other")}
    took = interleaved(jobs, 3)
    assert set(turns) == set(took) == {"one", "other"}
    order = [turn for turn, before in zip(turns, [None, *turns], strict=False) if turn != before]
    assert order == ["one", "other"] * 4  # once to find out how long they take
    assert all(0 < timing.best <= timing.median for timing in took.values())


def test_bytes_held_counts_what_is_kept() -> None:
    held = bytes_held(Job(lambda size: bytearray(size), [10_000] * 20))
    assert 10_000 <= held < 10_200


def row(ours: float, **others: float) -> rows.Row:
    took = {name: Timing(best, 2 * best) for name, best in {rows.US: ours, **others}.items()}
    return rows.Row("work", took, (rows.Limit(0.9), rows.Limit(1 / 40, "construct")))


@pytest.mark.parametrize(("taken", "holds"), [(9, True), (9.1, False), (8, True), (100, False)])
def test_what_holds_is_by_the_fastest_peer(taken: float, holds: bool) -> None:
    found = row(taken, ctypes=10, construct=500)
    assert found.holds is holds
    assert found.ratios == [taken / 10, taken / 500]
    assert ("holds: " in report.table([found])) is holds
    told = json.loads(report.as_json([found], {"quick": True}))
    assert told["rows"][0]["holds"] is holds
    assert told["rows"][0]["best"] == {"vmgexit": taken, "ctypes": 10, "construct": 500}


def test_the_fortieth_counts_too() -> None:
    assert not row(10, ctypes=100, construct=399).holds
    assert row(10, ctypes=100, construct=400).holds


def test_the_plot_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs matplotlib")
    report.plot(
        [row(9, ctypes=10, construct=500), row(5, memcpy=4, construct=9)], tmp_path / "a.svg"
    )
    assert (tmp_path / "a.svg").read_text().startswith("<?xml")


def test_the_loop_is_compared_with_the_machine_as_it_was() -> None:
    """Ratios are parts of the machine's rate, so that a slower base makes them larger."""
    took = {rows.US: Timing(4.0, 5.0), loop.MACHINE: Timing(3.0, 3.5), "main": Timing(6.0, 6.0)}
    found = [
        rows.Row("enough", took, (rows.Limit(1 / 0.75, loop.MACHINE),)),
        rows.Row("too slow", took, (rows.Limit(1 / 0.8, loop.MACHINE),)),
        rows.Row("shown", took),
    ]
    assert [row.holds for row in found] == [True, False, True]
    assert {name: loop.ratios(found)[name] for name in ("enough", "shown")} == {
        "enough": 0.75,
        "shown": 0.75,
    }
    lines = loop.table(found, "main").splitlines()[1:]
    assert [line.split()[-2:] for line in lines[:2]] == [["0.75", "holds"], ["0.8", "FAILS"]]


def test_a_revision_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(loop.Missing, match="no-such-revision"):
        loop.checkout("no-such-revision", tmp_path)
