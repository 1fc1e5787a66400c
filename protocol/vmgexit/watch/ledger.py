"""The ledger: the history of every interrupt, from the request to the end of interrupt.

It keeps its own books from the commands, the answers and the memory that host and guest share, and
never from the state of the SVSM. The invariants compare its books with the machine. Each vCPU has
one `Account`: what the host posted, what the guest is owed, what the guest took, and what it ended.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..descriptions import Answer, Command
from ..machine.state import outside, passive
from ..machine.vcpu import (
    EVENT_VALID,
    EVENT_VECTOR,
    EVENTS_AT,
    GUEST_EVENT,
    is_external,
    is_nmi,
)
from ..machine.vm import Sent, Vcpu, Vm
from ..schema import set_numbers
from ..wire.apic import ApicCall, ApicRegister, ConfigureVector
from ..wire.doorbell import LOWEST_VECTOR
from ..wire.svsm import CoreCall, Protocol, ResultCode
from .whereabouts import Descriptor, carried, descriptor, visible

# Commands that first take up a new VMSA and calling area.
_TAKES_UP = frozenset({"enter", "svsm_step", "call", "intercept"})


@dataclass(slots=True)
class Account:
    """The books of one vCPU. Vector sets are 256-bit integers.

    `owed` maps each vector that the guest is still to get to whether the host waits for its end.
    `may` are vectors that could come besides, because EXITINTINFO held what no hardware reports.
    `delivered` is what the guest took and did not end: vector, and whether the host waits.
    """

    mailed: set[int] = field(default_factory=set)  # by other vCPUs, not looked at yet
    owed: dict[int, bool] = field(default_factory=dict)
    may: int = 0
    nmi_mailed: bool = False
    nmi_owed: bool = False
    nmi_may: int = 0  # how many more could come
    delivered: list[tuple[int, bool]] = field(default_factory=list)
    allowed: int = 0
    tpr: int = 0
    token: int | None = None  # the vector that a lazy EOI would end
    early: int | None = None  # a vector ended before it was taken
    # Taken by the command before.
    last_taken: tuple[str, int] | None = field(
        metadata=passive("the explorer intercepts in the move that delivers"), default=None
    )
    new_tpr: int | None = None  # of a new VMSA that is not in use yet
    honest: bool = True  # the host followed the rules, and the hardware its own
    genuine: bool = True  # the hardware did: EXITINTINFO was what hardware reports
    meddled: bool = False  # the host rewrote the page while an entry was under way
    closed: bool = False  # handed over: the host's from there on
    disables: int = 0
    # With memory: the VMSA that it was in last, and whether its calling area offered a lazy EOI then.
    vmsa: int | None = None
    offered: bool = False


@dataclass(slots=True)
class Step:
    """One command, what was answered, and what follows from it for the invariants. `init` has no vCPU."""

    index: int
    command: Command
    answer: Answer
    cpu: Vcpu = field(init=False)
    account: Account = field(init=False)
    nmi_signalled: bool = False  # the host's NMI stood in a signalled descriptor before an entry
    signalled: bool = False  # the event bit was set before an entry
    multiple: bool = False  # and MultipleVectors
    count_before: int = 0
    emulated_before: bool = False
    event_before: int = 0  # EVENTINJ
    visible: tuple[object, ...] | None = None  # what guests see, before a call
    acknowledged: list[int] = field(default_factory=list)  # specific EOIs that were made
    to_acknowledge: list[int] = field(default_factory=list)  # and that were due
    taken_unasked: str = ""  # what the guest took that nobody asked for
    entered: bool = False  # the guest runs after this step
    meddled: bool = False  # and the host rewrote the page on the way
    handed_over: bool = False
    at_hand_over: Account | None = None

    def place(self, cpu: Vcpu | None = None) -> str:
        """Where something is wrong: the operation, and its vCPU or another."""
        return f"{self.command['op']} of vCPU {(cpu or self.cpu).index}"


@dataclass(slots=True, eq=False)
class Ledger:
    """The books of a machine. `before` and `after` enclose each command."""

    accounts: list[Account] = field(
        metadata=outside("each is a state of its own"), default_factory=list
    )
    found: Descriptor = field(
        metadata=outside("each step starts with it"),
        default_factory=lambda: Descriptor(0, False, False, 0, False),
    )
    mail: bool = field(metadata=outside("each step starts with it"), default=False)
    dropped: list[int] = field(default_factory=list)  # level-triggered, taken and not allowed

    def before_steps(self, cpu: Vcpu) -> None:
        """Note what stands in the shared memory before the SVSM makes steps that nobody disturbs."""
        self.found = descriptor(cpu)
        self.mail = cpu.mailbox.pending

    def after_steps(self, cpu: Vcpu) -> None:
        """What left the descriptor is the SVSM's to deliver, if it was allowed; else it is gone."""
        account, before, now = self.accounts[cpu.index], self.found, descriptor(cpu)
        if self.mail and not cpu.mailbox.pending:
            _look(account)
        if before == now:
            return
        account.nmi_may += before.nmi and not now.nmi and account.nmi_owed
        account.nmi_owed |= before.nmi and not now.nmi
        gone = [(vector, False) for vector in set_numbers(before.vectors & ~now.vectors)]
        if before.field and before.field != now.field:
            gone.append((before.field, before.level))
        for vector, level in gone:
            if account.allowed >> vector & 1:
                account.owed[vector] = level or account.owed.get(vector, False)
            elif level:
                self.dropped.append(vector)

    def before(self, vm: Vm, index: int, command: Command) -> Step:
        """Note what only stands before the command."""
        step = Step(index, command, {}, count_before=vm.registration_count)
        if command["op"] == "init":
            return step
        step.cpu = cpu = vm.vcpus[command["cpu"]]
        step.account = account = self.accounts[command["cpu"]]
        step.emulated_before = cpu.guest.alternate_injection
        step.event_before = 0 if cpu.new_guest is not None else cpu.guest.event_inj
        if command["op"] in _TAKES_UP and cpu.entry is None:
            new_vmsa(step, account)
        if command["op"] == "call" and cpu.new_guest is None and cpu.new_calling is None:
            step.visible = visible(cpu)
        if command["op"] == "enter":
            found = descriptor(cpu)
            step.signalled = bool(cpu.page[EVENTS_AT] & GUEST_EVENT)
            step.multiple = step.signalled and found.multiple
            step.nmi_signalled = step.signalled and found.nmi
        return step

    def after(self, vm: Vm, step: Step) -> None:
        """Bring the books up to date."""
        operation, answer = step.command["op"], step.answer
        if operation == "init":
            self.accounts = [Account() for _ in vm.vcpus]
            self.dropped = []  # an entry that ended in a termination request has left some
            return
        cpu, account = step.cpu, step.account
        for call in answer.get("calls", ()):
            if call["call"] == "specific_eoi":
                step.acknowledged.append(call["info1"] & 0xFF)
        last_taken, account.last_taken = account.last_taken, None
        match operation:
            case "call":
                self.called(step)
            case "enter" | "svsm_step":
                step.to_acknowledge += self.dropped
                self.dropped = []
                step.entered = operation == "enter" or answer["next"] == "entered"
                if step.entered:
                    step.meddled, account.meddled = account.meddled, False
                    _entered(cpu, account)
            case "guest_take" if not account.closed:
                _take(step, account)
            case "guest_lazy_eoi" if answer.get("was"):
                ended_lazily(account)
            case "guest" if step.command.get("cr8", account.tpr >> 4) != account.tpr >> 4:
                # CR8 written with the class it has is not to be told from CR8 not written.
                account.tpr = step.command["cr8"] << 4
            case "intercept" if step.emulated_before:
                _intercept(step, account, last_taken)
            case "set_vmsa":
                account.new_tpr = (step.command.get("vintr", 0) & 0xFF) << 4 & 0xFF
            case "set_doorbell":
                account.honest = False
                account.meddled = cpu.entry is not None
        account = step.account
        if step.handed_over:
            _look(account)
            step.at_hand_over = account
            self.accounts[cpu.index] = Account(
                closed=True,
                disables=account.disables,
                tpr=account.tpr,
                honest=account.honest,
                vmsa=account.vmsa,
            )

    def called(self, step: Step) -> None:
        """What a call means."""
        served(step, step.cpu, step.account)
        self.sent(step.cpu)

    def sent(self, cpu: Vcpu) -> None:
        """What the call of a vCPU sent."""
        for sent in cpu.vm.sent:
            _send(self.accounts[sent.target], sent, to_self=sent.target == cpu.index)


