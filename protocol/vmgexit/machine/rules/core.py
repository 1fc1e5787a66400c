"""The calls of the core protocol that work on guest memory: calling areas, PVALIDATE, vCPUs.

Facts: COCONUT-SVSM kernel/src/protocols/core.rs.
"""

from __future__ import annotations

from ...wire.core import CreateVcpuApicId, PvalidateEntry, PvalidateHeader
from ...wire.page_size import LARGE_PAGE, PAGE
from ...wire.rmp import PageSize, PageStatus
from ...wire.svsm import ResultCode
from ...wire.vmsa import EFER_SVME
from ..memory.instructions import LOWEST_VMPL, SIZES, pvalidate
from ..memory.layout import GUEST_VMPL
from ..memory.registry import END, HEAD, Home, Registration
from ..memory.rmp import READ, permissions
from ..memory.words import EFER, FEATURES, VMPL_BYTE, words
from ..quirks import Quirks
from ..vm import Assertion, Vcpu
from . import apic
from .operands import (
    PROTOCOLS_OWN,
    Refused,
    adjust,
    faults_on_adjusting,
    grant,
    memory_of,
    reach,
    registry_of,
    require_free,
    require_success,
    revoke,
)

Result = ResultCode

_LEGACY = range(0xA0000, 0x100000)
"""Addresses below 1 MiB that are read-only or a device's on a PC."""

_NOT_VALIDATED = PROTOCOLS_OWN + PageStatus.FAIL_INPUT


# --- calling areas -----------------------------------------------------------------------------------


def remap(cpu: Vcpu, address: int) -> None:
    """REMAP_CA: use another page as calling area. Its head becomes zero."""
    if address % PAGE:
        raise Refused(Result.INVALID_PARAMETER)
    if address != cpu.home.calling_area or cpu.vm.quirks.remap_to_current_refused:
        if address + PAGE >= END:
            raise Refused(Result.INVALID_ADDRESS)
        require_free(cpu, address, HEAD)
    reach(cpu, address, HEAD)
    memory_of(cpu).writable(address)[:HEAD] = bytes(HEAD)
    if cpu.vm.emulated(cpu):
        apic.leave_calling_area(cpu)
    if address == cpu.mapped.calling_area:
        cpu.calling.no_eoi_required = 0  # a part of the head
    for one in registry_of(cpu).entries:
        if one.calling_area == cpu.home.calling_area:
            one.calling_area = address
    cpu.home = Home(cpu.home.vmsa, address)


# --- PVALIDATE ---------------------------------------------------------------------------------------


