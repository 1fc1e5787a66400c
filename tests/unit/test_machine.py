"""The machine where no recording decides: delivery, hand-over, refusals, steps. Worked by hand."""

from typing import Any

import pytest

from vmgexit.descriptions import Command
from vmgexit.errors import ScenarioError
from vmgexit.machine.commands import call
from vmgexit.machine.machine import Machine
from vmgexit.machine.rules import host
from vmgexit.machine.rules.apic_registers import logical_id
from vmgexit.machine.vcpu import EVENTS_AT, FLAGS_AT, IRR_WORD, ISR_WORD, STATUS_WORD, Posting
from vmgexit.machine.vm import Vcpu
from vmgexit.watch.watch import Watch

SUCCESS = 0
INVALID_ADDRESS = 0x80000003
INVALID_PARAMETER = 0x80000005


class Driven:
    """A machine with short names for what guests and hosts do."""

    def __init__(self, vcpus: int = 1, count: int = 1, profile: str = "reference") -> None:
        self.machine = Machine(profile)
        self.do("init", cpus=vcpus, reg_count=count)
        for cpu in range(vcpus):
            self.call(3, 4, 0x300, cpu=cpu)  # allow every vector

    def do(self, operation: str, **arguments: Any) -> dict[str, Any]:
        return self.machine.execute({"op": operation, **arguments})

    def call(
        self, protocol: int, request: int, rcx: int, rdx: int = 0, cpu: int = 0
    ) -> dict[str, Any]:
        return self.machine.execute(call(cpu, request, rcx, rdx, protocol=protocol))

    def write(self, register: int, value: int, cpu: int = 0) -> int:
        code: int = self.call(3, 3, register, value, cpu)["rax"]
        return code

    def read(self, register: int, cpu: int = 0) -> int:
        value: int = self.call(3, 2, register, cpu=cpu)["rdx"]
        return value

    def interrupts(self, on: bool, cpu: int = 0) -> None:
        self.do("guest", cpu=cpu, **{"if": on, "shadow": False})

    def vcpu(self, cpu: int = 0) -> Vcpu:
        return self.machine.vm.vcpus[cpu]


def test_the_descriptor_of_vmpl2_stands_at_0x80() -> None:
    assert (STATUS_WORD * 4, (IRR_WORD + 1) * 4, ISR_WORD * 4) == (0x80, 0x84, 0xA0)
    assert (FLAGS_AT, EVENTS_AT) == (1, 3)


@pytest.mark.clause("DESC-3", "DESC-4")
def test_a_post_sets_the_descriptor_the_event_bit_and_signals_once() -> None:
    vm = Driven()
    assert vm.do("host_irq", cpu=0, vector=0x61, level=False) == {
        "posted": True,
        "hv": True,
        "status": 0x61,
    }
    page = vm.vcpu().page
    assert page[3] == 0b010
    assert page[1] == 0x80
    second = vm.do("host_irq", cpu=0, vector=0x62, level=False)
    assert second == {"posted": True, "hv": False, "status": 0x4000}
    assert page[0x84 + 4 * 2] == 0b0110  # vectors 0x61 and 0x62 in IRR word 3


@pytest.mark.parametrize(
    ("first", "second"),
    [((0x61, True), (0x62, True)), ((5, False), (0x61, False)), ((0x61, False), (5, False))],
)
def test_a_refused_post_changes_nothing(first: tuple[int, bool], second: tuple[int, bool]) -> None:
    vm = Driven()
    vm.do("host_irq", cpu=0, vector=first[0], level=first[1])
    before = bytes(vm.vcpu().page)
    answer = vm.do("host_irq", cpu=0, vector=second[0], level=second[1])
    assert (answer["posted"], answer["hv"]) == (False, False)
    assert bytes(vm.vcpu().page) == before


