"""Mutation of messages: whatever goes in, what comes out is short enough and repeatable, and where only
fields are set the rest stays."""

from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vmgexit import CallingArea, DoorbellHead, ExtIntStatus, GhcbPage
from vmgexit.schema import Kind, Structure
from vmgexit_fuzz.inputs.messages import (
    MUTATIONS,
    VALUES,
    Leaf,
    Messages,
    Mutation,
    Value,
    fields_of,
)
from vmgexit_fuzz.targets import TARGETS, USUAL, find
from vmgexit_fuzz.targets.codec import Codec

SEEDS = range(60)
MESSAGES = [name for name, row in TARGETS.items() if not row.is_program]


@given(
    data=st.binary(max_size=300),
    other=st.binary(max_size=300),
    longest=st.integers(0, 400),
    seed=st.integers(0, (1 << 32) - 1),
)
@settings(max_examples=100)
@pytest.mark.parametrize("name", MESSAGES)
def test_any_bytes_give_an_input_within_the_limit(
    name: str, data: bytes, other: bytes, longest: int, seed: int
) -> None:
    mutator = find(name).open()
    for changed, again in (
        (mutator.mutate(data, longest, seed), mutator.mutate(data, longest, seed)),
        (
            mutator.crossover(data, other, longest, seed),
            mutator.crossover(data, other, longest, seed),
        ),
    ):
        assert isinstance(changed, bytes)
        assert len(changed) <= longest
        assert changed == again


def only_a_doorbell(switch: int | None = None) -> Messages:
    """Messages that are a doorbell head after two bytes."""
    fields = tuple(Leaf(leaf.field, leaf.at, switch) for leaf in fields_of(DoorbellHead, 2))

    class Doorbells(Messages):
        head = 2

        def fields(self, data: bytes) -> Sequence[Leaf]:
            return fields

    return Doorbells()


def test_fields_stand_where_the_structure_has_them() -> None:
    fields = {leaf.field.name: leaf.at for leaf in fields_of(ExtIntStatus, 3)}
    assert fields["pending_vector"] == 24
    assert fields["nmi_pending"] == 32
    assert len(fields_of(GhcbPage, 0)) == len(GhcbPage.declaration.fields)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: str(mutation.__name__))
def test_each_mutation_changes_something(mutation: Mutation) -> None:
    changed = 0
    for seed in SEEDS:
        data = bytearray(range(100))
        mutation(only_a_doorbell(), Random(seed), data)
        changed += data != bytes(range(100))
    assert changed > len(SEEDS) // 3


@pytest.mark.parametrize("value", VALUES, ids=lambda value: str(value.__name__))
def test_each_kind_of_value_is_one_for_every_kind_of_field(value: Value) -> None:
    for leaf in fields_of(GhcbPage, 0):
        found = {value(Random(seed), leaf.field, 0x61) for seed in SEEDS}
        assert len(found) > 1 or leaf.field.kind is Kind.FLAG


def test_a_field_that_is_set_switches_itself_on() -> None:
    changed = only_a_doorbell(switch=9)
    on = [bool(changed.mutate(bytes(258), 258, seed)[1] & 2) for seed in SEEDS]
    assert sum(on) > len(SEEDS) // 2


def test_crossover_takes_whole_fields_and_nothing_else() -> None:
    one, other = bytes(258), b"\xff" * 258
    seen = set()
    for seed in SEEDS:
        crossed = only_a_doorbell().crossover(one, other, 258, seed)
        assert crossed[:2] == bytes(2)
        for leaf in fields_of(DoorbellHead, 2):
            word = int.from_bytes(crossed, "little") >> leaf.at
            mask = (1 << leaf.field.width) - 1
            assert word & mask in (0, mask)
        seen.add(crossed)
    assert len(seen) > len(SEEDS) // 2


def test_mutations_reach_what_only_a_declaration_knows() -> None:
    """A field far from the start of a page is set to a value that exists, the rest being as it was."""
    codec = Codec(find("codec"), USUAL)
    head = next(
        number.to_bytes(2, "little") + b"\0"
        for number in range(1 << 16)
        if codec.chosen(number.to_bytes(2, "little"))[0] is GhcbPage
    )
    versions = set()
    for seed in range(3000):
        cls, body = codec.chosen(codec.mutate(head + bytes(4096), 4200, seed))
        if cls is GhcbPage and not any(body[:0xFFA]) and not any(body[0xFFC:]):
            versions.add(int(GhcbPage.decode(body).protocol_version))
    assert 1 in versions


@pytest.mark.parametrize(
    ("target", "cls"), [("codec-doorbell", DoorbellHead), ("codec-svsm", CallingArea)]
)
def test_every_bit_of_no_eoi_required_is_tried(target: str, cls: type[Structure]) -> None:
    """Sources differ about bits 7:1, so no bit may be left out."""
    codec = Codec(find(target), USUAL)
    head = next(
        number.to_bytes(2, "little") + b"\0"
        for number in range(1 << 16)
        if codec.chosen(number.to_bytes(2, "little"))[0] is cls
    )
    tried = 0
    for seed in range(2000):
        changed = codec.mutate(head + bytes(cls.size), cls.size + 3, seed)
        chosen, body = codec.chosen(changed)
        if chosen is cls and len(body) == cls.size:
            tried |= body[2]
            codec.run(changed)
    assert tried == 0xFF
