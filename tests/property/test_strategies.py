"""The strategies that users get: each gives what it says, for every structure, call and command."""

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings

from tests.structures import declared, name_of, wholes
from vmgexit import DecodeError, GhcbPage, IoioInfo, SecretsPage, SvsmCall
from vmgexit.descriptions import Command
from vmgexit.errors import UsageError
from vmgexit.guests.follow import remarks
from vmgexit.guests.guest import Guest
from vmgexit.guests.profiles import GUESTS
from vmgexit.machine.machine import Machine
from vmgexit.schema import Problem, Rule, Structure, leaves, walk
from vmgexit.watch.watch import run
from vmgexit.wire.calls import find_call
from vmgexit_fuzz import strategies

FEW = settings(
    max_examples=8,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
ALL = pytest.mark.parametrize("cls", [*declared(), *wholes()], ids=name_of)


def has_a_rule(cls: type[Structure]) -> bool:
    """By the declaration alone: a reserved field, a field of codes, or rules of its own."""
    owners = {cls} | {place.owner for place in walk(cls)}
    fields = [place.field for place in leaves(cls)]
    return any(field.rule is Rule.ZERO or field.enum is not None for field in fields) or any(
        owner.declaration.rules
        or owner.broken is not Structure.broken
        or owner.judged is not Structure.judged
        for owner in owners
    )


@ALL
def test_any_value_is_one_of_the_structure(cls: type[Structure]) -> None:
    @FEW
    @given(strategies.values(cls))
    def holds(value: Structure) -> None:
        assert isinstance(value, cls)
        assert cls.decode(value.encode()) == value

    holds()


@ALL
def test_a_sound_value_has_no_problems(cls: type[Structure]) -> None:
    @FEW
    @given(strategies.sound(cls))
    def holds(value: Structure) -> None:
        assert list(value.problems()) == []
        assert cls.decode(value.encode(), strict=True) == value

    holds()


@ALL
def test_a_broken_value_breaks_exactly_the_rule_that_is_named(cls: type[Structure]) -> None:
    if not has_a_rule(cls):
        with pytest.raises(UsageError, match=f"^{cls.declaration.name}: no value breaks"):
            strategies.broken(cls)
        return

    @FEW
    @given(strategies.broken(cls))
    def holds(case: tuple[Structure, Problem]) -> None:
        value, problem = case
        assert list(value.problems()) == [problem]
        with pytest.raises(DecodeError) as caught:
            cls.decode(value.encode(), strict=True)
        assert caught.value.path == problem.path

    holds()


@pytest.mark.parametrize(
    ("cls", "path", "rule"),
    [
        (IoioInfo, "size_8", "exactly one of bits 6:4"),
        (IoioInfo, "address_16", "at most one of bits 9:7"),
        (SecretsPage, "svsm_guest_vmpl", "VMPL 1 to 3"),  # where there is an SVSM only
        (GhcbPage, "protocol_version", "exists since version 2"),
    ],
)
def test_rules_of_more_than_one_field_are_broken_too(
    cls: type[Structure], path: str, rule: str
) -> None:
    def breaks(case: tuple[Structure, Problem]) -> bool:
        return case[1].path == path and rule in case[1].rule

    effort = settings(FEW, max_examples=20_000)
    assert breaks(find(strategies.broken(cls), breaks, settings=effort))


def test_what_needs_two_fields_is_sound_too() -> None:
    """Bit 5 instead of bit 4: neither may be changed alone."""
    assert find(strategies.sound(IoioInfo), lambda value: value.size_16).operand_size == 2


@given(strategies.calls())
@settings(max_examples=200)
def test_calls_are_registers_of_calls(call: SvsmCall) -> None:
    assert SvsmCall.decode(call.encode()) == call


def test_calls_exist_mostly_and_not_always() -> None:
    def exists(call: SvsmCall) -> bool:
        return find_call(call.protocol, call.call) is not None

    assert exists(find(strategies.calls(), exists))
    assert not exists(find(strategies.calls(), lambda call: not exists(call)))


@given(strategies.scenarios())
@settings(max_examples=100, suppress_health_check=list(HealthCheck))
def test_any_scenario_keeps_the_invariants(scenario: list[Command]) -> None:
    run(scenario)


@pytest.mark.parametrize("guest", GUESTS.values(), ids=GUESTS)
def test_scenarios_of_a_guest_are_what_it_does_and_break_nothing(guest: Guest) -> None:
    @settings(FEW, max_examples=60)
    @given(strategies.scenarios(guest=guest))
    def holds(scenario: list[Command]) -> None:
        assert not [one for one in remarks(guest, scenario, Machine()) if not one.ends]
        run(scenario)

    holds()
