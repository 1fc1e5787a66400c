"""Targets of the machine beside `scenario`: how their bytes become scenarios, and what they find."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vmgexit.descriptions import Command
from vmgexit.guests.follow import remarks
from vmgexit.guests.linux import LINUX
from vmgexit.machine import program
from vmgexit.machine.commands import REFUSABLE, call, checked
from vmgexit.machine.machine import Machine
from vmgexit.machine.program import CODES, Operation, spelled
from vmgexit.machine.rules import apic_registers
from vmgexit.machine.rules import calls as svsm
from vmgexit.wire.apic import ApicCall, ApicRegister
from vmgexit.wire.svsm import CoreCall, Protocol, ResultCode
from vmgexit_fuzz.inputs import hostile
from vmgexit_fuzz.targets import USUAL, Conditions, Finding, find, svsm_calls
from vmgexit_fuzz.targets.hostile_host import HostileHost
from vmgexit_fuzz.targets.scenarios import ProgramTarget, Scenario
from vmgexit_fuzz.targets.svsm_calls import SvsmCalls

AS_LINUX = Scenario(find("scenario"), Conditions(guest="linux"))
SVSM_CALLS = SvsmCalls(find("svsm-calls"), USUAL)
HOSTILE_HOST = HostileHost(find("hostile-host"), USUAL)

INIT: Command = {"op": "init", "cpus": 1, "reg_count": 1}
ENTER: Command = {"op": "enter", "cpu": 0}


def called(request: int, rcx: int, rdx: int = 0, protocol: int = Protocol.APIC) -> Command:
    return call(0, request, rcx, rdx, protocol=protocol)


def act(*arguments: int) -> bytes:
    """An operation that only looks, but for its arguments."""
    return bytes([CODES["doorbell"], 0, *arguments]).ljust(Operation.size, b"\0")


@given(data=st.binary(max_size=20 * 36))
@settings(max_examples=100)
@pytest.mark.parametrize("target", [SVSM_CALLS, HOSTILE_HOST, AS_LINUX])
def test_any_bytes_are_a_scenario_that_reads_back_as_itself(
    target: ProgramTarget, data: bytes
) -> None:
    commands = target.commands(data)
    for command in commands:
        checked(command)
    assert target.commands(program.write(commands)) == commands
    assert target.run(data) == len(commands)


# --- scenario, with a guest -----------------------------------------------------------------------


def test_with_a_guest_an_input_is_what_that_guest_does() -> None:
    made = [
        INIT,
        called(ApicCall.CONFIGURE_EMULATION, 1),  # never
        called(ApicCall.WRITE_REGISTER, ApicRegister.EOI),  # not now
        called(ApicCall.WRITE_REGISTER, ApicRegister.TPR, 0x10),
        {"op": "host_irq", "cpu": 0, "vector": 0x31, "level": False},
        ENTER,
        {"op": "guest_lazy_eoi", "cpu": 0},  # never
        {"op": "guest", "cpu": 0, "if": True, "shadow": False},
        {"op": "guest_take", "cpu": 0},
        called(ApicCall.WRITE_REGISTER, ApicRegister.TPR, 0x10),  # not now
        called(ApicCall.WRITE_REGISTER, ApicRegister.EOI),
    ]
    allowed = called(ApicCall.CONFIGURE_VECTOR, 0x300)
    expected = [made[0], allowed, *made[3:6], *made[7:9], made[10]]
    assert AS_LINUX.commands(program.write(made)) == expected


def test_an_input_of_a_guest_ends_where_the_guest_does() -> None:
    """The SVSM of this quirk would go on; Linux's driver takes no refusal."""
    target = Scenario(find("scenario"), Conditions(guest="linux"))
    remap = called(CoreCall.REMAP_CA, 0x20002000, protocol=Protocol.CORE)  # in use
    data = program.write([INIT, remap, ENTER])
    assert target.commands(data)[-1] == remap
    assert target.ending(data) == (
        "linux ends itself: SVSM_CORE_REMAP_CA (moves its calling area) answered 0x80000003"
    )
    assert target.examine(data)[0] is None


def test_mutation_for_a_guest_makes_its_calls() -> None:
    data = program.write([{**INIT, "cpus": 2}, ENTER])
    made: set[tuple[int, int]] = set()
    for seed in range(300):
        commands = AS_LINUX.commands(AS_LINUX.mutate(data, 36 * 96, seed))
        assert not [one for one in remarks(LINUX, commands, Machine()) if not one.ends]
        calls = [c for c in commands if c["op"] == "call" and c["protocol"] == Protocol.APIC]
        made |= {(c["request"], c["rcx"]) for c in calls}
    expected = {(2, r) for r in (0x802, 0x808, 0x80A, 0x830)}
    assert made >= expected | {(3, r) for r in (0x808, 0x80B, 0x830)}


# --- svsm-calls -----------------------------------------------------------------------------------


def test_every_operation_is_a_call_and_most_are_ones_that_there_are() -> None:
    data = b"".join(Random(number).randbytes(36) for number in range(800))
    made = SVSM_CALLS.commands(data)
    assert {command["op"] for command in made} == {"init", "call"}
    numbers = [(c["protocol"], c["request"]) for c in made if c["op"] == "call"]
    known = [number for number in numbers if number in svsm_calls._CALLS]
    assert len(known) > len(numbers) // 4
    assert set(known) == set(svsm_calls._CALLS)
    assert {Protocol.UEFI_MM, 6, (1 << 32) - 1} <= {protocol for protocol, _ in numbers}


