"""A command on its way through a machine: what it was told, what it answered, what was there before."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...descriptions import Answer, Command
from ...machine.memory.memory import Memory
from ...machine.vm import Sent, Vcpu, Vm


@dataclass(slots=True)
class Before:
    """What a command can change of an SVSM's machine, as it was."""

    memory: Memory | None = None
    doorbells: list[bytes] = field(default_factory=list)  # of each vCPU
    entries: list[str] = field(default_factory=list)  # the next step of an entry, "" for none
    postings: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, vm: Vm) -> Before:
        return cls(
            vm.memory.copy() if vm.memory is not None else None,
            [bytes(cpu.page) for cpu in vm.vcpus],
            [cpu.entry.step if cpu.entry is not None else "" for cpu in vm.vcpus],
            [cpu.posting.step if cpu.posting is not None else "" for cpu in vm.vcpus],
        )


@dataclass(slots=True)
class Step:
    """One command. `refuses` says which requests of an SVSM the host refuses, by vCPU and name."""

    index: int
    command: Command
    answer: Answer
    vm: Vm
    before: Before
    sent: list[Sent]
    refuses: list[tuple[int, str]]

    @property
    def cpu(self) -> Vcpu:
        return self.vm.vcpus[self.command.get("cpu", 0)]

    @property
    def doorbell(self) -> bytes:
        """The vCPU's doorbell page before."""
        return self.before.doorbells[self.cpu.index]


@dataclass(slots=True)
class HostStep:
    """One command to a GHCB host."""

    index: int
    command: Command
    answer: Answer
