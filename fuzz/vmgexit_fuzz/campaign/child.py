"""The fuzzing process: one target under libFuzzer, started by `run` as a module of its own.

Standard output carries our own lines to the parent, one JSON object each: findings and counts.
Standard error is libFuzzer's. A finding does not stop the process: it is saved and the search goes
on. Only what Python cannot catch (a hang, memory, a crash of the interpreter) ends it, with
libFuzzer's own exit codes and artifacts.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import mmap
import os
import shlex
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from vmgexit.errors import VmgexitError

from .. import probes
from ..targets import ANSWERS_IN_A_HANG, Finding, Target, as_finding, find, plant

REPORT_SECONDS = 0.5
# Looks at the clock are to be so far apart, as inputs run fast or slow.
LOOK_SECONDS = 0.05
MOST_BETWEEN_LOOKS = 1024  # inputs
FAILED = 2  # exit code after an error that the parent was told


class Counter:
    """Runs inputs, saves what they find, tells the parent how it goes, and ends when it is enough.

    libFuzzer's own limits are not used: it counts seeds apart, takes whole seconds, and exits without
    a chance to tell the last counts.
    """

    def __init__(
        self,
        target: Target,
        findings: Path,
        log: Any,
        *,
        runs: int | None = None,
        seconds: float | None = None,
        hang_seconds: float = 20,
    ) -> None:
        self.target, self.findings, self.log = target, findings, log
        self.run = target.run
        self.inputs = self.steps = 0
        self.runs = runs
        self.hang_seconds = hang_seconds  # the engine's patience with one input and all we do to it
        self.told = self.looked = time.monotonic()
        self.deadline = None if seconds is None else self.told + seconds
        self.causes: dict[str, int] = {}
        self.between_looks = 1
        self.next_look = 0  # none before `start`

    def one(self, data: bytes) -> None:
        """One input."""
        try:
            self.steps += self.run(data)
        except (Exception, SystemExit) as error:
            self.found(as_finding(error), data)
        self.inputs += 1
        if self.inputs == self.next_look:
            self.look()

    def start(self) -> None:
        """Count from here on."""
        self.inputs = self.steps = 0
        self.next_look = 1

    def look(self) -> None:
        """Tell the counts now and then; end the process when runs or time are used up."""
        now = time.monotonic()
        over = self.inputs == self.runs or (self.deadline is not None and now >= self.deadline)
        if over or now - self.told > REPORT_SECONDS:
            self.told = now
            self.tell(inputs=self.inputs, steps=self.steps)
        if over:
            os._exit(0)
        if now - self.looked > LOOK_SECONDS:
            self.between_looks = max(self.between_looks // 2, 1)
        else:
            self.between_looks = min(self.between_looks * 2, MOST_BETWEEN_LOOKS)
        self.looked = now
        self.next_look = self.inputs + self.between_looks
        if self.runs is not None:
            self.next_look = min(self.next_look, self.runs)

    def found(self, finding: Finding, data: bytes) -> None:
        """Save a finding, and tell of a new cause or of a smaller input."""
        from .findings import save
        from .minimize import minimized

        smallest = self.causes.get(finding.cause)
        if smallest is not None and len(data) >= smallest:
            return
        if smallest is None:
            data = minimized(
                self.target, data, finding.cause, until=time.monotonic() + self.hang_seconds / 2
            )
            finding = self._as_it_is_now(finding, data)
        self.causes[finding.cause] = len(data)
        try:
            saved = save(self.target, finding, data, self.findings)
        except OSError as error:
            self.fail(f"{self.findings}: a finding could not be kept: {error.strerror}")
        if smallest is None:
            self.tell(
                cause=finding.cause,
                message=finding.message,
                path=str(saved.path),
                new=saved.is_new,
                inputs=self.inputs + 1,  # this one too
                steps=self.steps,
            )

    def _as_it_is_now(self, finding: Finding, data: bytes) -> Finding:
        """The finding in the words of its shortened input."""
        try:
            self.run(data)
        except (Exception, SystemExit) as error:
            again = as_finding(error)
            if again.cause == finding.cause:
                return again
        return finding

    def fail(self, message: str) -> None:
        """End the process for a reason that is no finding."""
        self.tell(error=message)
        os._exit(FAILED)

    def tell(self, **what: object) -> None:
        """One line to the parent. Where the parent is gone, nobody wants to hear more."""
        try:
            self.log.write(json.dumps(what) + "\n")
            self.log.flush()
        except BrokenPipeError:
            os._exit(FAILED)


def main() -> None:
    """Set up probes, target and mutator, then hand over to libFuzzer for good."""
    split = sys.argv.index("--")
    arguments, engine = _parser().parse_args(sys.argv[1:split]), sys.argv[split + 1 :]
    target = find(arguments.target)
    # Our lines go to the first standard output; whatever else prints there goes to the engine's log.
    log = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    import atheris

    if arguments.feedback == "probes":
        probes.install(target.probed)
        import_module(target.module)
    elif arguments.feedback == "atheris":
        with atheris.instrument_imports(include=list(target.probed)):
            import_module(target.module)
    if target.is_program:
        from vmgexit.machine.quirks import profile

        setattr(import_module(target.module), "quirks", profile(arguments.profile))  # noqa: B010
    if arguments.peer:
        from ..targets import peer

        peer.use(shlex.split(arguments.peer), arguments.hang / ANSWERS_IN_A_HANG)
    counter = Counter(
        target,
        Path(arguments.findings),
        log,
        runs=arguments.runs,
        seconds=arguments.seconds,
        hang_seconds=arguments.hang,
    )
    try:
        plant(arguments.plant)
    except VmgexitError as error:
        counter.fail(str(error))
    counter.tell(ready=True)
    one = _without(arguments.without, _recorded(arguments.record, counter.one))
    one(b"")  # the first run imports what is imported late; the engine starts with it again
    counter.start()
    mutators = _mutators(target, atheris)
    atheris.Setup([sys.argv[0], *engine], one, **mutators)
    probes.connect(with_mutator=bool(mutators))
    atheris.Fuzz()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="vmgexit_fuzz.campaign.child")
    parser.add_argument("target")
    parser.add_argument("findings")
    parser.add_argument("--feedback", choices=("probes", "atheris", "none"), default="probes")
    parser.add_argument("--profile", default="reference")
    parser.add_argument("--plant", default="")
    parser.add_argument("--peer", default="")
    parser.add_argument("--runs", type=int)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--hang", type=float, default=20)
    parser.add_argument("--record", type=int, help="descriptor of a file for the input at hand")
    parser.add_argument("--without", action="append", default=[], help="SHA-1 of an input")
    return parser


def _recorded(descriptor: int | None, one: Any) -> Any:
    """`one`, each input kept first where the parent finds it, however this process ends.

    That is a third of the time of an empty target, so it is only done once a process has ended
    without leaving its input.
    """
    if descriptor is None:
        return one
    held = mmap.mmap(descriptor, 0)

    def recorded(data: bytes) -> None:
        held[:4] = len(data).to_bytes(4, "little")
        held[4 : 4 + len(data)] = data
        one(data)

    return recorded


def _without(digests: list[str], one: Any) -> Any:
    """`one` for all inputs but those that are known to end the process."""
    if not digests:
        return one

    def without(data: bytes) -> None:
        if hashlib.sha1(data).hexdigest() not in digests:
            one(data)

    return without


def _mutators(target: Target, atheris: Any) -> dict[str, Any]:
    if not target.is_program:
        return {}
    from ..mutate.scenario import SIZE, mutate

    def custom(data: bytes, longest: int, seed: int) -> bytes:
        # One input in eight is left to libFuzzer, which knows what its table of compares holds.
        if seed % 8 == 0 or longest < SIZE:
            changed: bytes = atheris.Mutate(data, longest)
            return changed[:longest]
        return mutate(data, longest, seed)

    return {"custom_mutator": custom}


if __name__ == "__main__":
    main()
