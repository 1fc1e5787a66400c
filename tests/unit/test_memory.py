"""Guest memory beside what the architecture says: backing, RMP entries, instructions, layouts."""

from typing import Any

import pytest

from vmgexit.descriptions import Answer, Command
from vmgexit.errors import ScenarioError
from vmgexit.machine.commands import call, checked
from vmgexit.machine.machine import Machine
from vmgexit.machine.memory import instructions
from vmgexit.machine.memory.layout import Layout
from vmgexit.machine.memory.memory import Memory, NestedPageFault
from vmgexit.machine.memory.rmp import ALL, MOST_ADDRESS, permissions
from vmgexit.wire.rmp import RmpTableEntry

M = 1 << 20
INIT: Command = {
    "op": "init",
    "cpus": 2,
    "memory": [[0, 16 * M]],
    "svsm": [8 * M, 2 * M],
    "caa": 0x8000,
    "sev_features": 1,
    "npf": "assign",
    "unvalidated": "input",
    "pages": [
        [0, 2 * M, "valid", 0x11],
        [2 * M, 2 * M, "huge-valid", 0x22],
        [4 * M, 2 * M, "private", 0x33],
        [6 * M, 2 * M, "shared", 0x44],
    ],
}
BIG: Command = INIT | {"memory": [[0, 4096 * M]]}


def memory(*, assigns: bool = True, **changed: Any) -> Memory:
    layout = Layout.of(INIT | changed)
    return Memory(layout, assigns=assigns, unvalidated_faults=False)


def machine(**changed: Any) -> Machine:
    made = Machine()
    made.execute(checked(INIT | changed))
    return made


# --- RMP and instructions ----------------------------------------------------------------------------


def test_an_entry_is_laid_out_as_declared() -> None:
    # Bit 0 assigned, bit 1 size, from bit 12 the frame, bit 61 VMSA, bit 62 validated.
    held = memory()
    held.rmp[0x3000] = 0
    held.rmp.assign(0x3000, 0x7000)
    assert held.rmp[0x3000] == 1 | 7 << 12
    assert held.rmp[2 * M] & (1 << 64) - 1 == 1 | 2 | 0x200 << 12 | 1 << 62
    entry = RmpTableEntry.decode(held.rmp[2 * M].to_bytes(16, "little"))
    assert (entry.low.large, entry.low.validated, entry.low.frame) == (True, True, 0x200)


@pytest.mark.parametrize(
    ("page", "size", "status", "did"),
    [
        (0x3000, 0, 0, [["pvalidate", 0x3000, 0, 1, 0, 1]]),
        (4 * M, 0, 0, [["pvalidate", 4 * M, 0, 1, 0, 0]]),
        (4 * M, 1, 6, [["pvalidate", 4 * M, 1, 1, 6, 0]]),
        (2 * M, 1, 0, [["pvalidate", 2 * M, 1, 1, 0, 1]]),
        (
            2 * M + 0x5000,
            0,
            0,
            [["psmash", 2 * M], ["pvalidate", 2 * M + 0x5000, 0, 1, 0, 1]],
        ),
        (6 * M, 0, 0, [["npf", 6 * M], ["pvalidate", 6 * M, 0, 1, 0, 0]]),
    ],
)
def test_pvalidate(page: int, size: int, status: int, did: list[list[Any]]) -> None:
    held = memory()
    assert instructions.pvalidate(held, page, size, valid=True)[0] == status
    assert held.did == did


def test_a_host_may_end_the_vm_on_a_nested_page_fault() -> None:
    with pytest.raises(NestedPageFault, match="at 0x600000"):
        instructions.pvalidate(memory(assigns=False), 6 * M, 0, valid=True)


def test_the_entries_of_a_large_page_are_alike_until_it_is_split() -> None:
    held = memory()
    instructions.rmpadjust(held, 2 * M, 1, 3, 5)
    assert {permissions(held.rmp[2 * M + at], 3) for at in range(0, 2 * M, 0x1000)} == {5}
    assert instructions.split(held, 2 * M + 0x7000) == ""
    assert instructions.split(held, 2 * M) == "size"
    instructions.rmpadjust(held, 2 * M + 0x1000, 0, 3, 1)
    assert [permissions(held.rmp[2 * M + at], 3) for at in (0, 0x1000, 0x2000)] == [5, 1, 5]
    assert instructions.join(held, 2 * M + 0x1000) == ""
    assert held.rmp[2 * M + 0x1000] == 1 | 2 | 0x201 << 12


def test_rmpadjust_of_a_page_that_is_not_validated_or_is_in_use() -> None:
    held = memory()
    assert instructions.rmpadjust(held, 4 * M, 0, 2, ALL) == 1
    held.running[1] = 0x3000
    assert instructions.rmpadjust(held, 0x3000, 0, 2, ALL) == 3
    assert instructions.make_shared(held, 0x3000, None) == "in_use"


