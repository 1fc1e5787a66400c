"""When a campaign ran: a JSON line at the beginning of each run, and one at its end.

A run that was killed has no line of its end; it ended with what its workers last told.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path

from .statistics import Line
from .untrusted import MOST, append, is_file, object_of, typed


@dataclass(slots=True)
class Run:
    """One run. Times are seconds since 1970."""

    began: float
    limit: float = 0.0  # seconds; 0: none
    ended: float = 0.0  # 0: it runs, or was killed


def begin(path: Path, limit: float | None) -> Run:
    """Note that a run begins. Raises OSError."""
    run = Run(time.time(), limit or 0.0)
    append(path, {name: value for name, value in asdict(run).items() if value})
    return run


def end(path: Path, run: Run) -> None:
    """Note that it ended. Raises OSError."""
    run.ended = time.time()
    append(path, {"ended": run.ended})


def read(path: Path) -> list[Run]:
    """The runs by time; what cannot be read is passed over."""
    runs: list[Run] = []
    for text in path.read_bytes().splitlines() if is_file(path) else ():
        told = object_of(text) or {}
        began, ended = (typed(told.get(name), 0.0) for name in ("began", "ended"))
        if began and (not runs or began >= runs[-1].began):
            runs.append(Run(began, typed(told.get("limit"), 0.0)))
        elif runs and ended >= runs[-1].began:
            runs[-1].ended = ended
    return runs


def seconds(runs: list[Run], lines: list[Line], now: float = 0.0) -> float:
    """How long all runs took together. `lines` are the workers', by time; `now` is the time while the
    last run goes on, else 0."""
    if not runs:  # it was written by an earlier version
        workers = {line.worker for line in lines}
        return max(
            (sum(line.seconds for line in lines if line.worker == n) for n in workers), default=0.0
        )
    total = 0.0
    for run, following in zip(runs, [*(run.began for run in runs[1:]), MOST], strict=True):
        heard = (line.at for line in lines if run.began <= line.at < following)
        last = now if now and run is runs[-1] else max(heard, default=run.began)
        total += (run.ended or last) - run.began
    return total
