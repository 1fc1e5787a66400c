"""Structures of any length: how a list gets its length, and what is said where it cannot be right."""

import gc
import re
import tracemalloc
import uuid
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmgexit import (
    ApicIdList,
    CertificateEntry,
    CertificateTable,
    PscEntry,
    PscRequest,
    PvalidateList,
    ServiceEntry,
    ServicesManifest,
    ServicesManifestHeader,
    UefiMmManifest,
)
from vmgexit.errors import DecodeError, EncodeError, UsageError
from vmgexit.schema import Record, Whole, list_of, nested, rest, structure, u8
from vmgexit.schema.columns import columns
from vmgexit.schema.lists import MOST

CASES = Path(__file__).parents[2] / "corpus" / "cases"
MANIFEST = (CASES / "services-manifest.bin").read_bytes()
VTPM = uuid.UUID("c476f1eb-0123-45a5-9641-b4e7dde5bfe3").bytes_le
UEFI_MM = uuid.UUID("a4453a59-9e1b-4787-a033-1986d6adbe55").bytes_le
VCEK = uuid.UUID("63da758d-e664-4564-adc5-f4b93be8accd").bytes  # network byte order


def told(value: Whole) -> list[str]:
    return [f"{problem.path}: {problem.rule}" for problem in value.problems()]


def word(number: int) -> bytes:
    return number.to_bytes(4, "little")


# --- the manifest of the case files ---------------------------------------------------------------


def test_a_manifest_is_read_whole() -> None:
    manifest = ServicesManifest.decode(MANIFEST, strict=True)
    assert (manifest.header.total_length, manifest.header.entry_count) == (0x6C, 1)
    [service] = manifest.services
    assert (service.guid, service.offset, service.length) == (VTPM, 0x30, 60)
    [body] = manifest.bodies()
    assert (body.path, body.name, body.of) == ("services[0]", "vTPM", None)
    assert body.data == bytes(range(1, 61))
    assert manifest.encode() == MANIFEST


def test_a_body_is_decoded_by_the_structure_that_its_guid_names() -> None:
    entry = ServiceEntry(guid=UEFI_MM, offset=0x30, length=8)
    header = ServicesManifestHeader(total_length=0x38, entry_count=1)
    manifest = ServicesManifest(header=header, services=[entry], rest=bytes(4) + b"\1\0\0\0")
    [body] = manifest.bodies()
    assert isinstance(body.value, UefiMmManifest)
    assert body.value.flags.persistent
    assert manifest.problems() == []
    entry.length = 7
    assert told(manifest) == ["services[0].length: uefi-mm-manifest has 8 bytes"]
    assert manifest.bodies()[0].value is None


# --- what cannot be right -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "bytes_", "problem"),
    [
        (
            0x14,
            b"\xff" * 4,
            "header.entry_count: 4294967295 elements of 24 bytes would end at 0x1800000000; the bytes"
            " end at 0x6c",
        ),
        (0x10, word(0x6D), "header.total_length: the bytes end at 0x6c"),
        (0x10, word(0x2F), "header.total_length: the list ends at 0x30"),
        (0x10, word(0x6B), "services[0].length: ends at 0x6c, past the total of 0x6b"),
        (
            0x2C,
            word(0x3D),
            "services[0].length: from 0x30 on it would end at 0x6d; the bytes end at 0x6c",
        ),
        (
            0x28,
            b"\xff" * 4,
            "services[0].length: from 0xffffffff on it would end at 0x10000003b; the bytes end at 0x6c",
        ),
        (0x28, word(0x18), "services[0].offset: within the list, which ends at 0x30"),
    ],
)
def test_a_length_that_runs_past_the_bytes_is_told_with_its_place(
    at: int, bytes_: bytes, problem: str
) -> None:
    data = MANIFEST[:at] + bytes_ + MANIFEST[at + len(bytes_) :]
    manifest = ServicesManifest.decode(data)
    assert manifest.encode() == data
    assert problem in told(manifest)
    with pytest.raises(DecodeError, match=r"^services-manifest: \w+"):
        ServicesManifest.decode(data, strict=True)


def test_bodies_that_overlap_are_told() -> None:
    entries = [
        ServiceEntry(guid=VTPM, offset=0x48, length=9),
        ServiceEntry(guid=VTPM, offset=0x50, length=8),
    ]
    header = ServicesManifestHeader(total_length=0x58, entry_count=2)
    manifest = ServicesManifest(header=header, services=entries, rest=bytes(16))
    assert told(manifest) == ["services[1].offset: within services[0], which ends at 0x51"]
    entries[0].length = 8
    assert manifest.problems() == []


