"""State diagrams and the drawings of specs/: drawn from the machine, current, labels apart."""

import json
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests import drawings
from vmgexit.cli import main
from vmgexit.diagrams import DRAWINGS, formats, pages
from vmgexit.diagrams.charts import Chart
from vmgexit.diagrams.charts.chart import Message
from vmgexit.diagrams.states import States, svg

COMMITTED = Path(__file__).parents[2] / "specs" / "diagrams"
STATES = ("registration", "superseded-registration", "life-of-an-interrupt")
_SVG = "{http://www.w3.org/2000/svg}"


def states(name: str) -> States:
    drawn = DRAWINGS[name]()
    assert isinstance(drawn, States)
    return drawn


def test_committed_diagrams_are_current() -> None:
    """All but the pictures of states, which another version of Graphviz lays out otherwise."""
    made = pages(is_laid_out=False)
    stale = [name for name, text in made.items() if _read(COMMITTED / name) != text]
    left_over = {path.name for path in COMMITTED.iterdir()} - set(made)
    assert not stale, f"{stale} are stale: run vmgexit diagram --all -o specs/diagrams"
    assert left_over == {f"{name}.svg" for name in STATES}


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


@pytest.mark.parametrize("name", STATES)
def test_committed_pictures_show_the_model(name: str) -> None:
    """The picture has the model's labels, edges and explanations, wherever they stand."""
    picture = _read(COMMITTED / f"{name}.svg")
    assert shown(picture) == _told(name)
    assert drawings.meetings(picture) == []
    beneath = " ".join(label.text for label in drawings.labels(picture))
    for short, meaning in json.loads(_read(COMMITTED / f"{name}.json"))["legend"]:
        assert f"{short}: {meaning}" in beneath


@pytest.mark.needs("dot")
@pytest.mark.parametrize("name", STATES)
def test_this_machines_graphviz_shows_the_model(name: str) -> None:
    picture = svg.render(states(name))
    assert shown(picture) == _told(name)
    assert drawings.meetings(picture) == []


def _told(name: str) -> tuple[object, ...]:
    told = json.loads(_read(COMMITTED / f"{name}.json"))
    edges = {(before, after, tuple(labels)) for before, after, labels in told["edges"]}
    return told["states"][0], set(told["states"]), set(told["finals"]), edges


def shown(picture: str) -> tuple[object, ...]:
    """What a picture of states shows: the initial state, all states, the final ones, edges, legend."""
    root = ET.fromstring(picture)
    texts: dict[str, list[str]] = {}
    for text in root.iter(f"{_SVG}text"):
        texts.setdefault(text.get("data-of", ""), []).append(text.text or "")
    names = {of: words for of, [words, *_] in texts.items() if of.startswith("s")}
    edges = {
        (
            names[path.attrib["data-from"]],
            names[path.attrib["data-to"]],
            tuple(texts[path.attrib["data-of"]]),
        )
        for path in root.iter(f"{_SVG}path")
        if "data-from" in path.attrib
    }
    frames = [
        box.get("data-of") for box in root.iter(f"{_SVG}rect") if box.get("class") == "c-inner"
    ]
    finals = {names[of] for of in frames if of}
    [dot] = root.iter(f"{_SVG}circle")
    assert dot.get("data-of") == "start"
    [entry] = [
        path.attrib["d"]
        for path in root.iter(f"{_SVG}path")
        if (path.get("data-of"), path.get("class")) == ("start", "c-line")
    ]
    initial = min(names, key=lambda of: _distance(root, of, entry))
    return names[initial], set(names.values()), finals, edges


def _distance(root: ET.Element, of: str, entry: str) -> float:
    """How far a state's box is from where the entry's arrow ends."""
    x, y = map(float, entry.split()[-2:])
    [box] = [
        one
        for one in root.iter(f"{_SVG}rect")
        if (one.get("data-of"), one.get("class")) == (of, "c-head")
    ]
    left, top = float(box.attrib["x"]), float(box.attrib["y"])
    right, bottom = left + float(box.attrib["width"]), top + float(box.attrib["height"])
    return max(left - x, x - right, 0) + max(top - y, y - bottom, 0)


