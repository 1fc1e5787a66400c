"""The quirks of the APIC half where guests' states are pages: each breaks there what it breaks without."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.test_quirks import BROKEN
from tests.watched import broken_by
from vmgexit.descriptions import Command
from vmgexit.machine.commands import NOT_ON_MEMORY, call
from vmgexit.machine.machine import Machine
from vmgexit.machine.quirks import only
from vmgexit.machine.typed import FIRST
from vmgexit.watch.watch import Watch
from vmgexit.wire.apic import ApicRegister
from vmgexit.wire.svsm import CoreCall, Protocol

SCENARIOS = Path(__file__).parents[2] / "corpus" / "quirks"
FEATURES = 0x11  # SNP, Alternate Injection
VMSAS, AREAS, FREE = 0x20000, 0x40000, 0x60000
STOPS = {"INV-10": "MEM-10"}  # the clause about stops by a call


def scenario(name: str) -> list[Command]:
    lines = (SCENARIOS / f"{name}.jsonl").read_text().splitlines()
    return [line.get("cmd", line) for line in map(json.loads, lines)]


# Alone it shows nothing: the companion's recording is not of a machine with memory.
NEEDS_ANOTHER = {"level-vector-zero"}
NAMES = [
    name
    for name in sorted(BROKEN)
    if (SCENARIOS / f"{name}.jsonl").exists()
    and name not in NEEDS_ANOTHER
    and "memory" not in scenario(name)[0]
    and not any(command["op"] in NOT_ON_MEMORY for command in scenario(name))
]


def core(cpu: int, number: int, *registers: int) -> Command:
    return call(cpu, number, *registers, protocol=Protocol.CORE)


def on_memory(commands: list[Command]) -> Iterator[Command]:
    """The same on a machine with memory, whose vCPUs are created first."""
    first, *rest = commands
    yield FIRST | first | {"sev_features": FEATURES}
    ids = first.get("apic_ids") or range(first["cpus"])
    for cpu, apic_id in list(enumerate(ids))[1:]:
        vmsa, area = VMSAS + 0x1000 * cpu, AREAS + 0x1000 * cpu
        yield {
            "op": "vmsa", "gpa": vmsa, "by": 2, "vmpl": 2, "efer": 0x1000, "sev_features": FEATURES,
        }  # fmt: skip
        yield core(0, CoreCall.CREATE_VCPU, vmsa, area, apic_id)
        yield core(cpu, CoreCall.QUERY_PROTOCOL, 1)
    for command in rest:
        remaps = command.get("protocol") == Protocol.CORE and not command["request"]
        yield command | {"rcx": FREE} if remaps else command


@pytest.mark.clause("INV-1", "INV-3", "INV-4", "INV-5", "INV-6", "INV-7", "INV-8", "INV-9")
@pytest.mark.parametrize("name", NAMES)
def test_a_quirk_breaks_what_it_breaks_without_memory(name: str) -> None:
    wanted = STOPS.get(BROKEN[name], BROKEN[name])
    assert broken_by(on_memory(scenario(name)), Watch(Machine(only(name)))) == wanted
    assert broken_by(on_memory(scenario(name)), Watch(Machine())) == ""


def test_most_quirks_of_interrupts_are_tried() -> None:
    assert len(NAMES) >= 20


BEGIN: Command = FIRST | {"cpus": 1, "sev_features": FEATURES}
IN_SERVICE = [
    BEGIN,
    call(0, 4, 0x300, protocol=Protocol.APIC),  # all vectors are allowed
    {"op": "guest", "cpu": 0, "if": True, "shadow": False},
    {"op": "host_irq", "cpu": 0, "vector": 0x31, "level": True},
    {"op": "enter", "cpu": 0},
    {"op": "guest_take", "cpu": 0},
]
NO_EOI_REQUIRED = 0x8002  # the third byte of the calling area


@pytest.mark.clause("INV-5")
def test_a_guest_ends_an_interrupt_by_a_write_to_its_calling_area() -> None:
    watch = Watch(Machine())
    for command in IN_SERVICE:
        watch.execute(command | {"level": False} if command["op"] == "host_irq" else command)
    offer: Command = {"op": "read", "gpa": NO_EOI_REQUIRED, "len": 1}
    assert watch.execute(offer)["hex"] == "01"
    watch.execute({"op": "write", "gpa": NO_EOI_REQUIRED, "hex": "00", "by": 2})
    in_service = call(0, 2, ApicRegister.ISR1, protocol=Protocol.APIC)
    assert watch.execute(in_service)["rdx"] == 0
    watch.execute({"op": "host_irq", "cpu": 0, "vector": 0x32, "level": False})
    watch.execute({"op": "enter", "cpu": 0})
    watch.execute({"op": "guest_take", "cpu": 0})
    assert watch.execute({"op": "state", "cpu": 0})["apic"]["isr_stack"] == [0x32]


@pytest.mark.clause("INV-4")
def test_a_vcpu_that_goes_on_in_another_vmsa_begins_anew() -> None:
    """What the host waits for is acknowledged as the old state is left."""
    watch = Watch(Machine())
    for command in IN_SERVICE:
        watch.execute(command)
    watch.execute({"op": "vmsa", "gpa": VMSAS, "by": 2, "vmpl": 2, "efer": 0x1000,
                   "sev_features": FEATURES})  # fmt: skip
    answer = watch.execute(core(0, CoreCall.CREATE_VCPU, VMSAS, AREAS, 0))
    assert [(one["call"], one["info1"] & 0xFF) for one in answer["calls"]] == [
        ("specific_eoi", 0x31)
    ]
    state = watch.execute({"op": "state", "cpu": 0})
    assert state["apic"]["isr_stack"] == []
    read = watch.execute(call(0, 2, ApicRegister.ISR1, protocol=Protocol.APIC))
    assert (read["rax"], read["rdx"]) == (0, 0)
