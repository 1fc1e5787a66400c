"""How fast the fuzzing loop is, against the machine alone as it was at `BASE`.

A machine that gets faster must not lower its own ratio. So the denominator of a row is `Machine.execute`
of `BASE`, on the same commands and in the same run, where the row names nothing else. Each revision runs
with its own modules, in processes of its own (`loop_child`), in turns.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vmgexit.machine import program
from vmgexit_fuzz.targets import find

from .rows import US, Limit, Row
from .timing import Timing

BASE = "f6c5d0d"
MACHINE = f"machine {BASE}"
SCENARIOS = 300
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Job:
    """What is measured, what it is called, and the least part of its base's rate that it is to reach. The
    base is a job of this revision, unless none is named: then it is the machine of `BASE`."""

    name: str
    work: str
    least: float = 0.0
    base: str = ""

    @property
    def against(self) -> str:
        return self.base or MACHINE


JOBS = (
    Job("machine", "Machine.execute"),
    Job("invariants", "with all invariants, decoded input", 0.75),
    Job("reading", "reading a program"),
    Job("making", "making an input"),
    Job("worker random", "worker random", 0.45),
    Job("worker probes", "worker probes", 0.35),
    Job("worker state", "worker state", 0.25),
    Job("worker compare", "worker compare"),
    Job("campaign scenario 1", "fuzz run scenario, one worker", 0.25),
    Job("campaign scenario 2", "the same with two workers", 1.8, "campaign scenario 1"),
    Job("campaign svsm 1", "fuzz run svsm, one worker", 0.2, "memory replay"),
)


class Missing(Exception):
    """A revision that git does not have here, or that cannot be measured."""


def rows(rounds: int, compared: str = "") -> Iterator[Row]:
    """A row for each job; with `compared`, another revision's time stands beside ours. Raises Missing."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        programs = folder / "programs.json"
        programs.write_text(json.dumps(_scenarios()))
        base = stack.enter_context(_Child(checkout(BASE, folder), "machine", programs))
        other = checkout(compared, folder) if compared else None
        for job in JOBS:
            with contextlib.ExitStack() as inner:
                children = {
                    job.against: inner.enter_context(_Child(ROOT, job.base, programs))
                    if job.base
                    else base,
                    US: inner.enter_context(_Child(ROOT, job.name, programs)),
                }
                if other is not None:
                    children[compared] = inner.enter_context(_Child(other, job.name, programs))
                yield _row(children, rounds, job)


def _row(children: dict[str, _Child], rounds: int, job: Job) -> Row:
    found: dict[str, list[float]] = {name: [] for name in children}
    for number in range(rounds):
        for name, child in children.items():
            if number < child.most:
                found[name].append(child.measured())
    took = {name: Timing(min(each), statistics.median(each)) for name, each in found.items()}
    return Row(job.work, took, (Limit(1 / job.least, job.against),) if job.least else ())


def _scenarios() -> list[list[dict[str, object]]]:
    target, source = find("scenario").open(), random.Random(5)
    made = [target.make(source) for _ in range(SCENARIOS)]
    # What the machine of `BASE` does not know yet is left out.
    return [[one for one in program.read(data) if one["op"] != "svsm_hv"] for data in made]


def checkout(revision: str, folder: Path) -> Path:
    """The files of a revision."""
    there = folder / revision.replace("/", "-")
    words = ["git", "-C", str(ROOT), "archive", revision, "protocol", "fuzz", "corpus"]
    done = subprocess.run(words, capture_output=True)
    if done.returncode:
        raise Missing(f"{revision}: {done.stderr.decode(errors='replace').strip()}")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(there, filter="data")
    return there


class _Child:
    """A process of `loop_child` with the modules of a checkout."""

    def __init__(self, root: Path, job: str, programs: Path) -> None:
        self.job = f"{job} of {root.name}"
        # A worker takes seconds for what the others do in milliseconds; a campaign, a minute.
        self.most = 1 if job.startswith("campaign") else 3 if job.startswith("worker") else 100
        script = Path(__file__).with_name("loop_child.py")
        paths = os.pathsep.join(str(root / name) for name in ("protocol", "fuzz"))
        self.process = subprocess.Popen(
            [sys.executable, "-P", str(script), job, str(programs)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": paths},
        )

    def measured(self) -> float:
        """Nanoseconds for one command."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        told = self.process.stdout.readline()
        if not told:
            raise Missing(f"{self.job}: it ended without a measure, with what it printed above")
        return float(told)

    def __enter__(self) -> _Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate()


def ratios(found: Sequence[Row]) -> dict[str, object]:
    """Each row's part of the machine's rate, and which revision of ours that was."""
    words = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    ours = subprocess.run(words, capture_output=True, text=True).stdout.strip()
    parts = {row.work: round(row.took[_base(row)].best / row.took[US].best, 3) for row in found}
    return {"at": round(time.time()), "revision": ours, **parts}


def _base(row: Row) -> str:
    """What a row's rate is a part of."""
    return row.limits[0].against if row.limits else MACHINE


def table(found: Sequence[Row], compared: str = "") -> str:
    """Each row's times, its part of its base's rate, and what must hold of that."""
    lines = [f"{'':36} {'ns':>8} {compared:>10} {'base':>8} {'ratio':>6}  at least"]
    for row in found:
        base = _base(row)
        ours, theirs = row.took[US].best, row.took[base].best
        other = f"{row.took[compared].best:,.0f}" if compared else ""
        least = f"{1 / row.limits[0].most:g}" if row.limits else ""
        verdict = f"{least} {'holds' if row.holds else 'FAILS'}" if least else ""
        of = f" of {base}" if base != MACHINE else ""
        times = f"{row.work:36} {ours:8,.0f} {other:>10} {theirs:8,.0f} {theirs / ours:6.2f}"
        lines.append(f"{times}  {verdict}{of}".rstrip())
    return "\n".join([*lines, "", f"base: {MACHINE}, where none is named"])
