"""The report of a campaign: what it says of a folder, and that nothing in a folder becomes markup."""

import itertools
import json
import os
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

import vmgexit_fuzz.report
from tests.drawings import meetings
from tests.reports import HOSTILE, QUIRK, SCENARIO, START, Page, campaign, finding, page
from vmgexit.errors import VmgexitError
from vmgexit_fuzz.campaign.folder import Directory
from vmgexit_fuzz.campaign.status import Status
from vmgexit_fuzz.report import drawn, replay, write
from vmgexit_fuzz.report.load import LARGEST_TEXT, load
from vmgexit_fuzz.report.sections import MOST_FINDINGS
from vmgexit_fuzz.report.text import one_line, visible
from vmgexit_fuzz.targets import TARGETS

pytestmark = pytest.mark.slow


@pytest.fixture
def no_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    """For what has nothing to do with it."""
    monkeypatch.setattr(
        "vmgexit_fuzz.report.page.replayed", lambda *_: replay.Replayed(0, why="no")
    )


# --- nothing in a folder becomes markup ------------------------------------------------------------


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_no_text_becomes_markup(tmp_path: Path, text: str, no_replay: None) -> None:
    plain = page(campaign(tmp_path / "plain", text="harmless"))
    hostile = page(campaign(tmp_path / "hostile", text=text))
    assert hostile.tags == plain.tags
    assert [sorted(a) for _, a in hostile.elements] == [sorted(a) for _, a in plain.elements]
    assert visible(text) in hostile.text
    is_plain = all(letter.isprintable() or letter in "\n\t" for letter in hostile.raw)
    assert is_plain


@pytest.mark.parametrize("name", ["<img src=x>", "a\nb\u202e", "$(id);'x\"", "\udcff&lt;"])
def test_no_file_name_becomes_markup(tmp_path: Path, name: str, no_replay: None) -> None:
    folder = campaign(tmp_path / name.replace("/", ""))
    (folder / "logs" / f"{name}.log").write_text("said")
    finding(folder, name, known=False)
    seen = page(folder)
    assert not set(seen.tags) - ELEMENTS
    assert one_line(name) in seen.text


ELEMENTS = {
    *(
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "header",
        "nav",
        "main",
        "section",
        "article",
    ),
    *(
        "h1",
        "h2",
        "h3",
        "p",
        "pre",
        "code",
        "strong",
        "span",
        "a",
        "ul",
        "li",
        "div",
        "dl",
        "dt",
        "dd",
    ),
    *("table", "caption", "thead", "tbody", "tr", "th", "td", "details", "summary"),
    *("figure", "figcaption", "svg", "path", "line", "rect", "text", "desc"),
}


def test_the_page_asks_for_nothing_and_runs_nothing(tmp_path: Path) -> None:
    seen = page(campaign(tmp_path, seeds=2))
    assert set(seen.tags) <= ELEMENTS
    for _, attributes in seen.elements:
        assert not {name for name in attributes if name.startswith("on")}
        assert not {"src", "srcset", "action", "xlink:href", "style"} & set(attributes)
    targets = {f"#{attributes['id']}" for _, attributes in seen.elements if "id" in attributes}
    assert {link["href"] for link in seen.all("a")} <= targets
    assert "default-src 'none'" in str(seen.all("meta"))
    assert not re.search(r"url\(|@import|https?:", seen.raw)