@pytest.mark.parametrize(
    ("page", "vmpl", "allowed", "answer"),
    [
        (6 * M, 3, 1, "npf"),
        (4 * M, 4, 1, "not_validated"),
        (2 * M, 3, 1, "size"),
        (0x3000, 2, 1, 2),
        (0x3000, 4, 1, 1),
        (0x3000, 3, 15, 0),
    ],
)
def test_rmpadjust_by_the_guest(page: int, vmpl: int, allowed: int, answer: int | str) -> None:
    assert instructions.guest_rmpadjust(memory(), page, vmpl, allowed) == answer


def test_what_a_remapped_page_was_stays() -> None:
    held = memory()
    held.write(0x3000, b"old")
    assert instructions.remap(held, 0x3000, 0x5000000, 0x77) == ""
    assert (held.read(0x3000, 3), held.is_mine(0x3000)) == (b"www", True)
    assert not held.is_usable(0x3000)
    instructions.remap(held, 0x3000, 0x3000, None)
    assert (held.read(0x3000, 3), held.is_usable(0x3000)) == (b"old", True)


def test_a_later_range_splits_the_large_page_under_it() -> None:
    held = memory(pages=[[0, 4 * M, "huge-valid", 1], [2 * M + 0x3000, 0x1000, "private", 2]])
    assert held.rmp[0x3000] & 2
    assert [held.rmp[2 * M + at] & 2 for at in (0, 0x3000, 0x4000)] == [0, 0, 0]
    assert held.is_usable(2 * M)
    assert not held.is_usable(2 * M + 0x3000)
    assert held.read(2 * M + 0x2FFF, 2) == b"\1\2"


def test_bytes_go_across_pages_with_other_backing() -> None:
    held = memory()
    instructions.remap(held, 0x4000, 0x9000000, 0)
    held.write(0x3FFE, b"abcd")
    assert held.read(0x3FFE, 4) == b"abcd"
    assert held.pages.content(0x9000000)[:2] == b"cd"


def test_memory_that_nobody_touched_costs_nothing() -> None:
    made = Machine()
    made.execute(checked(BIG | {"pages": [[0, 4096 * M, "huge-valid", 0x5A]]}))
    held = made.vm.memory
    assert held is not None
    assert held.read(4095 * M, 2) == b"ZZ"
    assert len(held.pages._own) + len(held.rmp._own) < 10


# --- machines ----------------------------------------------------------------------------------------


def test_a_machine_without_registrations_has_no_apic_emulation() -> None:
    assert machine().execute(call(0, 0))["rax"] == 0x80000001
    emulated = machine(reg_count=1, sev_features=0x11)
    assert emulated.execute(call(0, 0))["rax"] == 0
    assert machine(reg_count=1).execute(call(0, 0))["rax"] == 0x80000001  # no bit in SEV_FEATURES


def test_interrupts_are_in_the_vmsa_and_the_calling_area() -> None:
    made = machine(reg_count=1, sev_features=0x11)

    def held(gpa: int, size: int) -> int:
        answer = made.execute({"op": "read", "gpa": gpa, "len": size})
        return int.from_bytes(bytes.fromhex(answer["hex"]), "little")

    vmsa = 8 * M + 0x1000
    made.execute(call(0, 4, 0x361))  # all vectors are allowed
    made.execute({"op": "host_irq", "cpu": 0, "vector": 0x61, "level": False})
    made.execute({"op": "guest", "cpu": 0, "if": True, "shadow": False})
    assert held(vmsa + 0x170, 8) == 0x200  # RFLAGS.IF
    made.execute({"op": "enter", "cpu": 0})
    assert held(vmsa + 0x3E0, 8) == 0x80000061  # EVENTINJ
    assert held(0x8002, 1) == 1  # NoEoiRequired
    assert made.execute({"op": "guest_take", "cpu": 0}) == {"taken": "event", "vector": 0x61}
    assert held(vmsa + 0x3E0, 8) == 0
    assert made.execute(call(0, 0, 0x30000, protocol=0))["caa"] == 0x30000
    assert held(0x8002, 1) == 0  # the offer is withdrawn with the calling area


def test_a_handed_over_vcpu_has_no_alternate_injection_in_its_vmsa() -> None:
    made = machine(reg_count=1, sev_features=0x11)
    answer = made.execute(call(0, 1, 1))
    assert [one["call"] for one in answer["calls"]] == ["disable_alternate_injection"]
    assert made.execute({"op": "read", "gpa": 8 * M + 0x13B0, "len": 1})["hex"] == "01"


