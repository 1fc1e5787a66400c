"""Scenarios of a host: commands to it and its VM, carried out one after the other.

A line `{"kind": "host", "ops": [{"cmd", "ans"}, ...]}` is a sequence, unless it begins with an SVSM's
`init`: recordings of COCONUT-SVSM have that kind too. A line of kind `ghcb` or `msr` is one recorded
exchange: the VM, the page or word that the guest exited with, and the answer.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

from ..descriptions import Answer, Command
from ..errors import ScenarioError, brief
from ..sequences import HOST, Sequence, listed, sequence, step
from ..wire.page_size import PAGE
from . import restricted
from .commands import COMMANDS
from .host import Host
from .page import SharedPage
from .quirks import REFERENCE, Quirks
from .vm import Setup, Vcpu, Vm

EXCHANGES = {"ghcb": ("vmgexit", ("page", "gpa")), "msr": ("msr", ("request",))}
"""The kinds of a recorded exchange: the command that it is, and its arguments."""


def sequence_of(entry: dict[str, Any], number: int, name: str) -> Sequence | None:
    """The sequence of a line, None if it is not for a host. Raises ScenarioError with the line."""
    kind = entry.get("kind")
    if kind == "host" and "ops" in entry and not _is_of_an_svsm(entry):
        found = sequence(entry, number, name, COMMANDS)
    elif isinstance(kind, str) and kind in EXCHANGES and "ops" not in entry:
        found = _exchange(entry, kind, number, name)
    elif kind is not None and not {"ops", "op", "cmd"} & set(entry):
        expected = f"{', '.join(EXCHANGES)}, or a line with ops"
        raise ScenarioError(f"kind: {brief(kind)} found, {expected} expected", line=number)
    else:
        return None
    found.machine = HOST
    return found


def _is_of_an_svsm(entry: dict[str, Any]) -> bool:
    """Whether a sequence begins with an `init` that says how many vCPUs an SVSM has."""
    operations = entry["ops"]
    first = operations[0] if isinstance(operations, list) and operations else {}
    command = first.get("cmd", first) if isinstance(first, dict) else {}
    return isinstance(command, dict) and command.get("op") == "init" and "cpus" in command


def _exchange(entry: dict[str, Any], kind: str, number: int, name: str) -> Sequence:
    op, arguments = EXCHANGES[kind]
    vm, answer = entry.get("vm", {}), entry.get("answer")
    if not isinstance(vm, dict):
        raise ScenarioError(f"vm: {brief(vm)} is not an object", line=number)
    found = Sequence(name, number, kind)
    found.add(*step({"op": "init"} | vm, number, COMMANDS, "vm: "))
    command = {"op": op} | {one: entry[one] for one in arguments if one in entry}
    found.add(*step({"cmd": command, "ans": answer}, number, COMMANDS))
    return found


def setup_of(command: Command) -> Setup:
    """The set-up that an `init` says."""
    given = {key: value for key, value in command.items() if key != "op"}
    for key in ("memory", "cpuid"):
        if key in given:
            given[key] = tuple(map(tuple, given[key]))
    return Setup(**given)


def show(commands: Iterable[Command], *, mark: int | None = None) -> str:
    """A scenario for a person, one numbered line for each command; `mark` gets an arrow."""
    return listed(commands, COMMANDS, mark=mark)


def page_of(pieces: list[tuple[int, str]]) -> bytes:
    """A page of zeros with these pieces."""
    page = bytearray(PAGE)
    for at, text in pieces:
        data = bytes.fromhex(text)
        page[at : at + len(data)] = data
    return bytes(page)


class Session:
    """A host that is told commands. It begins with a VM of the defaults."""

    def __init__(self, quirks: Quirks = REFERENCE) -> None:
        self.quirks = quirks
        self.host = Host(Vm.of(Setup()), quirks)

    def execute(self, command: Command) -> Answer:
        """Carry a checked command out. Raises ScenarioError."""
        cpu, vcpus = command.get("cpu", 0), len(self.host.vm.vcpus)
        if cpu >= vcpus:
            name = command["op"]
            raise ScenarioError(f"{name}: vCPU {cpu} does not exist, there are {vcpus}")
        return _CARRIED_OUT[command["op"]](self, command, cpu)

    def _init(self, command: Command, cpu: int) -> Answer:
        self.host = Host(Vm.of(setup_of(command)), self.quirks)
        return {"ok": True}

    def _vmgexit(self, command: Command, cpu: int) -> Answer:
        gpa = command["gpa"]
        if "page" in command:
            data = page_of(command["page"])
        else:
            data = self.host.vm.memory.read(gpa, PAGE) or b""
        meanwhile = command.get("meanwhile", ())

        def write(page: SharedPage) -> None:
            for at, text in meanwhile:
                page.memory[at : at + len(text) // 2] = bytes.fromhex(text)

        return self.host.vmgexit(SharedPage(data, write if meanwhile else None), gpa, cpu)

    def _msr(self, command: Command, cpu: int) -> Answer:
        return self.host.msr(command["request"], cpu)

    def _write(self, command: Command, cpu: int) -> Answer:
        return {"ok": self.host.vm.memory.write(command["gpa"], bytes.fromhex(command["hex"]))}

    def _read(self, command: Command, cpu: int) -> Answer:
        data = self.host.vm.memory.read(command["gpa"], command["size"])
        return {"hex": None if data is None else data.hex()}

    def _sipi(self, command: Command, cpu: int) -> Answer:
        return {"released": self.host.start(cpu)}

    def _irq(self, command: Command, cpu: int) -> Answer:
        vcpu = self.host.vm.vcpus[cpu]
        restricted.wait_for(vcpu, command["vector"])
        return {"waiting": _waiting(vcpu)}

    def _nmi(self, command: Command, cpu: int) -> Answer:
        vcpu = self.host.vm.vcpus[cpu]
        vcpu.waiting_nmi = True
        return {"waiting": _waiting(vcpu)}

    def _machine_check(self, command: Command, cpu: int) -> Answer:
        vcpu = self.host.vm.vcpus[cpu]
        vcpu.waiting_machine_check = True
        return {"waiting": _waiting(vcpu)}

    def _enter(self, command: Command, cpu: int) -> Answer:
        vm, vcpu = self.host.vm, self.host.vm.vcpus[cpu]
        restricted.enter(vm, vcpu, self.quirks)
        told = {"vmpl": vcpu.vmpl, "event_inj": vcpu.event_inj}
        return {**told, "doorbell": restricted.word(vm, vcpu), "waiting": _waiting(vcpu)}

    def _cancel(self, command: Command, cpu: int) -> Answer:
        vm, vcpu = self.host.vm, self.host.vm.vcpus[cpu]
        events = restricted.cancel(vm, vcpu, self.quirks)
        word = restricted.word(vm, vcpu)
        return {"events": events, "doorbell": word, "waiting": _waiting(vcpu)}

    def _take(self, command: Command, cpu: int) -> Answer:
        vm, vcpu = self.host.vm, self.host.vm.vcpus[cpu]
        events = restricted.take(vm, vcpu, command.get("tpr"))
        return {"events": events, "doorbell": restricted.word(vm, vcpu)}

    def _state(self, command: Command, cpu: int) -> Answer:
        vm = self.host.vm
        return {
            "ended": vm.ended,
            "jump_table": vm.jump_table,
            "mappings": vm.mappings,
            "pages": [
                [first * PAGE, last - first, state.name.lower()]
                for first, last, state in vm.pages.runs
            ],
            "vcpus": {
                str(vcpu.apic_id): told for vcpu in vm.vcpus if (told := _changed(vcpu, vm.setup))
            },
        }


_CARRIED_OUT: dict[str, Callable[[Session, Command, int], Answer]] = {
    "init": Session._init,
    "vmgexit": Session._vmgexit,
    "msr": Session._msr,
    "write": Session._write,
    "read": Session._read,
    "sipi": Session._sipi,
    "irq": Session._irq,
    "nmi": Session._nmi,
    "machine_check": Session._machine_check,
    "enter": Session._enter,
    "cancel": Session._cancel,
    "take": Session._take,
    "state": Session._state,
}


def _waiting(vcpu: Vcpu) -> list[int | str]:
    """What the host still has to tell VMPL 0 of a vCPU."""
    found: list[int | str] = ["machine check"] * vcpu.waiting_machine_check
    return [*found, *["NMI"] * vcpu.waiting_nmi, *vcpu.waiting_irqs]


def _changed(vcpu: Vcpu, setup: Setup) -> Answer:
    """What of a vCPU is not as it was set up."""
    fresh = Vcpu(vcpu.apic_id, setup.registered)
    found = {}
    for one in dataclasses.fields(Vcpu):
        value = getattr(vcpu, one.name)
        if value != getattr(fresh, one.name):
            found[one.name] = value
    if vcpu.vmsas:
        found["vmsas"] = {
            str(vmpl): dataclasses.asdict(vmsa) for vmpl, vmsa in sorted(vcpu.vmsas.items())
        }
    return found
