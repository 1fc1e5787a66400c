"""Who sends what to whom in a scenario of an SVSM: a row for each command.

A command without a row draws itself by its description (`row.derived`). What a row says is in `calls`,
`interrupts` and `on_memory`.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...counting import count_of
from ...descriptions import Actor
from ...machine.commands import COMMANDS
from . import calls, interrupts, on_memory
from .chart import Item, Mark, Message, Note, Party, lane
from .row import Row, drawn
from .step import Step
from .words import number


def _begins(step: Step) -> str:
    command = step.command
    count = command["cpus"]
    lines = [count_of(count, "vCPU")]
    if "reg_count" in command:
        lines.append(f"{number(command['reg_count'])} registered for Alternate Injection")
    if "memory" in command:
        lines.append(on_memory.begins(command))
    return ", ".join(lines)


_HOST, _SVSM, _GUEST = Party.HOST, Party.SVSM, Party.GUEST

EXCHANGES: dict[str, Row] = {
    "init": Row(None, None, _begins),
    "call": Row(
        _GUEST, _SVSM, calls.asked, calls.answered, lambda step: bool(step.answer.get("rax"))
    ),
    "host_irq": Row(_HOST, _SVSM, interrupts.post, interrupts.not_posted, interrupts.is_not_posted),
    "host_begin": Row(_HOST, _HOST, interrupts.begin),
    "host_step": Row(_HOST, _SVSM, interrupts.host_step),
    "host_refuse": Row(_HOST, _HOST, interrupts.refuse),
    "set_doorbell": Row(_HOST, _SVSM, interrupts.overwritten),
    "enter": Row(_SVSM, _GUEST, interrupts.entered),
    "svsm_step": Row(_SVSM, interrupts.stepped_to, interrupts.svsm_step),
    "svsm_hv": Row(_SVSM, _SVSM, interrupts.handled),
    "guest_take": Row(_GUEST, _GUEST, interrupts.take),
    "guest": Row(_GUEST, _GUEST, interrupts.guest),
    "guest_lazy_eoi": Row(_GUEST, _GUEST, interrupts.lazy_eoi),
    "intercept": Row(_GUEST, _SVSM, interrupts.left),
    "set_vmsa": Row(_GUEST, _SVSM, interrupts.created),
    "doorbell": Row(_SVSM, None, interrupts.page_read),
    "state": Row(_SVSM, None, interrupts.state),
    **on_memory.EXCHANGES,
}
"""By the name of the command."""


def told(step: Step) -> Iterator[Item]:
    """What a command draws: its message, what it made the SVSM do, the answer."""
    described = COMMANDS[step.command["op"]]
    yield from _finished_entry(step)
    yield from drawn(EXCHANGES, described, step, _meanwhile(step))
    yield from on_memory.changed(step)
    for stop in ("panic", "terminated"):
        if stop in step.answer:
            yield Note(
                step.index, None, f"the SVSM stops ({stop}): {step.answer[stop]}", Mark.BROKEN
            )


def _meanwhile(step: Step) -> Iterator[Item]:
    yield from calls.requests(step)
    yield from on_memory.effects(step)
    yield from _sent(step)


def _finished_entry(step: Step) -> Iterator[Item]:
    """What only a running guest does first finishes an entry that is under way."""
    if COMMANDS[step.command["op"]].by is not Actor.GUEST or "cpu" not in step.command:
        return
    cpu = step.command["cpu"]
    if cpu < len(step.before.entries) and step.before.entries[cpu]:
        yield Message(step.index, lane(_SVSM, cpu), lane(_GUEST, cpu), "finishes the entry")


def _sent(step: Step) -> Iterator[Item]:
    """What vCPUs sent one another."""
    for sent in step.sent:
        what = "NMI" if sent.nmi else f"vector {sent.vector:#x}"
        source = lane(_SVSM, step.command.get("cpu", 0))
        yield Message(step.index, source, lane(_SVSM, sent.target), f"IPI: {what}")
