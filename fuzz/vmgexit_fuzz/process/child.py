"""The fuzzing process: one target, one kind of worker, for its turns. `parent` starts it.

It reads its order from standard input, a JSON object (`Order`). After a turn it may rest, with all that it
knows, until it reads the next one. It writes findings and counts to standard output, one JSON object a
line, for the parent. libFuzzer writes to standard error. A finding does not stop the process: it tells
the parent, and searches on. Only what Python cannot catch (a hang, memory, a crash of the interpreter)
ends it, with libFuzzer's own exit codes and artifacts.
"""

from __future__ import annotations

import dataclasses
import gc
import hashlib
import json
import math
import mmap
import os
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from vmgexit.errors import VmgexitError

from .. import probes
from ..targets import USUAL, Conditions, Finding, Target, TargetRow, as_finding, find
from .kinds import KINDS, WorkerKind
from .watchdog import MEGABYTES, watch

REPORT_SECONDS = 0.5
FIRST_REPORT_SECONDS = 0.1  # somebody waits for a sign that it works
# Looks at the clock are to be so far apart, as inputs run fast or slow.
LOOK_SECONDS = 0.05
MOST_BETWEEN_LOOKS = 1024  # inputs
# A turn that is over by so much ends the process: the engine still reads its seeds.
LONGEST_READING = 1.0
FAILED = 2  # exit code after an error that the parent was told
SAMPLED = 4  # one in so many inputs from nothing is looked at for the states it reached


@dataclass(slots=True)
class Order:
    """What a process is to do. Folders are paths, and may be missing; `record` is an open descriptor or -1.

    `parent.Process` sets `artifacts` and `record`.
    """

    target: str
    kind: str
    conditions: Conditions = USUAL
    corpus: str = ""
    seeds: str = ""
    artifacts: str = ""
    seconds: float | None = None
    ends: float | None = None  # by the monotonic clock of this machine, however long the start took
    rests: bool = False  # after its time, until the next order; for kinds that can
    runs: int | None = None
    seed: int = 1
    record: int = -1  # a file to hold the input at hand
    deadly: list[str] = field(default_factory=list)  # SHA-1 of inputs that end the process
    known: dict[str, int] = field(default_factory=dict)  # bytes of the input kept for each cause
    reached: list[int] = field(default_factory=list)  # states that inputs from nothing reached

    @classmethod
    def of(cls, spelled: dict[str, Any]) -> Order:
        """The order that `dataclasses.asdict` spelled."""
        return cls(**{**spelled, "conditions": Conditions(**spelled["conditions"])})