@pytest.mark.clause("SCHED-2")
def test_a_queued_interrupt_is_delivered_by_hardware_when_the_guest_enables_interrupts() -> None:
    vm = Driven()
    vm.do("host_irq", cpu=0, vector=0x61, level=False)
    entered = vm.do("enter", cpu=0)
    assert (entered["v_irq"], entered["v_intr_vector"], entered["event_valid"]) == (
        True,
        0x61,
        False,
    )
    assert vm.do("guest_take", cpu=0)["taken"] == "none"
    vm.interrupts(True)
    assert vm.do("guest_take", cpu=0) == {"taken": "virq", "vector": 0x61}


def test_a_virtual_interrupt_waits_for_vgif() -> None:
    vm = Driven()
    vm.do("host_irq", cpu=0, vector=0x61, level=False)
    vm.do("enter", cpu=0)
    vm.interrupts(True)
    vm.vcpu().guest.vintr.vgif = False
    assert vm.do("guest_take", cpu=0)["taken"] == "none"
    vm.vcpu().guest.vintr.vgif = True
    assert vm.do("guest_take", cpu=0)["taken"] == "virq"


@pytest.mark.clause("SCHED-3", "INV-3")
def test_a_late_interrupt_cancels_the_switch_and_is_presented_first() -> None:
    vm = Driven()
    vm.interrupts(True)
    entered = vm.do("enter", cpu=0, late=[{"vector": 0x61, "level": False}])
    assert entered["cancelled"] == 1
    assert entered["event_inj"] == 0x80000061
    assert not vm.vcpu().page[1] & 0x80


@pytest.mark.clause("SCHED-4")
def test_the_host_does_not_refuse_a_switch_the_duty_is_the_svsms() -> None:
    careless = Driven(profile="switch-window-unchecked")
    entered = careless.do("enter", cpu=0, late=[{"vector": 0x61, "level": False}])
    assert (entered["cancelled"], entered["v_irq"]) == (0, False)
    assert careless.vcpu().page[1] & 0x80  # the guest runs, and nobody stopped it


@pytest.mark.clause("SCHED-3", "INV-1")
@pytest.mark.parametrize(
    ("profile", "leads_to"), [("reference", "cancel"), ("switch-window-unchecked", "vmgexit")]
)
def test_the_handler_in_the_window_has_the_switch_start_over(profile: str, leads_to: str) -> None:
    vm = Driven(profile=profile)
    assert vm.do("svsm_hv", cpu=0) == {"next": "none"}  # no entry is under way
    while vm.do("svsm_step", cpu=0)["next"] != "vmgexit":
        assert vm.do("svsm_hv", cpu=0) == {"next": "none"}
    assert vm.do("svsm_hv", cpu=0) == {"next": "none"}  # no #HV was raised
    assert vm.do("host_irq", cpu=0, vector=0x61, level=False)["hv"]
    assert vm.do("svsm_hv", cpu=0) == {"next": leads_to}
    assert not vm.vcpu().page[1] & 0x80  # NoFurtherSignal
    assert vm.vcpu().page[3] & 2  # the event bit of VMPL 2 stays


@pytest.mark.clause("SCHED-1")
def test_after_a_signal_the_svsm_runs_before_the_guest_gets_the_interrupt() -> None:
    vm = Driven()
    vm.interrupts(True)
    vm.do("enter", cpu=0)
    assert vm.do("host_irq", cpu=0, vector=0x61, level=False)["hv"]
    assert vm.do("guest_take", cpu=0)["taken"] == "none"
    vm.do("enter", cpu=0)
    assert vm.do("guest_take", cpu=0) == {"taken": "event", "vector": 0x61}


@pytest.mark.clause("INV-10")
def test_a_machine_check_ends_in_a_termination_request() -> None:
    vm = Driven()
    vm.do("set_doorbell", cpu=0, hex=(b"\x00\x82" + bytes(254)).hex())
    assert vm.do("enter", cpu=0) == {"terminated": "the host signalled a machine check"}
    assert vm.do("state", cpu=0) == {"terminated": "the host signalled a machine check"}
    assert vm.do("init", cpus=1, reg_count=1)["ok"]


