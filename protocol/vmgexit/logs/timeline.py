"""A trace as a story: when each vCPU first spoke, registered its GHCB, was started, changed pages, gave up.

Any number of events takes bounded memory: milestones are kept once for each vCPU, bursts of page state
changes as a start, an end and a count, and the plot's points in bins of time that double in width when
there are too many.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from ..counting import count_of
from ..schema import named
from ..wire.ap_creation import ApCreation, ApOperation
from ..wire.exit_codes import ExitCode
from ..wire.ghcb_msr import GhcbInfo
from .kvm import Event, Pair, RmpFault, State
from .lines import duration, event_name

VCPUS = 4096  # that are told apart; the events of others count as those of the last one
BURST = 16  # page state changes at least
PAUSE = 100_000_000  # nanoseconds between two of them that end a burst
BURSTS = MILESTONES = 64  # that are kept of one vCPU
BINS = 2048  # of time, of one vCPU and kind

KINDS = (
    "MSR protocol",
    "page state",
    "AP creation",
    "guest request",
    "other exits",
    "RMP fault",
    "failed",
)
"""What the plot tells apart."""

_PAGE_STATE = {(True, GhcbInfo.PAGE_STATE_REQUEST), (False, ExitCode.SNP_PAGE_STATE_CHANGE)}
_MESSAGES = (ExitCode.SNP_GUEST_REQUEST, ExitCode.SNP_EXTENDED_GUEST_REQUEST)


@dataclass(slots=True)
class Milestone:
    """Something that is worth a line: when, on which vCPU, what. `end` is 0 unless it lasted."""

    time: int
    vcpu: int
    text: str
    end: int = 0


@dataclass(slots=True)
class _Burst:
    start: int
    end: int
    count: int = 1
    failed: int = 0


@dataclass(slots=True)
class Points:
    """How many events fell into each bin of time since the trace's first; `width` in nanoseconds."""

    width: int = 1000
    bins: int = BINS
    counts: Counter[int] = field(default_factory=Counter)

    def add(self, after: int) -> None:
        self.counts[after // self.width] += 1
        while len(self.counts) > self.bins:
            self.width *= 2
            halved: Counter[int] = Counter()
            for at, count in self.counts.items():
                halved[at // 2] += count
            self.counts = halved


@dataclass(slots=True)
class _Vcpu:
    seen: set[str] = field(default_factory=set)
    burst: _Burst | None = None
    bursts: int = 0


@dataclass(slots=True)
class Timeline:
    """Collects pairs in the order of the trace. Pairs without a time are counted and left out."""

    milestones: list[Milestone] = field(default_factory=list)
    points: dict[tuple[int, str], Points] = field(default_factory=dict)
    start: int | None = None
    last: int = 0
    untimed: int = 0
    raw_time: bool = False
    _vcpus: dict[int, _Vcpu] = field(default_factory=dict)

    def add(self, pair: Pair) -> None:
        event = pair.either
        vcpu = self._seen(event, _kind(event, pair))
        if vcpu is None:
            return
        self._first(vcpu, event, "first MSR request" if event.msr else "first GHCB")
        if event.msr and event.code == GhcbInfo.REGISTER_GPA_REQUEST:
            self._first(vcpu, event, "GHCB registered")
        if (event.msr, event.code) in _PAGE_STATE:
            self._page_state(vcpu, event, pair)
        elif not event.msr and event.code == ExitCode.SNP_AP_CREATION:
            self._ap(vcpu, event)
        if pair.state is State.FAILED and (event.msr, event.code) not in _PAGE_STATE:
            self._first(vcpu, event, f"failed: {pair.why}", event_name(event))

    def fault(self, fault: RmpFault) -> None:
        """An RMP fault: a point in the plot, and a milestone at the first one of each vCPU."""
        vcpu = self._seen(fault, "RMP fault")
        if vcpu is not None and fault.time is not None and "RMP fault" not in vcpu.seen:
            vcpu.seen.add("RMP fault")
            text = f"first RMP fault, at {fault.gpa:#x}"
            self.milestones.append(Milestone(fault.time, fault.vcpu, text))

    def _seen(self, event: Event | RmpFault, kind: str) -> _Vcpu | None:
        """The vCPU of an event, which is put into the plot; None where it has no time."""
        if event.time is None:
            self.untimed += 1
            return None
        if self.start is None:
            self.start, self.raw_time = event.time, event.raw_time
        self.last = max(self.last, event.time)
        number = min(event.vcpu, VCPUS - 1)
        self.points.setdefault((number, kind), Points()).add(max(event.time - self.start, 0))
        return self._vcpus.setdefault(number, _Vcpu())

    def _first(self, vcpu: _Vcpu, event: Event, what: str, of: str = "") -> None:
        """A milestone, unless this vCPU has it already (`of` whatever), or has very many."""
        if what + of in vcpu.seen or len(vcpu.seen) >= MILESTONES:
            return
        assert event.time is not None
        vcpu.seen.add(what + of)
        self.milestones.append(Milestone(event.time, event.vcpu, f"{event_name(event)}: {what}"))

    def _ap(self, vcpu: _Vcpu, event: Event) -> None:
        info = ApCreation.of(event.info1)
        what = named(info.operation, ApOperation)
        verb = what.name if isinstance(what, ApOperation) else f"operation {what:#x}"
        self._first(vcpu, event, f"{verb} for APIC ID {info.apic_id:#x}, VMPL {info.vmpl}")

    def _page_state(self, vcpu: _Vcpu, event: Event, pair: Pair) -> None:
        assert event.time is not None
        burst = vcpu.burst
        if burst is not None and event.time - burst.end > PAUSE:
            self._close(vcpu, event.vcpu)
            burst = None
        if burst is None:
            burst = vcpu.burst = _Burst(event.time, event.time, 0)
        burst.end = max(burst.end, event.time)
        burst.count += 1
        burst.failed += pair.state is State.FAILED

    def _close(self, vcpu: _Vcpu, number: int) -> None:
        burst, vcpu.burst = vcpu.burst, None
        if burst is None or (burst.count < BURST and not burst.failed) or vcpu.bursts >= BURSTS:
            return
        vcpu.bursts += 1
        failed = f", {burst.failed} failed" if burst.failed else ""
        text = f"{count_of(burst.count, 'page state change')}{failed}"
        self.milestones.append(Milestone(burst.start, number, text, burst.end))

    def finish(self) -> None:
        """After the last pair: the bursts that are still open."""
        for number, vcpu in self._vcpus.items():
            self._close(vcpu, number)
        self.milestones.sort(key=lambda milestone: (milestone.time, milestone.vcpu))

    def lines(self) -> Iterator[str]:
        """The story, a line for each milestone; times since the trace's first request."""
        start = self.start
        if start is None:
            yield "no request has a time: nothing to put in order"
            return
        for milestone in self.milestones:
            after = duration(milestone.time - start, self.raw_time)
            lasted = milestone.end - milestone.time if milestone.end else 0
            took = f", for {duration(lasted, self.raw_time)}" if lasted else ""
            yield f"+{after:<10} vCPU {milestone.vcpu:<3} {milestone.text}{took}"
        span = duration(self.last - start, self.raw_time)
        untimed = (
            f"; {count_of(self.untimed, 'request')} without a time left out" if self.untimed else ""
        )
        yield f"{count_of(len(self._vcpus), 'vCPU')}, {span} from first to last{untimed}"


def _kind(event: Event, pair: Pair) -> str:
    if pair.state is State.FAILED:
        return "failed"
    if (event.msr, event.code) in _PAGE_STATE:
        return "page state"
    if event.msr:
        return "MSR protocol"
    if event.code == ExitCode.SNP_AP_CREATION:
        return "AP creation"
    return "guest request" if event.code in _MESSAGES else "other exits"
