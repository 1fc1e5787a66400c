"""What a host and its VM can be told: one description of each command (see `descriptions`)."""

from __future__ import annotations

from ..descriptions import (
    U8,
    U32,
    U64,
    Actor,
    Argument,
    Bytes,
    Command,
    Description,
    Holds,
    Number,
)
from ..wire.page_size import PAGE
from .kinds import Pieces
from .vm import KEYS

MOST_READ = 1 << 20  # bytes

LOWEST_IRQ = 16
"""The lowest vector that an APIC takes."""

_WORD = Number(U64)
_CPU = Argument("cpu", Number(U32, holds=Holds.COUNT), optional=True)
_GPA = Argument("gpa", _WORD)
_PAGE = Argument("page", Pieces(PAGE), optional=True)
_MEANWHILE = Argument("meanwhile", Pieces(PAGE), optional=True)
_VECTOR = Argument("vector", Number(U8, LOWEST_IRQ, Holds.VECTOR))
_TPR = Argument("tpr", Number(15), optional=True)
_WAITING = "waiting"
_SETUP = tuple(Argument(name, key.metadata["kind"], optional=True) for name, key in KEYS.items())
_RANGE = (_GPA, Argument("size", Number(MOST_READ, 1, Holds.COUNT)))


def _unaligned(command: Command) -> str:
    rest = command["gpa"] % PAGE
    return f"gpa: {command['gpa']:#x} is not 4 KiB aligned" if rest else ""


_DESCRIPTIONS = (
    Description("init", 0, Actor.NOBODY, _SETUP, "ok", "a fresh VM, set up so"),
    Description(
        "vmgexit", 1, Actor.GUEST, (_PAGE, _GPA, _CPU, _MEANWHILE),
        "run page? status? detail? valid? registers? buffer? asked",
        "the guest exits with the GHCB page at `gpa`; without `page`, with what is in memory there;"
        " another vCPU writes `meanwhile` to the page after each access of the host",
        _unaligned,
    ),
    Description(
        "msr", 2, Actor.GUEST, (Argument("request", _WORD), _CPU), "run word asked",
        "the guest exits with this word in the GHCB MSR",
    ),
    Description(
        "write", 3, Actor.GUEST, (_GPA, Argument("hex", Bytes())), "ok",
        "the guest writes its memory",
    ),
    Description(
        "read", 4, Actor.NOBODY, _RANGE, "hex", "guest memory; null where it ends before",
    ),
    Description(
        "sipi", 5, Actor.HOST, (_CPU,), "released", "a start-up IPI is sent to a vCPU",
    ),
    Description(
        "irq", 7, Actor.HOST, (_CPU, _VECTOR), _WAITING, "an interrupt for VMPL 0 waits with the host",
    ),
    Description("nmi", 8, Actor.HOST, (_CPU,), _WAITING, "an NMI for VMPL 0 waits with the host"),
    Description(
        "machine_check", 9, Actor.HOST, (_CPU,), _WAITING,
        "a machine check for VMPL 0 waits with the host",
    ),
    Description(
        "enter", 10, Actor.HOST, (_CPU,), f"vmpl event_inj doorbell {_WAITING}",
        "the host enters a vCPU: the VMPL that runs, what is injected, PendingEvent in the doorbell page",
    ),
    Description(
        "cancel", 11, Actor.HOST, (_CPU,), f"events doorbell {_WAITING}",
        "the last entry did not come to VMRUN: its events go back, as EVENTINJ holds them",
    ),
    Description(
        "take", 12, Actor.GUEST, (_CPU, _TPR), "events doorbell",
        "VMPL 0 takes what it was told, by Linux's #HV handler; with `tpr` (a class) as COCONUT-SVSM does",
    ),
    Description(
        "state", 6, Actor.NOBODY, (), "ended jump_table mappings pages vcpus",
        "what the host keeps: pages as address, count and state; the vCPUs that are not as set up",
    ),
)  # fmt: skip

COMMANDS: dict[str, Description] = {one.name: one for one in _DESCRIPTIONS}