QUERY = call(0, 6, 1, protocol=0)
LEFT = {"op": "intercept", "exitintinfo": 0, "busy": False}


@pytest.mark.parametrize("command", [QUERY, LEFT], ids=["call", "intercept"])
def test_the_handler_takes_the_svsms_own_vector_nmi_and_signal_only(command: Command) -> None:
    vm = Driven()
    vm.do("set_doorbell", cpu=0, hex=(b"\x33\x81\x44\x07" + bytes(252)).hex())
    vm.machine.execute({**command, "cpu": 0})
    assert bytes(vm.vcpu().page[:4]) == b"\x00\x00\x44\x07"


@pytest.mark.parametrize("command", [QUERY, LEFT], ids=["call", "intercept"])
def test_without_a_signal_the_handler_does_not_run(command: Command) -> None:
    vm = Driven()
    vm.do("set_doorbell", cpu=0, hex=(b"\x33\x01\x44\x07" + bytes(252)).hex())
    vm.machine.execute({**command, "cpu": 0})
    assert bytes(vm.vcpu().page[:4]) == b"\x33\x01\x44\x07"


@pytest.mark.clause("INV-10")
def test_a_machine_check_at_an_intercept_ends_in_a_termination_request() -> None:
    vm = Driven()
    vm.do("set_doorbell", cpu=0, hex=(b"\x00\x82" + bytes(254)).hex())
    assert set(vm.machine.execute({**LEFT, "cpu": 0})) == {"terminated"}


@pytest.mark.clause("INV-6")
def test_ppr_where_the_classes_are_equal_is_the_task_priority() -> None:
    vm = Driven()
    vm.interrupts(True)
    assert vm.write(0x83F, 0x52) == SUCCESS
    vm.do("enter", cpu=0)
    vm.do("guest_take", cpu=0)
    assert vm.write(0x808, 0x50) == SUCCESS
    assert vm.read(0x80A) == 0x50
    assert vm.write(0x808, 0x40) == SUCCESS
    assert vm.read(0x80A) == 0x50
    assert vm.write(0x808, 0x60) == SUCCESS
    assert vm.read(0x80A) == 0x60


@pytest.mark.clause("INV-6")
def test_tpr_keeps_its_low_bits_until_the_guest_writes_cr8() -> None:
    vm = Driven()
    assert vm.write(0x808, 0x3F) == SUCCESS
    assert vm.read(0x808) == 0x3F
    vm.do("guest", cpu=0, **{"if": False, "shadow": False, "cr8": 5})
    assert vm.read(0x808) == 0x50


@pytest.mark.clause("EXIT-1")
def test_the_hand_over_gives_the_host_everything() -> None:
    vm = Driven(vcpus=2)
    vm.interrupts(True)
    vm.do("host_irq", cpu=0, vector=0x71, level=False)
    vm.do("enter", cpu=0)
    vm.do("guest_take", cpu=0)  # 0x71 is in service
    for vector in (0x1F, 0x52, 0xF3):
        vm.write(0x83F, vector)
    vm.write(0x830, 0x400 | 1 << 11 | 1 << 32, cpu=1)  # an NMI by mailbox
    answer = vm.call(3, 1, 0b01)
    assert answer["calls"] == [
        # VMPL 2, TPR 0, no shadow, IF set
        {"cpu": 0, "call": "disable_alternate_injection", "info1": 0x00020001, "info2": 0}
    ]
    words = vm.vcpu().words
    assert words[STATUS_WORD] == 1 << 31 | 1 << 14 | 1 << 8
    assert words[IRR_WORD + 2] == 1 << (0x52 - 64)
    assert words[IRR_WORD + 7] == 1 << (0xF3 - 224)
    assert words[ISR_WORD + 3] == 1 << (0x71 - 96)


