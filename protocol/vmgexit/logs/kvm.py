"""KVM's VMGEXIT tracepoints: lines of a trace to events, events to requests with their responses.

Four tracepoints are read, as trace-cmd report, perf script and tracefs (`trace`, `trace_pipe`) print
them: a GHCB's exit code and information words when KVM takes a request and when it answers, and the
GHCB MSR's value when KVM takes it and when it is done. What stands before the tracepoint's name
(task, processor, flags, time) differs by tool and is read as far as it is understood. Lines are bytes
throughout: a task may be called anything. `names` puts names to the numbers.

Nested page faults that KVM takes to the RMP are read too, `kvm_rmp_fault`; they are no requests.

A response belongs to the last request of the same thread and vCPU. No request of a guest can be open
while another one of that vCPU is: the processor waits.

Source of the formats: Linux arch/x86/kvm/trace.h; of the line heads: Linux kernel/trace/trace_output.c,
tools/perf/builtin-script.c, trace-cmd tracecmd/trace-read.c.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from .names import judge_exit, judge_msr, why_silent

SIGN = b"kvm_vmgexit_"
FAULT_SIGN = b"kvm_rmp_fault:"

# Tracepoint, then what its print format says. `ghcb_gpa` has 16 digits: fewer are a line cut off.
_EVENT = re.compile(
    rb"kvm_vmgexit_(?:"
    rb"(enter|exit):\s+vcpu (\d{1,10}), exit_reason ([0-9a-f]{1,16}),"
    rb" exit_info1 ([0-9a-f]{1,16}), exit_info2 ([0-9a-f]{1,16})"
    rb"|msr_protocol_enter:\s+vcpu (\d{1,10}), ghcb_gpa ([0-9a-f]{16})"
    rb"|msr_protocol_exit:\s+vcpu (\d{1,10}), ghcb_gpa ([0-9a-f]{16}), result (-?\d{1,10})"
    rb")\s*$"
)
_LOOKS_LIKE_ONE = re.compile(rb"kvm_vmgexit_(?:msr_protocol_)?(?:enter|exit):")

_FAULT = re.compile(
    rb"kvm_rmp_fault:\s+vcpu (\d{1,10}) gpa (?:0x)?([0-9a-f]{1,16}) pfn (?:0x)?[0-9a-f]{1,16}"
    rb" error_code (?:0x)?([0-9a-f]{1,16}) rmp_level (-?\d{1,10}) psmash_ret (-?\d{1,10})\s*$"
)

# Before the tracepoint: "  100.000123: ", "  100.000123456:   kvm:", "  8231072301: " (a raw counter).
_TIME = re.compile(rb"(?:^|\s)(\d{1,20})(?:\.(\d{1,9}))?:\s+(?:\d+\s+)?(?:\w+:)?$")
# "CPU 0/KVM-4242 [003]", "CPU 0/KVM-4242 ( 4200) [003]", "CPU 0/KVM 4200/4242 [003]".
_THREAD = re.compile(rb"[-\s](?:\d{1,10}/)?(\d{1,10})\s+(?:\(\s*[\d-]{1,10}\)\s+)?\[\d{1,5}\]\s")
_LOST = re.compile(rb"LOST (\d{1,18}) EVENTS|\[(\d{1,18}) EVENTS DROPPED\]|^LOST (\d{1,18}) events")

_HEAD = 256
"""Bytes before the tracepoint's name that are looked at, and after it: hostile lines stay cheap."""

OPEN_LIMIT = 1 << 16
"""Requests that wait for a response at the same time; a trace has one for each vCPU."""


class Line(Enum):
    """What a line is that is not an event."""

    OTHER = "another line"
    MALFORMED = "a VMGEXIT line that cannot be read"


class State(Enum):
    """What became of a request."""

    ANSWERED = "answered"
    FAILED = "failed"
    UNPAIRED = "unpaired"


@dataclass(slots=True)
class Event:
    """One line of one tracepoint."""

    msr: bool  # the GHCB MSR protocol, else a GHCB
    response: bool
    line: int  # 1-based
    name_at: int  # where in the line the tracepoint's name begins
    vcpu: int
    thread: int | None
    time: int | None  # nanoseconds; counter values where `raw_time`
    raw_time: bool
    code: int  # exit code, or the low 12 bits of the MSR
    info1: int = 0  # of a GHCB
    info2: int = 0
    word: int = 0  # the MSR's value
    result: int = 0  # KVM: 1 = back to the guest, 0 = out to user space, below 0 = -errno

    @property
    def tracepoint(self) -> str:
        return f"kvm_vmgexit_{'msr_protocol_' if self.msr else ''}{'exit' if self.response else 'enter'}"

    @property
    def key(self) -> tuple[int | None, int]:
        return self.thread, self.vcpu


@dataclass(slots=True)
class RmpFault:
    """A nested page fault that KVM looked up in the RMP."""

    name_at: int  # where in the line the tracepoint's name begins
    vcpu: int
    time: int | None  # as an event's
    raw_time: bool
    gpa: int
    error: int  # EXITINFO1 of the nested page fault
    level: int  # KVM: 1 = 4 KiB, 2 = 2 MiB
    psmash: int  # what PSMASH returned; 0 = done, or not needed


