"""The contents of the page, section by section, as data. The template only knows how to draw each
shape: a block is the name of one, and what it draws.

`SECTIONS` is the table of contents. Each section is a function of the campaign and its replay, and
yields blocks. A section that has nothing to show yields one sentence that says why.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

from vmgexit.counting import count_of

from ..campaign.figures import duration
from ..campaign.statistics import Line, unseen
from . import maps
from .chart import Clock, chart
from .drawn import Drawn
from .load import Loaded
from .maps import Cell, Table
from .reach import Reach
from .replay import Replayed

Block = tuple[str, Any]  # the template's macro, and its arguments

MOST_FINDINGS = 500  # on one page
MOST_PAUSES = 20  # named


@dataclass(slots=True)
class Subject:
    """What the page is about."""

    campaign: Loaded
    replayed: Replayed | None  # None where an input is no scenario
    drawings: dict[str, Drawn] = field(default_factory=dict)  # of findings, by their names
    clock: Clock = field(init=False)

    def __post_init__(self) -> None:
        self.clock = Clock(self.campaign.lines)

    @property
    def reach(self) -> Reach:
        """Of a section that is left out where there is none."""
        assert self.replayed is not None
        assert self.replayed.reach is not None
        return self.replayed.reach


def prose(text: str) -> Block:
    """A paragraph."""
    return "prose", text


# --- head ------------------------------------------------------------------------------------------


def verdict(subject: Subject) -> str:
    """The campaign in one sentence."""
    campaign, clock = subject.campaign, subject.clock
    known = sum(found.record.known for found in campaign.findings)
    news = len(campaign.findings) - known
    inputs = campaign.status.texts()["inputs"]
    if news:
        newest = max(found.record.first for found in campaign.findings if not found.record.known)
        when = f", the newest after {duration(clock.at(newest))}" if newest and clock.lines else ""
        are = "finding is" if news == 1 else "findings are"
        return f"{news} {are} not marked as known{when} of campaign time."
    if not campaign.lines:
        return "There are no statistics, so nothing is known of how this campaign went."
    growth = _last_growth(subject)
    if known:
        all_known = "the finding is" if known == 1 else f"all {known} findings are"
        return f"Nothing new in {inputs} inputs: {all_known} marked as known; {growth}."
    return f"No finding in {inputs} inputs; {growth}."


def _last_growth(subject: Subject) -> str:
    growth = [points[-1][0] for points in _coverage(subject.campaign.lines).values()]
    if not growth:
        return "no worker measured coverage"
    clock = subject.clock
    quiet = clock.seconds - clock.at(max(growth))
    return f"coverage last grew {duration(quiet)} before the end"


_count = partial(count_of, separator=",")


def head(subject: Subject) -> Iterator[Block]:
    """The figures of the whole campaign: those of `fuzz status`, and how long it ran."""
    campaign, clock = subject.campaign, subject.clock
    lines = campaign.lines
    workers = _count(len({line.worker for line in lines}), "worker")
    words = {
        "elapsed": _runs(len(campaign.status.runs), clock),
        "inputs/s": "all workers together",
        "coverage": "the most counters that a worker reached",
        "corpus": "inputs kept, each reaching something new",
        "unseen": "share of states, of inputs from nothing",
    }
    figures = campaign.status.texts()
    yield (
        "facts",
        [
            *((name, figure, words.get(name, "")) for name, figure in figures.items()),
            ("worker time", duration(sum(line.seconds for line in lines)), workers),
        ],
    )
    if campaign.unreadable or campaign.unreadable_findings:
        yield prose(
            f"Passed over as unreadable: {_count(campaign.unreadable, 'line')} of statistics,"
            f" {_count(campaign.unreadable_findings, 'record')} of findings."
        )


def _runs(noted: int, clock: Clock) -> str:
    """In how many runs; an earlier version noted none, and long pauses tell."""
    told = f"in {_count(noted or len(clock.pauses) + 1, 'run')}"
    paused = sum(end - start for start, end in clock.pauses)
    return f"{told}; {duration(paused)} of pauses left out" if clock.pauses else told


def about(subject: Subject) -> list[tuple[str, str]]:
    """What was fuzzed, and when."""
    campaign, lines = subject.campaign, subject.campaign.lines
    told = [
        ("target", f"{campaign.target.name}: {campaign.target.invariant}"),
        ("profile", campaign.profile),
        ("planted bug", campaign.plant),
        ("peer", campaign.peer),
        ("guest", campaign.guest),
        ("folder", str(campaign.path)),
        ("created", utc(campaign.created)),
        ("ran", f"{utc(subject.clock.start)} to {utc(lines[-1].at)}" if lines else ""),
    ]
    return [(name, text) for name, text in told if text]


def utc(time: float) -> str:
    """A time since 1970 for a person; nothing for 0."""
    try:
        return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M:%S} UTC" if time else ""
    except (ValueError, OverflowError, OSError):
        return "an impossible time"


# --- how it went -----------------------------------------------------------------------------------


def course(subject: Subject) -> Iterator[Block]:
    """Coverage, findings and corpus over time."""
    lines = subject.campaign.lines
    if not lines:
        yield prose("Not measured: there are no statistics.")
        return
    start = subject.clock.start
    causes: list[tuple[float, float]] = [(start, 0)]
    corpus: list[tuple[float, float]] = []
    for line in lines:
        causes.append((line.at, max(line.causes, causes[-1][1])))
        corpus.append((line.at, line.corpus))
    drawn = [
        ("Coverage", _coverage(lines, start)),
        ("Findings", {"findings": causes}),
        ("Corpus", {"inputs": corpus}),
    ]
    yield ("charts", [chart(title, subject.clock, values) for title, values in drawn if values])
    yield prose(
        "Coverage is the most counters that any worker of a kind had reached, 0 before the first turn of"
        " that kind. Kinds count different things, so their heights are not to be compared."
    )
    if subject.clock.pauses:
        cut = [
            f"{duration(end - start)} after {duration(subject.clock.at(start))}"
            for start, end in subject.clock.pauses
        ]
        more = f" and {len(cut) - MOST_PAUSES:,} more" * (len(cut) > MOST_PAUSES)
        yield prose(
            "Upright lines are pauses, which are left out of the time:"
            f" {', '.join(cut[:MOST_PAUSES])}{more}."
        )


def _coverage(lines: list[Line], start: float = 0.0) -> dict[str, list[tuple[float, float]]]:
    """When the coverage of each kind grew, and to what; it is 0 at the start."""
    found: dict[str, list[tuple[float, float]]] = {}
    for line in lines:
        if line.coverage:
            points = found.setdefault(line.kind, [(start, 0)])
            if line.coverage > points[-1][1]:
                points.append((line.at, line.coverage))
    return dict(sorted(found.items()))


def workers(subject: Subject) -> Iterator[Block]:
    """Inputs by worker and kind."""
    groups: dict[tuple[str, str], list[Line]] = {}
    for line in subject.campaign.lines:
        groups.setdefault((str(line.worker), line.kind), []).append(line)
    if not groups:
        yield prose("Not measured: there are no statistics.")
        return
    if len({worker for worker, _ in groups}) > 1:
        for line in subject.campaign.lines:
            groups.setdefault(("all", line.kind), []).append(line)
    found = {key: _rate(group) for key, group in groups.items()}
    fastest = max(found.values()) or 1
    rows = []
    for (worker, kind), group in sorted(groups.items(), key=_by_worker):
        rate = found[worker, kind]
        rows.append(
            [
                Cell(worker),
                Cell(kind),
                Cell(duration(sum(line.seconds for line in group)), "number"),
                _number(sum(line.inputs for line in group)),
                _number(sum(line.steps for line in group)),
                _number(sum(line.restarts for line in group)),
                Cell(f"{rate:,.0f}", "number", share=100 * rate / fastest),
            ]
        )
    measured = ("time", "inputs", subject.campaign.target.steps, "restarts", "a second")
    yield "table", Table("Inputs a second of worker time", ["worker", "kind", *measured], rows)


def _by_worker(group: tuple[tuple[str, str], list[Line]]) -> tuple[bool, int, str]:
    (worker, kind), lines = group
    return worker == "all", lines[0].worker if worker != "all" else 0, kind


def _rate(lines: list[Line]) -> float:
    seconds = sum(line.seconds for line in lines)
    return sum(line.inputs for line in lines) / seconds if seconds else 0.0


def _number(value: int) -> Cell:
    return Cell(f"{value:,}", "number")


def unseen_share(subject: Subject) -> Iterator[Block]:
    """What inputs from nothing would still reach that none reached yet."""
    lines = subject.campaign.lines
    estimate = unseen(lines)
    if estimate is None:
        yield ("facts", [("unseen share", "not measured", "no random worker counted states")])
    else:
        share, samples = estimate
        alone = max(lines, key=lambda line: line.samples).singletons
        yield (
            "facts",
            [
                ("unseen share", _percent(share), f"n = {samples:,} inputs from nothing"),
                (
                    "new states to expect of the next",
                    f"{alone / max(samples, 1):.3g}",
                    f"{alone:,} states were reached by one input alone",
                ),
            ],
        )
    yield prose(
        "The share of what inputs from nothing reach that none of them reached so far, as Good and"
        " Turing estimate it: states that one input alone reached, over all that inputs reached, each"
        " state counted once for each input. Over the number of inputs n the same states say how many"
        " new ones are to be expected of the next input. I. J. Good, The population frequencies of"
        " species and the estimation of population parameters, Biometrika 1953; for fuzzing M. Böhme,"
        " STADS: software testing as species discovery, TOSEM 2018. Both hold for inputs drawn"
        " independently. Those of coverage-guided workers are not, which biases the estimate"
        " (M. Böhme, D. Liyanage, V. Wüstholz, Estimating residual risk in greybox fuzzing, ESEC/FSE"
        " 2021), so it is taken from the random worker only; it says nothing of what such inputs cannot"
        " reach."
    )


def _percent(share: float) -> str:
    share = min(share, 1.0)
    return f"{100 * share:.{2 if share < 0.1 else 1}f} %"


# --- findings --------------------------------------------------------------------------------------


def findings(subject: Subject) -> Iterator[Block]:
    """Every finding, those not marked as known first."""
    campaign = subject.campaign
    if not campaign.findings:
        yield prose("None.")
        return
    yield prose(
        "Findings not marked as known come first, the newest of them at the top. Each is one cause."
    )
    folder = shlex.quote(str(campaign.path))
    yield (
        "findings",
        [
            (
                found,
                f"vmgexit fuzz replay {shlex.quote(found.record.id)} --dir {folder}",
                subject.drawings.get(found.record.id),
            )
            for found in campaign.findings[:MOST_FINDINGS]
        ],
    )
    left = len(campaign.findings) - MOST_FINDINGS
    if left > 0:
        yield prose(f"{left:,} more are left out: vmgexit fuzz triage --dir {folder} lists them.")


# --- what the corpus reaches -----------------------------------------------------------------------


def reached(subject: Subject) -> Iterator[Block]:
    """Calls and registers by what they answered; or why nothing is known of what was reached."""
    campaign, replay = subject.campaign, subject.replayed
    if replay is None:
        yield prose(
            f"Left out, with invariants, races and lines: an input of {campaign.target.name} is no"
            " scenario."
        )
        return
    reach = replay.reach
    if reach is None:
        yield prose(f"Not measured: {replay.why}.")
        return
    part = "All" if reach.inputs == replay.found else "Until the time was up"
    broken = f", {reach.broken:,} of which ended where they broke an invariant" * bool(reach.broken)
    planted = " without the planted bug" if campaign.plant else ""
    yield prose(
        f"{part} {reach.inputs:,} of {replay.found:,} inputs of the corpus were replayed on the machine"
        f" of profile {campaign.profile}{planted}{broken}: {reach.steps:,} commands. So were those of"
        " the sections on invariants, races and lines."
    )
    tables = {
        "answers of calls": maps.calls(reach),
        "outcomes of registers": maps.registers(reach),
        "invariants exercised": maps.invariants(reach),
        "races with an entry": maps.races(reach),
    }
    scores = {name: table.score for name, table in tables.items()}
    if replay.files:
        passed, lines = sum(f.passed for f in replay.files), sum(f.lines for f in replay.files)
        scores["lines of the machine"] = passed, lines
    yield (
        "facts",
        [
            (name, _percent(part / whole), f"{part:,} of {whole:,}")
            for name, (part, whole) in scores.items()
        ],
    )
    yield "legend", LEGEND
    yield "table", tables["answers of calls"]
    yield "table", tables["outcomes of registers"]


LEGEND = (
    ("heat h3", "420", "reached, so often"),
    ("gap", "0", "never, though the oracle of INV-9 answers so to some request"),
    ("none", "-", "in the wire table, but never here: the machine has no guest memory, no vTPM"),
)
"""How cells of the protocol's tables look, and what they mean."""


