"""MEM-1 to MEM-12: each breaks on a bug of its own, planted in the machine, and says when it had work."""

from collections.abc import Callable

import pytest

from tests.checkout import quirk_scenario
from vmgexit.descriptions import Command
from vmgexit.machine.machine import Machine
from vmgexit.machine.memory.registry import Home
from vmgexit.machine.memory.rmp import VALIDATED, VMSA, with_permissions
from vmgexit.machine.rules import core, operands
from vmgexit.machine.vm import Vm
from vmgexit.watch.invariants import INVARIANTS
from vmgexit.watch.judged import Violation
from vmgexit.watch.snapshot import snapshot
from vmgexit.watch.watch import Watch

LIST, CALLING = 0x9000, 0x8000
PAGE_1, PAGE_2 = 0x30000, 0x31000

INIT: Command = {
    "op": "init", "cpus": 2, "memory": [[0, 0x1000000]], "svsm": [0x800000, 0x200000],
    "caa": CALLING, "sev_features": 1, "npf": "stop", "unvalidated": "input",
    "pages": [[0, 0x200000, "valid", 0x11], [0x400000, 0x200000, "private", 0x33]],
}  # fmt: skip
CREATE: Command = {
    "op": "call", "cpu": 0, "protocol": 0, "request": 2, "rcx": PAGE_1, "rdx": PAGE_2, "r8": 1,
}  # fmt: skip
STATE: Command = {
    "op": "vmsa", "gpa": PAGE_1, "by": 2, "vmpl": 2, "efer": 0x1000, "sev_features": 1,
}  # fmt: skip
QUERY: Command = {
    "op": "call", "cpu": 0, "protocol": 0, "request": 6, "rcx": 1, "rdx": 0, "r8": 0,
}  # fmt: skip


def carry_out(watch: Watch, commands: list[Command]) -> None:
    for command in commands:
        watch.execute(command)


def listed(*entries: int) -> list[Command]:
    """A PVALIDATE list and its call."""
    words = [len(entries), *entries]
    held = b"".join(word.to_bytes(8, "little") for word in words).hex()
    write: Command = {"op": "write", "gpa": LIST, "hex": held, "by": 2}
    return [write, QUERY | {"request": 1, "rcx": LIST}]


def broken(
    commands: list[Command], wanted: str = "", spoil: Callable[[Vm], object] | None = None
) -> str:
    """The message of what breaks when `spoil` changes the VM in the last call, of one clause if named."""
    machine = Machine()
    watch = Watch(machine, invariants=[one for one in INVARIANTS if wanted in ("", one.name)])
    carry_out(watch, commands[:-1])
    if spoil is not None:
        last = machine.carry_out

        def spoilt(command: Command) -> Command:
            answer = last(command)
            spoil(machine.vm)
            return answer

        machine.carry_out = spoilt  # type: ignore[method-assign]
    try:
        watch.execute(commands[-1])
    except Violation as violation:
        return f"{violation.invariant.name}: {violation.message}"
    return ""


def set_entry(page: int, change: Callable[[int], int]) -> Callable[[Vm], None]:
    def spoil(vm: Vm) -> None:
        assert vm.memory is not None
        vm.memory.rmp[page] = change(vm.memory.rmp[page])

    return spoil


def put(page: int, at: int, byte: int) -> Callable[[Vm], None]:
    def spoil(vm: Vm) -> None:
        assert vm.memory is not None
        vm.memory.writable(page)[at] = byte

    return spoil


def move(vmsa: int | None, area: int) -> Callable[[Vm], None]:
    """The registration of vCPU 1, or its home where `vmsa` is None, is moved."""

    def spoil(vm: Vm) -> None:
        assert vm.registry is not None
        if vmsa is None:
            vm.vcpus[1].home = Home(None, area)
            return
        vm.registry.entries[-1].vmsa, vm.registry.entries[-1].calling_area = vmsa, area

    return spoil


CREATED = [INIT, STATE, CREATE]

SPOILT = [
    ("MEM-1", CREATED, set_entry(PAGE_1, lambda entry: with_permissions(entry, 3, 1))),
    ("MEM-2", [INIT, *listed(0x400004)], put(0x400000, 4095, 1)),
    ("MEM-3", [INIT, QUERY], put(0x1000, 0, 0x12)),
    ("MEM-3", [INIT, QUERY], put(CALLING, 8, 0x12)),
    ("MEM-4", [INIT, QUERY], set_entry(0x803000, lambda entry: with_permissions(entry, 2, 1))),
    ("MEM-5", [INIT, QUERY | {"request": 77}], set_entry(0x1000, lambda entry: entry ^ VALIDATED)),
    ("MEM-7", CREATED, move(PAGE_1, CALLING)),
    ("MEM-7", CREATED, move(PAGE_1, 0x803000)),
    ("MEM-7", CREATED, move(PAGE_1, 0x2000000)),
    ("MEM-8", CREATED, set_entry(PAGE_1, lambda entry: entry & ~VMSA)),
    ("MEM-8", [INIT, QUERY], set_entry(0x1000, lambda entry: entry | VMSA)),
    ("MEM-9", CREATED, set_entry(PAGE_2, lambda entry: entry & ~VALIDATED)),
    ("MEM-11", [INIT, QUERY], move(None, 0x2000)),
    ("MEM-11", CREATED, put(PAGE_1, 0x1F8, 1)),
]


