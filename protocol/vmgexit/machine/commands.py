"""The commands of a scenario: one description of each, from which all else that knows them is made.

A command is a plain dict, `{"op": "call", "cpu": 0, "protocol": 3, ...}`. `COMMANDS` says of each who
acts, what happens, which arguments it has, with their limits and their places in the binary spelling,
and what is answered. From it come `checked` (JSON), `scenario.show`, `program` (the binary spelling),
the table of specs/peer-protocol.md, and the strategies and mutations of the fuzzer. `machine` carries
a command out by its method of the same name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .. import descriptions
from ..descriptions import (
    U8,
    U32,
    U64,
    Actor,
    Argument,
    Choice,
    Command,
    Description,
    Flag,
    Hex,
    Holds,
    Number,
    Numbers,
    Piece,
)
from ..errors import ScenarioError
from ..wire.svsm import Protocol
from .vm import REQUESTS

MOST_VCPUS = 255
DOORBELL_BYTES = 256
REFUSABLE = tuple(REQUESTS.values())
"""The requests of an SVSM that a host can refuse."""


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
    """`command`, if an SVSM can be told it. Raises ScenarioError with what is wrong, and the limits."""
    return descriptions.checked(command, COMMANDS)


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