def invariants(subject: Subject) -> Iterator[Block]:
    """How often each invariant had something to check."""
    yield prose(
        "A step exercises an invariant when it gives it something to check: something to compare that"
        " could have been wrong; the last column says when that is. Steps after the one that breaks an"
        " invariant are not run. A campaign says nothing of an invariant that was never exercised."
    )
    yield "table", maps.invariants(subject.reach)


def races(subject: Subject) -> Iterator[Block]:
    """What came between the steps of an entry."""
    yield prose(
        "How often what stands above a column came while an entry of the guest was under way and the"
        " step at the left was its next. The SVSM looks at NoFurtherSignal in test_signal and leaves in"
        " vmgexit: what comes before vmgexit is inside the switch window. The first columns are single"
        " accesses of a post; a whole post is one that the entry did not divide; a late post is one in"
        " the window of an entry that is otherwise not divided."
    )
    yield "table", maps.races(subject.reach)


def code(subject: Subject) -> Iterator[Block]:
    """Lines of the machine that the replay passed."""
    replay = subject.replayed
    assert replay is not None
    if replay.why_no_lines:
        yield prose(f"Not measured: {replay.why_no_lines}.")
        return
    files = [file for file in replay.files if file.lines]
    yield prose(
        "Lines of the reference that the replay passes, imports included. Those of quirks that the"
        " profile does not have stay missing; program.py and scenario.py also write and show."
    )
    table = Table(
        f"{sum(file.passed for file in files):,} of {sum(file.lines for file in files):,} lines passed",
        ["file", "lines", "passed", "share", "missing"],
        [
            [
                Cell(file.name, "code"),
                _number(file.lines),
                _number(file.passed),
                _share(100 * file.passed / file.lines),
                Cell(_count(file.lines - file.passed, "line"), more=file.missing),
            ]
            for file in files
        ],
    )
    yield "table", table


