"""Fields: where they stand, what they start as, and their construct."""

from enum import IntEnum

import pytest

from vmgexit import DoorbellHead, ExtIntDescriptor, ExtIntStatus, PscEntry, PscRequest
from vmgexit.schema import Kind, Rule, named


class Colour(IntEnum):
    RED = 1
    BLUE = 3


def test_unknown_codes_stay_integers() -> None:
    assert named(1, Colour) is Colour.RED
    assert type(named(2, Colour)) is int
    assert type(named(3, None)) is int


@pytest.mark.parametrize(
    ("name", "bits", "kind", "rule"),
    [
        ("pending_vector", "7:0", Kind.UINT, None),
        ("nmi_pending", "8", Kind.FLAG, None),
        ("reserved_13_11", "13:11", Kind.UINT, Rule.ZERO),
        ("vector_31", "31", Kind.FLAG, None),
    ],
)
def test_bit_fields_say_their_place_as_specifications_do(
    name: str, bits: str, kind: Kind, rule: Rule | None
) -> None:
    field = ExtIntStatus.declaration[name]
    assert (field.bits, field.kind, field.rule) == (bits, kind, rule)


def test_byte_fields_say_offset_and_size() -> None:
    irr = ExtIntDescriptor.declaration["irr"]
    assert (irr.byte_offset, irr.size, irr.kind, irr.first) == (4, 28, Kind.BITMAP, 32)
    descriptor = DoorbellHead.declaration["vmpl2"]
    assert (descriptor.byte_offset, descriptor.size, descriptor.count) == (0x80, 64, 1)
    assert descriptor.of is ExtIntDescriptor
    entries = PscRequest.shape(253).declaration["entries"]
    assert (entries.byte_offset, entries.size, entries.count) == (8, 253 * 8, 253)
    assert entries.of is PscEntry


@pytest.mark.parametrize(
    ("name", "spec"),
    [
        ("pending_vector", "PendingVector"),
        ("nmi_pending", "NmiPending"),
        ("multiple_vectors", "MultipleVectors"),
        ("vector_31", "Vector31"),
    ],
)
def test_the_spelling_of_the_specification_is_kept(name: str, spec: str) -> None:
    assert ExtIntStatus.declaration[name].spec == spec
