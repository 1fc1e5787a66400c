"""A campaign that is killed at any moment goes on where it was, and nothing on disk is damaged.

The short form takes half a minute; the long one is a night in ten minutes.
"""

import contextlib
import hashlib
import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.checkout import VMGEXIT
from vmgexit.descriptions import Command
from vmgexit.machine.machine import Machine
from vmgexit_fuzz.campaign import statistics
from vmgexit_fuzz.campaign.findings import records
from vmgexit_fuzz.process.states import cells, seen
from vmgexit_fuzz.targets import Conditions, find

pytestmark = pytest.mark.slow

MOST_LOST = 10  # seconds

needs_atheris = pytest.mark.needs("atheris")


@contextlib.contextmanager
def campaign(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    words = ("run", "scenario", "--profile", "coconut", "--workers", "2", "--dir", "night")
    with (folder / "output").open("ab") as output:
        running = subprocess.Popen(
            [VMGEXIT, "fuzz", *words], cwd=folder, stdout=output, stderr=output
        )
        try:
            yield running
        finally:
            running.kill()
            running.wait()


def processes_of(folder: Path) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (entry / "cwd").resolve() == folder.resolve():
                found.append(int(entry.name))
    return found


PATIENCE = 60.0  # seconds, on a busy machine


def wait_for(least: int, folder: Path) -> list[int]:
    """The campaign's processes, once there are `least` of them or more: some rest between their turns."""
    deadline = time.monotonic() + PATIENCE
    while len(found := processes_of(folder)) < least and time.monotonic() < deadline:
        time.sleep(0.1)
    assert len(found) >= least
    return found


def wait_for_the_last(folder: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while (found := processes_of(folder)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not found


def wait_for_inputs(folder: Path) -> None:
    """Until every worker is at work."""
    deadline = time.monotonic() + PATIENCE
    workers: set[int] = set()
    while len(workers) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
        workers = {line.worker for line in statistics.read(folder / "night" / "statistics")}
    assert workers == {0, 1}


def reached(corpus: Path) -> set[int]:
    """The states that a corpus reaches; every input must be whole."""
    found: set[int] = set()

    def note(machine: Machine, command: Command) -> None:
        found.update(cells(seen(machine, command)))

    target = find("scenario").open(Conditions(profile="coconut"))
    target.observe = note
    for path in corpus.iterdir():
        data = path.read_bytes()
        assert path.name == hashlib.sha1(data).hexdigest()
        with contextlib.suppress(Exception):
            target.run(data)
    return found


@needs_atheris
@pytest.mark.parametrize(
    ("seconds", "kills"),
    [(15, 3), pytest.param(600, 5, marks=[pytest.mark.long, pytest.mark.timeout(1200)])],
)
def test_killed_at_random_it_loses_no_more_than_the_last_seconds(
    tmp_path: Path, seconds: int, kills: int
) -> None:
    pick = random.Random(seconds + kills)
    night = tmp_path / "night"
    counts: dict[str, int] = {}
    states: set[int] = set()
    for _ in range(kills):
        with campaign(tmp_path) as running:
            wait_for_inputs(tmp_path)
            time.sleep(seconds / kills * pick.uniform(0.6, 1.4))
            assert running.poll() is None, (tmp_path / "output").read_text()
            victims = wait_for(3, tmp_path)
            if pick.random() < 0.5:  # everybody at once; else the parent, and the others follow
                for victim in victims:
                    os.kill(victim, signal.SIGKILL)
            killed = time.time()
        wait_for_the_last(tmp_path)
        lines = statistics.read(night / "statistics")
        assert {line.worker for line in lines} == {0, 1}
        assert killed - lines[-1].at < MOST_LOST
        for path in (night / "findings").glob("*.json"):
            json.loads(path.read_bytes())
        now = {record.cause: record.count for record in records(night / "findings")}
        assert all(now[cause] >= count for cause, count in counts.items())
        counts = now

        # The same command goes on, and drops an input that was being written.
        with campaign(tmp_path):
            time.sleep(2.5)
        wait_for_the_last(tmp_path)
        after = reached(night / "corpus")
        assert states <= after
        states = after
    assert len(counts) >= 10
    assert len(states) >= 300


@needs_atheris
def test_a_killed_worker_is_a_finding_and_another_takes_its_place(tmp_path: Path) -> None:
    with campaign(tmp_path) as running:
        wait_for_inputs(tmp_path)
        for worker in set(processes_of(tmp_path)) - {running.pid}:  # some of them may rest
            os.kill(worker, signal.SIGKILL)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and not any(
            line.restarts for line in statistics.read(tmp_path / "night" / "statistics")
        ):
            time.sleep(0.2)
        wait_for(3, tmp_path)
        assert running.poll() is None
        running.send_signal(signal.SIGTERM)
        assert running.wait(PATIENCE) == 130
    assert "ended by SIGKILL" in (tmp_path / "output").read_text()
