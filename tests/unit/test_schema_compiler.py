"""The compiled codec: what its source looks like, and what long arrays hold."""

import pytest

from tests.structures import check_structure
from vmgexit import ApicIcr, EncodeError, ExtIntDescriptor, ExtIntStatus
from vmgexit.schema import Bits, Record, Structure, array, bits, structure, u8
from vmgexit.schema.compiler import compiled_decode, compiled_encode, source_of


def test_source_is_one_unpack_and_one_pack() -> None:
    source = source_of(ExtIntDescriptor)
    assert source.count(" = unpack(data)") == 1
    assert source.count("pack(") == 2
    assert "# <BBBB28s32s\n" in source
    assert "# <B3s28s32s\n" in source
    assert "construct" not in source
    assert source == source_of(ExtIntDescriptor)


def test_a_codec_made_again_is_the_same() -> None:
    decode, encode = compiled_decode(ExtIntStatus), compiled_encode(ExtIntStatus)
    word = 0x8800_4561.to_bytes(4, "little")
    assert decode(word) == ExtIntStatus.decode(word)
    assert encode(decode(word)) == word


def holder_of_five() -> type[Structure]:
    @structure("test-five", size=1 + 5 * 8)
    class Five(Record):
        """An array between other fields."""

        head: int = u8("Head")
        icrs: list[ApicIcr] = array(ApicIcr, 5, "Five of them")

    return Five


def test_arrays_are_read_and_written_whole() -> None:
    cls = holder_of_five()
    check_structure(cls)
    value = cls.decode(bytes(range(41)))
    assert [icr["vector"] for icr in value.as_dict()["icrs"]] == [1, 9, 17, 25, 33]


@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        ("12345678", "icrs"),  # has an encode of its own, to as many bytes
        (ExtIntStatus(), "icrs"),
        (ApicIcr(vector=256), "icrs[4].vector"),
        (b"\0" * 8, "icrs"),
    ],
)
def test_a_wrong_element_of_an_array_is_refused(wrong: object, path: str) -> None:
    cls = holder_of_five()
    with pytest.raises(EncodeError) as caught:
        cls.encode(cls(icrs=[ApicIcr(), ApicIcr(), ApicIcr(), ApicIcr(), wrong]))
    assert caught.value.path == path


@pytest.mark.parametrize("width", range(1, 65))
def test_words_split_at_any_bit(width: int) -> None:
    # fields of every width, alone in a word or with what is left of it
    size = next(size for size in (1, 2, 4, 8) if width <= 8 * size)

    if width == 8 * size:

        @structure("test-word", size=size)
        class Word(Bits):
            """One field."""

            low: int = bits(width, "All bits")

        cls: type[Structure] = Word
    else:

        @structure("test-split", size=size)
        class Split(Bits):
            """Two fields."""

            low: int = bits(width, "Low bits")
            high: int = bits(8 * size - width, "The bits above")

        cls = Split
    decode, encode = compiled_decode(cls), compiled_encode(cls)
    for word in (0, 1, (1 << width) - 1, 1 << (width - 1), (1 << 8 * size) - 1):
        data = word.to_bytes(size, "little")
        value = decode(data)
        assert value.low == word & (1 << width) - 1
        assert getattr(value, "high", 0) == word >> width
        assert encode(value) == data
        assert cls.construct.parse(data) == value
