"""What a report counts: calls, registers, races and exercised invariants, on scenarios counted by hand."""

import json

from tests.checkout import quirk_scenario
from vmgexit.descriptions import Command
from vmgexit.machine import program
from vmgexit.machine.commands import call
from vmgexit.machine.quirks import REFERENCE, Quirks, profile
from vmgexit.watch.invariants import INVARIANTS
from vmgexit.wire.apic import ApicRegister
from vmgexit.wire.svsm import Protocol, ResultCode
from vmgexit_fuzz.report.reach import (
    IPI,
    LATE_POST,
    OTHER,
    REWRITTEN,
    WHOLE_POST,
    Reach,
    answerable,
    call_rows,
    may_race,
)
from vmgexit_fuzz.targets import REPOSITORY, find

QUIRKS = sorted((REPOSITORY / "corpus" / "quirks").glob("*.jsonl"))
INIT: Command = {"op": "init", "cpus": 2, "reg_count": 1}


def called(protocol: int, request: int, rcx: int = 0, rdx: int = 0, cpu: int = 0) -> Command:
    return call(cpu, request, rcx, rdx, protocol=protocol)


def counted(*commands: Command, quirks: Quirks = REFERENCE) -> Reach:
    reach = Reach()
    reach.add([INIT, *commands], quirks)
    return reach


def exercised(reach: Reach) -> dict[str, int]:
    """The counts by invariant of a machine without memory; of the two INV-8 the second with a mark."""
    names: list[str] = []
    for invariant in INVARIANTS:
        if invariant.on_memory:
            break  # they stand last
        names.append(invariant.name + "'" * (invariant.name in names))
    return {name: reach.exercised[(place,)] for place, name in enumerate(names)}


def test_calls_are_counted_by_result_code() -> None:
    reach = counted(
        called(0, 6),  # QUERY_PROTOCOL
        called(3, 3, 0x808, 0x20),  # TPR
        called(3, 3, 0x808, 0x20),
        called(3, 2, 0x80B),  # EOI cannot be read
        called(3, 2, 0x8FF),  # no register
        called(3, 77),
        called(9, 9),
    )
    assert reach.calls == {
        (0, 6, 0): 1,
        (3, 3, 0): 2,
        (3, 2, ResultCode.INVALID_PARAMETER): 1,
        (3, 2, ResultCode.INVALID_ADDRESS): 1,
        (3, OTHER, ResultCode.UNSUPPORTED_CALL): 1,
        (OTHER, OTHER, ResultCode.UNSUPPORTED_PROTOCOL): 1,
    }
    assert reach.registers == {
        (ApicRegister.TPR, "write", 0): 2,
        (ApicRegister.EOI, "read", ResultCode.INVALID_PARAMETER): 1,
        (OTHER, "read", ResultCode.INVALID_ADDRESS): 1,
    }
    assert (reach.inputs, reach.broken, reach.steps) == (1, 0, 8)


def test_what_comes_between_the_steps_of_an_entry_is_counted() -> None:
    begin, step = {"op": "svsm_step", "cpu": 0}, {"op": "host_step", "cpu": 0}
    post = {"cpu": 0, "vector": 0x61, "level": False}
    reach = counted(
        {"op": "host_irq", **post},  # before any entry: no race
        begin,  # handle_hv is done, swap_events is next
        {"op": "host_begin", **post},
        step,  # read_status
        {"op": "host_irq", **post},
        begin,  # load_status is next
        called(3, 3, 0x830, 1 << 18 | 0x70, cpu=1),  # an IPI to self is none to another
        called(3, 3, 0x830, 3 << 18 | 0x70, cpu=1),  # to all but self
        {"op": "set_doorbell", "cpu": 0, "hex": "00" * 256},
        {"op": "enter", "cpu": 0, "late": [{"vector": 0x62, "level": False}] * 2},
    )
    assert reach.broken == 0
    assert reach.races == {
        ("swap_events", "read_status"): 1,
        ("swap_events", WHOLE_POST): 1,
        ("load_status", IPI): 1,
        ("load_status", REWRITTEN): 1,
        ("vmgexit", LATE_POST): 2,
    }
    assert all(may_race(*pair) for pair in reach.races)
    assert not may_race("test_signal", LATE_POST)