def test_what_an_idle_vcpu_or_a_lost_vmsa_cannot_do() -> None:
    made = machine(reg_count=1, sev_features=0x11)
    assert made.execute({"op": "guest_take", "cpu": 1}) == {"ran": False}
    assert made.execute(call(1, 0)) == {"ran": False, "idle": True, "did": []}


def test_without_call_pending_no_call_is_served() -> None:
    made = machine(pages=[[0, 2 * M, "valid", 0]])
    answer: Answer = made.execute(call(0, 6, 1, protocol=0) | {"pending": False})
    assert answer["did"] == [["flush_all"], ["enter", 8 * M + 0x1000]]
    assert (answer["rax"], answer["rcx"]) == (6, 1)


# --- bad input ---------------------------------------------------------------------------------------

BEYOND = MOST_ADDRESS + 1
WRONG: list[tuple[dict[str, Any], str]] = [
    (
        {"memory": [[0, 4 * M], [2 * M, 4 * M]]},
        "init.memory[1]: 0x400000 bytes at 0x200000 overlaps",
    ),
    ({"memory": [[MOST_ADDRESS - 0xFFF, 0x2000]]}, "init.memory[0]: 0x2000 bytes at 0x7fff"),
    (
        {"memory": [[0, 0x1000], [BEYOND, 0x1000]]},
        f"init.memory[1].start: {BEYOND} is not a number from 0 to {MOST_ADDRESS}",
    ),
    ({"memory": [[0]]}, "init.memory[0]: [0] is not [start, length]"),
    ({"memory": [[0x10, 0x1000]]}, "init.memory[0]: 0x1000 bytes at 0x10 is not made of whole"),
    ({"svsm": [8 * M, 0x1000]}, "init.svsm: 0x1000 bytes found, two pages or more expected"),
    ({"caa": 0x8001}, "init.caa: 0x8001 is not the address of a page"),
    ({"pages": [[0x1000, 2 * M, "huge-valid", 0]]}, "init.pages[0]: 0x200000 bytes at 0x1000 is"),
    ({"pages": [[0, 0x1000, "odd", 0]]}, "init.pages[0].state: 'odd' is not one of shared"),
    ({"npf": "never"}, "init.npf: 'never' is not one of stop, assign"),
]


@pytest.mark.parametrize(("changed", "message"), WRONG)
def test_a_layout_that_cannot_be_is_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        checked(INIT | changed)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["svsm", "caa", "sev_features", "npf", "unvalidated"])
def test_what_memory_needs_is_named(name: str) -> None:
    left = {key: value for key, value in INIT.items() if key != name}
    with pytest.raises(ScenarioError, match=f"init.{name}: expected with memory"):
        checked(left)
    with pytest.raises(ScenarioError, match=f"init.{name}: only with memory"):
        checked({"op": "init", "cpus": 1, "reg_count": 1, name: INIT[name]})


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ({"op": "page", "gpa": BEYOND}, f"page.gpa: {BEYOND} is not a number from 0 to"),
        (
            {"op": "read", "gpa": MOST_ADDRESS, "len": 2},
            "read.gpa: 2 bytes at 0x7ffffffffffff: the",
        ),
        ({"op": "host_page", "gpa": 0, "to": "remap"}, "host_page.spa: expected with remap"),
        ({"op": "host_page", "gpa": 0, "to": "split", "spa": 0}, "host_page.spa: not with split"),
        ({"op": "write", "gpa": 0, "hex": "0"}, "write.hex: '0' is not the hex of at most 4096"),
        (
            {"op": "write", "gpa": 0, "hex": "00", "by": True},
            "write.by: True is not one of 1, 2, 3",
        ),
        (
            {"op": "psp", "answers": ["no"]},
            "psp.answers[0]: 'no' is not one of ok",
        ),
        ({"op": "psp", "answers": [{"err": 1}]}, "psp.answers[0]: {'err': 1} is not one of ok"),
        ({"op": "psp", "answers": "ok"}, "psp.answers: 'ok' is not a list, each of it one of ok"),
    ],
)
def test_a_command_that_cannot_be_is_refused(command: Command, message: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        checked(command)
    assert str(caught.value).startswith(message)


def test_commands_of_the_other_kind_of_machine_are_refused() -> None:
    plain = Machine()
    plain.execute({"op": "init", "cpus": 1, "reg_count": 1})
    with pytest.raises(ScenarioError, match="page: the machine has no memory"):
        plain.execute({"op": "page", "gpa": 0})
    with pytest.raises(ScenarioError, match="set_vmsa: only for a machine without memory"):
        machine().execute({"op": "set_vmsa", "cpu": 0})
    with pytest.raises(ScenarioError, match="run: vCPU 2 does not exist, there are 2"):
        machine().execute({"op": "run", "cpu": 2, "on": True})