def test_an_edge_vector_beside_multiple_vectors_is_handed_over_once() -> None:
    vm = Driven()
    for vector in (0x61, 0x62):
        vm.do("host_irq", cpu=0, vector=vector, level=False)
    vm.vcpu().words[STATUS_WORD] |= 0x63
    vm.call(3, 1, 0b01)
    irr = vm.vcpu().words[IRR_WORD + 3]
    assert irr == 1 << (0x61 - 96) | 1 << (0x62 - 96) | 1 << (0x63 - 96)


@pytest.mark.clause("INV-9")
def test_a_refused_icr_write_leaves_the_register() -> None:
    vm = Driven()
    assert vm.write(0x830, 0x00040061) == SUCCESS  # to itself
    for wrong in (1 << 12, 1 << 13, 1 << 16, 1 << 20, 5 << 8):
        assert vm.write(0x830, 0x00040062 | wrong) == INVALID_PARAMETER
    assert vm.read(0x830) == 0x00040061


@pytest.mark.clause("INV-9")
@pytest.mark.parametrize("caller", [0, 1])
@pytest.mark.parametrize("profile", ["reference", "coconut"])
def test_a_page_in_use_is_refused_before_anything_happens(caller: int, profile: str) -> None:
    vm = Driven(vcpus=2, profile=profile)
    for cpu in range(2):
        vm.write(0x83F, 0x61, cpu=cpu)
        vm.do("enter", cpu=cpu)  # 0x61 is queued, and its end may be a lazy one
    before = [vm.do("state", cpu=cpu) for cpu in range(2)]
    assert before[0]["no_eoi_required"] == 1
    assert vm.call(0, 0, 0x20002000, cpu=caller)["rax"] == INVALID_ADDRESS
    assert [vm.do("state", cpu=cpu) for cpu in range(2)] == before


def test_a_page_is_free_once_its_vcpu_has_another() -> None:
    vm = Driven(vcpus=2)
    assert vm.call(0, 0, 0x30000000)["rax"] == SUCCESS
    assert vm.call(0, 0, 0x30000000, cpu=1)["rax"] == INVALID_ADDRESS
    assert vm.call(0, 0, 0x20002000, cpu=1)["rax"] == SUCCESS
    assert vm.call(0, 0, 0x20002000)["rax"] == INVALID_ADDRESS


@pytest.mark.parametrize(
    ("profile", "left"), [("foreign-vmsa-crashes", 0), ("reference", 0x80000000)]
)
def test_vector_0_in_eventinj_is_no_assertion(profile: str, left: int) -> None:
    vm = Driven(profile=profile)
    vm.interrupts(True)
    vm.write(0x83F, 0x61)
    assert vm.do("enter", cpu=0)["event_inj"] == 0x80000061
    vm.vcpu().guest.event_inj = 0x80000000
    assert vm.read(0x813) == 1 << 1  # 0x61 stays in service
    assert vm.vcpu().guest.event_inj == left


def test_configure_vtom_and_attestation() -> None:
    vm = Driven()
    assert vm.call(0, 7, 1)["rax"] == SUCCESS
    assert vm.call(0, 7, 2)["rax"] == 0x80000006
    assert vm.call(1, 2, 0)["rax"] == 0x80000001
    assert vm.call(0, 4, 0)["rax"] == 0x80000002


@pytest.mark.parametrize(
    ("apic_id", "ldr"), [(0, 1), (15, 0x8000), (16, 0x10001), (0x12345, 0x12340020)]
)
def test_logical_ids(apic_id: int, ldr: int) -> None:
    assert logical_id(apic_id) == ldr


def test_a_physical_ipi_goes_to_the_vcpu_with_that_apic_id() -> None:
    vm = Driven()
    vm.do("init", cpus=3, reg_count=1, apic_ids=[7, 9, 2])
    vm.write(0x830, 2 << 32 | 0x61)
    assert [bool(cpu.mailbox.irr) for cpu in vm.machine.vm.vcpus] == [False, False, True]


