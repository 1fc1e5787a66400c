"""Who sends what to whom in a scenario of a GHCB host: a row for each command, and whom the host asks."""

from __future__ import annotations

from collections.abc import Iterator

from ...counting import count_of
from ...hosts.asked import ASKED, Asked
from ...hosts.asked import shown as asked_shown
from ...hosts.commands import COMMANDS
from ...hosts.scenario import page_of
from ...hosts.vm import KEYS
from ...schema import members
from ...wire.exit_codes import MalformedInput, Status, exit_name
from ...wire.exits import find_exit
from ...wire.ghcb import ALWAYS_VALID, GhcbPage
from ...wire.ghcb_msr import GhcbInfo, decode_msr
from . import words
from .chart import Item, Message, Party, lane
from .row import Row, drawn
from .step import HostStep
from .words import data, event, fields, number

_MOST_REGISTERS = 6
"""Fields of a page that a label names."""


def _exits(step: HostStep) -> str:
    """The exit by its name, its words, and the other fields that are marked valid."""
    command = step.command
    if "page" not in command:
        return f"VMGEXIT with the page at {command['gpa']:#x}"
    page = GhcbPage.decode(page_of(command["page"]))
    row = find_exit(page.sw_exit_code)
    lines = [exit_name(page.sw_exit_code)]
    for name in ("info1", "info2"):
        value = page.sw_exit_info_1 if name == "info1" else page.sw_exit_info_2
        layout = getattr(row, name).layout if row else None
        if value or layout:
            held = number(value) if layout is None else fields(layout.of(value))
            lines.append(f"{name} {held}")
    others = [name for name in page.valid_fields() if name not in ALWAYS_VALID]
    lines += [
        f"{name.upper()} {number(int(getattr(page, name)))}" for name in others[:_MOST_REGISTERS]
    ]
    if len(others) > _MOST_REGISTERS:
        lines.append(f"and {count_of(len(others) - _MOST_REGISTERS, 'field')} more")
    if command.get("meanwhile"):
        lines.append("the page changes meanwhile")
    return "\n".join(lines)


def _answered(step: HostStep) -> str:
    """How the guest goes on, the status, and the registers that come back."""
    told = step.answer
    lines = []
    if told.get("page") == "untouched":
        lines.append("the page stays as it is")
    if told.get("run") != "guest":
        lines.append(_run(told.get("run")))
    elif "status" in told:
        lines.append(_status(told["status"], told["detail"]))
        registers = (f"{name.upper()} {number(value)}" for name, value in told["registers"].items())
        lines.append(", ".join(registers))
    return "\n".join(filter(None, lines)) or "the guest goes on"


def _run(run: object) -> str:
    if isinstance(run, list | tuple):
        return " ".join(one if isinstance(one, str) else number(one) for one in run)
    return f"the vCPU: {run}"


def _status(status: int, detail: int) -> str:
    if not status:
        return "done" if not detail else f"done: {number(detail)}"
    name = getattr(members(Status).get(status), "name", f"status {number(status)}")
    known = members(MalformedInput).get(detail) if status == Status.MALFORMED_INPUT else None
    return f"{name}: {known.name if known else number(detail)}"


def _is_refused(step: HostStep) -> bool:
    return bool(step.answer.get("status")) or step.answer.get("run", "guest") != "guest"


def _word(word: int) -> str:
    held = decode_msr(word)
    info = getattr(members(GhcbInfo).get(word & 0xFFF), "name", f"code {word & 0xFFF:#x}")
    named = fields(held).split(", ")
    values = [
        one for one in named if not one.lower().startswith(("info ", "ghcbinfo ", info.lower()))
    ]
    return "\n".join([f"MSR: {info}", *([", ".join(values)] if values and values != ["0"] else [])])


def _msr(step: HostStep) -> str:
    return _word(step.command["request"])


def _msr_answer(step: HostStep) -> str:
    told = step.answer
    run = told.get("run", "guest")
    if run != "guest":
        return _run(run)
    return _word(told["word"]) if "word" in told else ""


def _write(step: HostStep) -> str:
    return f"writes at {step.command['gpa']:#x}\n{data(step.command['hex'])}"


def _read(step: HostStep) -> str:
    size = step.command["size"]
    held = step.answer.get("hex")
    told = "no memory there" if held is None else data(held)
    return f"{size} bytes at {step.command['gpa']:#x}: {told}"


