"""The coarse state of a GHCB host, as the cells of `states`.

Lines of code tell which exit was carried out, and which check refused it. They do not tell an exit from the
fifth of its kind, an entry with one event that waits from one with three, or a page that is made private
once from one that is made so again.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from itertools import accumulate
from math import prod
from typing import Any

from vmgexit.descriptions import U32, Command
from vmgexit.hosts.asked import LARGE_ATTRIBUTE, PRIVATE_ATTRIBUTE
from vmgexit.hosts.commands import COMMANDS
from vmgexit.hosts.restricted import HV, is_restricted, word
from vmgexit.watch.hosts.steps import Step
from vmgexit.wire.exit_codes import Status
from vmgexit.wire.exits import exits
from vmgexit.wire.ghcb_msr import GhcbInfo

_OPERATIONS = {name: number for number, name in enumerate(COMMANDS)}
# What a command is: its operation; the exit of a page, the request of a word in the MSR.
_EXITS = tuple(("vmgexit", int(row.code)) for row in exits())
_WORDS = tuple(("msr", int(info)) for info in GhcbInfo)
_ALL: tuple[str | tuple[str, int], ...] = (*COMMANDS, *_EXITS, *_WORDS)
_KINDS = {kind: number for number, kind in enumerate(_ALL)}
# How it ended: done, with a result; with an event to raise; refused, by the error; or the guest stopped.
_RESULTS, _ERRORS = 16, 8
_RAISES, _REFUSED = _RESULTS, _RESULTS + 1
_STOPPED = _REFUSED + _ERRORS
_TIMES = (1, 2, 3, 5, 8)  # how often it ended so since `init`: up to each of these, or more

# The groups of cells, by what each of their numbers is below.
_SIZES = {
    "ended": (len(_KINDS), _STOPPED + 1),
    "again": (len(_KINDS), 3, len(_TIMES) + 1),
    "waiting": (len(_OPERATIONS), 2, 2, 3, 2, 2),
    "told": (len(_OPERATIONS), 3, 2, 16),
    "kept": (len(_OPERATIONS), 3, 2, 2, 2, 2, 2),
    "mapped": (_STOPPED + 1, 4, 2, 2, 4),
}
_FIRST = dict(zip(_SIZES, accumulate(map(prod, _SIZES.values()), initial=0), strict=False))
CELLS = sum(map(prod, _SIZES.values()))

_MOST_KNOWN = 1 << 16
Seen = tuple[Any, ...]
_times: Counter[tuple[int, int]] = Counter()  # how often a kind had an outcome, since `init`


def seen(step: Step, command: Command) -> Seen:
    """All that the cells look at after a command; nothing for `init`, which has no step."""
    if command["op"] == "init":
        _times.clear()
        return ()
    kind, ended = _kind(step), _ended(step)
    outcome = (ended >= _RAISES) + (ended >= _STOPPED)
    _times[kind, outcome] += 1
    times = sum(_times[kind, outcome] > most for most in _TIMES)
    vm, cpu = step.vm, step.vm.vcpus[step.cpu]
    page = word(vm, cpu)
    maps = [what for what in step.answer.get("asked", ()) if what[0] == "map"]
    attributes = maps[-1][-1] if maps else 0
    return (
        (kind, ended),
        (kind, outcome, times),
        (
            cpu.vmpl > 0,
            page is not None,
            min(len(cpu.waiting_irqs), 2),
            cpu.waiting_nmi,
            cpu.waiting_machine_check,
        ),
        (
            0 if not cpu.event_inj else 1 if cpu.event_inj == HV else 2,
            is_restricted(vm),
            _pending(page or 0),
        ),
        (
            min(len(cpu.vmsas), 2),
            cpu.registered != 0,
            cpu.held,
            vm.jump_table != 0,
            cpu.avic_page is not None,
            cpu.notify_vector is not None,
        ),
        (
            min(len(maps), 3),
            bool(attributes & PRIVATE_ATTRIBUTE),
            bool(attributes & LARGE_ATTRIBUTE),
            min(len(vm.pages.runs), 3),
        ),
        _OPERATIONS[command["op"]],
    )


@lru_cache(_MOST_KNOWN)
def cells(state: Seen) -> tuple[int, ...]:
    """The cells of what was `seen`, each below `CELLS`."""
    if not state:
        return ()
    ended, again, waiting, told, kept, mapped, operation = state
    found = {
        "ended": ended,
        "again": again,
        "waiting": (operation, *waiting),
        "told": (operation, *told),
        "kept": (operation, *kept),
    }
    if mapped[0]:
        found["mapped"] = (ended[1], *mapped)
    return tuple(_cell(group, values) for group, values in found.items())


def _cell(group: str, values: tuple[int, ...]) -> int:
    cell = 0
    for value, size in zip(values, _SIZES[group], strict=True):
        cell = cell * size + value
    return _FIRST[group] + cell


def _kind(step: Step) -> int:
    op = step.command["op"]
    if step.request is not None:
        return _KINDS.get(("vmgexit", step.page.sw_exit_code), _KINDS["vmgexit"])
    if op == "msr":
        return _KINDS.get(("msr", step.command["request"] & 0xFFF), _KINDS["msr"])
    return _KINDS[op]


def _ended(step: Step) -> int:
    """How a command ended, below `_STOPPED`, or that the guest does not go on."""
    answer, request = step.answer, step.request
    if answer.get("run", "guest") != "guest":
        return _STOPPED
    if request is not None:
        if request.status == Status.DONE:
            return _result(request.detail >> 32, request.detail & U32)
        if request.status == Status.RAISE_EVENT:
            return _RAISES
        return _REFUSED + min(request.detail, _ERRORS - 1)
    if "word" in answer:
        if answer["word"] == step.command["request"]:
            return _REFUSED
        return _result(answer["word"] >> 32, answer["word"] >> 12 & 0xFFFFF)
    return _result(
        0, len(answer.get("events", ())) or bool(answer.get("released") or answer.get("ok"))
    )


def _result(high: int, low: int) -> int:
    """A result in two halves, of each whether it is 0, 1, 2 or more."""
    return min(high, 3) * 4 + min(low, 3)


def _pending(page: int) -> int:
    """Of PendingEvent whether it has a vector, an NMI, a machine check, and NoFurtherSignal."""
    return (page & 0xFF > 0) | (page >> 8 & 3) << 1 | (page >> 15) << 3
