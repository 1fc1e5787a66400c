"""When a step gives an invariant something to check, in words and as a condition.

An invariant holds trivially in most steps: no interrupt is lost where none was pending. `EXERCISES` says
for each when its check compares something that could have been wrong: the same conditions under which
the functions of `vmgexit.watch.invariants` go on to compare, and that there is something to compare.
A campaign whose corpus never exercises an invariant says nothing about it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from vmgexit.machine.machine import Machine
from vmgexit.watch.invariants import INVARIANTS, Invariant
from vmgexit.watch.ledger import Account, Ledger, Step, settled
from vmgexit.wire.apic import ApicCall, ApicRegister
from vmgexit.wire.svsm import CoreCall, Protocol

Applies = Callable[[Machine, Ledger, Step], bool]


@dataclass(frozen=True, slots=True)
class Exercise:
    """`applies` to a step that gives the invariant something to check; `words` say the same."""

    invariant: str
    words: str
    applies: Applies


EXERCISES: list[Exercise] = []


def _when(invariant: str, words: str) -> Callable[[Applies], Applies]:
    def add(applies: Applies) -> Applies:
        EXERCISES.append(Exercise(invariant, words, applies))
        return applies

    return add


def exercises() -> Iterator[tuple[Invariant, Exercise]]:
    """Each invariant with what exercises it. Those of one name stand in the same order in both."""
    rows = list(EXERCISES)
    for invariant in INVARIANTS:
        row = next(row for row in rows if row.invariant == invariant.name)
        rows.remove(row)
        yield invariant, row


def _honest(machine: Machine, ledger: Ledger, step: Step) -> Iterator[Account]:
    """The open accounts, of a host that follows the rules, of the vCPUs that the step touched."""
    touched = {sent.target for sent in machine.sent}
    if step.cpu is not None:
        touched.add(step.cpu.index)
    for index in touched:
        account = ledger.accounts[index]
        if account.honest and not account.closed:
            yield account


@_when(
    "INV-1",
    "the guest was owed an interrupt, or one was on its way between vCPUs; or a hand-over found"
    " something pending or in service",
)
def _lost(machine: Machine, ledger: Ledger, step: Step) -> bool:
    if any(account.owed or account.mailed for account in _honest(machine, ledger, step)):
        return True
    given = step.at_hand_over
    return (
        given is not None and given.honest and bool(given.owed or given.delivered or given.nmi_owed)
    )


@_when("INV-2", "the guest took an event")
def _unasked(machine: Machine, ledger: Ledger, step: Step) -> bool:
    account = step.account
    took = step.command["op"] == "guest_take" and step.answer["taken"] != "none"
    return took and account is not None and account.genuine and not account.closed


@_when("INV-3", "a guest with an emulated APIC was entered")
def _carriers(machine: Machine, ledger: Ledger, step: Step) -> bool:
    return step.entered and step.emulated_before


@_when("INV-4", "an acknowledgement was due or made")
def _acknowledged(machine: Machine, ledger: Ledger, step: Step) -> bool:
    account = step.account
    followed = account is not None and account.honest and not account.closed
    return followed and bool(step.acknowledged or step.to_acknowledge)


@_when("INV-5", "after an entry or a call, something was in service")
def _ends(machine: Machine, ledger: Ledger, step: Step) -> bool:
    account = step.account
    if step.cpu is None or account is None or not (step.entered or step.command["op"] == "call"):
        return False
    if account.closed or not account.genuine or step.handed_over:
        return False
    return bool(account.delivered or settled(step.cpu))


@_when("INV-6", "two or more interrupts were in service, or PPR or TPR was read")
def _priorities(machine: Machine, ledger: Ledger, step: Step) -> bool:
    if step.cpu is None or step.account is None or step.account.closed:
        return False
    read = _is_call(step, Protocol.APIC, ApicCall.READ_REGISTER) and step.answer.get("rax") == 0
    named = read and step.command["rcx"] in (ApicRegister.PPR, ApicRegister.TPR)
    return named or len(step.cpu.apic.isr) > 1


@_when(
    "INV-7",
    "a vCPU was configured; or one that is off called or asked for the APIC protocol, or was entered",
)
def _off(machine: Machine, ledger: Ledger, step: Step) -> bool:
    if _is_call(step, Protocol.APIC, ApicCall.CONFIGURE_EMULATION):
        return True
    if step.cpu is None or step.emulated_before:
        return False
    if step.command["op"] != "call":
        return step.entered
    if _is_call(step, Protocol.CORE, CoreCall.QUERY_PROTOCOL):
        return step.command["rcx"] >> 32 == Protocol.APIC  # type: ignore[no-any-return]
    return step.command["protocol"] == Protocol.APIC  # type: ignore[no-any-return]


@_when("INV-8", "the guest was owed an NMI, or one was on its way between vCPUs")
def _nmi(machine: Machine, ledger: Ledger, step: Step) -> bool:
    return any(a.nmi_owed or a.nmi_mailed for a in _honest(machine, ledger, step))


@_when("INV-8", "a guest was entered after the host had signalled an NMI")
def _host_nmi(machine: Machine, ledger: Ledger, step: Step) -> bool:
    undisturbed = step.cpu is not None and step.cpu.posting is None and not step.meddled
    return undisturbed and step.entered and step.emulated_before and step.nmi_signalled


@_when("INV-9", "a call was answered")
def _documented(machine: Machine, ledger: Ledger, step: Step) -> bool:
    return step.command["op"] == "call" and "rax" in step.answer


@_when("INV-10", "any step, since none may stop the SVSM")
def _stops(machine: Machine, ledger: Ledger, step: Step) -> bool:
    return True


def _is_call(step: Step, protocol: int, call: int) -> bool:
    command = step.command
    return (
        command["op"] == "call"
        and command["protocol"] == protocol
        and command["request"] == call
        and "rax" in step.answer
    )
