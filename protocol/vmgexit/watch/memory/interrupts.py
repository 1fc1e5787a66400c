"""The ledger where a guest's state is a page: what calls, and writes to a calling area, mean for it.

A vCPU may go on in another VMSA after a call; its books begin anew then. A guest ends an interrupt lazily
by a plain write to its calling area. Both are told by answers and by memory.
"""

from __future__ import annotations

from ...descriptions import Command
from ...machine.memory.words import VINTR, words
from ...machine.vm import Vm
from ...wire.svsm import CoreCall, Protocol, ResultCode
from ..ledger import Account, Ledger, Step, ended_lazily, new_vmsa, served
from ..whereabouts import offered
from .books import parts_of


class LedgerOnMemory(Ledger):
    """The books of a machine with memory. Those of a vCPU close where it serves what no command says."""

    def begin(self, vm: Vm) -> None:
        """The books of a fresh VM, whose vCPUs are in their first VMSAs or in none."""
        self.accounts = [Account(vmsa=cpu.mapped.vmsa) for cpu in vm.vcpus]
        self.dropped = []

    def before(self, vm: Vm, index: int, command: Command) -> Step:
        """Note what the guests did to their calling areas, and what only stands before the command."""
        for cpu, account in zip(vm.vcpus, self.accounts, strict=True):
            if account.offered and not offered(cpu):
                ended_lazily(account)
        step = super().before(vm, index, command)
        if not step.cpu.in_guest or step.cpu.home != step.cpu.mapped:
            step.visible = None  # it moves first
        return step

    def after(self, vm: Vm, step: Step) -> None:
        """Bring the books up to date; from here on what is offered is the guest's to change."""
        super().after(vm, step)
        for cpu, account in zip(vm.vcpus, self.accounts, strict=True):
            account.offered = account.token is not None and offered(cpu) != 0

    def called(self, step: Step) -> None:
        """A call, in the order of what was done: a vCPU moves, what waits is served, it moves again."""
        command, cpu = step.command, step.cpu
        for what, *numbers in step.answer["did"]:
            account = step.account = self.accounts[cpu.index]
            if what == "enter" and numbers[0] != account.vmsa:
                account.vmsa = numbers[0]
                held = words(parts_of(cpu.vm)[0].writable(numbers[0]))
                account.new_tpr = held[VINTR] << 4 & 0xFF
                new_vmsa(step, account)
            elif what == "request" and numbers == [command["protocol"], command["request"]]:
                served(step, cpu, account)
                self.sent(cpu)
                self._deleted(step)
            elif what == "request":
                account.closed = True  # a call that stood in the VMSA
        if step.answer.get("idle"):
            self.accounts[cpu.index].vmsa = None

    def _deleted(self, step: Step) -> None:
        """A VMSA was deleted: whoever was in it goes on in another one, be it in the same page."""
        command = step.command
        if step.answer.get("rax") == ResultCode.SUCCESS and (
            command["protocol"] == Protocol.CORE and command["request"] == CoreCall.DELETE_VCPU
        ):
            for account in self.accounts:
                if account.vmsa == command["rcx"]:
                    account.vmsa = None