def _waits(step: HostStep) -> str:
    waiting = step.answer.get("waiting", [])
    named = ", ".join(one if isinstance(one, str) else f"vector {one:#x}" for one in waiting)
    return f"waiting: {named}" if named else "nothing waits"


def _vector_waits(step: HostStep) -> str:
    return f"vector {step.command['vector']:#x} for VMPL 0\n{_waits(step)}"


def _nmi_waits(step: HostStep) -> str:
    return f"NMI for VMPL 0\n{_waits(step)}"


def _machine_check_waits(step: HostStep) -> str:
    return f"machine check for VMPL 0\n{_waits(step)}"


def _enters(step: HostStep) -> str:
    told = step.answer
    lines = [f"enters VMPL {told.get('vmpl', 0)}"]
    if injected := event(told.get("event_inj", 0)):
        lines.append(f"injects {injected}")
    if told.get("doorbell"):
        lines.append(f"PendingEvent {number(told['doorbell'])}")
    if told.get("waiting"):
        lines.append(_waits(step))
    return "\n".join(lines)


def _cancels(step: HostStep) -> str:
    events = step.answer.get("events", [])
    return "\n".join(
        ["the entry did not come to VMRUN", f"events: {_events(events)}", _waits(step)]
    )


def _events(events: object) -> str:
    if isinstance(events, int):
        events = [events]
    told = [event(one) or number(one) if isinstance(one, int) else str(one) for one in events or ()]  # type: ignore[attr-defined]
    return ", ".join(told) or "none"


def _takes(step: HostStep) -> str:
    return f"takes events: {_events(step.answer.get('events', []))}"


def _sipi(step: HostStep) -> str:
    return "start-up IPI" + (": releases the vCPU" if step.answer.get("released") else "")


def _begins(step: HostStep) -> str:
    """What is set up otherwise than by default."""
    described = COMMANDS["init"]
    given = {
        name: value
        for name, value in step.command.items()
        if name in KEYS and value != KEYS[name].default and name not in ("memory", "cpuid")
    }
    told = words.arguments(given, described).replace("\n", ", ")
    return f"a fresh VM: {told or 'as set up by default'}"


def _state(step: HostStep) -> str:
    return f"state\n{words.keys(step.answer)}".strip()


_GUEST, _HOST, _MEMORY = Party.GUEST, Party.HOST, Party.MEMORY

EXCHANGES: dict[str, Row] = {
    "init": Row(None, None, _begins),
    "vmgexit": Row(_GUEST, _HOST, _exits, _answered, _is_refused),
    "msr": Row(_GUEST, _HOST, _msr, _msr_answer, _is_refused),
    "write": Row(_GUEST, _MEMORY, _write),
    "read": Row(_MEMORY, None, _read),
    "sipi": Row(_HOST, _GUEST, _sipi),
    "irq": Row(_HOST, _HOST, _vector_waits),
    "nmi": Row(_HOST, _HOST, _nmi_waits),
    "machine_check": Row(_HOST, _HOST, _machine_check_waits),
    "enter": Row(_HOST, _GUEST, _enters),
    "cancel": Row(_HOST, _HOST, _cancels),
    "take": Row(_GUEST, _GUEST, _takes),
    "state": Row(_HOST, None, _state),
}
"""By the name of the command."""

_ASKED_OF: dict[str, Party] = {
    **dict.fromkeys(("read-memory", "write-memory", "clear-memory"), Party.MEMORY),
    **dict.fromkeys(("in", "out", "ins", "outs", "mmio-read", "mmio-write"), Party.DEVICES),
    "firmware": Party.FIRMWARE,
}
"""Whom the host asks, by the word of `asked`; what has no row here it does itself, or its user space."""


def told(step: HostStep) -> Iterator[Item]:
    """What a command draws: its message, what the host asked of others, the answer."""
    return drawn(EXCHANGES, COMMANDS[step.command["op"]], step, _meanwhile(step))


def _meanwhile(step: HostStep) -> Iterator[Item]:
    cpu = step.command.get("cpu", 0)
    for asked in step.answer.get("asked", ()):
        yield Message(step.index, lane(_HOST, cpu), lane(_asked_of(asked), cpu), _asked(asked))


def _asked_of(asked: Asked) -> Party:
    return _ASKED_OF.get(str(asked[0]), _HOST)


def _asked(asked: Asked) -> str:
    if asked[0] not in ASKED:
        return " ".join(map(str, asked))
    word, *values = asked_shown(asked).split(" ")
    return f"{word}\n{' '.join(values)}".strip()