@pytest.mark.parametrize("length", range(len(MANIFEST)))
def test_a_manifest_that_is_cut_anywhere(length: int) -> None:
    data = MANIFEST[:length]
    if length < 24:
        with pytest.raises(DecodeError, match=f": {length} bytes found, 24 or more expected$"):
            ServicesManifest.decode(data)
        return
    manifest = ServicesManifest.decode(data)
    assert manifest.encode() == data
    assert next(problem.path for problem in manifest.overruns()) == (
        "header.entry_count" if length < 48 else "header.total_length"
    )
    for body in manifest.bodies():
        with pytest.raises(DecodeError, match=r"^services\[0\]: .* bytes at 0x30 are there$"):
            _ = body.data


@pytest.mark.parametrize(
    ("cls", "data"),
    [
        (ServicesManifest, MANIFEST[:20] + b"\xff" * 4),
        (PvalidateList, b"\xff" * 8),
        (PscRequest, b"\xff" * 8),
        (ApicIdList, b"\xff" * 4),
        (CertificateTable, b""),
    ],
)
def test_absurd_counts_cost_nothing(cls: type[Whole], data: bytes) -> None:
    """Of a megabyte no more elements are made than the list may have."""
    data += b"\1" * (1 << 20)
    cls.decode(data)
    tracemalloc.start()
    try:
        value = cls.decode(data)
        assert value.problems()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(value.elements) <= MOST
    assert value.encode() == data
    assert peak < 32 << 20


# --- a terminator ---------------------------------------------------------------------------------


def entry(offset: int, length: int) -> CertificateEntry:
    return CertificateEntry(guid=VCEK, offset=offset, length=length)


def test_a_certificate_table_is_read_to_its_terminator() -> None:
    data = VCEK + word(0x30) + word(5) + bytes(24) + b"certs" + b"\0\0"
    table = CertificateTable.decode(data, strict=True)
    assert table.entries == [entry(0x30, 5), CertificateEntry()]
    [body] = table.bodies()
    assert (body.name, body.offset, body.length, body.data) == ("VCEK", 0x30, 5, b"certs")
    assert table.rest == b"certs\0\0"
    assert table == CertificateTable(entries=table.entries, rest=table.rest)


def test_a_terminator_that_never_comes() -> None:
    table = CertificateTable.decode(entry(0x60, 0).encode() * 3)
    assert len(table.entries) == 3
    assert told(table) == ["entries: no element ends the list; the bytes end at 0x48"]
    # where the first certificate begins, no entry stands
    table = CertificateTable.decode(entry(0x30, 24).encode() * 2 + b"c" * 24)
    assert len(table.entries) == 2
    assert told(table)[0] == "entries: no element ends the list; the bytes end at 0x48"


def test_a_list_without_an_end_is_read_in_part() -> None:
    table = CertificateTable.decode(entry(0, 0).encode() * (MOST + 1))
    assert len(table.entries) == MOST
    assert told(table) == ["entries: no element ends the list; at most 4096 are read"]


def test_an_element_that_ends_the_list_too_early_is_told() -> None:
    table = CertificateTable(entries=[CertificateEntry(), CertificateEntry()])
    assert told(table) == ["entries[0]: ends the list before its last element"]


# --- made, changed, seen --------------------------------------------------------------------------


def test_the_constructor_counts() -> None:
    assert PscRequest(entries=[PscEntry()] * 3).header.end_entry == 2
    assert ServicesManifest(services=[ServiceEntry()] * 2).header.entry_count == 2
    assert PscRequest().encode() == bytes(16)  # the last entry is number 0: there is one
    assert CertificateTable().encode() == bytes(24)
    assert ServicesManifest().services == []
    header = ServicesManifestHeader(entry_count=7)
    assert ServicesManifest(header=header).header.entry_count == 7
    assert told(ServicesManifest(header=header))[0].startswith("header.entry_count: 7 elements")
    header.entry_count = 0
    fewer = ServicesManifest(header=header, services=[ServiceEntry()])
    assert "header.entry_count: the list has 1 element" in told(fewer)


def test_a_list_does_not_grow_in_place() -> None:
    request = PscRequest(entries=[PscEntry()])
    request.entries.append(PscEntry())
    with pytest.raises(EncodeError, match=r"^entries: 2 elements found, 1 expected$"):
        request.encode()
    assert PscRequest(entries=request.entries).encode() == b"\0\0\1" + bytes(21)


