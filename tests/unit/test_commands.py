"""The descriptions of the commands, beside literal spellings of each: JSON, bytes, a line of a scenario."""

from collections.abc import Iterable
from typing import Any

import pytest

from vmgexit.descriptions import Actor, Argument, Command
from vmgexit.errors import ScenarioError
from vmgexit.machine import program
from vmgexit.machine.commands import COMMANDS, WITHOUT_MEMORY, call, checked
from vmgexit.machine.machine import Machine
from vmgexit.machine.scenario import show

INIT: Command = {"op": "init", "cpus": 2, "reg_count": 5}
PAGE = bytes(range(1, 25)) + bytes(208) + bytes(range(0xE0, 0xF8))
EVENT = 0x80000B0D
FULL = (1 << 64) - 1


def operation(head: str, protocol: int = 0, request: int = 0, *registers: int) -> str:
    """The bytes of an operation: code, vCPU, vector and flags in hex; protocol, call, RCX, RDX, R8."""
    numbers = protocol.to_bytes(4, "little") + request.to_bytes(4, "little")
    for register in (*registers, 0, 0, 0)[:3]:
        numbers += register.to_bytes(8, "little")
    return head.replace(" ", "") + numbers.hex()


# A command, its bytes, and how a person sees its arguments.
SPELLED: list[tuple[Command, str, str]] = [
    (INIT, operation("00 02 00 00", 0, 0, 5), "cpus=2 reg_count=5"),
    (
        {**INIT, "apic_ids": [7, 0xFFFFFFFF]},
        operation("00 02 00 00", 0, 0, 5)
        + operation("11 00 00 00", 0, 0, 7)
        + operation("11 00 00 00", 0, 0, 0xFFFFFFFF),
        "cpus=2 reg_count=5 apic_ids=7,4294967295",
    ),
    (
        call(1, 3, 0x830, FULL, 9),
        operation("01 01 00 00", 3, 3, 0x830, FULL, 9),
        f"cpu=1 protocol=3 request=3 rcx=0x830 rdx={FULL:#x} r8=0x9   (SVSM_APIC_WRITE_REGISTER)",
    ),
    (
        {"op": "host_irq", "cpu": 1, "vector": 0x61, "level": True},
        operation("02 01 61 01"),
        "cpu=1 vector=0x61 level=yes",
    ),
    ({"op": "enter", "cpu": 0}, operation("03 00 00 00"), "cpu=0"),
    (
        {
            "op": "enter",
            "cpu": 1,
            "late": [{"vector": 0x31, "level": False}, {"vector": 0xFF, "level": True}],
        },
        operation("03 01 00 00") + operation("10 00 31 00") + operation("10 00 ff 01"),
        "cpu=1 late=0x31,0xff level",
    ),
    ({"op": "guest_take", "cpu": 1}, operation("04 01 00 00"), "cpu=1"),
    (
        {"op": "guest_take", "cpu": 1, "gate": False},
        operation("04 01 00 04"),
        "cpu=1 gate=no",
    ),
    (
        {"op": "guest_take", "cpu": 1, "gate": True},
        operation("04 01 00 05"),
        "cpu=1 gate=yes",
    ),
    (
        {"op": "guest", "cpu": 0, "if": True, "shadow": False},
        operation("05 00 00 01"),
        "cpu=0 if=yes shadow=no",
    ),
    (
        {"op": "guest", "cpu": 0, "if": False, "shadow": True, "cr8": 15},
        operation("05 00 0f 06"),
        "cpu=0 if=no shadow=yes cr8=0xf",
    ),
    ({"op": "guest_lazy_eoi", "cpu": 1}, operation("06 01 00 00"), "cpu=1"),
    (
        {"op": "intercept", "cpu": 0, "exitintinfo": EVENT, "busy": True},
        operation("07 00 00 01", 0, 0, EVENT),
        "cpu=0 exitintinfo=0x80000b0d busy=yes",
    ),
    ({"op": "set_vmsa", "cpu": 1}, operation("08 01 00 00"), "cpu=1"),
    (
        {"op": "set_vmsa", "cpu": 1, "event_inj": EVENT, "vintr": 3},
        operation("08 01 00 03", 0, 0, EVENT, 3),
        "cpu=1 event_inj=0x80000b0d vintr=0x3",
    ),
    ({"op": "doorbell", "cpu": 1}, operation("09 01 00 00"), "cpu=1"),
    (
        {"op": "set_doorbell", "cpu": 1, "hex": PAGE.hex()},
        operation("0a 01 00 00")
        + f"1200 0000 {'00' * 8} {PAGE[:24].hex()}"
        + f"1200 0900 {'00' * 8} {PAGE[216:240].hex()}"
        + f"1200 0a00 {'00' * 8} {PAGE[240:].hex()} {'00' * 8}",
        "cpu=1 hex=0x0:01020304 0x4:05060708 0x8:090a0b0c 0xc:0d0e0f10 0x10:11121314 0x14:15161718"
        " 0xe8:e0e1e2e3 0xec:e4e5e6e7 0xf0:e8e9eaeb 0xf4:ecedeeef 0xf8:f0f1f2f3 0xfc:f4f5f6f7",
    ),
    ({"op": "state", "cpu": 0}, operation("0b 00 00 00"), "cpu=0"),
    (
        {"op": "host_refuse", "cpu": 0, "call": "disable_alternate_injection"},
        operation("0c 00 02 00"),
        "cpu=0 call=disable_alternate_injection",
    ),
    (
        {"op": "host_begin", "cpu": 1, "vector": 31, "level": False},
        operation("0d 01 1f 00"),
        "cpu=1 vector=0x1f level=no",
    ),
    ({"op": "host_step", "cpu": 1}, operation("0e 01 00 00"), "cpu=1"),
    ({"op": "svsm_step", "cpu": 1}, operation("0f 01 00 00"), "cpu=1"),
    ({"op": "svsm_hv", "cpu": 1}, operation("25 01 00 00"), "cpu=1"),
]


