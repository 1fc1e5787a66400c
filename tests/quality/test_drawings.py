"""Every drawing in a browser: no label meets another label, or stands on a line that is not its own.

Chromium measures what it draws, with the fonts of this machine. `tests/drawings.py` judges charts by their
own geometry, without a browser, in the tests that every change has to pass.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.test_quirks import BROKEN, COMPANIONS
from tests.conftest import NODE_MODULES
from vmgexit.diagrams.charts import Chart, charted, mermaid, svg
from vmgexit.diagrams.charts.grid import NARROW, PITCH
from vmgexit.hosts.scenario import sequence_of
from vmgexit.machine.scenario import sequences
from vmgexit.read.streams import lines

ROOT = Path(__file__).parents[2]
CHROMIUM = "/usr/bin/chromium"

pytestmark = [
    pytest.mark.long,
    pytest.mark.needs("chromium", "playwright"),
    pytest.mark.filterwarnings("ignore:.*asyncio:DeprecationWarning"),
]

# Labels by their letters' height, lines by points along them. A label may touch what has its `data-of`.
_MEETINGS = """() => {
  const svg = document.querySelector("svg"), paper = svg.getBoundingClientRect();
  const shown = element => element.getClientRects().length > 0;
  const labels = [...svg.querySelectorAll("text")].filter(shown).flatMap(text => {
    const parts = [...text.querySelectorAll("tspan")];
    return (parts.length ? parts : [text]).map(part => {
      const box = part.getBoundingClientRect(), slack = box.height / 5;
      return {text: part.textContent, of: text.dataset.of, left: box.left, right: box.right,
              top: box.top + slack, bottom: box.bottom - slack};
    });
  }).filter(label => label.text.trim());
  const meet = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
  const found = [];
  labels.forEach((label, at) => {
    for (const other of labels.slice(at + 1)) if (meet(label, other)) found.push([label.text, other.text]);
    const inside = paper.left <= label.left && label.right <= paper.right
      && paper.top <= label.top && label.bottom <= paper.bottom;
    if (!inside) found.push([label.text, "beyond the drawing"]);
  });
  for (const line of svg.querySelectorAll("path, line, rect, circle, polyline, polygon")) {
    if (getComputedStyle(line).stroke === "none" || !shown(line) || line.closest("defs")) continue;
    const box = line.getBoundingClientRect();
    const around = {left: box.left - 1, right: box.right + 1, top: box.top - 1, bottom: box.bottom + 1};
    const near = labels.filter(label =>
      (label.of === undefined || label.of !== line.dataset.of) && meet(label, around));
    if (!near.length) continue;
    const place = line.getScreenCTM(), long = line.getTotalLength(), met = new Set();
    for (let at = 0; at <= long; at += 1.5) {
      const {x, y} = line.getPointAtLength(at).matrixTransform(place);
      for (const label of near)
        if (label.left < x && x < label.right && label.top < y && y < label.bottom) met.add(label.text);
    }
    for (const text of met) found.push([text, line.outerHTML.slice(0, 120)]);
  }
  return found;
}"""


@pytest.fixture(scope="module")
def page() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser.new_page(viewport={"width": 1200, "height": 900})
        browser.close()


def meetings(page: Any, drawing: str) -> Any:
    page.set_content(f'<!DOCTYPE html><body style="margin: 0">{drawing}')
    return page.evaluate(_MEETINGS)


def test_no_label_of_the_specification_meets_another_or_a_line(page: Any) -> None:
    drawings = sorted((ROOT / "specs").rglob("*.svg"))
    assert len(drawings) > 200
    found = {str(path): meetings(page, path.read_text(encoding="utf-8")) for path in drawings}
    assert not {name: met for name, met in found.items() if met}


def charts() -> Iterator[tuple[str, Chart]]:
    """Each scenario of the corpus: of quirks with the quirk, of hosts, guests and regressions."""
    folders = ("quirks", "hosts", "provoked", "regressions", "scenarios")
    files = [path for name in folders for path in sorted((ROOT / "corpus" / name).rglob("*.jsonl"))]
    assert len(files) > 100
    for path in files:
        sequence = next(sequences(lines(str(path)), path.name, sequence_of))
        quirk = path.stem if path.stem in BROKEN and path.parent.name == "quirks" else ""
        profile = ",".join(filter(None, (quirk, COMPANIONS.get(quirk)))) or "reference"
        yield str(path), charted(sequence, profile)


@pytest.mark.parametrize("pitch", [NARROW, PITCH])
def test_no_label_of_a_chart_meets_another_or_a_line(page: Any, pitch: int) -> None:
    found = {name: meetings(page, svg.render(chart, pitch)) for name, chart in charts()}
    assert not {name: met for name, met in found.items() if met}


@pytest.mark.needs("mermaid")
def test_mermaid_reads_what_we_write_for_it(page: Any) -> None:
    page.add_script_tag(path=NODE_MODULES / "mermaid" / "dist" / "mermaid.min.js")
    texts = {name: mermaid.render(chart) for name, chart in charts()}
    for path in (ROOT / "specs" / "diagrams").glob("*.mmd"):
        texts[str(path)] = path.read_text(encoding="utf-8")
    parse = """async text => {
      try { await mermaid.parse(text); return ""; } catch (error) { return String(error); }
    }"""
    said = {name: page.evaluate(parse, text) for name, text in texts.items()}
    assert not {name: what for name, what in said.items() if what}
    assert page.evaluate(parse, "sequenceDiagram\n  a->>b") != ""


def test_the_browser_sees_what_meets(page: Any) -> None:
    """The judge itself: a label on a foreign line, on its own, on another label, and beyond the edge."""
    words = '<text x="10" y="30" data-of="1">words</text>'
    line = '<path d="M0 26H200" stroke="black" data-of="{}"/>'

    def met(*elements: str) -> Any:
        return meetings(page, f'<svg width="200" height="60">{"".join(elements)}</svg>')

    assert met(words) == []
    assert met(words, line.format(1)) == []
    assert [text for text, _ in met(words, line.format(2))] == ["words"]
    assert met(words, '<text x="20" y="32">more</text>') == [["words", "more"]]
    assert (
        json.dumps(met('<text x="180" y="30">words</text>')) == '[["words", "beyond the drawing"]]'
    )
