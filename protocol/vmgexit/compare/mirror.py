"""The invariants of our own machine, on what another implementation answers.

After each command a peer tells its `state` and its `doorbell` page. A `Mirror` puts what it tells into a VM
of ours and carries out no rule of ours, so that ledger and invariants judge the peer as they judge our
machine. `NEEDS` says what of the answers each invariant needs, and why. Machines with memory are not
judged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..descriptions import U32, U64, Answer, Command
from ..errors import PeerError
from ..machine.commands import call
from ..machine.machine import Machine
from ..machine.rules import host
from ..machine.rules.ipis import icr_targets
from ..machine.vcpu import (
    EVENTS_AT,
    FLAGS_AT,
    GUEST_EVENT,
    IRR_WORD,
    NO_FURTHER_SIGNAL,
    OWN_MC,
    STATUS_WORD,
    CallingPage,
    Guest,
    LocalApic,
    Mailbox,
    Posting,
)
from ..machine.vm import REQUEST_CODES, Reason, Vcpu
from ..watch.invariants import INVARIANTS
from ..watch.judged import Violation
from ..watch.watch import Watch
from ..wire.apic import ApicCall, ApicIcr, ApicRegister
from ..wire.exit_codes import ExitCode
from ..wire.svsm import CoreCall
from ..wire.svsm import Protocol as CallProtocol
from .peer import Answering, is_unsupported, stops

LOOKS = ("state", "doorbell")
"""The commands that only look, asked after each command."""

_EOI: Command = call(0, ApicCall.WRITE_REGISTER, ApicRegister.EOI)
AFTERMATH: tuple[Command, ...] = (
    {"op": "guest", "if": True, "shadow": False},
    *({"op": name} for name in ("enter", "guest_take", "guest_lazy_eoi", "enter", "guest_take")),
    _EOI,
    {"op": "enter"},
)
"""What a vCPU does after a difference, so that the harm shows: it takes what there is, and ends it."""


@dataclass(frozen=True, slots=True)
class Needs:
    """The keys of `state` and `doorbell` by which an invariant is judged, and why."""

    keys: frozenset[str]
    why: str


_WAITING = frozenset({"apic", "flags", "ipi_irr", "ipi_pending", "ipi_nmi", "event_inj", "hex"})
_KEPT = frozenset({"reg_count", "alt_inj"})

NEEDS = {
    "INV-1": Needs(_WAITING | _KEPT, "a pending interrupt is in IRR, mailbox, VMSA or descriptor"),
    "INV-2": Needs(_WAITING | _KEPT, "what was asked for has left the descriptor or the mailbox"),
    "INV-3": Needs(_WAITING | _KEPT, "what waits without a carrier is in IRR or descriptor"),
    "INV-4": Needs(_WAITING | _KEPT, "what is due has left the descriptor, or was in service"),
    "INV-5": Needs(_WAITING | _KEPT, "what is in service, and what of it the guest has taken"),
    "INV-6": Needs(frozenset({"apic", *_KEPT}), "PPR follows from what is in service"),
    "INV-7": Needs(_KEPT, "the count, and the bit of each vCPU"),
    "INV-8": Needs(_WAITING | _KEPT, "an NMI is in a flag, mailbox, EVENTINJ or descriptor"),
    "INV-9": Needs(_KEPT, "a code depends on both; what changed shows in as much as is told"),
    "INV-10": Needs(frozenset(), "a stop is an answer"),
}
NOT_JUDGED = "no answer says what stands in every page, and who may reach it"
"""Why the invariants of machines with memory are not here."""


@dataclass(slots=True)
class Exchange:
    """A command, its answer, and what the vCPUs that it can have changed told afterwards."""

    command: Command
    answer: Answer
    looks: list[tuple[Command, Answer]] = field(default_factory=list)

    @property
    def is_left_out(self) -> bool:
        return is_unsupported(self.answer)

    @property
    def all(self) -> list[tuple[Command, Answer]]:
        return [(self.command, self.answer), *self.looks]


def ask(peer: Answering, command: Command, vcpus: int) -> Exchange:
    """Have a peer carry out a command, and tell its state unless it stopped. Raises PeerError."""
    exchange = Exchange(command, peer.execute(command))
    if exchange.is_left_out or stops(exchange.answer):
        return exchange
    for look in looks(command, vcpus):
        answer = peer.execute(look)
        if not is_unsupported(answer):
            exchange.looks.append((look, answer))
        if stops(answer):
            break
    return exchange


def looks(command: Command, vcpus: int) -> Iterator[Command]:
    """What is asked after a command: of its vCPU, and after one that may send an IPI, of all."""
    if command["op"] in LOOKS or "memory" in command:
        return
    own = command.get("cpu", 0)
    sends = command["op"] == "call" and command["request"] == ApicCall.WRITE_REGISTER
    for cpu in (own, *(other for other in range(vcpus) if sends and other != own)):
        for name in LOOKS:
            yield {"op": name, "cpu": cpu}


def broken(peer: Answering, exchanges: Sequence[Exchange], vcpus: int) -> Violation | None:
    """The first invariant that a peer's answers break, in the exchanges up to a difference or in what the
    vCPU of the last one does next."""
    violation = judge(exchanges)
    last = exchanges[-1]
    if violation or stops(last.answer) or "memory" in exchanges[0].command:
        return violation
    cpu = {"cpu": last.command.get("cpu", 0)}
    try:
        after = [ask(peer, command | cpu, vcpus) for command in AFTERMATH]
    except PeerError:
        return None  # which is for another scenario to find
    return judge([*exchanges, *after])


def judge(exchanges: Sequence[Exchange]) -> Violation | None:
    """The first invariant that a peer's answers break; None where they break none that can be judged.

    The exchanges begin with an `init`. Answers that are not as the peer protocol has them are judged no
    further: they differ from every machine's.
    """
    if not exchanges or "memory" in exchanges[0].command:
        return None
    told = {key for _, answer in exchanges[0].looks for key in answer}
    mirror = Mirror(exchanges)
    watch = Watch(mirror, invariants=[one for one in INVARIANTS if _is_judged(one.name, told)])
    try:
        for exchange in exchanges:
            if exchange.is_left_out or exchange.command["op"] in LOOKS:
                watch.index += 1
                mirror.number += 1
                continue
            watch.execute(exchange.command)
    except Violation as violation:
        return violation
    except _Unread:
        return None
    return None


def _is_judged(name: str, told: set[str]) -> bool:
    return name in NEEDS and NEEDS[name].keys <= told


class _Unread(Exception):
    """A value that an answer must not have."""


class Mirror(Machine):
    """A machine that does what a peer did: each command is answered by the next exchange."""

    def __init__(self, exchanges: Sequence[Exchange]) -> None:
        super().__init__()
        self.exchanges, self.number = exchanges, 0

    def execute(self, command: Command, step: Callable[[Command], Answer] | None = None) -> Answer:
        """As of a machine; no command has steps under way."""
        return (step or self.carry_out)(command)

    def carry_out(self, command: Command) -> Answer:
        """Bring the VM to what the peer tells of it after the command."""
        exchange = self.exchanges[self.number]
        self.number += 1
        answer = _read(command, exchange.answer)
        if command["op"] == "init":
            self._init(command)
            self._see(exchange.looks)
            return answer
        self.vm.sent.clear()
        cpu = self.vm.vcpus[command["cpu"]]
        if stops(answer):
            self.stopped = _documented(cpu, answer)
            return dict(self.stopped)
        for request in answer.get("calls", ()):
            code = REQUEST_CODES[request["call"]]
            if code in cpu.refusing:
                cpu.refusing.remove(code)
        carry_out = _BESIDE.get(command["op"])
        if carry_out is not None:
            carry_out(self, cpu, command, answer)
        if command["op"] == "enter":
            self._entered(cpu, command, exchange)
        else:
            self._see(exchange.looks)
        return answer

    def _entered(self, cpu: Vcpu, command: Command, exchange: Exchange) -> None:
        """An entry. Late interrupts come once the SVSM has taken what was signalled before."""
        _take_up(self, cpu, command, exchange.answer)
        listener = self.vm.listener
        assert listener is not None
        listener.before_steps(cpu)
        if command.get("late"):
            if cpu.page[EVENTS_AT] & GUEST_EVENT and cpu.guest.alternate_injection:
                cpu.words[STATUS_WORD] = 0
                for word in range(1, 8):
                    cpu.words[IRR_WORD + word] = 0
            cpu.page[EVENTS_AT] = 0
            cpu.page[FLAGS_AT] &= ~NO_FURTHER_SIGNAL & 0xFF
            listener.after_steps(cpu)
            for late in command["late"]:
                host.finish(cpu, Posting(late["vector"], late["level"]))
            listener.before_steps(cpu)
        self._see(exchange.looks)
        listener.after_steps(cpu)

    def _see(self, told: Iterable[tuple[Command, Answer]]) -> None:
        for look, answer in told:
            cpu = self.vm.vcpus[look["cpu"]]
            if look["op"] == "doorbell":
                cpu.page[:] = _page(answer["hex"]) if "hex" in answer else cpu.page
                cpu.hv_raised = bool(cpu.page[FLAGS_AT] & NO_FURTHER_SIGNAL)
            else:
                _see_guest(cpu, answer)
                _see_apic(cpu, answer)
                if "reg_count" in answer:
                    self.vm.registration_count = _number(answer["reg_count"])


# --- what a command means for what no look tells ----------------------------------------------------


def _take_up(mirror: Mirror, cpu: Vcpu, command: Command, answer: Answer) -> None:
    """A new VMSA and a moved calling area are used from here on."""
    if cpu.new_guest is not None:
        cpu.new_guest, cpu.new_calling = None, CallingPage(cpu.calling.address)
    if cpu.new_calling is not None:
        cpu.calling, cpu.new_calling = cpu.new_calling, None


def _called(mirror: Mirror, cpu: Vcpu, command: Command, answer: Answer) -> None:
    """What a call that succeeded moved, and whom it sent an interrupt."""
    _take_up(mirror, cpu, command, answer)
    if answer.get("rax") != 0:
        return
    match command["protocol"], command["request"], command["rcx"]:
        case CallProtocol.CORE, CoreCall.REMAP_CA, address:
            cpu.new_calling = CallingPage(address)
        case CallProtocol.APIC, ApicCall.WRITE_REGISTER, ApicRegister.SELF_IPI:
            mirror.vm.note_sent(cpu, command["rdx"] & 0xFF)
        case CallProtocol.APIC, ApicCall.WRITE_REGISTER, ApicRegister.ICR:
            icr = ApicIcr.of(command["rdx"])
            for target in icr_targets(cpu, icr)[0]:
                mirror.vm.note_sent(target, icr.vector, nmi=icr.message_type == _NMI)


def _refuses(mirror: Mirror, cpu: Vcpu, command: Command, answer: Answer) -> None:
    cpu.refusing.append(REQUEST_CODES[command["call"]])


def _new_vmsa(mirror: Mirror, cpu: Vcpu, command: Command, answer: Answer) -> None:
    cpu.new_guest = Guest()


_BESIDE: dict[str, Callable[[Mirror, Vcpu, Command, Answer], None]] = {
    "call": _called,
    "intercept": _take_up,
    "host_refuse": _refuses,
    "set_vmsa": _new_vmsa,
}
_NMI = 4  # message type


def _documented(cpu: Vcpu, answer: Answer) -> Answer:
    """A stop. The text of a termination request is free: where the host gave one of the reasons that an
    SVSM may have (INV-10), it is that."""
    if "terminated" not in answer:
        return answer
    if ExitCode.DISABLE_ALTERNATE_INJECTION in cpu.refusing:
        return {"terminated": Reason.DISABLE_REFUSED}
    if cpu.page[FLAGS_AT] & OWN_MC:
        return {"terminated": Reason.MACHINE_CHECK}
    return answer


# --- reading what a stranger tells -------------------------------------------------------------------


def _number(value: Any, most: int = U64) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise _Unread
    return value


def _flag(value: Any) -> bool:
    if type(value) is not bool:
        raise _Unread
    return value


def _numbers(value: Any, most: int, count: int | None = None) -> list[int]:
    if not isinstance(value, list) or (count is not None and len(value) != count):
        raise _Unread
    return [_number(one, most) for one in value]


def _set(value: Any) -> int:
    """A set of vectors, told as 8 words."""
    return sum(word << 32 * at for at, word in enumerate(_numbers(value, U32, 8)))


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _Unread
    return value


def _page(value: Any) -> bytes:
    try:
        page = bytes.fromhex(value)
    except (TypeError, ValueError):
        raise _Unread from None
    if len(page) != 256:
        raise _Unread
    return page


def _read(command: Command, answer: Answer) -> Answer:
    """An answer whose values the ledger and the invariants can use. Registers that it does not tell are as
    they were."""
    read = dict(answer)
    if command["op"] == "call" and not stops(answer):
        for name in ("rax", "rcx", "rdx", "r8"):
            if name in answer:
                _number(answer[name])
            elif name in command:
                read[name] = command[name]
    if command["op"] == "guest_take" and not stops(answer):
        if answer.get("taken") not in ("none", "event", "nmi", "other", "virq"):
            raise _Unread
        _number(answer.get("vector"), 255)
    if (
        command["op"] == "svsm_step"
        and not isinstance(answer.get("next"), str)
        and not stops(answer)
    ):
        raise _Unread
    if "calls" in answer:
        if not isinstance(answer["calls"], list):
            raise _Unread
        for request in answer["calls"]:
            if _object(request).get("call") not in REQUEST_CODES:
                raise _Unread
            _number(request.get("info1"))
    return read


def _see_guest(cpu: Vcpu, told: Answer) -> None:
    guest, vintr = cpu.guest, cpu.guest.vintr
    guest.exit_int_info = 0  # VMRUN has cleared it, or it is in EVENTINJ
    for name in ("v_irq", "v_ign_tpr"):
        if name in told:
            setattr(vintr, name, _flag(told[name]))
    for name in ("v_intr_vector", "v_intr_prio", "v_tpr"):
        if name in told:
            setattr(vintr, name, _number(told[name], 255))
    if "shadow" in told:
        vintr.int_shadow = _flag(told["shadow"])
    if "if" in told:
        guest.interrupts_enabled = _flag(told["if"])
    if "event_inj" in told:
        guest.event_inj = _number(told["event_inj"])
    if "alt_inj" in told:
        guest.alternate_injection = _flag(told["alt_inj"])
    if "no_eoi_required" in told:
        cpu.calling.no_eoi_required = _number(told["no_eoi_required"], 255)


def _see_apic(cpu: Vcpu, told: Answer) -> None:
    if "ipi_irr" in told:
        pending, nmi = _flag(told.get("ipi_pending")), _flag(told.get("ipi_nmi"))
        cpu.mailbox = Mailbox(_set(told["ipi_irr"]), pending, nmi)
    if "apic" not in told:
        return
    apic, flags = _object(told["apic"]), _object(told.get("flags", {}))
    local = LocalApic(icr=_number(apic.get("icr")), isr=_numbers(apic.get("isr_stack"), 255))
    for name in ("irr", "allowed", "tmr", "host_tmr"):
        setattr(local, name, _set(apic.get(name)))
    for name in _FLAGS & flags.keys():
        setattr(local, name, _flag(flags[name]))
    local.isr_tmr = [(bool(local.tmr >> v & 1), bool(local.host_tmr >> v & 1)) for v in local.isr]
    cpu.apic = local


_FLAGS = {
    "update_required",
    "interrupt_delivered",
    "interrupt_queued",
    "lazy_eoi_pending",
    "nmi_pending",
}
