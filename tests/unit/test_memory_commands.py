"""The spellings of memory commands: bytes written by hand, and programs of any bytes."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.test_commands import operation
from vmgexit.descriptions import Command
from vmgexit.errors import ScenarioError
from vmgexit.machine import program
from vmgexit.machine.commands import ON_MEMORY, call, checked
from vmgexit.machine.machine import Machine
from vmgexit.machine.program import SIZE
from vmgexit.machine.scenario import show

FULL = (1 << 64) - 1


INIT: Command = {
    "op": "init",
    "cpus": 1,
    "memory": [[0, 0x1000000]],
    "svsm": [0x800000, 0x200000],
    "pages": [[0, 0x200000, "valid", 0x11]],
    "caa": 0x8000,
    "sev_features": 1,
    "npf": "assign",
    "unvalidated": "vc",
}
BEGUN = (
    operation("00 01 00 01", 1, 1, 0, 0x8000, 1)
    + operation("1d 00 00 00", 0, 0, 0, 0x1000000)
    + operation("1e 00 00 00", 0, 0, 0x800000, 0x200000)
    + operation("1f 00 02 00", 0, 0, 0, 0x200000, 0x11)
)

SPELLED: list[tuple[Command, str, str]] = [
    (
        call(0, 6, 1, 2, 3, protocol=0) | {"pending": False},
        operation("01 00 00 04", 0, 6, 1, 2, 3),
        "cpu=0 protocol=0 request=6 rcx=0x1 rdx=0x2 r8=0x3 pending=no   (SVSM_CORE_QUERY_PROTOCOL)",
    ),
    (
        {"op": "host_page", "gpa": 0x3000, "to": "remap", "fill": 7, "spa": 0x9000},
        operation("13 00 04 03", 7, 0, 0x3000, 0x9000),
        "gpa=0x3000 to=remap fill=0x7 spa=0x9000",
    ),
    (
        {"op": "write", "gpa": 0x10, "hex": "01" * 25 + "00" * 30, "by": "host"},
        operation("14 00 03 04", 0, 55, 0x10)
        + "20000000" + "00" * 8 + "01" * 24
        + "20000100" + "00" * 8 + "01" + "00" * 23,
        f"gpa=0x10 hex={'01' * 25}{'00' * 30} by=host",
    ),
    (
        {"op": "read", "gpa": 0x10, "len": 8, "by": 2},
        operation("15 00 01 04", 0, 8, 0x10),
        "gpa=0x10 len=8 by=2",
    ),
    (
        {"op": "vmsa", "gpa": 0x3000, "by": 2, "vmpl": 2, "rax": FULL, "efer": 0x1000, "exit_code": 5},
        operation("16 00 01 01", 2, 0, 0x3000, FULL)
        + operation("23 00 00 04", 0, 0, 0, 0, 0x1000)
        + operation("24 00 00 02", 0, 0, 0, 5),
        f"gpa=0x3000 by=2 vmpl=2 rax={FULL:#x} efer=0x1000 exit_code=0x5",
    ),
    ({"op": "page", "gpa": 0x3000}, operation("17 00 00 00", 0, 0, 0x3000), "gpa=0x3000"),
    ({"op": "calling_area", "cpu": 0}, operation("18 00 00 00"), "cpu=0"),
    ({"op": "registry"}, operation("19 00 00 00"), ""),
    ({"op": "run", "cpu": 0, "on": True}, operation("1a 00 00 01"), "cpu=0 on=yes"),
    (
        {"op": "adjust", "gpa": 0x3000, "vmpl": 3, "perms": 15},
        operation("1b 00 03 00", 15, 0, 0x3000),
        "gpa=0x3000 vmpl=3 perms=0xf",
    ),
    (
        {
            "op": "psp",
            "answers": ["stale", {"err": 1 << 32, "rbx": 9}, {"status": 22}],
            "certs": [5, 0x40, True],
        },
        operation("1c 00 00 00")
        + operation("21 00 02 00")
        + operation("21 00 05 00", 0, 0, 1 << 32, 9)
        + operation("21 00 06 00", 0, 0, 0, 0, 22)
        + operation("22 00 40 01", 0, 0, 5),
        "answers=stale,err 0x100000000+rbx 0x9,status 0x16 certs=5+0x40+yes",
    ),
]  # fmt: skip


def test_every_memory_command_is_spelled_here() -> None:
    assert {command["op"] for command, _, _ in SPELLED} == ON_MEMORY | {"call"}


def test_the_spelling_of_a_layout() -> None:
    assert checked(INIT) is INIT
    assert program.spelled(INIT).hex() == BEGUN
    assert program.read(bytes.fromhex(BEGUN), memory=True) == [INIT]


@pytest.mark.parametrize(
    ("command", "spelled", "shown"), SPELLED, ids=[command["op"] for command, _, _ in SPELLED]
)
def test_the_spellings_of_a_command(command: Command, spelled: str, shown: str) -> None:
    assert checked(command) is command
    assert program.spelled(command).hex() == spelled
    assert program.read(bytes.fromhex(BEGUN + spelled), memory=True) == [INIT, command]
    assert show([command]) == f"     0 {command['op']:14} {shown}"
    assert program.read(program.write([INIT, command]), memory=True) == [INIT, command]


@pytest.mark.parametrize("memory", [False, True])
@given(data=st.binary(max_size=8 * SIZE))
def test_every_byte_string_is_a_program_that_can_be_carried_out(memory: bool, data: bytes) -> None:
    machine = Machine()
    for command in program.read(data, memory=memory):
        machine.execute(checked(command))
        assert memory or (command["op"] not in ON_MEMORY and "memory" not in command)


@given(st.lists(st.sampled_from(range(37)), max_size=12), st.randoms(use_true_random=False))
def test_programs_with_memory_too(codes: list[int], random: Random) -> None:
    operations = [bytes([code, *random.randbytes(SIZE - 1)]) for code in codes]
    data = bytes.fromhex(BEGUN) + b"".join(operations)
    machine = Machine()
    commands = program.read(data, memory=True)
    for command in commands:
        machine.execute(checked(command))
    assert program.read(program.write(commands), memory=True) == commands


def test_what_a_machine_cannot_do_has_no_spelling() -> None:
    plain: Command = {"op": "init", "cpus": 1, "reg_count": 0}
    with pytest.raises(ScenarioError, match="command 1: page: the machine has no memory"):
        program.write([plain, {"op": "page", "gpa": 0}])
    with pytest.raises(ScenarioError, match="command 1: set_vmsa: the machine has memory"):
        program.write([INIT, {"op": "set_vmsa", "cpu": 0}])


def test_a_piece_that_comes_twice_is_taken_once_more() -> None:
    """And the commands that an equal program gave before stay as they are."""
    state: Command = {"op": "vmsa", "gpa": 0x30000, "by": 2, "vmpl": 2, "sev_features": 0x11}
    data = program.write([INIT, state])
    first = program.read(data, memory=True)
    last = data[-SIZE:]
    assert program.read(data + last, memory=True) == first == program.read(data, memory=True)
    psp: Command = {"op": "psp", "answers": ["ok"]}
    answered = program.write([INIT, psp])
    twice = program.read(answered + answered[-SIZE:], memory=True)
    assert twice[-1]["answers"] == ["ok", "ok"]
    assert program.read(answered, memory=True)[-1] == psp
