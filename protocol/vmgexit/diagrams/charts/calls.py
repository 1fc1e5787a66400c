"""What a call of a guest carries, what comes back, and what the SVSM asks of the host meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...descriptions import Command
from ...machine.vm import REQUEST_CODES
from ...schema import Bits, members
from ...wire.apic import ApicIcr, ApicRegister, ApicSelfIpi, ApicTpr
from ...wire.calls import find_call
from ...wire.exits import find_exit
from ...wire.svsm import Call, Protocol, ResultCode
from .chart import Item, Mark, Message, Party, lane
from .step import Step
from .words import fields, number

_REGISTERS = ("rcx", "rdx", "r8")
_OF_A_PROTOCOL = 0x80001000  # codes from here on belong to the protocol called
_WRITTEN = {
    ApicRegister.ICR: ApicIcr,
    ApicRegister.TPR: ApicTpr,
    ApicRegister.SELF_IPI: ApicSelfIpi,
}
"""What the values of registers are, that a guest writes."""


def asked(step: Step) -> str:
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


def answered(step: Step) -> str:
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


def requests(step: Step) -> Iterator[Item]:
    """What the SVSM asked of the host meanwhile."""
    for made in step.answer.get("calls", ()):
        cpu, name = made["cpu"], made["call"]
        row = find_exit(REQUEST_CODES[name]) if name in REQUEST_CODES else None
        layout = row.info1.layout if row else None
        held = number(made["info1"]) if layout is None else fields(layout.of(made["info1"]))
        text = f"{name.upper()}\n{held}"
        refused = (cpu, name) in step.refuses
        if refused:
            step.refuses.remove((cpu, name))
        mark = Mark.REFUSED if refused else Mark.PLAIN
        yield Message(step.index, lane(Party.SVSM, cpu), lane(Party.HOST, cpu), text, mark=mark)
