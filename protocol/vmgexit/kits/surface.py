"""What an adapter's kit has: the commands that it reads, and the structures that its sources use."""

from __future__ import annotations

from ..descriptions import Argument, Bytes, Choice, Description, Flag, Hex, Number, Numbers
from ..layout.subjects import Subject, subject
from ..machine.commands import WITHOUT_MEMORY
from ..machine.kinds import Posts

COMMANDS: dict[str, Description] = {
    name: one for name, one in WITHOUT_MEMORY.items() if "next" not in one.answers.split()
}
"""Those of an SVSM without memory, but for steps, which only our own machine has. A kit answers that it
does not support others."""

CALLED = {"host_refuse.call": "request"}
"""What a choice among names is called, where its argument's name says too little."""

_STRUCTURES = (
    "doorbell-head",
    "calling-area",
    "vintr-ctrl",
    "event-inj",
    "apic-icr",
    "apic-register-number",
    "apic-configure-vector",
    "specific-eoi",
    "disable-injection",
    "svsm-protocol-query",
    "svsm-version-range",
)
_CODES = ("core-calls", "apic-calls", "result-codes")


def subjects() -> list[Subject]:
    """The structures and codes of an SVSM's kit, as `vmgexit layout` knows them."""
    return [subject(name) for name in (*_STRUCTURES, *_CODES)]


Known = Number | Flag | Choice | Bytes | Hex | Numbers | Posts
"""The kinds of arguments that a kit reads."""


def known(argument: Argument) -> Known:
    """The argument's kind."""
    kind = argument.kind
    assert isinstance(kind, Known)
    return kind
