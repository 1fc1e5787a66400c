"""What is fuzzed: one file for each target, which opens with the invariant that must hold.

A target takes bytes and returns, or raises `Finding`. Anything else that it raises is a finding too,
of our own code.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from vmgexit.errors import UsageError

REPOSITORY = Path(__file__).resolve().parents[3]


class Finding(Exception):
    """A broken invariant. `cause` is what two findings of the same defect share."""

    def __init__(self, cause: str, message: str) -> None:
        super().__init__(message)
        self.cause = cause
        self.message = message


@dataclass(frozen=True, slots=True)
class Target:
    """One target. `module` holds `run(data)`, `show(data)`, and for some a `mutate`."""

    name: str
    invariant: str
    module: str
    probed: tuple[str, ...]  # the modules whose coverage guides the search
    longest: int  # bytes of an input

    @property
    def run(self) -> Callable[[bytes], int]:
        """Takes an input; how many commands or structures it was. Raises Finding."""
        run: Callable[[bytes], int] = import_module(self.module).run
        return run

    @property
    def show(self) -> Callable[[bytes], str]:
        """An input for a person, the failing place marked."""
        show: Callable[[bytes], str] = import_module(self.module).show
        return show

    @property
    def seeds(self) -> Path:
        """The committed seeds; the folder may be missing where only the package is installed."""
        return REPOSITORY / "corpus" / "seeds" / self.name


TARGETS = {
    target.name: target
    for target in (
        Target(
            "codec",
            "any bytes of the right length decode, encode back, and equal construct",
            "vmgexit_fuzz.targets.codec",
            ("vmgexit.schema", "vmgexit.wire"),
            4098,
        ),
        Target(
            "scenario",
            "no scenario breaks an invariant of the reference SVSM",
            "vmgexit_fuzz.targets.scenario",
            ("vmgexit.machine",),
            36 * 96,
        ),
    )
}


def find(name: str) -> Target:
    """The target of that name. Raises UsageError with those there are."""
    if name not in TARGETS:
        raise UsageError(f"unknown target {name}; there are {', '.join(TARGETS)}")
    return TARGETS[name]


def as_finding(error: Exception) -> Finding:
    """Any exception as a finding: its kind and the innermost frames of ours are its cause."""
    if isinstance(error, Finding):
        return error
    frames = [
        f"{Path(frame.filename).stem}.{frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)
        if "vmgexit" in frame.filename and "vmgexit_fuzz" not in frame.filename
    ]
    where = " < ".join(reversed(frames[-2:])) or "the target"
    return Finding(f"{type(error).__name__} in {where}", f"{type(error).__name__}: {error}")
