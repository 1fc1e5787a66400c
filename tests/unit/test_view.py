"""Views: they read what decode reads, and write the bits of one field and no others."""

import copy
import mmap
import pickle
import random
from pathlib import Path
from typing import Any, assert_type

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.structures import declared, name_of, only, reach, store
from vmgexit import (
    DecodeError,
    DoorbellPage,
    EncodeError,
    ExtIntDescriptor,
    ExtIntStatus,
    GhcbPage,
    HypervisorFeatures,
    PscEntry,
    PscRequest,
    Vmsa,
)
from vmgexit.schema import Kind, Structure
from vmgexit.wire.doorbell import DoorbellFlags
from vmgexit_fuzz.strategies.structures import sampled

EVERY = pytest.mark.parametrize("cls", declared(), ids=name_of)
NOISE = bytes(random.Random(3909).randbytes(3 * 4096))


@EVERY
@settings(max_examples=5, deadline=None, database=None)
@given(seed=st.integers(0, 2**32 - 1), offset=st.integers(0, 70))
def test_a_view_is_what_decode_gives(cls: type[Structure], seed: int, offset: int) -> None:
    buffer = bytearray(random.Random(seed).randbytes(offset + cls.size + 3))
    data = bytes(buffer[offset : offset + cls.size])
    value, view = cls.decode(data), cls.view(buffer, offset)
    assert isinstance(view, cls)
    for place in sampled(cls):
        found, expected = reach(view, place.path), reach(value, place.path)
        assert type(found) is type(expected), place.path
        assert found == expected, place.path
    assert view == value
    assert value == view
    assert view.encode() == data
    assert view.problems() == value.problems()
    assert list(view.notes()) == list(value.notes())
    assert view.as_dict() == value.as_dict()
    assert repr(view) == f"<view of {value!r}>"


