"""Diagrams: drawn from the machine, current in specs/, readable as XML, labels apart."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from vmgexit.cli import main
from vmgexit.explore.diagrams import DIAGRAMS, FORMATS, pages
from vmgexit.explore.diagrams.diagram import Sequence, States

COMMITTED = Path(__file__).parents[2] / "specs" / "diagrams"


def test_committed_diagrams_are_current() -> None:
    made = pages()
    stale = [name for name, text in made.items() if _read(COMMITTED / name) != text]
    left_over = {path.name for path in COMMITTED.iterdir()} - set(made)
    assert not stale, f"{stale} are stale: run vmgexit diagram --all -o specs/diagrams"
    assert not left_over


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


@pytest.mark.clause("REG-3", "REG-4", "REG-7")
def test_registration_as_the_thread_has_it() -> None:
    drawn = DIAGRAMS["registration"]()
    assert isinstance(drawn, States)
    edges = {(a, b): labels for a, b, labels in drawn.edges}
    assert edges["count 1, bits 1 1", "count 0, bits 1 0"] == ("0b01",)
    assert edges["count 0, bits 1 0", "count 0, bits 0 0"] == ("0b00", "0b01")
    assert edges["count 1, bits 1 1", "count 2 or more, bits 1 1"] == ("0b10",)
    assert not any("count 0" in a and "count 0" not in b for a, b in edges)


@pytest.mark.clause("REG-9")
def test_the_superseded_machine_never_leaves_disabled() -> None:
    drawn = DIAGRAMS["superseded-registration"]()
    assert isinstance(drawn, States)
    assert {b for a, b, _ in drawn.edges if a == "Disabled"} == {"Disabled"}
    assert ("Enabled", "Locked", ("2",)) in drawn.edges


@pytest.mark.clause("EXIT-1")
def test_the_life_of_an_interrupt_ends_or_is_the_hosts() -> None:
    drawn = DIAGRAMS["life-of-an-interrupt"]()
    assert isinstance(drawn, States)
    ways = {(a, b) for a, b, _ in drawn.edges}
    assert ("in service", "ended") in ways
    assert {a for a, b in ways if b == "the host's"} >= {
        "in the descriptor",
        "in V_IRQ",
        "in service",
    }
    assert not {b for a, b in ways if a in ("ended", "the host's")}


@pytest.mark.clause("SCHED-3")
def test_the_switch_window_is_cancelled_and_then_entered() -> None:
    drawn = DIAGRAMS["switch-window"]()
    assert isinstance(drawn, Sequence)
    texts = [text for _, _, text in drawn.messages]
    opened = texts.index("test NoFurtherSignal: clear, window opens")
    signalled = texts.index("NoFurtherSignal, #HV")
    assert opened < signalled < texts.index("#HV in the window: cancel")
    assert drawn.messages[-1] == ("SVSM", "guest", "VMGEXIT: the guest runs")


@pytest.mark.parametrize("name", DIAGRAMS)
def test_drawings_are_xml_and_their_labels_do_not_meet(name: str) -> None:
    _, render = FORMATS["svg"]
    root = ET.fromstring(render(DIAGRAMS[name]()))
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    boxes = []
    for text in root.iter("{http://www.w3.org/2000/svg}text"):
        if text.get("class") == "title":
            continue
        long = 7.3 * len(text.text or "")
        x, y = float(text.attrib["x"]), float(text.attrib["y"])
        left = {"start": x, "middle": x - long / 2, "end": x - long}[
            text.get("text-anchor", "start")
        ]
        assert left >= 0
        assert left + long <= width
        assert y <= height
        boxes.append((left, left + long, y - 12, y))
    for index, one in enumerate(boxes):
        for other in boxes[index + 1 :]:
            apart = (
                one[1] <= other[0] or other[1] <= one[0] or one[3] <= other[2] or other[3] <= one[2]
            )
            assert apart, (one, other)
    # An arc of states leads out of a box at one height, and back to the column at another.
    arc = re.compile(r"M(\S+) (\S+) H(\S+) q.* V(\S+) q\S+ (\S+) \S+ (\S+) H(\S+)")
    for path in root.iter("{http://www.w3.org/2000/svg}path"):
        if found := arc.fullmatch(path.attrib["d"]):
            start, top, far, turn, _, bend, end = map(float, found.groups())
            for near, y in ((start, top), (end, turn + bend)):
                low, high = sorted((near, far))
                on = [
                    box for box in boxes if box[0] < high and low < box[1] and box[2] < y < box[3]
                ]
                assert on == []


def test_the_command_draws_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diagram", "registration", "--format", "dot"]) == 0
    assert "digraph" in capsys.readouterr().out
    assert main(["diagram", "registratio"]) == 2
    assert "unknown diagram registratio" in capsys.readouterr().err
