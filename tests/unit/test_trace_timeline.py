"""The timeline of a trace: milestones and bursts worked by hand, and memory that stays bounded."""

import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmgexit.logs import timeline
from vmgexit.logs.kvm import Line, Pairing, parse
from vmgexit.logs.timeline import Points, Timeline


def told(*events: tuple[float, str]) -> list[str]:
    """The lines for events, each with its time in seconds and what KVM prints after the tracepoint's
    common part."""
    story, pairing = Timeline(), Pairing()
    for time, text in events:
        event = parse(f" CPU 0/KVM-4242 [003] ..... {time:.6f}: kvm_vmgexit_{text}\n".encode())
        assert not isinstance(event, Line), text
        for pair in pairing.take(event):
            story.add(pair)
    for pair in pairing.finish():
        story.add(pair)
    story.finish()
    return list(story.lines())


def msr(time: float, vcpu: int, asked: int, answered: int) -> tuple[tuple[float, str], ...]:
    return (
        (time, f"msr_protocol_enter: vcpu {vcpu}, ghcb_gpa {asked:016x}"),
        (time, f"msr_protocol_exit: vcpu {vcpu}, ghcb_gpa {answered:016x}, result 1"),
    )


def ghcb(
    time: float, vcpu: int, code: int, info1: int = 0, answer: tuple[int, int] = (0, 0)
) -> tuple[tuple[float, str], ...]:
    words = f"vcpu {vcpu}, exit_reason {code:x}, exit_info1"
    return (
        (time, f"enter: {words} {info1:x}, exit_info2 0"),
        (time, f"exit: {words} {answer[0]:x}, exit_info2 {answer[1]:x}"),
    )


def test_a_boot_in_its_phases() -> None:
    pages = [each for n in range(20) for each in ghcb(101 + n / 1000, 0, 0x80000010)]
    lines = told(
        *msr(100, 0, 2, 0x0002000133000001),
        *msr(100.5, 0, 0x7F123012, 0x7F123013),
        *ghcb(100.6, 0, 0x72),
        *pages,
        *ghcb(102, 0, 0x80000013, 0x100010001),
        *msr(102.5, 1, 0x7F124012, 0x7F124013),
        *ghcb(103, 1, 0x8000FFFE, 0x21, (0x21, 0)),
    )
    assert lines == [
        "+0 ns       vCPU 0   SEV_INFO_REQUEST: first MSR request",
        "+500.0 ms   vCPU 0   REGISTER_GPA_REQUEST: GHCB registered",
        "+600.0 ms   vCPU 0   CPUID: first GHCB",
        "+1.0 s      vCPU 0   20 page state changes, for 19.0 ms",
        "+2.0 s      vCPU 0   SNP_AP_CREATION: CREATE for APIC ID 0x1, VMPL 1",
        "+2.5 s      vCPU 1   REGISTER_GPA_REQUEST: first MSR request",
        "+2.5 s      vCPU 1   REGISTER_GPA_REQUEST: GHCB registered",
        "+3.0 s      vCPU 1   TERMINATION_REQUEST: first GHCB",
        "+3.0 s      vCPU 1   TERMINATION_REQUEST: failed: the guest gave up: LINUX PVALIDATE"
        " (set 0x1, code 0x2)",
        "2 vCPUs, 3.0 s from first to last",
    ]


def test_a_pause_ends_a_burst_and_few_changes_are_none() -> None:
    first = [each for n in range(16) for each in ghcb(1 + n / 1000, 0, 0x80000010)]
    second = [each for n in range(15) for each in ghcb(2 + n / 1000, 0, 0x80000010)]
    lines = told(*first, *second)
    assert [line for line in lines if "page state" in line] == [
        "+0 ns       vCPU 0   16 page state changes, for 15.0 ms"
    ]


def test_a_failed_change_is_told_however_few_there_are() -> None:
    lines = told(*ghcb(1, 0, 0x80000010, answer=(0, 0x100000002)))
    assert "+0 ns       vCPU 0   1 page state change, 1 failed" in lines


def test_without_times_there_is_nothing_to_order() -> None:
    story = Timeline()
    event = parse(b"kvm_vmgexit_enter: vcpu 0, exit_reason 72, exit_info1 0, exit_info2 0\n")
    assert not isinstance(event, Line)
    pairing = Pairing()
    pairing.take(event)
    for pair in pairing.finish():
        story.add(pair)
    story.finish()
    assert list(story.lines()) == ["no request has a time: nothing to put in order"]
    assert story.untimed == 1


@given(st.lists(st.integers(0, 10**12), max_size=200))
def test_points_are_bounded_and_none_is_lost(times: list[int]) -> None:
    points = Points()
    points.bins = 16
    for time in times:
        points.add(time)
    assert sum(points.counts.values()) == len(times)
    assert len(points.counts) <= 16
    assert set(points.counts) == {time // points.width for time in times}


def test_many_failures_of_one_vcpu_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeline, "MILESTONES", 8)
    failing = [each for n in range(50) for each in ghcb(1 + n, 0, 0x9000 + n, answer=(2, 6))]
    assert len(told(*failing)) == 8 + 1  # and what closes them


@pytest.mark.needs("matplotlib")
def test_the_plot_has_a_row_for_each_vcpu() -> None:
    from vmgexit.logs.plot import svg

    story, pairing = Timeline(), Pairing()
    for time, text in (*ghcb(1, 0, 0x72), *ghcb(2, 3, 0x7C)):
        event = parse(f" CPU 0/KVM-4242 [003] ..... {time:.6f}: kvm_vmgexit_{text}\n".encode())
        assert not isinstance(event, Line)
        for pair in pairing.take(event):
            story.add(pair)
    story.finish()
    drawn = svg(story, "two vCPUs")
    texts = [element.text for element in ElementTree.fromstring(drawn).iter() if element.text]
    assert {"vCPU 0", "vCPU 3", "two vCPUs", "other exits"} <= {text.strip() for text in texts}
    assert svg(story, "two vCPUs") == drawn