def new_vmsa(step: Step, account: Account) -> None:
    """A new vCPU starts empty; what the host waits for is acknowledged."""
    if account.new_tpr is None:
        return
    step.to_acknowledge += [vector for vector, level in account.delivered if level]
    step.to_acknowledge += [vector for vector, level in account.owed.items() if level]
    account.tpr, account.new_tpr = account.new_tpr, None
    account.owed.clear()
    account.mailed.clear()
    account.nmi_mailed = False
    account.delivered.clear()
    account.may = account.allowed = 0
    account.nmi_owed, account.nmi_may = False, 0
    account.token = account.early = None


def _send(account: Account, sent: Sent, *, to_self: bool) -> None:
    """What a vCPU sends itself is pending at once, what others send when it looks."""
    if sent.nmi:
        account.nmi_may += account.nmi_owed and to_self
        account.nmi_owed |= to_self
        account.nmi_mailed |= not to_self
    elif to_self:
        account.owed.setdefault(sent.vector, False)
    else:
        account.mailed.add(sent.vector)


def _look(account: Account) -> None:
    """The mailbox is emptied: what is pending already and what was mailed become one."""
    for vector in account.mailed:
        account.owed.setdefault(vector, False)
    account.mailed.clear()
    account.nmi_may += account.nmi_owed and account.nmi_mailed
    account.nmi_owed |= account.nmi_mailed
    account.nmi_mailed = False