@pytest.mark.clause("INV-10")
def test_a_refused_ipi_waits_in_the_mailbox() -> None:
    vm = Driven(vcpus=2)
    vm.do("host_refuse", cpu=0, call="hv_ipi")
    assert vm.write(0x830, 3 << 18 | 0x61) == SUCCESS
    assert vm.do("enter", cpu=1)["v_intr_vector"] == 0x61


def test_event_types_that_no_table_knows_are_taken_as_other() -> None:
    vm = Driven()
    for kind in (1, 3, 4, 5, 6, 7):
        vm.vcpu().guest.event_inj = 0x80000000 | kind << 8 | 0x33
        assert vm.do("guest_take", cpu=0) == {"taken": "other", "vector": 0x33}


def test_leaving_clears_busy() -> None:
    vm = Driven()
    vm.do("intercept", cpu=0, exitintinfo=0, busy=True)
    assert not vm.vcpu().guest.vintr.busy


def test_a_vcpu_that_does_not_exist_is_a_scenario_error() -> None:
    with pytest.raises(ScenarioError, match="vCPU 3 does not exist, there are 2"):
        Driven(vcpus=2).do("enter", cpu=3)


def test_stepping_through_an_entry_comes_to_the_same() -> None:
    stepped, whole = Driven(), Driven()
    for vm in (stepped, whole):
        for vector in (0x1F, 0x61, 0xF1):
            vm.do("host_irq", cpu=0, vector=vector, level=False)
    steps = ["start"]
    while steps[-1] != "entered":
        steps.append(stepped.do("svsm_step", cpu=0)["next"])
    whole.do("enter", cpu=0)
    assert stepped.do("state", cpu=0) == whole.do("state", cpu=0)
    assert steps[1:5] == ["swap_events", "load_status", "clear_multiple", "take_vector_31"]
    assert steps.count("take_irr") == 7


def test_a_post_step_by_step_moves_the_occupant_before_it_reappears() -> None:
    vm = Driven()
    vm.do("host_irq", cpu=0, vector=0x61, level=False)
    vm.do("host_begin", cpu=0, vector=0x62, level=False)
    steps = []
    while (step := vm.do("host_step", cpu=0)["next"]) != "posted":
        steps.append(step)
    assert steps == [
        "move_occupant",
        "set_occupant",
        "set_irr",
        "set_multiple",
        "set_event",
        "signal",
    ]
    assert vm.vcpu().words[STATUS_WORD] == 1 << 14


def test_a_post_that_meets_a_changed_word_starts_over() -> None:
    vm = Driven()
    vm.do("host_begin", cpu=0, vector=0x62, level=False)
    assert vm.do("host_step", cpu=0)["next"] == "put_edge"
    vm.vcpu().words[STATUS_WORD] = 0x61
    assert vm.do("host_step", cpu=0)["next"] == "read_status"
    assert host.finish(vm.vcpu(), vm.vcpu().posting or Posting(0, False))
    assert vm.vcpu().words[STATUS_WORD] == 1 << 14


def test_an_entry_that_a_command_finishes_tells_its_calls_under_watch_too() -> None:
    scenario: list[Command] = [
        {"op": "init", "cpus": 1, "reg_count": 1},
        {"op": "host_irq", "cpu": 0, "vector": 0x40, "level": True},  # which is not allowed
        {"op": "svsm_step", "cpu": 0},
        {"op": "guest", "cpu": 0, "if": True, "shadow": False},
    ]
    machine, watch = Machine(), Watch(Machine())
    answers = [machine.execute(command) for command in scenario]
    assert [call["call"] for call in answers[-1]["calls"]] == ["specific_eoi"]
    assert [watch.execute(command) for command in scenario] == answers
