"""The decoder page in Chromium, as a person has it: its answers, its manners, and what it must not do."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.page import (
    CORPUS,
    Browser,
    check_given,
    check_texts,
    check_values,
    cut,
    damaged,
    dumps,
    ghcb_pages,
    of_corpus,
    texts_of_corpus,
    values,
)
from vmgexit.page.assembled import page as made_page

CHROMIUM = "/usr/bin/chromium"
RANDOM = 10_000

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(1800),
    pytest.mark.needs("chromium", "playwright"),
    pytest.mark.filterwarnings("ignore:.*asyncio:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("page") / "decoder.html"
    file.write_bytes(made_page())
    return file.as_uri()


@pytest.fixture(scope="module")
def tab(chromium: Any, address: str) -> Iterator[Any]:
    """The page, opened; at the end it must have asked for nothing but itself, and complained of nothing."""
    opened = chromium.new_page()
    requests: list[str] = []
    complaints: list[str] = []
    opened.on("request", lambda request: requests.append(request.url.partition("#")[0]))
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.goto(address)
    yield opened
    assert set(requests) == {address}
    assert not complaints


def paste(tab: Any, text: str, structure: str = "") -> None:
    tab.select_option("#structure", structure)
    tab.fill("#text-a", text)
    tab.wait_for_timeout(200)


# --- Answers --------------------------------------------------------------------------------------


def test_random_values_have_the_library_s_answers(tab: Any) -> None:
    made = random.Random(1)
    check_values(Browser(tab), [*values(made, RANDOM), *ghcb_pages(made, RANDOM // 4)])


def test_all_of_the_corpus_has_the_library_s_answers(tab: Any) -> None:
    check_values(Browser(tab), list(of_corpus()))
    check_texts(Browser(tab), list(texts_of_corpus()))


def test_every_form_of_dumps_is_read_as_the_library_reads_it(tab: Any) -> None:
    made = random.Random(1)
    texts = list(dumps(made, 12))
    check_texts(Browser(tab), [*texts, *damaged(made, texts, RANDOM)])


def test_what_a_dump_lacks_never_counts_as_zero(tab: Any) -> None:
    check_given(Browser(tab), list(cut(random.Random(1), 1000)))


# --- Manners --------------------------------------------------------------------------------------


def test_a_number_is_guessed_drawn_edited_and_linked(tab: Any, address: str) -> None:
    paste(tab, "0x0000000100000016")
    assert tab.locator("#result h2").inner_text() == "ghcb-msr"
    assert "RUN_VMPL_REQUEST" in tab.locator("#result").inner_text()
    tab.fill('input[data-path="data"]', "0x200000")
    tab.press('input[data-path="data"]', "Enter")
    assert tab.input_value("#text-a") == "1600000002000000"
    tab.fill('input[data-path="info"]', "0x1000")
    tab.press('input[data-path="info"]', "Enter")
    assert tab.inner_text("#alarm") == "info: 0x1000 does not fit 12 bits"
    tab.click("#share")
    link = tab.evaluate("location.href")
    tab.goto(address)
    tab.goto(link)
    assert tab.input_value('input[data-path="data"]') == "0x200000"


@pytest.mark.parametrize(
    "fragment", ["#x", "#structure=none&bytes=AA", "#structure=ghcb-msr&bytes=<b>", "#%"]
)
def test_a_link_that_is_none_is_one_line(tab: Any, address: str, fragment: str) -> None:
    tab.goto(address)
    tab.goto(address + fragment)
    told = tab.inner_text("#alarm")
    assert told.startswith("the link cannot be read: ")
    assert "\n" not in told


def test_a_number_that_is_an_exit_is_named(tab: Any, address: str) -> None:
    said = "As the code of an exit: SNP_PAGE_STATE_CHANGE, make pages private or shared."
    tab.goto(address)
    paste(tab, "0x80000010")
    assert said in tab.inner_text("#result")
    paste(tab, "0x80000009")
    assert "As the code of an exit" not in tab.inner_text("#result")


def test_a_dump_of_a_log_is_guessed_by_its_beginning(tab: Any, address: str) -> None:
    tab.goto(address)
    paste(tab, (CORPUS / "cases" / "vmsa-dmesg-hexdump.txt").read_text(encoding="utf-8"))
    assert tab.locator("#result h2").inner_text() == "vmsa"
    assert "1072 of the 4096 bytes of vmsa are in the dump" in tab.inner_text("#said-a")


def test_the_keyboard_alone_reaches_a_field_and_explains_it(tab: Any, address: str) -> None:
    tab.goto(address)
    paste(tab, "61 81 01 02", "ext-int-status")
    for _ in range(40):
        tab.keyboard.press("Tab")
        if tab.evaluate("document.activeElement.dataset.path") == "nmi_pending":
            break
    assert "nmi_pending" in tab.inner_text("#about")
    assert "An NMI is pending" in tab.inner_text("#about")


def test_every_control_has_a_name(tab: Any) -> None:
    unnamed = tab.evaluate(
        """() => [...document.querySelectorAll("input, select, textarea, button")].filter((each) =>
          !each.labels?.length && !each.getAttribute("aria-label") && !each.textContent.trim()).length"""
    )
    assert unnamed == 0


def test_two_values_are_compared(tab: Any, address: str) -> None:
    tab.goto(address)
    paste(tab, "61 81 01 02", "ext-int-status")
    tab.click("#compare")
    tab.fill("#text-b", "61 80 01 02")
    tab.wait_for_timeout(200)
    rows = tab.locator("table.differences tbody tr").all_inner_texts()
    assert len(rows) == 1
    assert rows[0].startswith("nmi_pending\t1")


HOSTILE = st.one_of(
    st.text(max_size=200),
    st.sampled_from(
        [
            "<img src=x onerror=alert(1)>",
            "</script><script>alert(1)</script>",
            "00000000: <svg/onload=alert(1)>",
            "\u202e00 11 \u2066 <b>",
            "x" * 100_000,
            "00000000 00\n*\nffffffffffffffff",
            '"\\x41" <repeats 99999999 times>',
            "(u8 [99999999999]){ 1 }",
        ]
    ),
)


@given(text=HOSTILE, structure=st.sampled_from(["", "ghcb", "ghcb-msr", "certificate-table"]))
@settings(max_examples=150, deadline=None)
def test_anything_pasted_is_an_answer_or_one_line_and_never_markup(
    tab: Any, text: str, structure: str
) -> None:
    paste(tab, text.encode(errors="replace").decode(), structure)
    answered = tab.is_visible("#result")
    said = tab.inner_text("#said-a")
    assert answered or not text.strip() or (said and "\n" not in said.strip())
    assert "this page failed" not in said
    assert not tab.locator("main :is(img, svg, script, iframe, b)").count()


def test_a_browser_without_a_clipboard_shows_the_link(chromium: Any, address: str) -> None:
    tab = chromium.new_page()
    tab.add_init_script("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    tab.goto(address)
    paste(tab, "0x100", "ghcb-msr")
    tab.click("#share")
    assert "no clipboard" in tab.inner_text("#shared")
    assert "#structure=ghcb-msr&bytes=" in tab.input_value("#shared input")
    tab.close()


def test_a_browser_that_blocks_scripts_is_told_so(chromium: Any, address: str) -> None:
    context = chromium.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(address)
    assert "needs JavaScript" in tab.inner_text("noscript")
    context.close()


@pytest.mark.parametrize("width", [400, 1300])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_the_screen(
    chromium: Any, address: str, tmp_path: Path, width: int, scheme: str
) -> None:
    context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    tab = context.new_page()
    tab.goto(address)
    for button in tab.locator("#examples button").all():
        button.click()
        tab.wait_for_timeout(200)
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
    context.close()
