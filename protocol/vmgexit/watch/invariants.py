"""What the whole system must hold after every step: the invariants INV-1 to INV-10.

Each is a function of the step, the ledger and the machine; it yields what is wrong, in words. They
know nothing of quirks. Those that need a host that follows the rules ask the vCPU's account whether
it is `honest`.
`Watch` runs scenarios under them; a broken one is a `Violation`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from ..machine.machine import Machine
from ..machine.scenario import Answer, Command
from ..machine.vcpu import EVENTS_AT, FLAGS_AT, GUEST_EVENT, ISR_WORD, NO_FURTHER_SIGNAL, Vcpu
from ..wire.apic import ApicCall, ApicRegister
from ..wire.doorbell import LOWEST_VECTOR
from ..wire.svsm import CoreCall, Protocol, ResultCode
from .ledger import (
    Account,
    Ledger,
    Step,
    carried,
    descriptor,
    listed,
    located,
    nmi_located,
    settled,
    visible,
)
from .oracle import documented_code


class Violation(Exception):
    """A broken invariant. `index` is the failing command's place in its scenario."""

    def __init__(self, invariant: Invariant, place: str, message: str, index: int) -> None:
        super().__init__(f"{invariant.name} at {place}: {message}")
        self.invariant = invariant
        self.place = place
        self.message = message
        self.index = index

    @property
    def cause(self) -> str:
        """What two findings of the same defect share: the invariant and the kind of place."""
        return f"{self.invariant.name} {self.place.partition(' of ')[0]}"


@dataclass(frozen=True, slots=True)
class Invariant:
    """A named rule: `name` is the clause, `meaning` its sentence."""

    name: str
    meaning: str
    check: Callable[[Machine, Ledger, Step], Iterator[tuple[str, str]]]


INVARIANTS: list[Invariant] = []

_Check = Callable[[Machine, Ledger, Step], Iterator[tuple[str, str]]]


def _invariant(name: str, meaning: str) -> Callable[[_Check], _Check]:
    def add(check: _Check) -> _Check:
        INVARIANTS.append(Invariant(name, meaning, check))
        return check

    return add


def _books(ledger: Ledger, step: Step, machine: Machine) -> Iterator[tuple[Vcpu, Account]]:
    """The open accounts that the step can have touched: the vCPU's own, and those it sent to."""
    touched = {sent.target for sent in machine.sent}
    if step.cpu is not None:
        touched.add(step.cpu.index)
    for index in sorted(touched):
        if not ledger.accounts[index].closed:
            yield machine.vcpus[index], ledger.accounts[index]


@_invariant("INV-1", "no interrupt is lost")
def _nothing_lost(machine: Machine, ledger: Ledger, step: Step) -> Iterator[tuple[str, str]]:
    for cpu, account in _books(ledger, step, machine):
        if not account.honest:
            continue
        there = located(cpu)
        for vector in (*account.owed, *account.mailed):
            if not there >> vector & 1:
                yield f"{step.command['op']} of vCPU {cpu.index}", f"vector {vector:#x} is nowhere"
    if step.at_hand_over is not None and step.cpu is not None and step.at_hand_over.honest:
        yield from _handed_over(step.cpu, step.at_hand_over)


def _handed_over(cpu: Vcpu, account: Account) -> Iterator[tuple[str, str]]:
    """At the hand-over everything pending and in service stands in the descriptor (EXIT-1).

    A pending IPI below vector 31 has no place there: the layout cannot hand it over.
    """
    given = descriptor(cpu)
    place = f"hand-over of vCPU {cpu.index}"
    for vector in account.owed:
        if vector >= LOWEST_VECTOR and not given.pending >> vector & 1:
            yield place, f"vector {vector:#x} was pending and the host does not get it"
    in_service = 0
    for word in range(8):
        in_service |= cpu.words[ISR_WORD + word] << 32 * word
    for vector, _ in account.delivered:
        if not in_service >> vector & 1:
            yield place, f"vector {vector:#x} was in service and the host does not get it"
    if account.nmi_owed and not given.nmi:
        yield place, "an NMI was pending and the host does not get it"


@_invariant("INV-2", "nothing is delivered that was not asked for and allowed")
def _nothing_unasked(machine: Machine, ledger: Ledger, step: Step) -> Iterator[tuple[str, str]]:
    genuine = step.account is not None and step.account.genuine
    if step.taken_unasked and step.cpu is not None and genuine:
        yield (
            f"guest_take of vCPU {step.cpu.index}",
            f"the guest got {step.taken_unasked}, which nobody asked for or allowed",
        )


