"""Letting the methods take turns: all of them on each case and seed, some trials at a time."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed

from vmgexit.errors import VmgexitError
from vmgexit_fuzz.campaign.screen import Screen
from vmgexit_fuzz.targets import REPOSITORY

from .report import Bench
from .trial import Trial, TrialOutcome

_AROUND_A_TRIAL = 60.0  # seconds for imports, and to shorten what was found
_INTERRUPT_SECONDS = 5.0


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

    def outcome(self, trial: Trial) -> TrialOutcome:
        """Make a trial. Raises VmgexitError with what its process said last."""
        with self.lock:
            if self.ended:
                raise VmgexitError("ended")
            process = subprocess.Popen(
                [sys.executable, "-m", f"{__package__}.child"],
                cwd=REPOSITORY,  # where it is found
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
            return TrialOutcome(False, trial.seconds, 0)
        finally:
            _end(process)
            self.running.discard(process)
        if process.returncode:
            last = said.strip().rpartition("\n")[2]
            place = f"{trial.method} on {trial.case.name}, seed {trial.seed}"
            raise VmgexitError(f"{place}: ended with code {process.returncode}: {last}")
        return TrialOutcome(**json.loads(answer))

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