def _share(share: float) -> Cell:
    return Cell(f"{share:.1f} %", "number", share=share)


def logs(subject: Subject) -> Iterator[Block]:
    """The end of what the workers said."""
    said = [(name, text) for name, text in subject.campaign.logs if text.strip()]
    if said:
        yield ("texts", said)
    else:
        yield prose("The workers said nothing.")


@dataclass(frozen=True, slots=True)
class Section:
    """One section. `anchor` is its place in the page. One that `needs_replay` is left out where there is
    none."""

    anchor: str
    title: str
    fill: Callable[[Subject], Iterator[Block]]
    needs_replay: bool = False


SECTIONS = (
    Section("course", "Over time", course),
    Section("findings", "Findings", findings),
    Section("reached", "Protocol coverage", reached),
    Section("invariants", "Invariants exercised", invariants, needs_replay=True),
    Section("races", "Races in the switch window", races, needs_replay=True),
    Section("unseen", "What random inputs have not seen", unseen_share),
    Section("workers", "Workers", workers),
    Section("lines", "Lines of the reference", code, needs_replay=True),
    Section("logs", "Logs", logs),
)


def sections(subject: Subject) -> Iterator[tuple[Section, list[Block]]]:
    """The sections that have something to say; `reached` says why others have not."""
    is_replayed = subject.replayed is not None and subject.replayed.reach is not None
    for section in SECTIONS:
        if is_replayed or not section.needs_replay:
            yield section, list(section.fill(subject))