BOOKED = [
    called(ApicCall.WRITE_REGISTER, ApicRegister.ICR, 0x40061),
    called(ApicCall.READ_REGISTER, ApicRegister.ICR),
    called(ApicCall.READ_REGISTER, ApicRegister.LDR),
    called(ApicCall.READ_REGISTER, ApicRegister.IRR3),
]


@pytest.mark.parametrize(
    ("value", "at"), [(0x10061, 2), (2, 3), (1 << 5, 4)], ids=("icr", "ldr", "irr")
)
def test_what_registers_read_is_booked(
    monkeypatch: pytest.MonkeyPatch, value: int, at: int
) -> None:
    data = program.write([INIT, *BOOKED])
    assert SVSM_CALLS.run(data) == 5
    monkeypatch.setattr(apic_registers, "read_register", lambda *_: (ResultCode.SUCCESS, value))
    data = program.write([INIT, BOOKED[0], [INIT, *BOOKED][at]])
    with pytest.raises(Finding, match=rf"\w+ reads {value:#x}"):
        SVSM_CALLS.run(data)
    assert SVSM_CALLS.examine(data)[1].splitlines()[2].startswith("->   2 call")


def test_a_code_that_is_not_listed_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even where the oracle of INV-9 has the same mistake."""

    def wrong(*_: object, **__: object) -> ResultCode:
        return ResultCode.BUSY

    monkeypatch.setattr(svsm, "dispatch", wrong)
    monkeypatch.setattr("vmgexit.machine.machine.dispatch", wrong)
    monkeypatch.setattr("vmgexit.watch.invariants.documented_code", wrong)
    data = program.write([INIT, called(CoreCall.REMAP_CA, 0, protocol=Protocol.CORE)])
    with pytest.raises(Finding, match="answered 0x80000007, listed are SUCCESS") as found:
        SVSM_CALLS.run(data)
    assert found.value.cause == "result code of SVSM_CORE_REMAP_CA"


def test_a_register_that_changes_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def stores(cpu: object, protocol: int, number: int, held: object) -> ResultCode:
        held.r8 = 1  # type: ignore[attr-defined]
        return ResultCode.SUCCESS

    monkeypatch.setattr("vmgexit.machine.machine.dispatch", stores)
    data = program.write([INIT, called(CoreCall.QUERY_PROTOCOL, 1, protocol=Protocol.CORE)])
    with pytest.raises(Finding, match="R8 changed and is no output"):
        SVSM_CALLS.run(data)


# --- hostile-host ---------------------------------------------------------------------------------


def test_looking_with_arguments_is_an_act_of_the_host() -> None:
    plain = program.write([INIT, {"op": "doorbell", "cpu": 0}, {"op": "state", "cpu": 0}])
    assert [command["op"] for command in HOSTILE_HOST.commands(plain)][1:] == ["doorbell", "state"]
    [_, refuses] = HOSTILE_HOST.commands(spelled(INIT) + act(3, 1))
    assert refuses == {"op": "host_refuse", "cpu": 0, "call": REFUSABLE[1]}
    [_, writes] = HOSTILE_HOST.commands(spelled(INIT) + act(0, 0, 0x50, 0, 0, 0, 0x61, 2))
    page = bytes.fromhex(writes["hex"])
    assert (page[0], page[1], page[3]) == (0x50, 0x80, 2)
    assert page[0x80:0x84] == (0x461).to_bytes(4, "little")


def test_mutation_puts_acts_into_programs() -> None:
    held = [hostile.mutate(spelled(INIT) + spelled(ENTER), 36 * 96, seed) for seed in range(60)]
    ops = [command["op"] for data in held for command in HOSTILE_HOST.commands(data)]
    assert ops.count("set_doorbell") > 30
    assert ops.count("host_refuse") > 5
    assert all(len(data) % 36 == 0 for data in held)
    assert hostile.mutate(b"", 0, 1) == b""


NMI_TO_SELF = called(ApicCall.WRITE_REGISTER, ApicRegister.ICR, 0x400)

# A quirk, the invariant that it breaks with any host, and what follows `init`.
FOUND = {
    "refused-ipi-crashes": (
        "INV-10",
        [
            {"op": "host_refuse", "cpu": 0, "call": "hv_ipi"},
            called(ApicCall.WRITE_REGISTER, ApicRegister.ICR, 0xC0061),
        ],
    ),
    "refused-disable-crashes": (
        "INV-10",
        [
            {"op": "host_refuse", "cpu": 0, "call": "disable_alternate_injection"},
            called(ApicCall.CONFIGURE_EMULATION, 1),
        ],
    ),
}


@pytest.mark.parametrize("name", FOUND)
def test_quirks_that_any_host_shows(name: str) -> None:
    invariant, commands = FOUND[name]
    init: Command = {**INIT, "cpus": 2}
    data = program.write([init, *commands])
    assert HOSTILE_HOST.run(data) == len(commands) + 1
    target = find("hostile-host").open(Conditions(profile=name))
    with pytest.raises(Finding, match=invariant):
        target.run(data)
    assert "->" in target.examine(data)[1]


def test_what_only_an_honest_host_promises_is_not_asked_of_any() -> None:
    names = {one.name for one in HostileHost.invariants}
    assert names == {"INV-2", "INV-5", "INV-6", "INV-7", "INV-9", "INV-10"}
    target = find("hostile-host").open(Conditions(profile="physical-nmi-becomes-fixed"))
    other = called(ApicCall.WRITE_REGISTER, ApicRegister.ICR, 0x400 | 1 << 32)
    target.run(program.write([{**INIT, "cpus": 2}, other, ENTER]))
