"""Who works when: the mix of kinds, the turns, and what a process is told."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmgexit.machine import program
from vmgexit.machine.machine import Machine
from vmgexit_fuzz.campaign.findings import records
from vmgexit_fuzz.campaign.folder import Directory
from vmgexit_fuzz.campaign.workers import Campaign, Settings
from vmgexit_fuzz.inputs.programs import mutate
from vmgexit_fuzz.process import states
from vmgexit_fuzz.process.kinds import KINDS, LONGEST_TURN, mix
from vmgexit_fuzz.targets import Finding, find


def campaign(tmp_path: Path, **settings: object) -> Campaign:
    places = Directory.at(tmp_path)
    places.findings.mkdir()
    return Campaign(Settings(find("scenario"), places, **settings))  # type: ignore[arg-type]


def test_the_usual_mix_leaves_out_what_is_only_measured_and_what_a_target_has_not() -> None:
    assert mix([], find("scenario")) == {"random": 2, "state": 5, "probes": 2, "compare": 1}
    assert "state" not in mix([], find("ghcb-host"))
    assert "state" not in mix([], find("codec"))
    assert mix([], find("peer")) == {"random": 8, "probes": 2}
    assert mix(["random", "probes"], find("peer")) == {"random": 2, "probes": 2}
    assert mix(["none", "state"], find("scenario")) == {"none": 1, "state": 5}


def test_every_kind_gets_its_share(tmp_path: Path) -> None:
    made = campaign(tmp_path, seed=7)
    spent = dict.fromkeys(made.shares, 0.0)
    turns = []
    for turn in range(200):
        order = made.order(turn)
        assert order is not None
        assert order.seconds is not None
        turns.append(order)
        made.spent[order.kind] += order.seconds
        spent[order.kind] += order.seconds
    assert made.order(100_000) is not None
    assert [order.kind for order in turns[:4]] == ["random", "state", "probes", "compare"]
    assert [order.seconds for order in turns[:4]] == pytest.approx([1.6, 4, 1.6, 0.8])
    assert max(order.seconds or 0 for order in turns) == LONGEST_TURN
    assert [order.seed for order in turns] == list(range(7, 207))
    total = sum(spent.values())
    for kind, share in made.shares.items():
        assert spent[kind] / total == pytest.approx(share / 10, abs=0.02)


def test_one_kind_alone_has_no_turns(tmp_path: Path) -> None:
    order = campaign(tmp_path, kinds=["probes"], runs=50, workers=4).order(0)
    assert order is not None
    assert (order.kind, order.seconds, order.runs) == ("probes", None, 13)
    assert set(KINDS) > {"probes"}


def test_no_turn_is_begun_when_runs_or_time_are_used_up(tmp_path: Path) -> None:
    made = campaign(tmp_path, runs=10, seconds=0.5)
    assert made.order(0) is not None
    assert made.order(1) is None  # too short to start another process for
    made.settings.seconds = None
    assert made.order(1) is not None
    made.progress.inputs = 10
    assert made.order(2) is None


def test_a_draft_is_kept_at_once_and_told_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A process describes a finding before it shortens the input, and again afterwards."""
    made = campaign(tmp_path)
    target = find("scenario").open()
    draft = target.described(Finding("one", "as it was met"), bytes(72))
    made.progress.seconds = 7.0
    made.found(draft, "random", is_draft=True)
    [record] = records(tmp_path / "findings")
    assert (record.cause, record.size) == ("one", 72)
    assert capsys.readouterr().out == ""
    assert made.progress.findings == 1
    made.progress.seconds = 9.0
    made.found(target.described(Finding("one", "shortened"), bytes(72)), "random")
    made.left()
    assert capsys.readouterr().out == "finding: shortened\n"
    [record] = records(tmp_path / "findings")
    assert record.message == "shortened"
    assert made.progress.last_find == 7.0  # as `status` tells it, which reads it from the disk

    made.found(draft | {"cause": "two"}, "random", is_draft=True)
    made.left()  # the process came to no more
    assert capsys.readouterr().out == "finding: as it was met\n"
    assert list(made.progress.causes) == ["one", "two"]
    assert made.progress.old == set()


@given(seed=st.integers(0, 1 << 31))
def test_states_stay_in_their_cells(seed: int) -> None:
    data = b""
    for change in range(4):
        data = mutate(data, 36 * 96, seed + change)
    machine = Machine()
    for command in program.read(data):
        machine.execute(command)
        found = states.cells(states.seen(machine, command))
        assert len(set(found)) == len(found) == (0 if command["op"] == "init" else 4)
        assert all(0 <= cell < states.CELLS for cell in found)
        assert found == tuple(sorted(found))  # a group after the other
