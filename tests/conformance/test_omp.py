"""Worked values of SVSM protocol 5 in its three shapes, of reboot and of the memory map."""

from __future__ import annotations

import struct

import pytest

from vmgexit import (
    MemoryMapType,
    OcpCategory,
    OcpKind,
    OmpEntry,
    OmpEntry20260414,
    OmpEntry20260818,
    OmpIdentifier,
    OmpIndexes20260818,
    OmpKind,
    OmpName,
    OmpObject20260818,
    RebootManifest,
    ServiceEntry,
)
from vmgexit.schema import Record
from vmgexit.wire.attestation import guid_bytes
from vmgexit.wire.omp import UNITS
from vmgexit.wire.svsm_drafts import MemoryMapTypeWord


def test_an_entry_in_each_shape() -> None:
    """A source that may be written, as each source lays it out."""
    data = struct.pack("<IHH120s", 1, 4, 0, b"level")
    entry = OmpEntry.decode(data, strict=True)
    assert (entry.flags.writable, entry.kind) == (True, OmpKind.SIGNED_32)
    assert [note.text for note in entry.notes()] == ["'level'"]
    assert entry.encode() == data

    draft = OmpEntry20260414.decode(struct.pack("<I124s", 1, b"level"), strict=True)
    assert (draft.flags.writable, draft.name[:6]) == (True, b"level\0")

    indexed = OmpEntry20260818.decode(struct.pack("<IIII112s", 0, 3, 1, 1, b"level"), strict=True)
    assert (indexed.sup_index, indexed.sub_index, indexed.kind) == (0, 3, OcpKind.INTEGER)
    assert indexed.flags.writable

    listed = OmpObject20260818.decode(struct.pack("<III", 0, 0, 4), strict=True)
    assert (listed.category, listed.count) == (OcpCategory.SVSM, 4)


def test_indexes_of_a_source() -> None:
    """COCONUT-SVSM refs/pull/1138 requests.rs: primary index in bits 63:32."""
    assert OmpIndexes20260818.of(0x0000000200000005) == OmpIndexes20260818(primary=2, secondary=5)


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (OmpEntry(name=b"svsm".ljust(120, b"\0")), ""),
        (OmpEntry(name=b"n" * 119 + b"\0"), ""),
        (OmpEntry(name=b"n" * 120), "name"),
        (OmpEntry(name=bytes(120)), "name"),
        (OmpEntry(name=b"svsm/log".ljust(120, b"\0")), "name"),
        (OmpEntry(kind=6, name=b"svsm".ljust(120, b"\0")), "kind"),
        (OmpName(name=b"svsm".ljust(120, b"\0")), ""),
        (OmpName(name=b"a/b".ljust(120, b"\0")), "name"),
        (OmpIdentifier(name=b"svsm/log".ljust(240, b"\0")), ""),
        (OmpIdentifier(name=b"svsm".ljust(240, b"\0")), "name"),
        (OmpIdentifier(name=b"/" * 240), "name"),
    ],
    ids=repr,
)
def test_names(value: Record, path: str) -> None:
    assert next((problem.path for problem in value.problems()), "") == path


def test_a_name_that_is_no_utf_8_is_shown() -> None:
    assert [note.text for note in OmpName(name=b"\xff".ljust(120, b"\0")).notes()] == ["'\\\\xff'"]


def test_units_of_sources() -> None:
    """source.rs, is_valid_access: an object cannot be read."""
    assert {int(kind): size for kind, size in UNITS.items()} == {1: 1, 2: 1, 3: 2, 4: 4, 5: 8}


def test_reboot() -> None:
    assert RebootManifest.decode(bytes(8), strict=True).encode() == bytes(8)
    found = [problem.path for problem in RebootManifest.decode(b"\1" * 8).problems()]
    assert found == ["version", "flags"]
    entry = ServiceEntry(guid=guid_bytes("0cc20f93-afaa-4013-9fb6-9d16fc42ceae"))
    assert "reboot" in next(entry.notes()).text


def test_type_of_a_range() -> None:
    assert MemoryMapTypeWord.of(2).type is MemoryMapType.RESERVED
    assert [problem.path for problem in MemoryMapTypeWord.of(3).problems()] == ["type"]
