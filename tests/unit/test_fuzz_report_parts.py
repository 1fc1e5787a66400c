"""The parts of a report: texts, pauses, charts and their axes."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.reports import campaign, statistics
from vmgexit_fuzz.campaign.figures import duration
from vmgexit_fuzz.campaign.statistics import Line
from vmgexit_fuzz.report.chart import Clock, chart, nice_step
from vmgexit_fuzz.report.load import load
from vmgexit_fuzz.report.sections import Subject, course, head
from vmgexit_fuzz.report.text import decoded, one_line, visible


def test_text_is_made_visible() -> None:
    assert visible("a\x1b\u202e\ud800\x00\n\té") == "a\\x1b\\u202e\\ud800\\x00\n\té"
    assert visible(3) == 3
    assert one_line("a\n\tb") == "a\\n\\tb"
    assert decoded(b"\xff\xc3\xa9") == "\\xffé"


def line(at: float, **more: Any) -> Line:
    return Line(at, 0, "state", 2.0, 1, 1, 0, 0, 0, 0, **more)


def test_pauses_are_cut_out_of_the_time() -> None:
    clock = Clock([line(102), line(104), line(1002), line(1004)])
    assert (clock.start, clock.seconds) == (100, 8)
    assert clock.pauses == [(104, 1000)]
    assert [clock.at(at) for at in (0, 100, 103, 500, 1001, 1004)] == [0, 0, 3, 4, 5, 8]
    assert clock.share(1004) == 100
    assert Clock([]).share(5) == 0


def test_a_chart_is_steps() -> None:
    clock = Clock([line(102), line(104), line(106), line(108)])
    drawn = chart("Findings", clock, {"findings": [(102, 0), (104, 3), (106, 3), (108, 10)]})
    assert [tick.text for tick in drawn.up] == ["0", "2", "4", "6", "8", "10"]
    assert [(tick.at, tick.text) for tick in drawn.across][-1] == (100, "8 s")
    assert drawn.series[0].path == "M250 1000H500V700H1000V0H1000"
    assert drawn.summary == "Findings over 8 s: findings ends at 10"


def test_the_coverage_of_a_kind_whose_turn_comes_late_is_drawn_from_the_start(
    tmp_path: Path,
) -> None:
    folder = campaign(tmp_path)
    (folder / "statistics" / "0.jsonl").unlink()
    told = [each | {"restarts": 700} for each in statistics(1, "")]
    told[0] |= {"kind": "random", "coverage": 0}
    text = "".join(json.dumps(each) + "\n" for each in told)
    (folder / "statistics" / "1.jsonl").write_text(text)
    subject = Subject(load(folder), None)
    kinds = dict(course(subject))["charts"][0].series
    # Lines of two seconds each, 40 in all: 0 until the second one ends, at a tenth of the width.
    assert [(series.name, series.path[:13]) for series in kinds] == [("state", "M0 1000H100V6")]
    facts = dict(head(subject))["facts"]
    assert {("restarts", "14,000", ""), ("worker time", "40 s", "1 worker")} <= set(facts)


@pytest.mark.parametrize(
    ("most", "step"), [(0, 1), (5, 1), (6, 2), (21, 5), (1522, 500), (9e6, 2e6)]
)
def test_axes_have_round_steps(most: float, step: float) -> None:
    assert nice_step(most) == step


def test_durations() -> None:
    told = {0: "0 s", 59.6: "1 min", 61: "1 min 1 s", 3600: "1 h", 90061: "1 d 1 h"}
    assert {seconds: duration(seconds) for seconds in told} == told
