"""The exact search: the states of the machine moved by hand, and the parts that each step touches."""

import itertools
from collections import defaultdict
from collections.abc import Iterator

import pytest

from vmgexit.descriptions import Command
from vmgexit.explore.exact import Exact
from vmgexit.explore.model import VmModel, explore
from vmgexit.explore.parts import NAMES, REACHED, STEPS, Values
from vmgexit.explore.search import Limits, search
from vmgexit.explore.steps import Others, Steps, Stop
from vmgexit.explore.system import Left, System
from vmgexit.guests.linux import LINUX
from vmgexit.guests.ovmf import OVMF
from vmgexit.guests.values import NMI
from vmgexit.machine.quirks import COCONUT, REFERENCE, WITHOUT_MEMORY, Quirks, only
from vmgexit.watch.judged import Violation

SYSTEMS = {
    "two edge": System(vcpus=1, edge=(0x31, 0x51)),
    "vector 31 and others": System(vcpus=1, edge=(31, 0x31, 0x51)),
    "the handler in the window": System(vcpus=1, edge=(0x31, 0x51), handler_in_window=True),
    "a hand-over": System(vcpus=1, edge=(0x31,), calls=2),
    "a hand-over with a level": System(vcpus=1, level=(0x61,), calls=1),
    "cut short": System(vcpus=1, edge=(0x31,), intercepts=2),
    "created anew": System(vcpus=1, edge=(0x31,), creations=1),
    "refused": System(vcpus=2, ipis=(0x41,), refusals=1),
    "refused DISABLE": System(vcpus=1, edge=(0x31,), calls=1, refusals=1),
    "registration": System(vcpus=3, calls=2),
    "IPIs": System(vcpus=2, ipis=(0x41, 0x61)),
    "IPIs of three": System(vcpus=3, ipis=(0x41,)),
    "an IPI after a hand-over": System(vcpus=2, ipis=(0x41,), calls=2),
    "Linux sends": System(vcpus=2, ipis=(0x41,), guest=LINUX),
    "Linux sends an NMI": System(vcpus=2, ipis=(NMI,), guest=LINUX),
    "Linux starts a CPU": System(vcpus=1, edge=(0x31,), creations=1, intercepts=1, guest=LINUX),
    "OVMF": System(vcpus=1, edge=(0x31,), level=(0x61,), guest=OVMF),
}
LONG = {"vector 31 and others", "an IPI after a hand-over", "Linux sends", "IPIs of three"}


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "system",
    [
        pytest.param(system, id=name, marks=pytest.mark.long if name in LONG else ())
        for name, system in SYSTEMS.items()
    ],
)
def test_it_visits_the_states_of_the_machine_moved_by_hand(system: System) -> None:
    by_hand, exact = search(VmModel(system, REFERENCE, None), Limits()), explore(system)
    for outcome in (by_hand, exact):
        assert outcome.broken is None
        assert outcome.stopped_by == ""
    assert (exact.states, exact.moves, exact.depth) == (
        by_hand.states,
        by_hand.moves,
        by_hand.depth,
    )
    assert exact.endings.keys() == by_hand.endings.keys()
    for ending, scenario in exact.endings.items():
        assert len(scenario) == len(by_hand.endings[ending])


SHORT = [
    ("a hand-over", "emulation-survives-disable"),
    ("cut short", "nmi-overwrites-reinjection"),
    ("IPIs", "switch-window-unchecked"),
    ("Linux sends an NMI", "physical-nmi-becomes-fixed"),
    ("refused", "refused-ipi-crashes"),
    ("two edge", "switch-window-unchecked"),
]


@pytest.mark.parametrize(
    ("name", "quirk"),
    [
        *SHORT,
        *(
            pytest.param(name, quirk, marks=pytest.mark.long)
            for name in SYSTEMS
            for quirk in WITHOUT_MEMORY
            if (name, quirk) not in SHORT
        ),
    ],
)
def test_a_quirk_breaks_the_same_as_soon(name: str, quirk: str) -> None:
    system, quirks, limits = SYSTEMS[name], only(quirk), Limits(depth=14)
    by_hand = search(VmModel(system, quirks, None), limits)
    exact = explore(system, quirks, limits=limits)
    assert exact.depth == by_hand.depth
    assert (exact.broken is None) == (by_hand.broken is None)
    if isinstance(by_hand.broken, Violation) and isinstance(exact.broken, Violation):
        assert exact.broken.invariant.name in _first_broken(system, quirks, by_hand.depth)
    else:
        assert exact.states == by_hand.states


