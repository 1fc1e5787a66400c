"""vCPUs and the VM: creating and holding APs, the jump table, features, NMIs, termination."""

from __future__ import annotations

from ...descriptions import U32
from ...wire.ap_creation import ApCreation, ApJumpTableInfo, ApOperation, JumpTableOperation
from ...wire.exit_codes import ExitCode, MalformedInput
from ...wire.page_size import LARGE_PAGE, PAGE
from ..request import INVALID, CarryOut, Refused, Request, Stop
from ..vm import Vmsa


def nmi_complete(request: Request) -> None:
    request.ask("nmi-unmask")


def ap_reset_hold(request: Request) -> None:
    request.detail = request.hold(request.gpa)


def ap_jump_table(request: Request) -> None:
    info = request.sound(ApJumpTableInfo, request.sw_exit_info_1)
    if info.operation == JumpTableOperation.SET:
        request.vm.jump_table = request.sw_exit_info_2
    else:
        request.detail = request.vm.jump_table


def ap_creation(request: Request) -> None:
    vm, vmsa = request.vm, request.sw_exit_info_2
    asked, apic_id = request.sw_exit_info_1 & U32, request.sw_exit_info_1 >> 32
    operation, vmpl = asked, 0
    if not request.quirks.ap_vmpl_not_known:
        info = request.sound(ApCreation, request.sw_exit_info_1)
        operation, vmpl = info.operation, info.vmpl
    if apic_id >= len(vm.vcpus) or operation > ApOperation.DESTROY:
        raise Refused(MalformedInput.INVALID_INPUT)
    target = vm.vcpus[apic_id]
    if (
        request.quirks.ap_vmpl_0_guarded
        and not vmpl
        and (target is request.cpu or request.cpu.vmpl)
    ):
        raise Refused(MalformedInput.INVALID_INPUT)
    vmsas = target.vmsas
    if operation == ApOperation.DESTROY:
        vmsas.pop(vmpl, None)
        request.ask("ap", asked, apic_id, None)
        return
    features = request.rax
    others = request.quirks.ap_features_compared and features != vm.features_of(vmpl, features)
    misplaced = vmsa % PAGE or vmsa % LARGE_PAGE == 0 or vmsa >> vm.setup.address_bits
    if others or misplaced:
        raise Refused(MalformedInput.INVALID_INPUT)
    vmsas[vmpl] = Vmsa(vmsa, features, starts=operation == ApOperation.CREATE)
    request.ask("ap", asked, apic_id, vmsa)


def hypervisor_features(request: Request) -> None:
    request.detail = request.features


def termination_request(request: Request) -> None:
    raise Stop("terminate", request.gpa)


def unsupported_event(request: Request) -> None:
    if request.quirks.unsupported_event_ends_run:
        raise Stop("error", INVALID)


EXITS: dict[int, CarryOut] = {
    ExitCode.NMI_COMPLETE: nmi_complete,
    ExitCode.AP_RESET_HOLD: ap_reset_hold,
    ExitCode.AP_JUMP_TABLE: ap_jump_table,
    ExitCode.SNP_AP_CREATION: ap_creation,
    ExitCode.HYPERVISOR_FEATURES: hypervisor_features,
    ExitCode.TERMINATION_REQUEST: termination_request,
    ExitCode.UNSUPPORTED_EVENT: unsupported_event,
}