def test_the_page_can_be_read_without_eyes(tmp_path: Path) -> None:
    seen = page(campaign(tmp_path, seeds=2))
    assert seen.all("html") == [{"lang": "en"}]
    assert len(seen.all("caption")) == len(seen.all("table")) >= 5
    assert all(head.get("scope") in ("col", "row") for head in seen.all("th"))
    for drawing in seen.all("svg"):
        told = drawing.get("role") == "img" and drawing.get("aria-label")
        assert told or drawing.get("aria-hidden") == "true" or "preserveaspectratio" in drawing
    ids = [attributes["id"] for _, attributes in seen.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    levels = [int(tag[1]) for tag in seen.tags if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_colours_contrast() -> None:
    style = Path(vmgexit_fuzz.report.__file__).with_name("page.css").read_text()
    light, dark = (
        dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6})", part))
        for part in style.split("prefers-color-scheme: dark")[:2]
    )
    assert light.keys() == dark.keys()
    for colours in (light, dark):
        pairs = [("ink", ground) for ground in ("paper", "panel", "h1", "h2", "h3", "h4")]
        pairs += [("faint", "paper"), ("faint", "panel"), ("faint", "track"), ("link", "paper")]
        pairs += [("good", "good-paper"), ("bad", "bad-paper"), ("on-hot", "h5")]
        for ink, ground in pairs:
            assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)
        for series in range(6):
            assert contrast(colours[f"s{series}"], colours["paper"]) >= 3


