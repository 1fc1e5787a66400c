"""Any page, word, memory and guest: a host answers or stops by name, and the reference obeys the rules."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmgexit import GhcbPage
from vmgexit.hosts.host import Host
from vmgexit.hosts.page import SharedPage
from vmgexit.hosts.quirks import KVM, REFERENCE, Quirks
from vmgexit.hosts.scenario import Session, sequence_of
from vmgexit.hosts.vm import Setup, Vm
from vmgexit.rules.exits import problems_of_answer, problems_of_request
from vmgexit.wire.exit import Where
from vmgexit.wire.exit_codes import ExitCode
from vmgexit.wire.exits import exits, find_exit

GPA = 0x7000
STOPS = {"error", "terminate", "internal-error", "endless"}
WORD = st.sampled_from(
    [0, 1, 2, 3, 5, 0xD, 0x1000, GPA + 0x800, 1 << 31, (1 << 64) - 1]
) | st.integers(0, (1 << 64) - 1)
CODES = [int(row.code) for row in exits() if row.where is Where.GHCB]
SETUPS = st.fixed_dictionaries(
    {
        "ghcb_version": st.sampled_from([1, 2]),
        "snp": st.booleans(),
        "registered": st.sampled_from([GPA, GPA, GPA, 0]),
        "memory_top": st.sampled_from([1 << 32, 1 << 32, 0x8000, 0x7FFF]),
        "map_exit": st.booleans(),
        "map_fails_at": st.sampled_from([None, 0, 1]),
        "page_budget": st.sampled_from([None, 1, 600]),
        "firmware_error": st.sampled_from([0, 0x16]),
        "msr_fault": st.booleans(),
        "pmc_fault": st.booleans(),
        "sipi": st.booleans(),
        "certificates": st.sampled_from(["", "41" * 5000]),
    }
)


@st.composite
def pages(draw: st.DrawFn) -> GhcbPage:
    """Any request: an example of its row or any words, then some bytes changed."""
    row = find_exit(draw(st.sampled_from(CODES)))
    assert row is not None
    example = draw(st.sampled_from(row.examples))
    page = GhcbPage.for_exit(
        row.code, example.info1, example.info2, gpa=GPA, buffer=example.data, **example.fields
    )
    names = ["sw_exit_info_1", "sw_exit_info_2", "sw_scratch", "rax", "rbx", "rcx", "rdx", "xcr0"]
    for name, value in draw(st.dictionaries(st.sampled_from(names), WORD, max_size=2)).items():
        setattr(page, name, value)
    for name in draw(st.lists(st.sampled_from(names), max_size=2)):
        page.mark(name, not page.is_valid(name))
    page.write_buffer(draw(st.binary(max_size=24)))
    return page


@given(pages() | st.binary(min_size=4096, max_size=4096).map(GhcbPage.decode), SETUPS, st.data())
@pytest.mark.parametrize("quirks", [REFERENCE, KVM], ids=["reference", "kvm"])
def test_a_host_answers_or_stops_by_name(
    quirks: Quirks, page: GhcbPage, setup: dict[str, Any], data: st.DataObject
) -> None:
    noise = data.draw(
        st.lists(st.tuples(st.integers(0x800, 0xFE8), st.binary(max_size=8)), max_size=3)
    )

    def meanwhile(shared: SharedPage) -> None:
        for at, changed in noise:
            shared.memory[at : at + len(changed)] = changed

    shared = SharedPage(page.encode(), meanwhile)
    answer = Host(Vm.of(Setup(**setup)), quirks).vmgexit(shared, GPA)
    run = answer["run"]
    assert run == "guest" or run[0] in STOPS
    if quirks is REFERENCE:
        assert shared.fetched_twice() == []
    for at, stored in shared.stores:
        in_buffer = 0x800 <= at <= at + len(stored) <= 0xFF0
        assert in_buffer or at < 0x400


@given(pages(), SETUPS)
def test_the_reference_refuses_what_breaks_a_rule_and_answers_by_the_rules(
    page: GhcbPage, setup: dict[str, Any]
) -> None:
    """Rules and host are written apart. The rules do not know the VM: what the host refuses for it, such as
    memory that is not there, is left out here."""
    setup |= {"snp": True, "registered": GPA, "memory_top": 1 << 63, "ghcb_version": 2}
    shared = SharedPage(page.encode())
    answer = Host(Vm.of(Setup(**setup)), REFERENCE).vmgexit(shared, GPA)
    problems = list(problems_of_request(page, 2))
    if page.sw_exit_code == ExitCode.TERMINATION_REQUEST or answer["run"] != "guest":
        return
    broken = [one for one in problems if one.path != "shared_buffer"]
    if broken:
        assert answer["status"] == 2
        assert answer["asked"] == []
    elif answer["status"] == 2:
        assert answer["detail"] in (3, 5)  # what only who knows the VM can see
        assert page.sw_exit_code in FOR_THE_VM or page.is_valid("sw_scratch")
    else:
        after = GhcbPage.decode(bytes(shared.memory))
        assert [str(one) for one in problems_of_answer(after, page)] == []


FOR_THE_VM = (
    ExitCode.SNP_GUEST_REQUEST,
    ExitCode.SNP_EXTENDED_GUEST_REQUEST,
    ExitCode.SNP_AP_CREATION,
    ExitCode.HV_DOORBELL_PAGE,
    ExitCode.APIC_ID_LIST,
    ExitCode.SNP_RUN_VMPL,
    ExitCode.SECURE_AVIC,
)


@given(st.integers(0, (1 << 64) - 1) | st.integers(0, 0x1FF), SETUPS)
@pytest.mark.parametrize("quirks", [REFERENCE, KVM], ids=["reference", "kvm"])
def test_any_word_of_the_msr_is_answered(quirks: Quirks, word: int, setup: dict[str, Any]) -> None:
    answer = Host(Vm.of(Setup(**setup)), quirks).msr(word)
    assert answer["run"] == "guest" or answer["run"][0] in STOPS
    assert 0 <= answer["word"] < 1 << 64


def _command(op: str, **arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"op": st.just(op), **arguments})


def _whole(page: GhcbPage) -> list[list[Any]]:
    return [[0, page.encode().hex()]]


CPU = st.integers(0, 2)
COMMANDS = st.one_of(
    _command(
        "vmgexit",
        page=pages().map(lambda page: [[0, page.encode().hex()]]),
        gpa=st.just(GPA),
        cpu=CPU,
    ),
    _command("vmgexit", gpa=st.sampled_from([GPA, 0, 0x9000]), cpu=CPU),
    _command("msr", request=st.sampled_from([GPA | 0x12, 6, 0x18, GPA]) | WORD, cpu=CPU),
    _command(
        "write", gpa=st.integers(GPA, GPA + 0x1000), hex=st.binary(max_size=24).map(bytes.hex)
    ),
    _command("read", gpa=WORD, size=st.integers(1, 64)),
    _command("irq", vector=st.integers(16, 255), cpu=CPU),
    *(_command(op, cpu=CPU) for op in ("sipi", "nmi", "machine_check", "enter", "cancel", "take")),
    _command("state"),
)


@given(SETUPS, st.lists(COMMANDS, max_size=12))
@pytest.mark.parametrize("quirks", [REFERENCE, KVM], ids=["reference", "kvm"])
def test_any_sequence_is_answered_and_can_be_recorded(
    quirks: Quirks, setup: dict[str, Any], commands: list[dict[str, Any]]
) -> None:
    entry = {"kind": "host", "ops": [{"op": "init", **setup}, *commands]}
    sequence = sequence_of(json.loads(json.dumps(entry)), 1, "")
    assert sequence is not None
    session, again = Session(quirks), Session(quirks)
    for command in sequence.commands:
        answer = session.execute(command)
        assert json.loads(json.dumps(answer)) == answer == again.execute(command)
