"""What a target is: a row of the table before it is imported, and an object once it is open.

A target takes bytes and returns, or raises `Finding`. Any other exception is a finding too, of our own
code. Nothing here imports what a target probes, so that coverage can be put in place first.
"""

from __future__ import annotations

import os
import random
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
from vmgexit.sequences import HOST, SVSM

REPOSITORY = Path(__file__).resolve().parents[3]
_OURS = f"{Path(vmgexit.__file__).parent}{os.sep}"
_COMPILED = ("<decode ", "<encode ")  # what `schema.compiler` calls the files of its functions

ON_MEMORY = "svsm"
"""The target whose seeds are scenarios of machines with memory."""

HANG_SECONDS = 20  # for one input
MOST_MUTATIONS = 12  # of nothing, until it is a well-formed input


class Finding(Exception):
    """A broken invariant. `cause` is what two findings of the same defect share; it is the message too,
    where none is given.

    `clause` and `meaning` are the invariant's, where it has a name; `place` is where it broke. `steps` is
    how many commands or structures of the input were run, the failing one too. `data` is the input that
    shows it, where that is another one than was run.
    """

    data: bytes | None = None

    def __init__(
        self,
        cause: str,
        message: str = "",
        *,
        clause: str = "",
        meaning: str = "",
        place: str = "",
        steps: int = 1,
    ) -> None:
        super().__init__(message or cause)
        self.steps = steps
        self.cause, self.message = cause, message or cause
        self.clause, self.meaning, self.place = clause, meaning, place


@dataclass(frozen=True, slots=True)
class Conditions:
    """Under what a target runs. All but the patience is part of what a campaign is about."""

    profile: str = "reference"  # of the machine
    plant: str = ""  # MODULE:FUNCTION, which plants a bug
    peer: str = ""  # the other implementation's command, as a shell would read it
    hang_seconds: float = HANG_SECONDS
    guest: str = ""  # whose commands alone a scenario has; empty: any guest at all

    @property
    def about(self) -> dict[str, str]:
        """What two campaigns over one folder must have in common."""
        return {
            "profile": self.profile,
            "plant": self.plant,
            "peer": self.peer,
            "guest": self.guest,
        }


USUAL = Conditions()


@dataclass(frozen=True, slots=True)
class TargetRow:
    """What is known of a target without importing it. `place` is its class, `MODULE:CLASS`."""

    name: str
    invariant: str
    place: str
    probed: tuple[str, ...]  # the modules whose coverage guides the search
    longest: int  # bytes of an input
    steps: str  # what `run` counts
    is_program: bool = False  # an input is a scenario in its binary spelling
    has_states: bool = False  # it tells its observer of each command that was carried out
    seeded: str = ""  # the target whose committed seeds it starts from too, where not its own
    machine: str = SVSM  # what a profile is one of, and a peer is
    takes_peer: bool = False  # its inputs go to another implementation

    def quirks(self, name: str) -> Any:
        """The quirks of a profile of its machine. Raises UsageError."""
        place = "vmgexit.hosts.quirks" if self.machine == HOST else "vmgexit.machine.quirks"
        return import_module(place).profile(name)

    def load(self) -> type[Target]:
        """Import the target."""
        module, _, name = self.place.partition(":")
        cls: type[Target] = getattr(import_module(module), name)
        return cls

    def open(self, conditions: Conditions = USUAL) -> Target:
        """The target under conditions, its bug planted. Raises UsageError where one cannot be met."""
        cls = self.load()
        if conditions.peer and not self.takes_peer:
            raise UsageError(
                f"--peer: {self.name} is no target that another implementation answers"
            )
        if conditions.guest and not cls.takes_guest:
            raise UsageError(f"--guest: {self.name} is no target whose inputs a guest makes")
        if conditions.profile != USUAL.profile and not cls.takes_profile:
            raise UsageError(f"--profile: {self.name} is no target with a machine")
        plant(conditions.plant)
        return cls(self, conditions)

    @property
    def seeds(self) -> Path:
        """The committed seeds; the folder may be missing where only the package is installed."""
        return REPOSITORY / "corpus" / "seeds" / (self.seeded or self.name)

    @property
    def has_memory(self) -> bool:
        """Whether the machines of its scenarios have memory."""
        return self.seeded == ON_MEMORY