@pytest.mark.clause(
    "MEM-1", "MEM-2", "MEM-3", "MEM-4", "MEM-5", "MEM-7", "MEM-8", "MEM-9", "MEM-11"
)
@pytest.mark.parametrize(("clause", "commands", "spoil"), SPOILT)
def test_a_breach_is_seen(
    clause: str, commands: list[Command], spoil: Callable[[Vm], None]
) -> None:
    assert broken(commands) == ""
    assert broken(commands, clause, spoil).startswith(f"{clause}: ")


@pytest.mark.clause("INV-9")
@pytest.mark.parametrize(
    ("commands", "spoil"),
    [
        ([INIT, QUERY], put(0x1000, 0, 0x12)),  # a byte that no call changes
        ([INIT, QUERY], set_entry(0x1000, lambda entry: with_permissions(entry, 3, 15))),
        (CREATED, move(PAGE_1, 0x2000)),
    ],
)
def test_what_is_not_documented_breaks_inv_9(
    commands: list[Command], spoil: Callable[[Vm], None]
) -> None:
    assert broken(commands, "INV-9", spoil).startswith("INV-9: ")


@pytest.mark.clause("MEM-6", "MEM-10", "MEM-12")
@pytest.mark.parametrize(
    ("name", "clause"),
    [
        ("validated-twice", "MEM-6"),
        ("delete-running-stops", "MEM-10"),
        ("stale-report", "MEM-12"),
        ("nonce-reused", "MEM-12"),
        ("tpm-response-dropped", "MEM-12"),
    ],
)
def test_a_quirk_breaks_it_and_the_reference_does_not(name: str, clause: str) -> None:
    held = [one for one in INVARIANTS if one.name == clause]
    with pytest.raises(Violation):
        carry_out(Watch(Machine(name), invariants=held), quirk_scenario(name))
    assert broken(quirk_scenario(name), clause) == ""


def test_what_the_host_took_is_no_breach() -> None:
    taken: Command = {"op": "host_page", "gpa": PAGE_2, "to": "shared"}
    assert broken([*CREATED, taken, QUERY]) == ""
    taken = {"op": "host_page", "gpa": PAGE_1, "to": "private"}
    assert broken([*CREATED, taken, QUERY]) == ""


def test_an_effect_that_is_left_out_breaks_inv_9(monkeypatch: pytest.MonkeyPatch) -> None:
    """The order of effects is documented: what is zeroed is zeroed before the guest may read it."""
    grant = operands.grant

    def granted(cpu: object, page: int, size: int) -> None:
        grant(cpu, page, size)  # type: ignore[arg-type]
        did = cpu.vm.memory.did  # type: ignore[attr-defined]
        did[-2], did[-1] = did[-1], did[-2]

    monkeypatch.setattr(core, "grant", granted)
    assert broken([INIT, *listed(0x400004)]).startswith("INV-9: did ")


def test_a_snapshot_says_where_a_vcpu_is() -> None:
    machine = Machine()
    carry_out(Watch(machine), [*CREATED, QUERY | {"cpu": 1}, {"op": "run", "cpu": 1, "on": True}])
    assert snapshot(machine.vm.vcpus[1]) == (
        "vCPU 1; executing; VMSA 0x30000; calling area 0x31000;"
        " registered 0x801000 with 0x8000 of vCPU 0, 0x30000 with 0x31000 of vCPU 1"
    )


def counts(commands: list[Command]) -> dict[str, int]:
    watch = Watch(Machine())
    carry_out(watch, commands)
    found: dict[str, int] = {}
    for invariant, count in watch.checked.items():
        found[invariant.name] = found.get(invariant.name, 0) + count
    return {name: found[name] for name in sorted(found)}


def test_each_says_when_it_had_something_to_check() -> None:
    # vCPU 1 has no VMSA, which MEM-11 looks at; the call was served where it was made. What was in the
    # calling area at first is gone: call_pending is 0.
    assert counts([INIT, QUERY]) == {"INV-9": 1, "MEM-10": 1, "MEM-11": 2, "MEM-3": 1}
    assert counts([INIT, *listed(0x400004)])["MEM-2"] == 1
    assert counts(CREATED).keys() >= {"MEM-1", "MEM-7", "MEM-8", "MEM-9"}
    assert "MEM-6" in counts(quirk_scenario("validated-twice"))
    assert "MEM-5" in counts([INIT, QUERY | {"request": 77}])
    assert "MEM-4" in counts(quirk_scenario("legacy-range-not-cleared"))
    assert "MEM-12" in counts(quirk_scenario("tpm-echo"))
