"""What a host and its VM can be told: one description of each command (see `descriptions`)."""

from __future__ import annotations

from ..descriptions import U32, U64, Actor, Argument, Command, Description, Holds, Number
from ..wire.page_size import PAGE
from .kinds import Bytes, Pieces
from .vm import KEYS

MOST_READ = 1 << 20  # bytes

_WORD = Number(U64)
_CPU = Argument("cpu", Number(U32, holds=Holds.COUNT), optional=True)
_GPA = Argument("gpa", _WORD)
_PAGE = Argument("page", Pieces(PAGE), optional=True)
_SETUP = tuple(Argument(name, key.metadata["kind"], optional=True) for name, key in KEYS.items())
_RANGE = (_GPA, Argument("size", Number(MOST_READ, 1, Holds.COUNT)))


def _unaligned(command: Command) -> str:
    rest = command["gpa"] % PAGE
    return f"gpa: {command['gpa']:#x} is not 4 KiB aligned" if rest else ""


_DESCRIPTIONS = (
    Description("init", 0, Actor.NOBODY, _SETUP, "ok", "a fresh VM, set up so"),
    Description(
        "vmgexit", 1, Actor.GUEST, (_PAGE, _GPA, _CPU),
        "run page? status? detail? valid? registers? buffer? asked",
        "the guest exits with the GHCB page at `gpa`; without `page`, with what is in memory there",
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
        "state", 6, Actor.NOBODY, (), "ended jump_table mappings pages vcpus",
        "what the host keeps: pages as address, count and state; the vCPUs that are not as set up",
    ),
)  # fmt: skip

COMMANDS: dict[str, Description] = {one.name: one for one in _DESCRIPTIONS}
