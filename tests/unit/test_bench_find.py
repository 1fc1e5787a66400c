"""The bench of campaigns: what is compared, how trials take turns, what the report says of them."""

import json
import math
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.campaigns import baselines, find
from tests.campaigns.__main__ import main
from tests.campaigns.cases import LEFT_OUT, QUICK, Case, cases
from tests.campaigns.methods import METHODS
from tests.campaigns.planted import bugs
from tests.campaigns.report import Bench
from tests.campaigns.schedule import make, trials
from tests.campaigns.score import Score, late, worse
from tests.campaigns.trial import Trial, TrialOutcome
from vmgexit.errors import UsageError
from vmgexit.hosts import quirks as host_quirks
from vmgexit.machine import quirks

pytestmark = pytest.mark.slow

needs_atheris = pytest.mark.needs("atheris")

ROOT = Path(__file__).parents[2]
ROW = Case("row", "scenario", profile="ppr-keeps-low-nibble")


def found(seconds: float, inputs: int = 10, size: int = 0) -> TrialOutcome:
    return TrialOutcome(True, seconds, inputs, "INV-1 enter", size)


def score(*seconds: float) -> Score:
    """Trials that took so long; those of more than 20 s found nothing."""
    return Score(tuple(TrialOutcome(s <= 20, min(s, 20), int(1000 * s)) for s in seconds))


def test_every_quirk_and_every_planted_bug_is_a_case() -> None:
    all_quirks = {*quirks.names(), *host_quirks.names()}
    assert set(cases()) == (all_quirks | set(bugs())) - set(LEFT_OUT)
    assert set(QUICK) <= set(cases())


def test_a_trial_is_read_as_it_was_spelled() -> None:
    trial = Trial("random", ROW, 3, 0.5)
    assert Trial.read(trial.spelled()) == trial


def test_each_method_comes_first_in_turn() -> None:
    some = Bench({"a": ROW, "b": ROW}, ["one", "two", "three"], 2, 1, 1)
    order = [(trial.seed, trial.method) for trial in trials(some)]
    assert len(order) == 12
    assert [method for seed, method in order if seed == 1] == [
        *("two", "three", "one"),
        *("three", "one", "two"),
    ]
    assert order[6] == (2, "three")


def test_a_trial_without_a_finding_is_longer_than_any() -> None:
    assert score(1, 2, 30).median == 2
    assert math.isinf(score(1, 30).median)
    assert score(1, 30).found == 1


def test_what_is_worse_and_what_is_late() -> None:
    scores = {
        "equal": {"campaign": score(1), "random": score(1), "atheris": score(9)},
        "worse": {"campaign": score(4), "random": score(2), "atheris": score(9)},
        "lost": {"campaign": score(30), "random": score(9), "atheris": score(3)},
        "hard": {"campaign": score(3), "random": score(30), "atheris": score(30)},
        "never": {"campaign": score(30), "random": score(30), "atheris": score(30)},
    }
    both = ("random", "atheris")
    assert list(worse(scores, both)) == [
        ("lost", math.inf, "atheris", 3),
        ("worse", 4, "random", 2),
    ]
    assert list(worse(scores, ["bursts"])) == []
    assert list(late(scores, "bursts")) == []
    assert list(late(scores, "random")) == [
        ("lost", math.inf, 9),
        ("hard", 3, math.inf),
        ("never", math.inf, math.inf),
    ]


def test_the_report_says_what_was_found() -> None:
    some = Bench({"row": ROW}, ["campaign", "random"], 2, 20, 1)
    for seed, ours in enumerate((found(1.5, 100, 4), found(2.5, 300, 16)), 1):
        some.outcomes.append((Trial("campaign", ROW, seed, 20), ours))
        some.outcomes.append((Trial("random", ROW, seed, 20), TrialOutcome(False, 20, 9000)))
    assert "| row | 2/2: 2.00 s (1.50 to 2.50), 300 runs | 0/2: > 20 s" in some.markdown()
    assert "| 4 commands |" in some.markdown()
    assert "- row: 2.00 s, random > 20 s, at most 0.1 times" in some.markdown()
    assert "of the best baseline on 0 of 1:" in some.markdown()
    assert "bursts" not in some.markdown()
    assert LEFT_OUT["level-vector-zero"] in some.markdown()
    held = json.loads(some.as_json())
    assert len(held["trials"]) == 4
    assert held["trials"][1]["inputs"] == 9000


def test_a_part_that_does_better_alone_is_told() -> None:
    some = Bench({"row": ROW}, ["campaign", "random", "bursts"], 1, 20, 1)
    for name, seconds in ("campaign", 3), ("random", 15), ("bursts", 1):
        some.outcomes.append((Trial(name, ROW, 1, 20), found(seconds)))
    assert "of the best baseline on 0 of 1:" in some.markdown()
    assert "of the best of our parts alone on 1 of 1:\n- row: 3.00 s, bursts 1.00 s, 3 times" in (
        some.markdown()
    )


def test_a_trial_that_fails_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    broken = Case("broken", "scenario", plant="tests.campaigns.planted.machine:no_such_bug")
    some = Bench({"broken": broken}, ["random"], 1, 1, 1)
    assert not make(some)
    assert some.outcomes == []
    [message] = some.failed
    assert message.startswith("random on broken, seed 1: ended with code 2: ")
    assert "no_such_bug" in capsys.readouterr().out
    assert f"- {message}" in some.markdown()


@pytest.mark.parametrize("name", ["random", "hypothesis"])
def test_baselines_find_an_easy_bug_and_end_in_time(name: str) -> None:
    easy = Case("easy", "scenario", profile="self-ipi-below-16")
    with_bug = METHODS[name].run(Trial(name, easy, 1, 60))
    assert with_bug.found
    assert with_bug.cause.startswith("INV-9 ")
    without = METHODS[name].run(Trial(name, Case("none", "scenario"), 1, 0.3))
    assert not without.found
    assert 0.3 <= without.seconds < 5
    assert without.inputs > 0


def test_hypothesis_gives_bytes_to_other_targets() -> None:
    assert baselines.hypothesis(Trial("hypothesis", Case("none", "codec"), 1, 0.2)).inputs > 0


@needs_atheris
def test_a_quick_bench_is_written_down(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--quick", "--bugs", "ldr-not-readable", "--budget", "20", "-o", str(tmp_path)]
    assert main(words) == 0
    told = capsys.readouterr().out
    assert "ldr-not-readable" in told
    held = json.loads((tmp_path / "bench.json").read_text())
    assert [trial["found"] for trial in held["trials"]] == [True, True]
    assert max(trial["size"] for trial in held["trials"]) == 2
    assert "ldr-not-readable" in (tmp_path / "bench.md").read_text()


def test_names_that_there_are_not_are_told_with_those_there_are() -> None:
    with pytest.raises(UsageError, match="unknown bug x; there are handoff-drops-vector-31, "):
        find.run(bugs=["x"])
    with pytest.raises(UsageError, match="unknown method x; there are campaign, random, "):
        find.run(methods=["x"])


def test_ctrl_c_ends_with_what_there_is(tmp_path: Path) -> None:
    words = ["--bugs", "switch-window-unchecked", "--methods", "atheris,random"]
    words += ["--budget", "600", "-o", str(tmp_path)]
    with subprocess.Popen(
        [sys.executable, "-m", "tests.campaigns", *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        time.sleep(3)
        process.send_signal(signal.SIGINT)
        told, _ = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "random: " in told
    assert len(json.loads((tmp_path / "bench.json").read_text())["trials"]) < 10
