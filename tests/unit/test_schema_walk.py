"""The walk: paths, the way to a place and back."""

import pytest

from vmgexit import DoorbellHead, DoorbellPage, ExtIntStatus, UsageError
from vmgexit.schema import get, leaves, locate, put, walk

VMPLS = ("vmpl1", "vmpl2", "vmpl3")


def test_containers_stand_before_what_they_hold() -> None:
    paths = [place.path for place in walk(DoorbellHead)]
    assert paths[:6] == [
        "vector",
        "flags",
        "flags.nmi_pending",
        "flags.mc_pending",
        "flags.reserved_6_2",
        "flags.no_further_signal",
    ]
    at = paths.index("vmpl1")
    assert paths[at : at + 3] == [
        "vmpl1",
        "vmpl1.status",
        "vmpl1.status.pending_vector",
    ]
    assert paths[-1] == "vmpl3.isr"


def test_leaves_are_the_places_that_hold_values() -> None:
    assert {place.path for place in walk(DoorbellHead)} - {
        place.path for place in leaves(DoorbellHead)
    } == {"flags", "per_vmpl_events", *VMPLS, *(f"{vmpl}.status" for vmpl in VMPLS)}


@pytest.mark.parametrize(
    ("path", "bit_offset", "depth", "owner"),
    [
        ("vector", 0, 0, "DoorbellPage"),
        ("flags.no_further_signal", 15, 1, "DoorbellFlags"),
        ("vmpl1", 0x40 * 8, 0, "DoorbellPage"),
        ("vmpl2.status.multiple_vectors", 0x80 * 8 + 14, 2, "ExtIntStatus"),
        ("vmpl3.isr", 0xE0 * 8, 1, "ExtIntDescriptor"),
    ],
)
def test_places_count_from_the_outermost_structure(
    path: str, bit_offset: int, depth: int, owner: str
) -> None:
    place = locate(DoorbellPage, path)
    assert (place.bit_offset, place.depth, place.owner.__name__) == (bit_offset, depth, owner)


def test_a_place_has_its_own_clause_or_that_of_its_structure() -> None:
    assert locate(DoorbellPage, "flags.no_further_signal").clause == "DESC-4"
    assert locate(DoorbellPage, "vmpl1.irr").clause == "DESC-1"


def test_get_and_put_follow_a_path() -> None:
    page = DoorbellPage()
    put(page, "vmpl2.status.pending_vector", 0x61)
    assert page.vmpl2.status.pending_vector == 0x61
    assert get(page, "vmpl2.status") == ExtIntStatus(pending_vector=0x61)
    put(page, "vector", 0x50)
    assert page.vector == 0x50


@pytest.mark.parametrize(
    ("path", "near"),
    [
        ("vmpl4.status.pending_vector", "vmpl3.status.pending_vector"),
        ("no_further_signal", "flags.no_further_signal"),
        ("vektor", "vector"),
        ("vmpl[1].irr", "vmpl1.irr"),
        ("", ""),
        ("__class__", ""),
    ],
)
def test_a_path_that_leads_nowhere_is_told_the_nearest(path: str, near: str) -> None:
    page = DoorbellPage()
    for attempt in (
        lambda: locate(DoorbellPage, path),
        lambda: get(page, path),
        lambda: put(page, path, 1),
    ):
        with pytest.raises(UsageError, match=r"^doorbell-page has no field ") as caught:
            attempt()
        assert near in str(caught.value)
    assert page == DoorbellPage()
