"""Who sends what to whom in a scenario of an SVSM: a row for each command, and for each effect of a call.

A command without a row draws itself by its description (`row.derived`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...counting import count_of
from ...descriptions import Actor, Command
from ...machine.commands import COMMANDS
from ...machine.rules import entry, host
from ...machine.vcpu import GUEST_VMPL, STATUS_WORD
from ...machine.vm import REQUESTS
from ...schema import Bits, Place, get, leaves, members, set_numbers
from ...wire.apic import ApicIcr, ApicRegister, ApicSelfIpi, ApicTpr
from ...wire.calls import find_call
from ...wire.doorbell import DoorbellHead, ExtIntStatus
from ...wire.exits import find_exit
from ...wire.svsm import Call, Protocol, ResultCode
from . import on_memory
from .chart import Item, Mark, Message, Note, Party, lane
from .row import Row, derived
from .step import Step
from .words import event, fields, listed, number, sentence

_REGISTERS = ("rcx", "rdx", "r8")
_OF_A_PROTOCOL = 0x80001000  # codes from here on belong to the protocol called
_WRITTEN = {
    ApicRegister.ICR: ApicIcr,
    ApicRegister.TPR: ApicTpr,
    ApicRegister.SELF_IPI: ApicSelfIpi,
}
"""What the values of registers are, that a guest writes."""


# --- calls -----------------------------------------------------------------------------------------


def _call(step: Step) -> str:
    """The call by its name, and the registers that it looks at."""
    command = step.command
    found = find_call(command["protocol"], command["request"])
    if found is None:
        given = (f"{name.upper()} {number(command[name])}" for name in _REGISTERS if command[name])
        name = f"protocol {command['protocol']}, call {command['request']}"
        return "\n".join([name, *given])
    return "\n".join([found.name.removeprefix("SVSM_"), *_operands(found, command)])


def _operands(call: Call, command: Command) -> Iterator[str]:
    for operand in call.inputs:
        if operand.register not in command:
            continue
        layout = operand.layout
        if layout is None and (call.protocol, operand.register) == (Protocol.APIC, "rdx"):
            layout = _WRITTEN.get(command["rcx"])
        yield _register(operand.register, command[operand.register], layout)


def _register(name: str, value: Any, layout: type[Bits] | None) -> str:
    return f"{name.upper()} {number(value) if layout is None else fields(layout.of(value))}"


def _result(step: Step) -> str:
    """The result code by its name, and the registers that are others than before."""
    command, answer = step.command, step.answer
    if "rax" not in answer:
        return ""
    found = find_call(command["protocol"], command["request"])
    outputs = {one.register: one.layout for one in found.outputs} if found else {}
    lines = [code(answer["rax"], found)]
    for register in _REGISTERS:
        value, layout = answer.get(register, command[register]), outputs.get(register)
        if value != command[register]:
            lines.append(_register(register, value, layout))
    return "\n".join(lines)


def code(rax: int, call: Call | None) -> str:
    """A result code by its name, where the call has it."""
    member = members(ResultCode).get(rax)
    known = member is not None and (
        rax < _OF_A_PROTOCOL or (call is not None and member in call.results)
    )
    return member.name if known and member is not None else f"code {rax:#x}"


# --- interrupts ------------------------------------------------------------------------------------


def status(word: int) -> str:
    """The status word of a descriptor, by its fields."""
    return fields(ExtIntStatus.of(word))


def _post(step: Step) -> str:
    command, answer = step.command, step.answer
    lines = [f"posts {_kind(command)} vector {command['vector']:#x}"]
    if answer.get("posted"):
        lines.append(f"status word: {status(answer['status'])}")
        lines.append("raises #HV" if answer["hv"] else "no #HV: NoFurtherSignal is set")
    return "\n".join(lines)


def _not_posted(step: Step) -> str:
    if step.answer.get("posted") is not False:
        return ""
    return f"refused\nstatus word: {status(step.answer['status'])}"


def _is_not_posted(step: Step) -> bool:
    return step.answer.get("posted") is False


def _kind(post: Command) -> str:
    return "level" if post["level"] else "edge"


def _begin(step: Step) -> str:
    return f"begins to post {_kind(step.command)} vector {step.command['vector']:#x}"


def _host_step(step: Step) -> str:
    """One access of a post, and what it changed of the doorbell page."""
    was = step.before.postings[step.cpu.index]
    if not was:
        return "nothing is under way"
    return "\n".join([was.replace("_", " "), *_doorbell_changes(step)])


def _doorbell_changes(step: Step) -> Iterator[str]:
    """The fields of the doorbell page that are others than before; of the status word all that are set."""
    was, now = DoorbellHead.decode(step.doorbell), DoorbellHead.decode(bytes(step.cpu.page))
    for place in leaves(DoorbellHead):
        one, other = get(was, place.path), get(now, place.path)
        if one == other:
            continue
        name = _name(place)
        if isinstance(other, bool):
            yield f"{name} {'set' if other else 'cleared'}"
        elif place.field.name in ("irr", "isr"):
            for verb, vectors in (("set", other & ~one), ("cleared", one & ~other)):
                if vectors:
                    yield f"{name} {verb}: {listed(list(set_numbers(vectors)))}"
        elif isinstance(other, int):
            yield f"{name} {number(one)} to {number(other)}"


def _name(place: Place) -> str:
    """A field of the doorbell page; that of another VMPL than the guest's by its path."""
    if place.path.startswith("per_vmpl_events"):
        return f"event bit of {place.field.spec}"
    is_own = "." not in place.path or place.path.startswith(("flags", f"vmpl{GUEST_VMPL}"))
    return place.field.spec if is_own else place.path


