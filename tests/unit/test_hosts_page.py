"""specs/hosts.md is what the table of quirks gives."""

from pathlib import Path

from vmgexit.compare.departures import text

PAGE = Path(__file__).parents[2] / "specs" / "hosts.md"


def test_the_page_of_departures_is_current() -> None:
    assert PAGE.read_text() == text(), "python -m vmgexit.compare.departures specs/hosts.md"


def test_a_decision_of_each_kind() -> None:
    page = PAGE.read_text()
    [row] = (line for line in page.splitlines() if "`exception-word-sign-extended`" in line)
    assert "| KVM's error |" in row
    [row] = (line for line in page.splitlines() if "`unused-info-ignored`" in line)
    assert page.index(row) > page.index("Decision: reference wrong")
