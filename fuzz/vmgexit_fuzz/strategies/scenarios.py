"""Calls, commands and scenarios, from their descriptions and the values that matter."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from vmgexit.descriptions import (
    U32,
    U64,
    Argument,
    Choice,
    Command,
    Flag,
    Hex,
    Kind,
    Number,
    Numbers,
)
from vmgexit.guests.follow import as_guest
from vmgexit.guests.guest import Guest
from vmgexit.guests.values import Setting
from vmgexit.machine.commands import WITHOUT_MEMORY
from vmgexit.machine.commands import call as command_of_call
from vmgexit.machine.kinds import Posts
from vmgexit.machine.machine import Machine
from vmgexit.wire.calls import SvsmCall
from vmgexit.wire.calls import calls as call_rows
from vmgexit.wire.svsm import Call, Protocol

from ..inputs.bursts import PAGES, VECTORS, WORTH
from .structures import sound, values

CALLS_OFTEN = 6  # as often as this many other commands

Commands = st.SearchStrategy[Command]


def argument(kind: Kind) -> st.SearchStrategy[Any]:
    """Any value of a kind, numbers that matter more often than others."""
    match kind:
        case Number(most, least, holds):
            known = [value for value in WORTH[holds] if least <= value <= most]
            return st.sampled_from(known) | st.integers(least, most)
        case Flag():
            return st.booleans()
        case Choice(names):
            return st.sampled_from(names)
        case Numbers(each):
            return st.lists(argument(each))
        case Posts(arguments):
            return st.lists(_arguments(arguments, {}), max_size=2)
        case Hex(size):
            return st.binary(min_size=size, max_size=size).map(bytes.hex)
        case _:
            raise TypeError(f"no strategy for {kind}")


def command(name: str, **given: Any) -> Commands:
    """A command of that name. An argument that is `given`, as a value or a strategy, comes from there."""
    fixed = {
        key: value if isinstance(value, st.SearchStrategy) else st.just(value)
        for key, value in given.items()
    }
    described = WITHOUT_MEMORY[name]
    drawn = _arguments(described.arguments, fixed).map(lambda arguments: {"op": name, **arguments})
    return drawn.filter(lambda made: not described.complaint(made))


def _arguments(arguments: tuple[Argument, ...], given: dict[str, Any]) -> Commands:
    drawn = {one.name: given.get(one.name, argument(one.kind)) for one in arguments}
    optional = {one.name for one in arguments if one.optional and one.name not in given}
    return st.fixed_dictionaries(
        {name: strategy for name, strategy in drawn.items() if name not in optional},
        optional={name: drawn[name] for name in optional},
    )


_WORDS = argument(Number(U64))


@st.composite
def calls(draw: st.DrawFn, *protocols: Protocol) -> SvsmCall:
    """The registers of an SVSM call of the protocols named, or of any; now and then of a call that does
    not exist."""
    rows = [row for row in call_rows() if row.protocol in (protocols or Protocol)]
    row: Call | None = draw(st.sampled_from((*rows, None)))
    registers = {name: draw(_WORDS) for name in ("rcx", "rdx", "r8", "r9")}
    if row is None:
        return SvsmCall(rax=draw(_WORDS), **registers)
    for operand in row.inputs:
        if operand.layout is not None:
            value = draw(sound(operand.layout) | values(operand.layout))
            registers[operand.register] = int.from_bytes(value.encode(), "little")
    return SvsmCall(rax=row.protocol << 32 | row.number, **registers)


def _command_of(cpu: int, call: SvsmCall) -> Command:
    return command_of_call(cpu, call.call, call.rcx, call.rdx, call.r8, protocol=call.protocol)


@st.composite
def scenarios(
    draw: st.DrawFn, most_vcpus: int = 4, longest: int = 40, guest: Guest | None = None
) -> list[Command]:
    """An `init`, and any commands for the vCPUs that it makes, at most `longest`. With a `guest`, what is
    left when it does only what it does, after the calls that come before it."""
    cpus = draw(st.integers(1, most_vcpus))
    ids = st.lists(st.integers(0, U32), min_size=cpus, max_size=cpus, unique=True)
    opening = draw(command("init", cpus=cpus, apic_ids=ids))
    if draw(st.booleans()):
        del opening["apic_ids"]
    vcpu = st.integers(0, cpus - 1)
    if guest is not None:
        setting = Setting(tuple(range(cpus)), VECTORS, PAGES)
        made = [one for cpu in range(cpus) for _, one in guest.calls(cpu, setting)]
        call = st.sampled_from(made)
    else:
        call = st.builds(_command_of, vcpu, calls() | calls(Protocol.APIC) | calls(Protocol.APIC))
    others = [command(name, cpu=vcpu) for name in WITHOUT_MEMORY if name != "init"]
    count = draw(st.integers(0, longest))  # or most scenarios would be short
    commands = st.one_of([*others, *[call] * CALLS_OFTEN])
    drawn = [opening, *draw(st.lists(commands, min_size=count, max_size=count))]
    return drawn if guest is None else as_guest(guest, drawn, Machine())[0]
