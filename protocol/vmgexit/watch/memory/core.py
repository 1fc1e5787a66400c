"""The documented answer and effects of the core protocol's calls on memory, in the documents' order."""

from __future__ import annotations

from ...machine.memory.instructions import LOWEST_VMPL, SIZES, pvalidate
from ...machine.memory.layout import GUEST_VMPL
from ...machine.memory.registry import END, HEAD, Home, Registration
from ...machine.memory.rmp import ALL, permissions
from ...machine.memory.sparse import Sparse
from ...machine.memory.words import EFER, FEATURES, VMPL_BYTE, words
from ...wire.core import PvalidateEntry, PvalidateHeader
from ...wire.page_size import LARGE_PAGE, PAGE
from ...wire.rmp import PageSize, PageStatus
from ...wire.svsm import ResultCode
from ...wire.vmsa import EFER_SVME
from .outcome import FAILED, Outcome, Refusal

Result = ResultCode

_NONE = dict.fromkeys(range(GUEST_VMPL, LOWEST_VMPL + 1), 0)
"""No permission for the guest's VMPL and those below."""


def remap(call: Outcome, area: int) -> None:
    """REMAP_CA: the head of the new calling area becomes zero."""
    if area % PAGE:
        raise Refusal(Result.INVALID_PARAMETER)
    if area != call.homes[call.index].calling_area:
        if area + PAGE >= END:
            raise Refusal(Result.INVALID_ADDRESS)
        call.require_free(area, HEAD)
    call.reach(area, HEAD)
    call.memory.writable(area)[:HEAD] = bytes(HEAD)
    for one in call.registered:
        if one.calling_area == call.homes[call.index].calling_area:
            one.calling_area = area
    call.homes[call.index] = Home(call.homes[call.index].vmsa, area)


def pvalidate_list(call: Outcome, at: int) -> None:
    """PVALIDATE: entries are done in order, until one is refused."""
    memory, head, each = call.memory, PvalidateHeader.size, PvalidateEntry.size
    if at % head:
        raise Refusal(Result.INVALID_PARAMETER)
    page = at & -PAGE
    if page + PAGE >= END:
        raise Refusal(Result.INVALID_ADDRESS)
    call.require_free(at, head)
    call.reach(at, head)
    header = PvalidateHeader.decode(memory.read(at, head))
    if not header.next < header.entries <= (PAGE - at % PAGE - head) // each:
        raise Refusal(Result.INVALID_PARAMETER)
    call.require_free(at + head, header.entries * each)
    code = None
    for index in range(header.next, header.entries):
        entry = memory.read(at + head + index * each, each)
        try:
            _do(call, PvalidateEntry.of(int.from_bytes(entry, "little")), page)
        except Refusal as refusal:
            code = refusal.code
            break
        header.next = index + 1
    memory.write(at, header.encode())
    if code is not None:
        raise Refusal(code)


def _do(call: Outcome, entry: PvalidateEntry, page_of_list: int) -> None:
    size = entry.page_size
    length = SIZES.get(size, 0)
    address = entry.frame * PAGE
    if entry.reserved_11_4 or not length or address % length:
        raise Refusal(Result.INVALID_PARAMETER)
    call.require_free(address, length)
    if address <= page_of_list < address + length:
        raise Refusal(Result.INVALID_ADDRESS)
    if entry.validate:
        _validate(call, address, size, any_state=entry.ignore_cf)
    else:
        _invalidate(call, address, size, any_state=entry.ignore_cf)


def _validate(call: Outcome, address: int, size: int, *, any_state: bool) -> None:
    memory, length = call.memory, SIZES[size]
    status, unchanged = pvalidate(memory, address, size, valid=True)
    if status:
        raise Refusal(FAILED + status)
    if unchanged and not any_state:
        raise Refusal(Result.FAIL_NOCHANGE)
    if not unchanged:
        if _is_noted(call.noted, address, length):
            pvalidate(memory, address, size, valid=False)
            raise Refusal(Result.FAIL_NOCHANGE)
        memory.pages.clear(memory.backed_by(address), length)
        memory.did.append(["zero", address, length])
    _note(call.noted, address, length, valid=True)
    call.adjust(address, size, {GUEST_VMPL: ALL})


