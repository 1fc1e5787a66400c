"""What is fuzzed: one file for each target, which opens with the invariant that must hold.

A target takes bytes and returns, or raises `Finding`. Anything else that it raises is a finding too,
of our own code.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import vmgexit
from vmgexit.errors import UsageError

REPOSITORY = Path(__file__).resolve().parents[3]
_OURS = f"{Path(vmgexit.__file__).parent}{os.sep}"
_COMPILED = ("<decode ", "<encode ")  # what `schema.compiler` calls the files of its functions


# A peer may take this part of the time of an input for one answer, so that its hang is not ours.
ANSWERS_IN_A_HANG = 4


class Finding(Exception):
    """A broken invariant. `cause` is what two findings of the same defect share.

    `clause` and `meaning` are the invariant's, where it has a name; `place` is where it broke.
    """

    def __init__(
        self, cause: str, message: str, *, clause: str = "", meaning: str = "", place: str = ""
    ) -> None:
        super().__init__(message)
        self.cause, self.message = cause, message
        self.clause, self.meaning, self.place = clause, meaning, place


@dataclass(frozen=True, slots=True)
class Target:
    """One target. `module` holds `run(data)`, `show(data)` and `read(data)`."""

    name: str
    invariant: str
    module: str
    probed: tuple[str, ...]  # the modules whose coverage guides the search
    longest: int  # bytes of an input
    steps: str  # what `run` counts
    is_program: bool = False  # an input is a scenario in its binary spelling
    mutator: str = ""  # the module that changes its inputs: `mutate` and `crossover`
    has_states: bool = False  # `module` has `observe`, to be told of each command carried out

    @property
    def run(self) -> Callable[[bytes], int]:
        """Takes an input; how many commands or structures it was. Raises Finding."""
        run: Callable[[bytes], int] = import_module(self.module).run
        return run

    @property
    def show(self) -> Callable[[bytes], str]:
        """An input for a person, the failing place marked. Runs it."""
        show: Callable[[bytes], str] = import_module(self.module).show
        return show

    @property
    def read(self) -> Callable[[bytes], str]:
        """An input for a person, without running it."""
        read: Callable[[bytes], str] = import_module(self.module).read
        return read

    @property
    def commands(self) -> Callable[[bytes], list[dict[str, Any]]]:
        """The scenario of an input; of a program target only."""
        commands: Callable[[bytes], list[dict[str, Any]]] = import_module(self.module).commands
        return commands

    @property
    def seeds(self) -> Path:
        """The committed seeds; the folder may be missing where only the package is installed."""
        return REPOSITORY / "corpus" / "seeds" / ("scenario" if self.is_program else self.name)


_CODEC = ("vmgexit.schema", "vmgexit.wire")
_MACHINE = ("vmgexit.machine", "vmgexit.watch")


def _message(
    name: str,
    invariant: str,
    longest: int = 8 + 4096,
    probed: tuple[str, ...] = _CODEC,
    module: str = "",
) -> Target:
    """A target whose inputs are messages, which it mutates itself."""
    module = f"vmgexit_fuzz.targets.{module or name.replace('-', '_')}"
    return Target(name, invariant, module, probed, longest, "structures", mutator=module)


TARGETS = {
    target.name: target
    for target in (
        _message(
            "codec", "any bytes of the right length decode and encode back, all others do not"
        ),
        _message("codec-ghcb", "as codec: the GHCB page, its exits, the words of its MSR"),
        _message("codec-svsm", "as codec: the calling area, SVSM calls, what they point to"),
        _message("codec-doorbell", "as codec: the #HV doorbell page, every revision"),
        _message("codec-vmsa", "as codec: the VMSA, operands of RMPADJUST and PVALIDATE"),
        _message("codec-firmware", "as codec: guest messages, reports, secrets"),
        _message(
            "codec-differential",
            "compiled codec, construct and views agree in all they do",
            module="differential",
        ),
        _message("msr", "any two values of the GHCB MSR are read, judged and paired rightly", 32),
        _message(
            "ghcb-exit",
            "what the rules of an exit let pass, a host can carry out",
            128 + 2032,
            ("vmgexit.schema", "vmgexit.wire", "vmgexit.rules", "vmgexit_fuzz.targets.ghcb.host"),
            "ghcb.exit",
        ),
        Target(
            "svsm-calls",
            "any SVSM calls answer and change registers as documented",
            "vmgexit_fuzz.targets.svsm_calls",
            _MACHINE,
            36 * 96,
            "commands",
            is_program=True,
            mutator="vmgexit_fuzz.inputs.programs",
            has_states=True,
        ),
        Target(
            "scenario",
            "no scenario breaks an invariant of the reference SVSM",
            "vmgexit_fuzz.targets.scenario",
            _MACHINE,
            36 * 96,
            "commands",
            is_program=True,
            mutator="vmgexit_fuzz.inputs.programs",
            has_states=True,
        ),
        Target(
            "hostile-host",
            "whatever a host writes and refuses, what must hold with any host holds",
            "vmgexit_fuzz.targets.hostile_host",
            _MACHINE,
            36 * 96,
            "commands",
            is_program=True,
            mutator="vmgexit_fuzz.inputs.hostile",
            has_states=True,
        ),
        Target(
            "peer",
            "another implementation (--peer) answers as the machine does",
            "vmgexit_fuzz.targets.peer",
            # The machine alone: how a pipe's bytes arrive is chance.
            ("vmgexit.machine.machine", "vmgexit.machine.rules"),
            36 * 96,
            "commands",
            is_program=True,
            mutator="vmgexit_fuzz.inputs.programs",
        ),
    )
}


def find(name: str) -> Target:
    """The target of that name. Raises UsageError with those there are."""
    if name not in TARGETS:
        raise UsageError(f"unknown target {name}; there are {', '.join(TARGETS)}")
    return TARGETS[name]


def plant(text: str) -> None:
    """Call `MODULE:FUNCTION`, which puts a bug in. Raises UsageError when that cannot be."""
    if not text:
        return
    module, _, function = text.partition(":")
    if not module or not function:
        raise UsageError(f"plant {text}: MODULE:FUNCTION expected")
    if "" not in sys.path:
        sys.path.insert(0, "")  # a module in the current folder is found, as with python -m
    try:
        getattr(import_module(module), function)()
    except Exception as error:
        raise UsageError(f"plant {text}: {_told(error)}") from None


def as_finding(error: BaseException) -> Finding:
    """Any exception as a finding: its kind and the innermost functions of ours are its cause."""
    if isinstance(error, Finding):
        return error
    frames = [
        f"{Path(frame.filename).stem}.{frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename.startswith((_OURS, *_COMPILED))
    ]
    if isinstance(error, RecursionError):
        # Where the stack ends is chance; what is there most often is what calls itself.
        innermost = [name for name, _ in Counter(frames).most_common(1)]
    else:
        innermost = frames[:-3:-1]
    where = " < ".join(innermost) or "the target"
    return Finding(
        f"{type(error).__name__} in {where}", f"{_told(error)} (in {where})", place=where
    )


def _told(error: BaseException) -> str:
    """An exception in one line."""
    first = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