@EVERY
def test_assigning_changes_the_bits_of_the_field_only(cls: type[Structure]) -> None:
    noise = random.Random(cls.declaration.name).randbytes(cls.size)
    background = int.from_bytes(noise, "little")
    buffer = bytearray(b"\x55" + noise + b"\xaa")
    view = cls.view(buffer, 1)
    for place in sampled(cls):
        ones = (1 << place.field.width) - 1
        for bits in (ones, 0, ones // 3, 1):
            written = reach(cls.decode(only(place, bits, cls)), place.path)
            store(view, place.path, written)
            expected = background & ~(ones << place.bit_offset) | bits << place.bit_offset
            assert buffer[1:-1] == expected.to_bytes(cls.size, "little"), place.path
            assert (buffer[0], buffer[-1]) == (0x55, 0xAA), place.path
            assert reach(view, place.path) == written
        buffer[1:-1] = noise


@EVERY
def test_what_does_not_fit_is_refused_with_its_path_and_not_written(cls: type[Structure]) -> None:
    buffer = bytearray(NOISE[: cls.size])
    view = cls.view(buffer)
    for place in sampled(cls):
        wrong: Any = b"" if place.field.kind is Kind.BYTES else 1 << place.field.width
        for value in (wrong, None, "x"):
            with pytest.raises(EncodeError) as caught:
                store(view, place.path, value)
            assert caught.value.path == place.path
            assert str(caught.value).startswith(f"{place.path}: ")
    assert buffer == NOISE[: cls.size]


def test_a_structure_is_assigned_as_its_bytes() -> None:
    buffer = bytearray(4096)
    page = DoorbellPage.view(buffer)
    page.flags = DoorbellFlags(no_further_signal=True)
    page.vmpl3 = ExtIntDescriptor(irr=1, status=ExtIntStatus(pending_vector=0x61))
    page.vmpl1 = page.vmpl3
    assert buffer[1] == 0x80
    assert buffer[0x40:0x45] == buffer[0xC0:0xC5] == b"\x61\0\0\0\1"
    assert page.descriptors == DoorbellPage.decode(buffer).descriptors


def test_the_elements_of_an_array_are_views() -> None:
    buffer = bytearray(8 + 8 * 253)
    buffer[2] = 252
    request = PscRequest.view(buffer)
    request.entries[-1] = PscEntry(frame=0x61)
    request.entries[0] = request.entries[252]
    assert buffer[8:16] == buffer[-8:] == b"\0\x10\6\0\0\0\0\0"
    request.entries = [PscEntry(frame=number) for number in range(253)]
    assert [entry.frame for entry in request.entries] == list(range(253))
    assert [entry.frame for entry in request.entries[250:]] == [250, 251, 252]
    assert request.entries == PscRequest.decode(buffer).entries
    assert request.entries != request.entries[1:]
    assert len(request.entries) == 253
    with pytest.raises(IndexError):
        request.entries[253]


@pytest.mark.parametrize(
    ("index", "wrong", "path"),
    [
        (1, None, "entries[1]"),
        (-1, ExtIntStatus(), "entries[252]"),
        (0, PscEntry(current_page=4096), "entries[0].current_page"),
    ],
)
def test_an_element_that_does_not_fit_is_named(index: int, wrong: Any, path: str) -> None:
    request = PscRequest.shape(253).view(bytearray(8 + 8 * 253))
    with pytest.raises(EncodeError) as caught:
        request.entries[index] = wrong
    assert caught.value.path == path
    assert request.encode() == bytes(8 + 8 * 253)


@pytest.mark.parametrize(
    ("length", "offset", "at"),
    [(4095, 0, 0), (0, 0, 0), (4096, 1, 1), (8192, 4097, 4097), (4096, -1, 0), (64, 9999, 64)],
)
def test_too_few_bytes_are_a_decode_error(length: int, offset: int, at: int) -> None:
    for buffer in (bytes(length), bytearray(length), memoryview(bytes(length))):
        with pytest.raises(DecodeError) as caught:
            DoorbellPage.view(buffer, offset)
        assert str(caught.value) == (
            f"doorbell-page: {length} bytes found, 4096 expected at offset {offset}"
        )
        assert caught.value.offset == at


@pytest.mark.parametrize("wrong", ["x" * 4096, None, 4096, [0] * 4096])
def test_what_is_no_buffer_is_a_type_error(wrong: Any) -> None:
    with pytest.raises(TypeError):
        DoorbellPage.view(wrong)
    with pytest.raises(TypeError):
        DoorbellPage.view(memoryview(bytes(8192))[::2])


def test_a_view_of_integers_counts_bytes() -> None:
    words = memoryview(bytearray(NOISE[:4096])).cast("I")
    assert DoorbellPage.view(words) == DoorbellPage.decode(NOISE[:4096])
    with pytest.raises(DecodeError, match="4092 bytes found"):
        DoorbellPage.view(words[1:])


def test_a_mapped_dump_is_read_and_written_in_place(tmp_path: Path) -> None:
    dump = tmp_path / "dump"
    dump.write_bytes(NOISE)
    with dump.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        page = GhcbPage.view(mapped, 4096)
        assert page.rax == int.from_bytes(NOISE[4096 + 0x1F8 : 4096 + 0x200], "little")
        page.rax = 0x1234
        mapped.flush()
        assert dump.read_bytes()[4096 + 0x1F8 : 4096 + 0x200] == b"\x34\x12" + bytes(6)

    with (
        dump.open("rb") as readable,
        mmap.mmap(readable.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
    ):
        page = GhcbPage.view(mapped, 4096)
        assert page.rax == 0x1234
        with pytest.raises(TypeError):
            page.rax = 1


def test_a_buffer_that_cannot_be_written_is_a_type_error() -> None:
    status = ExtIntStatus.view(bytes(4))
    with pytest.raises(TypeError):
        status.pending_vector = 1
    with pytest.raises(AttributeError):
        status.vector32 = True  # type: ignore[attr-defined]


def test_methods_of_the_structure_work_in_place() -> None:
    buffer = bytearray(4096)
    page = GhcbPage.view(buffer)
    page.set("rax", 0x99)
    assert page.valid_fields() == ["rax"]
    assert GhcbPage.decode(buffer).is_valid("rax")
    assert Vmsa.view(buffer).tweaked(0) == Vmsa.decode(buffer)


def test_copies_are_detached() -> None:
    buffer = bytearray(NOISE[:4096])
    page = DoorbellPage.view(buffer)
    for other in (copy.copy(page), copy.deepcopy(page), pickle.loads(pickle.dumps(page))):  # noqa: S301
        assert type(other) is DoorbellPage
        assert other == page
    kept = copy.copy(page)
    buffer[0] ^= 1
    assert kept != page
    with pytest.raises(TypeError, match="unhashable"):
        hash(page)


def test_what_others_write_is_seen() -> None:
    buffer = bytearray(8)
    view = HypervisorFeatures.view
    features = view(buffer)
    before = features.encode()
    buffer[0] = 1
    assert features.encode() != before
    assert features == HypervisorFeatures.decode(buffer) == view(buffer)


def test_views_have_the_types_of_the_structure() -> None:
    page = DoorbellPage.view(bytearray(4096))
    assert_type(page, DoorbellPage)
    assert_type(page.vmpl2.status.pending_vector, int)
