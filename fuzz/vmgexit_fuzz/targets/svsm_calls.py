"""Invariant: any calls with any registers answer codes that their tables list, and change registers as
documented; and no invariant of the machine breaks.

The bytes are a program, as for `scenario`, but every operation other than `init` is read as a call. The
bytes choose from the known protocols and calls and a few unknown ones. Large register values often
become an address or a number that means something.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from vmgexit.descriptions import Answer, Command
from vmgexit.machine import program
from vmgexit.machine.machine import Machine
from vmgexit.machine.program import CODES, SIZE
from vmgexit.watch.quick import Quick
from vmgexit.watch.watch import Watch
from vmgexit.wire.apic import ApicCall, ApicRegister
from vmgexit.wire.calls import calls
from vmgexit.wire.svsm import CoreCall, Protocol, ResultCode

from .base import Finding
from .scenarios import Scenario

PROTOCOLS = (*Protocol, Protocol.APIC, Protocol.APIC, 6, 1 << 31, (1 << 32) - 1)
CALLS = (*range(9), (1 << 32) - 1)
NUMBERS = (
    *(0x20002000, 0x30000000, 0x30000008, 0x30000800, 0xFFFFFFFFFFFFF000),  # addresses
    *(protocol << 32 | version for protocol in (*Protocol, 6) for version in (0, 1, 2)),
    *(0x400 | 1 << 32, 0x061 | 1 << 32, 0x80061, 0xC0061, 0xFFFFFFFF << 32 | 0x61),  # of the ICR
    *(1 << 10 | 0x61, 1 << 32 | 2, (1 << 64) - 1),
)
_SMALL = 0xFFFF
_KEPT = (CODES["init"], CODES["apic_id"])  # operations that are no call
_ALWAYS_THERE = (Protocol.CORE, Protocol.ATTESTATION)  # of the protocols, in this SVSM

_CALLS = {(call.protocol, call.number): call for call in calls()}
_OUTPUTS = ("rcx", "rdx", "r8")


class SvsmCalls(Scenario):
    """Calls alone, whose codes and registers are checked too."""

    takes_guest = False
    is_quick = False

    def begin(self) -> Checked:
        watch = Watch(Machine(self.quirks), invariants=self.invariants)
        return Checked(watch.machine, watch.execute)

    def carry_out(self, commands: list[Command]) -> None:
        """Carry out a scenario quickly, then check the answers. What is wrong is found in order."""
        machine, answering = Machine(self.quirks), Machine(self.quirks)
        execute = Checked(answering, answering.execute).execute
        try:
            Quick(machine, self.invariants, self.observe).run(commands)
            for command in commands:
                execute(command)
        except Exception:
            super().carry_out(commands)
            raise  # what only the quick way finds
        machine.close()
        answering.close()

    def commands(self, data: bytes) -> list[Command]:
        read = bytearray(data)
        for at in range(0, len(read) - SIZE + 1, SIZE):
            if read[at] not in _KEPT:
                read[at] = CODES["call"]
        return [_folded(command) for command in program.read(bytes(read))]


def _folded(command: Command) -> Command:
    if command["op"] == "call":
        command = {**command}
        command["protocol"] = _one_of(PROTOCOLS, command["protocol"])
        command["request"] = _one_of(CALLS, command["request"])
        for register in ("rcx", "rdx"):
            value = command[register]
            if value > _SMALL and value >> 56 & 1:
                command[register] = _one_of(NUMBERS, value)
    return command


def _one_of(there_are: tuple[int, ...], value: int) -> int:
    return value if value in there_are else int(there_are[value % len(there_are)])


@dataclass(slots=True)
class Books:
    """What reading the registers of a vCPU must give, from the calls alone."""

    icr: int = 0
    sent: set[int] = field(default_factory=set)  # vectors that anyone sent

    def register(self, number: int, value: int) -> str:
        """What is wrong with a register's value; "" for nothing. No guest runs: nothing is in service."""
        match number:
            case ApicRegister.ICR:
                expected = self.icr
            case _ if ApicRegister.ISR0 <= number <= ApicRegister.TMR7:
                expected = 0
            case _ if ApicRegister.IRR0 <= number <= ApicRegister.IRR7:
                first = 32 * (number - ApicRegister.IRR0)
                may = sum(1 << vector - first for vector in self.sent if 0 <= vector - first < 32)
                return "" if not value & ~may else f"{value:#x}, of which only {may:#x} was sent"
            case _:
                return ""  # TPR, PPR, ID and LDR are INV-6
        return "" if value == expected else f"{value:#x}, {expected:#x} expected"


