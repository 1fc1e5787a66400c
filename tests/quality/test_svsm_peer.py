"""An implementation of an SVSM with memory is driven over the pipe, whatever it lacks; what it does wrong
is found and named."""

import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.checkout import PYTHON_HOST, PYTHON_PEER, quirk_scenario
from tests.peers.opened import opener
from vmgexit.compare.causes import first
from vmgexit.errors import UsageError
from vmgexit.machine import program
from vmgexit.machine.commands import call, checked
from vmgexit.machine.machine import Machine
from vmgexit.machine.program import SIZE
from vmgexit.machine.quirks import MEMORY, REFERENCE, profile
from vmgexit_fuzz.inputs import looks, memory_programs
from vmgexit_fuzz.targets import Conditions, Finding, find
from vmgexit_fuzz.targets.svsm_peer import SvsmPeer
from vmgexit_fuzz.targets.whole_svsm import OPENING

ROW = find("svsm-peer")

PARTLY = """
import json, sys
from vmgexit.errors import ScenarioError
from vmgexit.machine.machine import Machine
lacks, machine = sys.argv[1:], Machine("tpm-echo")
print('{"vmgexit": 2, "name": "partly"}', flush=True)
for line in sys.stdin:
    command = json.loads(line)
    if command["op"] in lacks or any(key in lacks for key in command) or command.get("npf") in lacks:
        answer = {"unsupported": command["op"]}
    else:
        try:
            answer = machine.execute(command)
        except ScenarioError as error:
            answer = {"unsupported": str(error)}
    print(json.dumps(answer), flush=True)
"""
"""An adapter with a defect and without some operations, or with no use for some arguments."""

Open = Callable[..., SvsmPeer]


@pytest.fixture
def opened() -> Iterator[Open]:
    yield from opener("svsm-peer", SvsmPeer)


@pytest.fixture
def partly(opened: Open, tmp_path: Path) -> Open:
    (tmp_path / "partly.py").write_text(PARTLY)
    return lambda *lacks, **more: opened(
        sys.executable, str(tmp_path / "partly.py"), *lacks, **more
    )


# --- causes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MEMORY)
def test_a_quirk_on_memory_names_what_it_explains(name: str) -> None:
    cause = first(Machine(profile(name)), REFERENCE, quirk_scenario(name))
    assert cause is not None
    assert cause.name == cause.quirk == name


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("unvalidated-operand-stops", "panic at call SVSM_CORE_REMAP_CA"),
        ("vmsa-at-2m", "call SVSM_CORE_CREATE_VCPU: rax is not INVALID_ADDRESS"),
        ("remap-to-current-refused", "call SVSM_CORE_REMAP_CA: rax is INVALID_ADDRESS"),
        ("ignore-cf-wipes", "call SVSM_CORE_PVALIDATE: did has zero too many"),
        ("legacy-range-not-cleared", "call SVSM_CORE_PVALIDATE: did lacks zero"),
        ("tpm-echo", "call SVSM_VTPM_COMMAND: page.hash differs"),
        ("deleted-keeps-calling-area", "call SVSM_CORE_DELETE_VCPU: calling_area.caa differs"),
    ],
)
def test_a_defect_is_named_by_what_differs_first(name: str, key: str) -> None:
    cause = first(Machine(profile(name)), REFERENCE, quirk_scenario(name))
    assert cause is not None
    assert cause.key == key


def test_the_pages_that_a_command_changed_are_shown() -> None:
    cause = first(Machine(profile("tpm-echo")), REFERENCE, quirk_scenario("tpm-echo"))
    assert cause is not None
    assert "calling area 0x8000; registered 0x801000 with 0x8000 of vCPU 0" in cause.after
    assert "; system page 0x10000: bytes 0x" in cause.after


def test_nothing_is_compared_after_both_stopped() -> None:
    stops = [*quirk_scenario("taken-page-panics"), {"op": "page", "gpa": 0}, {"op": "registry"}]
    assert first(Machine(), REFERENCE, stops) is None


# --- inputs ----------------------------------------------------------------------------------------


def test_programs_look_at_what_they_did() -> None:
    target, ops = SvsmPeer(ROW, Conditions()), dict[str, int]()
    for seed in range(40):
        for command in target.commands(target.make(random.Random(seed))):
            checked(command)
            ops[command["op"]] = ops.get(command["op"], 0) + 1
    for name in ("page", "registry", "calling_area", "read", "host_page", "psp"):
        assert ops[name] >= 10
    assert ops["call"] > ops["page"]


def test_mutations_are_of_whole_operations_and_the_same_each_time() -> None:
    data = b""
    one, other = (memory_programs.stock(hostile=True) for _ in range(2))
    for seed in range(200):
        changed = looks.mutate(data, ROW.longest, seed, one)
        assert changed == looks.mutate(data, ROW.longest, seed, other)
        assert len(changed) <= ROW.longest
        assert len(changed) % SIZE == 0
        data = changed


# --- the pipe --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_peer_that_does_as_the_machine_has_no_finding(opened: Open) -> None:
    target = opened(*PYTHON_PEER)
    assert target.has_apic
    for seed in range(20):
        target.run(target.make(random.Random(seed)))


@pytest.mark.slow
@pytest.mark.parametrize(
    "lacks",
    [
        (),
        ("host_page", "psp", "registry"),
        ("page", "calling_area", "vmsa", "adjust", "run", "read"),
        ("reg_count", "host_irq", "enter", "guest_take", "state"),
        ("stop",),  # an `init`, after which its machine is the one before
    ],
)
@pytest.mark.parametrize("started", [True, False])
def test_what_a_peer_lacks_is_left_out(partly: Open, lacks: tuple[str, ...], started: bool) -> None:
    """All that is found is its defect, and it is found without each of these. A process of a campaign runs
    inputs without `start`."""
    target, found = partly(*lacks, started=started), set[str]()
    assert target.has_apic is ("reg_count" not in lacks)
    for seed in range(15):
        try:
            target.run(target.make(random.Random(seed)))
        except Finding as finding:
            found.add(finding.cause)
    assert found <= {"tpm-echo"}
    if "page" not in lacks and "stop" not in lacks:
        with pytest.raises(Finding) as caught:
            target.run(program.write(quirk_scenario("tpm-echo")))
        assert caught.value.cause == "tpm-echo"


@pytest.mark.slow
def test_what_stops_it_is_a_finding_and_it_goes_on(opened: Open) -> None:
    target = opened(*PYTHON_PEER, "--profile", "delete-running-stops")
    with pytest.raises(Finding) as caught:
        target.run(program.write(quirk_scenario("delete-running-stops")))
    assert caught.value.cause == "delete-running-stops"
    assert target.run(program.write([OPENING, call(0, 6, 1, protocol=0)])) == 2


@pytest.mark.slow
def test_a_peer_without_memory_is_told_so(partly: Open) -> None:
    with pytest.raises(UsageError, match="it does not support an init with memory"):
        partly("memory")


@pytest.mark.slow
def test_a_host_is_told_so(opened: Open) -> None:
    with pytest.raises(UsageError, match="it is a GHCB host, which the target host-peer drives"):
        opened(*PYTHON_HOST)
