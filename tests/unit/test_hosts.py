"""The reference host, its state over time, and pages that change while they are read."""

import json
import lzma
from pathlib import Path
from typing import Any

import pytest

from vmgexit import GhcbPage, PscEntry, PscHeader, PscRequest
from vmgexit.descriptions import Command
from vmgexit.errors import ScenarioError
from vmgexit.hosts.asked import ASKED, shown
from vmgexit.hosts.commands import COMMANDS
from vmgexit.hosts.host import Host
from vmgexit.hosts.memory import GuestMemory, PageStates
from vmgexit.hosts.page import SharedPage
from vmgexit.hosts.quirks import KVM, REFERENCE, Quirks, only
from vmgexit.hosts.scenario import Session
from vmgexit.hosts.vm import Setup, Vm
from vmgexit.wire.exit_codes import ExitCode
from vmgexit.wire.ghcb_msr import PageOperation

CORPUS = Path(__file__).parents[2] / "corpus"
GPA = 0x7000
LARGE = PscEntry(frame=0x40000, operation=1, large=True)
SMALL = PscEntry(frame=0x12345, operation=2)


def page(code: int, info1: int = 0, info2: int = 0, buffer: bytes = b"", **fields: int) -> GhcbPage:
    return GhcbPage.for_exit(code, info1, info2, gpa=GPA, buffer=buffer, **fields)


def host(quirks: Quirks = REFERENCE, **setup: Any) -> Host:
    return Host(Vm.of(Setup(**{"registered": GPA, **setup})), quirks)


def answer(request: GhcbPage, quirks: Quirks = REFERENCE, **setup: Any) -> dict[str, Any]:
    return host(quirks, **setup).vmgexit(SharedPage(request.encode()), GPA)


@pytest.mark.parametrize(
    ("request_page", "asked"),
    [
        (page(ExitCode.CPUID, rax=0xD, rcx=1, xcr0=7), [["xcr0", 7], ["cpuid", 0xD, 1]]),
        (page(ExitCode.IOIO, 0x03F80010, rax=0x141), [["out", 0x3F8, 1, "41"]]),
        (page(ExitCode.IOIO, 0x0CFC0041), [["in", 0xCFC, 4]]),
        (page(ExitCode.IOIO, 0x03F8001C, 3, b"abcd"), [["outs", 0x3F8, 1, 3, "616263"]]),
        (
            page(ExitCode.MMIO_WRITE, 0xFEE000B0, 4, b"\1\2\3\4\5"),
            [["mmio-write", 0xFEE000B0, "01020304"]],
        ),
        (page(ExitCode.MSR, 1, rcx=0x10, rax=2, rdx=1), [["wrmsr", 0x10, 0x100000002]]),
        (page(ExitCode.SPECIFIC_EOI, 0x00020061), [["eoi", 2, 0x61]]),
        (page(ExitCode.DISABLE_ALTERNATE_INJECTION, 0x00024001), [["hand-over", 2, 1, 0, 0x40]]),
        (
            page(ExitCode.SNP_AP_CREATION, 0x500010001, 0x13000, rax=9),
            [["ap", 0x10001, 5, 0x13000]],
        ),
        (page(ExitCode.SNP_RUN_VMPL, 0), [["run-vmpl", 0]]),
        (page(ExitCode.HV_IPI, 0x300000061), [["ipi", 0x300000061]]),
    ],
)
def test_what_the_reference_asks_for(request_page: GhcbPage, asked: list[Any]) -> None:
    told = answer(request_page)
    assert (told["run"], told["status"], told["asked"]) == ("guest", 0, asked)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"ghcb_usage": 1}, 2),
        ({"sw_exit_code": 0x12345}, 6),
        ({"sw_scratch": 0x9000}, 3),
        ({"sw_scratch": GPA}, 3),
        ({"sw_exit_info_2": 9}, 5),
        ({"valid_bitmap": 0}, 4),
    ],
)
def test_what_is_malformed_is_answered_with_the_reason(change: dict[str, int], error: int) -> None:
    wrong = page(ExitCode.MMIO_READ, 0xFEE00020, 4)
    for name, value in change.items():
        setattr(wrong, name, value)
    told = answer(wrong)
    assert (told["status"], told["detail"], told["asked"], told["buffer"]) == (2, error, [], [])
    assert told["valid"] == ["sw_exit_info_1", "sw_exit_info_2"]


def test_a_page_that_is_not_registered_gets_error_1_and_ends_kvm_run() -> None:
    asked = page(ExitCode.INVD)
    assert answer(asked, registered=0x8000)["detail"] == 1
    told = answer(asked, KVM, registered=0x8000)
    assert (told["run"], told["valid"]) == (["error", 22], [])


