"""specs/peer-protocol.md says what scenarios and the machine do: every operation, argument and key."""

import re
from pathlib import Path

from vmgexit.compare.operations import refreshed
from vmgexit.compare.peer import LONGEST_ANSWER, VERSION
from vmgexit.machine.commands import COMMANDS, Command, call
from vmgexit.machine.machine import Machine
from vmgexit.wire.exit_codes import ExitCode

PAGE = (Path(__file__).parents[2] / "specs" / "peer-protocol.md").read_text()


def table(heading: str) -> list[list[str]]:
    """The cells of the table with that first heading, row by row."""
    rows = PAGE[PAGE.index(f"| {heading} |") :].partition("\n\n")[0].splitlines()
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows[2:]]


def names(cell: str) -> list[str]:
    return re.findall(r"`([a-z0-9_?]+)`", cell)


def test_the_table_of_operations_is_current() -> None:
    assert refreshed(PAGE) == PAGE


# Each operation, and each that has `calls` in a way that makes one.
READ_ICR = call(0, 2, 0x830)
ALLOW = call(0, 4, 0x300)
TO_ANOTHER = call(0, 3, 0x830, 1 << 32 | 0x61)
DEREGISTER = call(0, 1, 1)
LEVEL = {"op": "host_irq", "cpu": 0, "vector": 0x61, "level": True}
SCENARIO: list[Command] = [
    {"op": "init", "cpus": 2, "reg_count": 1},
    READ_ICR,
    LEVEL,
    {"op": "enter", "cpu": 0},  # not allowed: acknowledged at once
    ALLOW,
    LEVEL,
    {"op": "guest", "cpu": 0, "if": True, "shadow": False},
    {"op": "enter", "cpu": 0},
    {"op": "guest_take", "cpu": 0},
    {"op": "guest_lazy_eoi", "cpu": 0},
    {"op": "intercept", "cpu": 0, "exitintinfo": 0, "busy": False},
    {"op": "set_vmsa", "cpu": 0},
    {"op": "doorbell", "cpu": 0},
    {"op": "set_doorbell", "cpu": 0, "hex": "00" * 256},
    {"op": "host_begin", "cpu": 0, "vector": 0x61, "level": False},
    {"op": "host_step", "cpu": 0},
    {"op": "svsm_step", "cpu": 0},
    {"op": "enter", "cpu": 0},
    {"op": "host_refuse", "cpu": 0, "call": "hv_ipi"},
    TO_ANOTHER,
    DEREGISTER,
    {"op": "state", "cpu": 0},
]


def test_every_key_of_every_answer() -> None:
    groups = {row[0].strip("`"): names(row[1]) for row in table("group")}
    machine = Machine()
    given: dict[str, set[str]] = {}
    for command in SCENARIO:
        answer = machine.execute(command)
        given.setdefault(command["op"], set()).update(answer)
        for group in ("flags", "apic"):
            if group in answer:
                assert list(answer[group]) == groups[group]
    assert set(given) == set(COMMANDS)
    for operation, described in COMMANDS.items():
        told = described.answers.replace("VMRUN", " ".join(groups["VMRUN"]))
        keys = set(told.split())
        assert given[operation] - {"calls"} == keys - {"calls?"}, operation
        assert "calls" not in given[operation] or "calls?" in keys, operation
    (call,) = (
        call for call in machine.vm.requests if call.code is ExitCode.DISABLE_ALTERNATE_INJECTION
    )
    assert [key for key in call.as_dict() if key in groups["calls"]] == list(call.as_dict())


def test_version_and_limit() -> None:
    assert f'{{"vmgexit": {VERSION},' in PAGE
    assert LONGEST_ANSWER == 1 << 20
    assert "up to 1 MiB" in PAGE
