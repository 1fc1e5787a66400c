"""Findings on disk, the counter that makes them, and how they are told."""

import io
import json
from pathlib import Path

import pytest

from vmgexit.machine import program
from vmgexit.machine.quirks import only
from vmgexit.machine.scenario import sequences
from vmgexit_fuzz.campaign import child, minimize
from vmgexit_fuzz.campaign.child import Counter
from vmgexit_fuzz.campaign.findings import save, shown, slug, target_of
from vmgexit_fuzz.campaign.screen import Progress, replay_command
from vmgexit_fuzz.targets import Finding, find, scenario

INIT = program.spelled({"op": "init", "cpus": 1, "reg_count": 1})
ENTER = program.spelled({"op": "enter", "cpu": 0})
FINDING = Finding("INV-9 call 3.2", "told")


def quirky(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """A program that breaks an invariant from now on."""
    monkeypatch.setattr(scenario, "quirks", only("ppr-keeps-low-nibble"))
    folder = Path(__file__).parents[2] / "corpus" / "quirks"
    [sequence] = sequences((folder / "ppr-keeps-low-nibble.jsonl").read_bytes().splitlines())
    return program.write(sequence.commands)


def test_a_finding_is_kept_as_input_text_and_commands(tmp_path: Path) -> None:
    data = INIT + ENTER
    saved = save(find("scenario"), FINDING, data, tmp_path)
    assert saved.is_new
    assert saved.path == tmp_path / "scenario-inv-9-call-3-2.bin"
    assert saved.path.read_bytes() == data
    text = saved.path.with_suffix(".txt").read_text().splitlines()
    assert text[0] == "told"
    assert text[1].split() == ["0", "init", "cpus=1", "reg_count=1"]
    [sequence] = sequences(saved.path.with_suffix(".jsonl").read_bytes().splitlines())
    assert program.write(sequence.commands) == data
    assert len(list(tmp_path.iterdir())) == 3


def test_the_smallest_input_of_a_cause_is_kept(tmp_path: Path) -> None:
    target = find("scenario")
    kept = []
    for count in (3, 5, 2, 2, 1):
        saved = save(target, FINDING, INIT + ENTER * count, tmp_path)
        kept.append((saved.is_new, len(saved.path.read_bytes()) // len(ENTER) - 1))
    assert kept == [(True, 3), (False, 3), (False, 2), (False, 2), (False, 1)]
    assert len(saved.path.with_suffix(".txt").read_text().splitlines()) == 3


def test_a_codec_finding_has_no_commands(tmp_path: Path) -> None:
    save(find("codec"), Finding("x is not lossless", "told"), b"\0\0\0", tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} == {".bin", ".txt"}


def test_what_cannot_be_shown_is_kept_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(data: bytes) -> str:
        raise RuntimeError

    monkeypatch.setattr(scenario, "show", fails)
    saved = save(find("scenario"), FINDING, INIT, tmp_path)
    assert saved.path.with_suffix(".txt").read_text() == f"told\n   {INIT.hex()}\n"
    # What ends the process must not be run again to be shown.
    assert shown(find("scenario"), FINDING, INIT, deadly=True).startswith("told\n     0 init")


@pytest.mark.parametrize(
    ("cause", "name"),
    [
        ("INV-7 call", "inv-7-call"),
        ("KeyError in a.b < c._d", "keyerror-in-a-b-c-d"),
        ("../../etc/passwd", "etc-passwd"),
        ("", "unnamed"),
        ("é" * 300, "unnamed"),
        ("x" * 300, "x" * 80),
    ],
)
def test_any_cause_makes_a_file_name(cause: str, name: str) -> None:
    assert slug(cause) == name


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
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, runs: int | None = None
) -> tuple[Counter, io.StringIO]:
    def ended(code: int) -> None:
        raise Ended(code)

    monkeypatch.setattr("os._exit", ended)
    log = io.StringIO()
    counting = Counter(find("scenario"), tmp_path, log, runs=runs)
    counting.start()
    return counting, log


def told(log: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in log.getvalue().splitlines()]


def test_a_cause_is_told_once_and_its_smaller_inputs_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = quirky(monkeypatch)
    # Minimising has tests of its own.
    monkeypatch.setattr(minimize, "minimized", lambda target, data, cause, until: data)
    counting, log = counter(tmp_path, monkeypatch)
    for more in (2, 0, 0, 1):
        counting.one(data + ENTER * more)
    [finding] = told(log)
    assert finding["cause"] == "INV-6 read PPR"
    assert finding["new"] is True
    assert finding["inputs"] == 1
    assert Path(str(finding["path"])).read_bytes() == data

    # Another campaign over the same folder knows it.
    counting, log = counter(tmp_path, monkeypatch)
    counting.one(data)
    assert [finding["new"] for finding in told(log)] == [False]


def test_the_message_is_that_of_the_minimised_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(data: bytes) -> int:
        raise Finding("cause", f"{len(data)} bytes")

    monkeypatch.setattr(scenario, "run", run)
    counting, log = counter(tmp_path, monkeypatch)
    counting.one(INIT * 3)
    [finding] = told(log)
    assert finding["message"] == "0 bytes"
    assert (tmp_path / "scenario-cause.txt").read_text().startswith("0 bytes\n")


def test_the_counter_ends_with_the_last_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A look costs nothing here, so they become as rare as they may.
    for runs in (1, 2, 100, 3 * child.MOST_BETWEEN_LOOKS):
        counting, log = counter(tmp_path, monkeypatch, runs=runs)
        for _ in range(runs - 1):
            counting.one(INIT)
        with pytest.raises(Ended):
            counting.one(INIT)
        assert told(log)[-1] == {"inputs": runs, "steps": runs}


def test_a_folder_that_went_away_ends_the_process_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = quirky(monkeypatch)
    (tmp_path / "file").write_text("")
    counting, log = counter(tmp_path / "file", monkeypatch)
    with pytest.raises(Ended):
        counting.one(data)
    [line] = told(log)
    assert str(line["error"]).startswith(f"{tmp_path}/file: a finding could not be kept: ")


def test_nobody_to_tell_ends_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(io.StringIO):
        def flush(self) -> None:
            raise BrokenPipeError

    counting, _ = counter(tmp_path, monkeypatch)
    counting.log = Gone()
    with pytest.raises(Ended):
        counting.tell(ready=True)


def test_progress_reads_well() -> None:
    progress = Progress(inputs=12_000, steps=300_000, seconds=60.4)
    assert str(progress) == "60 s: 12,000 inputs (199/s), 300,000 commands (4,967/s), 0 findings"
    progress.causes = {"a": "x", "b": "y"}
    progress.known, progress.restarts, progress.coverage, progress.corpus = {"b"}, 1, 640, 58
    assert str(progress).endswith(", 2 findings (1 known), coverage 640, corpus 58, 1 restart")
    assert str(Progress()).startswith("1.0 s: 0 inputs (0/s)")


def test_the_replay_command_can_be_pasted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PWD", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["/somewhere/else/vmgexit"])
    command = replay_command(Path("a b/x.bin"), "coconut", "m:f", 3)
    assert command == (
        "/somewhere/else/vmgexit fuzz replay 'a b/x.bin' --profile coconut --plant m:f --hang 3"
    )
    monkeypatch.setattr("shutil.which", lambda name: "/somewhere/else/vmgexit")
    assert replay_command(Path("x.bin"), "reference", "", None) == "vmgexit fuzz replay x.bin"
    # The shell is elsewhere when a wrapper changed folders.
    monkeypatch.setenv("PWD", "/")
    assert f"{tmp_path}/x.bin" in replay_command(Path("x.bin"), "reference", "", None)
