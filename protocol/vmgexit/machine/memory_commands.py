"""The commands of a machine with memory: each is carried out by the function of its name here.

What a guest or the host does to memory directly is here; a call goes through `rules.switch`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..descriptions import Actor, Answer, Command
from ..devices.secure_processor import Certificates
from ..wire.page_size import PAGE
from ..wire.vmsa import EFER_SVME
from .commands import COMMANDS
from .memory import instructions
from .memory.layout import GUEST_VMPL, Layout
from .memory.memory import Memory
from .memory.registry import HEAD, Home, Registration, Registry
from .memory.rmp import ASSIGNED, FRAME, LARGE, READ, VALIDATED, VMSA, WRITE, permissions
from .memory.words import (
    EFER,
    EXIT_CODE,
    FEATURES,
    R8,
    RAX,
    RCX,
    RDX,
    VINTR,
    VMPL_BYTE,
    words,
)
from .rules import core, shared, switch
from .rules.operands import Registers, memory_of, registry_of
from .vcpu import FRESH_VINTR
from .vm import Vcpu, Vm

_DIGITS = 16  # of a page's hash


def begin(vm: Vm, command: Command) -> None:
    """Give a fresh VM its memory, and enter the first guest."""
    layout = Layout.of(command)
    memory = vm.memory = Memory(
        layout,
        assigns=command["npf"] == "assign",
        unvalidated_faults=command["unvalidated"] == "vc",
    )
    boot = layout.boot_vmsa
    memory.pages.fill(boot, 0)
    first = memory.writable(boot)
    first[VMPL_BYTE] = GUEST_VMPL
    state = words(first)
    state[EFER], state[FEATURES] = EFER_SVME, command["sev_features"]
    if vm.has_apic:
        state[VINTR] = FRESH_VINTR
    instructions.make_vmsa(memory, boot, core.vmsa_permissions(vm.quirks))
    vm.registry = Registry(memory, Registration(boot, command["caa"], 0, guest_owned=False))
    vm.vcpus[0].home = Home(boot, command["caa"])
    for cpu in vm.vcpus:
        switch.enter(cpu)
    memory.did = []


def call(cpu: Vcpu, command: Command) -> Answer:
    """A call of the guest, from end to end."""
    memory = memory_of(cpu)
    memory.did = []
    registers = Registers(command["rcx"], command["rdx"], command["r8"])
    ran = switch.call(
        cpu,
        command["protocol"],
        command["request"],
        registers,
        pending=command.get("pending", True),
    )
    answer: Answer = {"ran": ran, "did": memory.did}
    vmsa, area = cpu.mapped
    if vmsa is None or not cpu.in_guest:
        answer["idle"] = True
        return answer
    answer["vmsa"], answer["caa"] = vmsa, area
    if ran:
        guest = words(memory.writable(vmsa))
        answer |= {"rax": guest[RAX], "rcx": guest[RCX], "rdx": guest[RDX], "r8": guest[R8]}
    return answer


def calling_area(cpu: Vcpu, command: Command) -> Answer:
    """Where the SVSM was told that the vCPU is."""
    vmsa, area = cpu.home
    return {
        "vmsa": vmsa,
        "caa": area,
        "hex": "" if area is None else memory_of(cpu).read(area, HEAD).hex(),
        "state": "guest" if cpu.in_guest else "idle",
    }


def run(cpu: Vcpu, command: Command) -> Answer:
    """The vCPU executes in its guest, or stops to."""
    memory = memory_of(cpu)
    if not command["on"]:
        memory.running.pop(cpu.index, None)
        return {"ok": True}
    vmsa = cpu.mapped.vmsa
    if vmsa is None or not cpu.in_guest or not switch.can_run(memory, vmsa):
        return {"ok": False}
    memory.running[cpu.index] = vmsa
    return {"ok": True}


def with_state(cpu: Vcpu, command: Command, handler: Callable[[Vcpu, Command], Any]) -> Any:
    """A command about interrupts, on the guest's state as its VMSA has it: what `handler` returns, or
    `NO_GUEST`."""
    if not cpu.in_guest or not switch.can_run(memory_of(cpu), cpu.mapped.vmsa or 0):
        described = COMMANDS[command["op"]]
        return handler(cpu, command) if described.by in _ANYWHERE else dict(NO_GUEST)
    shared.load(cpu)
    answer = handler(cpu, command)
    shared.store(cpu)
    return answer


_ANYWHERE = (Actor.HOST, Actor.NOBODY)
NO_GUEST: Answer = {"ran": False}
"""The answer where there is no guest that could run."""


def host_page(memory: Memory, command: Command) -> Answer:
    """What the host does to a page."""
    page, fill = command["gpa"] & -PAGE, command.get("fill")
    match command["to"]:
        case "shared":
            return _done(instructions.make_shared(memory, page, fill))
        case "private":
            return _done(instructions.make_private(memory, page, fill))
        case "split":
            return _done(instructions.split(memory, page))
        case "join":
            return _done(instructions.join(memory, page))
    return _done(instructions.remap(memory, page, command["spa"] & -PAGE, fill))


def write(memory: Memory, command: Command) -> Answer:
    """Someone writes to memory."""
    data = bytes.fromhex(command["hex"])
    why = _refusal(memory, command, len(data), WRITE)
    if not why:
        memory.write(command["gpa"], data)
    return _done(why)


def read(memory: Memory, command: Command) -> Answer:
    """Someone reads memory."""
    why = _refusal(memory, command, command["len"], READ)
    if why:
        return _done(why)
    return {"ok": True, "hex": memory.read(command["gpa"], command["len"]).hex()}


def _refusal(memory: Memory, command: Command, length: int, right: int) -> str:
    by = command.get("by")
    if by is None:
        return ""
    if by == "host":
        return memory.refusal_of_host(command["gpa"], length)
    return memory.refusal(by, command["gpa"], length, right)


def _done(why: str) -> Answer:
    return {"ok": False, "why": why} if why else {"ok": True}


_WORDS = {
    "rax": RAX, "rcx": RCX, "rdx": RDX, "r8": R8,
    "efer": EFER, "sev_features": FEATURES, "exit_code": EXIT_CODE,
}  # fmt: skip


def vmsa(memory: Memory, command: Command) -> Answer:
    """Someone writes a page: zero but some fields of a VMSA."""
    page = command["gpa"] & -PAGE
    why = _refusal(memory, command | {"gpa": page}, PAGE, WRITE)
    if not why:
        data = memory.writable(page)
        data[:] = bytes(PAGE)
        data[VMPL_BYTE] = command["vmpl"]
        state = words(data)
        for name, word in _WORDS.items():
            state[word] = command.get(name, 0)
    return _done(why)


def page(memory: Memory, command: Command) -> Answer:
    """What is known of a page."""
    address = command["gpa"] & -PAGE
    at = memory.backed_by(address)
    entry = memory.rmp[at]
    return {
        "spa": at,
        "assigned": bool(entry & ASSIGNED),
        "gpa": entry & FRAME,
        "validated": bool(entry & VALIDATED),
        "huge": bool(entry & LARGE),
        "vmsa": bool(entry & VMSA),
        "perms": [permissions(entry, vmpl) for vmpl in range(1, 4)],
        "hash": memory.pages.digest(at)[:_DIGITS],
    }


def adjust(memory: Memory, command: Command) -> Answer:
    """RMPADJUST by the guest."""
    page = command["gpa"] & -PAGE
    status = instructions.guest_rmpadjust(memory, page, command["vmpl"], command["perms"])
    return _done(status) if isinstance(status, str) else {"result": status}


def registry(vm: Vm, command: Command) -> Answer:
    """The VMSAs that the SVSM knows."""
    return {"entries": registry_of(vm.vcpus[0]).rows()}


def psp(vm: Vm, command: Command) -> Answer:
    """Prepare the secure processor."""
    vm.processor.answers.clear()
    vm.processor.answers.extend(command["answers"])
    if "certs" in command:
        vm.processor.certificates = Certificates(*command["certs"])
    return {"ok": True}


OF_VCPU: dict[str, Callable[[Vcpu, Command], Answer]] = {
    "call": call, "calling_area": calling_area, "run": run
}  # fmt: skip
OF_MEMORY: dict[str, Callable[[Memory, Command], Answer]] = {
    one.__name__: one for one in (host_page, write, read, vmsa, page, adjust)
}
OF_VM: dict[str, Callable[[Vm, Command], Answer]] = {"registry": registry, "psp": psp}
