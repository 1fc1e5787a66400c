"""What a documented call comes to, while it is carried out on a copy of the memory.

What it stands on is the processor: the RMP, and the instructions PVALIDATE and RMPADJUST.
"""

from __future__ import annotations

from ...machine.memory.instructions import rmpadjust
from ...machine.memory.memory import HOLE
from ...machine.memory.registry import END, HEAD
from ...machine.memory.sparse import Sparse
from ...wire.page_size import PAGE
from ...wire.svsm import ResultCode
from .books import Before, MemoryStep

FAILED = 0x80001000
"""What a failed instruction answers: its status above this code."""


class Refusal(Exception):
    """The documents refuse the call. Attribute: `code`."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = int(code)


class Outcome:
    """The VM of before a step, on which the call is carried out, and the registers of the answer.

    `before` changes on the way. `noted` says which pages calls have validated; it goes on from call to
    call."""

    def __init__(self, step: MemoryStep, before: Before, noted: Sparse[bool]) -> None:
        command = step.command
        self.step, self.noted, self.code = step, noted, 0
        self.vcpus, self.index, self.caller = step.cpu.vm.vcpus, step.cpu.index, step.caller
        self.memory, self.registered = before.memory, before.registered
        self.homes, self.processor = before.homes, before.processor
        self.tpm = step.cpu.vm.devices.tpm
        self.rcx, self.rdx, self.r8 = command["rcx"], command["rdx"], command["r8"]
        self.memory.running.pop(self.index, None)
        if self.caller.calling_area is not None:
            self.memory.writable(self.caller.calling_area)[0] = 0  # call_pending

    def require_free(self, start: int, length: int) -> None:
        """A region that a guest may name: its memory, and neither VMSA nor head of a calling area."""
        end = start + length
        taken = [(HOLE, PAGE)]
        for one in self.registered:
            taken += [(one.vmsa, PAGE), (one.calling_area, HEAD)]
        if end >= END or not self.memory.in_map(start, length):
            raise Refusal(ResultCode.INVALID_ADDRESS)
        if any(start < at + size and at < end for at, size in taken):
            raise Refusal(ResultCode.INVALID_ADDRESS)

    def reach(self, start: int, length: int) -> None:
        """Access memory of the guest; it may not be validated."""
        if not self.memory.touch(start, length):
            raise Refusal(ResultCode.INVALID_ADDRESS)

    def read(self, start: int, length: int) -> bytes:
        """Read an operand. It ends a page or more before the last address."""
        if start + length + PAGE - 1 >= END:
            raise Refusal(ResultCode.INVALID_ADDRESS)
        self.require_free(start, length)
        self.reach(start, length)
        return self.memory.read(start, length)

    def adjust(self, page: int, size: int, allowed: dict[int, int], *, vmsa: bool = False) -> None:
        """RMPADJUST for each VMPL; a failure is the call's answer."""
        for vmpl, right in allowed.items():
            status = rmpadjust(self.memory, page, size, vmpl, right, vmsa=vmsa)
            if status:
                raise Refusal(FAILED + status)
