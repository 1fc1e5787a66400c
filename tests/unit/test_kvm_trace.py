"""KVM's trace lines, written from the print formats of Linux arch/x86/kvm/trace.h."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmgexit.logs import kvm
from vmgexit.logs.kvm import Event, Line, Pair, Pairing, State, lost, parse, rmp_fault
from vmgexit.logs.lines import as_json, as_text, duration, fault_text, pair_object
from vmgexit.logs.names import read_answer, read_msr, read_request
from vmgexit.logs.summary import ROWS, Latencies, Summary

ENTER = b"kvm_vmgexit_enter: vcpu %d, exit_reason %x, exit_info1 %x, exit_info2 %x\n"
EXIT = b"kvm_vmgexit_exit: vcpu %d, exit_reason %x, exit_info1 %x, exit_info2 %x\n"
MSR_ENTER = b"kvm_vmgexit_msr_protocol_enter: vcpu %d, ghcb_gpa %016x\n"
MSR_EXIT = b"kvm_vmgexit_msr_protocol_exit: vcpu %d, ghcb_gpa %016x, result %d\n"


def event(line: bytes, number: int = 0) -> Event:
    found = parse(line, number)
    assert isinstance(found, Event), (line, found)
    return found


def paired(*lines: bytes) -> list[Pair]:
    """Every pair that the lines make."""
    pairing = Pairing()
    pairs = [
        pair for number, line in enumerate(lines, 1) for pair in pairing.take(event(line, number))
    ]
    return pairs + list(pairing.finish())


def only(*lines: bytes) -> Pair:
    (pair,) = paired(*lines)
    return pair


# --- lines --------------------------------------------------------------------------------------------

HEADS = [
    # trace-cmd report; with latency flags; with a task group; in nanoseconds; with a raw counter
    (b"       CPU 0/KVM-4242  [003]   100.000100: ", 4242, 100_000_100_000, False),
    (b"       CPU 0/KVM-4242  [003] d..1.   100.000100: ", 4242, 100_000_100_000, False),
    (b"       CPU 0/KVM-4242    ( 4200) [003] .....   100.000100: ", 4242, 100_000_100_000, False),
    (
        b"       CPU 0/KVM-4242    (-------) [003] .....   100.000100: ",
        4242,
        100_000_100_000,
        False,
    ),
    (b"       CPU 0/KVM-4242  [003]   100.000100123: ", 4242, 100_000_100_123, False),
    (b"       CPU 0/KVM-4242  [003] 8231072301: ", 4242, 8231072301, True),
    # perf script: the system's name before the event's; process and thread; a period
    (b"       CPU 0/KVM  4242 [003]   100.000100:     kvm:", 4242, 100_000_100_000, False),
    (b" CPU 0/KVM  4200/4242  [003]   100.000100: kvm:", 4242, 100_000_100_000, False),
    (b" CPU 0/KVM  4242 [003]   100.000100:          1     kvm:", 4242, 100_000_100_000, False),
    (b"qemu-system-x86-4242  [003]   100.000100: ", 4242, 100_000_100_000, False),
    (b"\xff\xfe-4242  [003]   100.000100: ", 4242, 100_000_100_000, False),
    # less than any tool prints
    (b" 100.000100: ", None, 100_000_100_000, False),
    (b"", None, None, False),
]


@pytest.mark.parametrize(("head", "thread", "time", "raw"), HEADS)
def test_heads_of_each_tool(head: bytes, thread: int | None, time: int | None, raw: bool) -> None:
    found = event(head + ENTER % (5, 0x7C, 1, 0), 9)
    assert (found.thread, found.time, found.raw_time) == (thread, time, raw)
    assert (found.vcpu, found.line, found.name_at) == (5, 9, len(head))


def test_the_four_tracepoints() -> None:
    asked = event(b"kvm_vmgexit_enter: vcpu 1, exit_reason 80000010, exit_info1 12ab, exit_info2 0")
    assert (asked.msr, asked.response) == (False, False)
    assert (asked.code, asked.info1, asked.info2) == (0x80000010, 0x12AB, 0)
    assert asked.tracepoint == "kvm_vmgexit_enter"
    given_ = event(
        b"kvm_vmgexit_exit: vcpu 1, exit_reason 7c, exit_info1 2, exit_info2 ffffffffffffffff\r\n"
    )
    assert (given_.msr, given_.response) == (False, True)
    assert (given_.code, given_.info1, given_.info2) == (0x7C, 2, 0xFFFFFFFFFFFFFFFF)
    assert given_.tracepoint == "kvm_vmgexit_exit"
    word = event(b"kvm_vmgexit_msr_protocol_enter: vcpu 0, ghcb_gpa 0010000012345014\n")
    assert (word.msr, word.response, word.code) == (True, False, 0x014)
    assert word.word == 0x0010000012345014
    assert word.tracepoint == "kvm_vmgexit_msr_protocol_enter"
    done = event(b"kvm_vmgexit_msr_protocol_exit: vcpu 0, ghcb_gpa 0000000000000777, result -22\n")
    assert (done.msr, done.response, done.code, done.result) == (True, True, 0x777, -22)
    assert done.tracepoint == "kvm_vmgexit_msr_protocol_exit"


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"kvm_vmgexit_",
        b"kvm_vmgexit_en",
        b" CPU 0/KVM-1 [003] 1.000000: kvm_entry: vcpu 0, rip 0xffffffff81000000\n",
        b"# event : name = kvm:kvm_vmgexit_enter, , id = { 12 }, type = 2\n",
        b" 1.000000: kvm_vmgexit_enterprise: vcpu 0\n",
    ],
)
def test_other_lines(line: bytes) -> None:
    assert parse(line) is Line.OTHER


@pytest.mark.parametrize(
    "line",
    [
        b"kvm_vmgexit_enter:",
        b"kvm_vmgexit_enter: vcpu 0, exit_reason 80000\n",
        b"kvm_vmgexit_enter: vcpu 0, exit_reason 7c, exit_info1 zz, exit_info2 0\n",
        b"kvm_vmgexit_enter: vcpu 0, exit_reason 7c, exit_info1 0, exit_info2 0 and more\n",
        b"kvm_vmgexit_enter: vcpu 0, exit_reason 11112222333344445, exit_info1 0, exit_info2 0\n",
        b"kvm_vmgexit_exit: vcpu -1, exit_reason 7c, exit_info1 0, exit_info2 0\n",
        b"kvm_vmgexit_msr_protocol_enter: vcpu 0, ghcb_gpa 00000000000001\n",
        b"kvm_vmgexit_msr_protocol_exit: vcpu 0, ghcb_gpa 0000000000000001\n",
        b"kvm_vmgexit_enter: " + b" " * 100_000 + b"x",
    ],
)
def test_malformed_lines(line: bytes) -> None:
    assert parse(line) is Line.MALFORMED
    assert as_text(line, None, []) == line


@given(st.binary(max_size=200), st.sampled_from([b"", ENTER[:40], MSR_EXIT % (1, 2, 3), b"\x00"]))
def test_any_bytes_are_read_and_pass_through(noise: bytes, part: bytes) -> None:
    for line in (noise, part + noise, noise + part):
        found = parse(line)
        lost(line)
        if isinstance(found, Line):
            assert as_text(line, None, []) == line
        else:
            assert as_text(line, found, []).startswith(line[: found.name_at])


word64 = st.integers(0, 2**64 - 1) | st.integers(0, 2**12)
codes = st.sampled_from([0x7B, 0x7C, 0x80000010, 0x80000013, 0x8000FFFE, 0xF0000000]) | word64


@given(codes, word64, word64, word64, word64, st.integers(-200, 2))
def test_any_numbers_have_a_text_and_an_object(
    code: int, info1: int, info2: int, asked: int, answered: int, result: int
) -> None:
    lines = [
        ENTER % (0, code, info1, info2),
        EXIT % (0, code, info2, info1),
        MSR_ENTER % (0, asked),
        MSR_EXIT % (0, answered, result),
    ]
    pairs = paired(*lines)
    assert len(pairs) == 2
    for pair, line in zip(pairs, (lines[1], lines[3]), strict=True):
        assert pair.response is not None
        assert as_text(line, pair.response, [pair]).endswith(b"\n")
        assert as_json(line, pair.response, [pair]).startswith(b'{"protocol": ')


@pytest.mark.parametrize(
    ("line", "count"),
    [
        (b"CPU:2 [LOST 12 EVENTS]\n", 12),
        (b" CPU:3 [LOST 7 EVENTS]\n", 7),
        (b"CPU:2 [7 EVENTS DROPPED]\n", 7),
        (b"LOST 3 events on cpu 1\n", 3),
        (b"CPU:2 [EVENTS DROPPED]\n", 0),
        (b"kvm_entry: vcpu 0\n", 0),
    ],
)
def test_lost_events(line: bytes, count: int) -> None:
    assert lost(line) == count


# --- pairs --------------------------------------------------------------------------------------------


def test_a_request_and_its_response() -> None:
    pair = only(
        b" 1.000100: " + ENTER % (0, 0x7C, 1, 0), b" 1.000112500: " + EXIT % (0, 0x7C, 0, 0)
    )
    assert (pair.state, pair.why, pair.latency) == (State.ANSWERED, "", 12_500)


@pytest.mark.parametrize(
    ("code", "info1", "info2", "why"),
    [
        (0x7C, 2, 4, "MALFORMED_INPUT: error=MISSING_INPUT"),
        (0x8000001E, 2, 6, "MALFORMED_INPUT: error=INVALID_EVENT"),
        (
            0x7C,
            1,
            0x80000B0D,
            "RAISE_EVENT: vector=0xd, type=EXCEPTION, error_code_valid, valid",
        ),
        (0x72, 9, 0, "status 0x9: "),
        (0x80000011, 0, 1 << 32, "firmware=SUCCESS, vmm=INVALID_LEN"),
    ],
)
def test_failed_exits(code: int, info1: int, info2: int, why: str) -> None:
    pair = only(ENTER % (0, code, 0, 0), EXIT % (0, code, info1, info2))
    assert pair.state is State.FAILED
    assert pair.why == why


def test_a_result_that_is_no_failure() -> None:
    features = only(ENTER % (0, 0x8000FFFD, 0, 0), EXIT % (0, 0x8000FFFD, 0, 0x23))
    assert features.state is State.ANSWERED
    released = only(ENTER % (0, 0x80000004, 0, 0), EXIT % (0, 0x80000004, 0, 1))
    assert released.state is State.ANSWERED


@pytest.mark.parametrize(
    ("asked", "answered", "result", "state", "why"),
    [
        (0x002, 0x0002000133000001, 1, State.ANSWERED, ""),
        (0x0010000012345014, 0x0000000000000015, 1, State.ANSWERED, ""),
        (0x0010000012345014, 0x8000000000000015, 1, State.FAILED, "error 0x80000000"),
        (
            0x0010000012345014,
            0x0010000012345014,
            0,
            State.ANSWERED,
            "left to user space, whose answer is not traced",
        ),
        (0x777, 0x777, -22, State.FAILED, "KVM returned EINVAL"),
        (
            0x080,
            0x080,
            1,
            State.FAILED,
            "the host left the request in place: 0x080 FEATURES_REQUEST is not known to it",
        ),
        (
            0x12345012,
            0x12346013,
            1,
            State.FAILED,
            "frame 0x12346 registered, 0x12345 asked for",
        ),
        (0x006, 0x007, 1, State.ANSWERED, "on hold; the release is not traced"),
        (
            0x71100,
            0x71100,
            -22,
            State.FAILED,
            "the guest gave up: LINUX NO_SVSM (set 0x1, code 0x7)",
        ),
    ],
)
def test_msr_answers(asked: int, answered: int, result: int, state: State, why: str) -> None:
    pair = only(MSR_ENTER % (3, asked), MSR_EXIT % (3, answered, result))
    assert (pair.state, pair.why) == (state, why)


def test_a_request_without_a_response_shows_at_the_next_one() -> None:
    first, second = paired(
        ENTER % (0, 0x80000010, 0, 0), ENTER % (0, 0x7C, 0, 0), EXIT % (0, 0x7C, 0, 0)
    )
    assert (first.state, first.why, first.response) == (State.UNPAIRED, "no response", None)
    assert first.either.line == 1
    assert second.state is State.ANSWERED


def test_a_response_without_a_request() -> None:
    pair = only(EXIT % (0, 0x72, 0, 0))
    assert (pair.state, pair.why, pair.request) == (State.UNPAIRED, "no request", None)


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        (ENTER % (0, 0x7C, 0, 0), EXIT % (0, 0x7B, 0, 0)),
        (ENTER % (0, 0x7C, 0, 0), MSR_EXIT % (0, 1, 1)),
        (MSR_ENTER % (0, 2), EXIT % (0, 0x7C, 0, 0)),
    ],
)
def test_a_response_to_something_else(asked: bytes, answered: bytes) -> None:
    first, second = paired(asked, answered)
    assert (first.state, first.response) == (State.UNPAIRED, None)
    assert (second.state, second.request) == (State.UNPAIRED, None)


def test_vcpus_of_one_number_in_two_guests_do_not_mix() -> None:
    one, two = b" CPU 0/KVM-11 [000] 1.000000: ", b" CPU 0/KVM-22 [001] 1.000000: "
    pairs = paired(
        one + ENTER % (0, 0x7C, 0, 0),
        two + ENTER % (0, 0x7B, 0, 0),
        two + EXIT % (0, 0x7B, 0, 0),
        one + EXIT % (0, 0x7C, 0, 0),
    )
    assert [(pair.either.thread, pair.state) for pair in pairs] == [
        (22, State.ANSWERED),
        (11, State.ANSWERED),
    ]


@pytest.mark.parametrize("form", ["ghcb", "msr"])
def test_a_termination_is_a_failure_not_an_unpaired_request(form: str) -> None:
    line = ENTER % (0, 0x8000FFFE, 0x71, 0) if form == "ghcb" else MSR_ENTER % (0, 0x71100)
    pair = only(line)
    assert (pair.state, pair.why) == (
        State.FAILED,
        "the guest gave up: LINUX NO_SVSM (set 0x1, code 0x7)",
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [(b" 2.000000: ", b" 1.000000: "), (b" 1.000000: ", b" 2000000000: "), (b"", b" 1.000000: ")],
)
def test_no_latency_where_the_clock_is_no_help(before: bytes, after: bytes) -> None:
    pair = only(before + ENTER % (0, 0x7C, 0, 0), after + EXIT % (0, 0x7C, 0, 0))
    assert pair.state is State.ANSWERED
    assert pair.latency is None


def test_open_requests_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kvm, "OPEN_LIMIT", 2)
    pairing = Pairing()
    closed = [pairing.take(event(ENTER % (vcpu, 0x7C, 0, 0), vcpu)) for vcpu in range(4)]
    assert [[pair.either.vcpu for pair in pairs] for pairs in closed] == [[], [], [0], [1]]
    assert [pair.either.vcpu for pair in pairing.finish()] == [2, 3]


# --- names --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (ENTER % (0, 0x7C, 1, 0), b"> MSR: access=WRITE\n"),
        (
            ENTER % (0, 0x7B, 0x3F80011, 0),
            b"> IOIO: is_in, size_8, segment=ES, port=0x3f8; info2=0x0\n",
        ),
        (ENTER % (0, 0x72, 0, 0), b"> CPUID\n"),
        (
            ENTER % (0, 0x8000FFFF, 0x404, 0),
            b"> UNSUPPORTED_EVENT: info1=0x404 PAGE_NOT_VALIDATED (access to a page that is not"
            b" validated); info2=0x0\n",
        ),
        (
            MSR_ENTER % (0, 0x0030000000000014),
            b"> PAGE_STATE_REQUEST: operation=PSMASH (broken: operation: 0x3 PSMASH: not for the MSR"
            b" form (edk2 Ghcb.h))\n",
        ),
        (ENTER % (0, 0x72, 5, 0), b"> CPUID: info1=0x5 (broken: info1: 0 expected)\n"),
        (
            ENTER % (0, 0x8000001E, 0, 0),
            b"> 0x8000001e: info1=0x0; info2=0x0 (broken: not a known exit)\n",
        ),
        (
            ENTER % (0, 0x403, 0, 0),
            b"> VMGEXIT (broken: not for a GHCB: processor to host or SVSM, in a VMSA)\n",
        ),
        (ENTER % (0, 0x80000018, 2, 0), b"> SNP_RUN_VMPL: vmpl=0x2\n"),
        (
            EXIT % (0, 0x8000FFFD, 0, 0x23),
            b"< HYPERVISOR_FEATURES: status=DONE; snp, ap_creation, multi_vmpl\n",
        ),
        (
            MSR_ENTER % (0, 0x0010000012345014),
            b"> PAGE_STATE_REQUEST: frame=0x12345, operation=PRIVATE\n",
        ),
        (
            MSR_EXIT % (0, 0x0002000133000001, 1),
            b"< SEV_INFO_RESPONSE: versions 1 to 2, C-bit 51\n",
        ),
    ],
)
def test_events_in_names(line: bytes, shown: bytes) -> None:
    head = line[: line.index(b":")]
    assert (
        as_text(b"head " + line, event(b"head " + line), [])
        == b"head " + head + b": vcpu 0 " + shown
    )


def test_words_of_a_request_say_what_they_stand_for() -> None:
    first, second, wrong = read_request(0x80000002, 0xFEE00300, 4)
    assert (first.meaning, first.value) == ("guest-physical address of the location", 0xFEE00300)
    assert (second.meaning, second.value) == ("length in bytes, at most 8 from version 2 on", 4)
    assert wrong == ()


def test_words_of_an_answer_depend_on_its_status() -> None:
    assert read_answer(0x7C, 2, 4)[1].meaning == "why the request was malformed"
    assert read_answer(0x7C, 1, 0x80000B0D)[1].meaning == "event for the guest"
    assert read_answer(0x80000010, 0, 0)[1].meaning == "0 = no error"


def test_an_unknown_msr_word_is_shown_as_it_is() -> None:
    reading = read_msr(0xABC777)
    assert reading.text == "data=0xabc"
    assert reading.problems == ("info: 0x777: not a known GhcbInfo",)


def test_the_object_of_a_pair() -> None:
    pair = only(b" 1.000100: " + MSR_ENTER % (3, 0x002), b" 1.000103: " + MSR_EXIT % (3, 1, 1))
    made = pair_object(pair)
    assert made["protocol"] == "msr"
    assert (made["name"], made["code"], made["vcpu"]) == ("SEV_INFO_REQUEST", 2, 3)
    assert (made["state"], made["latency"], made["unit"]) == ("answered", 3000, "ns")
    assert made["request"]["msr"]["fields"] == {"info": 2, "reserved_63_12": 0}
    assert made["response"]["result"] == 1


@pytest.mark.parametrize(
    ("value", "raw", "text"),
    [
        (0, False, "0 ns"),
        (999, False, "999 ns"),
        (12_300, False, "12.3 us"),
        (4_000_000, False, "4.0 ms"),
        (2_500_000_000, False, "2.5 s"),
        (12_300, True, "12300"),
    ],
)
def test_durations(value: int, raw: bool, text: str) -> None:
    assert duration(value, raw) == text


# --- the summary --------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 2**70), min_size=1))
def test_the_median_is_near_and_the_limits_exact(values: list[int]) -> None:
    held = Latencies()
    for value in values:
        held.add(value)
    median = sorted(values)[(len(values) - 1) // 2]
    assert (held.count, held.low, held.high) == (len(values), min(values), max(values))
    assert abs(held.median() - median) <= 0.07 * median


def test_latencies_of_any_spread_take_little() -> None:
    held = Latencies()
    for value in range(200_000):
        held.add(value)
    assert abs(held.median() - 100_000) < 7_000
    assert len(held._buckets) < 200


def test_nothing_has_no_median() -> None:
    assert Latencies().median() == 0


def test_rows_by_code() -> None:
    summary = Summary()
    for pair in paired(
        b" 1.000100: " + ENTER % (0, 0x7C, 1, 0),
        b" 1.000112: " + EXIT % (0, 0x7C, 0, 0),
        b" 1.000200: " + ENTER % (0, 0x7C, 1, 0),
        b" 1.000210: " + EXIT % (0, 0x7C, 2, 4),
        b" 1.000300: " + ENTER % (0, 0x7C, 1, 0),
        b" 1.000400: " + MSR_ENTER % (0, 0x002),
        b" 1.000401: " + MSR_EXIT % (0, 0x0002000133000001, 1),
    ):
        summary.add(pair)
    exits, words = summary.rows()
    assert (exits.name, exits.count, exits.errors, exits.unpaired) == ("MSR", 3, 1, 1)
    assert (exits.latencies.low, exits.latencies.high) == (10_000, 12_000)
    assert (words.name, words.count, words.errors) == ("SEV_INFO_REQUEST", 1, 0)
    assert summary.totals()["pairs"] == 4


def test_counter_values_and_nanoseconds_do_not_mix() -> None:
    summary = Summary()
    for pair in paired(
        b" 5000: " + ENTER % (0, 0x7C, 1, 0),
        b" 5700: " + EXIT % (0, 0x7C, 0, 0),
        b" 1.000100: " + ENTER % (0, 0x7C, 1, 0),
        b" 1.000200: " + EXIT % (0, 0x7C, 0, 0),
    ):
        summary.add(pair)
    (row,) = summary.rows()
    assert summary.raw_time is True
    assert (row.count, row.latencies.count, row.latencies.high) == (2, 1, 700)


def test_rows_are_bounded() -> None:
    summary = Summary()
    for code in range(0x90000000, 0x90000000 + ROWS + 50):
        for pair in paired(ENTER % (0, code, 0, 0)):
            summary.add(pair)
    rows = summary.rows()
    assert len(rows) == ROWS + 1
    assert (rows[-1].name, rows[-1].count, rows[-1].unpaired) == ("further codes", 50, 50)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (
            b" CPU 1/KVM-4243 [004] ..... 100.000340: kvm_rmp_fault: vcpu 1 gpa 0x80d000 pfn 0x5660d"
            b" error_code 0x180000002 rmp_level 1 psmash_ret 0\n",
            (1, 100_000_340_000, 0x80D000, 0x180000002, 1, 0),
        ),
        (
            b"kvm_rmp_fault: vcpu 0 gpa 000000000080d000 pfn 5660d error_code 80000006 rmp_level 2"
            b" psmash_ret -16",
            (0, None, 0x80D000, 0x80000006, 2, -16),
        ),
        (b"kvm_rmp_fault: vcpu 0 gpa 0x80d000 pfn 0x56", None),
        (b"kvm_entry: vcpu 0", None),
    ],
)
def test_rmp_faults(line: bytes, found: tuple[int | None, ...] | None) -> None:
    fault = rmp_fault(line)
    assert found == (
        None
        if fault is None
        else (fault.vcpu, fault.time, fault.gpa, fault.error, fault.level, fault.psmash)
    )


def test_an_rmp_fault_in_names() -> None:
    line = (
        b"kvm_rmp_fault: vcpu 0 gpa 0x80d000 pfn 0x5660d error_code 0x1080000003 rmp_level 2"
        b" psmash_ret -16"
    )
    fault = rmp_fault(line)
    assert fault is not None
    assert fault_text(line, fault) == (
        b"kvm_rmp_fault: vcpu 0 ! gpa 0x80d000: present, write, rmp, vmpl; 2 MiB in the RMP;"
        b" PSMASH EBUSY\n"
    )