@dataclass(slots=True)
class Pair:
    """A request and its response; one of them may be missing."""

    request: Event | None
    response: Event | None
    state: State
    why: str = ""  # what failed or is missing; a remark where it was answered

    @property
    def either(self) -> Event:
        found = self.request or self.response
        assert found is not None, "a pair has a request, a response or both"
        return found

    @property
    def latency(self) -> int | None:
        """From request to response, in the units of their times; None where a clock is no help."""
        asked, given = self.request, self.response
        if asked is None or given is None or asked.time is None or given.time is None:
            return None
        if asked.raw_time != given.raw_time or given.time < asked.time:
            return None
        return given.time - asked.time


def parse(line: bytes, number: int = 0) -> Event | Line:
    """The event that `line` holds, or which other kind of line it is. Never raises."""
    at = line.find(SIGN)
    if at < 0:
        return Line.OTHER
    found = _EVENT.match(line, at) if len(line) - at <= _HEAD else None
    if found is None:
        return Line.MALFORMED if _LOOKS_LIKE_ONE.match(line, at) else Line.OTHER
    time, raw_time, thread = _head(line[max(0, at - _HEAD) : at])
    which, vcpu, reason, info1, info2, asking, asked, answering, answered, result = found.groups()
    if which is not None:
        return Event(
            msr=False,
            response=which == b"exit",
            line=number,
            name_at=at,
            vcpu=int(vcpu),
            thread=thread,
            time=time,
            raw_time=raw_time,
            code=int(reason, 16),
            info1=int(info1, 16),
            info2=int(info2, 16),
        )
    word = int(asked or answered, 16)
    return Event(
        msr=True,
        response=asked is None,
        line=number,
        name_at=at,
        vcpu=int(asking or answering),
        thread=thread,
        time=time,
        raw_time=raw_time,
        code=word & 0xFFF,
        word=word,
        result=int(result or 0),
    )


def rmp_fault(line: bytes) -> RmpFault | None:
    """The RMP fault that `line` tells of. Never raises."""
    at = line.find(FAULT_SIGN)
    found = _FAULT.match(line, at) if at >= 0 and len(line) - at <= _HEAD else None
    if found is None:
        return None
    time, raw_time, _ = _head(line[max(0, at - _HEAD) : at])
    vcpu, gpa, error, level, psmash = found.groups()
    return RmpFault(
        at, int(vcpu), time, raw_time, int(gpa, 16), int(error, 16), int(level), int(psmash)
    )


def _head(head: bytes) -> tuple[int | None, bool, int | None]:
    """Time, whether that is a raw counter, and thread, from what precedes the tracepoint's name."""
    thread = _THREAD.search(head)
    time = _TIME.search(head)
    number = None if thread is None else int(thread[1])
    if time is None:
        return None, False, number
    whole, fraction = time.groups()
    if fraction is None:
        return int(whole), True, number
    return int(whole) * 1_000_000_000 + int(fraction.ljust(9, b"0")), False, number


def lost(line: bytes) -> int:
    """How many events the line says were lost: their requests or responses will be missing."""
    if b"LOST" not in line and b"DROPPED" not in line:
        return 0
    found = _LOST.search(line[:_HEAD])
    return 0 if found is None else int(next(group for group in found.groups() if group is not None))


class Pairing:
    """Puts requests and responses together, one event at a time."""

    def __init__(self) -> None:
        self._open: dict[tuple[int | None, int], Event] = {}

    def take(self, event: Event) -> list[Pair]:
        """The pairs that `event` completes, or shows to be incomplete; often none."""
        before = self._open.pop(event.key, None)
        if event.response:
            if before is None:
                return [_unasked(event)]
            if before.msr != event.msr or (not event.msr and before.code != event.code):
                return [_silent(before), _unasked(event)]
            return [_judged(before, event)]
        closed = [] if before is None else [_silent(before)]
        self._open[event.key] = event
        if len(self._open) > OPEN_LIMIT:
            closed.append(_silent(self._open.pop(next(iter(self._open)))))
        return closed

    def finish(self) -> Iterator[Pair]:
        """The requests that are still open at the end of the trace."""
        while self._open:
            yield _silent(self._open.pop(next(iter(self._open))))


def _unasked(event: Event) -> Pair:
    return Pair(None, event, State.UNPAIRED, "no request")


def _silent(event: Event) -> Pair:
    """A request without a response: for a termination, that is how it ends."""
    why = why_silent(event.msr, event.code, event.word if event.msr else event.info1)
    return Pair(event, None, State.FAILED if why else State.UNPAIRED, why or "no response")


def _judged(request: Event, response: Event) -> Pair:
    if request.msr:
        failed, why = judge_msr(request.word, response.word, response.result)
    elif silent := why_silent(False, request.code, request.info1):
        failed, why = True, silent
    else:
        failed, why = judge_exit(response.code, response.info1, response.info2)
    return Pair(request, response, State.FAILED if failed else State.ANSWERED, why)
