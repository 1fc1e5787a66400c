"""Judging: problems with their paths, strict reading, and the field that does not encode."""

from collections.abc import Callable

import pytest

from vmgexit import (
    ApicIcr,
    DecodeError,
    DoorbellPage,
    EncodeError,
    ExtIntStatus,
    GuestMessageHeader,
    RunVmplRequest,
)
from vmgexit.schema import Record, Structure, nested, structure
from vmgexit.wire.guest_message import ReportResponse, ReportStatus
from vmgexit.wire.page_state import PscEntry, PscRequest
from vmgexit.wire.report import REPORT_SIZE


def test_problems_are_listed_in_order_with_path_value_rule_and_clause() -> None:
    page = DoorbellPage()
    page.vmpl2.status.reserved_13_11 = 5
    page.vmpl2.status.pending_vector = 0x10
    page.flags.reserved_6_2 = 1
    page.reserved_0x100 = b"\1" + bytes(0xEFF)
    assert [str(problem) for problem in page.problems()] == [
        "flags.reserved_6_2: 0x1: reserved, must be zero [DESC-4]",
        "vmpl2.status.reserved_13_11: 0x5: reserved, must be zero [DESC-1]",
        "vmpl2.status.pending_vector: 0x10: vectors below 31 are exceptions [INV-2]",
        "reserved_0x100: 01 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 ... (3840 bytes):"
        " reserved, must be zero [DESC-1]",
    ]


def test_an_unknown_code_is_a_problem_that_names_the_enum() -> None:
    icr = ApicIcr(message_type=3)
    assert [str(problem) for problem in icr.problems()] == [
        "message_type: 0x3: not a known MessageType"
    ]


@pytest.mark.clause("DESC-1")
@pytest.mark.parametrize(
    ("status", "paths"),
    [
        (ExtIntStatus(), []),
        (ExtIntStatus(pending_vector=30), ["pending_vector"]),
        (ExtIntStatus(pending_vector=31), []),
        (ExtIntStatus(pending_vector=255, level_sensitive=True), []),
        (ExtIntStatus(level_sensitive=True), ["level_sensitive"]),
        (ExtIntStatus(reserved_26_15=1, reserved_30_28=1), ["reserved_26_15", "reserved_30_28"]),
    ],
)
def test_rules_of_the_status_word(status: ExtIntStatus, paths: list[str]) -> None:
    assert [problem.path for problem in status.problems()] == paths


def test_strict_reading_raises_on_the_first_problem() -> None:
    data = bytes(0x80) + bytes([0, 0x38, 0, 0]) + bytes(4096 - 0x84)
    assert DoorbellPage.decode(data).encode() == data
    with pytest.raises(DecodeError) as caught:
        DoorbellPage.decode(data, strict=True)
    assert str(caught.value) == (
        "doorbell-page: vmpl2.status.reserved_13_11: 0x7: reserved, must be zero [DESC-1]"
    )
    assert caught.value.path == "vmpl2.status.reserved_13_11"


def set_vector(page: DoorbellPage, value: object) -> None:
    page.vmpl2.status.pending_vector = value  # type: ignore[assignment]


def set_flag(page: DoorbellPage, value: object) -> None:
    page.flags.no_further_signal = value  # type: ignore[assignment]


def set_reserved(page: DoorbellPage, value: object) -> None:
    page.reserved_0x004 = value  # type: ignore[assignment]


def set_irr(page: DoorbellPage, value: object) -> None:
    page.vmpl3.irr = value  # type: ignore[assignment]


def set_flags(page: DoorbellPage, value: object) -> None:
    page.flags = value  # type: ignore[assignment]


def set_descriptor(page: DoorbellPage, value: object) -> None:
    page.vmpl3 = value  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("put", "value", "message"),
    [
        (set_vector, 300, "vmpl2.status.pending_vector: 300 does not fit 8 bits"),
        (set_vector, -1, "vmpl2.status.pending_vector: -1 does not fit 8 bits"),
        (set_vector, "9", "vmpl2.status.pending_vector: '9' is not an integer"),
        (set_flag, 2, "flags.no_further_signal: 2 does not fit 1 bit"),
        (set_flag, None, "flags.no_further_signal: None is not an integer"),
        (set_reserved, b"", "reserved_0x004: 0 bytes found, 60 expected"),
        (set_reserved, [0] * 60, f"reserved_0x004: {[0] * 60} is not bytes"),
        (set_reserved, memoryview(bytes(60)), "reserved_0x004: <memory at "),
        (set_irr, 1 << 224, f"vmpl3.irr: {1 << 224} does not fit 224 bits"),
        (set_flags, ExtIntStatus(), "flags: ExtIntStatus() is not a DoorbellFlags"),
        (set_descriptor, 3, "vmpl3: 3 is not an ExtIntDescriptor"),
    ],
)
def test_a_value_that_does_not_fit_is_named(
    put: Callable[[DoorbellPage, object], None], value: object, message: str
) -> None:
    page = DoorbellPage()
    put(page, value)
    with pytest.raises(EncodeError) as caught:
        page.encode()
    assert str(caught.value).startswith(message)
    assert caught.value.path == message.partition(":")[0]
    assert caught.value.__suppress_context__, "no second traceback for what a user did"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "entries: 0 elements found, 253 expected"),
        (3, "entries: 3 is not a list"),
        ([PscEntry()] * 252 + ["x"], "entries: element 252: 'x' is not a PscEntry"),
    ],
)
def test_an_array_that_does_not_fit_is_named(value: object, message: str) -> None:
    request = PscRequest(entries=[PscEntry()] * 253)
    request.entries = value  # type: ignore[assignment]
    with pytest.raises(EncodeError) as caught:
        request.encode()
    assert str(caught.value) == message
    assert caught.value.path == "entries"


