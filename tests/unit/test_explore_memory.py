"""The explorer on machines with memory: bounds within which the reference holds, and what quirks break."""

import re
from collections.abc import Callable

import pytest

from tests.campaigns.planted import Undo, replace
from tests.cli.conftest import Run, run  # noqa: F401
from tests.conformance.test_quirks import BROKEN
from vmgexit.explore.memory.model import MemoryModel, explore_memory
from vmgexit.explore.memory.system import KINDS, MemorySystem
from vmgexit.explore.search import Limits
from vmgexit.machine.machine import Machine
from vmgexit.machine.memory.pages import SystemPages
from vmgexit.machine.quirks import REFERENCE, only
from vmgexit.machine.rules import core, switch
from vmgexit.machine.rules.operands import grant, revoke
from vmgexit.machine.vm import Vcpu
from vmgexit.watch.judged import Violation
from vmgexit.watch.watch import run as watched
from vmgexit.wire.page_size import PAGE
from vmgexit.wire.rmp import PageSize

VCPUS = frozenset({"vcpus"})
HOSTILE = MemorySystem(host_moves=1)

# Each quirk that such a system can reach: the system, and the moves of a shortest counterexample.
REACHED = {
    "unvalidated-operand-stops": (MemorySystem(), 1),
    "unvalidated-calling-area-accepted": (MemorySystem(), 1),
    "list-invalidates-itself": (MemorySystem(), 1),
    "list-cleared-while-read": (MemorySystem(), 1),
    "ignore-cf-wipes": (MemorySystem(), 1),
    "ignore-cf-unused-on-invalidate": (MemorySystem(), 1),
    "legacy-range-not-cleared": (MemorySystem(), 1),
    "invalidate-twice-stops": (MemorySystem(unvalidated_faults=True), 1),
    "refused-create-changes-permissions": (MemorySystem(), 1),
    "guest-reads-vmsa": (MemorySystem(), 1),
    "vmsa-at-2m": (MemorySystem(), 1),
    "remap-to-current-refused": (MemorySystem(), 1),
    "answer-in-new-vmsa": (MemorySystem(), 1),
    "boot-calling-area-stuck": (MemorySystem(), 1),
    "unaligned-codes-differ": (MemorySystem(), 1),
    "deleted-keeps-calling-area": (MemorySystem(), 2),
    "taken-page-panics": (HOSTILE, 2),
    "validated-twice": (HOSTILE, 2),
    "replaced-call-lost": (MemorySystem(kinds=VCPUS), 3),
    "delete-running-stops": (MemorySystem(kinds=VCPUS), 4),
}


@pytest.mark.parametrize("quirk", REACHED)
def test_a_quirk_has_a_shortest_counterexample_that_replays(quirk: str) -> None:
    system, moves = REACHED[quirk]
    outcome = explore_memory(system, only(quirk))
    assert isinstance(outcome.broken, Violation)
    assert outcome.depth + 1 == moves
    with pytest.raises(Violation) as again:
        watched(outcome.path, Machine(only(quirk)))
    assert str(again.value) == str(outcome.broken)
    watched(outcome.path, Machine(REFERENCE))


@pytest.mark.parametrize(
    "quirk", ["delete-running-stops", "replaced-call-lost", "guest-reads-vmsa"]
)
def test_it_is_the_invariant_that_the_quirks_scenario_breaks(quirk: str) -> None:
    outcome = explore_memory(REACHED[quirk][0], only(quirk))
    assert isinstance(outcome.broken, Violation)
    assert outcome.broken.invariant.name == BROKEN[quirk]


@pytest.mark.clause("MEM-1", "MEM-2", "MEM-3", "MEM-5", "MEM-7", "MEM-8", "MEM-10", "MEM-11")
@pytest.mark.parametrize(
    ("system", "states"),
    [(MemorySystem(), 200), (HOSTILE, 500), (MemorySystem(unvalidated_faults=True), 200)],
)
def test_the_reference_holds_in_every_order_of_two_moves(system: MemorySystem, states: int) -> None:
    outcome = explore_memory(system, limits=Limits(depth=2))
    assert outcome.broken is None
    assert outcome.stopped_by == "depth 2"
    assert outcome.states > states
    assert all("nested page fault" in end or "host took" in end for end in outcome.endings)


