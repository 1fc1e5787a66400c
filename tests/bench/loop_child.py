"""One piece of the loop, measured in the interpreter and with the modules of some revision.

`python loop_child.py JOB PROGRAMS`: for each line on standard input it does the job once, and prints the
nanoseconds for one command. PROGRAMS is a file with scenarios as JSON, the same for every revision. What
a revision does not have yet is measured by what it had in that place. Processor time is taken, since
others use the machine too; of a campaign it is the time that its user waits.
"""

from __future__ import annotations

import json
import lzma
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

WORKER_SECONDS = 4.0
CAMPAIGN_SECONDS = 60
INPUTS = 300  # from nothing, in a round

Job = Callable[[list[list[dict[str, Any]]]], float]


def _timed(run: Callable[[], int]) -> float:
    started = time.process_time_ns()
    done = run()
    return (time.process_time_ns() - started) / done


def _machine() -> Any:
    try:
        return import_module("vmgexit.machine.machine").Machine
    except ImportError:
        return import_module("vmgexit.machine.system").Machine


def machine(scenarios: list[list[dict[str, Any]]]) -> float:
    """`Machine.execute` alone."""
    fresh = _machine()

    def run() -> int:
        for scenario in scenarios:
            execute = fresh().execute
            for command in scenario:
                execute(command)
        return sum(map(len, scenarios))

    return _timed(run)


def invariants(scenarios: list[list[dict[str, Any]]]) -> float:
    """A decoded scenario under all invariants."""
    fresh = _machine()
    try:
        from vmgexit.watch.quick import Quick
    except ImportError:
        from vmgexit.watch.watch import Watch

        def carry_out(scenario: list[dict[str, Any]]) -> None:
            execute = Watch(fresh()).execute
            for command in scenario:
                execute(command)

    else:

        def carry_out(scenario: list[dict[str, Any]]) -> None:
            Quick(fresh()).run(scenario)

    def run() -> int:
        for scenario in scenarios:
            carry_out(scenario)
        return sum(map(len, scenarios))

    return _timed(run)


def reading(scenarios: list[list[dict[str, Any]]]) -> float:
    """The binary spelling, read."""
    from vmgexit.machine import program

    programs = [program.write(scenario) for scenario in scenarios]
    return _timed(lambda: sum(len(program.read(data)) for data in programs))


def making(scenarios: list[list[dict[str, Any]]]) -> float:
    """An input from nothing, for each of its operations."""
    make, source = _maker()
    return _timed(lambda: sum(len(make(source)) for _ in range(INPUTS)) // 36)


def _maker() -> tuple[Callable[[random.Random], bytes], random.Random]:
    from vmgexit_fuzz.targets import find

    target = find("scenario").open()
    if hasattr(target, "make"):
        return target.make, _source
    from vmgexit_fuzz.process.child import from_nothing  # type: ignore[attr-defined]

    return lambda source: from_nothing(target, source), _source


_source = random.Random(1)


def _children_seconds() -> float:
    """Processor time of the processes that this one has started and that run."""
    seconds = 0.0
    for task in Path("/proc/self/task").iterdir():
        for child in (task / "children").read_text().split():
            times = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[11:13]
            seconds += sum(map(int, times)) / os.sysconf("SC_CLK_TCK")
    return seconds


def worker(kind: str) -> Job:
    """A worker's process on the target scenario, after its start."""

    def measured(_: list[list[dict[str, Any]]]) -> float:
        from vmgexit_fuzz.process.child import Order
        from vmgexit_fuzz.process.parent import Process

        seen: list[tuple[float, int]] = []

        def told(line: dict[str, Any]) -> None:
            if "steps" in line and "finding" not in line:
                seen.append((_children_seconds(), line["steps"]))

        with tempfile.TemporaryDirectory() as corpus:
            process = Process(Order("scenario", kind, corpus=corpus, seconds=WORKER_SECONDS), told)
            code = process.run()
        if process.error or len(seen) < 4:
            sys.exit(f"worker {kind}: {process.error or process.last} (code {code})")
        (began, before), (ended, after) = seen[len(seen) // 2 - 1], seen[-1]
        return (ended - began) * 1e9 / (after - before)

    return measured


_COMMANDS = re.compile(r"([\d,]+) commands")
RECORDINGS = Path(__file__).parents[2] / "corpus" / "recordings" / "memory"


def campaign(target: str, workers: int) -> Job:
    """`vmgexit fuzz run` with the usual mix, from its start to its end."""

    def measured(_: list[list[dict[str, Any]]]) -> float:
        with tempfile.TemporaryDirectory() as folder:
            words = [sys.executable, "-m", "vmgexit", "fuzz", "run", target, "--dir", folder]
            words += ["--time", str(CAMPAIGN_SECONDS), "--workers", str(workers)]
            started = time.monotonic()
            done = subprocess.run(words, capture_output=True, text=True)
            took = time.monotonic() - started
        told = _COMMANDS.findall(done.stdout + done.stderr)
        if done.returncode or not told:
            sys.exit(f"fuzz run {target}: {done.stdout}{done.stderr} (code {done.returncode})")
        return took * 1e9 / int(told[-1].replace(",", ""))

    return measured


def memory_replay(_: list[list[dict[str, Any]]]) -> float:
    """The recordings with memory on the machine alone."""
    from vmgexit.machine.quirks import profile
    from vmgexit.machine.scenario import sequences

    if not _recorded:
        for path in sorted(RECORDINGS.glob("*.xz")):
            with lzma.open(path) as stream:
                _recorded.extend(sequence.commands for sequence in sequences(stream))
    fresh, quirks = _machine(), profile("coconut")

    def run() -> int:
        for commands in _recorded:
            execute = fresh(quirks).execute
            for command in commands:
                execute(command)
        return sum(map(len, _recorded))

    return _timed(run)


_recorded: list[list[dict[str, Any]]] = []

JOBS: dict[str, Job] = {
    "machine": machine,
    "invariants": invariants,
    "reading": reading,
    "making": making,
    **{f"worker {kind}": worker(kind) for kind in ("random", "probes", "state", "compare")},
    "campaign scenario 1": campaign("scenario", 1),
    "campaign scenario 2": campaign("scenario", 2),
    "campaign svsm 1": campaign("svsm", 1),
    "memory replay": memory_replay,
}


def _rounds(job: Job, programs: str) -> Iterator[float]:
    with open(programs) as stream:
        scenarios = json.load(stream)
    for _ in sys.stdin:
        yield job(scenarios)


if __name__ == "__main__":
    for nanoseconds in _rounds(JOBS[sys.argv[1]], sys.argv[2]):
        print(nanoseconds, flush=True)
