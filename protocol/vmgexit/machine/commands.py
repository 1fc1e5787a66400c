"""The commands of a scenario: one description of each, from which all else that knows them is made.

A command is a plain dict, `{"op": "call", "cpu": 0, "protocol": 3, ...}`. `COMMANDS` says of each who
acts, what happens, which arguments it has, with their limits and their places in the binary spelling,
and what is answered. From it come `checked` (JSON), `scenario.show`, `program` (the binary spelling),
the table of specs/peer-protocol.md, and the strategies and mutations of the fuzzer. `machine` carries
a command out by its method of the same name.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .. import descriptions
from ..descriptions import (
    U8,
    U32,
    U64,
    Actor,
    Argument,
    Bytes,
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
from ..devices.secure_processor import ANSWERS
from ..errors import ScenarioError
from ..wire.page_size import PAGE
from ..wire.svsm import Protocol
from .kinds import Posts, Prepared, Row, Rows, Whom
from .memory import layout
from .memory.rmp import MOST_ADDRESS
from .vm import REQUESTS

MOST_VCPUS = 255
DOORBELL_BYTES = 256
REFUSABLE = tuple(REQUESTS.values())
"""The requests of an SVSM that a host can refuse."""


def _opening(command: Command) -> str:
    """What is wrong with an `init`."""
    if "memory" not in command:
        odd = next((name for name in _WITH_MEMORY if name in command), None)
        if odd:
            return f"{odd}: only with memory"
        if "reg_count" not in command:
            return "reg_count: expected where there is no memory"
        return _other_ids(command)
    missing = next((name for name in _NEEDED if name not in command), None)
    if missing:
        return f"{missing}: expected with memory"
    return layout.complaint(command) or _other_ids(command)


def _other_ids(command: Command) -> str:
    ids = command.get("apic_ids") or range(command["cpus"])
    if len(ids) != command["cpus"]:
        return f"apic_ids: {len(ids)} ids found, {command['cpus']} expected"
    return "" if len(set(ids)) == len(ids) else "apic_ids: the ids of two vCPUs are the same"


def _host_page(command: Command) -> str:
    is_remap = command["to"] == "remap"
    if is_remap == ("spa" in command):
        return ""
    return "spa: expected with remap" if is_remap else f"spa: not with {command['to']}"


def _within(command: Command) -> str:
    """What is wrong with a command that ends beyond the last address."""
    length = command["len"] if "len" in command else len(command["hex"]) // 2
    if command["gpa"] + length - 1 <= MOST_ADDRESS:
        return ""
    return f"gpa: {length} bytes at {command['gpa']:#x}: the last address is {MOST_ADDRESS:#x}"


VECTOR = Number(U8, holds=Holds.VECTOR)
_COUNT = Number(U32, holds=Holds.COUNT)
_WORD, _EVENT = Number(U64), Number(U64, holds=Holds.EVENT)
_CPU = Argument("cpu", Number(MOST_VCPUS - 1, holds=Holds.COUNT))
_POST = (Argument("vector", VECTOR), Argument("level", Flag(), "first"))

_ADDRESS = Number(MOST_ADDRESS)
_GPA = Argument("gpa", _ADDRESS, "rcx")
_BYTE = Number(U8)
_RANGE = (Argument("start", _ADDRESS, "rcx"), Argument("length", _ADDRESS, "rdx"))
_STATES = tuple(layout.STATES)
_PAGES = (*_RANGE, Argument("state", Choice(_STATES), "vector"), Argument("fill", _BYTE, "r8"))

_CPUS = Argument("cpus", Number(MOST_VCPUS, 1, Holds.COUNT), "cpu")
_REG_COUNT = Argument("reg_count", _COUNT, "rcx")
_APIC_IDS = Argument("apic_ids", Numbers(_COUNT), "rcx", optional=True, piece=Piece("apic_id", 17))
_INIT = (
    _CPUS,
    replace(_REG_COUNT, optional=True, given="given"),
    _APIC_IDS,
    Argument("memory", Rows(Row(_RANGE)), optional=True, piece=Piece("memory_range", 29)),
    Argument("svsm", Row(_RANGE), optional=True, piece=Piece("svsm_range", 30)),
    Argument("pages", Rows(Row(_PAGES)), optional=True, piece=Piece("page_range", 31)),
    Argument("caa", _ADDRESS, "rdx", optional=True, given="first"),
    Argument("sev_features", _WORD, "r8", optional=True, given="first"),
    Argument("npf", Choice(("stop", "assign")), "protocol", optional=True, given="first"),
    Argument("unvalidated", Choice(("input", "vc")), "request", optional=True, given="first"),
)
_NEEDED = ("svsm", "caa", "sev_features", "npf", "unvalidated")
_WITH_MEMORY = (*_NEEDED, "pages")
_CALL = (
    *(Argument(name, _COUNT) for name in ("protocol", "request")),
    *(Argument(name, _WORD) for name in ("rcx", "rdx", "r8")),
)
_PENDING = Argument("pending", Flag(), "first", optional=True, given="given")
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


MOST_BYTES = PAGE
"""Bytes that one command reads or writes."""

_TO = ("shared", "private", "split", "join", "remap")
_HOST_PAGE = (
    _GPA,
    Argument("to", Choice(_TO), "vector"),
    Argument("fill", _BYTE, "protocol", optional=True, given="first"),
    Argument("spa", _ADDRESS, "rdx", optional=True, given="second"),
)
_BY = Argument("by", Whom((1, 2, 3, "host")), "vector")
_BY_ANY = replace(_BY, optional=True, given="given")
_BYTES = Argument("hex", Bytes(MOST_BYTES), "request", piece=Piece("memory_bytes", 32))
_LENGTH = Argument("len", Number(MOST_BYTES, holds=Holds.COUNT), "request")
_REST, _LAST = Piece("vmsa_state", 35), Piece("vmsa_features", 36)
_NEW_VMSA = (
    _GPA,
    _BY,
    Argument("vmpl", Number(U8, holds=Holds.COUNT), "protocol"),
    Argument("rax", _WORD, "rdx", optional=True, given="first"),
    Argument("rcx", _WORD, "r8", optional=True, given="second"),
    Argument("rdx", _WORD, "rcx", optional=True, given="first", piece=_REST),
    Argument("r8", _WORD, "rdx", optional=True, given="second", piece=_REST),
    Argument("efer", _WORD, "r8", optional=True, given="given", piece=_REST),
    Argument("sev_features", _WORD, "rcx", optional=True, given="first", piece=_LAST),
    Argument("exit_code", _WORD, "rdx", optional=True, given="second", piece=_LAST),
)
_ADJUST = (
    _GPA,
    Argument("vmpl", Number(U8, holds=Holds.COUNT), "vector"),
    Argument("perms", Number(15), "protocol"),
)
_CERTIFICATES = (
    Argument("pages", _COUNT, "rcx"),
    Argument("fill", _BYTE, "vector"),
    Argument("header", Flag(), "first"),
)
_PSP = (
    Argument("answers", Rows(Prepared(ANSWERS)), piece=Piece("psp_answer", 33)),
    Argument("certs", Row(_CERTIFICATES), optional=True, piece=Piece("psp_certs", 34)),
)

_STATE = "apic flags ipi_irr ipi_pending ipi_nmi VMRUN if shadow reg_count alt_inj history"

_GUEST, _HOST, _SVSM, _NOBODY = Actor

_DESCRIPTIONS = (
    Description(
        "init", 0, _NOBODY, _INIT, "ok cpus reg_count?",
        "a fresh machine; APIC ids, all different, are 0, 1, ... unless given; with `memory` it has"
        " memory, and without `reg_count` no APIC emulation", _opening,
    ),
    Description(
        "call", 1, _GUEST, (_CPU, *_CALL, _PENDING), "rax? rcx? rdx? r8? calls? ran? idle? vmsa? caa? did?",
        "the guest calls its SVSM; `pending`: it sets call_pending",
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
        "svsm_hv", 37, _SVSM, (_CPU,), "next",
        "in the switch window of an entry, the SVSM's #HV handler runs if a #HV was raised",
    ),
    Description(
        "host_refuse", 12, _HOST, (_CPU, _REQUEST), "ok",
        "the host answers this vCPU's next request of that name by a refusal",
    ),
)  # fmt: skip

_ON_MEMORY = (
    Description(
        "host_page", 19, _HOST, _HOST_PAGE, "ok why?",
        "the host changes the page: its RMP entry, its size, what backs it", _host_page,
    ),
    Description(
        "write", 20, _NOBODY, (_GPA, _BYTES, _BY_ANY), "ok why?",
        "a VMPL or the host writes to memory; without `by` whoever may", _within,
    ),
    Description(
        "read", 21, _NOBODY, (_GPA, _LENGTH, _BY_ANY), "ok hex? why?",
        "a VMPL or the host reads memory; without `by` whoever may", _within,
    ),
    Description(
        "vmsa", 22, _NOBODY, _NEW_VMSA, "ok why?",
        "a page is written: zero but these fields of a VMSA",
    ),
    Description(
        "page", 23, _NOBODY, (_GPA,), "spa assigned gpa validated huge vmsa perms hash",
        "what backs the page, its RMP entry, and 16 digits of SHA-256 of its bytes",
    ),
    Description(
        "calling_area", 24, _NOBODY, (_CPU,), "vmsa caa hex state",
        "where the SVSM was told that the vCPU is: its VMSA, its calling area and the head of that",
    ),
    Description(
        "registry", 25, _NOBODY, (), "entries",
        "the VMSAs that the SVSM knows: VMSA, calling area, vCPU, named by the guest, in use",
    ),
    Description(
        "run", 26, _GUEST, (_CPU, Argument("on", Flag(), "first")), "ok",
        "the vCPU executes in its guest until its next call, or until it is told not to",
    ),
    Description(
        "adjust", 27, _NOBODY, _ADJUST, "result? ok? why?",
        "RMPADJUST of 4 KiB by the guest at VMPL 2",
    ),
    Description(
        "psp", 28, _HOST, _PSP, "ok",
        "what the secure processor answers next, and the certificates that the host has",
    ),
)  # fmt: skip

COMMANDS: dict[str, Description] = {one.name: one for one in (*_DESCRIPTIONS, *_ON_MEMORY)}
ON_MEMORY = frozenset(one.name for one in _ON_MEMORY)
"""The commands that only a machine with memory carries out."""
NOT_ON_MEMORY = frozenset({"set_vmsa"})
"""Those that only a machine without memory does."""

WITHOUT_MEMORY: dict[str, Description] = {
    **{one.name: one for one in _DESCRIPTIONS},
    "init": replace(COMMANDS["init"], arguments=(_CPUS, _REG_COUNT, _APIC_IDS)),
    "call": replace(COMMANDS["call"], arguments=(_CPU, *_CALL)),
}
"""The commands as a machine without memory takes them."""


def checked(command: Any) -> Command:
    """`command`, if an SVSM can be told it. Raises ScenarioError with what is wrong, and the limits."""
    return descriptions.checked(command, COMMANDS)


def no_such_vcpu(command: Command, vcpus: int) -> ScenarioError:
    """The error of a command for a vCPU that does not exist, where there are so many."""
    name, cpu = command["op"], command.get("cpu", 0)
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
