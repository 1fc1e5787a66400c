"""The codec: every structure in every way, and the descriptor and its status word exhaustively."""

import random
from pathlib import Path
from typing import Any

import construct
import pytest

from tests.structures import check_structure, check_whole, declared, name_of, wholes
from vmgexit import ExtIntDescriptor, ExtIntStatus
from vmgexit.schema import Structure, Whole

ROOT = Path(__file__).parents[2]


@pytest.mark.clause("DESC-1")
@pytest.mark.parametrize("cls", declared(), ids=name_of)
def test_structure_holds_in_every_way(cls: type[Structure]) -> None:
    check_structure(cls)


@pytest.mark.parametrize("cls", wholes(), ids=name_of)
def test_structure_of_any_length_holds_in_every_way(cls: type[Whole]) -> None:
    check_whole(cls)


@pytest.mark.clause("DESC-1")
def test_a_million_random_descriptors_encode_back_to_themselves() -> None:
    count = 1_000_000
    data = random.Random(56421).randbytes(64 * count)
    decode = ExtIntDescriptor.decode
    for at in range(0, len(data), 64):
        descriptor = data[at : at + 64]
        if decode(descriptor).encode() != descriptor:
            pytest.fail(f"{descriptor.hex()} comes back as {decode(descriptor).encode().hex()}")


# The status word once more, by hand. construct lists the bits of each byte from the top one down,
# and ByteSwapped makes the last byte the first.
STATUS: Any = construct.ByteSwapped(
    construct.BitStruct(
        "vector_31" / construct.Flag,
        "reserved_30_28" / construct.BitsInteger(3),
        "ipi_requested" / construct.Flag,
        "reserved_26_15" / construct.BitsInteger(12),
        "multiple_vectors" / construct.Flag,
        "reserved_13_11" / construct.BitsInteger(3),
        "level_sensitive" / construct.Flag,
        "mc_pending" / construct.Flag,
        "nmi_pending" / construct.Flag,
        "pending_vector" / construct.Octet,
    )
)


def by_shifts(word: int) -> dict[str, Any]:
    return {
        "pending_vector": word & 0xFF,
        "nmi_pending": word >> 8 & 1,
        "mc_pending": word >> 9 & 1,
        "level_sensitive": word >> 10 & 1,
        "reserved_13_11": word >> 11 & 7,
        "multiple_vectors": word >> 14 & 1,
        "reserved_26_15": word >> 15 & 0xFFF,
        "ipi_requested": word >> 27 & 1,
        "reserved_30_28": word >> 28 & 7,
        "vector_31": word >> 31,
    }


def single_field_words() -> set[int]:
    places = (
        (0, 8),
        (8, 1),
        (9, 1),
        (10, 1),
        (11, 3),
        (14, 1),
        (15, 12),
        (27, 1),
        (28, 3),
        (31, 1),
    )
    return {value << low for low, width in places for value in range(1 << width)}


@pytest.mark.clause("DESC-1")
def test_status_word_equals_plain_construct_and_shifts() -> None:
    words = single_field_words()
    assert len(words) == 1 + 255 + 4095 + 2 * 7 + 6
    noise = random.Random(58019)
    words |= {noise.getrandbits(32) for _ in range(6_000)}
    words |= {~word & 0xFFFFFFFF for word in single_field_words()}
    for word in words:
        data = word.to_bytes(4, "little")
        status = ExtIntStatus.decode(data)
        fields = by_shifts(word)
        assert status.as_dict() == fields
        parsed = STATUS.parse(data)
        assert {name: parsed[name] for name in fields} == fields
        assert status.encode() == STATUS.build(fields) == data
        assert ExtIntStatus(**fields).encode() == data
