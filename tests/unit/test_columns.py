"""Columns: the same values as decode gives, record by record, and back to the same bytes."""

import builtins
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.structures import declared, name_of, reach
from vmgexit import (
    DecodeError,
    DoorbellPage,
    EncodeError,
    ExtIntDescriptor,
    ExtIntStatus,
    PscEntry,
    UsageError,
    VmgexitError,
)
from vmgexit.schema import Kind, Place, Structure
from vmgexit.schema.columns import columns, pack, write
from vmgexit_fuzz.strategies.structures import sampled

np = pytest.importorskip("numpy", reason="needs numpy")

EVERY = pytest.mark.parametrize("cls", declared(), ids=name_of)


def plain(place: Place, cell: Any) -> Any:
    """One cell of a column, as the structure has it."""
    if place.field.kind is Kind.BYTES:
        return cell.tobytes()
    if place.field.kind is Kind.BITMAP:
        return int.from_bytes(cell.tobytes(), "little")
    return cell.item()


@EVERY
@settings(max_examples=4, deadline=None, database=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(0, 3))
def test_columns_are_what_decode_gives(cls: type[Structure], seed: int, count: int) -> None:
    data = random.Random(seed).randbytes(count * cls.size)
    places = {place.path: place for place in sampled(cls)}
    found = columns(cls, data, places)
    assert list(found) == list(places)
    values = [cls.decode(data[at : at + cls.size]) for at in range(0, len(data), cls.size)]
    for path, column in found.items():
        assert len(column) == count
        for value, cell in zip(values, column, strict=True):
            expected = reach(value, path)
            assert plain(places[path], cell) == expected, path
            assert isinstance(plain(places[path], cell), bool) is isinstance(expected, bool)


@EVERY
def test_columns_go_back_to_the_same_bytes(cls: type[Structure]) -> None:
    data = random.Random(cls.declaration.name).randbytes(2 * cls.size)
    places = [place.path for place in sampled(cls)]
    found = columns(cls, data, places)
    packed = pack(cls, found, 2)
    again = columns(cls, packed, places)
    for path in places:
        assert np.array_equal(found[path], again[path]), path
    # over other bytes only the fields given are written
    noise = bytearray(b"\xff" * len(data))
    write(cls, noise, found)
    whole = int.from_bytes(data, "little")
    for record in (0, 1):
        for place in sampled(cls):
            mask = (1 << place.field.width) - 1 << place.bit_offset + 8 * cls.size * record
            whole_there = int.from_bytes(noise, "little") & mask
            assert whole_there == whole & mask, place.path


def test_every_leaf_is_there_when_nothing_is_named() -> None:
    data = random.Random(5).randbytes(3 * 64)
    found = columns(ExtIntDescriptor, data)
    assert bytes(pack(ExtIntDescriptor, found, 3)) == data
    assert len(found) == 12


def test_a_structures_path_stands_for_what_it_holds() -> None:
    found = columns(DoorbellPage, bytes(8192), ["vmpl2.status", "vector", "vector"])
    assert len(found) == 11
    assert next(iter(found)) == "vmpl2.status.pending_vector"
    assert list(found)[-1] == "vector"
    assert len(columns(DoorbellPage, bytes(4096), ["vmpl1", "vmpl2"])) == 24


def test_whole_fields_are_views_and_bit_fields_are_not() -> None:
    buffer = bytearray(2 * 64)
    found = columns(
        ExtIntDescriptor, buffer, ["status.pending_vector", "status.nmi_pending", "irr"]
    )
    buffer[64:69] = b"\x61\x01\0\0\x02"
    assert found["status.pending_vector"].tolist() == [0, 0x61]
    assert found["status.nmi_pending"].tolist() == [False, False]
    assert found["irr"][1, 0] == 2
    assert found["irr"].shape == (2, 28)
    assert columns(ExtIntDescriptor, bytes(64))["irr"].flags.writeable is False


def test_the_fewest_bytes_that_hold_a_field() -> None:
    found = columns(PscEntry, bytes(16))
    kinds = {path: column.dtype.str.lstrip("<|") for path, column in found.items()}
    assert set(kinds.values()) <= {"b1", "u1", "u2", "u4", "u8"}
    assert columns(ExtIntStatus, bytes(4))["reserved_26_15"].dtype == np.uint16


def test_more_records_than_are_taken_at_once() -> None:
    data = np.random.default_rng(7).integers(0, 2**32, 100_003, dtype="<u4")
    found = columns(ExtIntStatus, data)
    assert np.array_equal(found["reserved_26_15"], data >> 15 & 0xFFF)
    assert np.array_equal(found["vector_31"], data >> 31 == 1)
    assert np.array_equal(np.frombuffer(pack(ExtIntStatus, found, len(data)), "<u4"), data)


def test_one_value_for_all_records() -> None:
    packed = pack(ExtIntStatus, {"pending_vector": 0x61, "nmi_pending": [True, False]}, 2)
    assert packed == b"\x61\x01\0\0\x61\0\0\0"


@pytest.mark.parametrize("length", [1, 63, 65, 4095])
def test_part_of_a_record_is_a_decode_error(length: int) -> None:
    with pytest.raises(DecodeError, match=f"{length} bytes are not whole records of 64") as caught:
        columns(ExtIntDescriptor, bytes(length))
    assert caught.value.offset == length // 64 * 64


@pytest.mark.parametrize(
    ("path", "column", "message"),
    [
        ("status.pending_vector", [0, 300], "record 1: 300 does not fit 8 bits"),
        ("status.pending_vector", [-1, 0], "record 0: -1 does not fit 8 bits"),
        ("status.nmi_pending", [0, 2], "record 1: 2 does not fit 1 bit"),
        ("status.reserved_26_15", np.array([4096, 0], "u2"), "record 0: 4096 does not fit 12 bits"),
        ("irr", np.full((2, 28), 256), "record 0: 256 does not fit 8 bits"),
        ("status.pending_vector", [0.5, 1], "float64 values are not integers"),
        ("status.pending_vector", ["a", "b"], "<U1 values are not integers"),
        ("status.pending_vector", [1, 2, 3], "an array of (3,) found, (2,) expected"),
        ("irr", np.zeros((2, 29), "u1"), "an array of (2, 29) found, (2, 28) expected"),
        ("status", [1, 2], "holds fields; give their columns"),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_is_written(
    path: str, column: Any, message: str
) -> None:
    buffer = bytearray(128)
    with pytest.raises(EncodeError) as caught:
        write(ExtIntDescriptor, buffer, {"isr": 255, path: column})
    assert str(caught.value) == f"{path}: {message}"
    assert caught.value.path == path
    assert buffer == bytes(128)


def test_an_unknown_path_names_what_is_near() -> None:
    for use in (columns, lambda cls, _, paths: pack(cls, dict.fromkeys(paths, 0), 1)):
        with pytest.raises(UsageError, match=r"no field statusx.*nearest: status"):
            use(ExtIntDescriptor, bytes(64), ["statusx"])


def test_without_numpy_it_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def absent(name: str, *rest: Any) -> Any:
        if name == "numpy":
            raise ModuleNotFoundError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(VmgexitError, match=r"need numpy, which is not installed.*vmgexit\[batch\]"):
        columns(ExtIntDescriptor, bytes(64))
