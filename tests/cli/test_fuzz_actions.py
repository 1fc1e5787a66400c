"""What a person does with a campaign's folder: status, triage, replay by ID, minimize, merge, export."""

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.checkout import VMGEXIT, complaint
from vmgexit.cli import main
from vmgexit.wire.calls import calls
from vmgexit_fuzz.campaign.findings import records
from vmgexit_fuzz.cli import report

CAMPAIGN = ".vmgexit/scenario-coconut"

pytestmark = [pytest.mark.needs("atheris"), pytest.mark.slow]


def fuzz(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return vmgexit(folder, "fuzz", *words)


def exported(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return vmgexit(folder, "export", *words)


def vmgexit(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [VMGEXIT, *words],
        cwd=folder,
        env=os.environ | {"PWD": str(folder), "COLUMNS": "300"},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("campaign")
    run = fuzz(folder, "run", "scenario", "--profile", "coconut", "--time", "6", "--seed", "1")
    assert run.returncode == 1, run.stderr
    (folder / ".vmgexit" / "said").write_text(run.stdout)
    return folder


@pytest.fixture
def here(once: Path, tmp_path: Path) -> Path:
    """A folder with a campaign of its own."""
    shutil.copytree(once / ".vmgexit", tmp_path / ".vmgexit")
    return tmp_path


def ids(here: Path) -> list[str]:
    return [record.id for record in records(here / CAMPAIGN / "findings")]


def test_status_is_plain_where_there_is_no_terminal(here: Path) -> None:
    status = fuzz(here, "status")
    assert status.returncode == 0, status.stderr
    facts = dict(re.findall(r"^(\S+(?: new)?) {2,}(\S.*?) *$", status.stdout, re.MULTILINE))
    assert facts["campaign"] == CAMPAIGN
    assert facts["state"] == "not running"
    assert facts["findings"] == str(len(ids(here)))
    assert re.fullmatch(r"\d+\.\d\d% of [\d,]+", facts["unseen"])
    assert int(facts["inputs"].replace(",", "")) > 10
    assert "\x1b" not in status.stdout
    assert "worker  kind" in status.stdout
    # Two campaigns: a row each, and no workers.
    shutil.copytree(here / CAMPAIGN, here / ".vmgexit" / "another")
    status = fuzz(here, "status")
    assert re.search(r"^\.vmgexit/another .* not running *$", status.stdout, re.MULTILINE)
    assert "worker  kind" not in status.stdout


def test_run_status_and_report_have_the_same_figures(here: Path) -> None:
    said = (here / ".vmgexit" / "said").read_text()
    told = re.search(
        r"^scenario: (.*): (.*) inputs \((.*)/s\), (.*) commands \((.*)/s\), (.*) findings,"
        r"(?: coverage (.*),)? corpus (.*)$",
        said,
        re.MULTILINE,
    )
    assert told is not None, said
    figures = [figure or "0" for figure in told.groups()]
    names = (
        "elapsed",
        "inputs",
        "inputs/s",
        "commands",
        "commands/s",
        "findings",
        "coverage",
        "corpus",
    )
    status = fuzz(here, "status").stdout
    assert " \n" not in status + fuzz(here, "triage").stdout
    facts = dict(re.findall(r"^(\S+) {2,}(\S.*?) *$", status, re.MULTILINE))
    assert [facts[name] for name in names] == figures
    assert re.search(r"^last find +\d.* ago *$", status, re.MULTILINE)
    assert fuzz(here, "report", "-o", "page.html").returncode == 0
    page = " ".join(re.sub("<[^>]*>", " ", (here / "page.html").read_text()).split())
    for name, figure in zip(names, figures, strict=True):
        assert f" {name} {figure} " in page
    # What was found, once each, and what to do next, word for word.
    assert len(re.findall("^finding: ", said, re.MULTILINE)) == int(facts["findings"])
    assert len(re.findall("^new: ", said, re.MULTILINE)) == int(facts["findings"])
    for following in re.findall("^next: (.*)$", said, re.MULTILINE):
        run = subprocess.run(["sh", "-c", following], cwd=here, capture_output=True)
        assert run.returncode == (1 if " replay " in following else 0)


def test_a_report_that_is_watched_follows_the_campaign(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is written while the campaign runs, asks browsers to read it again, and once more at the end."""
    running = iter(["77", "77"])  # for who asks, and for what the page says
    monkeypatch.setattr("vmgexit_fuzz.campaign.status._process", lambda _: next(running, ""))
    pages: list[str] = []
    monkeypatch.setattr(report, "WATCH_SECONDS", 3)
    clock = SimpleNamespace(sleep=lambda _: pages.append((here / "page.html").read_text()))
    monkeypatch.setattr(report, "time", clock)
    words = [
        "fuzz",
        "report",
        "--watch",
        "--dir",
        str(here / CAMPAIGN),
        "-o",
        str(here / "page.html"),
    ]
    assert main(words) == 0
    refresh = '<meta http-equiv="refresh" content="3">'
    assert [refresh in page for page in pages] == [True]
    assert refresh not in (here / "page.html").read_text()


def test_status_is_live_on_a_terminal(here: Path) -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [VMGEXIT, "fuzz", "status"], cwd=here, stdin=theirs, stdout=theirs, stderr=theirs
    ) as status:
        os.close(theirs)
        shown = ""
        while shown.count("not running") < 2:
            shown += os.read(ours, 1 << 16).decode()
        status.send_signal(signal.SIGINT)
        assert status.wait(20) == 0
    os.close(ours)
    assert shown.count("not running") >= 2
    assert "Traceback" not in shown


def test_triage_lists_marks_and_shows(here: Path) -> None:
    table = fuzz(here, "triage")
    assert table.returncode == 0, table.stderr
    lines = table.stdout.splitlines()
    assert len(lines) == len(ids(here)) + 1
    assert {line.split()[0] for line in lines[1:]} == set(ids(here))
    known = "scenario-inv-7-call"
    assert fuzz(here, "triage", known, "--known").stdout == f"{known}: known\n"
    assert re.search(rf"{known} .* known +INV-7 ", fuzz(here, "triage").stdout)
    shown = fuzz(here, "triage", known, "--show").stdout
    assert shown.startswith(f"{known}\nINV-7 at call")
    assert "->" in shown
    assert "before: vCPU" in shown
    assert fuzz(here, "triage", known, "--unknown").stdout == f"{known}: not known\n"


def test_what_is_marked_as_known_is_quiet_and_hides_nothing_else(here: Path) -> None:
    assert fuzz(here, "triage", *ids(here), "--known").returncode == 0
    before = {record.cause: record.count for record in records(here / CAMPAIGN / "findings")}
    words = ("run", "scenario", "--profile", "coconut", "--seed", "9", "--runs", "400")
    run = fuzz(here, *words)
    news = re.findall(r"^finding: ", run.stdout, re.MULTILINE)
    assert run.returncode == (1 if news else 0)
    assert "seen before" not in run.stdout
    after = {record.cause: record.count for record in records(here / CAMPAIGN / "findings")}
    assert sum(after.values()) > sum(before.values())

    # Another cause is told, in a folder where all others are known.
    victim = next(name for name in ids(here) if name.startswith("scenario-inv-9-call-3-4"))
    for path in (here / CAMPAIGN / "findings").glob(f"{victim}.*"):
        path.unlink()
    run = fuzz(here, *words)
    assert run.returncode == 1
    assert "finding: INV-9 at call 3.4" in run.stdout


def test_replay_by_id_needs_no_options(here: Path) -> None:
    for words in (["scenario-inv-7-call"], ["scenario-inv-7-c", "--dir", CAMPAIGN]):
        replay = fuzz(here, "replay", *words)
        assert replay.returncode == 1, replay.stderr
        assert "INV-7 at call of vCPU" in replay.stdout
    reference = fuzz(here, "replay", "scenario-inv-7-call", "--profile", "reference")
    assert reference.returncode == 0
    assert reference.stdout == "1 input, 0 findings\n"
    folder = fuzz(here, "replay", f"{CAMPAIGN}/findings")
    assert folder.returncode == 1
    count = len(ids(here))
    assert folder.stdout.endswith(f"{count} inputs, {count} findings\n")


def test_minimize_shortens_a_finding_in_its_store(here: Path) -> None:
    name = "scenario-inv-7-call"
    path = here / CAMPAIGN / "findings" / f"{name}.bin"
    short = path.read_bytes()
    blown_up = short[:36] + (b"\x0b" + bytes(35)) * 9 + short[36:]  # as many `state` commands
    path.write_bytes(blown_up)
    record = path.with_suffix(".json")
    record.write_text(json.dumps(json.loads(record.read_text()) | {"size": len(blown_up)}))
    done = fuzz(here, "minimize", name)
    assert done.returncode == 0, done.stderr
    [left] = map(int, re.findall(rf"{len(blown_up)} bytes, (\d+) now", done.stdout))
    assert left <= len(short)  # without a campaign's limits it may do better
    assert len(path.read_bytes()) == left
    assert json.loads(record.read_text())["size"] == left
    nothing = fuzz(here, "minimize", name, "--profile", "reference")
    assert nothing.returncode == 2
    assert nothing.stderr.endswith("no finding, one to be shortened expected\n")


def test_exports_run_elsewhere(here: Path) -> None:
    test = here / "test_found.py"
    assert exported(here, "pytest", "-o", str(test)).returncode == 0
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(test)]
    run = subprocess.run(words, cwd=here, capture_output=True, text=True, timeout=60)
    assert f"{len(ids(here))} failed" in run.stdout, run.stdout + run.stderr
    # Each passes once it is fixed: as on the reference.
    test.write_text(test.read_text().replace('"coconut"', '"reference"'))
    run = subprocess.run(words, cwd=here, capture_output=True, text=True, timeout=60)
    assert f"{len(ids(here))} passed" in run.stdout, run.stdout + run.stderr

    found = here / "found.jsonl"
    assert exported(here, "jsonl", "-o", str(found)).returncode == 0
    lines = found.read_text().splitlines()
    assert [json.loads(line)["finding"]["id"] for line in lines] == ids(here)
    replay = subprocess.run(
        [VMGEXIT, "replay", "--invariants", "--profile", "coconut", str(found)],
        capture_output=True,
        text=True,
    )
    assert replay.returncode == 1
    assert replay.stdout.count("INV-") >= len(lines)


def test_a_campaign_is_exported_whole_or_by_a_findings_id(here: Path) -> None:
    inputs = list((here / CAMPAIGN / "corpus").iterdir())
    out = here / "out"
    run = exported(here, "c", CAMPAIGN, "-o", str(out))
    assert run.returncode == 0, run.stderr
    told = re.search(r"out: (\d+) cases in \d+ files\n$", run.stderr)
    assert told is not None, run.stderr
    # An input that means nothing has no commands.
    assert len(ids(here)) < int(told[1]) <= len(ids(here)) + len(inputs)
    name = ids(here)[0].replace("-", "_")
    assert f"test_{name}[] = {{" in (out / "exported.c").read_text()
    run = exported(here, "raw", ids(here)[0], "-o", str(here / "raw"))
    assert run.returncode == 0, run.stderr
    assert {path.name for path in (here / "raw").iterdir()} <= {
        *(call.name for call in calls()),
        "doorbell-head",
        "other",
    }
    assert "a scenario of an SVSM found" in exported(here, "kselftest", CAMPAIGN, "-o", "k").stderr


def test_merge_keeps_what_it_takes(here: Path) -> None:
    corpus = here / CAMPAIGN / "corpus"
    other = here / "other"
    shutil.copytree(corpus, other)
    first = sorted(corpus.iterdir())
    for path in first[::2]:
        path.unlink()
    merged = fuzz(here, "merge", "other")
    assert merged.returncode == 0, merged.stderr
    after, before = map(int, re.findall(r"(\d+) inputs of (\d+)", merged.stdout)[0])
    assert before == len(first) - len(first[::2]) + len(first)
    assert 0 < after < before
    assert after == len(list(corpus.iterdir()))
    # Once more, there is nothing left to leave out.
    assert f"{after} inputs of {after}" in fuzz(here, "merge").stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["triage", "x"], "x: no such finding; there are scenario-inv-"),
        (["triage", "scenario-inv"], "scenario-inv: not the start of one finding only"),
        (["triage", "--known"], "--known and --unknown need the findings' IDs"),
        (["triage", "--dir", "nowhere"], "nowhere: no campaign: a campaign.json expected"),
        (["status", "--dir", "nowhere"], "nowhere: no campaign: a campaign.json expected"),
        (["merge", "nowhere"], "nowhere: no folder"),
        (["replay", "scenario-inv-0"], "no such file, and no finding of that ID"),
        (["run", "scenario", "--dir", CAMPAIGN], "a campaign with profile coconut found, refer"),
        (["run", "codec", "--workers", "0"], "0 is below 1"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(here: Path, words: list[str], told: str) -> None:
    assert told in complaint(fuzz(here, *words))


def test_no_campaigns_at_all(tmp_path: Path) -> None:
    for action in ("status", "triage", "merge"):
        assert ".vmgexit" in complaint(fuzz(tmp_path, action))


def test_the_newest_of_several_campaigns_is_taken_and_named(here: Path) -> None:
    first = ids(here)[0]
    shutil.copytree(here / CAMPAIGN, here / ".vmgexit" / "older")
    os.utime(here / ".vmgexit" / "older" / "lock", (1, 1))
    named = f"{CAMPAIGN}: the newest campaign; --dir names another: .vmgexit/older\n"
    triage = fuzz(here, "triage")
    assert (triage.returncode, triage.stderr) == (0, named)
    replay = fuzz(here, "replay", first)
    assert (replay.returncode, replay.stderr) == (1, named)
    assert replay.stdout.startswith(f"{CAMPAIGN}/findings/{first}.bin: ")
    report = fuzz(here, "report")
    assert (report.stdout, report.stderr) == (f"{CAMPAIGN}/report.html\n", named)
    os.utime(here / CAMPAIGN / "lock", (0, 0))
    assert fuzz(here, "triage").stderr.startswith(".vmgexit/older: the newest campaign")
