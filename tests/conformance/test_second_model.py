"""The explorer beside models in Promela that spin runs: numbers of reachable states, and verdicts.

The models stand in specs/models and were written from the clauses.
"""

import re
import subprocess
from itertools import permutations
from pathlib import Path

import pytest

from vmgexit.explore.model import explore
from vmgexit.explore.system import Left, System
from vmgexit.machine.quirks import only
from vmgexit.watch.judged import Violation
from vmgexit.watch.watch import Watch
from vmgexit.wire.doorbell import DoorbellPage

MODELS = Path(__file__).parents[2] / "specs" / "models"
pytestmark = [pytest.mark.needs("spin", "cc"), pytest.mark.slow]


def spin(model: str, folder: Path, *options: str) -> str:
    """What the verifier of a model prints."""
    defined = [f"-D{option}" for option in options]
    subprocess.run(
        ["spin", "-a", *defined, MODELS / model], cwd=folder, check=True, stdout=subprocess.DEVNULL
    )
    subprocess.run(["cc", "-w", "-DSAFETY", "-o", "pan", "pan.c"], cwd=folder, check=True)
    ran = subprocess.run(["./pan", "-m100000"], cwd=folder, capture_output=True, text=True)
    assert "search depth too small" not in ran.stdout
    return ran.stdout


def number(pattern: str, text: str) -> int:
    found = re.search(pattern, text)
    assert found, text
    return int(found[1])


@pytest.mark.clause("REG-2", "REG-3", "REG-4")
@pytest.mark.parametrize(("vcpus", "calls", "states"), [(2, 2, 11), (3, 2, 15), (3, 3, 26)])
def test_registration(vcpus: int, calls: int, states: int, tmp_path: Path) -> None:
    told = spin("registration.pml", tmp_path, f"N={vcpus}", f"CALLS={calls}")
    assert number(r"errors: (\d+)", told) == 0
    assert number(r"(\d+) states, stored", told) == states
    seen = set()

    def note(watch: Watch, left: Left) -> str:
        bits = [cpu.guest.alternate_injection for cpu in watch.machine.vm.vcpus]
        seen.add((left.calls, watch.machine.vm.registration_count, *bits))
        return ""

    explore(System(vcpus=vcpus, calls=calls), projection=note)
    # Vectors aside, which vCPU is which is no matter to the explorer: it visits one of each kind.
    of_kind = {(left, count, *sorted(bits)) for left, count, *bits in seen}
    assert len({one for kind in of_kind for one in _orders(kind)}) == states


def _orders(kind: tuple[int, ...]) -> set[tuple[int, ...]]:
    """Each order of a state's vCPUs."""
    left, count, *bits = kind
    return {(left, count, *order) for order in permutations(bits)}


@pytest.mark.clause("DESC-3", "DESC-4", "SCHED-3", "INV-1")
@pytest.mark.parametrize(("edge", "states"), [((0x31,), 6), ((0x31, 0x51), 28)])
def test_doorbell_pages(edge: tuple[int, ...], states: int, tmp_path: Path) -> None:
    told = spin("doorbell.pml", tmp_path, f"POSTS={len(edge)}", "COUNT")
    assert number(r"errors: (\d+)", told) == 0
    assert number(r"doorbell states: (\d+)", told) == states
    seen = set()

    def note(watch: Watch, left: Left) -> str:
        cpu = watch.machine.vm.vcpus[0]
        page = DoorbellPage.decode(bytes(cpu.page).ljust(4096, b"\0"))
        seen.add((page.encode(), cpu.hv_raised))
        return ""

    explore(System(vcpus=1, edge=edge), projection=note)
    assert len(seen) == states


@pytest.mark.clause("SCHED-3", "INV-3")
@pytest.mark.parametrize(
    ("options", "breaks"),
    [
        ((), ""),
        (("HANDLER",), ""),
        (("UNCHECKED",), "no_further_signal"),
        (("UNCHECKED", "LOST_ONLY"), ""),
        (("UNCHECKED", "HANDLER", "LOST_ONLY"), "assertion violated 0"),
    ],
)
def test_the_switch_window(options: tuple[str, ...], breaks: str, tmp_path: Path) -> None:
    told = spin("doorbell.pml", tmp_path, *options)
    assert number(r"errors: (\d+)", told) == bool(breaks)
    assert breaks in told


@pytest.mark.parametrize(("handler", "breaks"), [(False, "INV-3"), (True, "INV-1")])
def test_the_explorer_finds_the_same_without_the_check(handler: bool, breaks: str) -> None:
    system = System(vcpus=1, edge=(0x31,), handler_in_window=handler)
    broken = explore(system, only("switch-window-unchecked")).broken
    assert isinstance(broken, Violation)
    assert broken.invariant.name == breaks
    assert explore(system).broken is None
