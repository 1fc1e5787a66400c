"""A campaign: workers over one folder, which take turns of several kinds.

Each worker is a thread that runs one fuzzing process after the other (`process`). It writes
findings and statistics to disk at once. A campaign that is killed loses nothing else, and the same
command continues it.

An input that ends a process is a finding like any other, one for each way to end. libFuzzer leaves
the input of a hang, of memory that is used up, and of a crash. A process that ends in another way
(`os._exit`, a signal) leaves no input; later processes therefore write down each input before they
run it. A campaign does not run an input again that is known to end the process.
"""

from __future__ import annotations

import contextlib
import hashlib
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from vmgexit.errors import VmgexitError

from ..process.child import Order
from ..process.kinds import KINDS, LONGEST_TURN, mix, turn_seconds
from ..process.parent import INTERRUPTED, Process, recording
from ..process.prune import prune
from ..process.turns import Turns
from ..process.watchdog import HANG
from ..targets import USUAL, Conditions, Finding, TargetRow
from . import statistics
from .findings import Record, Store
from .folder import LEAST_FREE, Directory
from .screen import Progress, Screen

# So many processes in a row that died young end the campaign: the target is too broken to go on.
MOST_DEATHS = 10
YOUNG = 100  # inputs
# A corpus that has grown by so much is pruned: every process starts by running all of it.
CROWDED = 1000  # inputs
_SHOW_SECONDS = 0.2


@dataclass(slots=True)
class Settings:
    """What a campaign is to do."""

    target: TargetRow
    directory: Directory
    conditions: Conditions = USUAL
    workers: int = 1
    kinds: list[str] = field(default_factory=list)  # none: the usual mix
    seconds: float | None = None
    runs: int | None = None
    seed: int | None = None
    stop_on_finding: bool = False
    quiet: bool = False  # the closing lines only
    seeds: list[bytes] = field(default_factory=list)  # inputs that the corpus is to have

    @property
    def about(self) -> dict[str, str]:
        """What is fuzzed: the same in every campaign over a folder."""
        return {"target": self.target.name, **self.conditions.about}


