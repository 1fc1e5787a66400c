"""Scenarios drawn with hypothesis, from the descriptions of the commands and the values that matter."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from vmgexit.machine.commands import (
    COMMANDS,
    Argument,
    Choice,
    Command,
    Flag,
    Hex,
    Kind,
    Number,
    Numbers,
    Posts,
)

from .programs import WORTH

Commands = st.SearchStrategy[Command]


def values(kind: Kind) -> st.SearchStrategy[Any]:
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
            return st.lists(values(each))
        case Posts(arguments):
            return st.lists(_arguments(arguments, {}), max_size=2)
        case Hex(size):
            return st.binary(min_size=size, max_size=size).map(bytes.hex)


def command(name: str, **given: Any) -> Commands:
    """A command of that name. An argument that is `given`, as a value or a strategy, comes from there."""
    fixed = {
        key: value if isinstance(value, st.SearchStrategy) else st.just(value)
        for key, value in given.items()
    }
    described = COMMANDS[name]
    drawn = _arguments(described.arguments, fixed).map(lambda arguments: {"op": name, **arguments})
    return drawn.filter(lambda made: not described.complaint(made))


def _arguments(arguments: tuple[Argument, ...], given: dict[str, Any]) -> Commands:
    drawn = {one.name: given.get(one.name, values(one.kind)) for one in arguments}
    optional = {one.name for one in arguments if one.optional and one.name not in given}
    return st.fixed_dictionaries(
        {name: strategy for name, strategy in drawn.items() if name not in optional},
        optional={name: drawn[name] for name in optional},
    )


@st.composite
def scenarios(draw: st.DrawFn, most_vcpus: int = 4, longest: int = 40) -> list[Command]:
    """An `init`, and any commands for the vCPUs that it makes."""
    cpus = draw(st.integers(1, most_vcpus))
    ids = st.lists(st.integers(0, (1 << 32) - 1), min_size=cpus, max_size=cpus, unique=True)
    opening = draw(command("init", cpus=cpus, apic_ids=ids))
    if draw(st.booleans()):
        del opening["apic_ids"]
    vcpu = st.integers(0, cpus - 1)
    others = st.one_of([command(name, cpu=vcpu) for name in COMMANDS if name != "init"])
    return [opening, *draw(st.lists(others, max_size=longest))]
