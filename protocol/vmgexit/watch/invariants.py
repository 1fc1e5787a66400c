"""What the whole system must hold after every step: INV-1 to INV-10 here, MEM-1 to MEM-12 in `memory`.

Each invariant is a function of the VM, the ledger and the step. It answers what is wrong, in words,
or None where the step gave it nothing to check. Invariants know nothing of quirks. An invariant
that needs a host that follows the rules asks the vCPU's account whether it is `honest`.
`watch.Watch` runs scenarios under them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

from ..machine.vcpu import EVENTS_AT, FLAGS_AT, GUEST_EVENT, ISR_WORD, NO_FURTHER_SIGNAL
from ..machine.vm import Reason, Vcpu, Vm
from ..wire.apic import ApicCall, ApicRegister
from ..wire.doorbell import LOWEST_VECTOR
from ..wire.svsm import CoreCall, Protocol, ResultCode
from .judged import Invariant, Wrong, adding_to
from .ledger import Account, Ledger, Step
from .memory.documented import AS_DOCUMENTED
from .memory.invariants import INVARIANTS as OF_MEMORY
from .memory.keys import KEYS
from .oracle import documented_code, logical_id
from .whereabouts import carried, descriptor, listed, located, nmi_located, settled, visible

INVARIANTS: list[Invariant] = []
_invariant = adding_to(INVARIANTS)


def _books(vm: Vm, ledger: Ledger, step: Step) -> Iterator[tuple[Vcpu, Account]]:
    """The open accounts, of a host that follows the rules, of the vCPUs that the step can have
    touched: its own, and those it sent to."""
    for index in sorted({step.cpu.index, *(sent.target for sent in vm.sent)}):
        account = ledger.accounts[index]
        if account.honest and not account.closed:
            yield vm.vcpus[index], account


@_invariant(
    "INV-1",
    "no interrupt is lost",
    when="the guest was owed an interrupt, or one was on its way between vCPUs; or a hand-over found"
    " something pending or in service; or a guest was entered with its VMPL's event bit set",
)
def _nothing_lost(vm: Vm, ledger: Ledger, step: Step) -> Wrong | None:
    wrong: Wrong | None = None
    for cpu, account in _books(vm, ledger, step):
        if not (account.owed or account.mailed):
            continue
        there, place = located(cpu), step.place(cpu)
        wrong = wrong or []
        wrong += [
            (place, f"vector {vector:#x} is nowhere")
            for vector in (*account.owed, *account.mailed)
            if not there >> vector & 1
        ]
    if step.entered and step.emulated_before and step.account.honest:
        wrong = _nothing_unsignalled(step, wrong)
    given = step.at_hand_over
    if given is None or not given.honest:
        return wrong
    if given.owed or given.delivered or given.nmi_owed:
        wrong = [*(wrong or ()), *_handed_over(step.cpu, given)]
    return wrong


def _nothing_unsignalled(step: Step, wrong: Wrong | None) -> Wrong | None:
    """What the host has signalled and the SVSM has not taken comes only with a #HV that is still raised."""
    cpu = step.cpu
    if not cpu.page[EVENTS_AT] & GUEST_EVENT or cpu.posting is not None or step.meddled:
        return wrong
    waiting = descriptor(cpu).pending & step.account.allowed
    if not waiting or cpu.hv_raised:
        return wrong or []
    message = f"{listed(waiting)} waits in the descriptor, and its #HV is answered already"
    return [*(wrong or ()), (step.place(), message)]


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


@_invariant(
    "INV-2",
    "nothing is delivered that was not asked for and allowed",
    when="the guest took an event",
)
def _nothing_unasked(vm: Vm, ledger: Ledger, step: Step) -> Wrong | None:
    if step.command["op"] != "guest_take" or step.answer["taken"] == "none":
        return None
    if step.account.closed or not step.account.genuine:
        return None
    if not step.taken_unasked:
        return []
    message = f"the guest got {step.taken_unasked}, which nobody asked for or allowed"
    return [(step.place(), message)]


