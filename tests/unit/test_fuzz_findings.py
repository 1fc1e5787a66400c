"""Findings on disk, the counter that makes them, and how they are told."""

import io
import json
import time
from pathlib import Path
from typing import Any

import pytest

from vmgexit.errors import VmgexitError
from vmgexit.machine import program
from vmgexit.machine.scenario import sequences
from vmgexit_fuzz.campaign.findings import Store, records, slug, target_of
from vmgexit_fuzz.campaign.folder import Directory
from vmgexit_fuzz.campaign.screen import PLAIN_SECONDS, Progress, Screen, command
from vmgexit_fuzz.campaign.workers import Campaign, Settings
from vmgexit_fuzz.cli import replay, triage
from vmgexit_fuzz.cli.options import usual_folder
from vmgexit_fuzz.process import child, minimize
from vmgexit_fuzz.process.child import Counter, Order
from vmgexit_fuzz.targets import USUAL, Conditions, Finding, Target, find
from vmgexit_fuzz.targets.codec import Codec

INIT = program.spelled({"op": "init", "cpus": 1, "reg_count": 1})
ENTER = program.spelled({"op": "enter", "cpu": 0})
FINDING = Finding("INV-9 call 3.2", "told", clause="X")


QUIRKY = Conditions(profile="ppr-keeps-low-nibble")


def quirky() -> bytes:
    """A program that breaks an invariant under those conditions."""
    folder = Path(__file__).parents[2] / "corpus" / "quirks"
    [sequence] = sequences((folder / "ppr-keeps-low-nibble.jsonl").read_bytes().splitlines())
    return program.write(sequence.commands)


ABOUT = {"target": "scenario", "profile": "reference", "plant": "", "peer": ""}


def told_of(data: bytes, finding: Finding = FINDING) -> dict[str, Any]:
    target = find("scenario").open()
    return target.described(finding, data, target.read(data))


def test_a_finding_that_ended_its_process_was_met_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record, _ = Store(tmp_path).keep(told_of(INIT + ENTER), kind="random", **ABOUT)
    triage._table([record])
    _, row = capsys.readouterr().out.splitlines()
    name, count, size, unit, *first, day, clock, _ = row.split(maxsplit=8)
    assert (name, count, size, unit) == ("scenario-inv-9-call-3-2", "1", "2", "commands")
    assert first == [day, clock]


def test_a_finding_is_kept_as_input_text_commands_and_record(tmp_path: Path) -> None:
    data = INIT + ENTER
    record, is_new = Store(tmp_path).keep(told_of(data), kind="random", **ABOUT)
    assert is_new
    assert record.id == "scenario-inv-9-call-3-2"
    path = tmp_path / record.id
    assert path.with_suffix(".bin").read_bytes() == data
    text = path.with_suffix(".txt").read_text().splitlines()
    assert text[0] == "told"
    assert text[1].split() == ["0", "init", "cpus=1", "reg_count=1"]
    [sequence] = sequences(path.with_suffix(".jsonl").read_bytes().splitlines())
    assert program.write(sequence.commands) == data
    kept = json.loads(path.with_suffix(".json").read_text())
    assert kept["cause"] == "INV-9 call 3.2"
    assert (kept["clause"], kept["size"], kept["commands"], kept["kind"]) == ("X", 72, 2, "random")
    assert kept["first"] == pytest.approx(time.time(), abs=60)
    assert len(list(tmp_path.iterdir())) == 4


