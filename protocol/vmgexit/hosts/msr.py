"""The GHCB MSR protocol: the word that a host answers to each request."""

from __future__ import annotations

from collections.abc import Callable

from ..wire.ghcb_msr import (
    NO_FRAME,
    ApResetHoldResponse,
    CpuidRequest,
    CpuidResponse,
    GhcbInfo,
    PageOperation,
    PageStateRequest,
    PageStateResponse,
    PreferredGpaResponse,
    RegisterGpaRequest,
    RegisterGpaResponse,
    RunVmplRequest,
    RunVmplResponse,
    SevInfoResponse,
    UnregisterGpaResponse,
)
from ..wire.page_size import PAGE
from .asked import PRIVATE_ATTRIBUTE
from .quirks import Quirks
from .request import INVALID, Services, Stop

NO_SUCH_VMPL = 1  # KVM planes series; no other source names an error
FAILED = 0x80000000  # KVM's general failure


def answer(host: Services, request: int) -> int:
    """The word after a request. Raises Stop."""
    info = request & 0xFFF
    if _is_unknown(info, host.quirks):
        return request
    if info in NEEDS_SNP and not host.vm.setup.snp:
        if host.quirks.msr_es_guest_terminated:
            raise Stop("terminate", request)
        return request
    carry_out = WORDS.get(info)
    return request if carry_out is None else carry_out(host, request)


def _is_unknown(info: int, quirks: Quirks) -> bool:
    """Whether a KVM knows nothing of a request that the reference answers."""
    if info == GhcbInfo.RUN_VMPL_REQUEST:
        return quirks.msr_run_vmpl_unchanged
    return info == GhcbInfo.UNREGISTER_GPA_REQUEST and quirks.msr_unknown_unchanged


def _versions(host: Services, request: int) -> int:
    setup = host.vm.setup
    return int(SevInfoResponse(c_bit=setup.c_bit, min_version=1, max_version=setup.ghcb_version))


def _cpuid(host: Services, request: int) -> int:
    asked = CpuidRequest.of(request)
    value = host.cpuid(asked.function, 0)[asked.register]
    response = CpuidResponse(register=asked.register, value=value)
    if host.quirks.msr_cpuid_keeps_reserved:
        response.reserved_29_12 = asked.reserved_29_12
    return int(response)


def _hold(host: Services, request: int) -> int:
    return int(ApResetHoldResponse(released=host.hold()))


def _preferred(host: Services, request: int) -> int:
    return int(PreferredGpaResponse(frame=NO_FRAME))


def _register(host: Services, request: int) -> int:
    frame = RegisterGpaRequest.of(request).frame
    there = host.vm.memory.holds(frame * PAGE, PAGE)
    if not there and not host.quirks.msr_any_frame_registered:
        return int(RegisterGpaResponse(frame=NO_FRAME))
    host.cpu.registered = frame * PAGE
    return int(RegisterGpaResponse(frame=frame))


def _unregister(host: Services, request: int) -> int:
    held, host.cpu.registered = host.cpu.registered, 0
    return int(UnregisterGpaResponse(frame=held // PAGE if held else NO_FRAME))


def _page_state(host: Services, request: int) -> int:
    asked = PageStateRequest.of(request)
    private = asked.operation == PageOperation.PRIVATE
    done = (
        (private or asked.operation == PageOperation.SHARED)
        and host.vm.setup.map_exit
        and host.map(asked.frame * PAGE, 1, PRIVATE_ATTRIBUTE * private)
    )
    return int(PageStateResponse(error=0 if done else FAILED))


def _run_vmpl(host: Services, request: int) -> int:
    vmpl = RunVmplRequest.of(request).vmpl
    if vmpl > 3:
        return int(RunVmplResponse(error=NO_SUCH_VMPL))
    if not host.cpu.has(vmpl):
        if host.quirks.msr_missing_vmpl_ends_run:
            raise Stop("error", INVALID)
        return int(RunVmplResponse(error=NO_SUCH_VMPL))
    host.cpu.vmpl = vmpl
    host.ask("run-vmpl", vmpl)
    return int(RunVmplResponse())


def _features(host: Services, request: int) -> int:
    return host.features << 12 | GhcbInfo.FEATURES_RESPONSE


def _terminate(host: Services, request: int) -> int:
    raise Stop("terminate", request)


NEEDS_SNP = (
    GhcbInfo.PREFERRED_GPA_REQUEST,
    GhcbInfo.REGISTER_GPA_REQUEST,
    GhcbInfo.PAGE_STATE_REQUEST,
    GhcbInfo.RUN_VMPL_REQUEST,
)

WORDS: dict[int, Callable[[Services, int], int]] = {
    GhcbInfo.SEV_INFO_REQUEST: _versions,
    GhcbInfo.CPUID_REQUEST: _cpuid,
    GhcbInfo.AP_RESET_HOLD_REQUEST: _hold,
    GhcbInfo.PREFERRED_GPA_REQUEST: _preferred,
    GhcbInfo.REGISTER_GPA_REQUEST: _register,
    GhcbInfo.PAGE_STATE_REQUEST: _page_state,
    GhcbInfo.RUN_VMPL_REQUEST: _run_vmpl,
    GhcbInfo.UNREGISTER_GPA_REQUEST: _unregister,
    GhcbInfo.FEATURES_REQUEST: _features,
    GhcbInfo.TERMINATION_REQUEST: _terminate,
}
"""The requests by their code. A word of any other code stays as it is."""
