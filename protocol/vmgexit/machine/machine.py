"""The machine: vCPUs, registration and host together, driven by the commands of a scenario.

`Machine(profile).execute(command)` answers as an implementation of that profile answers. There are
no threads: each command is carried out to its end, an entry of the guest by the table of `entry`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from ..descriptions import Actor, Answer, Command
from ..devices import RECORDED, Devices
from ..errors import ScenarioError
from ..wire.svsm import ResultCode
from ..wire.vmsa import VintrCtrl
from . import memory_commands
from .commands import COMMANDS, NOT_ON_MEMORY, ON_MEMORY, no_such_vcpu
from .memory.memory import NestedPageFault
from .quirks import REFERENCE, Quirks, profile
from .rules import apic_registers, entry, host
from .rules.calls import dispatch
from .rules.guest import take
from .rules.operands import Registers
from .vcpu import (
    EVENT_VALID,
    EVENT_VECTOR,
    FRESH_VINTR,
    STATUS_WORD,
    Entry,
    Guest,
    LocalApic,
    Posting,
    event_type,
    is_nmi,
)
from .vm import REQUEST_CODES, Assertion, Termination, Vcpu, Vm

Carries = Callable[[Command], Answer]
"""What carries out one command and nothing else."""
Handler = Callable[["Machine", Vcpu, Command], Answer]
Act = Callable[["Machine", Vcpu, Command], Any]
NEEDS_A_RUNNING_GUEST = frozenset(one.name for one in COMMANDS.values() if one.by is Actor.GUEST)


class Machine:
    """A VM that is driven by commands. Each `init` starts a fresh one; before, there is no vCPU.

    A machine that stopped answers every later command by its reason.
    """

    def __init__(self, quirks: Quirks | str = REFERENCE, devices: Devices = RECORDED) -> None:
        known = profile(quirks) if isinstance(quirks, str) else quirks
        self.vm = Vm(known, devices=devices)
        self.stopped: Answer | None = None

    def execute(self, command: Command, step: Carries | None = None) -> Answer:
        """Carry out one command, by `step` where one is given. What only a guest that runs can cause first
        finishes an entry that is under way. Raises ScenarioError on a vCPU that does not exist."""
        step = step or self.carry_out
        if command["op"] not in NEEDS_A_RUNNING_GUEST or self.stopped is not None:
            return step(command)
        cpu, vcpus = command["cpu"], self.vm.vcpus
        if cpu >= len(vcpus) or vcpus[cpu].entry is None:
            return step(command)
        calls = step({"op": "enter", "cpu": cpu}).get("calls", [])
        answer = step(command)
        if calls and self.stopped is None:
            answer["calls"] = calls + answer.get("calls", [])
        return answer

    def carry_out(self, command: Command) -> Answer:
        """Carry out one command and nothing else."""
        operation = command["op"]
        if operation == "init":
            return self._init(command)
        vm = self.vm
        vm.sent.clear()
        if vm.memory is not None or operation in ON_MEMORY:
            return self._on_memory(operation, command)
        return self._on_vcpu(command, _answering)

    def _on_memory(self, operation: str, command: Command) -> Answer:
        """Carry out a command of a machine with memory."""
        memory = self.vm.memory
        if memory is None:
            raise ScenarioError(f"{operation}: the machine has no memory, init had none")
        if operation in NOT_ON_MEMORY:
            raise ScenarioError(f"{operation}: only for a machine without memory")
        if "cpu" in command:
            return self._on_vcpu(command, _ON_VCPU.get(operation, _with_state))
        if self.stopped is not None:
            return dict(self.stopped)
        handler = memory_commands.OF_MEMORY.get(operation)
        if handler is not None:
            return handler(memory, command)
        return memory_commands.OF_VM[operation](self.vm, command)

    def _on_vcpu(self, command: Command, handler: Handler) -> Answer:
        vm = self.vm
        if command["cpu"] >= len(vm.vcpus):
            raise no_such_vcpu(command, len(vm.vcpus))
        if self.stopped is not None:
            return dict(self.stopped)
        cpu, made = vm.vcpus[command["cpu"]], len(vm.requests)
        try:
            answer = handler(self, cpu, command)
        except (Assertion, Termination, NestedPageFault) as reason:
            self.stopped = {"panic" if isinstance(reason, Assertion) else "terminated": str(reason)}
            return dict(self.stopped)
        if len(vm.requests) > made:
            answer["calls"] = [request.as_dict() for request in vm.requests[made:]]
        return answer

    def close(self) -> None:
        """Let go of the VM, which its vCPUs hold: its memory is free at once."""
        self.vm.vcpus.clear()
        self.vm.listener = None

    # --- commands ----------------------------------------------------------------------------------
    #
    # Each method carries a command out; what it returns is what `_ANSWERS` makes the answer of.

    def _init(self, command: Command) -> Answer:
        ids = command.get("apic_ids") or range(command["cpus"])
        before = self.vm
        self.vm = vm = Vm(
            before.quirks,
            ids,
            command.get("reg_count", 0),
            devices=before.devices,
            listener=before.listener,
        )
        vm.devices.tpm.begin()
        self.stopped = None
        answer = {"ok": True, "cpus": command["cpus"]}
        if "reg_count" in command:
            answer["reg_count"] = command["reg_count"]
        else:
            vm.has_apic = False
        if "memory" in command:
            memory_commands.begin(vm, command)
        return answer

    def _call(self, cpu: Vcpu, command: Command) -> tuple[ResultCode, Registers]:
        entry.take_up(cpu)
        cpu.guest.exit_int_info = 0
        cpu.guest.vintr.busy = False
        entry.answer_signal(cpu)
        registers = Registers(command["rcx"], command["rdx"], command["r8"])
        return dispatch(cpu, command["protocol"], command["request"], registers), registers

    def _host_irq(self, cpu: Vcpu, command: Command) -> tuple[bool, bool]:
        return self._post(cpu, command)

    def _post(self, cpu: Vcpu, wanted: Command) -> tuple[bool, bool]:
        """A whole post; one that is under way is finished first."""
        if cpu.posting is not None:
            host.finish(cpu, cpu.posting)
            cpu.posting = None
        post = Posting(wanted["vector"], wanted["level"])
        return host.finish(cpu, post), post.raised

    def _host_begin(self, cpu: Vcpu, command: Command) -> str:
        if cpu.posting is not None:
            host.finish(cpu, cpu.posting)
        cpu.posting = Posting(command["vector"], command["level"])
        return cpu.posting.step

    def _host_step(self, cpu: Vcpu, command: Command) -> str:
        post = cpu.posting
        if post is None:
            return "none"
        host.advance(cpu, post)
        if post.step in host.ENDS:
            cpu.posting = None
        return post.step

    def _host_refuse(self, cpu: Vcpu, command: Command) -> None:
        cpu.refusing.append(REQUEST_CODES[command["call"]])

    def _enter(self, cpu: Vcpu, command: Command) -> Entry:
        under_way, late = self._entry(cpu), None
        cpu.entry = None
        if "late" in command:
            late = partial(self._late, cpu, command["late"])
        entry.enter(cpu, under_way, late)
        return under_way

    def _late(self, cpu: Vcpu, posts: Iterable[Command]) -> None:
        for post in posts:
            self._post(cpu, post)

    def _svsm_step(self, cpu: Vcpu, command: Command) -> str:
        under_way = cpu.entry = self._entry(cpu)
        entry.advance(cpu, under_way)
        if under_way.step == "entered":
            cpu.entry = None
        return under_way.step

    def _svsm_hv(self, cpu: Vcpu, command: Command) -> str:
        under_way = cpu.entry
        if under_way is None or under_way.step != entry.WINDOW or not cpu.hv_raised:
            return "none"
        entry.interrupt(cpu, under_way)
        return under_way.step

    def _entry(self, cpu: Vcpu) -> Entry:
        """The entry that is under way, or a new one."""
        if cpu.entry is not None:
            return cpu.entry
        entry.take_up(cpu)
        return Entry()

    def _guest_take(self, cpu: Vcpu, command: Command) -> tuple[str, int]:
        taken, vector = take(cpu.guest)
        if taken != "none" and command.get("gate"):
            cpu.guest.interrupts_enabled = False
        return taken, vector

    def _guest(self, cpu: Vcpu, command: Command) -> None:
        cpu.guest.interrupts_enabled = command["if"]
        cpu.guest.vintr.int_shadow = command["shadow"]
        if "cr8" in command:
            cpu.guest.vintr.v_tpr = command["cr8"]

    def _guest_lazy_eoi(self, cpu: Vcpu, command: Command) -> int:
        was, cpu.calling.no_eoi_required = cpu.calling.no_eoi_required, 0
        return was

    def _intercept(self, cpu: Vcpu, command: Command) -> None:
        entry.take_up(cpu)
        cpu.guest.exit_int_info = command["exitintinfo"]
        cpu.guest.vintr.busy = command["busy"]
        entry.answer_signal(cpu)
        entry.left_guest(cpu)

    def _set_vmsa(self, cpu: Vcpu, command: Command) -> None:
        vintr = VintrCtrl.of(command.get("vintr", FRESH_VINTR))
        cpu.new_guest = Guest(vintr=vintr, event_inj=command.get("event_inj", 0))

    def _doorbell(self, cpu: Vcpu, command: Command) -> str:
        return cpu.page.hex()

    def _set_doorbell(self, cpu: Vcpu, command: Command) -> None:
        cpu.page[:] = bytes.fromhex(command["hex"])

    def _state(self, cpu: Vcpu, command: Command) -> Answer:
        local, guest = cpu.apic, cpu.guest
        return {
            "apic": {
                "icr": local.icr,
                "irr": _words(local.irr),
                "allowed": _words(local.allowed),
                "isr_stack": list(local.isr),
                "tmr": _words(apic_registers.trigger_modes(local)),
                "host_tmr": _words(apic_registers.trigger_modes(local, from_host=True)),
            },
            "flags": _flags(local),
            "ipi_irr": _words(cpu.mailbox.irr),
            "ipi_pending": cpu.mailbox.pending,
            "ipi_nmi": cpu.mailbox.nmi,
            **_vmrun(cpu),
            "if": guest.interrupts_enabled,
            "shadow": guest.vintr.int_shadow,
            "reg_count": cpu.vm.registration_count,
            "alt_inj": guest.alternate_injection,
            "history": [request.as_dict() for request in cpu.vm.requests],
        }


def _answering(machine: Machine, cpu: Vcpu, command: Command) -> Answer:
    operation = command["op"]
    return _ANSWERS[operation](cpu, ACTS[operation](machine, cpu, command))


def _with_state(machine: Machine, cpu: Vcpu, command: Command) -> Answer:
    answer: Answer = memory_commands.with_state(cpu, command, partial(_answering, machine))
    return answer


# --- answers -----------------------------------------------------------------------------------------


def _vmrun(cpu: Vcpu) -> Answer:
    """What VMRUN sees of a vCPU."""
    event, vintr = cpu.guest.event_inj, cpu.guest.vintr
    return {
        "event_inj": event,
        "event_valid": bool(event & EVENT_VALID),
        "event_type": event_type(event),
        "event_vector": event & EVENT_VECTOR,
        "nmi": is_nmi(event),
        "v_irq": vintr.v_irq,
        "v_intr_vector": vintr.v_intr_vector,
        "v_intr_prio": vintr.v_intr_prio,
        "v_ign_tpr": vintr.v_ign_tpr,
        "v_tpr": vintr.v_tpr,
        "no_eoi_required": cpu.calling.no_eoi_required,
    }


def _flags(local: LocalApic) -> Answer:
    return {
        "update_required": local.update_required,
        "interrupt_delivered": local.interrupt_delivered,
        "interrupt_queued": local.interrupt_queued,
        "lazy_eoi_pending": local.lazy_eoi_pending,
        "nmi_pending": local.nmi_pending,
    }


def _words(vectors: int) -> list[int]:
    return [vectors >> 32 * word & 0xFFFFFFFF for word in range(8)]


ACTS: dict[str, Act] = {
    name: getattr(Machine, f"_{name}")
    for name in COMMANDS
    if name != "init" and name not in ON_MEMORY
}
"""Each command is carried out by the method of its name."""


def _ok(cpu: Vcpu, outcome: object) -> Answer:
    return {"ok": True}


def _next(cpu: Vcpu, step: str) -> Answer:
    return {"next": step}


def _called(cpu: Vcpu, outcome: tuple[ResultCode, Registers]) -> Answer:
    result, registers = outcome
    return {"rax": int(result), "rcx": registers.rcx, "rdx": registers.rdx, "r8": registers.r8}


def _posted(cpu: Vcpu, outcome: tuple[bool, bool]) -> Answer:
    accepted, raised = outcome
    return {"posted": accepted, "hv": raised, "status": cpu.words[STATUS_WORD]}


def _entered(cpu: Vcpu, under_way: Entry) -> Answer:
    return {**_vmrun(cpu), "flags": _flags(cpu.apic), "cancelled": under_way.cancelled}


_ANSWERS: dict[str, Callable[[Vcpu, Any], Answer]] = dict.fromkeys(ACTS, _ok) | {
    "call": _called,
    "host_irq": _posted,
    "enter": _entered,
    "guest_take": lambda cpu, outcome: {"taken": outcome[0], "vector": outcome[1]},
    "guest_lazy_eoi": lambda cpu, was: {"was": was},
    "intercept": lambda cpu, outcome: _vmrun(cpu),
    "doorbell": lambda cpu, text: {"hex": text},
    "state": lambda cpu, told: told,
    "host_begin": _next,
    "host_step": _next,
    "svsm_step": _next,
    "svsm_hv": _next,
}
"""What is answered, from the vCPU after the command and what its method returned."""


def _plain(handler: Callable[[Vcpu, Command], Answer]) -> Handler:
    return lambda machine, cpu, command: handler(cpu, command)


_ON_VCPU = {name: _plain(handler) for name, handler in memory_commands.OF_VCPU.items()}
"""What a machine with memory carries out in another way, or what no other one carries out."""