class Checked:
    """A machine, what carries its commands out, and what its answers must be."""

    def __init__(self, machine: Machine, execute: Callable[[Command], Answer]) -> None:
        self.machine, self._execute = machine, execute
        self.books: list[Books] = []

    def execute(self, command: Command) -> Answer:
        """Carry out a command. Raises Violation, and Finding for a wrong answer."""
        there = _is_there(self.machine, command)
        answer = self._execute(command)
        if command["op"] == "init":
            self.books = [Books() for _ in range(command["cpus"])]
        elif "rax" in answer:
            wrong = _wrong_code(command, answer, there) or _wrong_registers(
                command, answer, self.books
            )
            if wrong:
                cause, message = wrong
                name = _name(command)
                raise Finding(f"{cause} of {name}", f"{name}: {message}")
        return answer


def _is_there(machine: Machine, command: Command) -> bool:
    """Whether a call's protocol is present, before the call."""
    if command["op"] != "call":
        return False
    if command["protocol"] == Protocol.APIC:
        return machine.vm.vcpus[command["cpu"]].guest.alternate_injection
    return command["protocol"] in _ALWAYS_THERE


def _name(command: Command) -> str:
    call = _CALLS.get((command["protocol"], command["request"]))
    return call.name if call else "an unknown call"


def _wrong_code(command: Command, answer: Answer, there: bool) -> tuple[str, str] | None:
    """Whether the code is one that the tables do not list for the call."""
    call = _CALLS.get((command["protocol"], command["request"]))
    listed: tuple[ResultCode, ...] = (ResultCode.UNSUPPORTED_PROTOCOL,)
    if there and call is not None:
        listed = call.results
        if call.protocol == Protocol.ATTESTATION:  # no memory of the guest can be read here
            listed = (ResultCode.INVALID_PARAMETER,)
    elif there and command["protocol"] != Protocol.ATTESTATION:
        listed = (ResultCode.UNSUPPORTED_CALL,)
    if answer["rax"] in listed:
        return None
    names = ", ".join(code.name for code in listed)
    return "result code", f"answered {answer['rax']:#x}, listed are {names}"


def _wrong_registers(
    command: Command, answer: Answer, books: list[Books]
) -> tuple[str, str] | None:
    """Whether a register changed that is no output, or an output is not what it should be."""
    call = _CALLS.get((command["protocol"], command["request"]))
    done = answer["rax"] == ResultCode.SUCCESS
    outputs = {output.register for output in call.outputs} if done and call else set()
    for register in _OUTPUTS:
        if register not in outputs and answer[register] != command[register]:
            return f"{register.upper()} changed", f"{register.upper()} changed and is no output"
    if not done:
        return None
    own, rcx, rdx = books[command["cpu"]], command["rcx"], command["rdx"]
    match command["protocol"], command["request"]:
        case Protocol.CORE, CoreCall.QUERY_PROTOCOL if rcx >> 32 != Protocol.APIC:  # that is INV-7
            present = rcx in (Protocol.CORE << 32 | 1, Protocol.ATTESTATION << 32 | 1)
            return _expected("RCX", answer["rcx"], 1 << 32 | 1 if present else 0)
        case (Protocol.CORE, CoreCall.CONFIGURE_VTOM) | (Protocol.APIC, ApicCall.QUERY_FEATURES):
            return _expected("RCX", answer["rcx"], 0)
        case Protocol.APIC, ApicCall.WRITE_REGISTER:
            if rcx == ApicRegister.ICR:
                own.icr = rdx
            if rcx in (ApicRegister.ICR, ApicRegister.SELF_IPI):
                for each in books:
                    each.sent.add(rdx & 0xFF)
        case Protocol.APIC, ApicCall.READ_REGISTER:
            wrong = own.register(rcx, answer["rdx"])
            name = ApicRegister(rcx).name
            return (f"value of {name}", f"{name} reads {wrong}") if wrong else None
    return None


def _expected(register: str, found: int, expected: int) -> tuple[str, str] | None:
    if found == expected:
        return None
    return f"value of {register}", f"{register} is {found:#x}, {expected:#x} expected"