def test_nothing_is_reported_of_what_a_structure_leaves_out() -> None:
    # a structure's own judgement counts inside another one and in strict reading as well
    refused = ReportResponse(status=ReportStatus.INVALID_PARAMETERS, report_size=REPORT_SIZE)
    refused.report.reserved_0x04c = b"\1" * 4  # of a report that is none
    assert not refused.problems()
    assert ReportResponse.decode(refused.encode(), strict=True) == refused
    refused.status = ReportStatus.SUCCESS
    with pytest.raises(DecodeError, match=r"^report-response: report\.reserved_0x04c: "):
        ReportResponse.decode(refused.encode(), strict=True)


def test_a_structure_inside_another_says_itself_what_is_wrong_with_it() -> None:
    @structure("test-holder", size=ReportResponse.size)
    class Holder(Record):
        """A report response in a structure around it."""

        response: ReportResponse = nested(ReportResponse, "Which has a report, or none")

    holder = Holder(response=ReportResponse(status=ReportStatus.INVALID_PARAMETERS))
    holder.response.report.reserved_0x04c = b"\1" * 4
    assert not holder.problems()
    holder.response.reserved_0x008 = b"\1" * 24
    assert [problem.path for problem in holder.problems()] == ["response.reserved_0x008"]


def test_no_problem_is_an_empty_list() -> None:
    page = DoorbellPage()
    assert page.problems() == []
    page.flags.reserved_6_2 = 1
    assert len(page.problems()) == 1
    assert page.problems()  # each time: no generator that somebody has used up


def test_values_that_do_not_fit_are_the_problems() -> None:
    page = DoorbellPage()
    page.vmpl2.status.pending_vector = 300
    page.vmpl1.irr = "none"  # type: ignore[assignment]
    page.flags.nmi_pending = 1.0  # type: ignore[assignment]
    page.vmpl3 = None  # type: ignore[assignment]
    page.flags.reserved_6_2 = 1  # a rule, which is not looked at yet
    assert [str(problem) for problem in page.problems()] == [
        "flags.nmi_pending: 1.0: 1.0 is not an integer [DESC-4]",
        "vmpl1.irr: 'none': 'none' is not an integer [DESC-1]",
        "vmpl2.status.pending_vector: 0x12c: 300 does not fit 8 bits [DESC-1]",
        "vmpl3: None: None is not an ExtIntDescriptor [DESC-1]",
    ]


@pytest.mark.parametrize("value", [None, "x", 1 << 64, -1, 0.5, b"", [], object()])
def test_problems_never_raise(value: object) -> None:
    structures: list[Structure] = [
        DoorbellPage(),
        PscRequest(rest=bytes(8)),
        ApicIcr(),
        RunVmplRequest(),
    ]
    for each in structures:
        for field in each.declaration.fields:
            setattr(each, field.name, value)
            assert any(problem.path == field.name for problem in each.problems())


def test_a_word_given_by_its_integer_is_judged_as_the_word() -> None:
    page = DoorbellPage()
    page.flags = 0x04  # type: ignore[assignment]
    assert [problem.path for problem in page.problems()] == ["flags.reserved_6_2"]


def test_another_than_the_one_right_value_is_a_problem() -> None:
    word = RunVmplRequest(vmpl=2)
    assert word.problems() == []
    word.info = 0x17
    assert [str(problem) for problem in word.problems()] == [
        "info: 0x17: 0x16, RUN_VMPL_REQUEST expected"
    ]
    header = GuestMessageHeader.decode(bytes(0x60))
    assert [(problem.path, problem.rule) for problem in header.problems()] == [
        ("algo", "1, AES_256_GCM expected"),
        ("hdr_version", "1 expected"),
        ("hdr_sz", "0x60 expected"),
        ("msg_type", "not a known MessageKind"),
        ("msg_version", "1 expected"),
    ]


def test_problems_hold_for_every_kind_of_value() -> None:
    values: list[Structure] = [DoorbellPage.decode(b"\xff" * 4096), ApicIcr.decode(b"\xff" * 8)]
    for value in values:
        assert len({problem.path for problem in value.problems()}) > 1
