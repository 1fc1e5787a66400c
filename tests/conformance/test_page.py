"""The decoder page as a file, and its scripts beside the library in Node.js.

`tests/quality/test_decoder_page.py` asks the same of the page in Chromium, with ten times as much.
"""

import copy
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.page import (
    Node,
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
from vmgexit.cli import main
from vmgexit.layout.naming import label
from vmgexit.page.assembled import page
from vmgexit.page.carried import Carried
from vmgexit.page.described import described
from vmgexit.schema import Problem, Structure
from vmgexit.wire.registry import structures

LIMIT = 600_000


@pytest.fixture(scope="module")
def text() -> str:
    return page().decode()


def test_the_page_is_one_small_file_that_loads_nothing(text: str) -> None:
    assert len(text.encode()) < LIMIT
    outside_of_data = re.sub(
        r'<script type="application/json".*?</script>', "", text, flags=re.DOTALL
    )
    assert not re.search(
        r"\b(?:src|href|action|srcset)\s*=|url\(|@import|\bimport\(|fetch\(", outside_of_data
    )
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', text)
    assert policy
    allowed = dict(part.strip().split(" ", 1) for part in policy[1].split(";"))
    assert allowed["default-src"] == "'none'"
    assert re.fullmatch(r"'sha256-[A-Za-z0-9+/=]{44}'", allowed["script-src"])
    assert set(allowed) == {"default-src", "script-src", "style-src", "base-uri", "form-action"}


def test_the_scripts_make_no_markup_of_text(text: str) -> None:
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", text
    )


def test_the_page_describes_every_structure(text: str) -> None:
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert data
    told = json.loads(data[1])["structures"]
    assert sorted(told) == sorted(
        label(cls) for each in structures().values() for cls in each.values()
    )
    status = {field["name"]: field for field in told["ext-int-status"]["fields"]}
    assert (status["nmi_pending"]["at"], status["nmi_pending"]["kind"]) == (8, "flag")


def test_a_browser_without_scripts_is_told_what_is_missing(text: str) -> None:
    told = re.search(r"<noscript>(.*?)</noscript>", text, re.DOTALL)
    assert told
    assert "JavaScript" in told[1]
    assert "vmgexit decode" in told[1]


def test_the_command_writes_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "decoder.html"
    assert main(["page", "-o", str(file)]) == 0
    assert file.read_bytes() == page()
    assert f"{file.stat().st_size} bytes in" in capsys.readouterr().out


def test_a_folder_that_is_missing_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["page", "-o", str(tmp_path / "none" / "x.html")]) == 2
    assert capsys.readouterr().err == f"vmgexit: {tmp_path / 'none'}: no such folder\n"


@pytest.mark.slow
@pytest.mark.needs("node")
def test_dumps_are_read_as_the_library_reads_them() -> None:
    made = random.Random(17)
    texts = list(dumps(made, 2))
    check_texts(Node(), [*texts, *damaged(made, texts, 400), *texts_of_corpus()])


@pytest.mark.slow
@pytest.mark.needs("node")
def test_values_are_decoded_and_judged_as_the_library_does_it() -> None:
    made = random.Random(17)
    check_values(Node(), [*values(made, 600), *ghcb_pages(made, 200), *of_corpus()])


@pytest.mark.slow
@pytest.mark.needs("node")
def test_what_a_dump_lacks_never_counts_as_zero() -> None:
    check_given(Node(), list(cut(random.Random(17), 300)))


# --- Rules that are not carried -------------------------------------------------------------------


def test_every_rule_is_carried_to_the_page() -> None:
    told = described()["structures"]
    assert not [name for name, of in told.items() if "unjudged" in of]
    assert "broken" in told["ext-int-status"]
    assert "judged" in told["attestation-report"]


def _beyond(value: Structure) -> Iterator[Problem]:
    while value.size:
        yield Problem("vector", 0, "a rule of a kind that the page cannot walk", "")


def test_a_rule_that_the_page_cannot_walk_is_not_carried() -> None:
    assert Carried(lambda codes: codes.__name__).attempt(_beyond) is None


@pytest.mark.needs("node")
@pytest.mark.parametrize(
    "tree",
    [
        None,
        [["self"], [], True, [["yield", ["name", "none"], []]]],
        [["self"], [], True, [["while"]]],
    ],
)
def test_what_is_not_judged_is_said(tree: list[object] | None) -> None:
    data = copy.deepcopy(described())
    status = data["structures"]["ext-int-status"]
    if tree is None:
        status["unjudged"] = True
    else:
        data["rules"]["functions"][status["broken"]] = tree
    (answer,) = Node(data).ask("answer", [["doorbell-head", (b"\x05" + bytes(255)).hex()]])
    assert answer["unjudged"] == ["ext-int-status"]
    assert json.loads(answer["json"])["vector"] == 5