def _refuse(step: Step) -> str:
    return f"will refuse {step.command['call'].upper()}"


def _overwritten(step: Step) -> str:
    return "\n".join(["overwrites the doorbell page", *list(_doorbell_changes(step))[:8]])


def _vmrun(answer: Command) -> Iterator[str]:
    """What VMRUN sees of a vCPU."""
    if told := event(answer.get("event_inj", 0)):
        yield f"EVENTINJ: {told}"
    if answer.get("v_irq"):
        yield f"V_IRQ: vector {answer['v_intr_vector']:#x}"
    if answer.get("no_eoi_required"):
        yield "NoEoiRequired set"


def _entered(step: Step) -> str:
    late = [post["vector"] for post in step.command.get("late", ())]
    lines = ["enters the guest", *_vmrun(step.answer)]
    if late:
        lines.insert(0, f"in the switch window arrives {listed(late)}")
    if again := step.answer.get("cancelled"):
        lines.append(f"starts over {again} time{'s' * (again > 1)}: a #HV in the switch window")
    return "\n".join(lines)


def _handled(step: Step) -> str:
    """The #HV handler in the switch window."""
    return "\n".join(("#HV handler in the switch window", *_doorbell_changes(step)))


def _svsm_step(step: Step) -> str:
    """One step of an entry, and what it changed."""
    was = step.before.entries[step.cpu.index] or "handle_hv"
    lines = [was.replace("_", " "), *_doorbell_changes(step)]
    if was == "present":
        guest = step.cpu.guest
        lines += _vmrun(
            {
                "event_inj": guest.event_inj,
                "v_irq": guest.vintr.v_irq,
                "v_intr_vector": guest.vintr.v_intr_vector,
            }
        )
    if was == "test_signal":
        is_open = step.answer.get("next") == "vmgexit"
        lines.append(
            "NoFurtherSignal is clear: the switch window opens" if is_open else "it is set"
        )
    if step.answer.get("next") == "cancel" and was == "vmgexit":
        lines.append("#HV in the switch window: the switch is cancelled")
    if step.answer.get("next") == "entered":
        lines.append("the guest runs")
    return "\n".join(lines)


