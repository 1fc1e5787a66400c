"""A campaign against the example peer in C: a finding for each of its bugs, and none that a kill loses.

The short forms take seconds; the long ones are a minute of ten bugs, and two minutes of kills.
"""

import contextlib
import json
import os
import random
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.checkout import VMGEXIT
from tests.peers.made import BUGS, built, project
from vmgexit.machine import program
from vmgexit.machine.scenario import sequences
from vmgexit_fuzz.campaign import statistics
from vmgexit_fuzz.campaign.findings import records

pytestmark = [pytest.mark.slow, pytest.mark.needs("atheris", "cc")]

SOON = ("level-eoi", "register", "ldr")  # what a second of random inputs finds
PATIENCE = 60  # seconds, on a loaded machine


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(project("c", tmp_path_factory.mktemp("peer") / "project"), CFLAGS="-O1")


def words(adapter: Path, bugs: tuple[str, ...], *more: str) -> list[str]:
    peer = shlex.join([str(adapter), "--bugs", ",".join(bugs)])
    return [VMGEXIT, "fuzz", "run", "peer", "--peer", peer, "--dir", "night", *more]


def names(bugs: tuple[str, ...]) -> set[str]:
    """What a campaign calls them."""
    return {BUGS[bug].called for bug in bugs}


@pytest.mark.parametrize(
    ("bugs", "limits", "seed"),
    [
        (SOON, ("--kinds", "random", "--runs", "200"), 1),
        *(
            pytest.param(
                tuple(BUGS), ("--time", "60", "--workers", "2"), seed, marks=pytest.mark.long
            )
            for seed in range(1, 4)
        ),
    ],
    ids=["three", "ten, 1", "ten, 2", "ten, 3"],
)
@pytest.mark.timeout(300)
def test_each_bug_of_a_peer_is_one_finding(
    bugs: tuple[str, ...], limits: tuple[str, ...], seed: int, adapter: Path, tmp_path: Path
) -> None:
    run = subprocess.run(
        words(adapter, bugs, *limits, "--seed", str(seed)),
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1, run.stderr
    assert {record.cause for record in records(tmp_path / "night" / "findings")} == names(bugs)
    assert len(re.findall("^finding: ", run.stdout, re.MULTILINE)) == len(bugs)


@contextlib.contextmanager
def campaign(adapter: Path, folder: Path, bugs: tuple[str, ...]) -> Iterator[subprocess.Popen[str]]:
    with (folder / "output").open("a") as output:
        running = subprocess.Popen(
            words(adapter, bugs, "--workers", "2"),
            cwd=folder,
            stdout=output,
            stderr=output,
            text=True,
        )
        try:
            yield running
        finally:
            running.kill()
            running.wait()


def processes_of(folder: Path, part: str) -> list[int]:
    """The processes that run in a folder with `part` in their words, without the campaign itself."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            in_it = (entry / "cwd").resolve() == folder.resolve()
            line = (entry / "cmdline").read_bytes()
            if in_it and part.encode() in line and b"\0run\0" not in line:
                found.append(int(entry.name))
    return found


def soon(condition: object) -> bool:
    deadline = time.monotonic() + PATIENCE
    while not condition():  # type: ignore[operator]
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("bugs", "seconds"),
    [(SOON, 6), pytest.param(tuple(BUGS), 120, marks=pytest.mark.long)],
    ids=["three", "ten"],
)
def test_what_was_found_outlives_kills_of_peers_and_workers(
    bugs: tuple[str, ...], seconds: float, adapter: Path, tmp_path: Path
) -> None:
    pick = random.Random(int(seconds))
    found = tmp_path / "night" / "findings"
    told: dict[str, int] = {}

    def inputs() -> int:
        return sum(line.inputs for line in statistics.read(tmp_path / "night" / "statistics"))

    with campaign(adapter, tmp_path, bugs) as running:
        assert soon(lambda: found.is_dir() and any(records(found)))
        for part in (str(adapter), "process.child", str(adapter)):
            time.sleep(seconds / 3 * pick.uniform(0.6, 1.4))
            assert soon(lambda part=part: processes_of(tmp_path, part))
            told |= {record.cause: record.size for record in records(found)}
            for victim in processes_of(tmp_path, part):
                with contextlib.suppress(ProcessLookupError):  # a restart was on its way
                    os.kill(victim, signal.SIGKILL)
            before = inputs()
            assert soon(lambda before=before: inputs() > before)  # it goes on
            assert running.poll() is None
        running.send_signal(signal.SIGTERM)
        assert running.wait(PATIENCE) == 130
    assert soon(lambda: not processes_of(tmp_path, ""))

    now = {record.cause: record for record in records(found)}
    assert told.keys() <= now.keys()
    for cause, record in now.items():
        data = (found / f"{record.id}.bin").read_bytes()
        assert len(data) == record.size <= told.get(cause, record.size)
        if (found / f"{record.id}.jsonl").exists():
            with (found / f"{record.id}.jsonl").open("rb") as stream:
                # A scenario with several `init` is as many sequences.
                spelled = [command for one in sequences(stream) for command in one.commands]
            assert list(program.read(data)) == spelled
        json.loads((found / f"{record.id}.json").read_bytes())
    output = (tmp_path / "output").read_text()
    assert "Traceback" not in output
    # Kills are told for what they are, and nothing else is.
    killed = {cause for cause in now if "SIGKILL" in now[cause].message}
    assert now.keys() - killed <= names(bugs)
