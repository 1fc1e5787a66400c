"""Who sends what to whom where an SVSM's machine has memory: commands, effects of calls, changed pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ...descriptions import Command
from ...machine.memory.changes import changes
from .chart import Item, Mark, Message, Note, Party, lane
from .row import Row, is_not_ok, why
from .step import Step
from .words import data, number, pages

_MEMORY = Party.MEMORY
_WHO = {1: Party.VMPL1, 2: Party.GUEST, 3: Party.VMPL3, "host": Party.HOST}


def begins(command: Command) -> str:
    """The memory that a machine begins with."""
    size = sum(length for _, length in command["memory"])
    start, length = command["svsm"]
    return (
        f"{pages(size)} of memory, the SVSM's {pages(length)} at {start:#x}, "
        f"calling area of vCPU 0 at {command['caa']:#x}"
    )


def _whoever(command: Command) -> Party:
    """Who reads or writes; a command that does not say means the guest's memory as it is."""
    return _WHO.get(command.get("by", ""), _MEMORY)


def _write(step: Step) -> str:
    return f"writes at {step.command['gpa']:#x}\n{data(step.command['hex'])}"


def _read(step: Step) -> str:
    return f"reads {step.command['len']} bytes at {step.command['gpa']:#x}"


def _was_read(step: Step) -> str:
    return why(step) or data(step.answer.get("hex", ""))


def _vmsa(step: Step) -> str:
    named = (
        f"{name.upper()} {number(value)}"
        for name, value in step.command.items()
        if name not in ("op", "gpa", "by")
    )
    return "\n".join([f"writes a VMSA at {step.command['gpa']:#x}", *named])


def _page(step: Step) -> str:
    """What is known of a page, and who may reach it."""
    told = step.answer
    lines = [f"page {step.command['gpa']:#x}"]
    if told.get("spa", step.command["gpa"]) != step.command["gpa"] & -4096:
        lines.append(f"backed by {told['spa']:#x}")
    if told.get("assigned"):
        state = "valid" if told["validated"] else "not valid"
        lines.append(", ".join([state, *(name for name in ("huge", "vmsa") if told[name])]))
    elif "assigned" in told:
        lines.append("shared with the host")
    if "hash" in told:
        lines.append(f"SHA-256 {told['hash']}")
    return "\n".join(lines)


def _calling_area(step: Step) -> str:
    told = step.answer
    at = (
        f"{name} {told[key]:#x}"
        for name, key in (("VMSA", "vmsa"), ("calling area", "caa"))
        if told.get(key)
    )
    return "\n".join([f"vCPU {step.command['cpu']}: {told.get('state', '')}", *at])


def _registry(step: Step) -> str:
    entries = step.answer.get("entries", [])
    return "\n".join(["knows the VMSAs", *(number(entry[0]) for entry in entries[:8])])


def _run(step: Step) -> str:
    return "executes" if step.command["on"] else "stops executing"


_PAGE_BECOMES = {
    "shared": "makes page {gpa:#x} shared",
    "private": "makes page {gpa:#x} private",
    "split": "splits the 2 MiB page of {gpa:#x}",
    "join": "joins the pages of {gpa:#x} to 2 MiB",
    "remap": "backs page {gpa:#x} by {spa:#x}",
}


def _host_page(step: Step) -> str:
    command = step.command
    lines = [_PAGE_BECOMES.get(command["to"], command["to"] + " {gpa:#x}").format(**command)]
    if "fill" in command:
        lines.append(f"every byte {command['fill']:#04x}")
    return "\n".join(lines)


def _adjust(step: Step) -> str:
    command = step.command
    return f"RMPADJUST {command['gpa']:#x}\nVMPL {command['vmpl']}, permissions {number(command['perms'])}"


def _adjusted(step: Step) -> str:
    if "result" not in step.answer:
        return why(step)
    return "done" if not step.answer["result"] else f"status {step.answer['result']}"


def _psp(step: Step) -> str:
    answers = (
        one
        if isinstance(one, str)
        else " ".join(f"{key} {number(held)}" for key, held in one.items())
        for one in step.command["answers"]
    )
    return f"secure processor will answer: {', '.join(answers) or 'nothing'}"


