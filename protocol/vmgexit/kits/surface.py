"""What an adapter's kit has: the commands that it reads, and the structures that its sources use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..descriptions import Argument, Bytes, Choice, Description, Flag, Hex, Number, Numbers
from ..hosts.kinds import Leaves, Maybe, Pieces
from ..layout.subjects import Subject, subject
from ..machine.commands import COMMANDS as ALL
from ..machine.commands import ON_MEMORY, WITHOUT_MEMORY
from ..machine.kinds import Posts, Row, Rows, Whom


def _without_steps(commands: Mapping[str, Description]) -> dict[str, Description]:
    """The commands but for steps, which only our own machine has. A kit does not support others."""
    return {name: one for name, one in commands.items() if "next" not in one.answers.split()}


COMMANDS = _without_steps(WITHOUT_MEMORY)
"""Those of an SVSM without memory."""
MEMORY_COMMANDS = _without_steps(ALL)
"""Those of an SVSM with memory, or without."""
ONLY_ON_MEMORY = {
    "init": replace(
        ALL["init"],
        arguments=tuple(
            replace(one, optional=one.name in ("apic_ids", "pages", "reg_count"))
            for one in ALL["init"].arguments
        ),
    ),
    "call": ALL["call"],
    **{name: one for name, one in MEMORY_COMMANDS.items() if name in ON_MEMORY},
}
"""Those of a machine with memory, but for those about interrupts, which are the same without memory."""

ROWS = {
    "init.memory": "range",
    "init.svsm": "range",
    "init.pages": "page_range",
    "psp.answers": "prepared",
    "psp.certs": "certificates",
}
"""What a row is called, by its argument."""

CALLED = {
    "host_refuse.call": "request",
    "init.state": "page_state",
    "init.npf": "npf",
    "init.unvalidated": "unvalidated",
    "host_page.to": "page_change",
}
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
_ON_MEMORY = (
    "vmsa",
    "pvalidate-header",
    "pvalidate-entry",
    "attest-services",
    "attest-single-service",
    "services-manifest-header",
    "service-entry",
    "attestation-report",
)
_CODES_ON_MEMORY = ("attestation-calls", "vtpm-calls")


def subjects() -> list[Subject]:
    """The structures and codes of an SVSM's kit, as `vmgexit layout` knows them."""
    return [subject(name) for name in (*_STRUCTURES, *_CODES)]


def memory_subjects() -> list[Subject]:
    """The structures and codes of the kit of an SVSM with memory."""
    return [*subjects(), *map(subject, (*_ON_MEMORY, *_CODES_ON_MEMORY))]


Known = Number | Flag | Choice | Bytes | Hex | Numbers | Posts | Pieces | Leaves | Row | Rows | Whom
"""The kinds of arguments that a kit reads; those of hosts may also be null."""


def known(argument: Argument) -> Known:
    """The argument's kind, without what says that it may be null."""
    kind = argument.kind.kind if isinstance(argument.kind, Maybe) else argument.kind
    assert isinstance(kind, Known)
    return kind


def may_miss(argument: Argument) -> bool:
    """Whether a command may have no value for the argument."""
    return argument.optional or isinstance(argument.kind, Maybe)
