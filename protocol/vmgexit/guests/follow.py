"""A guest followed through a scenario: where it would not do that, and where it ends itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ..descriptions import Answer, Command
from ..machine.commands import call
from ..machine.machine import Machine
from ..wire.apic import ApicCall, ApicRegister
from ..wire.svsm import Protocol
from .guest import Guest, When

ALL_VECTORS = 0x300
"""RCX of the CONFIGURE_VECTOR call that allows all vectors."""


def opening(cpus: int, registrations: int) -> tuple[Command, ...]:
    """What comes before a guest starts: on each vCPU every vector is allowed. No published guest does this
    itself."""
    return (
        {"op": "init", "cpus": cpus, "reg_count": registrations},
        *(call(cpu, ApicCall.CONFIGURE_VECTOR, ALL_VECTORS) for cpu in range(cpus)),
    )


def _is_opening(command: Command) -> bool:
    return command["op"] == "init" or command == call(
        command["cpu"], ApicCall.CONFIGURE_VECTOR, ALL_VECTORS
    )


@dataclass(slots=True)
class _Cpu:
    """What a guest knows of one of its vCPUs."""

    interrupts_enabled: bool = False
    taken: int = 0  # interrupts, and not ended


@dataclass(slots=True)
class Follower:
    """A guest at one place of a scenario. `ended` is why it ended itself; each `init` starts another."""

    guest: Guest
    ended: str = ""
    _started: bool = False
    _cpus: dict[int, _Cpu] = field(default_factory=dict)

    def objection(self, command: Command) -> str:
        """What about the next command this guest never does, or does not do now; empty where it does."""
        if self.is_before(command):
            return ""
        objection = self.guest.objection(command)
        if objection or command["op"] == "init":
            return objection
        cpu = self._cpu(command)
        quiet = not (cpu.interrupts_enabled or cpu.taken)
        row = self.guest.row(command) if command["op"] == "call" else None
        when = row.when if row else When.QUIET if command["op"] == "set_vmsa" else When.ANY
        if (when is When.QUIET and not quiet) or (when is When.TAKEN and not cpu.taken):
            name = row.name if row else command["op"]
            return f"does {name} only {when.value}"
        return ""

    def is_before(self, command: Command) -> bool:
        """Whether a command is part of what comes before the guest starts."""
        return not self._started and _is_opening(command)

    def note(self, command: Command, answer: Answer) -> None:
        """What the guest knows after a command."""
        if command["op"] == "init":
            self._started, self._cpus, self.ended = False, {}, ""
            return
        self._started = self._started or not _is_opening(command)
        cpu = self._cpu(command)
        match command["op"]:
            case "guest":
                cpu.interrupts_enabled = command["if"]
            case "guest_take" if answer.get("taken") in ("event", "virq"):
                cpu.taken += 1
                if command.get("gate"):
                    cpu.interrupts_enabled = False
            case "intercept" if command["exitintinfo"] and cpu.taken:
                cpu.taken -= 1  # the delivery was cut short
            case "set_vmsa":
                self._cpus[command["cpu"]] = _Cpu()
            case "call" if _is_eoi(command) and not answer.get("rax"):
                cpu.taken = max(cpu.taken - 1, 0)
        self.ended = self.ended or self.guest.ending(command, answer)

    def _cpu(self, command: Command) -> _Cpu:
        return self._cpus.setdefault(command["cpu"], _Cpu())


def _is_eoi(command: Command) -> bool:
    asked = command["protocol"], command["request"], command["rcx"]
    return asked == (Protocol.APIC, ApicCall.WRITE_REGISTER, ApicRegister.EOI)


@dataclass(frozen=True, slots=True)
class Remark:
    """What is to be said of a command of a scenario. `ends`: it is the guest's end, and no objection."""

    index: int
    text: str
    ends: bool = False


def remarks(guest: Guest, scenario: Iterable[Command], machine: Machine) -> Iterator[Remark]:
    """Where a scenario does what the guest does not, and where the guest ends itself, on that machine."""
    follower = Follower(guest)
    for index, command in enumerate(scenario):
        objection = follower.objection(command)
        if objection:
            yield Remark(index, f"{guest.name} {objection}")
        before = follower.ended
        follower.note(command, machine.execute(command))
        if follower.ended and not before:
            yield Remark(index, f"{guest.name} ends itself: {follower.ended}", ends=True)


def as_guest(
    guest: Guest, scenario: Iterable[Command], machine: Machine
) -> tuple[list[Command], str]:
    """What is left of a scenario when the guest does only what it does: without the other commands, with
    all vectors allowed after each `init`, and up to the guest's end; and why it ended there."""
    follower, kept = Follower(guest), list[Command]()
    for command in scenario:
        made = [command]
        if command["op"] == "init":
            made += opening(command["cpus"], command["reg_count"])[1:]
        elif follower.is_before(command) or follower.objection(command):
            continue
        for one in made:
            kept.append(one)
            try:
                answer = machine.execute(one)
            except Exception:  # whoever runs the scenario gets it again, and tells it
                return kept, ""
            follower.note(one, answer)
        if follower.ended:
            return kept, f"{guest.name} ends itself: {follower.ended}"
    return kept, ""