@_invariant(
    "INV-3",
    "an entered guest has no interrupt waiting without a carrier",
    when="a guest with an emulated APIC was entered",
)
def _carriers(vm: Vm, ledger: Ledger, step: Step) -> Wrong | None:
    cpu = step.cpu
    if not (step.entered and step.emulated_before):
        return None
    place = f"enter of vCPU {cpu.index}"
    wrong: Wrong = []
    signal_left = cpu.page[FLAGS_AT] & NO_FURTHER_SIGNAL and not step.meddled
    if signal_left or cpu.hv_raised:
        wrong.append((place, "the guest runs with NoFurtherSignal set (SCHED-3, SCHED-4)"))
    busy = cpu.posting is not None or step.meddled  # the host is not done, or obeys no order
    if cpu.page[EVENTS_AT] & GUEST_EVENT and not busy:
        wrong.append((place, "the guest runs with its VMPL's event bit set"))
    # A host that follows the rules signals all it writes; of another, only what it signalled counts.
    left = descriptor(cpu)
    all_signalled = step.account.honest
    unseen = left.field or left.multiple or ((all_signalled or step.multiple) and left.vectors)
    if (all_signalled or step.signalled) and unseen and not busy:
        wrong.append((place, f"the descriptor still holds {listed(left.pending)}"))
    if cpu.apic.irr & 0xFFFF:
        wrong.append((place, f"pending and never deliverable: {listed(cpu.apic.irr & 0xFFFF)}"))
    pending = cpu.apic.irr.bit_length() - 1
    newest = cpu.apic.isr[-1] if cpu.apic.isr else 0
    if pending > 0 and pending >> 4 > newest >> 4:
        wrong.append(
            (place, f"vector {pending:#x} is pending above {newest:#x} and has no carrier")
        )
    return wrong


@_invariant(
    "INV-4",
    "a level-triggered interrupt is acknowledged exactly once",
    when="an acknowledgement was due or made",
)
def _acknowledged(vm: Vm, ledger: Ledger, step: Step) -> Wrong | None:
    if not (step.acknowledged or step.to_acknowledge):
        return None
    if not step.account.honest or step.account.closed:
        return None
    if sorted(step.acknowledged) == sorted(step.to_acknowledge):
        return []
    made, due = _vectors(step.acknowledged), _vectors(step.to_acknowledge)
    return [(step.place(), f"specific EOIs for {made}, due were {due}")]


@_invariant(
    "INV-5",
    "one EOI ends one interrupt, the highest in service",
    when="after an entry or a call, something was in service",
)
def _one_end(vm: Vm, ledger: Ledger, step: Step) -> Wrong | None:
    account = step.account
    if not (step.entered or step.command["op"] == "call"):
        return None
    if account.closed or step.handed_over or not account.genuine:
        return None
    in_service = settled(step.cpu)
    taken = [vector for vector, _ in account.delivered]
    if not (in_service or taken):
        return None
    if in_service == taken:
        return []
    found, expected = _vectors(in_service), _vectors(taken)
    message = f"in service are {found}, the guest took and did not end {expected}"
    return [(step.place(), message)]


@_invariant(
    "INV-6",
    "classes in service ascend; PPR, TPR, ID and LDR read as the architecture says",
    when="two or more interrupts were in service, or one of these registers was read",
)
def _priorities(vm: Vm, ledger: Ledger, step: Step) -> Wrong | None:
    cpu, account = step.cpu, step.account
    if account.closed:
        return None
    wrong: Wrong | None = None
    in_service = cpu.apic.isr
    if len(in_service) > 1:
        wrong = []
        if any(above >> 4 <= below >> 4 for below, above in itertools.pairwise(in_service)):
            wrong.append((step.place(), f"in service, oldest first: {_vectors(in_service)}"))
    if not _is_call(step, ApicCall.READ_REGISTER) or step.answer.get("rax") != 0:
        return wrong
    newest = in_service[-1] if in_service else 0
    expected = {
        ApicRegister.TPR: account.tpr,
        ApicRegister.PPR: account.tpr if newest >> 4 <= account.tpr >> 4 else newest & 0xF0,
        ApicRegister.ID: cpu.apic_id,
        ApicRegister.LDR: logical_id(cpu.apic_id),
    }.get(step.command["rcx"])
    if expected is None:
        return wrong
    wrong = wrong or []
    if step.answer["rdx"] != expected:
        name = ApicRegister(step.command["rcx"]).name
        message = f"{name} reads {step.answer['rdx']:#x}, {expected:#x} expected"
        wrong.append((f"read {name} of vCPU {cpu.index}", message))
    return wrong