class Target:
    """A target that is open: bytes in; it returns, or raises Finding."""

    operation = 1  # bytes of an operation, which stands or falls as a whole
    arguments: tuple[slice, ...] = (slice(0, 1),)  # of it, each of which can be tried as zero
    takes_guest = False
    takes_profile = False

    def __init__(self, row: TargetRow, conditions: Conditions) -> None:
        self.row, self.conditions = row, conditions
        # Told of each command carried out, with the machine; of targets that have states.
        self.observe: Callable[[Any, dict[str, Any]], None] | None = None

    def run(self, data: bytes) -> int:
        """Run an input; how many commands or structures it was. Raises Finding."""
        raise NotImplementedError

    def carry_out(self, commands: list[dict[str, Any]]) -> None:
        """Carry out a scenario, of targets whose inputs are some. Raises Violation and Finding."""
        raise NotImplementedError

    def message(self, data: bytes) -> tuple[str, bytes] | None:
        """The structure that an input is about, and its bytes; None of a scenario."""
        return None

    def read(self, data: bytes) -> str:
        """An input for a person, without running it."""
        raise NotImplementedError

    def show(self, data: bytes) -> str:
        """An input that was run, for a person."""
        return self.read(data)

    def examine(self, data: bytes) -> tuple[Finding | None, str]:
        """Run an input once: what it finds, and the input for a person, the failing place marked."""
        finding = None
        try:
            self.run(data)
        except (Exception, SystemExit) as error:
            finding = as_finding(error)
        return finding, _shown(self.show, data)

    def described(self, finding: Finding, data: bytes, text: str = "") -> dict[str, Any]:
        """A finding as one JSON object, to be handed to a store. `text` is its input for a person, as
        `examine` gives it; without one the input is read, and not run again."""
        told: dict[str, Any] = {
            name: getattr(finding, name)
            for name in ("cause", "message", "clause", "meaning", "place")
        }
        text = text or _shown(self.read, data)
        told["data"], told["text"] = data.hex(), f"{finding.message}\n{text}"
        if lines := self.lines(data):
            told["lines"], told["commands"] = lines, self.count(data)
        return told

    def ending(self, data: bytes) -> str:
        """Why the guest of a scenario ends itself; empty where it does not, and of other inputs."""
        return ""

    def count(self, data: bytes) -> int:
        """How many commands a scenario has; of other inputs none."""
        return 0

    def lines(self, data: bytes) -> str:
        """The commands of a scenario as JSON lines; nothing of other inputs."""
        return ""

    def mutate(self, data: bytes, longest: int, seed: int) -> bytes:
        """Another input, of at most `longest` bytes. Never raises, whatever `data` is."""
        raise NotImplementedError

    def make(self, pick: random.Random) -> bytes:
        """A well-formed input from nothing."""
        data = b""
        for _ in range(pick.randint(1, MOST_MUTATIONS)):
            data = self.mutate(data, self.row.longest, pick.getrandbits(31))
        return data

    def crossover(self, one: bytes, other: bytes, longest: int, seed: int) -> bytes:
        """One input with some parts as the other has them, of at most `longest` bytes."""
        raise NotImplementedError

    def reserve_counters(self) -> None:
        """Make room for coverage that the target itself tells, before the engine is connected."""

    def start(self) -> None:
        """Start what the target needs beside itself. Raises VmgexitError where that fails."""

    def close(self) -> None:
        """End what was started."""

    @property
    def follows(self) -> str:
        """The profile that a peer says it means to follow, once it was started; empty without one."""
        return ""


def _shown(show: Callable[[bytes], str], data: bytes) -> str:
    """An input for a person. What is broken may be what shows it: then its bytes."""
    try:
        return show(data)
    except (Exception, SystemExit):
        return f"   {data.hex()}"


def plant(text: str) -> None:
    """Call `MODULE:FUNCTION`, which puts a bug in. Raises UsageError when that cannot be."""
    if not text:
        return
    module, _, function = text.partition(":")
    if not module or not function:
        raise UsageError(f"plant {text}: MODULE:FUNCTION expected")
    # A module is found in the current folder, as with python -m, and in the checkout, as ours are.
    sys.path += [place for place in ("", str(REPOSITORY)) if place not in sys.path]
    try:
        getattr(import_module(module), function)()
    except Exception as error:
        raise UsageError(f"plant {text}: {_told(error)}") from None


_COMPILES = "declare.first"
"""What stands in a traceback only where a structure is used for the first time in a process."""


def as_finding(error: BaseException) -> Finding:
    """Any exception as a finding: its kind and the innermost functions of ours are its cause."""
    if isinstance(error, Finding):
        return error
    called = (
        f"{Path(frame.filename).stem}.{frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename.startswith((_OURS, *_COMPILED))
    )
    frames = [name for name in called if name != _COMPILES]
    if isinstance(error, RecursionError):
        # The end of the stack is chance; the function that is there most often calls itself.
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
