"""What the invariants of memory compare: the VM before a call, and what was seen of host and guest so far.

The books are kept from commands and answers. Of the state before a call they have a copy; bytes are
copied only where the call then writes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from ...descriptions import Answer, Command
from ...devices.secure_processor import SecureProcessor
from ...machine.memory.layout import Layout
from ...machine.memory.memory import Memory, chunk_of, pages_of
from ...machine.memory.registry import Home, Registration, Registry
from ...machine.memory.rmp import ASSIGNED, OWNER, VALIDATED
from ...machine.memory.sparse import Sparse
from ...machine.vm import Vcpu, Vm
from ...wire.attestation import AttestServices
from ...wire.page_size import LARGE_PAGE, PAGE
from ...wire.svsm import Protocol


@dataclass(slots=True)
class Before:
    """A VM as it was: memory, registered VMSAs, and of each vCPU where it is at home, what is mapped."""

    memory: Memory
    registered: list[Registration]
    homes: list[Home]
    mapped: list[Home]
    processor: SecureProcessor

    @classmethod
    def of(cls, vm: Vm) -> Before:
        """A copy of what the VM is now."""
        memory, registry = parts_of(vm)
        return cls(
            memory.copy(),
            [one.copy() for one in registry.entries],
            [cpu.home for cpu in vm.vcpus],
            [_caller(cpu) for cpu in vm.vcpus],
            vm.processor.copy(),
        )

    def copy(self) -> Before:
        """The same, for one who changes it."""
        return Before(
            self.memory.copy(),
            [one.copy() for one in self.registered],
            list(self.homes),
            self.mapped,
            self.processor.copy(),
        )

    def find(self, vmsa: int | None) -> Registration | None:
        """The registration of a VMSA, if there is one."""
        return next((one for one in self.registered if one.vmsa == vmsa), None)


def _caller(cpu: Vcpu) -> Home:
    """Where the next call of a vCPU is made: its guest, unless that was deleted meanwhile."""
    return cpu.mapped if cpu.in_guest and cpu.mapped.vmsa is not None else cpu.home


def parts_of(vm: Vm) -> tuple[Memory, Registry]:
    """The memory and the registry of a VM that has them."""
    if vm.memory is None or vm.registry is None:
        raise TypeError("a machine without memory")
    return vm.memory, vm.registry


_REGISTERS = ("rax", "rcx", "rdx", "r8")


@dataclass(slots=True)
class MemoryStep:
    """One call and what was answered."""

    index: int
    command: Command
    answer: Answer
    cpu: Vcpu
    before: Before
    caller: Home = field(init=False)  # the VMSA and the calling area that the call was made from
    # The protocol and the number of what the SVSM took for a call, if it served one; was it this call?
    served: list[int] | None = field(init=False, default=None)
    is_served: bool = field(init=False)
    done: list[list[Any]] = field(init=False)  # what the SVSM did from there on
    result: int | None = field(init=False, default=None)  # where the caller got one and goes on
    # Of each system page whose RMP entry changed: the page, the entry before and after.
    entries: list[tuple[int, int, int]] = field(init=False)
    pages: list[int] = field(init=False)  # system pages whose bytes changed

    def __post_init__(self) -> None:
        answer, did = self.answer, self.answer.get("did", ())
        self.caller = self.before.mapped[self.cpu.index]
        for number, line in enumerate(did, 1):
            if line[0] == "request":
                self.served, self.done = line[1:], did[number:]
                break
        self.is_served = self.served == [self.command["protocol"], self.command["request"]]
        if self.is_served and answer.get("vmsa") == self.caller.vmsa:
            self.result = int(answer["rax"])
        memory, before = parts_of(self.cpu.vm)[0], self.before.memory
        self.entries = list(memory.rmp.changes(before.rmp))
        self.pages = memory.pages.changes(before.pages)

    @property
    def place(self) -> str:
        """Where something is wrong: the call, and its vCPU."""
        command = self.command
        return f"call {command['protocol']}.{command['request']} of vCPU {self.cpu.index}"

    def is_call(self, protocol: Protocol, *numbers: int) -> bool:
        """Whether this call, one of those, was served."""
        command = self.command
        return command["protocol"] == protocol and command["request"] in numbers and self.is_served

    @property
    def without_registers(self) -> Answer:
        """The answer, where it is not in the registers of the vCPU."""
        return {key: value for key, value in self.answer.items() if key not in _REGISTERS}


@lru_cache(maxsize=256)
def _valid(layout: Layout) -> Sparse[bool]:
    """Which pages are validated at the launch; every machine of this layout copies it."""
    entries = layout.entries()
    return Sparse(False, [(first, end, bool(entry & VALIDATED)) for first, end, entry in entries])


@dataclass(slots=True, eq=False)
class Books:
    """What was seen since `init`.

    `taken` are guest pages that the host changed since the SVSM last took them up: they are its doing.
    `backed` has for each page that was remapped every system page that was behind it. `noted` says which
    pages calls have validated, `sealed` what each sequence number of the secure processor encrypted, in the
    first `requested` requests."""

    taken: set[int] = field(default_factory=set)
    backed: dict[int, set[int]] = field(default_factory=dict)
    noted: Sparse[bool] = field(default_factory=lambda: Sparse(False, ()))
    sealed: dict[int, bytes] = field(default_factory=dict)
    requested: int = 0

    @classmethod
    def begin(cls, command: Command) -> Books:
        """The books of a fresh VM. Its launch chose the first calling area, whatever that is."""
        return cls({command["caa"]}, noted=_valid(Layout.of(command)).copy())

    def of_host(self, command: Command, answer: Answer) -> None:
        """What the host did to a page."""
        if not answer.get("ok"):
            return
        page = command["gpa"] & -PAGE
        if command["to"] == "join":
            self.taken.update(pages_of(chunk_of(page), LARGE_PAGE))
        elif command["to"] != "split":
            self.taken.add(page)
        if command["to"] == "remap":
            at = command["spa"] & -PAGE  # another page of the guest may have been here
            self.taken.update(other for other, backed in self.backed.items() if at in backed)
            self.taken.add(at)
            self.backed.setdefault(page, {page}).add(at)

    def after(self, vm: Vm, step: MemoryStep) -> None:
        """What the SVSM took up in a call: VMSAs and calling areas are its own to keep."""
        known = {(one.vmsa, one.calling_area) for one in step.before.registered}
        for one in parts_of(vm)[1].entries:
            if (one.vmsa, one.calling_area) not in known:
                self.taken -= {one.calling_area}
                if step.before.find(one.vmsa) is None:
                    self.taken -= {one.vmsa}


def is_usable(memory: Memory, page: int) -> bool:
    """Whether the page is assigned to the guest at this address, and validated."""
    return memory.entry(page) & (OWNER | VALIDATED) == ASSIGNED | VALIDATED | page


def operation_of(step: MemoryStep) -> AttestServices:
    """What an attestation is asked for, whether the SVSM could read it or not."""
    return AttestServices.decode(step.before.memory.read(step.command["rcx"], AttestServices.size))
