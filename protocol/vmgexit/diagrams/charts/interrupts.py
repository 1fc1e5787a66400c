"""What host, SVSM and guest do about interrupts: posts, steps of an entry, what is taken and ended."""

from __future__ import annotations

from collections.abc import Iterator

from ...descriptions import Command
from ...machine.rules import entry, host
from ...machine.vcpu import GUEST_VMPL, STATUS_WORD
from ...schema import Place, get, leaves, set_numbers
from ...wire.doorbell import DoorbellHead, ExtIntStatus
from .chart import Party
from .step import Step
from .words import event, fields, listed, number, sentence


def status(word: int) -> str:
    """The status word of a descriptor, by its fields."""
    return fields(ExtIntStatus.of(word))


def post(step: Step) -> str:
    command, answer = step.command, step.answer
    lines = [f"posts {_kind(command)} vector {command['vector']:#x}"]
    if answer.get("posted"):
        lines.append(f"status word: {status(answer['status'])}")
        lines.append("raises #HV" if answer["hv"] else "no #HV: NoFurtherSignal is set")
    return "\n".join(lines)


def not_posted(step: Step) -> str:
    if step.answer.get("posted") is not False:
        return ""
    return f"refused\nstatus word: {status(step.answer['status'])}"


def is_not_posted(step: Step) -> bool:
    return step.answer.get("posted") is False


def _kind(post: Command) -> str:
    return "level" if post["level"] else "edge"


def begin(step: Step) -> str:
    return f"begins to post {_kind(step.command)} vector {step.command['vector']:#x}"


def host_step(step: Step) -> str:
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


def refuse(step: Step) -> str:
    return f"will refuse {step.command['call'].upper()}"


def overwritten(step: Step) -> str:
    return "\n".join(["overwrites the doorbell page", *list(_doorbell_changes(step))[:8]])


def _vmrun(answer: Command) -> Iterator[str]:
    """What VMRUN sees of a vCPU."""
    if told := event(answer.get("event_inj", 0)):
        yield f"EVENTINJ: {told}"
    if answer.get("v_irq"):
        yield f"V_IRQ: vector {answer['v_intr_vector']:#x}"
    if answer.get("no_eoi_required"):
        yield "NoEoiRequired set"


def entered(step: Step) -> str:
    late = [post["vector"] for post in step.command.get("late", ())]
    lines = ["enters the guest", *_vmrun(step.answer)]
    if again := step.answer.get("cancelled"):
        lines.insert(0, f"#HV cancels the switch, {again} time{'s' * (again > 1)}")
    if late:
        lines.insert(0, f"in the switch window arrives {listed(late)}")
    return "\n".join(lines)


def handled(step: Step) -> str:
    """The #HV handler in the switch window."""
    return "\n".join(("#HV handler in the switch window", *_doorbell_changes(step)))


def svsm_step(step: Step) -> str:
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


def stepped_to(step: Step) -> Party:
    """The last step of an entry leads to the guest."""
    return Party.GUEST if step.answer.get("next") == "entered" else Party.SVSM


_TAKEN = {
    "event": "takes vector {0:#x} from EVENTINJ",
    "nmi": "takes an NMI",
    "virq": "takes vector {0:#x} from V_IRQ",
    "other": "takes event {0:#x} from EVENTINJ",
    "none": "takes nothing",
}


def take(step: Step) -> str:
    taken = step.answer.get("taken", "none")
    told = _TAKEN.get(taken, str(taken)).format(step.answer.get("vector", 0))
    return told + ", interrupts off" * bool(step.command.get("gate"))


def guest(step: Step) -> str:
    command = step.command
    lines = [f"IF {command['if']:d}" + ", interrupt shadow" * command["shadow"]]
    if "cr8" in command:
        lines.append(f"CR8 {command['cr8']:#x}")
    return "\n".join(lines)


def lazy_eoi(step: Step) -> str:
    if step.answer.get("was"):
        return "lazy EOI: clears NoEoiRequired"
    return "lazy EOI: NoEoiRequired was 0, so it must call"


def left(step: Step) -> str:
    lines = ["leaves for the host's own reasons"]
    if told := event(step.command["exitintinfo"]):
        lines.append(f"EXITINTINFO: {told}")
    return "\n".join([*lines, *(f"then {one}" for one in _vmrun(step.answer))])


def created(step: Step) -> str:
    command = step.command
    lines = ["is created anew"]
    if told := event(command.get("event_inj", 0)):
        lines.append(f"EVENTINJ: {told}")
    if "vintr" in command:
        lines.append(f"VINTR_CTRL {number(command['vintr'])}")
    return "\n".join(lines)


def page_read(step: Step) -> str:
    at = 4 * STATUS_WORD
    word = bytes.fromhex(step.answer.get("hex", ""))[at : at + 4]
    return f"doorbell page: status word {status(int.from_bytes(word, 'little'))}"


def state(step: Step) -> str:
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