def test_a_header_may_be_its_integer() -> None:
    request = PscRequest(header=0x20000, entries=[0x10000000001000])  # type: ignore[arg-type,list-item]
    assert (
        "header.end_entry: 3 elements of 8 bytes would end at 0x20; the bytes end at 0x10"
        in told(request)
    )
    request.header = 0  # type: ignore[assignment]
    assert request.problems() == []


def test_a_view_has_the_length_that_the_list_has_now() -> None:
    buffer = bytearray(3 + 8 + 8 * 4)
    buffer[5] = 1
    request = PscRequest.view(buffer, 3)
    assert len(request.entries) == 2
    request.entries[1].frame = 0x61
    request.header.end_entry = 2
    assert buffer[3 + 8 + 8 : 3 + 8 + 16] == b"\0\x10\6\0\0\0\0\0"
    assert len(PscRequest.view(buffer, 3).entries) == 3


def test_columns_are_those_of_the_list() -> None:
    request = PscRequest(entries=[PscEntry(frame=number) for number in (5, 6, 7)], rest=b"..")
    found = columns(PscRequest, request.encode(), ["entries.frame"])
    assert list(found) == ["entries.frame"]
    assert np.array_equal(found["entries.frame"], [5, 6, 7])
    assert "entries.operation" in columns(PscRequest, request.encode())
    with pytest.raises(UsageError, match=r"^header: columns of psc-request are of its entries$"):
        columns(PscRequest, request.encode(), ["header"])


def test_shapes_go_when_nobody_has_them() -> None:
    def made() -> int:
        gc.collect()
        return sum(cls.declaration.name == "psc-request" for cls in PscRequest.__subclasses__())

    first, before = PscRequest.shape(2, 5), made()
    assert PscRequest.shape(2, 5) is first
    for number in range(300):
        PscRequest.shape(1, number).decode(bytes(16 + number)).encode()
    assert PscRequest.shape(2, 5) is first
    assert made() - before < 100  # other tests may hold some


@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_a_decode_error(data: bytes) -> None:
    for cls in (ServicesManifest, CertificateTable, PscRequest, PvalidateList, ApicIdList):
        if len(data) < cls.size:
            with pytest.raises(DecodeError) as caught:
                cls.decode(data)
            assert caught.value.offset == len(data)
            continue
        value = cls.decode(data)
        assert value.encode() == data
        for body in value.bodies():
            if body.stop <= len(data):
                assert len(body.data) == body.length
                continue
            with pytest.raises(DecodeError) as caught:
                _ = body.data
            assert caught.value.path == body.path


# --- declarations that are wrong ------------------------------------------------------------------


def refused(cls: type[Whole]) -> str:
    with pytest.raises(TypeError) as caught:
        structure("test-whole")(cls)
    return str(caught.value)


def test_a_wrong_declaration_cannot_be_imported() -> None:
    class NoRest(Whole):
        count: int = u8("How many")
        entries: list[PscEntry] = list_of(PscEntry, "Entries", count="count")

    class TwoLists(Whole):
        count: int = u8("How many")
        entries: list[PscEntry] = list_of(PscEntry, "Entries", count="count")
        others: list[PscEntry] = list_of(PscEntry, "Entries", count="count")
        rest: bytes = rest("What follows")

    assert refused(NoRest) == "NoRest: a Whole ends in one list and the rest"
    assert refused(TwoLists) == "TwoLists: a Whole ends in one list and the rest"
    with pytest.raises(TypeError, match=r"^a list has one of count, last and until$"):
        list_of(PscEntry, "Entries")
    with pytest.raises(TypeError, match=r"^a list has one of count, last and until$"):
        list_of(PscEntry, "Entries", count="count", last="count")


def test_a_structure_of_a_fixed_size_holds_none_of_any_length() -> None:
    class Fixed(Record):
        request: PscRequest = nested(PscRequest, "Of any length")

    class Listed(Record):
        count: int = u8("How many")
        entries: list[PscEntry] = list_of(PscEntry, "Entries", count="count")

    for cls, message in (
        (Fixed, "Fixed.request: PscRequest has any length"),
        (Listed, "Listed.entries: lists and rests stand in a Whole"),
    ):
        with pytest.raises(TypeError, match=re.escape(message)):
            structure("test-fixed", size=9)(cls)
    with pytest.raises(TypeError, match=r"^Fixed: a size is missing$"):
        structure("test-fixed")(Fixed)
