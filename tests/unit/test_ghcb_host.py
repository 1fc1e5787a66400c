"""The host that carries out exits: what it does, what it answers, and what it may not touch."""

import pytest

from vmgexit import GhcbPage, PscEntry, PscHeader, PscRequest
from vmgexit.wire.exit_codes import ExitCode, MalformedInput
from vmgexit.wire.ghcb import BUFFER_OFFSET
from vmgexit_fuzz.targets.ghcb.host import Breach, GhcbHost, Request, SharedPage

GPA = 0x7000


def page(code: int, info1: int = 0, info2: int = 0, buffer: bytes = b"", **fields: int) -> GhcbPage:
    return GhcbPage.for_exit(code, info1, info2, gpa=GPA, buffer=buffer, **fields)


def answered(request: GhcbPage, budget: int = 1 << 30) -> tuple[GhcbPage, Request]:
    shared = SharedPage(request.encode())
    done = GhcbHost(GPA, budget).exit(shared)
    return GhcbPage.decode(bytes(shared.memory)), done


def test_what_is_asked_for_is_done_and_answered() -> None:
    after, done = answered(page(ExitCode.CPUID, rax=0xD, rcx=1, xcr0=7))
    assert done.effects == [("cpuid", 0xD, 1, 7)]
    assert after.is_answer
    assert after.valid_fields() == [
        "rax",
        "rcx",
        "rdx",
        "rbx",
        "sw_exit_info_1",
        "sw_exit_info_2",
    ]
    assert after.problems() == []


@pytest.mark.parametrize(
    ("request_page", "effect"),
    [
        (page(ExitCode.IOIO, 0x03F80010, rax=0x141), ("out", 0x3F8, 1, 0x41)),
        (page(ExitCode.IOIO, 0x0CFC0041), ("in", 0xCFC, 4)),
        (page(ExitCode.IOIO, 0x03F8001C, 3, b"abcd"), ("outs", 0x3F8, 1, b"abc")),
        (
            page(ExitCode.MMIO_WRITE, 0xFEE000B0, 4, b"\1\2\3\4\5"),
            ("write", 0xFEE000B0, b"\1\2\3\4"),
        ),
        (page(ExitCode.MSR, 1, rcx=0x10, rax=2, rdx=1), ("wrmsr", 0x10, 0x100000002)),
        (page(ExitCode.SPECIFIC_EOI, 0x00020061), ("eoi", 2, 0x61)),
        (page(ExitCode.DISABLE_ALTERNATE_INJECTION, 0x00024001), ("hand over", 2, 1, 0, 0x40)),
        (page(ExitCode.SNP_AP_CREATION, 0x500010001, 0x13000, rax=1), ("ap", 1, 1, 5, 0x13000, 1)),
        (page(ExitCode.TERMINATION_REQUEST, 0x21, 5), ("terminate", 1, 2, 5)),
    ],
)
def test_effects_of_worked_values(request_page: GhcbPage, effect: tuple[object, ...]) -> None:
    after, done = answered(request_page)
    assert done.effects == [effect]
    assert after.sw_exit_info_1 == 0


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"ghcb_usage": 1}, MalformedInput.INVALID_USAGE),
        ({"sw_exit_code": 0x12345}, MalformedInput.INVALID_EVENT),
        ({"sw_scratch": 0x9000}, MalformedInput.INVALID_SCRATCH_AREA),
        ({"sw_scratch": GPA + 0x10000 + BUFFER_OFFSET}, MalformedInput.INVALID_SCRATCH_AREA),
        ({"sw_exit_info_2": 9}, MalformedInput.INVALID_INPUT),
        ({"valid_bitmap": 0}, MalformedInput.MISSING_INPUT),
    ],
)
def test_what_is_malformed_is_answered_with_the_reason(
    change: dict[str, int], error: MalformedInput
) -> None:
    wrong = page(ExitCode.MMIO_READ, 0xFEE00020, 4)
    for name, value in change.items():
        setattr(wrong, name, value)
    after, done = answered(wrong)
    assert (after.sw_exit_info_1, after.sw_exit_info_2) == (2, error)
    assert done.effects == []
    assert after.is_answer


def test_a_page_list_is_worked_on_as_far_as_the_budget_goes() -> None:
    large = PscEntry(frame=0x40000, operation=1, large=True)
    small = PscEntry(frame=0x12345, operation=2)
    request = page(
        ExitCode.SNP_PAGE_STATE_CHANGE, buffer=PscRequest(entries=[large, small]).encode()
    )
    seen = []
    for _ in range(2):
        after, done = answered(request, budget=500)
        seen += done.effects
        request.shared_buffer = after.shared_buffer
    assert seen == [
        ("page state", 0, 0x40000, 500, 1),
        ("page state", 0, 0x40000 + 500, 12, 1),
        ("page state", 1, 0x12345, 1, 2),
    ]
    assert PscHeader.decode(after.shared_buffer[:8]).done
    assert PscEntry.decode(after.shared_buffer[8:16]).current_page == 512
    assert PscEntry.decode(after.shared_buffer[16:24]).current_page == 0


def test_fields_that_are_not_marked_are_not_read() -> None:
    asked = page(ExitCode.RDTSC)
    request = Request(SharedPage(b""), GPA, asked.encode())
    assert request.field("sw_exit_code") == ExitCode.RDTSC
    with pytest.raises(Breach, match="rcx is not valid: and its value is used"):
        request.field("rcx")


@pytest.mark.parametrize(("at", "size"), [(0x7FF, 1), (0xFEF, 2), (0xFF0, 1), (0xFF8, -16)])
def test_nothing_outside_the_buffer_is_touched(at: int, size: int) -> None:
    request = Request(SharedPage(b""), GPA, page(ExitCode.RDTSC).encode())
    assert request.load(0xFEF, 1) == b"\0"
    with pytest.raises(Breach, match="outside the shared buffer"):
        request.load(at, size)


def test_nothing_is_fetched_twice() -> None:
    shared = SharedPage(bytes(4096))
    shared.fetch(0, 16)
    shared.fetch(16, 8)
    with pytest.raises(Breach, match="fetched twice: bytes 0xf to 0x10"):
        shared.fetch(15, 2)


def test_data_of_version_1_outside_the_buffer_cannot_be_mapped_here() -> None:
    old = page(ExitCode.MMIO_READ, 0xFEE00020, 4)
    old.protocol_version, old.sw_scratch = 1, GPA
    after, _ = answered(old)
    assert after.sw_exit_info_2 == MalformedInput.INVALID_SCRATCH_AREA
