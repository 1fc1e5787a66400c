"""Every declaration against its ladder, which is written by hand from a public source."""

import pytest

from tests.conformance.ladders import (
    doorbell,
    ghcb,
    igvm,
    launch,
    messages,
    msr,
    report,
    svsm,
    svsm_drafts,
    tio,
    vmcb,
    vmsa,
)
from tests.conformance.ladders.rows import Ladder
from vmgexit import GhcbPage
from vmgexit.schema import locate
from vmgexit.wire.registry import find, structures

LADDERS = [
    each
    for chapter in (
        doorbell,
        ghcb,
        igvm,
        launch,
        messages,
        msr,
        report,
        svsm,
        svsm_drafts,
        tio,
        vmcb,
        vmsa,
    )
    for each in chapter.LADDERS
]


@pytest.mark.clause("DESC-1")
@pytest.mark.parametrize("ladder", LADDERS, ids=str)
def test_fields_are_where_the_source_says(ladder: Ladder) -> None:
    cls = find(ladder.name, ladder.revision)
    scale = 1 if cls.declaration.is_bits else 8
    for offset, size, path in ladder.rows:
        place = locate(cls, path)
        assert (place.bit_offset, place.field.width) == (offset * scale, size * scale), path
    listed = [cls.declaration[path] for *_, path in ladder.rows if "." not in path]
    named = [field for field in cls.declaration.fields if field.rule is None]
    assert [field for field in listed if field.rule is None] == named
    assert cls.declaration.source


def test_every_structure_has_one_ladder() -> None:
    declared = [(name, each) for name, found in structures().items() for each in found]
    assert sorted((ladder.name, ladder.revision) for ladder in LADDERS) == sorted(declared)


@pytest.mark.parametrize(
    ("name", "size"),
    [("report-request", 96), ("report-response", 1216), ("key-request", 32), ("key-response", 64)],
)
def test_size_of_payloads(name: str, size: int) -> None:
    assert find(name).size == size


@pytest.mark.parametrize(("name", "number"), ghcb.VALID_BITS.items())
def test_valid_bit(name: str, number: int) -> None:
    page = GhcbPage()
    page.mark(name)
    assert page.encode()[0x3F0:0x400] == (1 << number).to_bytes(16, "little")
    assert page.is_valid(name)


def test_status_is_features_shifted_by_two() -> None:
    rows = {each.name: {path: at for at, _, path in each.rows} for each in vmsa.LADDERS}
    status, features = rows["sev-status"], rows["sev-features"]
    common = status.keys() & features.keys()
    assert len(common) == 18
    assert all(status[name] == features[name] + 2 for name in common)
