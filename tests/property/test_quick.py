"""`Quick` finds what `Watch` finds: the same violation at the same command, and the same state after it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.campaigns.planted import bugs, planted
from vmgexit.descriptions import Command
from vmgexit.explore.freeze import freeze
from vmgexit.machine import program
from vmgexit.machine.machine import ACTS, Machine
from vmgexit.machine.quirks import WITHOUT_MEMORY, profile
from vmgexit.watch.breakable import COMMANDS
from vmgexit.watch.invariants import INVARIANTS, Watch
from vmgexit.watch.judged import Invariant, Violation
from vmgexit.watch.quick import Quick
from vmgexit_fuzz.targets import find
from vmgexit_fuzz.targets.hostile_host import HostileHost
from vmgexit_fuzz.targets.scenarios import ProgramTarget

CORPUS = Path(__file__).parents[2] / "corpus"
SEEDS = sorted((CORPUS / "seeds" / "scenario").iterdir())
PLANTED = {name: bug for name, bug in bugs().items() if bug.target == "scenario"}


def outcome(reason: Exception) -> tuple[object, ...]:
    """What two runs of one scenario must have in common."""
    if isinstance(reason, Violation):
        return reason.invariant, reason.place, reason.message, reason.index
    return type(reason), str(reason)


def test_every_command_is_watched() -> None:
    assert set(COMMANDS) == set(ACTS)


def by_watch(
    commands: Sequence[Command], quirks: str, invariants: Sequence[Invariant]
) -> tuple[object, object]:
    """What `Watch` finds, and the state of the machine after it."""
    watch = Watch(Machine(profile(quirks)), invariants=invariants)
    found: object = None
    try:
        for command in commands:
            watch.execute(command)
    except Exception as reason:
        found = outcome(reason)
    return found, state(watch.machine)


def by_quick(
    commands: Sequence[Command], quirks: str, invariants: Sequence[Invariant]
) -> tuple[object, object]:
    """The same of `Quick`."""
    quick = Quick(Machine(profile(quirks)), invariants)
    found: object = None
    try:
        quick.run(commands)
    except Exception as reason:
        found = outcome(reason)
    return found, state(quick.machine)


def state(machine: Machine) -> object:
    """All that a machine is, and why it stopped."""
    machine.vm.listener = None
    return machine.stopped, freeze(machine.vm), [freeze(cpu) for cpu in machine.vm.vcpus]


def held_equal(
    commands: Sequence[Command],
    quirks: str = "reference",
    invariants: Sequence[Invariant] = INVARIANTS,
) -> bool:
    """Run a scenario both ways and compare; whether something was found."""
    expected = by_watch(commands, quirks, invariants)
    assert by_quick(commands, quirks, invariants) == expected
    return expected[0] is not None


def drawn(target: ProgramTarget, seed: int, count: int) -> list[list[Command]]:
    """Well-formed scenarios from nothing."""
    pick = random.Random(seed)
    return [target.commands(target.make(pick)) for _ in range(count)]


def opened(name: str) -> ProgramTarget:
    target = find(name).open()
    assert isinstance(target, ProgramTarget)
    return target


@pytest.mark.parametrize("path", SEEDS, ids=lambda path: path.name)
def test_equal_on_the_seeds(path: Path) -> None:
    held_equal(program.read(path.read_bytes()))


@pytest.mark.parametrize(
    ("part", "count"),
    [
        *((part, 50) for part in range(10)),
        *(pytest.param(part, 975, marks=pytest.mark.long) for part in range(20)),
    ],
)
def test_equal_on_scenarios(part: int, count: int) -> None:
    for commands in drawn(opened("scenario"), part, count):
        assert not held_equal(commands)


@pytest.mark.parametrize("count", [100, pytest.param(2000, marks=pytest.mark.long)])
def test_equal_on_hostile_hosts(count: int) -> None:
    for commands in drawn(opened("hostile-host"), 1, count):
        held_equal(commands, invariants=HostileHost.invariants)


@pytest.mark.parametrize("count", [4, pytest.param(200, marks=pytest.mark.long)])
@pytest.mark.parametrize("quirk", WITHOUT_MEMORY)
def test_equal_on_quirks(quirk: str, count: int) -> None:
    for commands in drawn(opened("scenario"), 2, count):
        held_equal(commands, quirk)


@pytest.mark.parametrize("count", [4, pytest.param(200, marks=pytest.mark.long)])
@pytest.mark.parametrize("bug", PLANTED)
def test_equal_on_planted_bugs(bug: str, count: int) -> None:
    scenarios = drawn(opened("scenario"), 3, count)
    with planted(PLANTED[bug]):
        for commands in scenarios:
            held_equal(commands)