class Counter:
    """Runs inputs, tells the parent what they find and how it goes, and ends when it is enough.

    libFuzzer's own limits are not used: it counts seeds apart, takes whole seconds, and exits without
    a chance to tell the last counts.
    """

    def __init__(self, target: Target, log: Any, order: Order) -> None:
        self.target, self.log = target, log
        self.run = target.run
        # Patience with one input and all we do to it.
        self.hang_seconds = order.conditions.hang_seconds
        self.counts: dict[str, int] = {}  # of each cause since the parent was told
        self.states: StateCounter | None = None
        self.between_looks = 1
        self.next_look = 0  # none before `start`
        self._begin(order)

    def _begin(self, order: Order) -> None:
        """Begin a turn."""
        self.inputs = self.steps = 0
        self.runs, self.rests, self.is_over = order.runs, order.rests, False
        self.told = self.looked = self.started = time.monotonic()
        over = math.inf if order.seconds is None else self.told + order.seconds
        self.deadline = over if order.ends is None else min(over, order.ends)
        self.sizes = dict(order.known)
        if self.states is not None:
            self.states.reached.update(order.reached)

    def one(self, data: bytes) -> None:
        """One input."""
        try:
            self.steps += self.run(data)
        except (Exception, SystemExit) as error:
            finding = as_finding(error)
            self.steps += finding.steps
            self.found(finding, data)
        self.inputs += 1
        if self.inputs == self.next_look:
            self.look()

    def counting(self) -> Callable[[bytes], None]:
        """`one` for an engine: the same, a fifth faster, which an empty target feels. `inputs` and
        `steps` are brought up to date when somebody looks."""
        run, left, batch, steps = self.run, 1, 1, 0

        def settle() -> None:
            nonlocal batch, steps
            self.inputs += batch - left
            self.steps += steps
            batch, steps = left, 0

        def one(data: bytes) -> None:
            nonlocal left, batch, steps
            try:
                steps += run(data)
            except (Exception, SystemExit) as error:
                finding = as_finding(error)
                steps += finding.steps
                settle()
                self.found(finding, data)
            left -= 1
            if not left:
                settle()
                self.look()
                left = batch = self.next_look - self.inputs

        return one

    def start(self) -> None:
        """Count from here on."""
        self.inputs = self.steps = 0
        self.next_look = 1
        self.started = time.monotonic()
        self.told = self.started + FIRST_REPORT_SECONDS - REPORT_SECONDS

    def look(self) -> None:
        """Tell the counts now and then; end the process when runs or time are used up."""
        now = time.monotonic()
        self.is_over = self.inputs == self.runs or now >= self.deadline
        if self.is_over or now - self.told > REPORT_SECONDS:
            self.told = now
            self.tell_counts()
        if self.is_over and not (self.rests and now < self.deadline + LONGEST_READING):
            os._exit(0)
        if now - self.looked > LOOK_SECONDS:
            self.between_looks = max(self.between_looks // 2, 1)
        else:
            self.between_looks = min(self.between_looks * 2, MOST_BETWEEN_LOOKS)
        self.looked = now
        self.next_look = self.inputs + self.between_looks
        if self.runs is not None:
            self.next_look = min(self.next_look, self.runs)

    def rest(self) -> None:
        """Wait for the next turn, between two inputs; end the process where there is none."""
        self.tell(rests=True)
        line = sys.stdin.readline()
        if not line:
            os._exit(0)
        self._begin(Order.of(json.loads(line)))

    def resting(self, make: Callable[..., bytes]) -> Callable[..., bytes]:
        """What the engine calls for its next input, and rests before when its turn is over. It is not
        patient with an input that takes long, so that none may rest itself."""

        def made(*arguments: Any) -> bytes:
            if self.is_over:
                self.rest()
            return make(*arguments)

        return made

    def found(self, finding: Finding, data: bytes) -> None:
        """Count a finding; tell of a new cause, or of a smaller input."""
        from .minimize import minimized

        cause, data = finding.cause, finding.data or data
        self.counts[cause] = self.counts.get(cause, 0) + 1
        if len(data) >= self.sizes.get(cause, 1 << 62):
            return
        now = time.monotonic()
        after = now - self.started
        if cause not in self.sizes:
            # The process may be ended before it comes to the finding itself.
            self.tell(draft=self.target.described(finding, data))
            until = min(now + self.hang_seconds / 2, self.deadline)
            data = minimized(self.target, data, cause, until=until)
        again, text = self.target.examine(data)
        if again is not None and again.cause == cause:
            finding = again  # in the words of its shortened input
        self.sizes[cause] = len(data)
        self.tell(
            finding=self.target.described(finding, data, text),
            inputs=self.inputs + 1,  # this one too
            steps=self.steps,
            after=round(after, 3),
        )

    def tell_counts(self) -> None:
        """Tell how far it has come."""
        counts, self.counts = self.counts, {}
        also = self.states.since() if self.states is not None else {}
        self.tell(inputs=self.inputs, steps=self.steps, counts=counts, **also)

    def tell(self, **what: object) -> None:
        """One line to the parent."""
        tell(self.log, **what)


def tell(log: Any, **what: object) -> None:
    """One line to the parent. Where the parent is gone, nobody wants to hear more."""
    try:
        log.write(json.dumps(what) + "\n")
        log.flush()
    except BrokenPipeError:
        os._exit(FAILED)


def main() -> None:
    """Set up coverage, target and mutator, then run for good."""
    order = Order.of(json.loads(sys.stdin.readline()))
    kind, row = KINDS[order.kind], find(order.target)
    # Our lines go to the first standard output; whatever else prints there goes to the engine's log.
    log = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    _instrumented(kind, row)
    try:
        target = row.open(order.conditions)
    except VmgexitError as error:
        tell(log, error=str(error))
        sys.exit(FAILED)
    if kind.probes:
        target.reserve_counters()
    counter = Counter(target, log, order)

    def wrapped(one: Callable[[bytes], None]) -> Callable[[bytes], None]:
        return _without(order.deadly, _recorded(order.record, one))

    if kind.engine:
        import_module("atheris")  # where it is missing, no input is to blame
    counter.tell(ready=True)
    one = wrapped(counter.one)
    one(b"")  # the first run imports what is imported late; the engine starts with it again
    target.make(random.Random())  # so does the first change
    import_module(f"{__package__}.minimize")
    if not kind.engine and row.has_states:
        counter.states = StateCounter(target, order)
    gc.freeze()  # what is there by now stays: the collector need not look at it again and again
    counter.start()
    if kind.engine:
        one = wrapped(counter.counting())
        if kind.states and row.has_states:
            from . import states  # not before: it imports what is to be instrumented

            states.install()
            target.observe = states.mark
        _engine(kind, target, order, counter, one)
    else:
        _from_nothing(target, order, counter, one)


def _instrumented(kind: WorkerKind, row: TargetRow) -> None:
    """Import the target with the coverage that the kind of worker has."""
    if kind.lines:
        probes.install_lines(row.probed)
    elif kind.probes:
        probes.install(row.probed)
    if kind.atheris:
        import atheris

        with atheris.instrument_imports(include=list(row.probed)):
            row.load()


def _engine(kind: WorkerKind, target: Target, order: Order, counter: Counter, one: Any) -> None:
    """Hand over to libFuzzer for good."""
    import atheris

    functions = mutators(target, atheris) if kind.mutator else {}
    if functions:
        functions["custom_mutator"] = counter.resting(functions["custom_mutator"])
    flags = [
        f"-timeout={max(int(order.conditions.hang_seconds), 1)}",
        f"-rss_limit_mb={MEGABYTES}",
        f"-max_len={target.row.longest}",
        f"-artifact_prefix={order.artifacts}{os.sep}",
        f"-seed={order.seed}",
        "-print_final_stats=0",
        "-reload=1",
        "-use_value_profile=0",
    ]
    folders = filter(os.path.isdir, (order.corpus, order.seeds))
    atheris.Setup([sys.argv[0], *flags, *folders], one, **functions)
    probes.connect(with_mutator=bool(functions))
    atheris.Fuzz()


def mutators(target: Target, atheris: Any) -> dict[str, Any]:
    """What libFuzzer is to call to change the target's inputs, as arguments of `atheris.Setup`."""

    def custom(data: bytes, longest: int, seed: int) -> bytes:
        # A third is made from nothing: what is kept only changes a little, and slows the search down.
        if seed % 3 == 0:
            return target.make(random.Random(seed))[:longest]
        # One in eight is left to libFuzzer, which knows what its table of compares holds.
        if seed % 8 == 0:
            changed: bytes = atheris.Mutate(data, longest)
        else:
            changed = target.mutate(data, longest, seed)
        return changed[:longest]

    def crossed(one: bytes, other: bytes, longest: int, seed: int) -> bytes:
        return target.crossover(one, other, longest, seed)[:longest]

    return {"custom_mutator": custom, "custom_crossover": crossed}


def _from_nothing(target: Target, order: Order, counter: Counter, one: Any) -> None:
    """Well-formed inputs from nothing, each independent of the others, in a plain loop.

    Of some of them it is noted which states they reached: those that reach a new one are kept for
    the other kinds, and how many states were reached just once tells how much is still unseen.
    """
    pick = random.Random(order.seed)
    held = watch(Path(order.artifacts), order.conditions.hang_seconds)
    while True:
        if counter.is_over:
            held.data = None
            counter.rest()
        data = held.data = target.make(pick)
        if counter.states is not None and counter.inputs % SAMPLED == 0:
            counter.states.one(data, one)
        else:
            one(data)


class StateCounter:
    """Which states inputs reached, each input counted once for a state."""

    def __init__(self, target: Target, order: Order) -> None:
        from .states import cells, seen

        self.cells, self.seen = cells, seen
        self.target, self.corpus = target, order.corpus
        self.reached = set(order.reached)
        self.counts: dict[int, int] = {}  # since the parent was told
        self.samples = 0

    def one(self, data: bytes, one: Any) -> None:
        """Run an input and note the states; one that reached a new one is kept."""
        met: set[tuple[Any, ...]] = set()
        seen = self.seen
        self.target.observe = lambda machine, command: met.add(seen(machine, command))
        try:
            one(data)
        finally:
            self.target.observe = None
        now = {cell for state in met for cell in self.cells(state)}
        if self.corpus and not now <= self.reached:
            from vmgexit.files import write

            write(Path(self.corpus) / hashlib.sha1(data).hexdigest(), data)
            self.reached |= now
        for state in now:
            self.counts[state] = self.counts.get(state, 0) + 1
        self.samples += 1

    def since(self) -> dict[str, Any]:
        """What was counted since this was last asked for."""
        told = {"samples": self.samples, "states": list(self.counts.items())}
        self.samples, self.counts = 0, {}
        return told


def _recorded(descriptor: int, one: Callable[[bytes], None]) -> Callable[[bytes], None]:
    """`one`, each input kept first where the parent finds it, however this process ends.

    That is a third of the time of an empty target, so it is only done once a process has ended
    without leaving its input.
    """
    if descriptor < 0:
        return one
    held = mmap.mmap(descriptor, 0)

    def recorded(data: bytes) -> None:
        held[:4] = len(data).to_bytes(4, "little")
        held[4 : 4 + len(data)] = data
        one(data)

    return recorded


def _without(digests: list[str], one: Callable[[bytes], None]) -> Callable[[bytes], None]:
    """`one` for all inputs but those that are known to end the process."""
    if not digests:
        return one

    def without(data: bytes) -> None:
        if hashlib.sha1(data).hexdigest() not in digests:
            one(data)

    return without


def spelled(order: Order) -> bytes:
    """An order as the line that `main` reads."""
    return json.dumps(dataclasses.asdict(order)).encode() + b"\n"


if __name__ == "__main__":
    main()