EXCHANGES: dict[str, Row] = {
    "write": Row(_whoever, _MEMORY, _write),
    "read": Row(_whoever, _MEMORY, _read, _was_read),
    "vmsa": Row(_whoever, _MEMORY, _vmsa),
    "page": Row(_MEMORY, None, _page),
    "calling_area": Row(Party.SVSM, None, _calling_area),
    "registry": Row(Party.SVSM, None, _registry),
    "run": Row(Party.GUEST, Party.GUEST, _run),
    "adjust": Row(
        Party.GUEST,
        _MEMORY,
        _adjust,
        _adjusted,
        lambda step: bool(step.answer.get("result")) or is_not_ok(step),
    ),
    "host_page": Row(Party.HOST, _MEMORY, _host_page),
    "psp": Row(Party.HOST, Party.HOST, _psp),
}
"""By the name of the command."""


# --- effects of a call -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Effect:
    """A word of `did`: whom the SVSM reaches by it, and what it says of the values after the word."""

    target: Party
    says: Callable[..., str]
    failed: Callable[..., bool] = lambda *values: False


def _guest_request(extra: int, *outcome: Any) -> str:
    kind = f"extended guest request, {extra} pages" if extra else "guest request"
    return f"{kind}\nanswer: {' '.join(one if isinstance(one, str) else number(one) for one in outcome)}"


_EFFECTS: dict[str, Effect] = {
    "pvalidate": Effect(
        _MEMORY,
        lambda page, size, valid, status, same: (
            f"PVALIDATE {page:#x}\n{'2 MiB' if size else '4 KiB'}, {'valid' if valid else 'not valid'}"
            + f"\nstatus {status}" * bool(status)
            + "\nwas so before" * bool(same)
        ),
        lambda page, size, valid, status, same: bool(status),
    ),
    "rmpadjust": Effect(
        _MEMORY,
        lambda page, size, vmpl, allowed, vmsa, status: (
            f"RMPADJUST {page:#x}\nVMPL {vmpl}, permissions {number(allowed)}"
            + ", VMSA" * bool(vmsa)
            + f"\nstatus {status}" * bool(status)
        ),
        lambda page, size, vmpl, allowed, vmsa, status: bool(status),
    ),
    "zero": Effect(_MEMORY, lambda at, length: f"clears {pages(length)} at {at:#x}"),
    "npf": Effect(Party.HOST, lambda page: f"nested page fault at {page:#x}"),
    "psmash": Effect(Party.HOST, lambda page: f"PSMASH of the 2 MiB page {page:#x}"),
    "tpm": Effect(Party.SVSM, lambda size: f"TPM: request of {size} bytes"),
    "guest_request": Effect(
        Party.HOST, _guest_request, lambda extra, *outcome: outcome[:1] not in (("ok",), ())
    ),
}
"""By the word. What the SVSM does without a message, flushes and entries, has no row."""
_UNSEEN = frozenset({"flush", "flush_all", "enter", "request"})


def effects(step: Step) -> Iterator[Item]:
    """What a call made the SVSM do to memory, and ask of the host, in its order."""
    cpu = step.command.get("cpu", 0)
    for word, *values in step.answer.get("did", ()):
        if word in _UNSEEN:
            continue
        row = _EFFECTS.get(word)
        if row is None:
            told = " ".join(map(str, (word, *values)))
            yield Message(step.index, lane(Party.SVSM, cpu), lane(_MEMORY, cpu), told)
            continue
        mark = Mark.REFUSED if row.failed(*values) else Mark.PLAIN
        source, target = lane(Party.SVSM, cpu), lane(row.target, cpu)
        yield Message(step.index, source, target, row.says(*values), mark=mark)


_ALREADY_SAID = frozenset({"init", "write", "vmsa"})
MOST_PAGES = 6
"""Changed pages that a note names."""


def changed(step: Step) -> Iterator[Item]:
    """A note beside the memory, of what the command changed there."""
    was, now = step.before.memory, step.vm.memory
    if was is None or now is None or step.command["op"] in _ALREADY_SAID:
        return
    lines = list(changes(was, now))
    if not lines:
        return
    shown = [line.replace(": ", "\n", 1).replace("; ", "\n") for line in lines[:MOST_PAGES]]
    if len(lines) > MOST_PAGES:
        shown.append(f"and {len(lines) - MOST_PAGES} pages more")
    yield Note(step.index, lane(_MEMORY, 0), "\n".join(shown))
