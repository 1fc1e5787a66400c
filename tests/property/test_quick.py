"""`Quick` finds what `Watch` finds: the same violation at the same command, and the same state after it."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.campaigns.planted import bugs, planted
from tests.checkout import quirk_scenario
from vmgexit.descriptions import Command
from vmgexit.explore.freeze import freeze
from vmgexit.machine import program
from vmgexit.machine.machine import ACTS, Machine
from vmgexit.machine.memory.changes import changes
from vmgexit.machine.quirks import MEMORY, WITHOUT_MEMORY, profile
from vmgexit.machine.vm import Vm
from vmgexit.watch.breakable import COMMANDS
from vmgexit.watch.invariants import INVARIANTS
from vmgexit.watch.judged import Invariant, Violation
from vmgexit.watch.memory.books import Books, MemoryStep
from vmgexit.watch.memory.breakable import STOPPED, can_break
from vmgexit.watch.quick import BOTH, Doubted, Quick
from vmgexit.watch.tally import Tallies
from vmgexit.watch.watch import Watch
from vmgexit_fuzz.targets import find
from vmgexit_fuzz.targets.hostile_host import HostileHost
from vmgexit_fuzz.targets.scenarios import ProgramTarget

CORPUS = Path(__file__).parents[2] / "corpus"
SEEDS = sorted((CORPUS / "seeds" / "scenario").iterdir())
PLANTED = {name: bug for name, bug in bugs().items() if bug.target == "scenario"}
PLANTED_ON_MEMORY = {name: bug for name, bug in bugs().items() if bug.target == "svsm"}
ON_MEMORY = ("svsm", "svsm-hostile")
SELDOM_BROKEN = (
    "deleted-keeps-calling-area",
    "guest-reads-vmsa",
    "unvalidated-calling-area-accepted",
)
SEEDS_ON_MEMORY = sorted((CORPUS / "seeds" / "svsm").iterdir())


def outcome(reason: Exception) -> tuple[object, ...]:
    """What two runs of one scenario must have in common."""
    if isinstance(reason, Violation):
        return reason.invariant, reason.place, reason.message, reason.index
    return type(reason), str(reason)


def test_every_command_is_watched() -> None:
    assert set(COMMANDS) == set(ACTS)


def by_watch(
    commands: Sequence[Command], quirks: str, invariants: Sequence[Invariant]
) -> tuple[object, tuple[object, Vm]]:
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
) -> tuple[object, tuple[object, Vm]]:
    """The same of `Quick`."""
    quick = Quick(Machine(profile(quirks)), invariants)
    found: object = None
    try:
        quick.run(commands)
    except Exception as reason:
        found = outcome(reason)
    return found, state(quick.machine)


def state(machine: Machine) -> tuple[object, Vm]:
    """All that a machine is, and why it stopped; its VM has the memory, if there is one."""
    vm = machine.vm
    vm.listener = None
    vcpus = [(freeze(cpu), cpu.home, cpu.mapped, cpu.in_guest) for cpu in vm.vcpus]
    registered = vm.registry and vm.registry.rows()
    return (machine.stopped, freeze(vm), vcpus, registered, vm.processor), vm


def held_equal(
    commands: Sequence[Command],
    quirks: str = "reference",
    invariants: Sequence[Invariant] = INVARIANTS,
) -> bool:
    """Run a scenario both ways and compare; whether something was found."""
    found, (expected, watched) = by_watch(commands, quirks, invariants)
    found_quickly, (reached, vm) = by_quick(commands, quirks, invariants)
    assert (found_quickly, reached) == (found, expected)
    if watched.memory is not None:
        assert vm.memory is not None
        assert (vm.memory.running, vm.memory.did) == (watched.memory.running, watched.memory.did)
        assert not list(changes(watched.memory, vm.memory))
    return found is not None


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


def test_what_quick_misses_is_told_where_both_run(monkeypatch: pytest.MonkeyPatch) -> None:
    commands = quirk_scenario("ppr-keeps-low-nibble")
    monkeypatch.setattr(Tallies, "broken", lambda tallies, name: None)
    Quick(Machine("ppr-keeps-low-nibble")).run(commands)
    monkeypatch.setenv(BOTH, "1")
    with pytest.raises(Doubted, match="nothing, where Watch finds INV-6"):
        Quick(Machine("ppr-keeps-low-nibble")).run(commands)


# --- with memory -----------------------------------------------------------------------------------


def both_halves(seed: int, count: int) -> list[list[Command]]:
    """Scenarios of interrupts on a machine with memory, and what `svsm-hostile` does in between."""
    pick, made = random.Random(seed), []
    drawn_of = (drawn(opened(name), seed, count) for name in ("scenario", "svsm-hostile"))
    pairs = zip(*drawn_of, strict=True)
    for interrupts, (begins, *calls) in pairs:
        parts = [[one for one in interrupts if one["op"] not in ("init", "set_vmsa")]]
        parts.append([one for one in calls if one["op"] != "init"][: len(parts[0]) // 2])
        scenario = [begins | {"cpus": 4, "reg_count": pick.choice((1, 1, 1, 2, 0))}]
        while any(parts):
            part = pick.choice([part for part in parts if part])
            scenario += part[: (some := pick.randint(1, 6))]
            del part[:some]
        made.append(scenario)
    return made


def test_each_invariant_on_memory_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {STOPPED}

    def noted(vm: Vm, books: Books, step: MemoryStep) -> Iterator[str]:
        for name in can_break(vm, books, step):
            asked.add(name)
            yield name

    monkeypatch.setattr("vmgexit.watch.memory.quick.can_break", noted)
    scenarios = drawn(opened("svsm-hostile"), 8, 60)
    for quirks in ("reference", *SELDOM_BROKEN):
        for commands in scenarios:
            with contextlib.suppress(Violation):
                Quick(Machine(profile(quirks))).run(commands)
    assert asked == {one.check.__name__ for one in INVARIANTS if one.on_memory}


@pytest.mark.parametrize("count", [60, pytest.param(4000, marks=pytest.mark.long)])
def test_equal_on_both_halves(count: int) -> None:
    for commands in both_halves(6, count):
        assert not held_equal(commands)


@pytest.mark.parametrize("count", [3, pytest.param(100, marks=pytest.mark.long)])
@pytest.mark.parametrize("quirk", WITHOUT_MEMORY)
def test_equal_on_quirks_of_both_halves(quirk: str, count: int) -> None:
    for commands in both_halves(7, count):
        held_equal(commands, quirk)


@pytest.mark.parametrize("path", SEEDS_ON_MEMORY, ids=lambda path: path.name)
def test_equal_on_the_seeds_on_memory(path: Path) -> None:
    held_equal(opened("svsm-hostile").commands(path.read_bytes()))


@pytest.mark.parametrize(
    ("name", "part", "count"),
    [
        *((name, 0, 150) for name in ON_MEMORY),
        *(
            pytest.param(name, part, 1000, marks=pytest.mark.long)
            for name in ON_MEMORY
            for part in range(1, 11)
        ),
    ],
)
def test_equal_on_scenarios_on_memory(name: str, part: int, count: int) -> None:
    for commands in drawn(opened(name), part, count):
        assert not held_equal(commands)


@pytest.mark.parametrize("count", [6, pytest.param(200, marks=pytest.mark.long)])
@pytest.mark.parametrize("quirk", MEMORY)
def test_equal_on_quirks_on_memory(quirk: str, count: int) -> None:
    for commands in drawn(opened("svsm-hostile"), 4, count):
        held_equal(commands, quirk)


@pytest.mark.parametrize("count", [10, pytest.param(200, marks=pytest.mark.long)])
@pytest.mark.parametrize("bug", PLANTED_ON_MEMORY)
def test_equal_on_planted_bugs_on_memory(bug: str, count: int) -> None:
    scenarios = drawn(opened("svsm"), 5, count)
    with planted(PLANTED_ON_MEMORY[bug]):
        for commands in scenarios:
            held_equal(commands)