def _stepped_to(step: Step) -> Party:
    """The last step of an entry leads to the guest."""
    return Party.GUEST if step.answer.get("next") == "entered" else Party.SVSM


_TAKEN = {
    "event": "takes vector {0:#x} from EVENTINJ",
    "nmi": "takes an NMI",
    "virq": "takes vector {0:#x} from V_IRQ",
    "other": "takes event {0:#x} from EVENTINJ",
    "none": "takes nothing",
}


def _take(step: Step) -> str:
    taken = step.answer.get("taken", "none")
    told = _TAKEN.get(taken, str(taken)).format(step.answer.get("vector", 0))
    return told + ", interrupts off" * bool(step.command.get("gate"))


def _guest(step: Step) -> str:
    command = step.command
    lines = [f"IF {command['if']:d}" + ", interrupt shadow" * command["shadow"]]
    if "cr8" in command:
        lines.append(f"CR8 {command['cr8']:#x}")
    return "\n".join(lines)


def _lazy_eoi(step: Step) -> str:
    if step.answer.get("was"):
        return "lazy EOI: clears NoEoiRequired"
    return "lazy EOI: NoEoiRequired was 0, so it must call"


def _left(step: Step) -> str:
    lines = ["leaves for the host's own reasons"]
    if told := event(step.command["exitintinfo"]):
        lines.append(f"EXITINTINFO: {told}")
    return "\n".join([*lines, *(f"then {one}" for one in _vmrun(step.answer))])


def _created(step: Step) -> str:
    command = step.command
    lines = ["is created anew"]
    if told := event(command.get("event_inj", 0)):
        lines.append(f"EVENTINJ: {told}")
    if "vintr" in command:
        lines.append(f"VINTR_CTRL {number(command['vintr'])}")
    return "\n".join(lines)


def _page_read(step: Step) -> str:
    at = 4 * STATUS_WORD
    word = bytes.fromhex(step.answer.get("hex", ""))[at : at + 4]
    return f"doorbell page: status word {status(int.from_bytes(word, 'little'))}"


def _state(step: Step) -> str:
    """What of a vCPU's APIC is not empty."""
    told, local = step.answer, step.answer.get("apic", {})
    lines = [f"count {told.get('reg_count', 0)}"]
    if not told.get("alt_inj", True):
        lines.append("the host has this vCPU's interrupts")
    if local.get("isr_stack"):
        lines.append(f"in service {listed(local['isr_stack'])}")
    for name, held in (("IRR", local.get("irr", [])), ("mailbox", told.get("ipi_irr", []))):
        vectors = [
            32 * at + bit for at, word in enumerate(held) for bit in range(32) if word >> bit & 1
        ]
        if vectors:
            lines.append(f"{name} {listed(vectors)}")
    return "\n".join(["state", *lines, *_vmrun(told)])


def _begins(step: Step) -> str:
    command = step.command
    count = command["cpus"]
    lines = [count_of(count, "vCPU")]
    if "reg_count" in command:
        lines.append(f"{number(command['reg_count'])} registered for Alternate Injection")
    if "memory" in command:
        lines.append(on_memory.begins(command))
    return ", ".join(lines)


_HOST, _SVSM, _GUEST = Party.HOST, Party.SVSM, Party.GUEST

EXCHANGES: dict[str, Row] = {
    "init": Row(None, None, _begins),
    "call": Row(_GUEST, _SVSM, _call, _result, lambda step: bool(step.answer.get("rax"))),
    "host_irq": Row(_HOST, _SVSM, _post, _not_posted, _is_not_posted),
    "host_begin": Row(_HOST, _HOST, _begin),
    "host_step": Row(_HOST, _SVSM, _host_step),
    "host_refuse": Row(_HOST, _HOST, _refuse),
    "set_doorbell": Row(_HOST, _SVSM, _overwritten),
    "enter": Row(_SVSM, _GUEST, _entered),
    "svsm_step": Row(_SVSM, _stepped_to, _svsm_step),
    "svsm_hv": Row(_SVSM, _SVSM, _handled),
    "guest_take": Row(_GUEST, _GUEST, _take),
    "guest": Row(_GUEST, _GUEST, _guest),
    "guest_lazy_eoi": Row(_GUEST, _GUEST, _lazy_eoi),
    "intercept": Row(_GUEST, _SVSM, _left),
    "set_vmsa": Row(_GUEST, _SVSM, _created),
    "doorbell": Row(_SVSM, None, _page_read),
    "state": Row(_SVSM, None, _state),
    **on_memory.EXCHANGES,
}
"""By the name of the command."""


