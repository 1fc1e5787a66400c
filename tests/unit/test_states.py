"""The coarse states of what is fuzzed: which cells a command marks, and that none lies outside."""

from itertools import pairwise
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from vmgexit.descriptions import Command
from vmgexit.machine import program
from vmgexit.machine.machine import Machine
from vmgexit.wire.exit_codes import ExitCode
from vmgexit.wire.ghcb import GhcbPage
from vmgexit.wire.injection import DoorbellOperation
from vmgexit_fuzz import probes
from vmgexit_fuzz.inputs.programs import mutate
from vmgexit_fuzz.process import host_states, machine_states, states
from vmgexit_fuzz.targets import find
from vmgexit_fuzz.targets.ghcb import programs
from vmgexit_fuzz.targets.ghcb.expected import GPA

HOST = find("ghcb-host")
TARGET = HOST.open()


@given(seed=st.integers(0, 1 << 31))
def test_those_of_a_machine_stay_in_their_cells(seed: int) -> None:
    data = b""
    for change in range(4):
        data = mutate(data, 36 * 96, seed + change)
    machine = Machine()
    for command in program.read(data):
        machine.execute(command)
        found = machine_states.cells(machine_states.seen(machine, command))
        assert len(set(found)) == len(found) == (0 if command["op"] == "init" else 4)
        assert all(0 <= cell < machine_states.CELLS for cell in found)
        assert found == tuple(sorted(found))  # a group after the other


# --- hosts -------------------------------------------------------------------------------------------


def cells_of(commands: list[Command]) -> list[set[int]]:
    """The cells of each command of a scenario on a host."""
    found: list[set[int]] = []
    TARGET.observe = lambda step, command: found.append(
        set(host_states.cells(host_states.seen(step, command)))
    )
    try:
        TARGET.carry_out(commands)
    finally:
        TARGET.observe = None
    return found


def exits(code: int, *words: int, **fields: Any) -> Command:
    page = GhcbPage.for_exit(code, *words, gpa=GPA, **fields)
    return {"op": "vmgexit", "gpa": GPA, "page": programs.pieces(page.encode())}


def init(**setup: Any) -> Command:
    return {"op": "init", "vcpus": 2, "registered": GPA} | setup


# A header of zeros, whose last entry is the first, and that: page 0x12345 becomes private.
LIST = exits(
    ExitCode.SNP_PAGE_STATE_CHANGE, buffer=bytes(8) + (1 << 52 | 0x12345000).to_bytes(8, "little")
)


@given(seed=st.integers(0, 1 << 31))
@settings(max_examples=30)
def test_those_of_a_host_stay_in_their_cells(seed: int) -> None:
    scenario = programs.read(TARGET.make(Random(seed)))
    first, *rest = cells_of(scenario)
    assert not first  # of `init`
    assert all(len(found) in (5, 6) for found in rest)  # the sixth tells what was mapped
    assert all(0 <= cell < host_states.CELLS for found in rest for cell in found)


def test_an_exit_is_told_from_one_of_its_kind_before_it() -> None:
    """1, 2, 3, 4 or 5, 6 to 8, and more times."""
    _, *found = cells_of([init(), *[exits(ExitCode.RDTSC)] * 12])
    times = [1, 2, 3, 4, 4, 6, 6, 6, 9, 9, 9, 9]
    assert [one == other for one, other in pairwise(found)] == [
        one == other for one, other in pairwise(times)
    ]
    again = cells_of([init(), exits(ExitCode.RDTSC)])[1]
    assert again == found[0]  # an `init` begins anew


def test_an_exit_is_told_from_one_that_ends_otherwise() -> None:
    wrong = exits(ExitCode.HV_DOORBELL_PAGE, 9)  # no such operation
    asks = exits(ExitCode.HV_DOORBELL_PAGE, DoorbellOperation.QUERY)
    ended = [cells_of([init(), one])[1] for one in (asks, wrong, exits(ExitCode.RDTSC))]
    assert len(set(map(frozenset, ended))) == 3
    held = exits(ExitCode.AP_RESET_HOLD)
    assert cells_of([init(), held])[1] != cells_of([init(sipi=True), held])[1]


def test_events_that_wait_are_told_apart_and_more_than_two_are_not() -> None:
    irqs: list[Command] = [{"op": "irq", "cpu": 0, "vector": vector} for vector in range(64, 68)]
    entry: Command = {"op": "enter", "cpu": 0}
    waiting = [cells_of([init(), *irqs[:count], entry])[-1] for count in range(5)]
    # An entry takes one; with none, one, two and more waiting after that, and with an event or without.
    assert waiting[0] != waiting[1] != waiting[2] != waiting[3] == waiting[4]


def test_a_list_that_changes_pages_has_a_cell_of_its_own() -> None:
    assert [len(found) for found in cells_of([init(), LIST, exits(ExitCode.RDTSC)])] == [0, 6, 5]


def test_cells_are_marked_among_the_counters_where_there_is_room_for_them() -> None:
    before = probes.reserve(0)
    TARGET.observe = states.marking(HOST)
    assert probes.reserve(0) == before + host_states.CELLS
    try:
        probes.clear()
        TARGET.carry_out([init(), LIST])
        marked = {number - before for number in range(before, probes.reserve(0))}
        now = {cell for cell in marked if probes.counters[before + cell]}
    finally:
        TARGET.observe = None
        probes.clear()
    assert now == cells_of([init(), LIST])[1]