class Campaign:
    """The workers and what they share. Its folder must be in use by us."""

    late_seconds = 1.0  # that a process may take longer than the campaign

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.progress = Progress(unit=settings.target.steps)
        self.screen = Screen(settings.quiet)
        self.store = Store(settings.directory.findings)
        self.state_counts = statistics.StateCounts(settings.directory.path / "states.json")
        self.lock = threading.RLock()  # over all that workers share
        self.stop = threading.Event()
        self.error = ""
        self.untold: set[str] = set()  # causes that were met, of which a process is to say more
        self.deadly: list[str] = []  # SHA-1 of each input that ended a process
        self.recording = False  # each input, because a process left none
        self.started = time.monotonic()
        seed = random.SystemRandom().getrandbits(30) if settings.seed is None else settings.seed
        self.seed = seed  # of the first turn; each later one has the next
        self.shares = mix(settings.kinds, settings.target)
        self.spent = dict.fromkeys(self.shares, 0.0)  # seconds of each kind
        self.orders = 0
        self.pruned = 0  # inputs that pruning left, the last time
        self.pruning = threading.Lock()
        self.threads: list[threading.Thread] = []  # one for each worker

    def go(self) -> None:
        """Let all workers work, until time or runs are used up. Raises KeyboardInterrupt."""
        try:
            self.employ()
            while any(thread.is_alive() for thread in self.threads):
                time.sleep(_SHOW_SECONDS)
                self.look()
        finally:
            self.stop.set()
            for thread in self.threads:
                thread.join()
            self.look()
            with contextlib.suppress(OSError):
                self.store.flush()
        if self.progress.interrupted:
            raise KeyboardInterrupt

    def employ(self) -> None:
        """Have as many workers as the settings say."""
        while len(self.threads) < self.settings.workers:
            thread = threading.Thread(target=self.worker(len(self.threads)).go)
            thread.start()
            self.threads.append(thread)

    def worker(self, number: int) -> Worker:
        return Worker(self, number)

    def look(self) -> None:
        """See to the campaign as a whole, several times a second."""
        self.progress.seconds = time.monotonic() - self.started
        left = self.seconds_left()
        # Of a hang in our own process there will be a finding; one of a peer may go on and on.
        if left is not None and left < -self.late_seconds and self.settings.target.takes_peer:
            self.stop.set()
        line = self.progress.live(left, self.screen.width)
        self.screen.show(line, tells=self.progress.inputs > 0)
        places = self.settings.directory
        if not self.error and places.free() < LEAST_FREE:
            self.fail(f"{places.path}: stopped, {places.full()}; the same command goes on")

    def fail(self, message: str) -> None:
        """End the campaign with an error."""
        with self.lock:
            self.error = self.error or message
        self.stop.set()

    def order(self, turn: int) -> Order | None:
        """What a worker is to do in its next turn; None when time or runs are used up."""
        settings = self.settings
        with self.lock:
            left = self.seconds_left()
            runs = None if settings.runs is None else settings.runs - self.progress.inputs
            if self.stop.is_set() or (left is not None and left < 1 and self.orders > 0):
                return None
            if runs is not None and runs <= 0:
                return None
            kind = min(self.shares, key=lambda name: self.spent[name] / self.shares[name])
            limits = [] if left is None else [max(left, 0.1)]
            if len(self.shares) > 1:
                limits.append(turn_seconds(self.shares, kind, turn))
            seconds = min(limits, default=None)
            is_last = len(self.shares) == 1 or (left is not None and seconds == limits[0])
            self.orders += 1
            places = settings.directory
            return Order(
                target=settings.target.name,
                kind=kind,
                conditions=settings.conditions,
                corpus=str(places.corpus),
                seeds=str(settings.target.seeds),
                seconds=seconds,
                ends=None if left is None or not turn else time.monotonic() + left,
                rests=KINDS[kind].rests and runs is None and not is_last,
                runs=runs if runs is None else -(-runs // settings.workers),
                seed=(self.seed + self.orders - 1) % (1 << 31),
                deadly=list(self.deadly),
                known=self.store.sizes(),
                reached=list(self.state_counts.counts),
            )

    def seconds_left(self) -> float | None:
        """Until the end; None without one."""
        if self.settings.seconds is None:
            return None
        return self.settings.seconds - (time.monotonic() - self.started)

    def found(
        self, told: dict[str, Any], kind: str, *, is_draft: bool = False, **more: Any
    ) -> None:
        """A process described a finding. It is told of a draft only where the process came to no more."""
        with self.lock:
            record, is_new = self.store.keep(told, kind=kind, **self.settings.about, **more)
            self._met(record, is_new=is_new)
            if not is_draft:
                self._tell(record)

    def counted(self, counts: dict[str, int]) -> None:
        """Causes were met so often again."""
        with self.lock:
            self.store.count(counts)
            for cause in counts:
                if cause in self.store.records:
                    self._met(self.store.records[cause])
                    self._tell(self.store.records[cause])

    def left(self) -> None:
        """A process ended: its drafts stay as they are."""
        with self.lock:
            for cause in sorted(self.untold):
                self._tell(self.store.records[cause])

    def _met(self, record: Record, *, is_new: bool = False) -> None:
        """Count a finding once; nothing of one that is marked as known."""
        if not (record.known or self.progress.causes.get(record.cause)):
            path = self.settings.directory.findings / f"{record.id}.bin"
            self.progress.met(record.cause, str(path), is_new=is_new)
            self.untold.add(record.cause)

    def _tell(self, record: Record) -> None:
        """Print a finding once, in one line."""
        if record.cause in self.untold:
            self.untold.remove(record.cause)
            is_old = record.cause in self.progress.old
            self.screen.tell(f"{'seen before' if is_old else 'finding'}: {record.message}")
            if self.settings.stop_on_finding:
                self.stop.set()


class Worker:
    """One of a campaign's workers: one process works at a time."""

    def __init__(self, campaign: Campaign, number: int) -> None:
        self.campaign, self.number = campaign, number
        self.places = campaign.settings.directory
        self.recording: IO[bytes] | None = None
        self.turns = Turns()
        self.young_deaths = 0
        self.restarts = 0  # not written yet

    def go(self) -> None:
        """One turn after the other."""
        campaign = self.campaign
        try:
            turn = 0
            with self.turns:
                while order := campaign.order(turn):
                    self._turn(order)
                    turn += 1
                    self._prune()
            if self.restarts:
                self._write()
        except VmgexitError as error:
            campaign.fail(str(error))
        except OSError as error:
            campaign.fail(f"{error.filename or self.places.path}: {error.strerror}")
        except BaseException:
            campaign.fail("a worker ended, with the traceback above")
            raise

    def _turn(self, order: Order) -> None:
        campaign = self.campaign
        self.order = order
        self.inputs = self.steps = 0  # of this turn, as far as they are counted
        self.written = time.monotonic()
        self.line = [0, 0]  # inputs and steps since the last line
        with campaign.lock:
            planned = order.seconds or LONGEST_TURN
            campaign.spent[order.kind] += planned
            if campaign.recording and self.recording is None:
                self.recording = recording()
        with (self.places.logs / f"{self.number}.log").open("ab", buffering=0) as log:
            self.process = self.process_for(order, log.write)
            code = self.turns.run(self.process, order)
        campaign.left()
        self._count(self.process.inputs, self.steps)
        self._write()
        with campaign.lock:
            campaign.spent[order.kind] += self.process.seconds - planned
        if self.process.error:
            raise VmgexitError(self.process.error)
        if not code:
            return
        if code in INTERRUPTED:
            campaign.progress.interrupted = True
            campaign.stop.set()
            return
        if self.process.ready:
            self._found_dead(code)
        elif code > 0:
            raise VmgexitError(
                f"the fuzzing process did not start (exit code {code}): {self.process.last}"
            )
        # A signal before the first input, of a kernel that is short of memory perhaps, is no finding.
        self._died()

    def process_for(self, order: Order, log: Callable[[bytes], object]) -> Process:
        return self.turns.process(order, self._told, log, self.campaign.stop, self.recording)

    def _prune(self) -> None:
        """Make the corpus small again, one worker at a time."""
        campaign = self.campaign
        if campaign.progress.corpus < campaign.pruned + CROWDED or campaign.stop.is_set():
            return
        if campaign.pruning.acquire(blocking=False):
            try:
                _, campaign.pruned = prune(self.places.corpus, campaign.settings.about)
            finally:
                campaign.pruning.release()

    def _told(self, told: dict[str, Any]) -> None:
        """A line of the process, or none for a while."""
        self.take(told)
        if time.monotonic() - self.written > statistics.WRITE_SECONDS:
            self._write()

    def take(self, told: dict[str, Any]) -> None:
        """Put what a process told into the books."""
        campaign = self.campaign
        if "inputs" in told:
            self._count(told["inputs"], told["steps"])
        if "counts" in told:
            campaign.counted(told["counts"])
        for name in ("draft", "finding"):
            if name in told:
                campaign.found(told[name], self.order.kind, is_draft=name == "draft")
        if told.get("samples"):
            with campaign.lock:
                campaign.state_counts.add(told["samples"], told["states"])

    def _count(self, inputs: int, steps: int) -> None:
        progress = self.campaign.progress
        more = max(inputs - self.inputs, 0), max(steps - self.steps, 0)
        self.inputs, self.steps = self.inputs + more[0], self.steps + more[1]
        with self.campaign.lock:
            progress.inputs += more[0]
            progress.steps += more[1]
            progress.coverage = max(progress.coverage, self.process.coverage)
        self.line = [self.line[0] + more[0], self.line[1] + more[1]]

    def _write(self) -> None:
        now, campaign = time.monotonic(), self.campaign
        with campaign.lock:
            campaign.progress.corpus = _files(self.places.corpus)
            line = statistics.Line(
                at=round(time.time(), 2),
                worker=self.number,
                kind=self.order.kind,
                seconds=round(now - self.written, 2),
                inputs=self.line[0],
                steps=self.line[1],
                restarts=self.restarts,
                coverage=self.process.coverage,
                corpus=campaign.progress.corpus,
                causes=len(campaign.store.records),
                **campaign.state_counts.line(),
            )
            statistics.add(self.places.statistics, line)
            campaign.state_counts.save()
            campaign.store.flush()
        self.written, self.line, self.restarts = now, [0, 0], 0

    def _found_dead(self, code: int) -> None:
        """What ended the process is a finding too; its input is in an artifact or recorded."""
        campaign = self.campaign
        finding, data = self.process.death(code), self.process.last_input()
        with campaign.lock:
            if data is None:
                self._record_from_now_on(finding)
            else:
                campaign.deadly.append(hashlib.sha1(data).hexdigest())
                target = campaign.settings.target.open()  # to read the input only
                told = target.described(finding, data)
                patience = campaign.settings.conditions.hang_seconds
                hang: dict[str, Any] = {"hang_seconds": patience} if code == HANG else {}
                campaign.found(told, self.order.kind, **hang)
                campaign.counted({finding.cause: 1})

    def _died(self) -> None:
        """Count a death; too many soon after the start end the campaign."""
        campaign = self.campaign
        with campaign.lock:
            campaign.progress.restarts += 1
        self.restarts += 1
        self.young_deaths = self.young_deaths + 1 if self.inputs < YOUNG else 0
        if self.young_deaths == MOST_DEATHS:
            campaign.screen.say(
                f"stopped: {MOST_DEATHS} processes in a row died within {YOUNG} inputs"
            )
            campaign.stop.set()

    def _record_from_now_on(self, finding: Finding) -> None:
        campaign = self.campaign
        if not campaign.recording:
            campaign.recording = True
            campaign.screen.say(
                f"{finding.cause}: the fuzzing process left no input; recording them now"
            )
        if finding.cause not in campaign.progress.causes:
            campaign.progress.met(finding.cause, "", is_new=True)


def _files(folder: Path) -> int:
    return sum(1 for path in folder.iterdir() if not path.name.startswith("."))