@pytest.mark.clause("REG-3", "REG-4", "REG-7")
def test_registration_as_the_thread_has_it() -> None:
    drawn = states("registration")
    edges = {(a, b): labels for a, b, labels in drawn.edges}
    assert edges["count 1, bits 1 1", "count 0, bits 1 0"] == ("0b01",)
    assert edges["count 0, bits 1 0", "count 0, bits 0 0"] == ("0b00", "0b01")
    assert edges["count 1, bits 1 1", "count 2 or more, bits 1 1"] == ("0b10",)
    assert not any("count 0" in a and "count 0" not in b for a, b in edges)
    assert drawn.finals == ("count 0, bits 0 0",)


@pytest.mark.clause("REG-9")
def test_the_superseded_machine_never_leaves_disabled() -> None:
    drawn = states("superseded-registration")
    assert drawn.finals == ("Disabled",)
    assert ("Enabled", "Locked", ("2",)) in drawn.edges


@pytest.mark.clause("EXIT-1")
def test_the_life_of_an_interrupt_ends_or_is_the_hosts() -> None:
    drawn = states("life-of-an-interrupt")
    ways = {(a, b) for a, b, _ in drawn.edges}
    assert ("in service", "ended") in ways
    assert {a for a, b in ways if b == "the host's"} >= {
        "in the descriptor",
        "in V_IRQ",
        "in service",
    }
    assert drawn.finals == ("ended", "the host's")


@pytest.mark.parametrize("name", STATES)
def test_every_label_and_abbreviation_is_explained(name: str) -> None:
    drawn = states(name)
    explained = {short for short, _ in drawn.legend}
    assert {
        label.removesuffix(" (refused)") for _, _, labels in drawn.edges for label in labels
    } <= explained
    said = " ".join([drawn.about, *drawn.states])
    capitals = {word for word in said.replace(",", "").split() if word.isupper() and len(word) > 1}
    assert capitals - {"CONFIGURE_EMULATION."} <= explained


@pytest.mark.clause("SCHED-3")
def test_the_switch_window_is_cancelled_and_then_entered() -> None:
    drawn = DRAWINGS["switch-window"]()
    assert isinstance(drawn, Chart)
    told = [
        (drawn.name(one.source), drawn.name(one.target), one.text)
        for one in drawn.items
        if isinstance(one, Message)
    ]
    opened = ("SVSM", "SVSM", "test signal\nNoFurtherSignal is clear: the switch window opens")
    cancelled = ("SVSM", "SVSM", "vmgexit\n#HV in the switch window: the switch is cancelled")
    signalled = ("host", "SVSM", "signal\nNoFurtherSignal set")
    assert told.index(opened) < told.index(signalled) < told.index(cancelled)
    assert told[-1] == ("SVSM", "guest", "vmgexit\nthe guest runs")
    assert ("test signal", "the last look at NoFurtherSignal") in drawn.terms
    assert {text.partition("\n")[0] for _, _, text in told} - {
        "begins to post edge vector 0x31"
    } == {name for name, _ in drawn.terms}
    assert drawings.meetings(formats(drawn)["svg"](drawn)) == []


def test_the_command_draws_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diagram", "registration", "--format", "dot"]) == 0
    assert "digraph" in capsys.readouterr().out
    assert main(["diagram", "registratio"]) == 2
    assert "unknown diagram registratio" in capsys.readouterr().err
    assert main(["diagram", "registration", "--format", "text"]) == 2
    assert "there are mermaid, dot, json, svg" in capsys.readouterr().err


def test_without_graphviz_the_package_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert main(["diagram", "registration", "--format", "svg"]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "Debian: apt install graphviz" in told
    assert main(["diagram", "--all", "-o", str(tmp_path)]) == 2
    assert list(tmp_path.iterdir()) == []
    capsys.readouterr()
    for form in ("mermaid", "json", "dot"):
        assert main(["diagram", "registration", "--format", form]) == 0
    assert "stateDiagram-v2" in capsys.readouterr().out
    assert main(["diagram", "switch-window", "--format", "svg"]) == 0
