"""Running a bench: all methods in turns on each case and seed, some trials at a time."""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from vmgexit.errors import UsageError, VmgexitError
from vmgexit.files import write

from ..campaign.screen import Screen
from .cases import QUICK, cases
from .methods import BASELINE, METHODS, US
from .report import Bench, show
from .trial import Outcome, Trial

SEEDS, SECONDS, JOBS = 5, 20.0, 2
QUICK_SECONDS = 5.0
_AROUND_A_TRIAL = 60.0  # seconds for imports, and to shorten what was found
_INTERRUPT_SECONDS = 5.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of a bench."""
    from ..cli.options import positive

    parser.add_argument("--bugs", type=_names, default=[], metavar="NAME,...", help="these only")
    parser.add_argument(
        "--methods", type=_names, default=[], metavar="NAME,...", help=f"of {', '.join(METHODS)}"
    )
    parser.add_argument("--seeds", type=positive, metavar="N", help=f"trials of each ({SEEDS})")
    parser.add_argument(
        "--budget", type=positive, metavar="S", help=f"seconds of each trial ({SECONDS:g})"
    )
    parser.add_argument(
        "--jobs", type=positive, default=JOBS, metavar="N", help=f"trials at a time ({JOBS})"
    )
    parser.add_argument(
        "--quick", action="store_true", help=f"{len(QUICK)} bugs, 1 seed, {QUICK_SECONDS:g} s"
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help="where bench.md and bench.json go"
    )


def _names(text: str) -> list[str]:
    return text.split(",")


def main(arguments: argparse.Namespace) -> int:
    """A bench with the options of `add_arguments`."""
    quick = arguments.quick
    return run(
        bugs=arguments.bugs or QUICK * quick,
        methods=arguments.methods or (US, BASELINE) * quick,
        seeds=arguments.seeds or (1 if quick else SEEDS),
        seconds=arguments.budget or (QUICK_SECONDS if quick else SECONDS),
        jobs=arguments.jobs,
        output=arguments.output,
    )


def run(
    *,
    bugs: Sequence[str] = (),
    methods: Sequence[str] = (),
    seeds: int = SEEDS,
    seconds: float = SECONDS,
    jobs: int = JOBS,
    output: Path | None = None,
) -> int:
    """Let `methods` search for `bugs` (all of them where none is named) and say how soon they found
    them: 0; 1 when a trial failed, which is left out; 130 when interrupted, with what there was then.

    `seconds` is each trial's budget; `jobs` trials run at a time; `output` is a folder for `bench.md`
    and `bench.json`. Raises UsageError for a name that there is not, and OSError when the folder
    cannot be written.
    """
    bench = Bench(
        _chosen("bug", bugs, cases()),
        list(_chosen("method", methods, METHODS)),
        seeds,
        seconds,
        jobs,
    )
    interrupted = make(bench)
    show(list(bench.rows()), list(bench.notes()))
    if output is not None:
        write(output / "bench.md", bench.markdown().encode())
        write(output / "bench.json", bench.as_json())
        print(f"written: {output / 'bench.md'}, {output / 'bench.json'}")
    return 130 if interrupted else int(bool(bench.failed))


def _chosen(what: str, names: Iterable[str], there_are: Mapping[str, Any]) -> dict[str, Any]:
    """The entries named, or all. Raises UsageError."""
    for name in names:
        if name not in there_are:
            raise UsageError(f"unknown {what} {name}; there are {', '.join(there_are)}")
    return {name: there_are[name] for name in names or there_are}


def trials(bench: Bench) -> Iterator[Trial]:
    """All trials in order: seed by seed, so that an interrupted bench knows something of every case;
    each case and seed with another method first, so that none has the better half of a slow spell."""
    for seed in range(1, bench.seeds + 1):
        for number, case in enumerate(bench.cases.values(), seed):
            first = number % len(bench.methods)
            for method in bench.methods[first:] + bench.methods[:first]:
                yield Trial(method, case, seed, bench.seconds)


def make(bench: Bench) -> bool:
    """Make the trials; whether we were interrupted."""
    screen, processes = Screen(), _Processes()
    total = len(bench.cases) * len(bench.methods) * bench.seeds
    minutes = total * bench.seconds / bench.jobs / 60
    screen.say(f"{total} trials, at most {minutes:.0f} minutes and the time to start them")
    with ThreadPoolExecutor(bench.jobs) as pool:
        waiting = {pool.submit(processes.outcome, trial): trial for trial in trials(bench)}
        try:
            for number, future in enumerate(as_completed(waiting), 1):
                trial = waiting[future]
                try:
                    outcome = future.result()
                except VmgexitError as error:
                    bench.failed.append(str(error))
                    screen.say(str(error))
                    continue
                bench.outcomes.append((trial, outcome))
                found = f"in {outcome.seconds:.2f} s" if outcome.found else "not found"
                screen.show(f"{number} of {total}: {trial.case.name}, {trial.method}: {found}")
        except KeyboardInterrupt:
            return True
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            processes.end()
            screen.close()
    return False


class _Processes:
    """Those that run trials."""

    def __init__(self) -> None:
        self.running: set[subprocess.Popen[str]] = set()
        self.lock = threading.Lock()
        self.ended = False

    def outcome(self, trial: Trial) -> Outcome:
        """Make a trial. Raises VmgexitError with what its process said last."""
        with self.lock:
            if self.ended:
                raise VmgexitError("ended")
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "vmgexit_fuzz.bench.child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,  # Ctrl-C is for us; we end them
            )
            self.running.add(process)
        try:
            answer, said = process.communicate(trial.spelled(), trial.seconds + _AROUND_A_TRIAL)
        except subprocess.TimeoutExpired:
            # It hangs in one input, which no method but one with an engine can tell.
            return Outcome(False, trial.seconds, 0)
        finally:
            _end(process)
            self.running.discard(process)
        if process.returncode:
            last = said.strip().rpartition("\n")[2]
            place = f"{trial.method} on {trial.case.name}, seed {trial.seed}"
            raise VmgexitError(f"{place}: ended with code {process.returncode}: {last}")
        return Outcome(**json.loads(answer))

    def end(self) -> None:
        """End all that run, and start no more."""
        with self.lock:
            self.ended = True
            for process in list(self.running):
                with contextlib.suppress(ProcessLookupError):
                    process.terminate()


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_INTERRUPT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
