"""Every exit: its number and name, a request that is built and read, an answer, and broken ones.

The table is written from KVM's, edk2's and COCONUT-SVSM's handlers. The field lists are what must
be valid beside exit code and information words.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from vmgexit import EncodeError, GhcbPage
from vmgexit.rules.exit_notes import answer_text
from vmgexit.rules.exits import (
    page_list_problems,
    problems_of_answer,
    problems_of_request,
    refusal,
)
from vmgexit.wire.exit import Exit, Where
from vmgexit.wire.exits import exits, find_exit
from vmgexit.wire.features import HypervisorFeatures

GPA = 0x7F123000
ALWAYS = ["sw_exit_code", "sw_exit_info_1", "sw_exit_info_2"]
PSC_ONE = bytes.fromhex("0000 0000 00000000" + "000000 00c0002000")
"""A page state change with one entry: 4 KiB at 0xC000000000 to shared."""


@dataclass(frozen=True)
class Case:
    """A request that must be built and read without a broken rule, and what comes back."""

    code: int
    name: str
    info1: int = 0
    info2: int = 0
    fields: dict[str, int] = field(default_factory=dict)
    scratch: bool = False
    buffer: bytes = b""
    returns: tuple[str, ...] = ()
    since: int = 1

    def __str__(self) -> str:
        return f"{self.code:#x}-{self.name}-{self.info1:#x}"

    def page(self, **changes: Any) -> GhcbPage:
        return GhcbPage.for_exit(
            self.code,
            changes.pop("info1", self.info1),
            changes.pop("info2", self.info2),
            gpa=GPA,
            buffer=changes.pop("buffer", self.buffer),
            version=changes.pop("version", 2),
            **{**self.fields, **changes},
        )


CASES = [
    Case(0x27, "READ_DR7"),
    Case(0x37, "WRITE_DR7", fields={"rax": 0x400}),
    Case(0x6E, "RDTSC", returns=("rax", "rdx")),
    Case(0x6F, "RDPMC", fields={"rcx": 1}, returns=("rax", "rdx")),
    Case(0x72, "CPUID", fields={"rax": 1, "rcx": 0}, returns=("rax", "rbx", "rcx", "rdx")),
    Case(
        0x72,
        "CPUID",
        fields={"rax": 0xD, "rcx": 1, "xcr0": 7, "xss": 0x1800},
        returns=("rax", "rbx", "rcx", "rdx"),
    ),
    Case(0x76, "INVD"),
    Case(0x7B, "IOIO", 0x03F80010, fields={"rax": 0x41}),
    Case(0x7B, "IOIO", 0x0CFC00C1),
    Case(0x7B, "IOIO", 0x03F80014, 3, scratch=True, buffer=b"abc"),
    Case(0x7B, "IOIO", 0x01F0002D, 1016, scratch=True),
    Case(0x7C, "MSR", 0, fields={"rcx": 0x830}),
    Case(0x7C, "MSR", 1, fields={"rcx": 0x830, "rax": 0x61, "rdx": 0}),
    Case(0x81, "VMMCALL", fields={"rax": 9, "cpl": 0}, returns=("rax",)),
    Case(
        0x81,
        "VMMCALL",
        fields={"rax": 0, "cpl": 0, "rcx": 0x10002, "rdx": 0, "r8": 0},
        returns=("rax",),
    ),
    Case(0x87, "RDTSCP", returns=("rax", "rcx", "rdx")),
    Case(0x89, "WBINVD"),
    Case(0x8A, "MONITOR", fields={"rax": 0, "rcx": 0, "rdx": 0}),
    Case(0x8B, "MWAIT", fields={"rax": 0, "rcx": 0}),
    Case(0x80000001, "MMIO_READ", 0xFEE00030, 4, scratch=True),
    Case(0x80000002, "MMIO_WRITE", 0xFEE000B0, 4, scratch=True, buffer=bytes(4)),
    Case(0x80000003, "NMI_COMPLETE"),
    Case(0x80000004, "AP_RESET_HOLD"),
    Case(0x80000005, "AP_JUMP_TABLE", 0, 0x9F000),
    Case(0x80000005, "AP_JUMP_TABLE", 1, 0),
    Case(0x80000010, "SNP_PAGE_STATE_CHANGE", scratch=True, buffer=PSC_ONE, since=2),
    Case(0x80000011, "SNP_GUEST_REQUEST", 0x1000, 0x2000, since=2),
    Case(
        0x80000012,
        "SNP_EXTENDED_GUEST_REQUEST",
        0x1000,
        0x2000,
        fields={"rax": 0x4000, "rbx": 4},
        since=2,
    ),
    Case(0x80000013, "SNP_AP_CREATION", 0x500010001, 0x5000, fields={"rax": 0x11}, since=2),
    Case(0x80000013, "SNP_AP_CREATION", 0x500010002, 0, since=2),
    Case(0x80000014, "HV_DOORBELL_PAGE", 0, 0, since=2),
    Case(0x80000014, "HV_DOORBELL_PAGE", 1, 0x6000, since=2),
    Case(0x80000014, "HV_DOORBELL_PAGE", 2, 0, since=2),
    Case(0x80000014, "HV_DOORBELL_PAGE", 3, 0, since=2),
    Case(0x80000015, "HV_IPI", 0x0000000300000050, since=2),
    Case(0x80000016, "HV_TIMER", 1, 2, since=2),
    Case(0x80000017, "APIC_ID_LIST", 0x8000, fields={"rax": 1}, returns=("rax",), since=2),
    Case(0x80000018, "SNP_RUN_VMPL", 2, since=2),
    Case(0x80000019, "SNP_TIO_GUEST_REQUEST", 1, 2, since=2),
    Case(0x8000001A, "SECURE_AVIC", 0, fields={"rax": (1 << 64) - 1, "rbx": 0x9000}, since=2),
    Case(0x8000001A, "SECURE_AVIC", 1, fields={"rax": (1 << 64) - 1}, since=2),
    Case(0x8000001B, "CONFIGURE_INJECTION", 0x50, since=2),
    Case(0x8000001C, "DISABLE_ALTERNATE_INJECTION", 0x00024001, since=2),
    Case(0x8000001D, "SPECIFIC_EOI", 0x00020061, since=2),
    Case(
        0x80000020,
        "SEV_TIO_GUEST_REQUEST_RFC",
        0x1000,
        0x2000,
        fields={"rax": 0x3000, "rbx": 8, "rcx": 0x100, "rdx": 1},
        since=2,
    ),
    Case(0x80000021, "SEV_TIO_OP_RFC", 0x0000000200000100, since=2),
    Case(0x8000FFFD, "HYPERVISOR_FEATURES", since=2),
    Case(0x8000FFFE, "TERMINATION_REQUEST", 0x061, since=2),
    Case(0x8000FFFF, "UNSUPPORTED_EVENT", 0x72),
]

NOT_IN_A_GHCB = {
    0x51: ("EXCEPTION_AC", Where.EXCEPTION),
    0xA6: ("IDLE_HLT", Where.VMSA),
    0x400: ("NPF", Where.EXCEPTION),
    0x401: ("AVIC_INCOMPLETE_IPI", Where.VMSA),
    0x402: ("AVIC_NOACCEL", Where.VMSA),
    0x403: ("VMGEXIT", Where.VMSA),
    0x404: ("PAGE_NOT_VALIDATED", Where.EXCEPTION),
    0x406: ("NOT_RESTARTABLE", Where.VMSA),
    0xF0000000: ("SOFTWARE", Where.NOWHERE),
    0xFFFFFFFFFFFFFFFC: ("INVALID_PMC", Where.VMSA),
    0xFFFFFFFFFFFFFFFD: ("IDLE_REQUIRED", Where.VMSA),
    0xFFFFFFFFFFFFFFFE: ("BUSY", Where.VMSA),
    0xFFFFFFFFFFFFFFFF: ("INVALID", Where.VMSA),
}

FEATURES = {  # code -> number of the feature bit that announces it
    0x80000010: 0,
    0x80000011: 0,
    0x80000012: 0,
    0x80000013: 1,
    0x80000014: 2,
    0x80000015: 2,
    0x80000016: 3,
    0x80000017: 4,
    0x80000018: 5,
    0x80000019: 7,
    0x80000020: 7,
    0x80000021: 7,
    0x8000001B: 9,
    0x8000001C: 9,
    0x8000001D: 9,
}


def first_case(code: int) -> Case:
    return next(case for case in CASES if case.code == code)


def broken(page: GhcbPage) -> list[str]:
    return [str(problem) for problem in page.problems()]


def test_every_exit_is_here_once_or_more() -> None:
    assert {case.code for case in CASES} | set(NOT_IN_A_GHCB) == {row.code for row in exits()}
    assert [row.code for row in exits()] == sorted(row.code for row in exits())


def test_every_row_says_where_it_was_read() -> None:
    for row in exits():
        assert all((row.source, row.meaning, row.direction)), row.name


@pytest.mark.parametrize("case", CASES, ids=str)
def test_request_is_built_and_read(case: Case) -> None:
    page = GhcbPage.decode(case.page().encode())
    expected = {*ALWAYS, *case.fields, *(["sw_scratch"] if case.scratch else [])}
    assert set(page.valid_fields()) == expected
    assert page.encode()[0x390:0x398] == case.code.to_bytes(8, "little")
    assert page.encode()[0xFFA:0xFFC] == b"\x02\x00"
    if case.scratch:
        assert page.sw_scratch == GPA + 0x800
    assert page.shared_buffer.startswith(case.buffer)
    assert broken(page) == []
    assert any(note.text.startswith(case.name + ":") for note in page.notes())
    row = find_exit(case.code)
    assert row is not None
    assert (row.name, row.since, row.where) == (case.name, case.since, Where.GHCB)


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("name", ALWAYS)
def test_a_missing_valid_bit_is_reported(case: Case, name: str) -> None:
    page = case.page()
    page.mark(name, valid=False)
    if name == "sw_exit_code":
        # Without it the page reads as an answer, in which the words mean something else.
        assert page.is_answer
        return
    assert any(text.startswith(f"{name}: ") and "not marked valid" in text for text in broken(page))


@pytest.mark.parametrize("case", [case for case in CASES if case.fields], ids=str)
def test_each_needed_field_is_missed(case: Case) -> None:
    row = find_exit(case.code)
    assert row is not None
    for need in row.needs:
        page = case.page()
        if not need.applies(page):
            continue
        page.mark(need.field, valid=False)
        assert any(f"{need.field}: " in text and case.name in text for text in broken(page))


@pytest.mark.parametrize("case", [case for case in CASES if case.since == 2], ids=str)
def test_snp_exits_need_version_2(case: Case) -> None:
    assert any("exists since version 2" in text for text in broken(case.page(version=1)))


@pytest.mark.parametrize("case", [case for case in CASES if case.returns], ids=str)
def test_answer(case: Case) -> None:
    page = GhcbPage(sw_exit_code=case.code, protocol_version=2)
    for name in ("sw_exit_info_1", "sw_exit_info_2", *case.returns):
        page.set(name, 0)
    assert page.is_answer
    assert broken(page) == []
    assert any(note.text.startswith("read as an answer: DONE") for note in page.notes())
    page.mark(case.returns[-1], valid=False)
    assert any("returns it, and it is not marked valid" in text for text in broken(page))


@pytest.mark.parametrize(
    ("code", "info1", "returned"),
    [
        (0x7B, 0x03F80011, "rax"),  # IN from port 0x3F8, one byte
        (0x7C, 0, "rdx"),  # RDMSR
        (0x8000001A, 1, "rbx"),  # unregister the backing page
        (0x80000020, 0x1000, "rdx"),  # a message about a trusted device
        (0x80000021, 0x108, "rcx"),  # bind a trusted device
    ],
)
def test_what_is_returned_depends_on_what_was_asked(code: int, info1: int, returned: str) -> None:
    fields = {
        0x7C: {"rcx": 0x830},
        0x8000001A: {"rax": 0},
        0x80000020: dict.fromkeys(("rax", "rbx", "rcx", "rdx"), 0),
    }.get(code, {})
    request = GhcbPage.for_exit(code, info1, version=2, buffer=b"", **fields)
    answer = GhcbPage(sw_exit_code=code, protocol_version=2)
    for name in ("sw_exit_info_1", "sw_exit_info_2", "rax", "rdx", "rbx", "rcx"):
        answer.set(name, 0)
    assert list(problems_of_answer(answer, request)) == []
    answer.mark(returned, valid=False)
    assert list(problems_of_answer(answer)) == []  # nobody can tell
    assert [problem.path for problem in problems_of_answer(answer, request)] == [returned]
    other = GhcbPage.for_exit(0x7B, 0x03F80010, rax=0)  # OUT: nothing is returned
    if code == 0x7B:
        assert list(problems_of_answer(answer, other)) == []


def test_a_trusted_device_that_is_not_bound_has_no_id() -> None:
    answer = GhcbPage(sw_exit_code=0x80000021, protocol_version=2)
    answer.set("sw_exit_info_1", 0)
    for info1, status in ((0x108, 0x38), (0x2_00000108, 0)):  # a bind that failed, a run
        answer.set("sw_exit_info_2", status)
        request = GhcbPage.for_exit(0x80000021, info1)
        assert list(problems_of_answer(answer, request)) == []


def test_certificates_that_do_not_fit_return_how_many_pages() -> None:
    request = GhcbPage.for_exit(0x80000012, 0x1000, 0x2000, rax=0x4000, rbx=0)
    answer = GhcbPage(sw_exit_code=0x80000012, protocol_version=2)
    answer.set("sw_exit_info_1", 0)
    answer.set("sw_exit_info_2", 1 << 32)
    assert [problem.path for problem in problems_of_answer(answer, request)] == ["rbx"]
    answer.sw_exit_info_2 = 0
    assert list(problems_of_answer(answer, request)) == []


@pytest.mark.parametrize(
    "row", [row for row in exits() if row.where is Where.GHCB], ids=lambda row: row.name
)
def test_examples_of_a_row_break_no_rule(row: Exit) -> None:
    assert row.examples
    for example in row.examples:
        page = GhcbPage.for_exit(
            row.code,
            example.info1,
            example.info2,
            gpa=GPA,
            buffer=example.data,
            **example.fields,
        )
        assert broken(page) == []
        assert bool(example.data or page.is_valid("sw_scratch")) <= bool(row.buffer)


@pytest.mark.parametrize(("code", "named"), NOT_IN_A_GHCB.items())
def test_codes_that_no_ghcb_carries(code: int, named: tuple[str, Where]) -> None:
    row = find_exit(code)
    assert row is not None
    assert (row.name, row.where) == named
    with pytest.raises(EncodeError, match="no exit of a GHCB"):
        GhcbPage.for_exit(code)
    page = GhcbPage(protocol_version=2)
    page.set("sw_exit_code", code)
    assert any(text.startswith("sw_exit_code") for text in broken(page))


def test_an_unknown_code() -> None:
    with pytest.raises(EncodeError, match="0x80000030 is no exit of a GHCB: not known"):
        GhcbPage.for_exit(0x80000030)
    page = first_case(0x76).page()
    page.sw_exit_code = 0x80000030
    assert broken(page) == ["sw_exit_code: 0x80000030: not a known ExitCode"]


def test_features_that_announce_exits() -> None:
    names = [field.name for field in HypervisorFeatures.declaration.fields]
    announced = {row.code: names.index(row.feature) for row in exits() if row.feature}
    assert announced == FEATURES


@pytest.mark.parametrize(
    ("code", "changes", "path", "rule"),
    [
        (0x7B, {"info1": 0x03F80000}, "sw_exit_info_1", "operand size"),
        (0x7B, {"info1": 0x03F80012}, "sw_exit_info_1", "reserved_1"),
        (0x7C, {"info1": 3, "rax": 0, "rdx": 0}, "sw_exit_info_1", "reserved_63_1"),
        (0x80000001, {"info2": 16}, "sw_exit_info_2", "at most 8 bytes expected"),
        (0x80000001, {"sw_scratch": 0x1000}, "sw_scratch", "outside the shared buffer"),
        (0x80000001, {"sw_scratch": GPA + 0xFF0}, "sw_scratch", "outside the shared buffer"),
        (0x80000001, {"sw_scratch": GPA + 0xFEE}, "sw_scratch", "pass the end"),
        (0x80000005, {"info1": 2}, "sw_exit_info_1", "JumpTableOperation"),
        (0x80000010, {"sw_scratch": GPA + 0x7F8}, "sw_scratch", "outside the shared buffer"),
        (0x80000010, {"sw_scratch": GPA + 0xFEC}, "sw_scratch", "pass the end"),
        (0x80000011, {"info1": 0x1001}, "sw_exit_info_1", "not 4 KiB aligned"),
        (0x80000011, {"info2": 0x2008}, "sw_exit_info_2", "not 4 KiB aligned"),
        (0x80000011, {"info2": 0x1000}, "sw_exit_info_2", "one page"),
        (0x80000012, {"rax": 0x4010}, "rax", "not 4 KiB aligned"),
        (0x80000013, {"info1": 0x500010003}, "sw_exit_info_1", "ApOperation"),
        (0x80000013, {"info1": 0x500110001}, "sw_exit_info_1", "reserved_31_20"),
        (0x80000013, {"info2": 0x5008}, "sw_exit_info_2", "not 4 KiB aligned"),
        (0x80000013, {"info2": 0x200000}, "sw_exit_info_2", "2 MiB aligned"),
        (0x80000014, {"info1": 4}, "sw_exit_info_1", "DoorbellOperation"),
        (0x80000014, {"info1": 1, "info2": 0x6040}, "sw_exit_info_2", "not 4 KiB aligned"),
        (0x80000015, {"info1": 0x2050}, "sw_exit_info_1", "reserved_13"),
        (0x80000018, {"info1": 4}, "sw_exit_info_1", "VMPL 0 to 3"),
        (0x8000001A, {"info1": 2, "rbx": 0}, "sw_exit_info_1", "SecureAvicOperation"),
        (0x8000001B, {"info1": 0x150}, "sw_exit_info_1", "reserved_63_8"),
        (0x8000001C, {"info1": 0x00024005}, "sw_exit_info_1", "reserved_7_2"),
        (0x8000001D, {"info1": 0x00020161}, "sw_exit_info_1", "reserved_15_8"),
        (0x8000FFFE, {"info1": 0x1061}, "sw_exit_info_1", "reserved_63_12"),
    ],
)
def test_broken_request(code: int, changes: dict[str, int], path: str, rule: str) -> None:
    found = first_case(code).page(**changes).problems()
    assert any(problem.path == path and rule in problem.rule for problem in found), found


@pytest.mark.parametrize(
    ("code", "changes", "path", "text"),
    [
        (0x7B, {"info2": 1}, "sw_exit_info_2", "only a string form has a count"),
        (0x7B, {"info1": 0x03F80014, "sw_scratch": GPA + 0x800}, "sw_exit_info_2", "RCX 0"),
        (0x76, {"info1": 1}, "sw_exit_info_1", "INVD does not use it; guests send 0"),
        (0x80000001, {"info2": 0}, "sw_exit_info_2", "MOV m64, imm32"),
        (0x80000005, {"info1": 1}, "sw_exit_info_2", "not used to get the address"),
        (0x80000010, {"info1": 1}, "sw_exit_info_1", "does not use it"),
        (0x80000015, {"info2": 1}, "sw_exit_info_2", "does not use it"),
        (0x8000FFFE, {"version": 0}, "protocol_version", "CcExitVmgInit"),
        (0x8000FFFE, {"info1": 0x20}, "sw_exit_info_1", "GENERAL SNP_FEATURES"),
        (0x7C, {}, "sw_exit_info_1", "read or write: access=READ"),
        (0x80000018, {"info1": 0}, "sw_exit_info_1", "VMPL to run: vmpl=0x0"),
        (0x80000013, {}, "sw_exit_info_1", "operation=CREATE, vmpl=0x1, apic_id=0x5"),
        (
            0x80000010,
            {},
            "shared_buffer",
            "page list, entries 0 to 0: [0] SHARED 0xc000000000, 4 KiB",
        ),
    ],
)
def test_what_a_request_says_is_a_note(
    code: int, changes: dict[str, int], path: str, text: str
) -> None:
    page = first_case(code).page(**changes)
    assert broken(page) == []
    assert any(note.path == path and text in note.text for note in page.notes())


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_page_that_states_no_version_speaks_the_negotiated_one(case: Case) -> None:
    page = case.page(version=0)
    assert broken(page) == []
    assert list(problems_of_request(page, 2)) == []
    if case.since == 2:
        (problem,) = problems_of_request(page, 1)
        assert "exists since version 2" in problem.rule
        assert refusal(page, problem) == 5


def test_the_negotiated_version_decides_limits() -> None:
    page = first_case(0x80000001).page(info2=16, version=1)
    assert list(problems_of_request(page)) == []
    assert [problem.path for problem in problems_of_request(page, 2)] == ["sw_exit_info_2"]
    unstated = first_case(0x80000001).page(sw_scratch=0x1000, version=0)
    assert list(problems_of_request(unstated, 1)) == []
    assert [problem.path for problem in problems_of_request(unstated)] == ["sw_scratch"]


@pytest.mark.parametrize(
    ("code", "spoilt", "unmarked", "errors"),
    [  # GHCB_ERR numbers in the order of KVM's sev_es_validate_vmgexit
        (0x72, {}, ("sw_exit_info_2", "rax"), [4, 4]),
        (0x80000002, {"sw_exit_info_2": 9, "sw_scratch": 0x1000}, (), [5]),
        (0x80000002, {"sw_scratch": 0x1000}, (), [3]),
        (0x80000002, {"sw_exit_info_2": 9}, ("sw_scratch",), [4, 5]),
        (0x80000013, {"sw_exit_info_1": 3, "protocol_version": 1}, ("rax",), [4, 5, 5]),
        (0x76, {"sw_exit_code": 0x80000030}, (), [6]),
        (0x76, {"sw_exit_code": 0x80000030}, ("sw_exit_info_1",), [4, 6]),
    ],
)
def test_missing_marks_come_before_bad_values(
    code: int, spoilt: dict[str, int], unmarked: tuple[str, ...], errors: list[int]
) -> None:
    page = first_case(code).page()
    for name, value in spoilt.items():
        setattr(page, name, value)
    for name in unmarked:
        page.mark(name, valid=False)
    assert [refusal(page, problem) for problem in problems_of_request(page)] == errors


@pytest.mark.parametrize(
    ("scratch", "errors"),
    [(0x1000, []), (0xFFFFFFFFFFFFFFFC, []), (0xFFFFFFFFFFFFFFFD, [3]), (0, [3])],
)
def test_a_scratch_outside_the_page_is_version_1s_business(scratch: int, errors: list[int]) -> None:
    page = first_case(0x80000001).page(sw_scratch=scratch, version=1)
    assert [refusal(page, problem) for problem in page.problems()] == errors


@pytest.mark.parametrize(
    ("code", "info1", "most"),
    [  # KVM's GHCB_SCRATCH_AREA_LIMIT, 64 KiB, counts in bytes
        (0x7B, 0x03F80014, 65536),
        (0x7B, 0x03F80045, 16384),
        (0x80000001, 0xFED00000, 65536),
        (0x80000002, 0xFED00000, 65536),
    ],
)
def test_version_1_takes_64_kib_outside_the_page(code: int, info1: int, most: int) -> None:
    page = GhcbPage.for_exit(code, info1, most, version=1, sw_scratch=0x1000)
    assert list(page.problems()) == []
    page.sw_exit_info_2 = most + 1
    assert [refusal(page, problem) for problem in page.problems()] == [3]
    page.protocol_version = 2
    assert refusal(page, next(iter(page.problems()))) == 5


@pytest.mark.parametrize(
    ("info1", "count", "rule"),
    [
        (0x03F80014, 2033, "2033 bytes do not fit"),
        (0x03F80024, 1017, "2034 bytes do not fit"),
        (0x03F80044, 509, "2036 bytes do not fit"),
    ],
)
def test_string_io_must_fit_the_buffer(info1: int, count: int, rule: str) -> None:
    page = GhcbPage.for_exit(0x7B, info1, count, gpa=GPA)
    assert any(rule in text for text in broken(page))


@pytest.mark.parametrize("info1", [0x03F80014, 0x03F80024, 0x03F80044])
def test_string_io_that_just_fits(info1: int) -> None:
    size = {0x10: 1, 0x20: 2, 0x40: 4}[info1 & 0x70]
    assert broken(GhcbPage.for_exit(0x7B, info1, 2032 // size, gpa=GPA)) == []


@pytest.mark.parametrize(
    ("buffer", "scratch", "rule"),
    [
        ("0000 fd00 00000000", 0x800, "the buffer holds 253 entries"),
        ("0000 fc00 00000000", 0x808, "252 entries fit the buffer from here"),
        ("0200 0100 00000000", 0x800, ""),  # finished: nothing is looked at
        ("0000 0000 00000000 0100000000001000", 0x800, ""),  # one page of one is done
        ("0000 0000 00000000 0200000000001000", 0x800, "entries[0].current_page"),
        ("0000 0000 00000000 0102000000001001", 0x800, "entries[0].current_page"),
        ("0000 0000 01000000", 0x800, "header.reserved_63_32"),
        ("0000 0000 00000000 0000000000001000", 0x800, ""),
        ("0000 0000 00000000 0000000000005000", 0x800, "entries[0].operation"),
        ("0000 0000 00000000 0500000000001000", 0x800, "entries[0].current_page"),
        ("0000 0000 00000000 0010000000001001", 0x800, "entries[0].frame"),
        ("0000 0000 00000000 0000000000001002", 0x800, "entries[0].reserved_63_57"),
        ("0100 0100 00000000 0000000000005000 0000000000002000", 0x800, ""),  # only from cur_entry
    ],
)
def test_page_state_change_in_the_buffer(buffer: str, scratch: int, rule: str) -> None:
    page = GhcbPage.for_exit(0x80000010, gpa=GPA, sw_scratch=GPA + scratch)
    page.write_buffer(bytes.fromhex(buffer), scratch - 0x800)
    found = broken(page)
    assert any(rule in text for text in found) if rule else found == []


@pytest.mark.parametrize(
    ("buffer", "text"),
    [
        ("0200 0100 00000000", "page list: finished, its last entry was 1"),
        (
            "0000 0000 00000000 0c00004000001001",
            "entries 0 to 0: [0] PRIVATE 0x40000000, 2 MiB, 12 of 512 pages done",
        ),
        (
            "0100 0600 00000000 0000000000000000 0010000000001000 0020000000002000 0030000000007000",
            "entries 1 to 6: [1] PRIVATE 0x1000, 4 KiB; [2] SHARED 0x2000, 4 KiB;"
            " [3] operation 7 0x3000, 4 KiB; ... (+3)",
        ),
    ],
)
def test_a_page_list_is_shown(buffer: str, text: str) -> None:
    page = first_case(0x80000010).page(buffer=bytes.fromhex(buffer))
    assert any(note.path == "shared_buffer" and text in note.text for note in page.notes())
    page.valid_bitmap = 0
    page.mark("sw_exit_info_1")  # the same list in an answer
    assert any(note.path == "shared_buffer" and text in note.text for note in page.notes())


def test_which_entry_of_a_page_list_is_wrong() -> None:
    page = first_case(0x80000010).page()
    page.write_buffer(bytes.fromhex("0000 0200 00000000" + "00" * 8 + "00" * 6 + "1000" + "00" * 8))
    assert [index for index, _ in page_list_problems(page)] == [0, 2]
    page.write_buffer(bytes.fromhex("0000 fd00 00000000"))
    assert next(index for index, _ in page_list_problems(page)) == -1


@pytest.mark.parametrize(
    ("header", "rule"),
    [
        ("0100 0000 00000000", ""),
        ("0000 0100 00000000", "header.end_entry: 0x0 before"),
        ("0000 0000 01000000", "header.reserved_63_32: 0x0 before"),
    ],
)
def test_what_linux_refuses_of_a_page_list_that_comes_back(header: str, rule: str) -> None:
    request = first_case(0x80000010).page()
    answer = GhcbPage(sw_exit_code=0x80000010, protocol_version=2)
    answer.set("sw_exit_info_1", 0)
    answer.set("sw_exit_info_2", 0)
    answer.write_buffer(bytes.fromhex(header))
    assert list(problems_of_answer(answer)) == []
    found = [problem.rule for problem in problems_of_answer(answer, request)]
    assert len(found) == bool(rule)
    assert all(text.startswith(rule) for text in found)
    request.write_buffer(b"\x01")
    answer.write_buffer(b"\0")
    assert any("goes back from 1" in item.rule for item in problems_of_answer(answer, request))


def test_the_builder_refuses_what_the_exit_does_not_take() -> None:
    with pytest.raises(EncodeError, match="rcx: RDTSC does not take it"):
        GhcbPage.for_exit(0x6E, rcx=1)
    with pytest.raises(EncodeError, match="rax: CPUID needs it"):
        GhcbPage.for_exit(0x72, rcx=0)
    with pytest.raises(EncodeError, match="xcr0: CPUID needs it"):
        GhcbPage.for_exit(0x72, rax=0xD, rcx=0)
    with pytest.raises(EncodeError, match="2033 bytes at 0 do not fit 2032"):
        GhcbPage.for_exit(0x80000002, 0, 1, buffer=bytes(2033))


ANSWERS = [
    (0, 0, "DONE", []),
    (1, 0x80000B0D, "RAISE_EVENT: vector 13", []),
    (1, 0x80000306, "RAISE_EVENT: vector 6", []),
    (1, 0x1_80000B0D, "RAISE_EVENT: vector 13", []),
    (1, 0xFFFFFFFF_8000030D, "RAISE_EVENT: vector 13", ["error_code: not 0"]),  # KVM's
    (1, 0x0000030D, "RAISE_EVENT: vector 13", ["not a valid #GP or #UD"]),
    (1, 0x8000030E, "RAISE_EVENT: vector 14", ["not a valid #GP or #UD"]),
    (2, 1, "MALFORMED_INPUT: NOT_REGISTERED", []),
    (2, 2, "MALFORMED_INPUT: INVALID_USAGE", []),
    (2, 3, "MALFORMED_INPUT: INVALID_SCRATCH_AREA", []),
    (2, 4, "MALFORMED_INPUT: MISSING_INPUT", []),
    (2, 5, "MALFORMED_INPUT: INVALID_INPUT", []),
    (2, 6, "MALFORMED_INPUT: INVALID_EVENT", []),
    (2, 7, "MALFORMED_INPUT: error 0x7", ["not a known MalformedInput"]),
    (2, 0x10000, "MALFORMED_INPUT: error 0x10000", []),
    (3, 0, "status 0x3", ["not a known Status"]),
]


@pytest.mark.parametrize(("info1", "info2", "text", "rules"), ANSWERS)
def test_status_of_an_answer(info1: int, info2: int, text: str, rules: list[str]) -> None:
    page = GhcbPage(sw_exit_code=0x80000018, protocol_version=2)
    page.set("sw_exit_info_1", info1)
    page.set("sw_exit_info_2", info2)
    assert answer_text(page) == text
    found = [problem.rule for problem in page.problems()]
    assert len(found) == len(rules)
    assert all(map(str.startswith, found, rules))


def test_both_readings_of_the_status_are_shown() -> None:
    page = GhcbPage(sw_exit_code=0x6E, protocol_version=2)
    for name, value in (("sw_exit_info_1", 1 << 32), ("sw_exit_info_2", 0), ("rax", 0), ("rdx", 0)):
        page.set(name, value)
    assert answer_text(page) == "DONE"
    assert any("failure to COCONUT-SVSM only" in note.text for note in page.notes())


@pytest.mark.parametrize(
    ("code", "result", "text"),
    [
        (0x80000010, 0x0000000100000002, "DONE: detail=0x2, error=INVALID"),
        (0x80000012, 0x0000000200000000, "DONE: firmware=SUCCESS, vmm=BUSY"),
        (0x8000FFFD, 0x23, "DONE: snp, ap_creation, multi_vmpl"),
    ],
)
def test_result_of_an_answer(code: int, result: int, text: str) -> None:
    page = GhcbPage(sw_exit_code=code, protocol_version=2)
    page.set("sw_exit_info_1", 0)
    page.set("sw_exit_info_2", result)
    assert answer_text(page) == text


@pytest.mark.parametrize(
    ("code", "meanings"),
    [
        (0x80000019, ["disable alternate injection", "configure interrupt injection"]),
        (0x8000001A, ["specific EOI", "disable alternate injection"]),
        (0x8000001B, ["specific EOI"]),
        (0x8000001C, []),
    ],
)
def test_former_meanings_of_a_number(code: int, meanings: list[str]) -> None:
    texts = [note.text for note in first_case(code).page().notes()]
    texts = [text for text in texts if text.startswith("formerly")]
    assert [text.removeprefix("formerly ").partition(" (")[0] for text in texts] == meanings


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (0x7B, "named 8, 16 and 32"),
        (0x81, "RCX, RDX and R8, for a Hyper-V host"),
        (0x80000001, "2032 bytes, the shared buffer"),
        (0x80000010, "number of entries"),
        (0x80000013, "status 1 with #GP"),
        (0x80000019, "0x80000020, with 0x80000021 beside it"),
        (0x8000FFFE, "MSR: set in bits 15:12"),
    ],
)
def test_other_readings_of_an_exit_are_shown(code: int, text: str) -> None:
    assert any(text in note.text for note in first_case(code).page().notes())


def test_a_page_of_another_usage_says_what_reads_it() -> None:
    page = GhcbPage(protocol_version=2, ghcb_usage=1)
    (note,) = page.notes()
    assert note.path == "ghcb_usage"
    assert "ghcb-hypercall" in note.text
    assert page.problems() == []


def test_the_row_of_a_page() -> None:
    assert find_exit(0x80000030) is None
    row = find_exit(0x72)
    assert row is not None
    assert row.fields_in == ("rax", "rcx", "xcr0 (leaf 0xD)")
    assert row.fields_out == ("rax", "rbx", "rcx", "rdx")
