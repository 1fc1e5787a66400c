"""The fuzzing process: one target under libFuzzer, started by `run` as a module of its own.

Standard output carries our own lines to the parent, one JSON object each: findings and counts.
Standard error is libFuzzer's. A finding does not stop the process: it is saved and the search goes
on. Only what Python cannot catch (a hang, memory, a crash of the interpreter) ends it, with
libFuzzer's own exit codes and artifacts.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from .. import probes
from ..targets import Finding, Target, as_finding, find

REPORT_SECONDS = 0.5
CHECKED = 64  # inputs between two looks at the clock


class Counter:
    """Runs inputs, saves what they find, and tells the parent how it goes."""

    def __init__(self, target: Target, findings: Path, log: Any) -> None:
        self.target, self.findings, self.log = target, findings, log
        self.run = target.run
        self.inputs = self.commands = 0
        self.told = time.monotonic()
        self.causes: dict[str, int] = {}

    def one(self, data: bytes) -> None:
        """One input."""
        try:
            self.commands += self.run(data)
        except Exception as error:
            self.found(as_finding(error), data)
        self.inputs += 1
        if self.inputs % CHECKED == 0 and time.monotonic() - self.told > REPORT_SECONDS:
            self.told = time.monotonic()
            self.tell(inputs=self.inputs, commands=self.commands)

    def found(self, finding: Finding, data: bytes) -> None:
        """Save a finding, and tell of a new cause or of a smaller input."""
        from .findings import save

        smallest = self.causes.get(finding.cause)
        if smallest is not None and len(data) >= smallest:
            return
        self.causes[finding.cause] = len(data)
        saved = save(self.target, finding, data, self.findings)
        if smallest is None:
            self.tell(
                cause=finding.cause, message=finding.message, path=str(saved.path), new=saved.is_new
            )

    def tell(self, **what: object) -> None:
        self.log.write(json.dumps(what) + "\n")
        self.log.flush()


def main() -> None:
    """Set up probes, target and mutator, then hand over to libFuzzer for good."""
    parser = argparse.ArgumentParser(prog="vmgexit_fuzz.campaign.child")
    parser.add_argument("target")
    parser.add_argument("findings")
    parser.add_argument("--feedback", choices=("probes", "atheris", "none"), default="probes")
    parser.add_argument("--profile", default="reference")
    parser.add_argument("--plant", default="")
    split = sys.argv.index("--")
    arguments, engine = parser.parse_args(sys.argv[1:split]), sys.argv[split + 1 :]
    target = find(arguments.target)

    import atheris

    if arguments.feedback == "probes":
        probes.install(target.probed)
        import_module(target.module)
    elif arguments.feedback == "atheris":
        with atheris.instrument_imports(include=list(target.probed)):
            import_module(target.module)
    if target.name == "scenario":
        from vmgexit.machine.quirks import profile

        setattr(import_module(target.module), "quirks", profile(arguments.profile))  # noqa: B010
    if arguments.plant:
        module, _, function = arguments.plant.partition(":")
        getattr(import_module(module), function)()
    # Our lines go to the first standard output; whatever else prints there goes to the engine's log.
    log = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    counter = Counter(target, Path(arguments.findings), log)
    counter.one(b"")  # the first run imports what is imported late
    mutators = _mutators(target, atheris)
    atheris.Setup([sys.argv[0], *engine], counter.one, **mutators)
    probes.connect(with_mutator=bool(mutators))
    atheris.Fuzz()


def _mutators(target: Target, atheris: Any) -> dict[str, Any]:
    if target.name != "scenario":
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
