"""What must hold before an exit is carried out: usage, valid bits, the exit code, its inputs."""

from __future__ import annotations

from ..wire.ap_creation import ApOperation
from ..wire.exit import Exit, Need, Where
from ..wire.exit_codes import ExitCode, MalformedInput
from ..wire.exits import find_exit
from ..wire.ghcb import ALWAYS_VALID, GhcbUsage
from .quirks import Quirks
from .request import INVALID, Refused, Request, Stop

LATER = range(ExitCode.HV_DOORBELL_PAGE, ExitCode.HYPERVISOR_FEATURES)
"""The exits that KVM does not know."""

OF_PLANES = (
    ExitCode.HV_DOORBELL_PAGE,
    ExitCode.HV_IPI,
    ExitCode.APIC_ID_LIST,
    ExitCode.SNP_RUN_VMPL,
)
"""Those of them that the planes series brings."""

SNP_ONLY = {*range(ExitCode.SNP_PAGE_STATE_CHANGE, ExitCode.HYPERVISOR_FEATURES)} - {
    ExitCode.APIC_ID_LIST  # KVM planes patch 56 answers it to any guest
}


def checked(request: Request) -> Exit:
    """The row of the exit that a page asks for. Raises Refused or Stop."""
    vm, quirks = request.vm, request.quirks
    if vm.setup.snp and request.gpa != request.cpu.registered:
        if quirks.unregistered_page_ends_run:
            raise Stop("error", INVALID)
        raise Refused(MalformedInput.NOT_REGISTERED)
    if request.usage != GhcbUsage.STANDARD:
        raise Refused(MalformedInput.INVALID_USAGE)
    if not all(map(request.is_marked, ALWAYS_VALID)):
        raise Refused(MalformedInput.MISSING_INPUT)
    row = _row(request)
    if any(not request.is_marked(need.field) for need in row.needs if _applies(need, row, request)):
        raise Refused(MalformedInput.MISSING_INPUT)
    if request.version < row.since and not quirks.version_field_ignored:
        raise Refused(MalformedInput.INVALID_INPUT)
    return row


def _row(request: Request) -> Exit:
    code = request.field("sw_exit_code")
    row = find_exit(code)
    if row is None or row.where is not Where.GHCB:
        raise Refused(MalformedInput.INVALID_EVENT)
    if code in LATER and _is_unknown(code, request.quirks):
        raise Refused(MalformedInput.INVALID_EVENT)
    if code in SNP_ONLY and not request.vm.setup.snp:
        missing = request.quirks.snp_exits_in_es_guest_missing
        raise Refused(MalformedInput.MISSING_INPUT if missing else MalformedInput.INVALID_EVENT)
    return row


def _is_unknown(code: int, quirks: Quirks) -> bool:
    """Whether a KVM knows nothing of one of the later exits."""
    beyond = quirks.events_beyond_planes_unknown and code not in OF_PLANES
    return quirks.later_events_unknown or beyond


def _applies(need: Need, row: Exit, request: Request) -> bool:
    """Whether an exit needs a field."""
    quirks = request.quirks
    if need.field == "xcr0" and quirks.cpuid_xcr0_by_64_bits:
        return request.rax == 0xD
    match row.code:
        case ExitCode.MSR if need.test is not None and quirks.msr_any_nonzero_writes:
            return request.sw_exit_info_1 != 0
        case ExitCode.SNP_EXTENDED_GUEST_REQUEST if quirks.certificates_only_for_reports:
            return False
        case ExitCode.SNP_EXTENDED_GUEST_REQUEST if quirks.certificate_area_missing_is_invalid:
            return False
        case ExitCode.SNP_AP_CREATION if quirks.ap_vmpl_not_known:
            return request.sw_exit_info_1 & 0xFFFFFFFF != ApOperation.DESTROY
    return need.applies(request)