def _invalidate(call: Outcome, address: int, size: int, *, any_state: bool) -> None:
    try:
        call.adjust(address, size, _NONE)
    except Refusal as refusal:
        if refusal.code != FAILED + PageStatus.FAIL_INPUT:  # else it is invalid already
            raise
    status, unchanged = pvalidate(call.memory, address, size, valid=False)
    if status:
        raise Refusal(FAILED + status)
    if unchanged and not any_state:
        raise Refusal(Result.FAIL_NOCHANGE)
    if not unchanged:
        _note(call.noted, address, SIZES[size], valid=False)
    call.memory.did.append(["flush", address, size])


def create_vcpu(call: Outcome, vmsa: int, area: int, apic_id: int) -> None:
    """CREATE_VCPU: the page is taken from the guest, looked at, and made a VMSA."""
    if vmsa % PAGE or area % PAGE:
        raise Refusal(Result.INVALID_PARAMETER)
    if vmsa == area or vmsa % LARGE_PAGE == 0:
        raise Refusal(Result.INVALID_ADDRESS)
    call.require_free(vmsa, PAGE)
    call.require_free(area, PAGE)
    ids = [cpu.apic_id for cpu in call.vcpus]
    if apic_id not in ids:
        raise Refusal(Result.INVALID_PARAMETER)
    call.reach(area, HEAD)
    cpu = ids.index(apic_id)
    try:
        _become_vmsa(call, vmsa)
    except Refusal:
        call.memory.did.append(["flush_all"])
        raise
    call.registered.append(Registration(vmsa, area, cpu, guest_owned=True, in_use=True))
    call.homes[cpu] = Home(vmsa, area)


def _become_vmsa(call: Outcome, page: int) -> None:
    memory, caller = call.memory, call.caller.vmsa or 0
    had = memory.entry(page)
    call.adjust(page, PageSize.SIZE_4K, _NONE)
    memory.did.append(["flush", page, int(PageSize.SIZE_4K)])
    state, own = memory.writable(page), memory.writable(caller)
    new = words(state)
    if not (
        state[VMPL_BYTE] == GUEST_VMPL
        and new[EFER] & EFER_SVME
        and new[FEATURES] == words(own)[FEATURES]
    ):
        call.adjust(page, PageSize.SIZE_4K, {vmpl: permissions(had, vmpl) for vmpl in _NONE})
        raise Refusal(Result.INVALID_PARAMETER)
    call.adjust(page, PageSize.SIZE_4K, _NONE)
    call.adjust(page, PageSize.SIZE_4K, {GUEST_VMPL: 0}, vmsa=True)


def delete_vcpu(call: Outcome, vmsa: int) -> None:
    """DELETE_VCPU: the page is the guest's again."""
    found = next((one for one in call.registered if one.vmsa == vmsa and one.in_use), None)
    if vmsa % PAGE or found is None:
        raise Refusal(Result.INVALID_PARAMETER)
    call.reach(vmsa, PAGE)
    call.adjust(vmsa, PageSize.SIZE_4K, _NONE)
    call.adjust(vmsa, PageSize.SIZE_4K, {GUEST_VMPL: ALL})
    call.memory.did.append(["flush", vmsa, int(PageSize.SIZE_4K)])
    words(call.memory.writable(vmsa))[EFER] &= ~EFER_SVME
    if call.homes[found.cpu].vmsa == vmsa:
        call.homes[found.cpu] = Home()
    call.registered.remove(found)


def _is_noted(noted: Sparse[bool], start: int, length: int) -> bool:
    """Whether a page, or any page of a chunk, was validated by a call or at the launch."""
    return any(
        noted.common(page) if (own := noted.pages.get(page)) is None else own
        for page in range(start, start + length, PAGE)
    )


def _note(noted: Sparse[bool], start: int, length: int, *, valid: bool) -> None:
    if length == LARGE_PAGE:
        noted.put_chunk(start, valid)
    else:
        noted.pages[start] = valid