def test_every_command_is_spelled_here() -> None:
    assert {command["op"] for command, _, _ in SPELLED} == set(WITHOUT_MEMORY)


@pytest.mark.parametrize(
    ("command", "spelled", "shown"), SPELLED, ids=[command["op"] for command, _, _ in SPELLED]
)
def test_the_spellings_of_a_command(command: Command, spelled: str, shown: str) -> None:
    data = bytes.fromhex(spelled)
    assert checked(command) is command
    assert program.spelled(command) == data
    if command["op"] == "init":
        assert program.read(data) == [command]
    else:
        assert program.read(program.spelled(INIT) + data) == [INIT, command]
    assert show([command]) == f"     0 {command['op']:14} {shown}"


# What VMRUN sees of a vCPU, in answers that hold it.
VMRUN = "event_inj event_valid event_type event_vector nmi v_irq v_intr_vector v_intr_prio v_ign_tpr v_tpr"


@pytest.mark.parametrize("command", [row[0] for row in SPELLED], ids=lambda command: command["op"])
def test_the_machine_answers_by_the_keys_that_are_told(command: Command) -> None:
    machine = Machine()
    machine.execute(INIT)
    answer = machine.execute(command)
    told = COMMANDS[command["op"]].answers.replace("VMRUN", f"{VMRUN} no_eoi_required").split()
    needed = {key for key in told if not key.endswith("?")}
    assert needed <= set(answer) <= {key.removesuffix("?") for key in told}


# What is wrong with a command, by what is put into one that is right, and what the message says.
WRONG: list[tuple[Command, dict[str, Any], str]] = [
    (INIT, {"cpus": 0}, "init.cpus: 0 is not a number from 1 to 255"),
    (INIT, {"cpus": 256}, "init.cpus: 256 is not a number from 1 to 255"),
    (INIT, {"cpus": True}, "init.cpus: True is not a number from 1 to 255"),
    (INIT, {"apic_ids": [1]}, "init.apic_ids: 1 ids found, 2 expected"),
    (INIT, {"apic_ids": [1, 1]}, "init.apic_ids: the ids of two vCPUs are the same"),
    (INIT, {"apic_ids": [1, -1]}, "init.apic_ids: [1, -1] is not a list of numbers from 0 to 4"),
    (call(0, 1), {"r8": 1 << 64}, "call.r8: 18446744073709551616 is not a number from 0 to 1844"),
    (call(0, 1), {"r9": 0}, "call has no argument r9"),
    ({"op": "enter", "cpu": 0}, {"late": [{"vector": 1}]}, "interrupts with vector and level"),
    ({"op": "enter", "cpu": 0}, {"late": {}}, "enter.late: {} is not a list of interrupts"),
    ({"op": "guest_take", "cpu": 0}, {"gate": 1}, "guest_take.gate: 1 is not true or false"),
    ({"op": "guest", "cpu": 0, "if": True}, {}, "guest needs shadow"),
    ({"op": "set_doorbell", "cpu": 0}, {"hex": "00"}, "'00' is not the hex of 256 bytes"),
    ({"op": "set_doorbell", "cpu": 0}, {"hex": "zz" * 256}, "is not the hex of 256 bytes"),
    ({"op": "host_refuse", "cpu": 0}, {"call": []}, "[] is not one of specific_eoi, hv_ipi, dis"),
    ({"op": "reset"}, {}, "op 'reset': not one of init, call, host_irq, "),
    ({"op": ["init"]}, {}, "op ['init']: not one of "),
    ({}, {}, "op None: not one of "),
]


