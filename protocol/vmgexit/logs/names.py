"""Names for the numbers of a trace: an exit's information words, MSR protocol values, and outcomes.

Everything is read through the declarations of `wire`. A trace repeats itself, so readings are kept;
how many is bounded.

What KVM's tracepoints cannot show is not called a failure. An MSR request that KVM leaves to user
space is traced before the answer is there, and the release from an AP reset hold is written later
than it is traced (Linux arch/x86/kvm/svm/sev.c).
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ..rules.exit_notes import set_fields
from ..rules.msr import failure, pair
from ..schema import Bits, members
from ..wire.exit import Exit, Where, Word
from ..wire.exit_codes import ExitCode, ExitError, ExitStatus, Status
from ..wire.exits import exit_text, find_exit
from ..wire.ghcb_msr import (
    ApResetHoldResponse,
    GhcbInfo,
    SevInfoResponse,
    TerminationRequest,
    decode_msr,
)
from ..wire.guest_message import GuestRequestResult
from ..wire.page_state import PscErrorClass, PscResult
from ..wire.termination import TerminationInfo, reason
from ..wire.vmsa import EventInj

KEPT = 4096  # readings of each kind

_STALE = Word("left from the request, which gets no answer", value=True)

FAILS_UNLESS_ZERO = (PscResult, GuestRequestResult)
"""Results in SW_EXITINFO2 that tell of a failure although the status is DONE."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One number in names."""

    value: int
    meaning: str  # what the number stands for; "" where the exit has no use for it
    held: Bits | None  # where there is a layout
    text: str  # on one line; "" where there is nothing to say
    problems: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        fields = None if self.held is None else self.held.as_dict()
        return {"value": self.value, "meaning": self.meaning, "fields": fields}


def msr_name(code: int) -> str:
    """The name of the low 12 bits of the GHCB MSR; hex where they have none."""
    member = members(GhcbInfo).get(code)
    return f"{code:#05x}" if member is None else member.name


@lru_cache(KEPT)
def read_request(code: int, info1: int, info2: int) -> tuple[Reading, Reading, tuple[str, ...]]:
    """Both information words of a request, and what is wrong with the code itself."""
    row = find_exit(code)
    if row is None:
        shown = Word("not known", value=True)
        return _word("info1", info1, shown), _word("info2", info2, shown), ("not a known exit",)
    wrong = () if row.where is Where.GHCB else (f"not for a GHCB: {row.direction}",)
    return _word("info1", info1, row.info1), _word("info2", info2, row.info2), wrong


def _word(label: str, value: int, word: Word) -> Reading:
    if word.layout is not None:
        return _bits(value, word.meaning, word.layout.of(value))
    if word.value:
        of = f" {exit_text(value)}" if word.is_code else ""
        return Reading(value, word.meaning, None, f"{label}={value:#x}{of}", ())
    if not value:
        return Reading(value, "", None, "", ())
    return Reading(value, "", None, f"{label}={value:#x}", (f"{label}: 0 expected",))


def _bits(value: int, meaning: str, held: Bits) -> Reading:
    problems = tuple(str(problem) for problem in held.problems())
    return Reading(value, meaning, held, fields_text(held), problems)


def fields_text(held: Bits) -> str:
    """The fields that are not 0, as `port=0x3f8, size_8`; what SAID has, in words."""
    for layout, say in SAID.items():
        if isinstance(held, layout):
            return say(held)
    return set_fields(held)


def _reason(held: TerminationInfo | TerminationRequest) -> str:
    numbers = f"set {int(held.reason_set):#x}, code {held.reason_code:#x}"
    named = reason(held.reason_set, held.reason_code)
    return named if named.startswith("set ") else f"{named} ({numbers})"


def _first_note(held: Bits) -> str:
    return next((note.text for note in held.notes()), "")


def _psc_result(held: PscResult) -> str:
    named = f"{held.error.name}: " if isinstance(held.error, PscErrorClass) and held.error else ""
    return named + _first_note(held)


SAID: dict[type[Bits], Callable[[Any], str]] = {
    TerminationInfo: _reason,
    TerminationRequest: _reason,
    SevInfoResponse: _first_note,
    PscResult: _psc_result,
}
"""Words of which a sentence says more than their fields."""


@lru_cache(KEPT)
def read_msr(word: int) -> Reading:
    """A value of the GHCB MSR."""
    held = decode_msr(word)
    return _bits(word, held.declaration.title, held)


@lru_cache(KEPT)
def read_answer(code: int, info1: int, info2: int) -> tuple[Reading, Reading]:
    """Both information words of a response: how the exit ended, and what with."""
    if code == ExitCode.TERMINATION_REQUEST:  # KVM does not answer it: the words are the request's
        return (_word("info1", info1, _STALE), _word("info2", info2, _STALE))
    status = ExitStatus.of(info1)
    first = _bits(info1, "how the exit ended", status)
    if status.status == Status.MALFORMED_INPUT:
        return first, _bits(info2, "why the request was malformed", ExitError.of(info2))
    if status.status == Status.RAISE_EVENT:
        return first, _bits(info2, "event for the guest", EventInj.of(info2))
    row: Exit | None = find_exit(code)
    result = Word("not known", value=True) if row is None else row.result
    return first, _word("result", info2, result)


@lru_cache(KEPT)
def judge_exit(code: int, info1: int, info2: int) -> tuple[bool, str]:
    """Whether a response with these words tells of a failure, and which."""
    status = info1 & 0xFFFFFFFF
    if status != Status.DONE:
        known = members(Status).get(status)
        name = f"status {status:#x}" if known is None else known.name
        return True, f"{name}: {read_answer(code, info1, info2)[1].text}"
    row = find_exit(code)
    if row is not None and row.result.layout in FAILS_UNLESS_ZERO and info2:
        return True, read_answer(code, info1, info2)[1].text
    return False, ""


@lru_cache(KEPT)
def judge_msr(request: int, response: int, result: int) -> tuple[bool, str]:
    """Whether KVM's answer to an MSR request is a failure, and which; else a remark or ""."""
    if silent := why_silent(True, request & 0xFFF, request):
        return True, silent
    if result < 0:
        return True, f"KVM returned {errno.errorcode.get(-result, str(result))}"
    if response == request and result == 0:
        return False, "left to user space, whose answer is not traced"
    if mismatch := pair(request, response):
        return True, mismatch
    held = decode_msr(response)
    if isinstance(held, ApResetHoldResponse) and not held.released:
        return False, "on hold; the release is not traced"
    refused = failure(response)
    return bool(refused), refused


def why_silent(msr: bool, code: int, word: int) -> str:
    """Why a request gets no response; "" for those that are due one."""
    if code != (GhcbInfo.TERMINATION_REQUEST if msr else ExitCode.TERMINATION_REQUEST):
        return ""
    layout = TerminationRequest if msr else TerminationInfo
    return f"the guest gave up: {fields_text(layout.of(word))}"
