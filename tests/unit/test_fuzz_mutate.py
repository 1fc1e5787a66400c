"""Mutation of programs: whatever goes in, what comes out is short enough, repeatable and a scenario."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vmgexit.machine import program
from vmgexit.machine.commands import WITHOUT_MEMORY, call, checked
from vmgexit.machine.machine import Machine
from vmgexit.machine.program import CODES, SIZE, Operation, spelled
from vmgexit.wire.apic import ApicCall
from vmgexit_fuzz.inputs import bursts
from vmgexit_fuzz.inputs.bursts import BURSTS, Burst, Pick
from vmgexit_fuzz.inputs.programs import MUTATIONS, mutate, stock
from vmgexit_fuzz.inputs.stock import ON_A_SHELF, SHELVES

INIT = spelled({"op": "init", "cpus": 2, "reg_count": 1})
SEEDS = range(60)


@given(
    data=st.binary(max_size=40 * 36),
    longest=st.integers(0, 60 * 36),
    seed=st.integers(0, (1 << 32) - 1),
)
@settings(max_examples=300)
def test_any_bytes_give_a_program_within_the_limit(data: bytes, longest: int, seed: int) -> None:
    changed = mutate(data, longest, seed)
    assert isinstance(changed, bytes)
    assert len(changed) <= longest
    assert len(changed) % SIZE == 0
    assert changed == mutate(data, longest, seed)


@pytest.mark.parametrize("size", [0, 1, SIZE - 1, SIZE, SIZE + 1, 10 << 20])
def test_sizes_at_the_edges(size: int) -> None:
    data = bytes(size)
    for seed in range(3):
        assert len(mutate(data, 36 * 96, seed)) <= 36 * 96


def test_nothing_becomes_a_program() -> None:
    for seed in SEEDS:
        changed = mutate(b"", 36 * 96, seed)
        # Deleting may leave nothing again.
        if changed:
            assert changed[0] % len(CODES) == CODES["init"]


def test_most_mutations_change_something() -> None:
    data = INIT + spelled({"op": "enter", "cpu": 0}) * 5
    results = {mutate(data, 36 * 96, seed) for seed in SEEDS}
    assert len(results) > len(SEEDS) * 3 // 4


@pytest.mark.parametrize("burst", BURSTS, ids=lambda burst: str(burst.__name__))
def test_bursts_are_valid_commands(burst: Burst) -> None:
    kinds = set()
    for seed in SEEDS:
        commands = burst(Pick(seed), seed % 3)
        assert commands
        for command in commands:
            checked(command)
            assert command["cpu"] < 4
            # What is mutated is the binary spelling, so that one must hold it all.
            read = program.read(
                spelled({"op": "init", "cpus": 4, "reg_count": 1}) + spelled(command)
            )
            assert read[1:] == [command]
        kinds.add(tuple(command["op"] for command in commands))
    assert kinds


def test_bursts_together_use_every_operation_of_interest() -> None:
    used = {command["op"] for burst in BURSTS for seed in SEEDS for command in burst(Pick(seed), 0)}
    # These only look; init is the mutator's own.
    assert used == set(WITHOUT_MEMORY) - {"init", "doorbell", "state"}


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: str(mutation.__name__))
def test_each_mutation_keeps_whole_operations(mutation: object) -> None:
    assert callable(mutation)
    changed = 0
    for seed in SEEDS:
        operations = [INIT, spelled({"op": "enter", "cpu": 0}), spelled({"op": "state", "cpu": 1})]
        before = list(operations)
        mutation(Pick(seed), operations)
        assert all(len(operation) % Operation.size == 0 for operation in operations)
        changed += operations != before
    assert changed > len(SEEDS) // 3


def test_programs_from_nothing_differ_and_are_made_of_shelves() -> None:
    """Each has a burst of its own; those of a shelf name the same few vectors more often than others."""
    made = stock()
    pick = random.Random(1)
    programs = [made.program(pick) for _ in range(400)]
    assert len(set(programs)) == 400
    assert all(len(program) % SIZE == 0 for program in programs)
    assert {program[:1] for program in programs} == {b"\0"}  # init
    assert len(made.shelves) == SHELVES
    assert all(0 < len(shelf.bursts) <= ON_A_SHELF for shelf in made.shelves)
    again = stock()
    pick = random.Random(1)
    assert [again.program(pick) for _ in range(400)] == programs


def test_nests_put_two_to_five_interrupts_in_service_and_leave_some_there() -> None:
    deepest, left = set(), set()
    for seed in range(400):
        machine = Machine()
        machine.execute({"op": "init", "cpus": 3, "reg_count": 1})
        machine.execute(call(0, ApicCall.CONFIGURE_VECTOR, 0x300))  # all vectors allowed
        counts = []
        for command in bursts._nest(Pick(seed), 0):
            machine.execute(command)
            counts.append(len(machine.vm.vcpus[0].apic.isr))
        deepest.add(max(counts))
        left.add(counts[-1])
    assert deepest >= {2, 3, 4, 5}
    assert left >= {0, 1, 2, 3}