@_invariant("INV-3", "an entered guest has no interrupt waiting without a carrier")
def _carriers(machine: Machine, ledger: Ledger, step: Step) -> Iterator[tuple[str, str]]:
    cpu = step.cpu
    if not step.entered or cpu is None or not step.emulated_before:
        return
    place = f"enter of vCPU {cpu.index}"
    signal_left = cpu.page[FLAGS_AT] & NO_FURTHER_SIGNAL and not step.meddled
    if signal_left or cpu.hv_raised:
        yield place, "the guest runs with NoFurtherSignal set (SCHED-3, SCHED-4)"
    busy = cpu.posting is not None or step.meddled  # the host is not done, or obeys no order
    if cpu.page[EVENTS_AT] & GUEST_EVENT and not busy:
        yield place, "the guest runs with its VMPL's event bit set"
    # A host that follows the rules signals whatever it writes; of another only what it signalled.
    left = descriptor(cpu)
    all_signalled = step.account is not None and step.account.honest
    unseen = left.field or left.multiple or ((all_signalled or step.multiple) and left.vectors)
    if (all_signalled or step.signalled) and unseen and not busy:
        yield place, f"the descriptor still holds {listed(left.pending)}"
    if cpu.apic.irr & 0xFFFF:
        yield place, f"pending and never deliverable: {listed(cpu.apic.irr & 0xFFFF)}"
    pending = cpu.apic.irr.bit_length() - 1
    newest = cpu.apic.isr[-1] if cpu.apic.isr else 0
    if pending > 0 and pending >> 4 > newest >> 4:
        yield place, f"vector {pending:#x} is pending above {newest:#x} and has no carrier"


@_invariant("INV-4", "a level-triggered interrupt is acknowledged exactly once")
def _acknowledged(machine: Machine, ledger: Ledger, step: Step) -> Iterator[tuple[str, str]]:
    cpu, account = step.cpu, step.account
    if cpu is None or account is None or not account.honest or account.closed:
        return
    if sorted(step.acknowledged) != sorted(step.to_acknowledge):
        yield (
            f"{step.command['op']} of vCPU {cpu.index}",
            f"specific EOIs for {_vectors(step.acknowledged)},"
            f" due were {_vectors(step.to_acknowledge)}",
        )


@_invariant("INV-5", "one EOI ends one interrupt, the highest in service")
def _one_end(machine: Machine, ledger: Ledger, step: Step) -> Iterator[tuple[str, str]]:
    cpu, account = step.cpu, step.account
    if not (step.entered or step.command["op"] == "call") or cpu is None or account is None:
        return
    if account.closed or step.handed_over or not account.genuine:
        return
    in_service = settled(cpu)
    taken = [vector for vector, _ in account.delivered]
    if in_service != taken:
        yield (
            f"{step.command['op']} of vCPU {cpu.index}",
            f"in service are {_vectors(in_service)}, the guest took and did not end"
            f" {_vectors(taken)}",
        )


@_invariant("INV-6", "classes in service ascend; PPR and TPR read as the architecture says")
def _priorities(machine: Machine, ledger: Ledger, step: Step) -> Iterator[tuple[str, str]]:
    cpu, account = step.cpu, step.account
    if cpu is None or account is None or account.closed:
        return
    classes = [vector >> 4 for vector in cpu.apic.isr]
    if any(above <= below for below, above in itertools.pairwise(classes)):
        yield (
            f"{step.command['op']} of vCPU {cpu.index}",
            f"in service, oldest first: {_vectors(cpu.apic.isr)}",
        )
    if not _is_call(step, ApicCall.READ_REGISTER) or step.answer.get("rax") != 0:
        return
    newest = cpu.apic.isr[-1] if cpu.apic.isr else 0
    expected = {
        ApicRegister.TPR: account.tpr,
        ApicRegister.PPR: account.tpr if newest >> 4 <= account.tpr >> 4 else newest & 0xF0,
    }.get(step.command["rcx"])
    if expected is not None and step.answer["rdx"] != expected:
        name = ApicRegister(step.command["rcx"]).name
        yield (
            f"read {name} of vCPU {cpu.index}",
            f"{name} reads {step.answer['rdx']:#x}, {expected:#x} expected",
        )


@_invariant("INV-7", "off is off: the count stays 0, a disabled vCPU is left alone (REG-3, REG-4)")
def _off_is_off(machine: Machine, ledger: Ledger, step: Step) -> Iterator[tuple[str, str]]:
    cpu, account = step.cpu, step.account
    if cpu is None or account is None:
        return
    place = f"{step.command['op']} of vCPU {cpu.index}"
    count = machine.registration.count
    if not step.count_before and count:
        yield place, f"the count rose from 0 to {count}"
    if account.disables > 1:
        yield place, f"DISABLE was issued {account.disables} times for this vCPU"
    if _is_call(step, ApicCall.CONFIGURE_EMULATION) and step.answer.get("rax") == 0:
        aligned = step.command["rcx"] in (0, 1) and not count
        if aligned and cpu.guest.alternate_injection:
            yield place, "the count is 0 and the caller's bit is still set"
        if not aligned and step.emulated_before and not cpu.guest.alternate_injection:
            yield place, f"the bit was cleared while the count is {count}"
    if step.emulated_before:
        return
    if step.command["op"] == "call" and step.answer.get("rax") is not None:
        if step.command["protocol"] == Protocol.APIC and (
            step.answer["rax"] != ResultCode.UNSUPPORTED_PROTOCOL
        ):
            yield place, "an APIC call was served on a disabled vCPU"
        query = step.command["protocol"] == Protocol.CORE and (
            step.command["request"] == CoreCall.QUERY_PROTOCOL
        )
        if query and step.command["rcx"] >> 32 == Protocol.APIC and step.answer["rcx"]:
            yield place, "the APIC protocol is present on a disabled vCPU"
    if step.entered and carried(cpu) is not None:
        yield place, f"vector {carried(cpu):#x} was presented on a disabled vCPU"