def pvalidate_list(cpu: Vcpu, address: int) -> None:
    """PVALIDATE: do the entries of a list from the next one on, until one is refused."""
    memory = memory_of(cpu)
    header_size = PvalidateHeader.size
    if address % header_size:
        raise Refused(Result.INVALID_PARAMETER)
    page = address & -PAGE
    if page + PAGE >= END:
        raise Refused(Result.INVALID_ADDRESS)
    require_free(cpu, address, header_size)
    reach(cpu, address, header_size)
    header = PvalidateHeader.decode(memory.read(address, header_size))
    room = (PAGE - address % PAGE - header_size) // PvalidateEntry.size
    if not header.next < header.entries <= room:
        raise Refused(Result.INVALID_PARAMETER)
    require_free(cpu, address + header_size, header.entries * PvalidateEntry.size)
    code = None
    while header.next < header.entries and code is None:
        at = address + header_size + header.next * PvalidateEntry.size
        try:
            _reach_list(cpu, at)
            word = words(memory.writable(page))[(at - page) // PvalidateEntry.size]
            _validate_entry(cpu, PvalidateEntry.of(word), page)
            header.next += 1
        except Refused as refused:
            code = refused.code
    _reach_list(cpu, address)
    memory.write(address, header.encode())
    if code is not None:
        raise Refused(code)


def _reach_list(cpu: Vcpu, address: int) -> None:
    """Touch the list, of which an entry may have taken the page away."""
    page = address & -PAGE
    if memory_of(cpu).is_usable(page):
        return
    if cpu.vm.quirks.list_invalidates_itself and memory_of(cpu).is_mine(page):
        raise Assertion(f"#VC at {address:#x}, in the list")
    reach(cpu, address, 1)


def _validate_entry(cpu: Vcpu, entry: PvalidateEntry, list_page: int) -> None:
    address, size = entry.frame * PAGE, entry.page_size
    if entry.reserved_11_4 or size not in SIZES or address % SIZES[size]:
        raise Refused(Result.INVALID_PARAMETER)
    length = SIZES[size]
    require_free(cpu, address, length)
    names_itself = address <= list_page < address + length
    if names_itself and not _may_name_itself(cpu.vm.quirks, entry):
        raise Refused(Result.INVALID_ADDRESS)
    if entry.validate:
        wipes = names_itself or cpu.vm.quirks.ignore_cf_wipes
        _validate(cpu, address, size, ignore_cf=entry.ignore_cf, wipes=wipes)
    else:
        _invalidate(cpu, address, size, ignore_cf=entry.ignore_cf)


def _may_name_itself(quirks: Quirks, entry: PvalidateEntry) -> bool:
    """Whether an entry may be about the page that the list is in."""
    if entry.validate:
        return quirks.list_cleared_while_read
    return quirks.list_invalidates_itself


def _validate(cpu: Vcpu, address: int, size: int, *, ignore_cf: bool, wipes: bool) -> None:
    memory, registry, quirks = memory_of(cpu), registry_of(cpu), cpu.vm.quirks
    length = SIZES[size]
    status, unchanged = pvalidate(memory, address, size, valid=True)
    require_success(status)
    if unchanged and not ignore_cf:
        raise Refused(Result.FAIL_NOCHANGE)
    if not (unchanged or quirks.validated_twice) and registry.noted(address, length):
        # The page that was validated here is still so, wherever the host keeps it.
        pvalidate(memory, address, size, valid=False)
        raise Refused(Result.FAIL_NOCHANGE)
    registry.note(address, length, valid=True)
    kept = unchanged and not wipes
    if not kept and not (address in _LEGACY and quirks.legacy_range_not_cleared):
        memory.pages.clear(memory.backed_by(address), length)
        memory.did.append(["zero", address, length])
    grant(cpu, address, size)


def _invalidate(cpu: Vcpu, address: int, size: int, *, ignore_cf: bool) -> None:
    memory, quirks = memory_of(cpu), cpu.vm.quirks
    try:
        revoke(cpu, address, size)
    except Refused as refused:
        if faults_on_adjusting(cpu, refused) and quirks.invalidate_twice_stops:
            raise Assertion(f"#VC at {address:#x}, RMPADJUST of a page not validated") from None
        if refused.code != _NOT_VALIDATED or quirks.ignore_cf_unused_on_invalidate:
            raise
    status, unchanged = pvalidate(memory, address, size, valid=False)
    require_success(status)
    if unchanged and not ignore_cf:
        raise Refused(Result.FAIL_NOCHANGE)
    if not unchanged:
        registry_of(cpu).note(address, SIZES[size], valid=False)
    memory.did.append(["flush", address, size])


# --- vCPUs -------------------------------------------------------------------------------------------


def create_vcpu(cpu: Vcpu, vmsa: int, calling_area: int, apic_id: int) -> None:
    """CREATE_VCPU: a vCPU goes on in a new VMSA when it next runs."""
    quirks, registry = cpu.vm.quirks, registry_of(cpu)
    if vmsa % PAGE or calling_area % PAGE:
        if quirks.unaligned_codes_differ:
            raise Refused(Result.INVALID_ADDRESS)
        raise Refused(Result.INVALID_PARAMETER)
    if vmsa == calling_area or not (vmsa % LARGE_PAGE or quirks.vmsa_at_2m):
        raise Refused(Result.INVALID_ADDRESS)
    require_free(cpu, vmsa, PAGE)
    require_free(cpu, calling_area, PAGE)
    wanted = CreateVcpuApicId.of(apic_id).apic_id
    target = next((other for other in cpu.vm.vcpus if other.apic_id == wanted), None)
    if target is None:
        raise Refused(Result.INVALID_PARAMETER)
    if not quirks.unvalidated_calling_area_accepted:
        reach(cpu, calling_area, HEAD)
    new = Registration(vmsa, calling_area, target.index, guest_owned=True)
    registry.entries.append(new)
    try:
        _take_as_vmsa(cpu, vmsa)
    except Refused:
        memory_of(cpu).did.append(["flush_all"])
        registry.entries.remove(new)
        raise
    new.in_use = True
    target.home = Home(vmsa, calling_area)


def _take_as_vmsa(cpu: Vcpu, vmsa: int) -> None:
    """Take the page from the guest, look at what it holds, and make it a VMSA."""
    memory, quirks = memory_of(cpu), cpu.vm.quirks
    before = memory.entry(vmsa)
    try:
        revoke(cpu, vmsa, PageSize.SIZE_4K)
    except Refused as refused:
        if faults_on_adjusting(cpu, refused) and quirks.unvalidated_operand_stops:
            raise Assertion(f"#VC at {vmsa:#x}, RMPADJUST of a page not validated") from None
        raise
    memory.did.append(["flush", vmsa, int(PageSize.SIZE_4K)])
    if not _is_startable(cpu, vmsa):
        if quirks.refused_create_changes_permissions:
            revoke(cpu, vmsa, PageSize.SIZE_4K)
            grant(cpu, vmsa, PageSize.SIZE_4K)
        else:
            for vmpl in range(GUEST_VMPL, LOWEST_VMPL + 1):
                adjust(cpu, vmsa, PageSize.SIZE_4K, vmpl, permissions(before, vmpl))
        raise Refused(Result.INVALID_PARAMETER)
    revoke(cpu, vmsa, PageSize.SIZE_4K)
    adjust(cpu, vmsa, PageSize.SIZE_4K, GUEST_VMPL, vmsa_permissions(quirks), vmsa=True)


def _is_startable(cpu: Vcpu, vmsa: int) -> bool:
    """Whether the page holds the state of a vCPU at the guest's VMPL, with the caller's features."""
    memory = memory_of(cpu)
    page = memory.writable(vmsa)
    new, own = words(page), words(memory.writable(cpu.mapped.vmsa or 0))
    return (
        page[VMPL_BYTE] == GUEST_VMPL
        and new[EFER] & EFER_SVME != 0
        and new[FEATURES] == own[FEATURES]
    )


def vmsa_permissions(quirks: Quirks) -> int:
    """What the guest's VMPL may do with a page that is a VMSA."""
    return READ if quirks.guest_reads_vmsa else 0


def delete_vcpu(cpu: Vcpu, vmsa: int) -> None:
    """DELETE_VCPU: the page is the guest's again, and nothing runs in it."""
    memory, registry = memory_of(cpu), registry_of(cpu)
    found = registry.find(vmsa)
    if vmsa % PAGE or found is None or not found.in_use:
        raise Refused(Result.INVALID_PARAMETER)
    reach(cpu, vmsa, PAGE)
    state = words(memory.writable(vmsa))
    efer = state[EFER]
    state[EFER] = efer & ~EFER_SVME
    try:
        revoke(cpu, vmsa, PageSize.SIZE_4K)
    except Refused:
        state[EFER] = efer
        raise
    grant(cpu, vmsa, PageSize.SIZE_4K)
    memory.did.append(["flush", vmsa, int(PageSize.SIZE_4K)])
    owner = cpu.vm.vcpus[found.cpu]
    if owner.home.vmsa == vmsa:
        keeps = cpu.vm.quirks.deleted_keeps_calling_area
        owner.home = Home(None, owner.home.calling_area if keeps else None)
    registry.entries.remove(found)
    if not cpu.vm.quirks.replaced_call_lost:
        for other in cpu.vm.vcpus:  # its guest is gone; another one may be created in the same page
            if other is not cpu and other.mapped.vmsa == vmsa:
                other.mapped = Home()
