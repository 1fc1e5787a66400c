"""The documentation site: built as `python3 dev.py docs` builds it, then walked in headless Chromium.

The short form looks at the sources: scenarios are answered as they say, and each is on a page.
"""

import importlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urlparse

import pytest

from vmgexit.compare.replay import Tally, replay
from vmgexit.machine.quirks import REFERENCE
from vmgexit.machine.scenario import sequences

ROOT = Path(__file__).resolve().parents[2]
SITE, SCENARIOS = ROOT / "specs" / "site", ROOT / "corpus" / "scenarios"
NAMES = sorted(path.stem for path in SCENARIOS.glob("*.jsonl"))
PAGES = sorted(path for path in SITE.rglob("*.md"))
LARGEST = 200_000  # bytes of a page without its pictures

THREAD = {
    "counter-starts-at-1", "os-registers-before-firmware-leaves", "os-does-not-know", "kexec-too-late",
    "hv-in-the-switch-window", "sti-without-the-svsm", "hand-over",
}  # fmt: skip


@pytest.mark.clause("REG-1", "REG-6", "REG-7", "SCHED-2", "SCHED-3", "EXIT-1", "EXIT-2")
@pytest.mark.parametrize("name", NAMES)
def test_a_scenario_is_answered_as_it_says(name: str) -> None:
    with (SCENARIOS / f"{name}.jsonl").open("rb") as file:
        found = list(sequences(file, name))
    tally = Tally()
    assert list(replay(found, REFERENCE, tally, watched=True)) == []
    assert tally.operations > 4
    assert not tally.violations


def test_each_example_of_the_thread_has_a_page_that_draws_and_runs_it() -> None:
    assert set(NAMES) >= THREAD
    text = "\n".join(page.read_text() for page in PAGES)
    for name in NAMES:
        assert f"{{chart}} corpus/scenarios/{name}.jsonl" in text
        assert f"{{run}} vmgexit replay --invariants corpus/scenarios/{name}.jsonl" in text


def answers(name: str, op: str) -> list[dict[str, Any]]:
    lines = map(json.loads, (SCENARIOS / f"{name}.jsonl").read_text().splitlines())
    return [line["ans"] for line in lines if line["cmd"]["op"] == op]


def test_scenarios_end_as_the_thread_says() -> None:
    """Literal values of the mails of May 23 and June 3, 2024."""
    assert [
        state["reg_count"] for state in answers("os-registers-before-firmware-leaves", "state")
    ] == [1, 1]
    assert answers("os-does-not-know", "state")[0]["alt_inj"] is False
    assert [call["rax"] for call in answers("kexec-too-late", "call")] == [
        0, 0, 0x80000001, 0x80001000, 0, 0x80000001,
    ]  # fmt: skip
    assert answers("hv-in-the-switch-window", "enter")[0]["cancelled"] == 1
    assert [take["taken"] for take in answers("sti-without-the-svsm", "guest_take")] == [
        "none",
        "virq",
    ]


def test_a_table_tells_where_interrupts_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Places as EXIT-1, REG-7 and INV-1 say, column by column."""
    monkeypatch.syspath_prepend(str(SITE))
    whereabouts = importlib.import_module("whereabouts")
    last = {name: list(whereabouts.rows(SCENARIOS / f"{name}.jsonl"))[-1] for name in NAMES}
    assert last["hand-over"][2:] == ["0", "none", "the host's: in service", "the host's: pending"]
    assert last["os-does-not-know"][4:] == ["the host's: pending", "the host's: pending", "ended"]
    assert last["sti-without-the-svsm"][2:] == ["ended"]
    quirk = "handoff-drops-vector-31"
    lost = list(whereabouts.rows(ROOT / "corpus" / "quirks" / f"{quirk}.jsonl", quirk))
    assert [row[-1] for row in lost[-2:]] == ["in V_IRQ", "lost"]


def test_every_page_is_in_the_sidebar() -> None:
    index = (SITE / "index.md").read_text()
    for page in PAGES:
        place = page.relative_to(SITE).with_suffix("").as_posix()
        assert place == "index" or f"\n{place}\n" in index, place


# --- the built site --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, SITE / "build.py", output], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr[-4000:]
    return output


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if found.get("id"):
            self.ids.add(str(found["id"]))
        for name in ("href", "src"):
            if found.get(name):
                self.links.append(str(found[name]))


def parsed(path: Path) -> _Links:
    links = _Links()
    links.feed(path.read_text(encoding="utf-8"))
    return links


needs_sphinx = pytest.mark.needs("sphinx", "myst_parser", "furo", "dot")


def broken(site: Path) -> Iterator[str]:
    """Each link that leads nowhere."""
    pages = {path: parsed(path) for path in site.rglob("*.html")}
    for path, found in pages.items():
        for link in found.links:
            where, anchor = urldefrag(link)
            where = where.partition("?")[0]  # a version, so that browsers do not keep an old one
            if urlparse(link).scheme:
                continue
            target = (path.parent / unquote(where)).resolve() if where else path
            if not target.exists():
                yield f"{path.name}: {link}"
            elif anchor and target in pages and unquote(anchor) not in pages[target].ids:
                yield f"{path.name}: {link}"


@pytest.mark.long
@pytest.mark.timeout(1800)
@needs_sphinx
def test_no_link_is_broken_and_no_page_is_large(site: Path) -> None:
    # The decoder makes what its own links lead to.
    assert [one for one in broken(site) if not one.startswith("decoder.html")] == []
    for path in site.rglob("*.html"):
        if path.name != "decoder.html":
            text = re.sub(r"<svg.*?</svg>", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
            assert len(text.encode()) < LARGEST, path.name


def _leaves(url: str) -> list[str]:
    """An address that is not on this machine."""
    return [url] if url.startswith(("http", "ws")) else []


@pytest.mark.long
@pytest.mark.timeout(1800)
@needs_sphinx
@pytest.mark.needs("playwright", "chromium")
def test_pages_open_from_files_without_errors(site: Path) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")

    wrong: list[str] = []
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        for width, scheme in ((1300, "light"), (400, "dark")):
            page = browser.new_page(
                viewport={"width": width, "height": 900},
                color_scheme=scheme,
            )
            page.on("console", lambda told: wrong.extend([told.text] * (told.type == "error")))
            page.on("pageerror", lambda error: wrong.append(str(error)))
            page.on("request", lambda asked: wrong.extend(_leaves(asked.url)))
            for path in sorted(site.rglob("*.html")):
                page.goto(path.as_uri())
                over = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
                if over > 0:
                    wrong.append(f"{path.name} is {over} pixels too wide at {width}")
            page.goto((site / "search.html").as_uri() + "?q=NoFurtherSignal")
            page.wait_for_selector("#search-results li", timeout=20_000)
            page.close()
        browser.close()
    assert wrong == []
