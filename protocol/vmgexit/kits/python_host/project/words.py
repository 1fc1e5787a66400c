"""The words in the GHCB MSR that the small host answers."""

from __future__ import annotations

from kit.adapter import Run
from kit.layouts import (
    GhcbInfoCode,
    GhcbMsr,
    GhcbMsrPageStateRequest,
    GhcbMsrPageStateResponse,
    GhcbMsrRegisterGpaRequest,
    GhcbMsrRegisterGpaResponse,
    GhcbMsrSevInfoResponse,
    PageOperationCode,
    get,
    put,
)
from kit.vm import GUEST, PAGE, PRIVATE, Vm

REFUSED = (1 << 64) - 1  # all ones, where a frame is not registered
FAILED = 0x8000_0000  # KVM's general failure


def knows(vm: Vm, word: int) -> bool:
    info = get(word, GhcbMsr.INFO)
    if info in (GhcbInfoCode.REGISTER_GPA_REQUEST, GhcbInfoCode.PAGE_STATE_REQUEST):
        return vm.setup.snp
    return info in (GhcbInfoCode.SEV_INFO_REQUEST, GhcbInfoCode.TERMINATION_REQUEST)


def answer(vm: Vm, cpu: int, word: int) -> tuple[Run, int]:
    info = get(word, GhcbMsr.INFO)
    if info == GhcbInfoCode.TERMINATION_REQUEST:
        return ["terminate", word], word
    if info == GhcbInfoCode.REGISTER_GPA_REQUEST:
        frame = get(word, GhcbMsrRegisterGpaRequest.FRAME)
        if vm.is_memory(frame * PAGE, PAGE):
            vm.vcpus[cpu].registered = frame * PAGE
        else:
            frame = REFUSED
        code = GhcbInfoCode.REGISTER_GPA_RESPONSE
        return GUEST, put(code, GhcbMsrRegisterGpaResponse.FRAME, frame)
    if info == GhcbInfoCode.PAGE_STATE_REQUEST:
        error = 0 if page_state(vm, word) else FAILED
        code = GhcbInfoCode.PAGE_STATE_RESPONSE
        return GUEST, put(code, GhcbMsrPageStateResponse.ERROR, error)
    told = put(GhcbInfoCode.SEV_INFO_RESPONSE, GhcbMsrSevInfoResponse.MIN_VERSION, 1)
    told = put(told, GhcbMsrSevInfoResponse.MAX_VERSION, vm.setup.ghcb_version)
    return GUEST, put(told, GhcbMsrSevInfoResponse.C_BIT, vm.setup.c_bit)


def page_state(vm: Vm, word: int) -> bool:
    """Make a page private or shared."""
    operation = get(word, GhcbMsrPageStateRequest.OPERATION)
    is_private = operation == PageOperationCode.PRIVATE
    if not (is_private or operation == PageOperationCode.SHARED) or not vm.setup.map_exit:
        return False
    gpa = get(word, GhcbMsrPageStateRequest.FRAME) * PAGE
    return vm.ask_map(gpa, 1, PRIVATE if is_private else 0)
