"""Scenarios: lists of commands to a machine, and their spelling as JSON lines.

A command is a plain dict, `{"op": "call", "cpu": 0, "protocol": 3, ...}`; `OPERATIONS` says which
there are and what each holds. A recording is a scenario with the answers that an implementation
gave. Three kinds of line are read: a bare command; a command with its answer, `{"cmd", "ans"}`;
a whole sequence, `{"ops": [{"cmd", "ans"}, ...]}` with any labels beside it. The binary spelling is
in `program`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ..errors import ScenarioError
from .vm import REQUESTS

Command = dict[str, Any]
Answer = dict[str, Any]

U8, U32, U64 = (1 << 8) - 1, (1 << 32) - 1, (1 << 64) - 1
MOST_VCPUS = 255


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of an operation: a number from `least` to `most`, or what `kind` says."""

    name: str
    most: int = 0
    kind: str = "number"  # number, flag, numbers, posts, hex
    optional: bool = False
    least: int = 0


def _flag(name: str, *, optional: bool = False) -> Argument:
    return Argument(name, kind="flag", optional=optional)


_CPU = Argument("cpu", MOST_VCPUS - 1)
_VECTOR = Argument("vector", U8)

OPERATIONS: dict[str, tuple[Argument, ...]] = {
    # a fresh machine
    "init": (
        Argument("cpus", MOST_VCPUS, least=1),
        Argument("reg_count", U32),
        Argument("apic_ids", U32, kind="numbers", optional=True),
    ),
    # the guest calls its SVSM
    "call": (
        _CPU,
        Argument("protocol", U32),
        Argument("request", U32),
        Argument("rcx", U64),
        Argument("rdx", U64),
        Argument("r8", U64),
    ),
    # the host posts an interrupt to the guest VMPL
    "host_irq": (_CPU, _VECTOR, _flag("level")),
    # the SVSM enters the guest; `late` arrives in the switch window
    "enter": (_CPU, Argument("late", kind="posts", optional=True)),
    # the CPU takes what it can; `gate`: the handler starts with interrupts off
    "guest_take": (_CPU, _flag("gate", optional=True)),
    # the guest changes its own state
    "guest": (_CPU, _flag("if"), _flag("shadow"), Argument("cr8", 15, optional=True)),
    # the guest ends an interrupt in the calling area, if it may
    "guest_lazy_eoi": (_CPU,),
    # the guest left for the host's own reasons
    "intercept": (_CPU, Argument("exitintinfo", U64), _flag("busy")),
    # CREATE_VCPU for this vCPU
    "set_vmsa": (
        _CPU,
        Argument("event_inj", U64, optional=True),
        Argument("vintr", U64, optional=True),
    ),
    # read and overwrite the first 256 bytes of the doorbell page
    "doorbell": (_CPU,),
    "set_doorbell": (_CPU, Argument("hex", 256, kind="hex")),
    # everything that is known of a vCPU
    "state": (_CPU,),
    # the host starts a post, and makes one atomic access of it
    "host_begin": (_CPU, _VECTOR, _flag("level")),
    "host_step": (_CPU,),
    # the SVSM makes one atomic step towards the guest, starting an entry if none is under way
    "svsm_step": (_CPU,),
    # the host answers this vCPU's next request of that name by a refusal
    "host_refuse": (_CPU, Argument("call", kind="name")),
}

REFUSABLE = tuple(REQUESTS.values())


def checked(command: Any) -> Command:
    """`command`, if it is one. Raises ScenarioError with the argument, what it is and its limits."""
    if not isinstance(command, dict):
        raise ScenarioError(f"{_brief(command)} found, a command object expected")
    operation = command.get("op")
    arguments = OPERATIONS.get(operation) if isinstance(operation, str) else None
    if arguments is None:
        raise ScenarioError(f"op {_brief(operation)}: not one of {', '.join(OPERATIONS)}")
    left = set(command) - {"op"}
    for argument in arguments:
        if argument.name not in command:
            if argument.optional:
                continue
            raise ScenarioError(f"{operation} needs {argument.name}")
        left.discard(argument.name)
        complaint = _complaint(argument, command[argument.name])
        if complaint:
            raise ScenarioError(f"{operation}.{argument.name}: {complaint}")
    if left:
        raise ScenarioError(f"{operation} has no argument {min(left)}")
    if operation == "init" and len(command.get("apic_ids", ())) not in (0, command["cpus"]):
        raise ScenarioError(
            f"init.apic_ids: {len(command['apic_ids'])} ids found, {command['cpus']} expected"
        )
    return command