def test_a_page_list_is_worked_on_as_far_as_the_budget_goes() -> None:
    request = page(
        ExitCode.SNP_PAGE_STATE_CHANGE, buffer=PscRequest(entries=[LARGE, SMALL]).encode()
    )
    working = host(page_budget=500)
    asked = []
    for _ in range(2):
        shared = SharedPage(request.encode())
        asked += working.vmgexit(shared, GPA)["asked"]
        request.shared_buffer = GhcbPage.decode(bytes(shared.memory)).shared_buffer
    assert asked == [
        ["map", 0x40000000, 500, 16],
        ["map", 0x40000000 + 500 * 4096, 12, 16],
        ["map", 0x12345000, 1, 0],
    ]
    assert PscHeader.decode(request.shared_buffer[:8]).done
    assert PscEntry.decode(request.shared_buffer[8:16]).current_page == 512
    assert PscEntry.decode(request.shared_buffer[16:24]).current_page == 0
    assert working.vm.pages.runs == [
        (0x12345, 0x12346, PageOperation.SHARED),
        (0x40000, 0x40200, PageOperation.PRIVATE),
    ]


def lists(quirks: Quirks) -> tuple[SharedPage, dict[str, Any]]:
    """A list that loses its second entry while the first is worked on."""
    small = [PscEntry(frame=frame, operation=2) for frame in (1, 9)]
    request = page(ExitCode.SNP_PAGE_STATE_CHANGE, buffer=PscRequest(entries=small).encode())

    def meanwhile(shared: SharedPage) -> None:
        if 0x808 in dict(shared.fetches):  # the first entry was read: now the list seems to end
            shared.memory[0x802:0x804] = b"\0\0"

    shared = SharedPage(request.encode(), meanwhile)
    return shared, host(quirks).vmgexit(shared, GPA)


def test_a_list_that_changes_is_read_once() -> None:
    shared, told = lists(REFERENCE)
    assert told["asked"] == [["map", 0x1000, 1, 0], ["map", 0x9000, 1, 0]]
    assert shared.fetched_twice() == []


def test_kvm_reads_a_list_again() -> None:
    shared, told = lists(only("psc-list-read-again"))
    assert told["asked"] == [["map", 0x1000, 1, 0]]
    assert shared.fetched_twice()


def test_a_guest_that_never_ends_its_list_stops_by_name() -> None:
    request = page(ExitCode.SNP_PAGE_STATE_CHANGE, buffer=PscRequest(entries=[SMALL]).encode())
    first = request.encode()[0x800:0x810]

    def meanwhile(shared: SharedPage) -> None:
        shared.memory[0x800:0x810] = first

    told = host(KVM).vmgexit(SharedPage(request.encode(), meanwhile), GPA)
    assert told["run"] == ["endless", "page-state-change"]


def run(*commands: Command, quirks: Quirks = REFERENCE) -> list[dict[str, Any]]:
    session = Session(quirks)
    return [session.execute(command) for command in commands]


def pieces(request: GhcbPage) -> list[list[Any]]:
    return [[0, request.encode().hex()]]


def test_state_goes_from_exit_to_exit() -> None:
    set_table = pieces(page(ExitCode.AP_JUMP_TABLE, 0, 0x9000))
    get_table = pieces(page(ExitCode.AP_JUMP_TABLE, 1))
    create = pieces(page(ExitCode.SNP_AP_CREATION, 0x300000001, 0x13000, rax=1))
    *_, got, _, state = run(
        {"op": "init"},
        {"op": "msr", "request": GPA | 0x12},
        {"op": "vmgexit", "page": set_table, "gpa": GPA},
        {"op": "vmgexit", "page": get_table, "gpa": GPA},
        {"op": "vmgexit", "page": create, "gpa": GPA},
        {"op": "state"},
    )
    assert got["detail"] == 0x9000
    assert state == {
        "ended": False,
        "jump_table": 0x9000,
        "mappings": 0,
        "pages": [],
        "vcpus": {
            "0": {"registered": GPA},
            "3": {"vmsas": {"0": {"gpa": 0x13000, "features": 1, "starts": True}}},
        },
    }


def test_a_held_vcpu_waits_for_its_start_up_ipi() -> None:
    hold = {"op": "vmgexit", "page": pieces(page(ExitCode.AP_RESET_HOLD)), "gpa": GPA, "cpu": 1}
    _, held, waits, sent, again, detail = run(
        {"op": "init", "registered": GPA},
        hold,
        hold,
        {"op": "sipi", "cpu": 1},
        {"op": "sipi", "cpu": 1},
        {"op": "read", "gpa": GPA + 0x3A0, "size": 8},
    )
    assert (held["asked"], held["detail"], waits["run"]) == ([["hold"]], 0, "held")
    assert (sent, again) == ({"released": True}, {"released": False})
    assert detail == {"hex": "0100000000000000"}


