"""`vmgexit diagram --scenario`: files of every kind, parts of them, and one line for what is wrong."""

import json
import lzma
from pathlib import Path

import pytest

from vmgexit.cli import main

CORPUS = Path(__file__).parents[2] / "corpus"
SCENARIO = CORPUS / "quirks" / "handoff-drops-vector-31.jsonl"


def drawn(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main(["diagram", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main(["diagram", *map(str, arguments)]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
    return told.err


def test_a_scenario_in_each_format(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert drawn(capsys, "--scenario", SCENARIO).startswith(
        "%% handoff-drops-vector-31.jsonl\nsequence"
    )
    text = drawn(capsys, "--scenario", SCENARIO, "--format", "text", "--title", "Hand-over")
    assert text.startswith("Hand-over\nProfile reference; 5 commands.\n")
    assert "posts edge vector 0x1f" in text
    made = tmp_path / "chart.svg"
    assert drawn(capsys, "--scenario", SCENARIO, "--format", "svg", "-o", made) == ""
    assert made.read_text().startswith("<svg ")
    for name, begins in (("a.svg", "<svg "), ("a.txt", "handoff"), ("a.mmd", "%%"), ("a", "%%")):
        assert drawn(capsys, "--scenario", SCENARIO, "-o", tmp_path / name) == ""
        assert (tmp_path / name).read_text().startswith(begins)


def test_a_quirk_breaks_what_the_chart_says(capsys: pytest.CaptureFixture[str]) -> None:
    name = "handoff-drops-vector-31"
    text = drawn(capsys, "--scenario", SCENARIO, "--format", "text", "--profile", name)
    assert "is broken at" in text


def test_a_recording_is_chosen_from_by_number(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    recording = CORPUS / "recordings" / "host.jsonl.xz"
    said = refused(capsys, "--scenario", recording)
    assert "several sequences; choose one by --sequence N, from 1 on" in said
    assert "there are 1 to 120" in refused(capsys, "--scenario", recording, "--sequence", 121)
    assert "there are 1 to 120" in refused(capsys, "--scenario", recording, "--sequence", 0)
    text = drawn(capsys, "--scenario", recording, "--sequence", 2, "--to", 3, "--format", "text")
    with lzma.open(recording) as stream:
        second = json.loads(stream.read().splitlines()[1])
    assert text.startswith(f"host.jsonl.xz #{second['seq']}\nRecording of kind {second['kind']}.")
    assert "commands 0 to 3 of" in text


def test_standard_input(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with SCENARIO.open("rb") as stream:
        monkeypatch.setattr(
            "sys.stdin", type("Stdin", (), {"buffer": stream, "isatty": lambda self: False})()
        )
        assert "HAND" not in drawn(capsys, "--scenario", "-")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("", "no command found"),
        ("{", "line 1: not JSON"),
        ('{"op": "dance"}', "line 1: op 'dance': not one of"),
        ('{"op": "enter", "cpu": 7}', "operation 0: enter: vCPU 7 does not exist, there are 0"),
    ],
)
def test_a_bad_file(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, line: str, told: str
) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text(line)
    said = refused(capsys, "--scenario", bad)
    assert str(bad) in said
    assert told in said


def test_a_bad_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert "no such file" in refused(capsys, "--scenario", "/no/such").lower()
    assert "there are svg, mermaid, text" in refused(
        capsys, "--scenario", SCENARIO, "--format", "dot"
    )
    assert "unknown profile dance" in refused(capsys, "--scenario", SCENARIO, "--profile", "dance")
    assert "--sequence: only with --scenario" in refused(capsys, "registration", "--sequence", 1)
    assert "not for a scenario" in refused(capsys, "--scenario", SCENARIO, "--all")
    assert "--to 2 is before that" in refused(
        capsys, "--scenario", SCENARIO, "--from", 3, "--to", 2
    )
    assert "the last command is 4" in refused(capsys, "--scenario", SCENARIO, "--from", 9)
    assert "-o out: one diagram" in refused(capsys, "registration", "switch-window", "-o", "out")