def test_the_smallest_input_of_a_cause_is_kept(tmp_path: Path) -> None:
    kept = []
    for count in (3, 5, 2, 2, 1):
        store = Store(tmp_path)  # as a campaign that was started again
        record, is_new = store.keep(told_of(INIT + ENTER * count), kind="random", **ABOUT)
        data = (tmp_path / f"{record.id}.bin").read_bytes()
        assert store.sizes() == {"INV-9 call 3.2": len(data)}
        kept.append((is_new, len(data) // len(ENTER) - 1))
    assert kept == [(True, 3), (False, 3), (False, 2), (False, 2), (False, 1)]
    assert len((tmp_path / f"{record.id}.txt").read_text().splitlines()) == 3


def test_causes_that_look_alike_have_files_of_their_own(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for cause in ("a b", "a-b", "a/b"):
        store.keep(told_of(INIT, Finding(cause, "told")), kind="random", **ABOUT)
    assert sorted(record.id for record in Store(tmp_path).records.values()) == [
        "scenario-a-b",
        "scenario-a-b-2",
        "scenario-a-b-3",
    ]


def test_counts_and_marks_last(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.keep(told_of(INIT), kind="random", **ABOUT)
    store.count({FINDING.cause: 3, "another": 1})
    store.count({FINDING.cause: 2})
    store.mark(store.named("scenario-inv"), known=True)
    record = Store(tmp_path).named("scenario-inv-9-call-3-2")
    assert (record.count, record.known) == (5, True)
    assert record.last >= record.first
    with pytest.raises(VmgexitError, match="no such finding; there are scenario-inv-9-call-3-2"):
        store.named("x")


def test_what_is_no_record_is_passed_over(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.keep(told_of(INIT), kind="random", **ABOUT)
    for name, text in (("a", ""), ("b", "[]"), ("c", "{}"), ("d", '{"id": "x", "new": 1}')):
        (tmp_path / f"{name}.json").write_text(text)
    assert [record.cause for record in records(tmp_path)] == [FINDING.cause]


def test_a_codec_finding_has_no_commands(tmp_path: Path) -> None:
    told = find("codec").open().described(Finding("x is not lossless", "told"), b"\0\0\0", "x")
    Store(tmp_path).keep(told, kind="random", **ABOUT)
    assert {path.suffix for path in tmp_path.iterdir()} == {".bin", ".txt", ".json"}


def test_what_cannot_be_shown_is_kept_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(target: object, data: bytes) -> str:
        raise RuntimeError

    monkeypatch.setattr(Codec, "show", fails)
    assert find("codec").open().examine(b"\1\2\3") == (None, "   010203")


@pytest.mark.parametrize(
    ("cause", "name"),
    [
        ("INV-7 call", "inv-7-call"),
        ("KeyError in a.b < c._d", "keyerror-in-a-b-c-d"),
        ("../../etc/passwd", "etc-passwd"),
        ("", "unnamed"),
        ("é" * 300, "unnamed"),
        ("x" * 80, "x" * 80),
        ("x" * 300, "x" * 71 + "-0d4e2ca9"),
    ],
)
def test_any_cause_makes_a_file_name(cause: str, name: str) -> None:
    assert slug(cause) == name


def test_long_commands_that_begin_alike_have_folders_of_their_own() -> None:
    long = "/a/very/long/path/to/an/adapter" * 4
    peers = {usual_folder(find("peer"), Conditions(peer=f"{long} --{name}")) for name in "ab"}
    assert len(peers) == 2
    assert {len(path.name) for path in peers} == {len("peer-") + 80}


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/a/scenario-inv-7.bin", "scenario"),
        ("/a/.vmgexit/codec/corpus/0a1b", "codec"),
        ("/a/.vmgexit/scenario-coconut/corpus/0a1b", "scenario"),
        ("/a/codec/scenario-x", "scenario"),
        ("/a/b", ""),
    ],
)
def test_the_target_of_an_input(path: str, target: str) -> None:
    assert target_of(Path(path)) == target


class Ended(Exception):
    """In place of the end of the process."""


def counter(
    monkeypatch: pytest.MonkeyPatch,
    *,
    runs: int | None = None,
    known: dict[str, int] | None = None,
    conditions: Conditions = USUAL,
    first: float = 1000.0,
) -> tuple[Counter, io.StringIO]:
    def ended(code: int) -> None:
        raise Ended(code)

    monkeypatch.setattr("os._exit", ended)
    monkeypatch.setattr(child, "FIRST_REPORT_SECONDS", first)
    log = io.StringIO()
    order = Order("scenario", "probes", runs=runs, known=known or {})
    counting = Counter(find("scenario").open(conditions), log, order)
    counting.start()
    return counting, log


def told(log: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.getvalue().splitlines()]


def test_a_cause_is_told_once_and_its_smaller_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    data = quirky()
    # Minimising has tests of its own.
    monkeypatch.setattr(minimize, "minimized", lambda target, data, cause, until: data)
    counting, log = counter(monkeypatch, conditions=QUIRKY)
    one = counting.counting()
    for more in (2, 2, 0, 1):
        one(data + ENTER * more)
    lines = [line for line in told(log) if "finding" in line]  # a slow machine tells counts between
    findings = [line["finding"] for line in lines]
    assert [finding["cause"] for finding in findings] == ["INV-6 read PPR"] * 2
    assert [finding["clause"] for finding in findings] == ["INV-6"] * 2
    assert [bytes.fromhex(finding["data"]) for finding in findings] == [data + ENTER * 2, data]
    assert lines[0]["inputs"] == 1
    assert counting.counts == {"INV-6 read PPR": 4}
    assert counting.steps == 4 * 6  # the last of its 6 commands breaks the invariant

    # Another process of the campaign is told what is kept already.
    counting, log = counter(monkeypatch, known={"INV-6 read PPR": len(data)}, conditions=QUIRKY)
    counting.one(data)
    assert told(log) == []
    counting.tell_counts()
    assert told(log) == [{"inputs": 1, "steps": 6, "counts": {"INV-6 read PPR": 1}}]


def test_one_run_of_the_minimised_input_says_all_that_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runs = []

    class Fails(Target):
        def run(self, data: bytes) -> int:
            runs.append(data)
            raise Finding("cause", f"{len(data)} bytes")

        def read(self, data: bytes) -> str:
            return f"   {data.hex()}"

    monkeypatch.setattr(minimize, "minimized", lambda target, data, cause, until: data[:2])
    log = io.StringIO()
    Counter(Fails(find("codec"), USUAL), log, Order("codec", "probes")).one(INIT)
    assert runs == [INIT, INIT[:2]]
    draft, line = told(log)
    assert draft["draft"]["message"] == f"{len(INIT)} bytes"  # told before it is shortened
    assert draft["draft"]["text"] == f"{len(INIT)} bytes\n   {INIT.hex()}"
    assert line["finding"]["message"] == "2 bytes"
    assert line["finding"]["text"] == f"2 bytes\n   {INIT[:2].hex()}"


@pytest.mark.parametrize("fast", [False, True])
def test_the_counter_ends_with_the_last_run(fast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    # A look costs nothing here, so they become as rare as they may.
    for runs in (1, 2, 100, 3 * child.MOST_BETWEEN_LOOKS):
        counting, log = counter(monkeypatch, runs=runs)
        one = counting.counting() if fast else counting.one
        for _ in range(runs - 1):
            one(INIT)
        with pytest.raises(Ended):
            one(INIT)
        assert told(log)[-1] == {"inputs": runs, "steps": runs, "counts": {}}


def test_the_first_counts_are_told_soon_and_the_next_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert 2 * child.FIRST_REPORT_SECONDS < child.REPORT_SECONDS
    monkeypatch.setattr(child, "REPORT_SECONDS", 1000.0)
    counting, log = counter(monkeypatch, first=-1.0)
    counting.one(INIT)
    counting.one(INIT)
    assert told(log) == [{"inputs": 1, "steps": 1, "counts": {}}]


def test_a_file_gets_the_first_counts_at_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    screen = Screen()
    screen.show("no inputs", tells=False)
    screen.show("20 inputs", tells=True)
    assert capsys.readouterr().out == "20 inputs\n"
    now += PLAIN_SECONDS - 1
    screen.show("30 inputs", tells=True)
    assert capsys.readouterr().out == ""
    now += 1
    screen.show("40 inputs", tells=True)
    assert capsys.readouterr().out == "40 inputs\n"


def test_a_campaign_shows_nothing_before_an_input_has_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    campaign = Campaign(Settings(find("scenario"), Directory.at(tmp_path)))
    campaign.look()
    assert capsys.readouterr().out == ""
    campaign.progress.inputs = 3
    campaign.look()
    assert ": 3 inputs " in capsys.readouterr().out


def test_nobody_to_tell_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(io.StringIO):
        def flush(self) -> None:
            raise BrokenPipeError

    counting, _ = counter(monkeypatch)
    counting.log = Gone()
    with pytest.raises(Ended):
        counting.tell(ready=True)


def test_progress_reads_well() -> None:
    progress = Progress(inputs=12_000, steps=300_000, seconds=60.4)
    assert progress.line() == "1 min: 12,000 inputs (199/s), 300,000 commands (4,967/s), 0 findings"
    progress.met("a", "x", is_new=True)
    progress.met("b", "y", is_new=False)
    progress.restarts, progress.coverage, progress.corpus = 1, 640, 58
    assert progress.line().endswith(
        ", 2 findings (1 seen before), coverage 640, corpus 58, 1 restart"
    )
    assert Progress().line().startswith("0.0 s: 0 inputs (0/s)")
    assert (
        Progress(inputs=1, steps=1, unit="structures")
        .line()
        .startswith("0.0 s: 1 input (0/s), 1 structure (0/s)")
    )


def test_a_line_while_it_runs_says_how_long_and_fits() -> None:
    progress = Progress(inputs=12_000, steps=300_000, seconds=9.5, coverage=640, corpus=58)
    assert progress.live(None).startswith("9.5 s: 12,000 inputs (1,263/s), ")
    progress.met("a", "x", is_new=True)
    progress.seconds = 80
    whole = progress.live(3600.4)
    assert whole.startswith("1 min 20 s, 1 h left, last find 1 min ago: 12,000 inputs")
    assert whole.endswith(", 1 finding, coverage 640, corpus 58")
    narrow = progress.live(3600.4, 90)
    assert narrow == ("1 min 20 s, 1 h left, last find 1 min ago: 12,000 inputs (150/s), 1 finding")


def test_a_finding_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "20")
    Screen().tell("finding: \x1b[2Ja\nb" + "c" * 100)
    assert capsys.readouterr().out.endswith("\x1b[Kfinding: ?[2Ja?b...\n")


def test_the_next_command_can_be_pasted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PWD", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["/some where/vmgexit"])
    told = command("replay", Path("a b/x.bin"))
    assert told == "'/some where/vmgexit' fuzz replay 'a b/x.bin'"
    monkeypatch.setattr("shutil.which", lambda name: "/some where/vmgexit")
    assert command("replay", Path("x.bin")) == "vmgexit fuzz replay x.bin"
    # The shell is elsewhere when a wrapper changed folders.
    monkeypatch.setenv("PWD", "/")
    assert f"{tmp_path}/x.bin" in command("replay", Path("x.bin"))
    monkeypatch.setattr("sys.argv", ["/a/vmgexit/__main__.py"])
    monkeypatch.setattr("sys.executable", "/a b/python")
    assert command("triage") == "'/a b/python' -m vmgexit fuzz triage"


def test_what_hangs_when_it_runs_and_when_it_is_shown_is_one_hang() -> None:
    class Hangs(Target):
        def run(self, data: bytes) -> int:
            while True:
                pass

        def show(self, data: bytes) -> str:
            while True:
                pass

    with replay._limited(0.1):
        finding, text = Hangs(find("codec"), USUAL).examine(b"\1\2")
    assert finding is not None
    assert (finding.cause, text) == ("hang", "   0102")


@pytest.mark.parametrize("width", [60, 80, 100, 200, 1000])
def test_rows_of_findings_fit_the_terminal(width: int) -> None:
    rows = [
        {
            "finding": identity,
            "count": "1,010",
            "size": "3 commands",
            "first seen": "2026-11-28 08:57:52",
            "last seen": "2026-11-28 08:58:06",
            "": "known",
            "what": "INV-4 at enter of vCPU 0: " + "x" * 100,
        }
        for identity in ("scenario-inv-4-enter", "scenario-inv-9-call-3-4")
    ]
    widths = triage._fitting(rows, width)
    assert sum(widths.values()) + 2 * (len(widths) - 1) <= width
    assert next(iter(widths)) == "finding"
    assert list(widths)[-1] == "what"
    assert widths["finding"] == len("scenario-inv-9-call-3-4")
    assert widths["what"] >= 24
    assert (widths["what"] == 126) == (width == 1000)
    rows[0]["finding"] = "peer-" + "a" * 90  # a name that is wider than the terminal is folded
    widths = triage._fitting(rows, width)
    assert sum(widths.values()) + 2 * (len(widths) - 1) <= width