@pytest.mark.parametrize(("command", "put", "message"), WRONG)
def test_a_wrong_command_is_named_with_its_argument(
    command: Command, put: dict[str, Any], message: str
) -> None:
    with pytest.raises(ScenarioError) as caught:
        checked(command | put)
    assert message in str(caught.value)


@pytest.mark.parametrize("value", [None, 5, "enter", [INIT]])
def test_what_is_no_object_is_no_command(value: Any) -> None:
    with pytest.raises(ScenarioError, match="a command object expected"):
        checked(value)


def test_codes_are_all_different_and_leave_no_gap() -> None:
    assert sorted(program.CODES.values()) == list(range(len(program.CODES)))
    pieces = {one.piece for d in COMMANDS.values() for one in d.arguments if one.piece}
    assert len(program.CODES) == len(COMMANDS) + len(pieces)


def places(arguments: Iterable[Argument]) -> list[str]:
    """Places, and the flags that say what is given; one flag may do so for several."""
    return [one.place for one in arguments] + list({one.given for one in arguments} - {""})


@pytest.mark.parametrize("name", COMMANDS)
def test_no_two_arguments_stand_in_one_place(name: str) -> None:
    taken = places([one for one in COMMANDS[name].arguments if one.piece is None])
    assert len(set(taken)) == len(taken)
    flags = [one.name for one in program.Flags.declaration.fields]
    known = {*program.PLACES, *flags} - {"code", "flags"}
    assert set(taken) <= known


@pytest.mark.parametrize("name", COMMANDS)
def test_what_can_be_left_out_says_in_the_bytes_whether_it_is_there(name: str) -> None:
    for argument in COMMANDS[name].arguments:
        assert argument.optional == bool(argument.given) or argument.piece


def test_each_but_init_is_for_a_vcpu_where_there_is_no_memory() -> None:
    for name, described in WITHOUT_MEMORY.items():
        assert ("cpu" in described.needed) == (name != "init")


def test_what_a_guest_does_ends_an_entry_that_is_under_way() -> None:
    assert {name for name, one in WITHOUT_MEMORY.items() if one.by is Actor.GUEST} == {
        "call",
        "guest_take",
        "guest",
        "guest_lazy_eoi",
        "intercept",
        "set_vmsa",
    }


@pytest.mark.parametrize(
    ("given", "ids"),
    [
        ([], None),
        ([5], [5, 1, 2]),
        ([1], [1, 2, 0]),
        ([2, 2, 7], [2, 7, 0]),
        ([9, 8, 7, 6], [9, 8, 7]),
    ],
)
def test_apic_ids_that_are_missing_or_twice_are_free_ones(
    given: list[int], ids: list[int] | None
) -> None:
    spelled = operation("00 03 00 00") + "".join(
        operation("11 00 00 00", 0, 0, one) for one in given
    )
    (command,) = program.read(bytes.fromhex(spelled))
    assert command.get("apic_ids") == ids
    checked(command)


def test_numbers_beyond_their_limits_are_taken_modulo() -> None:
    init = bytes.fromhex(operation("00 12 00 00", 0, 0, 1 << 32 | 3))  # 18 vCPUs of 16
    guest = bytes.fromhex(operation("05 07 1f f7"))
    unknown = bytes.fromhex(operation(f"{program.CODES_WITHOUT_MEMORY + 9:02x} 03 00 00"))
    refuse = bytes.fromhex(operation("0c 00 04 00"))
    assert program.read(init + guest + unknown + refuse + b"\5") == [
        {"op": "init", "cpus": 2, "reg_count": 3},
        {"op": "guest", "cpu": 1, "if": True, "shadow": True, "cr8": 15},
        {"op": "doorbell", "cpu": 1},
        {"op": "host_refuse", "cpu": 0, "call": "hv_ipi"},
    ]


def test_a_piece_that_belongs_to_nothing_means_nothing() -> None:
    pieces = [bytes.fromhex(operation(f"{code} 00 31 01")) for code in ("10", "11", "12")]
    state = {"op": "state", "cpu": 0}
    data = program.spelled(INIT) + program.spelled(state) + b"".join(pieces)
    assert program.read(data) == [INIT, state]


@pytest.mark.parametrize(
    ("commands", "message"),
    [
        ([{"op": "state", "cpu": 0}], "a program starts with init"),
        ([INIT, {"op": "state", "cpu": 2}], "command 1: vCPU 2 of 2"),
        ([{"op": "init", "cpus": 17, "reg_count": 0}], "17 vCPUs: a program holds at most 16"),
        ([INIT, {"op": "state"}], "state needs cpu"),
    ],
)
def test_what_has_no_binary_spelling_is_refused(commands: list[Command], message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        program.write(commands)
