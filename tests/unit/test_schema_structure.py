"""Declaring structures: what the decorator refuses, and what a declared structure can do."""

import functools
from collections.abc import Callable
from typing import Any

import pytest

from vmgexit import DoorbellHead, ExtIntDescriptor, ExtIntStatus, PscEntry, PscRequest
from vmgexit.schema import (
    Bits,
    Record,
    Structure,
    array,
    bit,
    bitmap,
    bits,
    nested,
    raw,
    reserved,
    reserved_bytes,
    set_numbers,
    structure,
    u8,
    u16,
)
from vmgexit.schema.compiler import compiled_decode
from vmgexit.wire.doorbell import VmplEvents
from vmgexit.wire.registry import structures


def declare(base: type[Structure], size: int, fields: dict[str, Any]) -> None:
    """A class Wrong of `fields`, whose values are what a helper made."""
    annotations = dict.fromkeys(fields, int)
    cls: Any = type("Wrong", (base,), {**fields, "__annotations__": annotations})
    structure("wrong", size=size)(cls)


REFUSED: dict[str, tuple[Callable[[], None], str]] = {
    "record too small": (
        lambda: declare(Record, 4, {"first": u8("One byte"), "second": u16("Two bytes")}),
        "Wrong: fields fill 24 bits, 32 declared",
    ),
    "record too large": (
        lambda: declare(Record, 2, {"first": u8("One byte"), "second": u16("Two bytes")}),
        "Wrong: fields fill 24 bits, 16 declared",
    ),
    "word too small": (
        lambda: declare(Bits, 2, {"low": bits(15, "All but one bit")}),
        "Wrong: fields fill 15 bits, 16 declared",
    ),
    "empty": (lambda: declare(Record, 1, {}), "Wrong: fields fill 0 bits, 8 declared"),
    "reserved bits named for another place": (
        lambda: declare(Bits, 1, {"low": bits(3, "Low"), "reserved_7_4": reserved(5)}),
        "Wrong.reserved_7_4: reserved fields are named reserved_7_3",
    ),
    "one reserved bit named as a range": (
        lambda: declare(Bits, 1, {"low": bits(7, "Low"), "reserved_7_7": reserved(1)}),
        "Wrong.reserved_7_7: reserved fields are named reserved_7",
    ),
    "reserved bytes named for another place": (
        lambda: declare(Record, 4, {"low": u8("Low"), "reserved_0x000": reserved_bytes(3)}),
        "Wrong.reserved_0x000: reserved fields are named reserved_0x001",
    ),
    "reserved bytes named like a field": (
        lambda: declare(Record, 4, {"low": u8("Low"), "padding": reserved_bytes(3)}),
        "Wrong.padding: reserved fields are named reserved_0x001",
    ),
    "field named as if it were reserved": (
        lambda: declare(Bits, 1, {"low": bits(3, "Low"), "reserved_7_3": bits(5, "High")}),
        "Wrong.reserved_7_3: reserved fields are named reserved_7_3",
    ),
    "bits in a record": (
        lambda: declare(Record, 1, {"low": bits(4, "Low"), "high": bits(4, "High")}),
        "Wrong.low: a record's fields are whole bytes",
    ),
    "a bit in a record": (
        lambda: declare(Record, 1, {"low": bit("Low"), "high": bits(7, "High")}),
        "Wrong.low: a record's fields are whole bytes",
    ),
    "three-byte integer in a record": (
        lambda: declare(Record, 4, {"low": bits(24, "Low"), "high": u8("High")}),
        "Wrong.low: a record's integers have 8, 16, 32 or 64 bits, not 24",
    ),
    "bytes in a word": (
        lambda: declare(Bits, 1, {"all": raw(1, "All of it")}),
        "Wrong.all: a word's fields are integers and flags",
    ),
    "bitmap in a word": (
        lambda: declare(Bits, 1, {"all": bitmap(1, "All of it")}),
        "Wrong.all: a word's fields are integers and flags",
    ),
    "structure in a word": (
        lambda: declare(Bits, 1, {"all": nested(VmplEvents, "All of it")}),
        "Wrong.all: a word's fields are integers and flags",
    ),
    "word of three bytes": (
        lambda: declare(Bits, 3, {"all": bits(24, "All of it")}),
        "Wrong: a word has 1, 2, 4 or 8 bytes, not 3",
    ),
    "field without bits": (
        lambda: declare(Bits, 1, {"none": bits(0, "Nothing"), "all": bits(8, "All of it")}),
        "Wrong.none: a field has at least one bit",
    ),
    "array without elements": (
        lambda: declare(Record, 1, {"none": array(VmplEvents, 0, "None"), "all": u8("All of it")}),
        "Wrong.none: a field has at least one bit",
    ),
    "field by no helper": (
        lambda: declare(Record, 1, {"all": 0}),
        "Wrong.all: not declared by one of the field helpers",
    ),
    **{
        f"field named {name}": (
            functools.partial(declare, Record, 1, {name: u8("All of it")}),
            f"Wrong.{name}: this name has a meaning for every structure",
        )
        for name in (
            "size",
            "declaration",
            "decode",
            "encode",
            "problems",
            "broken",
            "notes",
            "numbers",
            "as_dict",
        )
    },
}


@pytest.mark.clause("DESC-1")
@pytest.mark.parametrize(("wrong", "message"), REFUSED.values(), ids=REFUSED)
def test_wrong_declarations_are_refused(wrong: Callable[[], None], message: str) -> None:
    with pytest.raises(TypeError) as caught:
        wrong()
    assert str(caught.value) == message