def contrast(one: str, other: str) -> float:
    """WCAG 2.2: the ratio of relative luminances."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


# --- what it says ----------------------------------------------------------------------------------


def test_what_the_page_says_of_a_campaign(tmp_path: Path) -> None:
    seen = page(campaign(tmp_path, seeds=3))
    text = " ".join(seen.text.split())
    assert "1 finding is not marked as known, the newest after 5 s of campaign time." in text
    assert "commands 40,000 commands/s 1,000 " in text
    for name, figure in Status.of(Directory.at(tmp_path)).texts().items():
        assert f" {name} {figure} " in text
    assert "elapsed 40 s in 2 runs; 1 h of pauses left out" in text
    (tmp_path / "runs.jsonl").write_text('{"began": 1}\n{"began": 2}\n{"began": 3}\n')
    assert " in 3 runs; 1 h of pauses left out" in " ".join(page(tmp_path).text.split())
    assert "worker time 1 min 20 s 2 workers" in text
    assert "Upright lines are pauses, which are left out of the time: 1 h after 20 s." in text
    assert "unseen share 0.02 % n = 1,900 inputs from nothing" in text  # 3 of 19,000
    assert "Passed over as unreadable: 2 lines of statistics, 1 record of findings." in text
    assert (
        "All 3 of 3 inputs of the corpus were replayed on the machine of profile reference" in text
    )
    assert f"vmgexit fuzz replay news --dir {tmp_path}" in text
    assert text.index("cause of news") < text.index("cause of plain")
    assert "3.3 SVSM_APIC_WRITE_REGISTER" in text
    assert "0.4 SVSM_CORE_DEPOSIT_MEM" in text  # never called
    for step in ("swap_events", "test_signal", "vmgexit"):
        assert f"{step} " in text
    assert "lines passed" in text
    assert "entry.py" in text


def test_the_same_folder_makes_the_same_page(tmp_path: Path) -> None:
    folder = campaign(tmp_path, seeds=2)
    pages = {write(folder, tmp_path / name).read_bytes() for name in ("one.html", "two.html")}
    assert len(pages) == 1


@pytest.mark.parametrize(
    ("known", "lines", "verdict"),
    [
        (None, 2, "No finding in 4,000 inputs; coverage last grew 0 s before the end."),
        (None, 0, "There are no statistics, so nothing is known of how this campaign went."),
        (None, 1, "No finding in 2,000 inputs; no worker measured coverage."),
        (True, 2, "Nothing new in 4,000 inputs: all 2 findings are marked as known; coverage"),
        (False, 2, "2 findings are not marked as known, the newest after 5 s of campaign time."),
    ],
)
def test_the_verdict(
    tmp_path: Path, known: bool | None, lines: int, verdict: str, no_replay: None
) -> None:
    folder = campaign(tmp_path, workers=lines)
    for path in (folder / "findings").iterdir():
        path.unlink()
    if known is not None:
        finding(folder, "a", known=known)
        finding(folder, "b", known=known)
    assert verdict in page(folder).text


def test_a_codec_campaign_has_no_protocol_map(tmp_path: Path) -> None:
    seen = page(campaign(tmp_path, target="codec", seeds=1))
    assert "an input of codec is no scenario" in seen.text
    assert "Races" not in seen.text
    assert len(seen.all("table")) == 1  # workers


OPENING = '{"op": "init", "cpus": 1, "reg_count": 1}\n'


def charts(seen: Page) -> list[str]:
    return re.findall(r'<svg xmlns="[^"]*" class="c-chart".*?</svg>', seen.raw, re.DOTALL)


def test_a_finding_has_its_sequence_chart(tmp_path: Path, no_replay: None) -> None:
    folder = campaign(tmp_path, profile=QUIRK)
    finding(folder, "drawn", commands=SCENARIO)
    [picture] = charts(page(folder))
    assert "posts edge" in picture
    assert "INV-1 is broken at" in picture
    assert "<style" not in picture  # the page has it once
    assert meetings(picture) == []


def test_what_a_chart_does_not_break_is_told_from_the_record(
    tmp_path: Path, no_replay: None
) -> None:
    folder = campaign(tmp_path, text="<b>", plant="tests:none")
    finding(folder, "planted", commands=SCENARIO, text="<b>\u202e")
    [picture] = charts(page(folder))
    words = "".join(ET.fromstring(picture).itertext())
    assert "found: message of" in words
    assert "planted <b>" in words
    assert "\u202e" not in words


@pytest.mark.parametrize(
    ("commands", "why"),
    [
        ('{"op": "dance"}', "op 'dance': not one of"),
        ("<b>", "not JSON"),
        ("\n", "no command found"),
        (OPENING + '{"op": "enter", "cpu": 9}', "vCPU 9 does not exist"),
        ('{"ops": [], "kind": "<i>"}', "no command found"),
    ],
)
def test_a_finding_without_a_chart_says_why(
    tmp_path: Path, commands: str, why: str, no_replay: None
) -> None:
    folder = campaign(tmp_path)
    finding(folder, "odd", commands=commands)
    finding(folder, "even", commands=SCENARIO)
    seen = page(folder)
    assert "There is no sequence chart: " in seen.text
    assert why in seen.text
    assert len(charts(seen)) == 1
    assert not {"b", "i"} & set(seen.tags)


def test_recorded_answers_of_a_stranger_are_not_drawn(tmp_path: Path, no_replay: None) -> None:
    folder = campaign(tmp_path)
    lie = {"cmd": {"op": "enter", "cpu": 0}, "ans": {"panic": "of a stranger"}}
    finding(folder, "told", commands=OPENING + json.dumps(lie))
    [picture] = charts(page(folder))
    assert "stranger" not in picture


def test_of_a_long_scenario_the_end_is_drawn(tmp_path: Path, no_replay: None) -> None:
    folder = campaign(tmp_path)
    finding(folder, "long", commands=OPENING + '{"op": "enter", "cpu": 0}\n' * 500)
    [picture] = charts(page(folder))
    assert "commands 461 to 500 of 501" in picture


def test_what_takes_too_long_is_left_out(
    tmp_path: Path, no_replay: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawn, "_ALL_SECONDS", 0.001)
    folder = campaign(tmp_path)
    finding(folder, "slow", commands=SCENARIO)
    assert "drawing it did not come to an end" in page(folder).text


@pytest.mark.parametrize("target", [name for name, target in TARGETS.items() if target.is_program])
def test_every_target_of_scenarios_has_a_protocol_map(tmp_path: Path, target: str) -> None:
    text = page(campaign(tmp_path, target=target, seeds=3)).text
    assert "All 3 of 3 inputs of the corpus were replayed" in text
    assert "ended where they broke" not in text


def test_a_folder_of_next_to_nothing_is_a_page(tmp_path: Path) -> None:
    (tmp_path / "campaign.json").write_text('{"format": 1, "target": "scenario"}')
    assert "Not measured: the corpus is empty." in page(tmp_path).text


def test_numbers_of_the_wrong_type_are_passed_over(tmp_path: Path, no_replay: None) -> None:
    folder = campaign(tmp_path)
    wrong: list[Any] = ["x", None, [], {}, -1, 1e300, float("nan"), True, 10**400]
    with (folder / "statistics" / "0.jsonl").open("a") as stream:
        for value in wrong:
            for key in ("at", "inputs", "coverage", "kind", "worker", "seconds"):
                line = {"at": START + 100, "kind": "random"} | {key: value}
                stream.write(f"\n{json.dumps(line)}")
    for number, value in enumerate(wrong[:-1]):
        told = dict.fromkeys(("cause", "count", "first", "known", "size", "message"), value)
        (folder / "findings" / f"{number}.json").write_text(json.dumps(told))
    (folder / "findings" / "deep.json").write_text("[" * 100_000)
    text = " ".join(page(folder).text.split())
    assert "8 findings are not marked as known" in text  # one says that it is known, truly
    assert "records of findings" in text
    assert "inputs 4,000" in text


def test_links_are_not_followed(tmp_path: Path, no_replay: None) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hidden from all")
    folder = campaign(tmp_path / "campaign")
    (folder / "findings" / "news.txt").unlink()
    (folder / "findings" / "news.txt").symlink_to(secret)
    (folder / "logs" / "9.log").symlink_to(secret)
    os.mkfifo(folder / "corpus" / "pipe")
    assert "hidden" not in page(folder).text
    assert load(folder).corpus == []


@pytest.mark.parametrize(
    ("written", "told"),
    [
        (None, ": no campaign: a campaign.json expected"),
        ("", "/campaign.json: unreadable, a JSON object expected"),
        ('{"format": 1, "targ', "/campaign.json: unreadable, a JSON object expected"),
        ("[" * 100_000, "/campaign.json: unreadable, a JSON object expected"),
        ("[]", "/campaign.json: no format found, 1 expected"),
        ('{"name": "other"}', "/campaign.json: no format found, 1 expected"),
        ('{"format": 2}', "/campaign.json: format 2 found, written by a newer version"),
        ('{"format": 1}', "/campaign.json: unknown target "),
        ('{"format": 1, "target": "\\u001b<b>"}', "/campaign.json: unknown target "),
        ('{"format": 1, "target": "codec", "profile": "x"}', "/campaign.json: unknown profile x"),
    ],
)
def test_what_is_no_campaign_is_told_in_one_line(
    tmp_path: Path, written: str | None, told: str
) -> None:
    if written is not None:
        (tmp_path / "campaign.json").write_text(written)
    with pytest.raises(VmgexitError) as raised:
        write(tmp_path, tmp_path / "report.html")
    message = str(raised.value)
    assert message.startswith(f"{tmp_path}{told}")
    assert message.isprintable()
    assert not (tmp_path / "report.html").exists()


def test_a_folder_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for name in ("file", "missing"):
        with pytest.raises(VmgexitError, match=f"^{tmp_path}/{name}"):
            write(tmp_path / name, tmp_path / "report.html")


def test_of_very_many_findings_the_first_are_shown(tmp_path: Path, no_replay: None) -> None:
    folder = campaign(tmp_path)
    for number in range(MOST_FINDINGS):
        finding(folder, f"{number:03}", known=False)
    seen = page(folder)
    assert len(seen.all("article")) == MOST_FINDINGS
    assert "2 more are left out: vmgexit fuzz triage --dir" in seen.text


def test_long_texts_are_cut(tmp_path: Path, no_replay: None) -> None:
    folder = campaign(tmp_path)
    (folder / "findings" / "news.txt").write_bytes(b"x" * (LARGEST_TEXT + 5))
    (folder / "logs" / "0.log").write_bytes(b"the beginning" + b"y" * (1 << 20))
    seen = page(folder)
    assert "... 5 bytes more" in seen.text
    assert "the beginning" not in seen.text
    assert len(seen.raw) < 200_000
