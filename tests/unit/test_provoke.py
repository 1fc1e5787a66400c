"""Which quirks guests provoke: the committed scenarios and specs/guests.md."""

from pathlib import Path

import pytest

from vmgexit.explore.provoke import broken_by, page, provoke, read
from vmgexit.guests.follow import remarks
from vmgexit.guests.profiles import GUESTS
from vmgexit.machine.machine import Machine
from vmgexit.machine.quirks import REFERENCE, names, only

ROOT = Path(__file__).parents[2]
FOUND = sorted((ROOT / "corpus" / "provoked").glob("*/*.jsonl"))
COMMITTED = pytest.mark.parametrize("path", FOUND, ids=lambda p: f"{p.parent.name}-{p.stem}")


def test_the_page_is_not_stale() -> None:
    """`python -m vmgexit.explore.provoke` makes it, and the scenarios."""
    assert (ROOT / "specs" / "guests.md").read_text() == page(ROOT / "corpus")


def test_linux_provokes_some_and_not_all() -> None:
    """Written by hand. Linux sends NMIs by physical destination, reads the PPR, and sends IPIs that a
    host can refuse. It does not deregister, write SELF_IPI or low bits of the TPR, or end one lazily."""
    linux = {path.stem for path in FOUND if path.parent.name == "linux"}
    assert linux >= {"physical-nmi-becomes-fixed", "ppr-keeps-low-nibble", "refused-ipi-crashes"}
    assert linux <= set(names())
    assert not linux & {
        "handoff-drops-vector-31",
        "emulation-survives-disable",
        "lazy-eoi-survives-disable",
        "self-ipi-below-16",
        "tpr-low-nibble-dropped",
        "remap-loses-lazy-eoi",
    }


@COMMITTED
def test_a_scenario_is_the_guests_own_and_the_quirk_breaks_it(path: Path) -> None:
    guest, scenario = GUESTS[path.parent.name], read(path)
    assert broken_by(scenario, only(path.stem))
    assert not broken_by(scenario, REFERENCE)
    assert not [*remarks(guest, scenario, Machine(only(path.stem)))]


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", GUESTS)
def test_the_reference_holds_with_every_guest_in_every_system(name: str) -> None:
    assert provoke(GUESTS[name]) is None


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", GUESTS)
def test_what_the_page_says_of_every_quirk_holds(name: str) -> None:
    for quirk in names():
        committed = ROOT / "corpus" / "provoked" / name / f"{quirk}.jsonl"
        found = provoke(GUESTS[name], quirk)
        assert (found is not None) == committed.exists(), quirk
        if found is not None:
            assert len(found) == len(read(committed)), quirk
