"""Registration: the count, the per-vCPU bit, and the machine that they replaced."""

import itertools

import pytest

from vmgexit.machine.commands import call
from vmgexit.machine.machine import Machine
from vmgexit.machine.rules.registration import FULL, LockMachine, configure
from vmgexit.machine.vm import Vm

CANNOT_REGISTER = 0x80001000
INVALID_PARAMETER = 0x80000005
UNSUPPORTED_PROTOCOL = 0x80000001
UNSUPPORTED_CALL = 0x80000002


class Driven:
    """A machine driven by registration calls."""

    def __init__(self, vcpus: int, count: int) -> None:
        self.machine = Machine()
        self.machine.execute({"op": "init", "cpus": vcpus, "reg_count": count})

    def call(self, cpu: int, protocol: int, request: int, rcx: int = 0) -> dict[str, int]:
        return self.machine.execute(call(cpu, request, rcx, protocol=protocol))

    def configure(self, cpu: int, request: int) -> int:
        return self.call(cpu, 3, 1, request)["rax"]

    def enabled(self, cpu: int) -> bool:
        return self.machine.vm.vcpus[cpu].guest.alternate_injection

    @property
    def count(self) -> int:
        return self.machine.vm.registration_count


@pytest.mark.clause("REG-6")
def test_firmware_and_operating_system_both_register() -> None:
    vm = Driven(3, 1)  # the SVSM counts 1 for firmware (REG-1)
    assert vm.configure(0, 0b10) == 0
    assert vm.count == 2
    assert vm.configure(0, 0b01) == 0  # ExitBootServices
    assert vm.count == 1
    for cpu in range(3):
        assert vm.configure(cpu, 0b00) == 0
        assert vm.enabled(cpu)


@pytest.mark.clause("REG-4", "REG-7")
def test_the_operating_system_does_not_register() -> None:
    vm = Driven(3, 1)
    assert vm.configure(0, 0b01) == 0
    assert vm.count == 0
    assert [vm.enabled(cpu) for cpu in range(3)] == [False, True, True]
    assert vm.configure(2, 0b00) == 0
    assert [vm.enabled(cpu) for cpu in range(3)] == [False, True, False]
    assert vm.configure(1, 0b00) == 0
    assert not vm.enabled(1)


@pytest.mark.clause("REG-2")
@pytest.mark.parametrize("request_", [3, 4, 1 << 2, 1 << 32, 1 << 63, (1 << 64) - 1])
def test_any_other_request_is_refused(request_: int) -> None:
    vm = Driven(1, 1)
    assert vm.configure(0, request_) == INVALID_PARAMETER
    assert vm.count == 1
    assert vm.enabled(0)


@pytest.mark.clause("REG-3")
def test_a_count_of_0_never_rises() -> None:
    vm = Driven(2, 1)
    vm.configure(0, 0b01)
    assert vm.configure(1, 0b10) == CANNOT_REGISTER
    assert vm.count == 0


def test_a_full_count_does_not_wrap() -> None:
    vm = Driven(1, FULL)
    assert vm.configure(0, 0b10) == CANNOT_REGISTER
    assert vm.count == FULL


@pytest.mark.clause("REG-5")
def test_aligning_changes_nothing_while_registered() -> None:
    vm = Driven(2, 2)
    before = vm.machine.execute({"op": "state", "cpu": 1})
    assert vm.configure(1, 0b00) == 0
    assert vm.machine.execute({"op": "state", "cpu": 1}) == before


@pytest.mark.clause("REG-8")
@pytest.mark.parametrize("request_", [5, 6, 0xFFFFFFFF])
def test_there_is_no_call_5(request_: int) -> None:
    assert Driven(1, 1).call(0, 3, request_)["rax"] == UNSUPPORTED_CALL


@pytest.mark.clause("INV-7")
def test_a_disabled_vcpu_finds_no_apic_protocol() -> None:
    vm = Driven(2, 1)
    vm.configure(0, 0b01)
    assert vm.call(0, 3, 0)["rax"] == UNSUPPORTED_PROTOCOL
    assert vm.call(0, 0, 6, 3 << 32 | 1)["rcx"] == 0
    assert vm.call(1, 0, 6, 3 << 32 | 1)["rcx"] == 0x0000000100000001


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        (0 << 32 | 1, 0x0000000100000001),
        (0 << 32 | 2, 0),
        (1 << 32 | 1, 0x0000000100000001),
        (2 << 32 | 1, 0),
        (3 << 32 | 1, 0x0000000100000001),
        (3 << 32 | 0, 0),
        (5 << 32 | 1, 0),
    ],
)
def test_query_protocol(query: int, answer: int) -> None:
    assert Driven(1, 1).call(0, 0, 6, query) == {"rax": 0, "rcx": answer, "rdx": 0, "r8": 0}


@pytest.mark.clause("INV-7")
def test_each_vcpu_disables_once() -> None:
    vm = Driven(3, 1)
    for cpu, request in itertools.product(range(3), (0b01, 0b00, 0b01, 0b00)):
        vm.configure(cpu, request)
    disabled = [call.cpu for call in vm.machine.vm.requests]
    assert disabled == [0, 1, 2]
    assert {call.info1 for call in vm.machine.vm.requests} == {2 << 16}


def test_the_count_alone() -> None:
    [cpu] = Vm(apic_ids=[0], registration_count=1).vcpus
    assert configure(cpu, 0b10) == (0, False)
    assert configure(cpu, 0b01) == (0, False)
    assert configure(cpu, 0b01) == (0, True)
    assert configure(cpu, 0b01) == (0, True)
    assert cpu.vm.registration_count == 0


@pytest.mark.clause("EXIT-2", "REG-3")
def test_a_disabled_vcpu_stays_disabled_whatever_it_asks() -> None:
    vm = Driven(2, 1)
    vm.configure(0, 0b01)
    for cpu, request in itertools.product(range(2), (0b10, 0b00, 0b10)):
        vm.configure(cpu, request)
    assert [vm.enabled(cpu) for cpu in range(2)] == [False, False]
    assert vm.count == 0


@pytest.mark.clause("REG-9")
def test_the_superseded_machine() -> None:
    machine = LockMachine()
    asked = [(r, machine.configure(r), machine.state.value) for r in (2, 0, 1, 0, 2, 1, 3)]
    assert asked == [
        (2, 0, "Locked"),
        (0, 0x80001000, "Locked"),  # cannot disable
        (1, 0, "Enabled"),
        (0, 0, "Disabled"),
        (2, 0x80001001, "Disabled"),  # cannot lock
        (1, 0, "Disabled"),
        (3, INVALID_PARAMETER, "Disabled"),
    ]