@_invariant(
    "INV-7",
    "off is off: the count stays 0, a disabled vCPU is left alone (REG-3, REG-4)",
    when="a vCPU was configured; or one that is off called or asked for the APIC protocol, or was"
    " entered",
)
def _off_is_off(vm: Vm, ledger: Ledger, step: Step) -> Wrong | None:
    cpu, account = step.cpu, step.account
    wrong = []
    count = vm.registration_count
    if not step.count_before and count:
        wrong.append(f"the count rose from 0 to {count}")
    if account.disables > 1:
        wrong.append(f"DISABLE was issued {account.disables} times for this vCPU")
    configured = _is_call(step, ApicCall.CONFIGURE_EMULATION)
    if configured and step.answer.get("rax") == 0:
        aligned = step.command["rcx"] in (0, 1) and not count
        if aligned and cpu.guest.alternate_injection:
            wrong.append("the count is 0 and the caller's bit is still set")
        if not aligned and step.emulated_before and not cpu.guest.alternate_injection:
            wrong.append(f"the bit was cleared while the count is {count}")
    compared = configured
    if not step.emulated_before:
        answered = step.command["op"] == "call" and step.answer.get("rax") is not None
        if answered and step.command["protocol"] == Protocol.APIC:
            compared = True
            if step.answer["rax"] != ResultCode.UNSUPPORTED_PROTOCOL:
                wrong.append("an APIC call was served on a disabled vCPU")
        elif answered and _asks_for_apic(step):
            compared = True
            if step.answer["rcx"]:
                wrong.append("the APIC protocol is present on a disabled vCPU")
        elif step.entered:
            compared = True
            if carried(cpu) is not None:
                wrong.append(f"vector {carried(cpu):#x} was presented on a disabled vCPU")
    if not (compared or wrong):
        return None
    return [(step.place(), message) for message in wrong]


def _asks_for_apic(step: Step) -> bool:
    command = step.command
    return bool(
        command["protocol"] == Protocol.CORE
        and command["request"] == CoreCall.QUERY_PROTOCOL
        and command["rcx"] >> 32 == Protocol.APIC
    )


@_invariant(
    "INV-8",
    "an NMI asked for arrives as an NMI",
    when="the guest was owed an NMI, or one was on its way between vCPUs",
)
def _nmi_arrives(vm: Vm, ledger: Ledger, step: Step) -> Wrong | None:
    asked = [c for c, account in _books(vm, ledger, step) if account.nmi_owed or account.nmi_mailed]
    if not asked:
        return None
    return [(step.place(cpu), "an NMI is nowhere") for cpu in asked if not nmi_located(cpu)]


@_invariant(
    "INV-8",
    "an NMI that the host signals is taken",
    when="a guest was entered after the host had signalled an NMI",
)
def _host_nmi(vm: Vm, ledger: Ledger, step: Step) -> Wrong | None:
    cpu = step.cpu
    if not (step.entered and step.emulated_before and step.nmi_signalled):
        return None
    if cpu.posting is not None or step.meddled:  # the signal is yet to come, or obeys no order
        return None
    if not descriptor(cpu).nmi:
        return []
    return [(step.place(), "the host's NMI is still in the descriptor")]


@_invariant(
    "INV-9",
    "a call answers as documented, and a refused one changes nothing",
    when="a call was answered",
)
def _as_documented(vm: Vm, ledger: Ledger, step: Step) -> Wrong | None:
    cpu, answer = step.cpu, step.answer
    if step.command["op"] != "call" or "rax" not in answer:
        return None
    if cpu.vm.memory is not None and step.command["protocol"] != Protocol.APIC:
        return None  # `AS_DOCUMENTED` judges it
    wrong = []
    emulated, count = step.emulated_before, step.count_before
    code = documented_code(cpu, step.command, emulated=emulated, count=count)
    if answer["rax"] != code:
        wrong.append(f"answered {answer['rax']:#x}, {code:#x} is documented")
    if answer["rax"]:
        wrong += [
            f"refused, and {register.upper()} changed"
            for register in ("rcx", "rdx", "r8")
            if answer[register] != step.command[register]
        ]
        unseen = not step.account.genuine or step.visible is None
        if not unseen and step.visible != visible(cpu):
            wrong.append("refused, and something that the guest can see changed")
    place = f"call {step.command['protocol']}.{step.command['request']} of vCPU {cpu.index}"
    return [(place, message) for message in wrong]


_REASONS = frozenset(Reason)


@_invariant(
    "INV-10",
    "no input stops the SVSM but for a documented reason",
    when="any step, since none may stop the SVSM",
)
def _never_stops(vm: Vm, ledger: Ledger, step: Step) -> Wrong | None:
    place = step.command["op"]
    if "panic" in step.answer:
        return [(place, f"the SVSM stopped: {step.answer['panic']}")]
    if "terminated" in step.answer and step.answer["terminated"] not in _REASONS:
        return [(place, f"terminated for an undocumented reason: {step.answer['terminated']}")]
    return []


def _is_call(step: Step, call: ApicCall) -> bool:
    command = step.command
    return bool(
        command["op"] == "call"
        and command["protocol"] == Protocol.APIC
        and command["request"] == call
    )


def _vectors(vectors: Iterable[int]) -> str:
    return ", ".join(f"{vector:#x}" for vector in vectors) or "none"


INVARIANTS += [*OF_MEMORY, *KEYS, AS_DOCUMENTED]
