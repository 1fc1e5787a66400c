"""Calls of two vCPUs that hold no lock: the races of COCONUT-SVSM are found, by every order of steps."""

from pathlib import Path

import pytest

from tests.cli.conftest import Run, run  # noqa: F401
from vmgexit.descriptions import Command
from vmgexit.explore.memory.races import races
from vmgexit.machine.commands import call
from vmgexit.machine.machine import Machine
from vmgexit.machine.quirks import REFERENCE, Quirks, only
from vmgexit.machine.scenario import sequences, to_lines
from vmgexit.watch import watch
from vmgexit.wire.svsm import CoreCall, Protocol

SCENARIOS = Path(__file__).parents[2] / "corpus" / "races"
GRANTS = "refused-create-changes-permissions"

# Of each scenario the quirks of the SVSM, and the invariant that an order of its last two calls breaks.
FOUND: dict[str, tuple[str, str]] = {
    # COCONUT-SVSM 4139ce4c: checked, then registered.
    "vmsa-created-twice": ("", "MEM-7"),
    # COCONUT-SVSM d162b9df (pull request 320): a refused creation grants what is not yet cleared.
    "validated-and-refused": (GRANTS, "MEM-2"),
    # COCONUT-SVSM 994a5590: creation and remapping exclude each other.
    "area-created-and-remapped": ("", "MEM-7"),
}


def scenario(name: str) -> list[Command]:
    with (SCENARIOS / f"{name}.jsonl").open("rb") as file:
        (found,) = sequences(file, name)
    return found.commands


def quirks(names: str) -> Quirks:
    return only(*names.split()) if names else REFERENCE


@pytest.mark.parametrize("name", FOUND)
def test_a_race_is_found_where_calls_hold_no_lock(name: str) -> None:
    names, invariant = FOUND[name]
    *before, one, other = scenario(name)
    found = next(races(before, (one, other), quirks(names)))
    assert found.invariant == invariant
    assert set(found.order) == {0, 1}
    assert len(found.order) == len(found.steps)
    for order in ((one, other), (other, one)):
        watch.run([*before, *order], Machine())  # one after the other nothing breaks


def test_steps_are_changes_of_what_is_shared_flushes_and_the_hand_over() -> None:
    *before, one, other = scenario("area-created-and-remapped")
    steps = next(races(before, (one, other))).steps
    told = ("changes what is registered", "changes an RMP entry", "flushes a vCPU", "hands vCPU 0 over",
            "flushes all", "enters the guest")  # fmt: skip
    for what in told:
        assert any(step.startswith(what) for step in steps), what


def test_calls_that_share_nothing_have_no_race() -> None:
    before = scenario("vmsa-created-twice")[:-3]
    calls = tuple(
        call(cpu, CoreCall.REMAP_CA, page, protocol=Protocol.CORE)
        for cpu, page in ((0, 0x204000), (1, 0x205000))
    )
    assert list(races(before, (calls[0], calls[1]))) == []


def test_the_command_line(run: Run) -> None:  # noqa: F811
    twice = str(SCENARIOS / "vmsa-created-twice.jsonl")
    ran = run("explore", "--races", twice)
    assert ran.code == 1
    assert "last two calls, MEM-7 breaks: 0xa000 is in use twice\n   vCPU 0 begins\n" in ran.out
    refused = str(SCENARIOS / "validated-and-refused.jsonl")
    assert run("explore", "--races", refused).code == 0
    assert run("explore", "--profile", GRANTS, "--races", refused).code == 1
    other = run("explore", "--races", "corpus/quirks/nonce-reused.jsonl")
    assert "whose last two commands are calls of two vCPUs" in other.complaint


ANOTHER = {"op": "run", "cpu": 9, "on": True}
TAKEN = [
    {"op": "host_page", "gpa": 0x8000, "to": "shared"},
    call(0, CoreCall.QUERY_PROTOCOL, protocol=Protocol.CORE),
]


@pytest.mark.parametrize(
    ("between", "second", "complaint"),
    [
        ([], {"cpu": 7}, "call: vCPU 7 does not exist, there are 2"),
        ([ANOTHER], {}, "operation 1: run: vCPU 9 does not exist, there are 2"),
        (TAKEN, {}, "operation 2: call stops the VM (terminated: nested page fault at 0x8000)"),
    ],
)
def test_calls_that_are_never_made_have_no_verdict(
    run: Run,  # noqa: F811
    tmp_path: Path,
    between: list[Command],
    second: Command,
    complaint: str,
) -> None:
    first, *_, one, other = scenario("vmsa-created-twice")
    file = tmp_path / "races.jsonl"
    file.write_text(to_lines([first, *between, one, other | second]))
    ran = run("explore", "--races", str(file))
    assert (ran.code, ran.out, ran.err) == (2, "", f"vmgexit: {file} line 1: {complaint}\n")


def test_a_file_of_no_commands_is_named(run: Run, tmp_path: Path) -> None:  # noqa: F811
    file = tmp_path / "races.jsonl"
    file.write_text("calls\n")
    ran = run("explore", "--races", str(file))
    assert ran.code == 2
    assert ran.err.startswith(f"vmgexit: {file} line 1: not JSON: ")


@pytest.mark.parametrize(
    "option", [("--memory",), ("--reduce",), ("--host-moves", "1"), ("--output", "no.jsonl")]
)
def test_options_of_a_search_do_not_go_with_it(run: Run, option: tuple[str, ...]) -> None:  # noqa: F811
    ran = run("explore", "--races", str(SCENARIOS / "vmsa-created-twice.jsonl"), *option)
    assert (ran.code, ran.err) == (2, f"vmgexit: {option[0]}: not with --races\n")