def terms(step: Step) -> Iterator[tuple[str, str]]:
    """What the atomic step of a command is, as its rule says."""
    before = step.before
    for op, names, rules in (
        ("svsm_step", before.entries, entry.STEPS),
        ("host_step", before.postings, host.STEPS),
    ):
        if step.command["op"] == op:
            name = names[step.cpu.index] or ("handle_hv" if op == "svsm_step" else "")
            if name in rules:
                yield name.replace("_", " "), sentence(rules[name])


def told(step: Step) -> Iterator[Item]:
    """What a command draws: its message, what it made the SVSM do, the answer."""
    command = step.command
    described = COMMANDS[command["op"]]
    row = EXCHANGES.get(described.name) or derived(described)
    at, cpu = step.index, command.get("cpu", 0)
    yield from _finished_entry(step)
    sender, receiver = row.sender(command), row.receiver(step)
    if sender is None or receiver is None:
        yield Note(at, lane(sender, cpu) if sender else None, row.says(step), _mark(row, step))
    else:
        source, target = lane(sender, cpu), lane(receiver, cpu)
        answer = row.answers(step)
        yield Message(
            at, source, target, row.says(step), mark=_mark(row, step) if not answer else Mark.PLAIN
        )
        yield from _requests(step)
        yield from on_memory.effects(step)
        yield from _sent(step)
        if answer:
            yield Message(
                at, target, source, answer, is_answer=source != target, mark=_mark(row, step)
            )
    yield from on_memory.changed(step)
    for stop in ("panic", "terminated"):
        if stop in step.answer:
            yield Note(at, None, f"the SVSM stops ({stop}): {step.answer[stop]}", Mark.BROKEN)


def _mark(row: Row, step: Step) -> Mark:
    return Mark.REFUSED if row.is_refused(step) else Mark.PLAIN


def _finished_entry(step: Step) -> Iterator[Item]:
    """What only a running guest does first finishes an entry that is under way."""
    if COMMANDS[step.command["op"]].by is not Actor.GUEST or "cpu" not in step.command:
        return
    cpu = step.command["cpu"]
    if cpu < len(step.before.entries) and step.before.entries[cpu]:
        yield Message(step.index, lane(_SVSM, cpu), lane(_GUEST, cpu), "finishes the entry")


_CODES = {name: code for code, name in REQUESTS.items()}


def _requests(step: Step) -> Iterator[Item]:
    """What the SVSM asked of the host meanwhile."""
    for made in step.answer.get("calls", ()):
        cpu, name = made["cpu"], made["call"]
        row = find_exit(_CODES[name]) if name in _CODES else None
        layout = row.info1.layout if row else None
        held = number(made["info1"]) if layout is None else fields(layout.of(made["info1"]))
        text = f"{name.upper()}\n{held}"
        refused = (cpu, name) in step.refuses
        if refused:
            step.refuses.remove((cpu, name))
        mark = Mark.REFUSED if refused else Mark.PLAIN
        yield Message(step.index, lane(_SVSM, cpu), lane(_HOST, cpu), text, mark=mark)


def _sent(step: Step) -> Iterator[Item]:
    """What vCPUs sent one another."""
    for sent in step.sent:
        what = "NMI" if sent.nmi else f"vector {sent.vector:#x}"
        source = lane(_SVSM, step.command.get("cpu", 0))
        yield Message(step.index, source, lane(_SVSM, sent.target), f"IPI: {what}")
