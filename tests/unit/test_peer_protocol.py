"""specs/peer-protocol.md says what scenarios and the machine do: every operation, argument and key."""

import re
from pathlib import Path

from vmgexit.compare.conformance.page import refreshed as with_rules
from vmgexit.compare.operations import refreshed
from vmgexit.compare.peer import VERSION
from vmgexit.compare.pipes import LONGEST_ANSWER
from vmgexit.descriptions import Command
from vmgexit.machine.commands import call
from vmgexit.machine.machine import Machine
from vmgexit.wire.exit_codes import ExitCode

PAGE = (Path(__file__).parents[2] / "specs" / "peer-protocol.md").read_text()


def table(heading: str) -> list[list[str]]:
    """The cells of the table with that first heading, row by row."""
    rows = PAGE[PAGE.index(f"| {heading} |") :].partition("\n\n")[0].splitlines()
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows[2:]]


def names(cell: str) -> list[str]:
    return re.findall(r"`([a-z0-9_?]+)`", cell)


def test_the_table_of_operations_and_the_rules_are_current() -> None:
    assert refreshed(PAGE) == PAGE
    assert with_rules(PAGE) == PAGE


# The groups that answers have, and calls of each kind.
SCENARIO: list[Command] = [
    {"op": "init", "cpus": 2, "reg_count": 1},
    {"op": "host_irq", "cpu": 0, "vector": 0x61, "level": True},
    {"op": "enter", "cpu": 0},  # not allowed: acknowledged at once
    {"op": "intercept", "cpu": 0, "exitintinfo": 0, "busy": False},
    call(0, 3, 0x830, 1 << 32 | 0x61),  # an IPI to the other vCPU
    call(0, 1, 1),  # the last deregistration
    {"op": "state", "cpu": 0},
]


def test_every_key_of_every_group() -> None:
    groups = {row[0].strip("`"): names(row[1]) for row in table("group")}
    machine = Machine()
    for command in SCENARIO:
        answer = machine.execute(command)
        for group in ("flags", "apic"):
            if group in answer:
                assert list(answer[group]) == groups[group]
        if command["op"] == "intercept":
            assert list(answer) == groups["VMRUN"]
    (call,) = (
        call for call in machine.vm.requests if call.code is ExitCode.DISABLE_ALTERNATE_INJECTION
    )
    assert [key for key in call.as_dict() if key in groups["calls"]] == list(call.as_dict())


def test_version_and_limit() -> None:
    assert f'{{"vmgexit": {VERSION},' in PAGE
    assert LONGEST_ANSWER == 1 << 20
    assert "at most 1 MiB" in PAGE
