"""`vmgexit spec --check`: what is printed, and the exit codes."""

from pathlib import Path

import pytest

from tests.cli.conftest import Run

pytest.importorskip("markdown_it")

RIGHT = Path(__file__).parents[1] / "conformance" / "drafts" / "alternate-injection.md"


def test_a_right_draft_gets_no_finding(run: Run) -> None:
    ran = run("spec", "--check", str(RIGHT))
    assert (ran.code, ran.out, ran.err) == (0, f"{RIGHT}: 5 of 5 tables compared; 0 findings\n", "")


def test_tables_that_cannot_be_compared_are_not_counted(run: Run, tmp_path: Path) -> None:
    draft = tmp_path / "draft.md"
    draft.write_text("# doorbell-page\n\n| Colour | Taste |\n| --- | --- |\n| red | sweet |\n")
    ran = run("spec", "--check", str(draft))
    assert (ran.code, ran.out) == (0, f"{draft}: 0 of 1 table compared; 0 findings\n")


def test_a_clause_that_is_none(run: Run) -> None:
    assert run("spec", "reg-88").complaint.startswith("vmgexit: no clause reg-88; nearest: REG-")
    assert run("spec", "none").complaint == "vmgexit: no clause none; vmgexit spec lists them"


def test_a_wrong_draft_gets_a_line_for_each_finding(run: Run, tmp_path: Path) -> None:
    draft = tmp_path / "draft.md"
    draft.write_text(
        RIGHT.read_text(encoding="utf-8").replace("| 27 |", "| 25 |"), encoding="utf-8"
    )
    ran = run("spec", "--check", str(draft))
    assert ran.code == 1
    assert ran.out.splitlines() == [
        f"{draft}: line 25: 'Reserved' and 'IpiRequested' overlap at bit 25",
        f"{draft}: line 25: IpiRequested: bit 25 found, bit 27 in ext-int-status.ipi_requested [DESC-1]",
        f"{draft}: 5 of 5 tables compared; 2 findings",
    ]


def test_a_draft_that_leaves_a_row_out(run: Run, tmp_path: Path) -> None:
    draft = tmp_path / "draft.md"
    text = RIGHT.read_text(encoding="utf-8")
    draft.write_text(
        text.replace("| 27 | `IpiRequested` | An IPI is requested |\n", ""), encoding="utf-8"
    )
    ran = run("spec", "--check", str(draft))
    assert ran.code == 0
    assert ran.out.splitlines() == [
        f"{draft}: line 16: note: ext-int-status: left out are IpiRequested",
        f"{draft}: 5 of 5 tables compared; 0 findings",
    ]


def test_drafts_that_are_none(run: Run, tmp_path: Path) -> None:
    assert "draft.md" in run("spec", "--check", str(tmp_path / "draft.md")).complaint
    (tmp_path / "draft.doc").write_bytes(b"")
    assert "nearest: .docx" in run("spec", "--check", str(tmp_path / "draft.doc")).complaint