def test_a_move_leaves_the_state_it_starts_from_as_it_was() -> None:
    model = MemoryModel(HOSTILE, REFERENCE)
    _, state = model.start()
    key = model.key(state)
    assert [move.steps for move in model.moves(state)] == [
        move.steps for move in model.moves(state)
    ]
    assert model.key(state) == key
    others = {model.key(move.state) for move in model.moves(state) if move.state is not None}
    assert len(others) > 20


def test_every_kind_of_move_is_there_and_alone() -> None:
    alone = [len(list(MemorySystem(kinds=frozenset({kind})).moves())) for kind in KINDS]
    assert min(alone) > 0
    assert sum(alone) == len(list(MemorySystem().moves()))


def test_the_command_line(run: Run, tmp_path) -> None:  # type: ignore[no-untyped-def] # noqa: F811
    found = str(tmp_path / "found.jsonl")
    options = ("--profile", "ignore-cf-wipes", "--moves", "lists", "-o", found)
    done = run("explore", "--memory", "--vcpus", "2", *options)
    assert done.code == 1
    assert done.out.startswith(
        "MEM-3 at call 0.1 of vCPU 0: bytes of the page at 0xa000 are lost\n"
    )
    assert run("replay", "--profile", "ignore-cf-wipes", "--invariants", found).code == 1
    held = run("explore", "--memory", "--depth", "1")
    assert held.code == 0
    assert "depth 1: stopped by depth 1" in held.out
    assert "--edge: not with --memory" in run("explore", "--memory", "--edge", "0x31").complaint
    for option in (("--host-moves", "1"), ("--moves", "lists"), ("--unvalidated-faults",)):
        assert f"{option[0]}: only with --memory" in run("explore", *option).complaint
    assert "'sets': areas, lists" in run("explore", "--memory", "--moves", "sets").complaint


def test_the_example_of_the_help_finds_what_it_names(run: Run) -> None:  # noqa: F811
    [example] = re.findall("vmgexit (explore --memory .*)", run("explore", "--help").out)
    found = run(*example.split())
    assert found.code == 1
    assert found.out.startswith("MEM-10 at call 0.3 of vCPU 1: the SVSM stopped: RMPADJUST")


# --- bugs of the field, which are no quirks ----------------------------------------------------------


def never_cleared() -> Undo:
    """COCONUT-SVSM 10a1826c: a page that was validated keeps what it held."""
    return replace(SystemPages, "clear", lambda pages, start, length: None)


def deletes_any_page() -> Undo:
    """COCONUT-SVSM 50ad98e2: DELETE_VCPU changes permissions before it looks for the VMSA."""
    original = core.delete_vcpu

    def delete_vcpu(cpu: Vcpu, vmsa: int) -> None:
        revoke(cpu, vmsa & -PAGE, PageSize.SIZE_4K)
        grant(cpu, vmsa & -PAGE, PageSize.SIZE_4K)
        original(cpu, vmsa)

    return replace(core, "delete_vcpu", delete_vcpu)


def old_page_stays_mapped() -> Undo:
    """COCONUT-SVSM 3489c999 (pull request 452): a vCPU that was created anew is served in its old VMSA."""
    original = switch._move_in

    def move_in(cpu: Vcpu) -> int | None:
        if cpu.mapped.vmsa is None:
            return original(cpu)
        return cpu.mapped.vmsa

    return replace(switch, "_move_in", move_in)


FOUND_BY = {never_cleared: "MEM-2", deletes_any_page: "INV-9", old_page_stays_mapped: "INV-9"}


@pytest.mark.parametrize("plant", FOUND_BY)
def test_a_bug_of_the_field_is_found(plant: Callable[[], Undo]) -> None:
    undo = plant()
    try:
        outcome = explore_memory(MemorySystem(), limits=Limits(depth=1))
        assert isinstance(outcome.broken, Violation)
        assert outcome.broken.invariant.name == FOUND_BY[plant]
    finally:
        undo()
    watched(outcome.path)
