"""From the guest to the SVSM and back, where the state of a guest is a page: its VMSA.

`call` is a call of the guest from end to end. Facts: COCONUT-SVSM kernel/src/requests.rs and
kernel/src/cpu/percpu.rs.
"""

from __future__ import annotations

from ...wire.exit_codes import ExitCode
from ...wire.rmp import PageSize
from ...wire.svsm import CallingArea
from ...wire.vmsa import EFER_SVME
from ..memory.layout import GUEST_VMPL
from ..memory.memory import Memory
from ..memory.registry import Home
from ..memory.rmp import ASSIGNED, LARGE, OWNER, VALIDATED, VMSA, WRITE
from ..memory.words import EFER, EXIT_CODE, R8, RAX, RCX, RDX, words
from ..vm import Vcpu
from . import entry, shared
from .calls import dispatch
from .operands import Registers, adjust, memory_of, own_page, registry_of

CALL_PENDING = CallingArea.declaration["call_pending"].bit_offset // 8

_RUNNABLE = OWNER | VALIDATED | VMSA | LARGE
_IS_RUNNABLE = ASSIGNED | VALIDATED | VMSA


def call(cpu: Vcpu, protocol: int, request: int, registers: Registers, *, pending: bool) -> bool:
    """The guest calls, the SVSM serves the call and enters the guest again: whether the guest ran.

    `pending`: the guest sets call_pending, if it may write to its calling area. Afterwards the guest is in,
    or the vCPU is idle."""
    memory = memory_of(cpu)
    if not cpu.in_guest or cpu.mapped.vmsa is None:
        enter(cpu)
    vmsa, area = cpu.mapped
    if vmsa is None or not cpu.in_guest:
        return False
    ran = can_run(memory, vmsa)
    if ran:
        guest = words(memory.writable(vmsa))
        _put(guest, protocol << 32 | request, registers)
        guest[EXIT_CODE] = ExitCode.VMGEXIT
        if pending and area is not None and not memory.refusal(GUEST_VMPL, area, 1, WRITE):
            memory.writable(area)[CALL_PENDING] = 1
    leave(cpu)
    return ran


def can_run(memory: Memory, vmsa: int) -> bool:
    """Whether VMRUN enters the state in this page."""
    if memory.entry(vmsa) & _RUNNABLE != _IS_RUNNABLE | vmsa:
        return False
    return words(memory.writable(vmsa))[EFER] & EFER_SVME != 0


def enter(cpu: Vcpu, code: int = 0, registers: Registers | None = None) -> None:
    """Enter the guest where the vCPU is at home now, with the answer to a call if there is one."""
    left = cpu.mapped
    vmsa = _move_in(cpu)
    cpu.in_guest = vmsa is not None
    if vmsa is None:
        return
    guest = words(own_page(cpu, vmsa))
    if cpu.vm.has_apic:
        if left != cpu.mapped:
            shared.move(cpu, left)
        shared.store(cpu)
    if registers is not None:
        _put(guest, code, registers)
    guest[EFER] |= EFER_SVME
    memory_of(cpu).did += [["flush_all"], ["enter", vmsa]]


def leave(cpu: Vcpu) -> None:
    """The vCPU is back in the SVSM: serve what the guest called, and enter it again."""
    memory, registry, quirks = memory_of(cpu), registry_of(cpu), cpu.vm.quirks
    memory.running.pop(cpu.index, None)
    left = cpu.mapped
    if quirks.replaced_call_lost:
        _move_in(cpu)
    elif not registry.holds(cpu.mapped.vmsa, cpu.index):
        enter(cpu)  # in another VMSA, from which nothing was called
        return
    vmsa, area = cpu.mapped
    if vmsa is None:
        cpu.in_guest = False
        return
    guest = words(own_page(cpu, vmsa))
    guest[EFER] &= ~EFER_SVME
    if cpu.vm.has_apic:
        _look_at_interrupts(cpu, left)
    if not _calls(cpu, guest, area):
        enter(cpu)
        return
    protocol, request = guest[RAX] >> 32, guest[RAX] & 0xFFFFFFFF
    memory.did.append(["request", protocol, request])
    registers = Registers(guest[RCX], guest[RDX], guest[R8])
    code = dispatch(cpu, protocol, request, registers)
    if cpu.vm.has_apic and registry.holds(vmsa, cpu.index):
        shared.store(cpu)
    if cpu.home.vmsa == vmsa or quirks.answer_in_new_vmsa:
        enter(cpu, code, registers)
        return
    if registry.holds(vmsa, cpu.index):
        _put(words(own_page(cpu, vmsa)), code, registers)
    enter(cpu)


def _look_at_interrupts(cpu: Vcpu, left: Home) -> None:
    """What the SVSM does for its APIC emulation once the guest has left, before it serves a call."""
    if left != cpu.mapped:
        shared.move(cpu, left)
    else:
        shared.load(cpu)
    cpu.guest.exit_int_info = 0
    cpu.guest.vintr.busy = False
    entry.answer_signal(cpu)


def _calls(cpu: Vcpu, guest: memoryview, area: int | None) -> bool:
    """Whether the guest left for a call that waits; it waits no longer."""
    if guest[EXIT_CODE] != ExitCode.VMGEXIT or area is None:
        return False
    calling = own_page(cpu, area)
    pending, calling[CALL_PENDING] = calling[CALL_PENDING], 0
    return pending != 0


def _put(guest: memoryview, rax: int, registers: Registers) -> None:
    guest[RAX] = rax
    guest[RCX], guest[RDX], guest[R8] = registers.rcx, registers.rdx, registers.r8


def _move_in(cpu: Vcpu) -> int | None:
    """Use the VMSA and the calling area that the vCPU was given; its VMSA, if it has one."""
    left = cpu.mapped
    if left != cpu.home:
        cpu.mapped = cpu.home
        if left.vmsa != cpu.home.vmsa and not cpu.vm.quirks.boot_calling_area_stuck:
            _leave_first(cpu, left.vmsa)
    return cpu.home.vmsa


def _leave_first(cpu: Vcpu, vmsa: int | None) -> None:
    """The VMSA that the SVSM began with, once left, is none any more; its calling area is free."""
    registry = registry_of(cpu)
    found = registry.find(vmsa)
    if found is None or found.guest_owned:
        return
    adjust(cpu, found.vmsa, PageSize.SIZE_4K, GUEST_VMPL, 0)
    registry.entries.remove(found)
