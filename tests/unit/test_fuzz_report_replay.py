"""The replay that a report is made of: it ends in time, and runs no code of the folder's choosing."""

import re
from pathlib import Path

import pytest

from tests.reports import campaign, page
from vmgexit.machine import program
from vmgexit.machine.commands import call
from vmgexit_fuzz.report import replay

pytestmark = pytest.mark.slow


def test_the_replay_ends_in_time(tmp_path: Path) -> None:
    seen = page(campaign(tmp_path, seeds=60), seconds=0.001)
    assert re.search(r"Until the time was up \d+ of 60 inputs", seen.text)


def test_lines_are_left_out_without_coverage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "coverage.py").write_text("raise ImportError")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    seen = page(campaign(tmp_path / "campaign", seeds=1))
    assert "Not measured: coverage.py is not installed" in seen.text
    assert "Invariants exercised" in seen.text


def test_a_replay_that_fails_is_told(tmp_path: Path) -> None:
    told = replay.replayed([tmp_path / "gone"], "scenario", "reference", 5)
    assert told.reach is None
    assert "the replay ended with status 1: FileNotFoundError" in told.why


def test_a_replay_counts_what_the_profile_answers(tmp_path: Path) -> None:
    init = {"op": "init", "cpus": 1, "reg_count": 0}
    allow = call(0, 4, 0x10E)
    path = tmp_path / "input"
    path.write_bytes(program.write([init, allow]))
    told = replay.replayed([path], "scenario", "reference", 30)
    assert told.reach is not None
    assert told.reach.calls == {(3, 4, 0x80000005): 1}
    assert {"rules/apic.py", "rules/entry.py", "rules/calls.py", "machine.py"} <= {
        file.name for file in told.files
    }
    assert all(0 <= file.passed <= file.lines for file in told.files)
    broken = replay.replayed([path], "scenario", "coconut", 30).reach
    assert broken is not None
    assert broken.broken == 1


def test_no_code_of_the_folders_choosing_runs(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    folder = campaign(
        tmp_path / "campaign", seeds=1, plant="os:abort", peer=f"touch {marker}", target="peer"
    )
    (folder / "jinja2.py").write_text("raise SystemExit")
    assert "without the planted bug" in page(folder).text
    assert not marker.exists()