def test_a_vm_that_has_ended_does_not_exit_again() -> None:
    _, ended, after = run(
        {"op": "init"}, {"op": "msr", "request": 0x100}, {"op": "msr", "request": 2}
    )
    assert ended["run"] == ["terminate", 0x100]
    assert after == {"run": "ended", "word": 2, "asked": []}


@pytest.mark.parametrize(
    ("word", "reference", "kvm"),
    [
        (0x002, 2 << 48 | 1 << 32 | 51 << 24 | 1, None),
        (0x0000000040FFF004, 0x68747541_40000005, 0x68747541_40FFF005),
        (0x080, 3 << 12 | 0x81, None),
        (0x016, 0x017, 0x016),
        (0x200000016, 0x100000017, 0x200000016),
        (0x500000016, 0x100000017, 0x500000016),
        (0x018, 0x7019, 0x018),
        (0x012, 0x013, None),
        (0x100000012, 0xFFFFFFFFFFFFF013, 0x100000013),
        (0x00300000_00001014, 0x80000000_00000015, None),
        (0x00200000_00001014, 0x015, None),
        (0xF00, 0xF00, None),
    ],
)
def test_words_of_the_msr_protocol(word: int, reference: int, kvm: int | None) -> None:
    """Written by hand from the declarations' sources and from what KVM does."""
    assert host().msr(word)["word"] == reference
    assert host(KVM).msr(word)["word"] == (reference if kvm is None else kvm)


def test_certificates_that_do_not_fit_are_asked_for() -> None:
    asked = page(ExitCode.SNP_EXTENDED_GUEST_REQUEST, 0x10000, 0x11000, rax=0x12000, rbx=1)
    told = answer(asked, certificates="41" * 4097)
    assert (told["detail"], told["registers"], told["asked"]) == (1 << 32, {"rbx": 2}, [])
    told = answer(asked, certificates="41" * 4096)
    assert told["asked"][0] == ["write-memory", 0x12000, 4096, "41" * 4096]


def test_memory_that_is_not_there() -> None:
    memory = GuestMemory(0x2800, [(0x1FFF, "0102")])
    assert memory.read(0x1FFE, 4) == b"\0\1\2\0"
    assert (memory.read(0x27FF, 1), memory.read(0x27FF, 2)) == (b"\0", None)
    assert not memory.write(0x27FF, b"ab")
    assert memory.read(0x27FF, 1) == b"\0"
    asked = page(ExitCode.SNP_GUEST_REQUEST, 0x10000, 0x11000)
    told = answer(asked, memory_top=0x11000)
    assert (told["status"], told["detail"], told["asked"]) == (2, 5, [])
    assert answer(asked, KVM, memory_top=0x11000)["run"] == ["error", 5]


def test_states_of_pages_join_and_part() -> None:
    states = PageStates()
    states.change(0, 10, PageOperation.PRIVATE)
    states.change(4, 2, PageOperation.SHARED)
    states.change(10, 1, PageOperation.PRIVATE)
    assert states.runs == [
        (0, 4, PageOperation.PRIVATE),
        (4, 6, PageOperation.SHARED),
        (6, 11, PageOperation.PRIVATE),
    ]
    assert (states.of(5), states.of(11)) == (PageOperation.SHARED, None)


def test_a_vcpu_that_does_not_exist() -> None:
    with pytest.raises(ScenarioError, match="msr: vCPU 8 does not exist, there are 8"):
        run({"op": "msr", "request": 2, "cpu": 8})


def test_every_command_is_carried_out() -> None:
    for name in COMMANDS:
        assert hasattr(Session, f"_{name}")


def test_every_word_that_recordings_ask_has_names_for_its_values() -> None:
    seen: dict[str, set[int]] = {}
    for file in ("kvm-ghcb", "kvm-msr"):
        with lzma.open(CORPUS / "recordings" / "kvm" / f"{file}.jsonl.xz", "rt") as lines:
            for line in lines:
                for word, *values in json.loads(line)["answer"]["asked"]:
                    seen.setdefault(word, set()).add(len(values))
    assert {word: {len(ASKED[word])} for word in seen} == seen
    assert len(seen) > 15


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        (["map", 0x200000, 512, 1], "map gpa=0x200000 pages=0x200 attributes=1 (shared, 2 MiB)"),
        (["out", 0x3F8, 1, "41"], "out port=0x3f8 bytes=1 data=41"),
        (["ap", 2, 1, None], "ap request=2 apic_id=1 vmsa=none"),
        (["write-memory", 0x1000, 4096, ""], "write-memory gpa=0x1000 bytes=0x1000"),
        (["exit", 0x80000016, 7], "exit code=0x80000016 info1=7"),
        (["hold"], "hold"),
    ],
)
def test_what_is_asked_in_words(asked: list[int | str | None], line: str) -> None:
    assert shown(asked) == line
