"""The commands of a scenario: one description of each, from which all else that knows them is made.

A command is a plain dict, `{"op": "call", "cpu": 0, "protocol": 3, ...}`. `COMMANDS` says of each who
acts, what happens, which arguments it has, with their limits and their places in the binary spelling,
and what is answered. From it come `checked` (JSON), `scenario.show`, `program` (the binary spelling),
the table of specs/peer-protocol.md, and the strategies and mutations of the fuzzer. `machine` carries
a command out by its method of the same name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any

from ..errors import ScenarioError, brief
from ..wire.svsm import Protocol
from .vm import REQUESTS

Command = dict[str, Any]
Answer = dict[str, Any]

U8, U32, U64 = (1 << 8) - 1, (1 << 32) - 1, (1 << 64) - 1
MOST_VCPUS = 255
DOORBELL_BYTES = 256
REFUSABLE = tuple(REQUESTS.values())
"""The requests of an SVSM that a host can refuse."""


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


@dataclass(frozen=True, slots=True)
class Posts:
    """A list of interrupts, each with the `arguments` of a post."""

    arguments: tuple[Argument, ...]

    @property
    def expected(self) -> str:
        return f"a list of interrupts with {' and '.join(one.name for one in self.arguments)}"

    def accepts(self, value: Any) -> bool:
        return isinstance(value, list) and all(
            isinstance(post, dict)
            and set(post) == {one.name for one in self.arguments}
            and all(one.kind.accepts(post[one.name]) for one in self.arguments)
            for post in value
        )

    def shown(self, value: list[Command]) -> str:
        return ",".join(f"{post['vector']:#x}{' level' * post['level']}" for post in value)


@dataclass(frozen=True, slots=True)
class Hex:
    """So many bytes in hexadecimal."""

    size: int

    @property
    def expected(self) -> str:
        return f"the hex of {self.size} bytes"

    def accepts(self, value: Any) -> bool:
        if not isinstance(value, str) or len(value) != 2 * self.size:
            return False
        try:
            return len(bytes.fromhex(value)) == self.size
        except ValueError:
            return False

    def shown(self, value: str) -> str:
        data = bytes.fromhex(value)
        words = [(at, data[at : at + 4]) for at in range(0, len(data), 4)]
        return " ".join(f"{at:#x}:{word.hex()}" for at, word in words if any(word)) or "all zero"


Kind = Number | Flag | Choice | Numbers | Posts | Hex


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


def _other_ids(command: Command) -> str:
    ids = command.get("apic_ids") or range(command["cpus"])
    if len(ids) != command["cpus"]:
        return f"apic_ids: {len(ids)} ids found, {command['cpus']} expected"
    return "" if len(set(ids)) == len(ids) else "apic_ids: the ids of two vCPUs are the same"


VECTOR = Number(U8, holds=Holds.VECTOR)
_COUNT = Number(U32, holds=Holds.COUNT)
_WORD, _EVENT = Number(U64), Number(U64, holds=Holds.EVENT)
_CPU = Argument("cpu", Number(MOST_VCPUS - 1, holds=Holds.COUNT))
_POST = (Argument("vector", VECTOR), Argument("level", Flag(), "first"))

_INIT = (
    Argument("cpus", Number(MOST_VCPUS, 1, Holds.COUNT), "cpu"),
    Argument("reg_count", _COUNT, "rcx"),
    Argument("apic_ids", Numbers(_COUNT), "rcx", optional=True, piece=Piece("apic_id", 17)),
)
_CALL = (
    *(Argument(name, _COUNT) for name in ("protocol", "request")),
    *(Argument(name, _WORD) for name in ("rcx", "rdx", "r8")),
)
_GUEST_STATE = (
    Argument("if", Flag(), "first"),
    Argument("shadow", Flag(), "second"),
    Argument("cr8", Number(15), "vector", optional=True, given="given"),
)
_VMSA = (
    Argument("event_inj", _EVENT, "rcx", optional=True, given="first"),
    Argument("vintr", _WORD, "rdx", optional=True, given="second"),
)
_GATE = Argument("gate", Flag(), "first", optional=True, given="given")
_LATE = Argument("late", Posts(_POST), optional=True, piece=Piece("late", 16))
_LEFT = (Argument("exitintinfo", _EVENT, "rcx"), Argument("busy", Flag(), "first"))
_PAGE = Argument("hex", Hex(DOORBELL_BYTES), piece=Piece("doorbell_bytes", 18))
_REQUEST = Argument("call", Choice(REFUSABLE), "vector")

_STATE = "apic flags ipi_irr ipi_pending ipi_nmi VMRUN if shadow reg_count alt_inj history"

_GUEST, _HOST, _SVSM, _NOBODY = Actor

_DESCRIPTIONS = (
    Description(
        "init", 0, _NOBODY, _INIT, "ok cpus reg_count",
        "a fresh machine; APIC ids, all different, are 0, 1, ... unless given", _other_ids,
    ),
    Description(
        "call", 1, _GUEST, (_CPU, *_CALL), "rax rcx rdx r8 calls?",
        "the guest calls its SVSM",
    ),
    Description(
        "host_irq", 2, _HOST, (_CPU, *_POST), "posted hv status",
        "the host posts an interrupt to the guest VMPL",
    ),
    Description(
        "enter", 3, _SVSM, (_CPU, _LATE), "VMRUN flags cancelled calls?",
        "the SVSM enters the guest; `late` interrupts arrive in the switch window",
    ),
    Description(
        "guest_take", 4, _GUEST, (_CPU, _GATE), "taken vector",
        "the CPU takes what it can; `gate`: the handler starts with interrupts off",
    ),
    Description(
        "guest", 5, _GUEST, (_CPU, *_GUEST_STATE), "ok",
        "the guest changes RFLAGS.IF, its interrupt shadow and CR8",
    ),
    Description(
        "guest_lazy_eoi", 6, _GUEST, (_CPU,), "was",
        "the guest ends an interrupt in the calling area: NoEoiRequired is read and cleared",
    ),
    Description(
        "intercept", 7, _GUEST, (_CPU, *_LEFT), "VMRUN calls?",
        "the guest left for the host's own reasons; a #HV that is pending is handled",
    ),
    Description(
        "set_vmsa", 8, _GUEST, (_CPU, *_VMSA), "ok",
        "CREATE_VCPU for this vCPU",
    ),
    Description(
        "doorbell", 9, _NOBODY, (_CPU,), "hex",
        "the first 256 bytes of the doorbell page, as they are",
    ),
    Description(
        "set_doorbell", 10, _HOST, (_CPU, _PAGE), "ok",
        "the host overwrites the first 256 bytes of the doorbell page",
    ),
    Description(
        "state", 11, _NOBODY, (_CPU,), _STATE,
        "everything that is known of a vCPU",
    ),
    Description(
        "host_begin", 13, _HOST, (_CPU, *_POST), "next",
        "the host starts a post",
    ),
    Description(
        "host_step", 14, _HOST, (_CPU,), "next",
        "the host makes one atomic access of its post",
    ),
    Description(
        "svsm_step", 15, _SVSM, (_CPU,), "next calls?",
        "the SVSM makes one atomic step towards the guest",
    ),
    Description(
        "host_refuse", 12, _HOST, (_CPU, _REQUEST), "ok",
        "the host answers this vCPU's next request of that name by a refusal",
    ),
)  # fmt: skip

COMMANDS: dict[str, Description] = {one.name: one for one in _DESCRIPTIONS}


def checked(command: Any) -> Command:
    """`command`, if it is one. Raises ScenarioError with the argument, what it is and its limits."""
    if not isinstance(command, dict):
        raise ScenarioError(f"{brief(command)} found, a command object expected")
    name = command.get("op")
    described = COMMANDS.get(name) if isinstance(name, str) else None
    if described is None:
        raise ScenarioError(f"op {brief(name)}: not one of {', '.join(COMMANDS)}")
    if not described.needed <= command.keys():
        missing = next(one for one in described.kinds if one in described.needed - command.keys())
        raise ScenarioError(f"{name} needs {missing}")
    for key, value in command.items():
        kind = described.kinds.get(key)
        if kind is None and key != "op":
            raise ScenarioError(f"{name} has no argument {key}")
        if kind is not None and not kind.accepts(value):
            raise ScenarioError(f"{name}.{key}: {brief(value)} is not {kind.expected}")
    complaint = described.complaint(command)
    if complaint:
        raise ScenarioError(f"{name}.{complaint}")
    return command


def no_such_vcpu(command: Command, vcpus: int) -> ScenarioError:
    """The error of a command for a vCPU that does not exist, where there are so many."""
    name, cpu = command["op"], command["cpu"]
    return ScenarioError(f"{name}: vCPU {cpu} does not exist, there are {vcpus}")


def call(
    cpu: int,
    request: int,
    rcx: int = 0,
    rdx: int = 0,
    r8: int = 0,
    *,
    protocol: int = Protocol.APIC,
) -> Command:
    """The command by which a guest makes a call, of the APIC protocol unless another is given."""
    return {
        "op": "call",
        "cpu": cpu,
        "protocol": int(protocol),
        "request": int(request),
        "rcx": int(rcx),
        "rdx": int(rdx),
        "r8": int(r8),
    }