def served(step: Step, cpu: Vcpu, account: Account) -> None:
    """A call was served, the one of the command."""
    command, answer = step.command, step.answer
    done = answer.get("rax") == ResultCode.SUCCESS
    if any(call["call"] == "disable_alternate_injection" for call in answer.get("calls", ())):
        account.disables += 1
        step.handed_over = not account.closed
    if not done:
        return
    rcx, rdx = command["rcx"], command["rdx"]
    match command["protocol"], command["request"]:
        case Protocol.CORE, CoreCall.REMAP_CA:
            account.token = None
        case Protocol.APIC, ApicCall.WRITE_REGISTER if rcx == ApicRegister.EOI:
            account.token = None
            _end(step, account)
        case Protocol.APIC, ApicCall.WRITE_REGISTER if rcx == ApicRegister.TPR:
            account.tpr = rdx & 0xFF
        case Protocol.APIC, ApicCall.CONFIGURE_VECTOR:
            _allow(account, ConfigureVector.of(rcx))


def _allow(account: Account, request: ConfigureVector) -> None:
    if request.all_vectors:
        account.allowed = (1 << 256) - (1 << LOWEST_VECTOR) if request.enable else 0
    elif not request.enable:
        account.allowed &= ~(1 << request.vector)
    elif request.vector >= LOWEST_VECTOR:
        account.allowed |= 1 << request.vector


def _end(step: Step, account: Account) -> None:
    """The guest ended what it took last."""
    if account.delivered:
        vector, level = account.delivered.pop()
        if level:
            step.to_acknowledge.append(vector)


def _entered(cpu: Vcpu, account: Account) -> None:
    """The guest runs: a lazy EOI is offered, or not."""
    if cpu.calling.no_eoi_required or not cpu.apic.lazy_eoi_pending:
        account.early = None  # a lazy EOI that came too early was for an offer that is gone
    account.token = None
    if cpu.calling.no_eoi_required:
        account.token = carried(cpu)
        if account.token is None and account.delivered:
            account.token = account.delivered[-1][0]


def _take(step: Step, account: Account) -> None:
    taken, vector = step.answer.get("taken", "none"), step.answer.get("vector", 0)
    if taken == "nmi":
        if not (account.nmi_owed or account.nmi_may):
            step.taken_unasked = "an NMI"
        if account.nmi_owed:
            account.nmi_owed = False
        else:
            account.nmi_may = max(account.nmi_may - 1, 0)
    elif taken in ("event", "virq"):
        if vector not in account.owed and not account.may >> vector & 1:
            step.taken_unasked = f"vector {vector:#x}"
        level = False
        if account.may >> vector & 1:
            account.may &= ~(1 << vector)
        else:
            level = account.owed.pop(vector, False)
        if account.early == vector:
            account.early = None
        else:
            account.delivered.append((vector, level))
    account.last_taken = (taken, vector)


def ended_lazily(account: Account) -> None:
    """The guest wrote 0 to the calling area: it ended the interrupt that this was offered for."""
    token, account.token = account.token, None
    if account.delivered and account.delivered[-1][0] == token:
        account.delivered.pop()
    else:
        account.early = token


def _intercept(step: Step, account: Account, last_taken: tuple[str, int] | None) -> None:
    """A delivery was cut short: what was taken is owed again.

    EXITINTINFO holds the event that was being delivered: one that the guest has just taken, or the
    one that still is in EVENTINJ. No hardware reports another.
    """
    event, waiting = step.command["exitintinfo"], step.event_before
    if not event & EVENT_VALID or event == waiting:
        return
    vector = event & EVENT_VECTOR
    just_taken = "nmi" if is_nmi(event) else "external" if is_external(event) else ""
    if waiting & EVENT_VALID or (just_taken and not _was_taken(account, last_taken, event)):
        account.honest = account.genuine = False
        account.may |= 1 << vector if is_external(event) else 0
        account.nmi_may += is_nmi(event)
    elif just_taken == "nmi":
        account.nmi_owed = True
    elif just_taken:
        account.owed[vector] = account.delivered.pop()[1]


def _was_taken(account: Account, last_taken: tuple[str, int] | None, event: int) -> bool:
    if last_taken is None:
        return False
    if not is_external(event):
        return last_taken[0] == "nmi"
    vector = event & EVENT_VECTOR
    newest = account.delivered[-1][0] if account.delivered else None
    return last_taken in (("event", vector), ("virq", vector)) and newest == vector
