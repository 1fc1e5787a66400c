"""Every layout against a ladder written by hand: first what is declared, then what the codec does.

A structure of a chapter in CHAPTERS must have a ladder, and each of its fields a row.
"""

import pytest

from tests.conformance.ladders import doorbell, svsm, vmsa
from tests.conformance.ladders.rows import Ladder, Row
from vmgexit.schema import Structure, get, locate
from vmgexit.wire.registry import structures

LADDERS = doorbell.LADDERS | svsm.LADDERS | vmsa.LADDERS

CHAPTERS = {
    "vmgexit.wire.doorbell",
    "vmgexit.wire.doorbell_history",
    "vmgexit.wire.svsm",
    "vmgexit.wire.calls",
    "vmgexit.wire.apic",
}

EACH = pytest.mark.parametrize(
    ("key", "ladder"), LADDERS.items(), ids=["@".join(key).rstrip("@") for key in LADDERS]
)


def class_of(key: tuple[str, str]) -> type[Structure]:
    name, revision = key
    return structures()[name][revision]


def bit_range(row: Row) -> tuple[int, int]:
    """First bit and width of a row."""
    if len(row) == 3:
        _, offset, size = row
        return offset * 8, size * 8
    high, _, low = row[1].partition(":")
    return int(low or high), int(high) - int(low or high) + 1


@pytest.mark.clause("DESC-1")
@EACH
def test_declaration_stands_on_its_ladder(key: tuple[str, str], ladder: Ladder) -> None:
    cls = class_of(key)
    assert cls.size == ladder.size
    declared = {path: locate(cls, path) for path, *_ in ladder.rows if "[" not in path}
    for row in ladder.rows:
        place = locate(cls, row[0])
        assert (place.bit_offset, place.field.width) == bit_range(row), row
        assert isinstance(row[1], str) == cls.declaration.is_bits, (
            "bits of a word, bytes of a record"
        )
    own = [path for path in declared if "." not in path]
    assert own == [field.name for field in cls.declaration.fields], (
        "every field has its row, in order"
    )


@pytest.mark.clause("DESC-1")
@EACH
def test_codec_stands_on_its_ladder(key: tuple[str, str], ladder: Ladder) -> None:
    cls = class_of(key)
    for row in ladder.rows:
        low, width = bit_range(row)
        data = (((1 << width) - 1) << low).to_bytes(ladder.size, "little")
        value = cls.decode(data)
        assert as_bits(get(value, row[0])) == (1 << width) - 1, row
        assert value.encode() == data, row
        for other in ladder.rows:
            start, extent = bit_range(other)
            if start + extent <= low or start >= low + width:
                assert as_bits(get(value, other[0])) == 0, (row, other)


def as_bits(held: object) -> int:
    """Any value of a field as the integer that its bytes are."""
    match held:
        case int():
            return int(held)
        case bytes():
            return int.from_bytes(held, "little")
        case Structure():
            return int.from_bytes(held.encode(), "little")
        case list():
            return int.from_bytes(b"".join(item.encode() for item in held), "little")
    raise AssertionError(held)


@pytest.mark.clause("DESC-1")
def test_every_structure_of_these_chapters_has_a_ladder() -> None:
    declared = {
        (name, revision)
        for name, revisions in structures().items()
        for revision, cls in revisions.items()
        if cls.__module__ in CHAPTERS
    }
    assert declared - LADDERS.keys() == set()


@EACH
def test_every_ladder_names_its_source(key: tuple[str, str], ladder: Ladder) -> None:
    assert ladder.source.strip()
    assert class_of(key).declaration.source