def _first_broken(system: System, quirks: Quirks, depth: int) -> set[str]:
    """The invariants that break in as many moves."""
    model = VmModel(system, quirks, None)
    broken = set()
    _, state = model.start()
    states = {model.key(state): state}
    for _ in range(depth + 1):
        moves = [move for state in states.values() for move in model.moves(state)]
        broken = {
            move.broken.invariant.name for move in moves if isinstance(move.broken, Violation)
        }
        states = {model.key(move.state): move.state for move in moves if move.state is not None}
    return broken


@pytest.mark.parametrize(
    ("system", "states", "moves"),
    [
        (System(vcpus=3, calls=3), 6_849, 26_385),
        pytest.param(
            System(vcpus=1, edge=(0x31, 0x51), level=(0x61,)), 70_142, 129_268,
            marks=pytest.mark.slow,
        ),
        pytest.param(
            System(vcpus=2, edge=(0x31, 0x51), calls=1), 337_036, 977_746,
            marks=pytest.mark.slow,
        ),
    ],
)  # fmt: skip
def test_as_many_as_when_states_were_frozen_and_thawed(
    system: System, states: int, moves: int
) -> None:
    """Written down from the search of before, which kept the hash of each state."""
    outcome = explore(system, limits=Limits())
    assert (outcome.states, outcome.moves) == (states, moves)
    assert outcome.broken is None
    assert outcome.stopped_by == ""


# --- what each step reads and writes ---------------------------------------------------------------


class Noting(Steps):
    """Keeps the states in which each step was made."""

    def __init__(self, system: System, quirks: Quirks) -> None:
        super().__init__(system, quirks)
        self.noted: dict[tuple[str, int], list[tuple[Command, Values]]] = defaultdict(list)
        self.sends: dict[object, list[tuple[Command, Values, list[Values]]]] = defaultdict(list)

    def _step(self, values: Values, command: Command) -> Values | Stop:
        name = self._name(values, command)
        place = name, hash((id(command), self.touches[name].looks_at(values)))
        self.noted[place].append((command, values))
        return super()._step(values, command)

    def send(
        self, vcpu: int, others: Others, move: tuple[Command, bool, Left], shared: int
    ) -> tuple[int, Others, int] | Stop:
        count = self.shared.values[shared][1]
        values, *reached = ((count, *self.vcpus.values[one][2:]) for one in (vcpu, *others))
        command, touches = move[0], self.touches["send"]
        key = id(command), touches.looks_at(values), *map(REACHED.looks_at, reached)
        self.sends[key].append((command, values, reached))
        return super().send(vcpu, others, move, shared)


def noting(system: System, quirks: Quirks) -> Noting:
    exact = Exact(system, quirks, Limits(states=20_000))
    exact.steps = steps = Noting(system, quirks)
    exact.run()
    return steps


def alike_for_a_step(steps: Noting) -> Iterator[tuple[str, list[tuple[Command, Values]]]]:
    """States in which a step reads the same, as different as there are."""
    for (name, _), noted in steps.noted.items():
        first = noted[0][1]
        chosen = [noted[0]]
        for at, part in enumerate(NAMES):
            if part not in steps.touches[name].reads:
                chosen += [one for one in noted if one[1][at] != first[at]][:1]
        yield name, chosen


@pytest.mark.parametrize("quirks", [REFERENCE, COCONUT], ids=["reference", "coconut"])
def test_a_step_does_the_same_whatever_it_does_not_read(quirks: Quirks) -> None:
    differed: dict[str, set[str]] = defaultdict(set)
    for system in SYSTEMS.values():
        steps = noting(system, quirks)
        for name, chosen in itertools.islice(alike_for_a_step(steps), 2000):
            made = [steps._made(values, command, steps.touches[name]) for command, values in chosen]
            for one, (_, values) in zip(made, chosen, strict=True):
                assert _told(one) == _told(made[0]), name
                differed[name] |= {
                    part for at, part in enumerate(NAMES) if values[at] != chosen[0][1][at]
                }
    # No host of the explorer signals an NMI; what sends is below.
    assert set(differed) == set(STEPS) - {"svsm take_nmi", "send"}
    assert all("body" in parts for name, parts in differed.items() if name.startswith("host "))
    assert {name for name, parts in differed.items() if not parts} <= {"svsm vmgexit"}


def test_what_sends_does_the_same_whatever_it_does_not_read() -> None:
    compared = 0
    for system in (SYSTEMS["an IPI after a hand-over"], SYSTEMS["Linux sends an NMI"]):
        steps = noting(system, REFERENCE)
        for noted in steps.sends.values():
            made = [steps._sent(values, reached, command) for command, values, reached in noted[:4]]
            assert all(_told(one) == _told(made[0]) for one in made)
            compared += len(made) - 1
    assert compared > 100


def _told(result: object) -> object:
    if isinstance(result, Stop):
        return result.ended, str(result.broken)
    return result