@_invariant("INV-8", "an NMI asked for arrives as an NMI")
def _nmi_arrives(machine: Machine, ledger: Ledger, step: Step) -> Iterator[tuple[str, str]]:
    for cpu, account in _books(ledger, step, machine):
        if account.honest and (account.nmi_owed or account.nmi_mailed) and not nmi_located(cpu):
            yield f"{step.command['op']} of vCPU {cpu.index}", "an NMI is nowhere"


@_invariant("INV-8", "an NMI that the host signals is taken")
def _host_nmi(machine: Machine, ledger: Ledger, step: Step) -> Iterator[tuple[str, str]]:
    cpu = step.cpu
    if cpu is None or not (step.entered and step.emulated_before and step.nmi_signalled):
        return
    if cpu.posting is not None or step.meddled:  # the signal is yet to come, or obeys no order
        return
    if descriptor(cpu).nmi:
        yield f"enter of vCPU {cpu.index}", "the host's NMI is still in the descriptor"


@_invariant("INV-9", "a call answers as documented, and a refused one changes nothing")
def _as_documented(machine: Machine, ledger: Ledger, step: Step) -> Iterator[tuple[str, str]]:
    cpu = step.cpu
    if step.command["op"] != "call" or cpu is None or "rax" not in step.answer:
        return
    place = f"call {step.command['protocol']}.{step.command['request']} of vCPU {cpu.index}"
    code = documented_code(machine, cpu, step)
    if step.answer["rax"] != code:
        yield place, f"answered {step.answer['rax']:#x}, {code:#x} is documented"
    if step.answer["rax"]:
        for register in ("rcx", "rdx", "r8"):
            if step.answer[register] != step.command[register]:
                yield place, f"refused, and {register.upper()} changed"
        genuine = step.account is not None and step.account.genuine
        if genuine and step.visible is not None and step.visible != visible(machine, cpu):
            yield place, "refused, and something that the guest can see changed"


TERMINATIONS = (
    "the host signalled a machine check",
    "the host refused to disable Alternate Injection",
)
"""The documented reasons for a termination request."""


@_invariant("INV-10", "no input stops the SVSM but for a documented reason")
def _never_stops(machine: Machine, ledger: Ledger, step: Step) -> Iterator[tuple[str, str]]:
    place = step.command["op"]
    if "panic" in step.answer:
        yield place, f"the SVSM stopped: {step.answer['panic']}"
    if "terminated" in step.answer and step.answer["terminated"] not in TERMINATIONS:
        yield place, f"terminated for an undocumented reason: {step.answer['terminated']}"


def _is_call(step: Step, call: ApicCall) -> bool:
    command = step.command
    return bool(
        command["op"] == "call"
        and command["protocol"] == Protocol.APIC
        and command["request"] == call
    )


def _vectors(vectors: Iterable[int]) -> str:
    return ", ".join(f"{vector:#x}" for vector in vectors) or "none"


class Watch:
    """A machine under watch: `execute` raises Violation when a step breaks an invariant."""

    def __init__(self, machine: Machine, *, invariants: Iterable[Invariant] | None = None) -> None:
        self.machine = machine
        self.ledger = Ledger()
        machine.listener = self.ledger
        self.invariants = tuple(INVARIANTS if invariants is None else invariants)
        self.index = 0

    def execute(self, command: Command) -> Answer:
        """Carry out one command, then check everything."""
        if command["op"] != "init" and command["cpu"] >= len(self.machine.vcpus):
            return self.machine.execute(command)  # refuses it
        if command["op"] != "init" and self.machine.must_enter_first(command):
            self._step({"op": "enter", "cpu": command["cpu"]})
        answer = self._step(command)
        self.index += 1
        return answer

    def _step(self, command: Command) -> Answer:
        step = self.ledger.before(self.machine, self.index, command)
        stopped = self.machine.stopped is not None and command["op"] != "init"
        answer = self.machine.execute(command)
        if stopped:
            return answer
        if "panic" in answer or "terminated" in answer:
            step.answer = answer
            self._raise(invariant for invariant in self.invariants if invariant.name == "INV-10")(
                step
            )
            return answer
        self.ledger.after(self.machine, step, answer)
        self._raise(self.invariants)(step)
        return answer

    def _raise(self, invariants: Iterable[Invariant]) -> Callable[[Step], None]:
        def check(step: Step) -> None:
            for invariant in invariants:
                for place, message in invariant.check(self.machine, self.ledger, step):
                    raise Violation(invariant, place, message, step.index)

        return check


def run(commands: Iterable[Command], machine: Machine | None = None) -> list[Answer]:
    """Carry out a scenario under watch and return the answers. Raises Violation."""
    watch = Watch(machine if machine is not None else Machine())
    return [watch.execute(command) for command in commands]
