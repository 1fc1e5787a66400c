"""How calls reach the guest's memory: operands, and the permissions of pages.

A call that is refused raises Refused with its code. A page that is in the memory map but not validated
is #VC, which an SVSM has to expect: guests can make their pages invalid at any time.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...wire.page_size import PAGE
from ...wire.rmp import PageStatus
from ...wire.svsm import ResultCode
from ..memory.instructions import IN_USE, LOWEST_VMPL, rmpadjust
from ..memory.layout import GUEST_VMPL
from ..memory.memory import Memory
from ..memory.registry import END, Registry
from ..memory.rmp import ALL
from ..vm import Assertion, Reason, Termination, Vcpu

PROTOCOLS_OWN = 0x80001000
"""What a failed instruction answers: its status above this code."""


@dataclass(slots=True)
class Registers:
    """The registers of a call. Handlers store their outputs here; RAX is what they return."""

    rcx: int
    rdx: int
    r8: int


class Refused(Exception):
    """The call is refused. Attribute: `code`."""

    def __init__(self, code: ResultCode) -> None:
        super().__init__(code.name)
        self.code = code


def memory_of(cpu: Vcpu) -> Memory:
    """The memory of a machine that has one."""
    memory = cpu.vm.memory
    if memory is None:
        raise TypeError("a machine without memory")
    return memory


def registry_of(cpu: Vcpu) -> Registry:
    """What the SVSM of a machine with memory knows of its vCPUs."""
    registry = cpu.vm.registry
    if registry is None:
        raise TypeError("a machine without memory")
    return registry


def require_free(cpu: Vcpu, start: int, length: int) -> None:
    """Refuse a region that is not the guest's memory, or that is in use."""
    if not registry_of(cpu).is_free(start, length):
        raise Refused(ResultCode.INVALID_ADDRESS)


def reach(cpu: Vcpu, start: int, length: int) -> None:
    """Touch an operand of a call, every page of it. Refuses one that is not validated."""
    if memory_of(cpu).touch(start, length):
        return
    if cpu.vm.quirks.unvalidated_operand_stops:
        raise Assertion(f"#VC at {start:#x}, an operand")
    raise Refused(ResultCode.INVALID_ADDRESS)


def fetch(cpu: Vcpu, start: int, length: int) -> bytes:
    """Read what a register, or an operation, leads to."""
    if start + length + PAGE - 1 >= END or not registry_of(cpu).is_free(start, length):
        if cpu.vm.quirks.bad_operand_is_parameter:
            raise Refused(ResultCode.INVALID_PARAMETER)
        raise Refused(ResultCode.INVALID_ADDRESS)
    reach(cpu, start, length)
    return memory_of(cpu).read(start, length)


def own_page(cpu: Vcpu, page: int) -> bytearray:
    """Touch a VMSA or a calling area: its bytes. Only the host, or the SVSM itself, can have taken it."""
    memory = memory_of(cpu)
    if not memory.is_usable(page) and not memory.touch(page, 1):
        if cpu.vm.quirks.taken_page_panics:
            raise Assertion(f"#VC at {page:#x}, a page of vCPU {cpu.index}")
        raise Termination(Reason.PAGE_TAKEN)
    return memory.writable(page)


def adjust(cpu: Vcpu, page: int, size: int, vmpl: int, allowed: int, *, vmsa: bool = False) -> None:
    """RMPADJUST; a failure is the call's answer."""
    status = rmpadjust(memory_of(cpu), page, size, vmpl, allowed, vmsa=vmsa)
    if status == IN_USE and cpu.vm.quirks.delete_running_stops:
        raise Assertion("RMPADJUST: the VMSA is in use")
    if status:
        raise Refused(ResultCode(PROTOCOLS_OWN + status))


def require_success(status: int) -> None:
    """Refuse by the status of an instruction that failed."""
    if status:
        raise Refused(ResultCode(PROTOCOLS_OWN + status))


def revoke(cpu: Vcpu, page: int, size: int) -> None:
    """Take a page from the guest: VMPL 2 and below may do nothing with it."""
    for vmpl in range(GUEST_VMPL, LOWEST_VMPL + 1):
        adjust(cpu, page, size, vmpl, 0)


def grant(cpu: Vcpu, page: int, size: int) -> None:
    """Give a page to the guest: its VMPL may do everything with it."""
    adjust(cpu, page, size, GUEST_VMPL, ALL)


def faults_on_adjusting(cpu: Vcpu, refused: Refused) -> bool:
    """Whether RMPADJUST was refused because the page is not validated, on a processor where that is #VC."""
    failed = refused.code == PROTOCOLS_OWN + int(PageStatus.FAIL_INPUT)
    return failed and memory_of(cpu).unvalidated_faults
