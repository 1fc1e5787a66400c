"""Turns of one worker: a process rests while others have their turn, and goes on with what it knows."""

import time
from pathlib import Path
from typing import Any

import pytest

from vmgexit_fuzz.process.child import Order
from vmgexit_fuzz.process.kinds import KINDS
from vmgexit_fuzz.process.turns import Turns
from vmgexit_fuzz.targets import Conditions

pytestmark = pytest.mark.slow

TURN = 0.6  # seconds


class Heard:
    """What the processes of a worker told, turn by turn."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.turns, self.log = folder, list[list[dict[str, Any]]](), b""

    def run(self, turns: Turns, order: Order) -> int:
        order.corpus = str(self.folder)
        lines = list[dict[str, Any]]()
        self.turns.append(lines)
        process = turns.process(order, lines.append, self.keep)
        return turns.run(process, order)

    def keep(self, line: bytes) -> None:
        self.log += line

    def inputs(self, turn: int) -> int:
        return max(int(line["inputs"]) for line in self.turns[turn] if "inputs" in line)


@pytest.mark.parametrize("kind", ["random", "state"])
def test_a_turn_goes_to_the_process_that_rests(kind: str, tmp_path: Path) -> None:
    heard = Heard(tmp_path)
    with Turns() as turns:
        for _ in range(3):
            assert heard.run(turns, Order("scenario", kind, seconds=TURN, rests=True)) == 0
        assert list(turns.resting) == [kind]
        assert heard.run(turns, Order("scenario", kind, seconds=TURN)) == 0
        assert not turns.resting  # the last turn ended it
    assert [sum("ready" in line for line in turn) for turn in heard.turns] == [1, 0, 0, 0]
    assert all(heard.inputs(turn) > 0 for turn in range(4))
    # Its engine read its seeds once.
    assert heard.log.count(b"INFO: seed corpus") <= 1


def test_one_that_rests_longer_than_an_input_may_take_has_found_nothing(tmp_path: Path) -> None:
    heard = Heard(tmp_path)
    with Turns() as turns:
        for kind in ("random", "state"):
            for _ in range(2):
                patience = Conditions(hang_seconds=1)
                order = Order("scenario", kind, patience, seconds=TURN, rests=True)
                assert heard.run(turns, order) == 0
                time.sleep(3)
    assert not any("finding" in line for turn in heard.turns for line in turn)


def test_nothing_is_left_of_those_that_rest(tmp_path: Path) -> None:
    heard = Heard(tmp_path)
    with Turns() as turns:
        assert heard.run(turns, Order("scenario", "random", seconds=TURN, rests=True)) == 0
        process = turns.resting["random"]
        folder, child = Path(process.order.artifacts), process._child
        assert folder.is_dir()
        assert child is not None
        assert child.poll() is None
    assert not folder.exists()
    assert child.returncode == 0


def test_one_that_does_not_know_of_a_deadly_input_has_no_turn(tmp_path: Path) -> None:
    heard = Heard(tmp_path)
    with Turns() as turns:
        for deadly in ([], ["0" * 40]):
            order = Order("scenario", "random", seconds=TURN, rests=True, deadly=deadly)
            assert heard.run(turns, order) == 0
    assert [sum("ready" in line for line in turn) for turn in heard.turns] == [1, 1]


def test_of_one_that_was_ended_at_rest_nothing_is_found(tmp_path: Path) -> None:
    heard = Heard(tmp_path)
    with Turns() as turns:
        for _ in range(2):
            order = Order("scenario", "random", seconds=TURN, rests=True)
            assert heard.run(turns, order) == 0
            child = turns.resting["random"]._child
            assert child is not None
            child.kill()
            child.wait()
    assert [sum("ready" in line for line in turn) for turn in heard.turns] == [1, 1]


def test_only_what_makes_its_inputs_itself_can_rest() -> None:
    assert [kind.name for kind in KINDS.values() if not kind.rests] == ["atheris", "plain"]
