"""How things are measured: all contestants in turns, many short bursts, the fastest of each counts.

Whatever else the machine does slows bursts, and never makes one faster: so the minimum is what the code
costs, and turns make a slow second hit everyone alike. The median says how noisy it was.
"""

from __future__ import annotations

import gc
import os
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# How long one burst of calls takes, about, in nanoseconds: short enough to fit between what else runs.
_BURST = 500_000


@dataclass(frozen=True)
class Timing:
    """Nanoseconds for one call."""

    best: float
    median: float


@dataclass(frozen=True)
class Job:
    """A function, and the arguments that it is called with one after the other."""

    call: Callable[[Any], Any]
    arguments: Sequence[Any]


def interleaved(jobs: Mapping[str, Job], rounds: int) -> dict[str, Timing]:
    """Every job in turns, `rounds` times."""
    repeats = {name: _repeats(job) for name, job in jobs.items()}
    bursts: dict[str, list[float]] = {name: [] for name in jobs}
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            for name, job in jobs.items():
                bursts[name].append(_burst(job, repeats[name]))
    finally:
        gc.enable()
    return {name: Timing(min(took), statistics.median(took)) for name, took in bursts.items()}


def _repeats(job: Job) -> int:
    _burst(job, 1)  # caches and specialised bytecode
    return max(1, min(200, round(_BURST / (_burst(job, 1) * len(job.arguments)))))


def _burst(job: Job, repeats: int) -> float:
    call, arguments = job.call, job.arguments
    started = time.perf_counter_ns()
    for _ in range(repeats):
        for argument in arguments:
            call(argument)
    return (time.perf_counter_ns() - started) / repeats / len(arguments)


def imports(programs: Mapping[str, str], rounds: int) -> dict[str, Timing]:
    """How long each program takes in a fresh interpreter that is up already."""
    took: dict[str, list[float]] = {name: [] for name in programs}
    for program in programs.values():
        _compile([sys.executable, "-c", program])
    timed = "import time; t = time.perf_counter_ns(); {}; print(time.perf_counter_ns() - t)"
    for _ in range(rounds):
        for name, program in programs.items():
            command = [sys.executable, "-c", timed.format(program)]
            answer = subprocess.run(command, capture_output=True, text=True, check=True)
            took[name].append(int(answer.stdout))
    return {name: Timing(min(each), statistics.median(each)) for name, each in took.items()}


def _compile(command: Sequence[str]) -> None:
    """Run once where Python may write what it compiles: pip compiles only what it installs."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True, env=environment)


def processes(commands: Mapping[str, Sequence[str]], rounds: int) -> dict[str, Timing]:
    """How long each command takes as a whole process, from its start to its end, in turns."""
    took: dict[str, list[float]] = {name: [] for name in commands}
    for command in commands.values():
        _compile(command)
    for _ in range(rounds):
        for name, command in commands.items():
            started = time.perf_counter_ns()
            subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
            took[name].append(time.perf_counter_ns() - started)
    return {name: Timing(min(each), statistics.median(each)) for name, each in took.items()}


def bytes_held(job: Job) -> float:
    """Bytes that stay allocated for each value that the job makes."""
    job.call(job.arguments[0])
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        kept = [job.call(argument) for argument in job.arguments]
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return (after - before) / len(kept) - 8  # without the list's own reference