def test_invariants_are_exercised_where_there_is_something_to_check() -> None:
    assert exercised(counted()) == dict.fromkeys(exercised(Reach()), 0) | {"INV-10": 1}
    reach = counted(
        called(3, 4, 0x300),  # allow all vectors: INV-9
        {"op": "host_irq", "cpu": 0, "vector": 0x61, "level": True},
        {"op": "guest", "cpu": 0, "if": True, "shadow": False},
        {"op": "enter", "cpu": 0},  # owed: INV-1; entered: INV-3; presented, so in service: INV-5
        {"op": "guest_take", "cpu": 0},  # INV-2
        called(3, 3, 0x80B),  # EOI: INV-4, INV-9
        called(3, 2, 0x80A),  # PPR: INV-6, INV-9
        called(3, 1, 3),  # configured, in vain: INV-7, INV-9
        called(3, 3, 0x830, 1 << 18 | 4 << 8),  # an NMI to itself: INV-8, INV-9
    )
    assert reach.broken == 0
    assert exercised(reach) == {
        "INV-1": 1,
        "INV-2": 1,
        "INV-3": 1,
        "INV-4": 1,
        "INV-5": 0,  # presented and not taken is not yet in service
        "INV-6": 1,
        "INV-7": 1,
        "INV-8": 1,
        "INV-8'": 0,
        "INV-9": 5,
        "INV-10": 10,
    }


def test_the_oracle_answers_whatever_is_answered() -> None:
    reach = Reach()
    seeds = find("scenario").seeds
    for path in sorted(seeds.iterdir()):
        reach.add(program.read(path.read_bytes()), REFERENCE)
    assert (reach.inputs, reach.broken) == (len(list(seeds.iterdir())), 0)
    for protocol, number, code in reach.calls:
        assert code in answerable(protocol, number)
    ways = {"read": 2, "write": 3}
    for register, way, code in reach.registers:
        assert code in answerable(Protocol.APIC, ways[way], register)


def test_answers_that_the_machine_has() -> None:
    code = ResultCode
    assert answerable(0, 0) == {code.SUCCESS, code.INVALID_PARAMETER, code.INVALID_ADDRESS}
    assert answerable(0, 1) == {code.INVALID_PARAMETER, code.INVALID_ADDRESS}
    assert answerable(0, 7) == {code.SUCCESS, code.INVALID_REQUEST}
    assert answerable(1, OTHER) == answerable(2, 0) == {code.UNSUPPORTED_PROTOCOL}
    off = {code.UNSUPPORTED_PROTOCOL}
    assert answerable(3, 1) == off | {code.SUCCESS, code.INVALID_PARAMETER, code.CANNOT_REGISTER}
    assert answerable(3, 4) == off | {code.SUCCESS, code.INVALID_PARAMETER}
    refused, done = off | {code.INVALID_PARAMETER}, off | {code.SUCCESS}
    assert answerable(3, 2, ApicRegister.EOI) == answerable(3, 3, ApicRegister.ISR3) == refused
    assert answerable(3, 2, ApicRegister.ISR3) == done
    for register in (ApicRegister.TPR, ApicRegister.EOI, ApicRegister.ICR, ApicRegister.SELF_IPI):
        assert answerable(3, 3, register) == refused | done
    assert answerable(3, 2, OTHER) == off | {code.INVALID_ADDRESS}


def test_every_call_is_a_row() -> None:
    rows = [(protocol, number) for protocol, number, _, _ in call_rows()]
    assert len(set(rows)) == len(rows)
    assert {(0, n) for n in range(8)} | {(3, n) for n in range(5)} < set(rows)
    assert {(protocol, OTHER) for protocol in (*range(5), OTHER)} < set(rows)


def test_reach_survives_json() -> None:
    reach = counted(called(0, 6), {"op": "svsm_step", "cpu": 0}, called(9, 9))
    assert Reach.from_json(json.loads(json.dumps(reach.as_json()))) == reach


def test_an_input_that_breaks_an_invariant_ends_there() -> None:
    reach = Reach()
    reach.add(quirk_scenario("allow-below-31"), profile("allow-below-31"))
    assert (reach.inputs, reach.broken) == (1, 1)


def test_an_invariant_that_is_not_kept_is_counted_and_not_checked() -> None:
    name = "ppr-keeps-low-nibble"  # breaks INV-6
    reach = Reach()
    kept = [invariant for invariant in INVARIANTS if invariant.name != "INV-6"]
    reach.add(quirk_scenario(name), profile(name), kept)
    assert reach.broken == 0
    assert exercised(reach)["INV-6"] > 0
