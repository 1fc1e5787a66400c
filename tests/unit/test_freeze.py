"""Frozen states: every field of every state class comes back, and none can be forgotten."""

import dataclasses
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, get_type_hints

import pytest

from vmgexit.explore.freeze import freeze, parts, restore, thaw
from vmgexit.machine.state import OUTSIDE, PASSIVE, outside, passive
from vmgexit.machine.vcpu import CallingPage, Entry, Guest, LocalApic, Mailbox, Posting
from vmgexit.machine.vm import Vcpu, Vm
from vmgexit.schema import Bits
from vmgexit.watch.ledger import Account, Ledger

MADE: dict[type, Any] = {
    CallingPage: lambda: CallingPage(0x2000),
    Posting: lambda: Posting(0x31, level=True),
    Vcpu: lambda: Vm(apic_ids=[7]).vcpus[0],
}
STATE_CLASSES = (Guest, LocalApic, Mailbox, CallingPage, Entry, Posting, Account, Vcpu, Vm, Ledger)


def made(cls: type) -> Any:
    return MADE.get(cls, cls)()


def another(hint: Any, value: Any) -> Any:
    """A value of the type that is not `value`."""
    if isinstance(value, Bits):
        return type(value).of(int(value) ^ (1 << 8 * value.size) - 1)  # every field is another
    if dataclasses.is_dataclass(value):
        return changed(type(value))
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, str):
        return value + "?"
    if isinstance(value, tuple):
        return tuple(another(None, one) for one in value)
    if isinstance(value, bytearray):
        return bytearray(byte ^ 0xA5 for byte in value)
    words = str(hint)
    for kind, given in (
        ("set[int]", {3, 5}),
        ("dict[int, bool]", {3: True, 5: False}),
        ("list[tuple[int, bool]]", [(3, True)]),
        ("list[tuple[bool, bool]]", [(True, False)]),
        ("list[int]", [3, 5]),
        ("list[", ["one"]),
        ("tuple[str, int]", ("event", 3)),
        ("CallingPage", CallingPage(0x5000, 1)),
        ("Guest", Guest(event_inj=7)),
        ("Entry", Entry("take_irr", 5, 6, 7)),
        ("Posting", Posting(1, True, "signal", 2, 3, True)),
        ("int", 9),
    ):
        if kind in words:
            return given
    raise TypeError(f"no other value of {hint}")


def changed(cls: type) -> Any:
    """An object of a state class with every field of the state other than it is at first."""
    state, hints = made(cls), get_type_hints(cls)
    for part in parts(cls):
        value = another(hints[part.name], getattr(state, part.name))
        if isinstance(value, bytearray):
            getattr(state, part.name)[:] = value
        else:
            setattr(state, part.name, value)
    return state


def held(state: Any) -> dict[str, Any]:
    return {part.name: getattr(state, part.name) for part in parts(state.__class__)}


@pytest.mark.parametrize("cls", STATE_CLASSES)
def test_every_field_comes_back(cls: type) -> None:
    state, other = changed(cls), made(cls)
    for part in parts(cls):
        assert getattr(state, part.name) != getattr(other, part.name), part.name
    frozen = freeze(state)
    assert frozen != freeze(other)
    hash(frozen)
    restore(other, frozen)
    assert held(other) == held(state)
    assert freeze(other) == frozen
    if cls is not Vcpu:  # one that exists is restored: its page is memory that others see
        assert held(thaw(cls, frozen)) == held(state)


@pytest.mark.parametrize("cls", STATE_CLASSES)
def test_each_field_makes_a_difference_or_says_why_not(cls: type) -> None:
    state = changed(cls)
    for declared in dataclasses.fields(cls):
        if OUTSIDE in declared.metadata:
            assert len(declared.metadata[OUTSIDE]) > 5
            continue
        other = made(cls)
        restore(other, freeze(made(cls)))
        value = getattr(state, declared.name)
        if isinstance(value, bytearray):
            getattr(other, declared.name)[:] = value
        else:
            setattr(other, declared.name, value)
        before, after = freeze(made(cls)), freeze(other)
        assert before != after, declared.name
        assert (before[0] == after[0]) == (PASSIVE in declared.metadata), declared.name


def test_every_class_that_a_state_holds_is_among_them() -> None:
    for cls in STATE_CLASSES:
        for part in parts(cls):
            assert part.held is None or part.held in STATE_CLASSES or issubclass(part.held, Bits)


def test_an_object_of_a_state_class_has_nothing_but_its_fields() -> None:
    for cls in STATE_CLASSES:
        assert not hasattr(made(cls), "__dict__"), cls
        assert set(cls.__slots__) == {one.name for one in dataclasses.fields(cls)}


def test_a_frozen_state_does_not_change_with_the_object() -> None:
    cpu = made(Vcpu)
    frozen = freeze(cpu)
    cpu.apic.isr.append(3)
    cpu.page[5] = 1
    cpu.guest.vintr.v_tpr = 9
    assert freeze(cpu) != frozen
    restore(cpu, frozen)
    assert (cpu.apic.isr, cpu.page[5], cpu.words[1], cpu.guest.vintr.v_tpr) == ([], 0, 0, 0)


def test_what_is_passive_is_carried_along() -> None:
    @dataclass(slots=True)
    class Some:
        one: int = 1
        other: list[int] = field(metadata=passive("for the test"), default_factory=list)
        third: int = field(metadata=outside("for the test"), default=3)

    assert freeze(Some(5, [6], 7)) == ((5,), ((6,),))
    some = Some(0, [], 9)
    restore(some, freeze(Some(5, [6], 7)))
    assert some == Some(5, [6], 9)


class Colour(Enum):
    RED = 1


@dataclass
class Mixed:
    colour: Colour | None
    pairs: tuple[tuple[int, str], ...]
    inner: Mailbox | None = None


def test_kinds_of_fields() -> None:
    for inner in (None, Mailbox(5, True, False)):
        state = Mixed(Colour.RED, ((1, "a"),), inner)
        assert thaw(Mixed, freeze(state)) == state


@dataclass
class Lists:
    lists: list[list[int]]


@dataclass
class Either:
    either: Mailbox | Posting


@dataclass
class Anything:
    anything: object


@dataclass
class Bare:
    bare: list  # type: ignore[type-arg]


@dataclass
class Carried:
    count: int = field(metadata=passive("for the test"), default=0)


@dataclass
class Perhaps:
    perhaps: Carried | None  # whether it is there would be lost


@pytest.mark.parametrize("cls", [Lists, Either, Anything, Bare, Perhaps])
def test_a_field_without_a_frozen_form_is_refused(cls: type) -> None:
    with pytest.raises(TypeError, match=f"{cls.__name__}.{cls.__name__.lower()}: .* frozen form"):
        parts(cls)
