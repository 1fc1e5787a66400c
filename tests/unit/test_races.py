"""Calls of two vCPUs that hold no lock: the races of COCONUT-SVSM are found, by every order of steps."""

import pytest

from vmgexit.descriptions import Command
from vmgexit.explore.memory.races import races
from vmgexit.explore.memory.system import INVALID, LIST, OTHER, MemorySystem
from vmgexit.machine.commands import call
from vmgexit.machine.machine import Machine
from vmgexit.machine.quirks import REFERENCE, only
from vmgexit.watch.invariants import run
from vmgexit.wire.svsm import CoreCall, Protocol

AREA, VMSA = 0x202000, 0x203000  # in the chunk, which is valid


def state(page: int, efer: int = 0x1000) -> Command:
    return {"op": "vmsa", "gpa": page, "by": 2, "vmpl": 2, "efer": efer, "sev_features": 1}


def create(cpu: int, vmsa: int, area: int, target: int) -> Command:
    return call(cpu, CoreCall.CREATE_VCPU, vmsa, area, target, protocol=Protocol.CORE)


def core(cpu: int, number: CoreCall, rcx: int) -> Command:
    return call(cpu, number, rcx, protocol=Protocol.CORE)


OPENING = [
    MemorySystem().opening(), state(VMSA), create(0, VMSA, AREA, 1), core(1, CoreCall.QUERY_PROTOCOL, 0)
]  # fmt: skip
ONE_ENTRY = (1).to_bytes(8, "little") + (INVALID | 4).to_bytes(8, "little")
LISTED: Command = {"op": "write", "gpa": LIST, "hex": ONE_ENTRY.hex(), "by": 2}
NEW, NEXT = 0x204000, 0x205000
GRANTS = only("refused-create-changes-permissions")

# What is prepared, both calls, the quirks of the SVSM, and the invariant that an order breaks.
FOUND = {
    # COCONUT-SVSM 4139ce4c: checked, then registered.
    "a VMSA is created twice": (
        state(OTHER), (create(0, OTHER, NEW, 0), create(1, OTHER, NEXT, 1)), REFERENCE, "MEM-7"
    ),
    # COCONUT-SVSM d162b9df (pull request 320): a refused creation grants what is not yet cleared.
    "a page is validated and refused as a VMSA": (
        LISTED, (create(0, INVALID, NEW, 0), core(1, CoreCall.PVALIDATE, LIST)), GRANTS, "MEM-2"
    ),
    # COCONUT-SVSM 994a5590: creation and remapping exclude each other.
    "a calling area is created and remapped": (
        state(OTHER), (create(0, OTHER, NEW, 0), core(1, CoreCall.REMAP_CA, NEW)), REFERENCE, "MEM-7"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FOUND)
def test_a_race_is_found_where_calls_hold_no_lock(name: str) -> None:
    prepared, calls, quirks, invariant = FOUND[name]
    found = next(races([*OPENING, prepared], calls, quirks))
    assert found.invariant == invariant
    assert set(found.order) == {0, 1}
    for order in (calls, calls[::-1]):
        run([*OPENING, prepared, *order], Machine())  # one after the other nothing breaks


def test_calls_that_share_nothing_have_no_race() -> None:
    calls = core(0, CoreCall.REMAP_CA, NEW), core(1, CoreCall.REMAP_CA, NEXT)
    assert list(races(OPENING, calls)) == []
