"""What a command is: its description, with the kinds of its arguments and their limits.

A command is a plain dict, `{"op": "call", "cpu": 0, ...}`. A table of descriptions says what a machine
can be told: `machine.commands` has that of an SVSM, `hosts.commands` that of a GHCB host. `checked` holds a
command of JSON against such a table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

from .errors import ScenarioError, brief

Command = dict[str, Any]
Answer = dict[str, Any]

U8, U32, U64 = (1 << 8) - 1, (1 << 32) - 1, (1 << 64) - 1


class Actor(Enum):
    """Who does what a command says. What a guest does, only a guest that runs can do."""

    GUEST = "guest"
    HOST = "host"
    SVSM = "SVSM"
    NOBODY = "nobody"


class Holds(Enum):
    """What a number is."""

    COUNT = "count"  # or a number by which something is called: people write it in decimal
    VECTOR = "vector"
    EVENT = "event"  # as EVENTINJ and EXITINTINFO are laid out
    BITS = "bits"


# --- kinds of arguments ----------------------------------------------------------------------------
#
# Each says what is `expected`, in a message and in specs/peer-protocol.md, `accepts` a value of JSON or
# not, and has it `shown` for a person.


@dataclass(frozen=True, slots=True)
class Number:
    """A number from `least` to `most`."""

    most: int
    least: int = 0
    holds: Holds = Holds.BITS

    @property
    def expected(self) -> str:
        return f"a number from {self.least} to {self.most}"

    def accepts(self, value: Any) -> bool:
        is_number = isinstance(value, int) and not isinstance(value, bool)
        return is_number and self.least <= value <= self.most

    def shown(self, value: int) -> str:
        return str(value) if self.holds is Holds.COUNT else f"{value:#x}"


@dataclass(frozen=True, slots=True)
class Flag:
    """True or false."""

    expected = "true or false"

    def accepts(self, value: Any) -> bool:
        return isinstance(value, bool)

    def shown(self, value: bool) -> str:
        return "yes" if value else "no"


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some names."""

    names: tuple[str, ...]

    @property
    def expected(self) -> str:
        return f"one of {', '.join(self.names)}"

    def accepts(self, value: Any) -> bool:
        return value in self.names

    def shown(self, value: str) -> str:
        return value


@dataclass(frozen=True, slots=True)
class Numbers:
    """A list of numbers."""

    each: Number

    @property
    def expected(self) -> str:
        return f"a list of numbers from {self.each.least} to {self.each.most}"

    def accepts(self, value: Any) -> bool:
        return isinstance(value, list) and all(map(self.each.accepts, value))

    def shown(self, value: list[int]) -> str:
        return ",".join(map(self.each.shown, value)) or "none"


def is_hex(value: Any) -> bool:
    """Whether a value is bytes in hexadecimal, two digits each and nothing between."""
    if not isinstance(value, str):
        return False
    try:
        return 2 * len(bytes.fromhex(value)) == len(value)
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Bytes:
    """Bytes in hexadecimal, at most so many where there is a limit."""

    most: int | None = None

    @property
    def expected(self) -> str:
        return "bytes in hex" if self.most is None else f"the hex of at most {self.most} bytes"

    def accepts(self, value: Any) -> bool:
        return is_hex(value) and (self.most is None or len(value) <= 2 * self.most)

    def shown(self, value: str) -> str:
        return value or "none"


@dataclass(frozen=True, slots=True)
class Hex:
    """So many bytes in hexadecimal."""

    size: int

    @property
    def expected(self) -> str:
        return f"the hex of {self.size} bytes"

    def accepts(self, value: Any) -> bool:
        return is_hex(value) and len(value) == 2 * self.size

    def shown(self, value: str) -> str:
        data = bytes.fromhex(value)
        words = [(at, data[at : at + 4]) for at in range(0, len(data), 4)]
        return " ".join(f"{at:#x}:{word.hex()}" for at, word in words if any(word)) or "all zero"


class Kind(Protocol):
    """What every kind of argument can do."""

    @property
    def expected(self) -> str: ...

    def accepts(self, value: Any) -> bool: ...

    def shown(self, value: Any) -> str: ...


Part = tuple[str, Any, Kind]
"""A part of a value: its place in it, such as `[2]` or `.start`, what is there, what should be."""


@runtime_checkable
class Parted(Kind, Protocol):
    """A kind whose values have parts."""

    def parts(self, value: Any) -> Iterator[Part]: ...


def misfit(place: str, value: Any, kind: Kind) -> str:
    """What is wrong with a value that its kind does not accept: of the innermost part that is wrong."""
    for where, held, inner in kind.parts(value) if isinstance(kind, Parted) else ():
        if not inner.accepts(held):
            return misfit(place + where, held, inner)
    return f"{place}: {brief(value)} is not {kind.expected}"


# --- descriptions ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Piece:
    """An operation that carries a part of an argument which is too long for one: name and code."""

    name: str
    code: int


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument, and where a binary operation holds it.

    `at` is a field of `program.Operation` or a flag of `program.Flags`; empty for the field that has the
    argument's name. One that can be left out has a flag, `given`, that says whether it is there; but an
    empty list needs none. Each element of a list, and each part of a page, is a `piece`.
    """

    name: str
    kind: Kind
    at: str = ""
    optional: bool = False
    given: str = ""
    piece: Piece | None = None

    @property
    def place(self) -> str:
        """The field or flag of an operation, or of a piece, that holds it."""
        return self.at or self.name


@dataclass(frozen=True)
class Description:
    """A command. `code` is its number in the binary spelling, `answers` the keys of its answer, with
    spaces between: `?` marks one that may be absent, VMRUN stands for what VMRUN sees of a vCPU."""

    name: str
    code: int
    by: Actor
    arguments: tuple[Argument, ...]
    answers: str
    meaning: str
    complaint: Callable[[Command], str] = lambda command: ""  # of arguments that do not go together

    @cached_property
    def kinds(self) -> dict[str, Kind]:
        """The arguments' kinds by name."""
        return {one.name: one.kind for one in self.arguments}

    @cached_property
    def needed(self) -> frozenset[str]:
        """The names of the arguments that cannot be left out."""
        return frozenset(one.name for one in self.arguments if not one.optional)


def checked(command: Any, table: Mapping[str, Description]) -> Command:
    """`command`, if it is one of the table. Raises ScenarioError with what is wrong, and the limits."""
    if not isinstance(command, dict):
        raise ScenarioError(f"{brief(command)} found, a command object expected")
    name = command.get("op")
    described = table.get(name) if isinstance(name, str) else None
    if described is None:
        raise ScenarioError(f"op {brief(name)}: not one of {', '.join(table)}")
    if not described.needed <= command.keys():
        missing = next(one for one in described.kinds if one in described.needed - command.keys())
        raise ScenarioError(f"{name} needs {missing}")
    for key, value in command.items():
        kind = described.kinds.get(key)
        if kind is None and key != "op":
            raise ScenarioError(f"{name} has no argument {key}")
        if kind is not None and not kind.accepts(value):
            raise ScenarioError(misfit(f"{name}.{key}", value, kind))
    complaint = described.complaint(command)
    if complaint:
        raise ScenarioError(f"{name}.{complaint}")
    return command
