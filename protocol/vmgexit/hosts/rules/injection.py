"""Exits of restricted and alternate injection, of VMPLs and of the secure AVIC, as their rows say."""

from __future__ import annotations

from ...descriptions import U32
from ...wire.ap_creation import ApicIdList, ApicIdListEntry, apic_id_list_pages
from ...wire.apic import ApicIcr
from ...wire.exit_codes import ExitCode, MalformedInput
from ...wire.injection import (
    NO_PAGE,
    SELF,
    ConfigureInjection,
    DisableInjection,
    DoorbellInfo,
    DoorbellOperation,
    RunVmpl,
    SecureAvicInfo,
    SecureAvicOperation,
    SpecificEoi,
)
from ...wire.page_size import PAGE
from ..request import CarryOut, Refused, Request
from ..vm import Vcpu


def doorbell(request: Request) -> None:
    cpu, quirks = request.cpu, request.quirks
    try:
        operation = request.sound(DoorbellInfo, request.sw_exit_info_1).operation
    except Refused:
        if quirks.unknown_doorbell_operation_forgets:
            cpu.doorbell = None
        raise
    if operation == DoorbellOperation.CLEAR:
        cpu.doorbell = None
        return
    if operation == DoorbellOperation.SET:
        try:
            cpu.doorbell = _page(request)
        except Refused:
            if quirks.bad_doorbell_set_forgets:
                cpu.doorbell = None
            raise
    address = None if operation == DoorbellOperation.GET_PREFERRED else cpu.doorbell
    request.detail = NO_PAGE if address is None else address


def _page(request: Request) -> int:
    """SW_EXITINFO2 as the address of a page of guest memory."""
    address = request.aligned(request.sw_exit_info_2)
    if not request.vm.memory.holds(address, PAGE):
        raise Refused(MalformedInput.INVALID_INPUT)
    return address


def ipi(request: Request) -> None:
    request.ask("ipi", int(request.sound(ApicIcr, request.sw_exit_info_1)))


def apic_id_list(request: Request) -> None:
    ids = [ApicIdListEntry(apic_id=cpu.apic_id) for cpu in request.vm.vcpus]
    needed = apic_id_list_pages(len(ids))
    fits = request.rax >= needed
    if fits:
        data = ApicIdList(entries=ids).encode()
        address = request.aligned(request.sw_exit_info_1)
        if not request.vm.memory.holds(address, len(data)):
            raise Refused(MalformedInput.INVALID_INPUT)
        request.write_memory(address, data)
    if not (fits and request.quirks.apic_ids_keep_rax):
        request.results["rax"] = needed


def run_vmpl(request: Request) -> None:
    asked = request.sw_exit_info_1
    if request.quirks.run_vmpl_low_half:
        asked &= U32
    vmpl = request.sound(RunVmpl, asked).vmpl
    if not request.cpu.has(vmpl):
        raise Refused(MalformedInput.INVALID_INPUT)
    request.cpu.vmpl = vmpl
    request.ask("run-vmpl", vmpl)


def secure_avic(request: Request) -> None:
    info = request.sound(SecureAvicInfo, request.sw_exit_info_1)
    cpu = _target(request)
    if info.operation == SecureAvicOperation.REGISTER:
        cpu.avic_page = request.aligned(request.field("rbx"))
    else:
        request.results["rbx"] = NO_PAGE if cpu.avic_page is None else cpu.avic_page
        cpu.avic_page = None


def _target(request: Request) -> Vcpu:
    if request.rax == SELF:
        return request.cpu
    if request.rax >= len(request.vm.vcpus):
        raise Refused(MalformedInput.INVALID_INPUT)
    return request.vm.vcpus[request.rax]


def configure_injection(request: Request) -> None:
    vector = request.sound(ConfigureInjection, request.sw_exit_info_1).vector
    request.cpu.notify_vector = vector


def disable_alternate_injection(request: Request) -> None:
    info = request.sound(DisableInjection, request.sw_exit_info_1)
    flags = int(info.interrupts_enabled), int(info.interrupt_shadow)
    request.ask("hand-over", info.vmpl, *flags, info.tpr)


def specific_eoi(request: Request) -> None:
    info = request.sound(SpecificEoi, request.sw_exit_info_1)
    request.ask("eoi", info.vmpl, info.vector)


EXITS: dict[int, CarryOut] = {
    ExitCode.HV_DOORBELL_PAGE: doorbell,
    ExitCode.HV_IPI: ipi,
    ExitCode.APIC_ID_LIST: apic_id_list,
    ExitCode.SNP_RUN_VMPL: run_vmpl,
    ExitCode.SECURE_AVIC: secure_avic,
    ExitCode.CONFIGURE_INJECTION: configure_injection,
    ExitCode.DISABLE_ALTERNATE_INJECTION: disable_alternate_injection,
    ExitCode.SPECIFIC_EOI: specific_eoi,
}
