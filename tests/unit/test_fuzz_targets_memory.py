"""The targets `svsm` and `svsm-hostile`: what their mutator makes, how bytes become scenarios, what they
find."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.campaigns.cases import BY_THE_HOST
from tests.checkout import quirk_scenario
from vmgexit.descriptions import Command
from vmgexit.machine import program
from vmgexit.machine.commands import checked
from vmgexit.machine.machine import Machine
from vmgexit.machine.program import SIZE, spelled
from vmgexit.machine.quirks import MEMORY
from vmgexit_fuzz.inputs import memory, memory_programs
from vmgexit_fuzz.inputs.memory import BURSTS, HOSTILE, Burst, Pick
from vmgexit_fuzz.targets import USUAL, Conditions, Finding, find
from vmgexit_fuzz.targets.whole_svsm import OPENING, HostileWholeSvsm, WholeSvsm

SVSM = WholeSvsm(find("svsm"), USUAL)
HOSTILE_SVSM = HostileWholeSvsm(find("svsm-hostile"), USUAL)
LONGEST = find("svsm").longest
SEEDS = range(600)


def named(name: str) -> str:
    return "svsm-hostile" if name in BY_THE_HOST else "svsm"


@pytest.mark.parametrize("name", MEMORY)
def test_each_quirk_is_found_and_not_in_the_reference(name: str) -> None:
    row, data = find(named(name)), program.write(quirk_scenario(name))
    assert row.open().run(data) > 1
    target = row.open(Conditions(profile=name))
    with pytest.raises(Finding, match=r"^(MEM|INV)-\d+ at call "):
        target.run(data)
    assert "->" in target.examine(data)[1]


@given(data=st.binary(max_size=20 * SIZE))
@settings(max_examples=100, deadline=None)
@pytest.mark.parametrize("target", [SVSM, HOSTILE_SVSM])
def test_any_bytes_are_a_scenario_that_reads_back_as_itself(target: WholeSvsm, data: bytes) -> None:
    commands = target.commands(data)
    for command in commands:
        checked(command)
    assert target.commands(program.write(commands)) == commands
    assert target.run(data) == len(commands)


def test_an_honest_host_takes_nothing_and_does_not_lie() -> None:
    taken: Command = {"op": "host_page", "gpa": 0x30000, "to": "shared"}
    lies: Command = {"op": "psp", "answers": ["invalid", "ok", {"err": 1 << 32, "rbx": 3}, "stale"]}
    data = program.write([OPENING, taken, lies])
    honest = {"op": "psp", "answers": ["ok", {"err": 1 << 32, "rbx": 3}]}
    assert SVSM.commands(data) == [OPENING, honest]
    assert HOSTILE_SVSM.commands(data) == [OPENING, taken, lies]


def test_a_machine_without_memory_becomes_one_with() -> None:
    data = program.write([{"op": "init", "cpus": 3, "reg_count": 1}])
    assert SVSM.commands(data) == [OPENING | {"cpus": 3, "reg_count": 1}]


@pytest.mark.parametrize("burst", BURSTS | HOSTILE, ids=lambda burst: str(burst.__name__))
def test_bursts_are_valid_commands(burst: Burst) -> None:
    opening = spelled(OPENING | {"cpus": 4})
    for seed in range(2000):
        assert burst(Pick(seed), 0)
    for seed in range(60):
        for command in burst(Pick(seed), seed % 3):
            checked(command)
            assert command.get("cpu", 0) < 4
            read = program.read(opening + spelled(command), memory=True)
            assert read[1:] == [command]


def test_vcpus_are_created_one_after_the_other() -> None:
    """Of up to six that a burst creates, how many the SVSM has then."""
    created = set()
    for seed in range(300):
        machine = Machine()
        for command in (OPENING, *memory._vcpus(Pick(seed), 0)):
            machine.execute(command)
        assert machine.vm.registry is not None
        created.add(sum(one.guest_owned for one in machine.vm.registry.entries))
    assert created >= {2, 3, 4, 5, 6}


def test_layouts_are_valid() -> None:
    kinds = set()
    for seed in SEEDS:
        made = memory.layout(Pick(seed))
        checked(made)
        kinds |= {state for _, _, state, _ in made["pages"]}
    assert kinds == {"shared", "private", "valid", "huge-private", "huge-valid"}


def test_mutations_are_of_whole_operations_and_the_same_each_time() -> None:
    data = b""
    one, other = (memory_programs.stock(hostile=True) for _ in range(2))
    for seed in SEEDS:
        changed = memory_programs.mutate(data, LONGEST, seed, one)
        assert changed == memory_programs.mutate(data, LONGEST, seed, other)
        assert len(changed) <= LONGEST
        assert len(changed) % SIZE == 0
        data = changed


@given(data=st.binary(max_size=300), seed=st.integers(0, 1 << 31), longest=st.integers(0, 400))
def test_any_input_is_mutated(data: bytes, seed: int, longest: int) -> None:
    assert len(SVSM.mutate(data, longest, seed)) <= longest


def lists() -> list[tuple[int, list[int]]]:
    """Lists that are made from nothing: how many entries the header counts, and what is there."""
    found = []
    for seed in range(4000):
        for command in SVSM.commands(SVSM.make(random.Random(seed))):
            if command["op"] == "write" and command["gpa"] == memory.LIST:
                held = bytes.fromhex(command["hex"])
                words = [
                    int.from_bytes(held[at : at + 8], "little") for at in range(8, len(held), 8)
                ]
                found.append((int.from_bytes(held[:2], "little"), words))
    return found


def test_lists_mean_something() -> None:
    found = lists()
    assert {510, 511} <= {count for count, _ in found}
    entries = [entry for _, words in found for entry in words]
    assert any(entry & 3 == 1 for entry in entries)  # 2 MiB
    assert any(entry & 3 == 0 for entry in entries)
    about = {entry & -0x1000 for entry in entries}
    # Its own page, the calling area, the SVSM's VMSA, the end of memory, one that wraps.
    assert about >= {memory.LIST, memory.FIRST_AREA, 0x801000, memory.END, (1 << 64) - 0x1000}


def test_what_the_mutator_makes_is_mostly_served() -> None:
    """A generator whose calls are all refused at once would find nothing."""
    served = refused = 0
    for seed in range(60):
        execution = SVSM.begin()
        for command in SVSM.commands(SVSM.make(random.Random(seed))):
            answer = execution.execute(command)
            if command["op"] == "call" and "rax" in answer:
                served += answer["rax"] == 0
                refused += answer["rax"] != 0
    assert served > 60
    assert refused > 60
