"""A rule of specs/peer-protocol.md: what it says, and an exchange that shows it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from ...descriptions import Answer, Command
from ...machine.commands import DOORBELL_BYTES

Step = tuple[Command, Answer]
"""A command, and the part of its answer that the rule is about; None for a key that must not be there."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule. `text` is Markdown; `id` is PEER-1 or PEER-H1, for a host, by its place on the page."""

    title: str
    text: str
    steps: tuple[Step, ...] = field(repr=False, default=())
    id: str = ""


@dataclass(frozen=True, slots=True)
class Chapter:
    """Rules under one heading of the page. Each needs what those before it say."""

    title: str
    rules: tuple[Rule, ...]


def numbered(chapters: Iterable[Chapter], prefix: str) -> tuple[Chapter, ...]:
    """The chapters, their rules with ids."""
    made, number = [], 0
    for chapter in chapters:
        rules = []
        for rule in chapter.rules:
            number += 1
            rules.append(replace(rule, id=f"{prefix}{number}"))
        made.append(replace(chapter, rules=tuple(rules)))
    return tuple(made)


# --- steps -----------------------------------------------------------------------------------------

OK: Answer = {"ok": True}


def on(op: str, cpu: int = 0, **arguments: object) -> Command:
    """A command for a vCPU."""
    return {"op": op, "cpu": cpu, **arguments}


def begin(cpus: int = 1, **arguments: object) -> Step:
    """An `init` with one registration."""
    return {"op": "init", "cpus": cpus, "reg_count": 1, **arguments}, OK | {
        "cpus": cpus,
        "reg_count": 1,
    }


def post(vector: int, *, level: bool = False) -> Command:
    """The host posts an interrupt to vCPU 0."""
    return on("host_irq", vector=vector, level=level)


def posted(status: int, *, hv: bool) -> Answer:
    """The answer to a post that was accepted."""
    return {"posted": True, "hv": hv, "status": status}


def refused(status: int) -> Answer:
    """The answer to a post that was not."""
    return {"posted": False, "hv": False, "status": status}


def runs(*, interrupts: bool, shadow: bool = False, **arguments: object) -> Step:
    """The guest changes RFLAGS.IF and more."""
    return on("guest") | {"if": interrupts, "shadow": shadow} | arguments, OK


def page(**held: str) -> str:
    """The hex of a doorbell page that is zero but for bytes at `at0x80`."""
    data = bytearray(DOORBELL_BYTES)
    for name, text in held.items():
        at, bytes_ = int(name.removeprefix("at"), 16), bytes.fromhex(text)
        data[at : at + len(bytes_)] = bytes_
    return data.hex()