def _complaint(argument: Argument, value: Any) -> str:
    match argument.kind:
        case "number":
            if not _is_number(value, argument.most) or value < argument.least:
                return f"{_brief(value)} is not a number from {argument.least} to {argument.most}"
        case "flag":
            if not isinstance(value, bool):
                return f"{_brief(value)} is not true or false"
        case "numbers":
            if not isinstance(value, list) or not all(_is_number(v, argument.most) for v in value):
                return f"{_brief(value)} is not a list of numbers up to {argument.most}"
        case "posts":
            if not isinstance(value, list) or not all(_is_post(post) for post in value):
                return f"{_brief(value)} is not a list of interrupts with vector and level"
        case "hex":
            if not isinstance(value, str) or not _is_hex(value, argument.most):
                return f"{_brief(value)} is not the hex of {argument.most} bytes"
        case "name":
            if value not in REFUSABLE:
                return f"{_brief(value)} is not one of {', '.join(REFUSABLE)}"
    return ""


def _is_number(value: Any, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most


def _is_post(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and set(value) == {"vector", "level"}
        and _is_number(value["vector"], U8)
        and isinstance(value["level"], bool)
    )


def _is_hex(text: str, size: int) -> bool:
    try:
        return len(bytes.fromhex(text)) == size and len(text) == 2 * size
    except ValueError:
        return False


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


@dataclass(slots=True)
class Sequence:
    """Commands, the answers they got (empty where there are none), and where they stand."""

    name: str
    line: int
    kind: str = ""  # what a recording says that it is about
    commands: list[Command] = field(default_factory=list)
    answers: list[Answer | None] = field(default_factory=list)


def sequences(lines: Iterable[str | bytes], name: str = "") -> Iterator[Sequence]:
    """The sequences of a recording or scenario, one after the other.

    Lines with `ops` are a sequence each; bare commands make one sequence of all of them, or a new
    one at each `init`. Raises ScenarioError with the line.
    """
    loose: Sequence | None = None
    for number, text in enumerate(lines, 1):
        if not text.strip():
            continue
        entry = _parsed(text, number)
        if "ops" in entry:
            if loose is not None:
                yield loose
                loose = None
            yield _sequence(entry, number, name)
            continue
        command, answer = _step(entry, number)
        if loose is None or (command["op"] == "init" and loose.commands):
            if loose is not None:
                yield loose
            loose = Sequence(name, number)
        loose.commands.append(command)
        loose.answers.append(answer)
    if loose is not None:
        yield loose


def _parsed(text: str | bytes, number: int) -> dict[str, Any]:
    try:
        entry = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ScenarioError(f"not JSON: {error}", line=number) from None
    if not isinstance(entry, dict):
        raise ScenarioError(f"{_brief(entry)} found, a JSON object expected", line=number)
    return entry


def _sequence(entry: dict[str, Any], number: int, name: str) -> Sequence:
    operations = entry["ops"]
    if not isinstance(operations, list):
        raise ScenarioError(f"ops: {_brief(operations)} is not a list", line=number)
    label = f"{name} #{entry['seq']}" if "seq" in entry else name
    sequence = Sequence(label, number, str(entry.get("kind", "")))
    for index, operation in enumerate(operations):
        command, answer = _step(operation, number, f"ops[{index}]: ")
        sequence.commands.append(command)
        sequence.answers.append(answer)
    return sequence


def _step(entry: Any, number: int, where: str = "") -> tuple[Command, Answer | None]:
    answer = None
    if isinstance(entry, dict) and "cmd" in entry:
        answer = entry.get("ans")
        entry = entry["cmd"]
    if answer is not None and not isinstance(answer, dict):
        raise ScenarioError(f"{where}ans: {_brief(answer)} is not an object", line=number)
    try:
        return checked(entry), answer
    except ScenarioError as error:
        raise ScenarioError(f"{where}{error}", line=number) from None


def to_lines(commands: Iterable[Command]) -> str:
    """The JSON-lines spelling, one command a line."""
    return "".join(json.dumps(command) + "\n" for command in commands)


def show(commands: Iterable[Command], *, mark: int | None = None) -> str:
    """A scenario for a person, one numbered line for each command; `mark` gets an arrow."""
    lines = []
    for index, command in enumerate(commands):
        arguments = " ".join(
            f"{key}={_shown(key, value)}" for key, value in command.items() if key != "op"
        )
        arrow = "->" if index == mark else "  "
        lines.append(f"{arrow} {index:3} {command['op']:14} {arguments}")
        if command["op"] == "call":
            lines[-1] += _call_name(command)
    return "\n".join(lines)


def _shown(key: str, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if key == "late":
        return ",".join(f"{post['vector']:#x}{' level' * post['level']}" for post in value)
    if key == "hex":
        return _sparse(bytes.fromhex(value))
    if isinstance(value, int) and key not in ("cpu", "cpus", "reg_count", "protocol", "request"):
        return f"{value:#x}"
    return str(value)


def _sparse(data: bytes) -> str:
    words = [(at, data[at : at + 4]) for at in range(0, len(data), 4)]
    return " ".join(f"{at:#x}:{word.hex()}" for at, word in words if any(word)) or "all zero"


def _call_name(command: Command) -> str:
    from ..wire.svsm import find_call

    call = find_call(command["protocol"], command["request"])
    return f"   ({call.name})" if call else ""
