"""The reach: what parts of the protocol a corpus reaches, when its inputs run again on the machine.

It counts the answers of calls by result code, the accesses to APIC registers by outcome, how often
each invariant had something to check, and what came between the steps of an entry. `call_rows`
says what could be counted: every call of the wire tables. `answerable` says which result codes the
oracle of INV-9 can give for each call.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from vmgexit.descriptions import U32, U64, Answer, Command
from vmgexit.machine.commands import call
from vmgexit.machine.machine import Machine
from vmgexit.machine.quirks import Quirks
from vmgexit.machine.rules import host
from vmgexit.machine.vm import FIRST_CALLING_AREA, Vm
from vmgexit.watch.invariants import INVARIANTS
from vmgexit.watch.judged import Invariant, Wrong
from vmgexit.watch.ledger import Ledger, Step
from vmgexit.watch.oracle import documented_code
from vmgexit.watch.watch import Watch
from vmgexit.wire.apic import ApicCall, ApicRegister
from vmgexit.wire.calls import calls, find_call
from vmgexit.wire.svsm import Protocol, ResultCode

OTHER = U32
"""In the place of the number of a call, protocol or register that the wire tables do not know: one that
none of them has."""

WAYS = {ApicCall.READ_REGISTER: "read", ApicCall.WRITE_REGISTER: "write"}

WHOLE_POST, LATE_POST, REWRITTEN, IPI = "whole post", "late post", "page rewritten", "IPI"
BETWEEN = (*host.STEPS, WHOLE_POST, LATE_POST, REWRITTEN, IPI)
"""What can come between two steps of an entry: one access of a post or all of one, one inside the
switch window of a whole entry, a doorbell page that the host overwrites, an IPI from another vCPU."""

_WINDOW = "vmgexit"  # the step that the switch window ends with


@dataclass(slots=True)
class Reach:
    """What was counted. Calls are (protocol, number, result code), registers (number, way, result
    code), exercises a place in `INVARIANTS`, races (step of the entry to come, of `BETWEEN`)."""

    inputs: int = 0
    broken: int = 0  # inputs that ended where they broke an invariant, or the machine failed
    steps: int = 0  # commands
    calls: Counter[tuple[int, int, int]] = field(default_factory=Counter)
    registers: Counter[tuple[int, str, int]] = field(default_factory=Counter)
    exercised: Counter[tuple[int]] = field(default_factory=Counter)
    races: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(
        self,
        commands: Iterable[Command],
        quirks: Quirks,
        kept: Sequence[Invariant] = tuple(INVARIANTS),
    ) -> None:
        """Run a scenario, to its end or to where it breaks one of the invariants `kept`, and count."""
        self.inputs += 1
        invariants = [one if one in kept else _unheld(one) for one in INVARIANTS]
        watch = Watch(Machine(quirks), invariants=invariants)
        try:
            for command in commands:
                self.steps += 1
                racing = list(_races(watch.machine, command))
                answer = watch.execute(command)
                self._answered(command, answer)
                self.races.update(racing)
                self.races.update(_interrupted(watch.machine, command))
        except Exception:
            self.broken += 1
        for place, invariant in enumerate(invariants):
            self.exercised[(place,)] += watch.checked[invariant]

    def as_json(self) -> dict[str, Any]:
        """As plain lists; `from_json` reads it."""
        return {
            each.name: [[*key, count] for key, count in value.items()]
            if isinstance(value := getattr(self, each.name), Counter)
            else value
            for each in dataclasses.fields(self)
        }

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> Reach:
        """What `as_json` made."""
        reach = cls()
        for name, value in told.items():
            if isinstance(value, list):
                value = Counter({tuple(key): count for *key, count in value})
            setattr(reach, name, value)
        return reach

    def _answered(self, command: Command, answer: Answer) -> None:
        if command["op"] != "call" or "rax" not in answer:
            return
        protocol, number, code = command["protocol"], command["request"], answer["rax"]
        if find_call(protocol, number) is None:
            number = OTHER
            protocol = protocol if protocol in _PROTOCOLS else OTHER
        self.calls[protocol, number, code] += 1
        if protocol == Protocol.APIC and number in WAYS:
            register = command["rcx"] if command["rcx"] in _REGISTERS else OTHER
            self.registers[register, WAYS[number], code] += 1


def _unheld(invariant: Invariant) -> Invariant:
    """The invariant, its steps counted and nothing held against them."""

    def check(vm: Vm, ledger: Ledger, step: Step) -> Wrong | None:
        return None if invariant.check(vm, ledger, step) is None else []

    return dataclasses.replace(invariant, check=check)


_PROTOCOLS = frozenset(Protocol)
_REGISTERS = frozenset(ApicRegister)


def _races(machine: Machine, command: Command) -> Iterator[tuple[str, str]]:
    """What the host is about to do while an entry of the same vCPU is under way."""
    is_none = "cpu" not in command or command["cpu"] >= len(machine.vm.vcpus)
    if is_none or machine.stopped:
        return
    cpu = machine.vm.vcpus[command["cpu"]]
    if command["op"] == "enter":
        yield from [(_WINDOW, LATE_POST)] * len(command.get("late", ()))
    if cpu.entry is None:
        return
    step, posting = cpu.entry.step, cpu.posting
    match command["op"]:
        case "host_step" if posting is not None:
            yield step, posting.step
        case "host_irq":
            yield step, WHOLE_POST
        case "host_begin" if posting is not None:  # which is finished first
            yield step, WHOLE_POST
        case "set_doorbell":
            yield step, REWRITTEN


def may_race(step: str, what: str) -> bool:
    """Whether `what` can come before that step of an entry: a late post only inside the window."""
    return what != LATE_POST or step == _WINDOW


def _interrupted(machine: Machine, command: Command) -> Iterator[tuple[str, str]]:
    """The IPIs that were just sent to vCPUs whose entry is under way."""
    for sent in machine.vm.sent:
        target = machine.vm.vcpus[sent.target]
        if target.entry is not None and sent.target != command.get("cpu"):
            yield target.entry.step, IPI


@cache
def answerable(protocol: int, number: int, register: int | None = None) -> frozenset[ResultCode]:
    """The codes that a call can be answered with here, of an APIC register the outcomes: what the
    oracle of INV-9 says of requests that between them meet every condition of it."""
    cpu, other = Vm(apic_ids=range(2)).vcpus
    pages = (cpu.calling.address, other.calling.address, FIRST_CALLING_AREA + 1)
    registers = (ApicRegister.ID, ApicRegister.TPR, ApicRegister.EOI)
    rcxs = (*range(4), 1 << 8 | 31, 1 << 9, *registers, *pages, U64)
    found = set()
    for rcx, rdx, count, emulated in itertools.product(
        rcxs if register is None else (register,), (0, 0x40, U64), (0, 1, U32), (False, True)
    ):
        command = call(0, number, rcx, rdx, protocol=protocol)
        found.add(documented_code(cpu, command, emulated=emulated, count=count))
    return frozenset(found)


def call_rows() -> Iterator[tuple[int, int, str, str]]:
    """Protocol, number, name and meaning of every call, and what stands for all others."""
    described = calls()
    for protocol in Protocol:
        for one in described:
            if one.protocol == protocol:
                yield protocol, one.number, one.name, one.meaning
        yield protocol, OTHER, "other numbers", "calls that the protocol does not have"
    yield OTHER, OTHER, "other protocols", "unknown protocols"
