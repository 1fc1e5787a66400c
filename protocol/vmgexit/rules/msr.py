"""Judging two values of the GHCB MSR: whether the second answers the first.

The words themselves are declared in `wire.ghcb_msr`.
"""

from __future__ import annotations

from ..schema import Bits, named
from ..wire.ghcb_msr import (
    NO_FRAME,
    RESPONSE_TO,
    ApResetHoldResponse,
    CpuidRequest,
    CpuidResponse,
    GhcbInfo,
    PageStateResponse,
    RegisterGpaRequest,
    RegisterGpaResponse,
    RunVmplResponse,
    SevInfoResponse,
    decode_msr,
)


def _word(value: int | Bits) -> tuple[int, Bits]:
    number = int(value)
    return number, decode_msr(number)


def _code(value: int) -> str:
    member = named(value, GhcbInfo)
    return f"{value:#05x} {member.name}" if isinstance(member, GhcbInfo) else f"{value:#05x}"


def pair(request: int | Bits, response: int | Bits) -> str:
    """Why `response` does not answer `request`; "" if it does, be it by a refusal.

    Both are the MSR's value or a decoded word. Source: COCONUT-SVSM msr_protocol.rs (InfoMismatch,
    DataMismatch), Linux arch/x86/coco/sev/shared.c; that KVM leaves an unknown request in place:
    arch/x86/kvm/svm/sev.c.
    """
    asked, wanted = _word(request)
    given, answer = _word(response)
    code, found = asked & 0xFFF, given & 0xFFF
    if code not in RESPONSE_TO:
        return f"{_code(code)} is not a request that has a response"
    if given == asked:
        return f"the host left the request in place: {_code(code)} is not known to it"
    if found != RESPONSE_TO[code]:
        return f"{_code(found)} found, {_code(RESPONSE_TO[code])} expected"
    match wanted, answer:
        case CpuidRequest(), CpuidResponse() if answer.register != wanted.register:
            return f"register {int(answer.register)} found, {int(wanted.register)} asked for"
        case RegisterGpaRequest(), RegisterGpaResponse() if answer.frame not in (
            wanted.frame,
            NO_FRAME,
        ):
            return f"frame {answer.frame:#x} registered, {wanted.frame:#x} asked for"
    return ""


def failure(response: int | Bits) -> str:
    """What `response` refuses or fails to do; "" for a success."""
    _, answer = _word(response)
    match answer:
        case ApResetHoldResponse(released=0):
            return "the hold failed"
        case RegisterGpaResponse(frame=frame) if frame == NO_FRAME:
            return "the host refused the page"
        case PageStateResponse(error=error) | RunVmplResponse(error=error) if error:
            return f"error {error:#x}"
        case SevInfoResponse() if answer.min_version > answer.max_version:
            return "the host speaks no version"
    return ""
