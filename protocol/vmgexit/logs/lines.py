"""Pairs and events of a trace as lines for a person and as JSON for a tool.

A line keeps what the tool printed up to the tracepoint's name, so that times and processors stay where
they were. After it stand `>` for a request or `<` for a response, the exit's name, and its fields.
A guest that gives up is told of when that is known, in a line with `#`; requests without a response are
counted by the summary.
"""

from __future__ import annotations

import errno
import json
from functools import lru_cache
from typing import Any

from ..wire.exit_codes import exit_name
from ..wire.faults import NpfInfo
from .kvm import Event, Pair, RmpFault, State
from .names import (
    KEPT,
    Reading,
    fields_text,
    msr_name,
    read_answer,
    read_msr,
    read_request,
)

_UNITS = (1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us")


def as_text(line: bytes, event: Event | None, pairs: list[Pair]) -> bytes:
    """What is shown for `line`, which is passed through where it is no event."""
    silent = [pair for pair in pairs if pair.response is None and pair.state is State.FAILED]
    shown = b"".join([_note(pair) for pair in silent])
    if event is None:
        return shown + line
    outcome = next((pair for pair in pairs if pair.response is event), None)
    if outcome is not None and outcome.state is State.FAILED:
        said = f"< {event_name(event)}"  # why it failed has all that its words say
    else:
        said = _text(event)
    text = f"{event.tracepoint}: vcpu {event.vcpu} {said}{_outcome(outcome)}\n"
    return shown + line[: event.name_at] + text.encode()


def fault_text(line: bytes, fault: RmpFault) -> bytes:
    """The line of an RMP fault, its error code by its bits."""
    page = {1: "4 KiB", 2: "2 MiB"}.get(fault.level, f"level {fault.level}")
    psmash = errno.errorcode.get(-fault.psmash, str(fault.psmash)) if fault.psmash else "0"
    text = (
        f"kvm_rmp_fault: vcpu {fault.vcpu} ! gpa {fault.gpa:#x}: {fields_text(NpfInfo.of(fault.error))};"
        f" {page} in the RMP; PSMASH {psmash}\n"
    )
    return line[: fault.name_at] + text.encode()


def as_json(line: bytes, event: Event | None, pairs: list[Pair]) -> bytes:
    """One object for each pair that `line` completes."""
    return b"".join([json.dumps(pair_object(pair)).encode() + b"\n" for pair in pairs])


def _note(pair: Pair) -> bytes:
    event = pair.either
    why = f"line {event.line}: {pair.why}"
    return f"# {pair.state.name}: vcpu {event.vcpu} > {event_name(event)}: {why}\n".encode()


def event_name(event: Event) -> str:
    return msr_name(event.code) if event.msr else exit_name(event.code)


def _text(event: Event) -> str:
    if event.msr:
        return _msr_text(event.word, event.response)
    if event.response:
        return _answer_text(event.code, event.info1, event.info2)
    return _request_text(event.code, event.info1, event.info2)


@lru_cache(KEPT)
def _msr_text(word: int, response: bool) -> str:
    reading = read_msr(word)
    broken = () if response else reading.problems
    return _joined("<" if response else ">", msr_name(word & 0xFFF), [reading], broken)


@lru_cache(KEPT)
def _request_text(code: int, info1: int, info2: int) -> str:
    first, second, wrong = read_request(code, info1, info2)
    broken = (*wrong, *first.problems, *second.problems)
    return _joined(">", exit_name(code), [first, second], broken)


@lru_cache(KEPT)
def _answer_text(code: int, info1: int, info2: int) -> str:
    return _joined("<", exit_name(code), list(read_answer(code, info1, info2)), ())


def _joined(arrow: str, named: str, readings: list[Reading], broken: tuple[str, ...]) -> str:
    said = "; ".join([reading.text for reading in readings if reading.text])
    text = f"{arrow} {named}: {said}" if said else f"{arrow} {named}"
    return f"{text} (broken: {'; '.join(broken)})" if broken else text


def _outcome(pair: Pair | None) -> str:
    if pair is None:
        return ""
    latency = pair.latency
    took = "" if latency is None else f" [{duration(latency, pair.either.raw_time)}]"
    if pair.state is not State.ANSWERED:
        return f" {pair.state.name}: {pair.why}{took}"
    return f" ({pair.why}){took}" if pair.why else took


def duration(value: int, raw: bool | None) -> str:
    """`12.3 us`, or the plain number of a raw counter."""
    if raw:
        return str(value)
    for size, unit in _UNITS:
        if value >= size:
            return f"{value / size:.1f} {unit}"
    return f"{value} ns"


def pair_object(pair: Pair) -> dict[str, Any]:
    """The pair as `--json` prints it; times and latencies in the unit that it names."""
    event = pair.either
    return {
        "protocol": "msr" if event.msr else "ghcb",
        "name": event_name(event),
        "code": event.code,
        "vcpu": event.vcpu,
        "thread": event.thread,
        "state": pair.state.value,
        "why": pair.why,
        "latency": pair.latency,
        "unit": "counter" if event.raw_time else "ns",
        "request": _event_object(pair.request),
        "response": _event_object(pair.response),
    }


def _event_object(event: Event | None) -> dict[str, Any] | None:
    if event is None:
        return None
    made: dict[str, Any] = {"line": event.line, "time": event.time}
    problems: tuple[str, ...] = ()
    if event.msr:
        word = read_msr(event.word)
        made["msr"] = word.as_dict()
        problems = word.problems
        if event.response:
            made["result"] = event.result
    else:
        if event.response:
            first, second = read_answer(event.code, event.info1, event.info2)
        else:
            first, second, problems = read_request(event.code, event.info1, event.info2)
        made["exit_info1"] = first.as_dict()
        made["exit_info2"] = second.as_dict()
        problems = (*problems, *first.problems, *second.problems)
    made["problems"] = problems
    return made
