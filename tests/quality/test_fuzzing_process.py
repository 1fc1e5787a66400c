"""A fuzzing process and its parent: what the process leaves at its end, in whatever order things happen."""

import time
from pathlib import Path
from typing import Any

import pytest

from vmgexit_fuzz.process.child import Order
from vmgexit_fuzz.process.parent import Process
from vmgexit_fuzz.targets import Conditions

pytestmark = pytest.mark.slow

HANGS = """
from vmgexit.machine.machine import ACTS


def hang():
    def carry_out(machine, cpu, command):
        while True:
            pass

    ACTS["guest_lazy_eoi"] = carry_out
"""


@pytest.fixture
def order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Order:
    """A worker without libFuzzer whose first well-formed inputs hang."""
    (tmp_path / "hangs.py").write_text(HANGS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return Order("scenario", "random", Conditions(plant="hangs:hang", hang_seconds=1))


def found_the_hang(process: Process) -> None:
    """The process found a hang, has its input, and left nothing on the disk."""
    assert process.run() == 70
    finding = process.death(70)
    assert finding.cause == "hang"
    assert finding.place == "hangs.carry_out"
    assert process.last_input()
    assert not Path(process.order.artifacts).exists()


def test_a_hang_is_found_where_the_campaign_stops_just_as_its_input_is_written(
    order: Order,
) -> None:
    """The parent hears of the stop before it reads what the child wrote."""

    def told(line: dict[str, Any]) -> None:
        if "ready" in line:
            written = Path(process.order.artifacts)
            deadline = time.monotonic() + 20
            while not list(written.glob("timeout-*")) and time.monotonic() < deadline:
                time.sleep(0.01)
            process.stop.set()

    process = Process(order, told)
    found_the_hang(process)


def test_a_hang_is_found_though_the_time_of_the_turn_is_over(order: Order) -> None:
    order.seconds = 0.1
    found_the_hang(Process(order, lambda line: None))


def test_a_process_that_starts_too_late_is_ended(order: Order) -> None:
    order.conditions = Conditions()
    order.seconds, order.ends = 60.0, time.monotonic()
    process = Process(order, lambda line: None)
    assert process.run() == 0
    assert process.seconds < 20


def test_an_ended_process_has_no_finding(order: Order) -> None:
    order.conditions = Conditions()

    def told(line: dict[str, Any]) -> None:
        if "inputs" in line:
            process.stop.set()

    process = Process(order, told)
    assert process.run() == 0
    assert process.last_input() is None
    assert process.inputs > 0