def test_a_right_declaration_says_what_was_declared() -> None:
    @structure("test-schema-pair", size=2, clause="DESC-1", source="here", revision="old")
    class Pair(Record):
        """A pair of bytes.

        Nothing else.
        """

        first: int = u8("The first")
        second_byte: int = u8("The second", spec="SECOND")

    declaration = Pair.declaration
    assert (declaration.name, declaration.revision) == ("test-schema-pair", "old")
    assert (declaration.clause, declaration.source) == ("DESC-1", "here")
    assert (declaration.title, declaration.is_bits) == ("A pair of bytes.", False)
    assert [field.spec for field in declaration.fields] == ["First", "SECOND"]
    assert [field.byte_offset for field in declaration.fields] == [0, 1]
    assert declaration["second_byte"].bit_offset == 8
    with pytest.raises(KeyError, match="third"):
        declaration["third"]


def test_a_declaration_goes_on_where_the_one_it_derives_from_ends() -> None:
    @structure("test-tail", size=257)
    class Tail(DoorbellHead):
        """A doorbell with one more byte."""

        tail: int = u8("One more")

    assert Tail.decode(bytes(256) + b"\7").tail == 7
    assert Tail().encode() == bytes(257)
    assert DoorbellHead().encode() == bytes(256)
    assert [field.name for field in Tail.declaration.fields[:-1]] == [
        field.name for field in DoorbellHead.declaration.fields
    ]


def test_codec_is_made_once_for_who_holds_on_to_the_first_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = []

    def counted(cls: type[Structure]) -> Any:
        made.append(cls)
        return compiled_decode(cls)

    monkeypatch.setattr("vmgexit.schema.declare.compiled_decode", counted)

    @structure("test-byte", size=1)
    class Byte(Record):
        """A byte."""

        all: int = u8("All of it")

    decode, encode = Byte.decode, Byte.encode
    for value in range(3):
        assert decode(bytes([value])).all == value
        assert encode(Byte(all=value)) == bytes([value])
    assert made == [Byte]


def test_fields_are_given_by_name() -> None:
    status = ExtIntStatus(pending_vector=0x61, vector_31=True)
    assert (status.pending_vector, status.vector_31, status.nmi_pending) == (0x61, True, False)
    unknown: dict[str, Any] = {"no_such": 1, "nor_this": 2}
    with pytest.raises(TypeError, match=r"^ExtIntStatus has no field no_such, nor_this$"):
        ExtIntStatus(**unknown)


def test_two_structures_share_no_default() -> None:
    one, other = DoorbellHead(), DoorbellHead()
    one.vmpl1.status.nmi_pending = True
    one.flags.no_further_signal = True
    assert other == DoorbellHead()
    assert one.vmpl2 == ExtIntDescriptor()


def test_a_misspelt_attribute_is_an_error() -> None:
    status: Any = ExtIntStatus()
    with pytest.raises(AttributeError):
        status.pendingvector = 1


def test_structures_of_different_classes_are_never_equal() -> None:
    old = structures()["ext-int-descriptor"]["2024-04-30"]
    assert ExtIntDescriptor() != old()
    assert ExtIntDescriptor() != bytes(64)


def test_repr_shows_what_is_not_zero_as_a_call() -> None:
    assert repr(ExtIntStatus(pending_vector=0x61, nmi_pending=True)) == (
        "ExtIntStatus(pending_vector=0x61, nmi_pending=True)"
    )
    descriptor = ExtIntDescriptor(status=ExtIntStatus(vector_31=True), irr=1 << 65)
    assert repr(descriptor) == (
        "ExtIntDescriptor(status=ExtIntStatus(vector_31=True), irr=0x20000000000000000)"
    )


def test_as_dict_is_plain_values() -> None:
    head = DoorbellHead(vector=0x61, reserved_0x004=b"\1" * 60)
    plain = head.as_dict()
    assert plain["vector"] == 0x61
    assert plain["reserved_0x004"] == "01" * 60
    assert plain["flags"] == {
        "nmi_pending": False,
        "mc_pending": False,
        "reserved_6_2": 0,
        "no_further_signal": False,
    }
    assert [len(plain[f"vmpl{vmpl}"]) for vmpl in (1, 2, 3)] == [3, 3, 3]
    assert len(PscRequest(entries=[PscEntry()] * 253).as_dict()["entries"]) == 253


@pytest.mark.parametrize(
    ("held", "first", "numbers"),
    [
        (0, 0, []),
        (0b1, 0, [0]),
        (0b1001, 32, [32, 35]),
        (1 << 223, 32, [255]),
        ((1 << 256) - 1, 0, list(range(256))),
    ],
)
def test_set_numbers_lists_the_set_bits(held: int, first: int, numbers: list[int]) -> None:
    assert set_numbers(held, first) == numbers


def test_numbers_of_a_bitmap_count_from_its_first_number() -> None:
    descriptor = ExtIntDescriptor(irr=0b11, isr=0b11)
    assert descriptor.numbers("irr") == [32, 33]
    assert descriptor.numbers("isr") == [0, 1]
    with pytest.raises(TypeError, match=r"^status is not a bitmap$"):
        descriptor.numbers("status")
    with pytest.raises(KeyError, match="no_such"):
        descriptor.numbers("no_such")
