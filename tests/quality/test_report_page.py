"""The report's page in a browser: headless Chromium, where there is one on the PATH.

A page of ours around it measures it: the report itself allows no script. The other checks of the page,
which need no browser, are in tests/unit/test_fuzz_report.py.
"""

import html
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import NAMES
from tests.reports import HOSTILE, SCENARIO, campaign, finding
from vmgexit_fuzz.report import write

CHROMIUM = next(filter(None, map(shutil.which, NAMES["chromium"])), "")
WIDTHS = (360, 400, 800, 1800)  # CSS pixels
LIGHT, DARK = 1, 0  # what Chromium calls the colour schemes

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.slow]

# What is in the page must be there without it: frames of several widths, measured from outside.
_AROUND = """<!DOCTYPE html><title></title>{frames}<script>
onload = () => {{
  document.title = [...document.querySelectorAll("iframe")].map(frame => {{
    const page = frame.contentDocument, body = frame.contentWindow.getComputedStyle(page.body);
    return [page.documentElement.scrollWidth, frame.clientWidth, page.querySelectorAll("section").length,
            page.images.length + page.scripts.length, body.backgroundColor].join(" ");
  }}).join("; ");
}};
</script>"""


def browse(folder: Path, page: Path, *options: str, scheme: int = LIGHT) -> tuple[str, str]:
    """What Chromium prints of a page, and what it says meanwhile."""
    done = subprocess.run(
        [
            *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"),
            *("--no-first-run", "--disable-background-networking", "--disable-component-update"),
            *("--disable-sync", "--hide-scrollbars", f"--user-data-dir={folder / 'profile'}"),
            *("--enable-logging=stderr", f"--blink-settings=preferredColorScheme={scheme}"),
            *options,
            page.as_uri(),
        ],
        capture_output=True,
        timeout=120,
        check=True,
    )
    return done.stdout.decode(), done.stderr.decode(errors="replace")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with everything on it, hostile texts too."""
    folder = tmp_path_factory.mktemp("report")
    made = campaign(folder / "c", seeds=3, text=" ".join(HOSTILE))
    finding(made, "drawn", commands=SCENARIO)
    return write(made, folder / "report.html")


@pytest.mark.parametrize("scheme", [LIGHT, DARK])
def test_the_page_fits_every_width_in_both_schemes(
    tmp_path: Path, report: Path, scheme: int
) -> None:
    frame = '<iframe style="border:0;height:600px;width:{}px" srcdoc="{}"></iframe>'
    text = html.escape(report.read_text())
    around = tmp_path / "around.html"
    around.write_text(_AROUND.format(frames="".join(frame.format(w, text) for w in WIDTHS)))
    seen, said = browse(tmp_path, around, "--dump-dom", scheme=scheme)
    told = re.search(r"<title>(.*?)</title>", seen)
    assert told, said
    measured = [part.split(" ", 4) for part in told[1].split("; ")]
    assert [int(width) for _, width, *_ in measured] == list(WIDTHS)
    for across, width, sections, foreign, paper in measured:
        assert int(across) <= int(width)
        assert int(sections) == 9
        assert foreign == "0"
        assert paper == ("rgb(13, 17, 23)" if scheme == DARK else "rgb(255, 255, 255)")


def test_the_browser_has_nothing_to_say_of_the_page(tmp_path: Path, report: Path) -> None:
    # A request, a script or a style from elsewhere would be refused, and the refusal be said.
    seen, said = browse(tmp_path, report, "--dump-dom")
    assert "CONSOLE" not in said
    assert seen.count("<h2") == 9
    assert "onerror=alert(1)&gt;" in seen


def test_a_refusal_would_be_said(tmp_path: Path, report: Path) -> None:
    spoilt = tmp_path / "spoilt.html"
    spoilt.write_text(report.read_text().replace("<main>", "<main><script>1</script>"))
    assert "CONSOLE" in browse(tmp_path, spoilt, "--dump-dom")[1]


def test_there_is_something_to_see(tmp_path: Path, report: Path) -> None:
    blank = tmp_path / "blank.html"
    blank.write_text("<!DOCTYPE html><title>blank</title>")
    sizes = []
    for page in (blank, report):
        picture = tmp_path / f"{page.stem}.png"
        browse(tmp_path, page, "--window-size=1600,1200", f"--screenshot={picture}")
        assert picture.read_bytes().startswith(b"\x89PNG")
        sizes.append(picture.stat().st_size)
    assert sizes[1] > 10 * sizes[0]
