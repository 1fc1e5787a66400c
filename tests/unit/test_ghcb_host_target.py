"""The target ghcb-host: what its bytes spell, what it finds, and that the reference survives it."""

import json
from collections import Counter
from itertools import groupby, takewhile
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.campaigns.planted import bugs, planted
from vmgexit.hosts.scenario import Session, sequence_of
from vmgexit.wire.exit_codes import ExitCode
from vmgexit_fuzz.campaign.findings import Store
from vmgexit_fuzz.export.cases import of_input
from vmgexit_fuzz.export.formats import FORMATS
from vmgexit_fuzz.process.minimize import minimized
from vmgexit_fuzz.targets import Conditions, Finding, find
from vmgexit_fuzz.targets.ghcb import mutation
from vmgexit_fuzz.targets.ghcb.expected import GPA
from vmgexit_fuzz.targets.ghcb.hosts import HostScenarios
from vmgexit_fuzz.targets.ghcb.programs import SIZE, WEIGHTS, code_of, guest_pages, page, read

ROW = find("ghcb-host")
TARGET = ROW.open()
INPUTS = 1500


def inputs(target: HostScenarios, seed: int = 1, most: int = INPUTS) -> list[bytes]:
    """Inputs as a campaign without coverage makes them."""
    pick, pool = Random(seed), [b""]
    for _ in range(most):
        pool.append(target.mutate(pick.choice(pool[-200:]), ROW.longest, pick.getrandbits(32)))
        if pick.random() < 0.1:
            pool.append(b"")
    return pool


def first_finding(profile: str, seed: int = 1) -> Finding | None:
    target = ROW.open(Conditions(profile=profile))
    assert isinstance(target, HostScenarios)
    for data in inputs(target, seed):
        try:
            target.run(data)
        except Finding as found:
            return found
    return None


def test_every_operation_is_made_and_pages_of_guests_are() -> None:
    assert isinstance(TARGET, HostScenarios)
    made: Counter[str] = Counter()
    for data in inputs(TARGET, most=300):
        made.update(command["op"] for command in read(data))
    assert set(made) == {*WEIGHTS, "init"} - {"set doorbell"}
    assert len(guest_pages()) > 150
    operation = bytearray(SIZE)
    operation[0], operation[2], operation[3] = code_of("vmgexit"), 1, 5
    assert page(bytes(operation)).encode() == guest_pages()[5]


def operations(data: bytes) -> list[bytes]:
    assert len(data) % SIZE == 0
    return [data[at : at + SIZE] for at in range(0, len(data), SIZE)]


@given(seed=st.integers(0, 1 << 31))
@settings(max_examples=50)
def test_a_scenario_from_nothing_is_short_enough_and_made_again(seed: int) -> None:
    made = TARGET.make(Random(seed))
    assert made == TARGET.make(Random(seed))
    assert 2 <= len(operations(made)) <= 24


def test_another_way_on_is_all_new_and_an_operation_comes_again_many_times() -> None:
    found = map(TARGET.make, map(Random, range(99)))
    data = next(made for made in found if len(made) == 24 * SIZE)
    given = operations(data)
    assert len(set(given)) > 20
    ways, most = 0, 0
    for seed in range(200):
        changed = operations(TARGET.mutate(data, ROW.longest, seed))
        kept = len(
            list(takewhile(lambda pair: pair[0] == pair[1], zip(given, changed, strict=False)))
        )
        new = changed[kept:]
        ways += int(kept >= 4 and len(new) > 2 and not set(new) & set(given))
        most = max(most, *(len(list(alike)) for _, alike in groupby(changed)))
    assert ways > 4
    assert most >= 8


def test_what_a_page_is_made_to_lack_is_mostly_what_it_had() -> None:
    right = mutation._page(Random(1), ExitCode.MSR)
    lost = gained = 0
    for seed in range(200):
        changed = bytearray(right)
        mutation._toggle(Random(seed), changed)
        before, after = (set(page(bytes(each)).valid_fields()) for each in (right, changed))
        lost += len(before - after)
        gained += len(after - before)
    assert lost + gained == 200
    assert lost > 120
    assert gained > 5


def test_scratch_areas_are_misplaced_near_and_far() -> None:
    places = {page(bytes(mutation._misplaced(Random(seed))[0])).sw_scratch for seed in range(200)}
    assert places >= {GPA + 0xFF0, GPA + 0x1000, 0x20000, 1 << 32, 1 << 51}


@given(st.binary(max_size=4 * SIZE))
@settings(max_examples=80)
def test_any_bytes_are_a_scenario_that_the_reference_survives(data: bytes) -> None:
    assert TARGET.run(data) == len(read(data)) == -(-len(data) // SIZE) or not data


def test_what_was_found_is_a_scenario_that_replay_takes() -> None:
    line = TARGET.lines(bytes(3 * SIZE))
    sequence = sequence_of(json.loads(line), 1, "found")
    assert sequence is not None
    assert sequence.commands == read(bytes(3 * SIZE))
    session = Session()
    for command in sequence.commands:
        session.execute(command)


@pytest.mark.parametrize(
    ("profile", "cause"),
    [
        ("rdtsc-ends-run", "HOST-9 the exit RDTSC"),
        ("registers-always-returned", "HOST-8 the exit "),
        ("msr-cpuid-keeps-reserved", "HOST-10 the MSR word CPUID_REQUEST"),
        ("cancel-merges-events", "HOST-11 cancel"),
        ("psc-ranges-merged", "differs from the reference at the exit SNP_PAGE_STATE_CHANGE"),
    ],
)
def test_a_quirk_is_found(profile: str, cause: str) -> None:
    found = first_finding(profile)
    assert found is not None
    assert found.cause.startswith(cause)


def test_the_merge_of_begun_entries_is_found_by_what_was_asked() -> None:
    with planted(bugs()["begun-entry-is-merged"]):
        found = next(filter(None, (first_finding("reference", seed) for seed in range(8))), None)
    assert found is not None
    assert found.cause == "HOST-5 the exit SNP_PAGE_STATE_CHANGE"


def test_a_finding_is_made_short_by_whole_operations() -> None:
    target = ROW.open(Conditions(profile="rdtsc-ends-run"))
    assert isinstance(target, HostScenarios)
    data = next(data for data in inputs(target) if target.examine(data)[0])
    finding, _ = target.examine(data)
    assert finding is not None
    short = minimized(target, data, finding.cause)
    assert target.examine(short)[0].cause == finding.cause  # type: ignore[union-attr]
    assert len(short) == 2 * SIZE
    assert target.described(finding, short, "")["commands"] == target.count(short) == 2


def test_a_finding_is_exported_with_its_commands(tmp_path: Path) -> None:
    finding = Finding("a cause")
    told = TARGET.described(finding, bytes(2 * SIZE), "")
    store = Store(tmp_path)
    record, _ = store.keep(told, target=ROW.name)
    assert record.commands == 2
    path = tmp_path / f"{record.id}.bin"
    case = of_input(path, path.read_bytes(), TARGET, record=record)
    assert case is not None
    [line] = FORMATS["jsonl"].render([case])["exported.jsonl"].splitlines()
    assert [each["cmd"]["op"] for each in json.loads(line)["ops"]] == ["init", "vmgexit"]


def test_a_finding_is_shown_with_its_command_marked() -> None:
    target = ROW.open(Conditions(profile="registers-always-returned"))
    assert isinstance(target, HostScenarios)
    for data in inputs(target):
        finding, shown = target.examine(data)
        if finding is not None:
            break
    assert finding is not None
    assert sum(line.startswith("->") for line in shown.splitlines()) == 1
