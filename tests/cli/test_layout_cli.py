"""`vmgexit layout`, `source` and `spec`."""

from pathlib import Path

import pytest

from tests.cli.conftest import Run
from vmgexit.layout.pages import published


@pytest.mark.clause("DESC-1")
def test_the_descriptor_as_markdown(run: Run) -> None:
    out = run("layout", "ext-int-descriptor", "--format", "md").out
    assert "| 7:0 | **PendingVector**<br>`pending_vector` |" in out
    assert "| 30:28 | *Reserved*<br>`reserved_30_28` |" in out


def test_all_as_text_on_standard_output(run: Run) -> None:
    out = run("layout", "--all", "--format", "md").out
    assert out.count("\n# ") >= len(published()) - 1


def test_files_of_one_format(run: Run, tmp_path: Path) -> None:
    assert run("layout", "apic-icr", "--format", "svg", "-o", str(tmp_path)).code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["apic-icr.svg"]
    assert run("layout", "--all", "--format", "md", "-o", str(tmp_path / "new")).code == 0
    assert len(list((tmp_path / "new").iterdir())) == len(published()) + 1


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ((), "layout needs the names of structures, or --all"),
        (("apic-icr", "--all"), "layout needs the names of structures, or --all"),
        (("apic-ikr",), "unknown structure apic-ikr; nearest: apic-icr"),
        (("nosuch",), "unknown structure nosuch; see vmgexit list"),
        (("apic-icr", "--format", "pdf"), "unknown format pdf; there are text, md, svg"),
        (("--all", "--revision", "2024-05-16"), "--all has every revision"),
        (("--diff", "--all"), "--diff goes with one NAME or two"),
        (("--diff", "a", "b", "c"), "--diff compares two revisions or all of one NAME, not 3"),
        (("--diff", "doorbell-page", "apic"), "doorbell-page is a structure, apic a protocol"),
        (("--diff", "doorbell-page", "--format", "pdf"), "--diff has no format pdf"),
        (("apic-icr", "-o", "/dev/null/x"), "/dev/null"),
    ],
)
def test_bad_words_get_one_line(run: Run, words: tuple[str, ...], complaint: str) -> None:
    assert complaint in run("layout", *words).complaint


def test_what_a_draft_changed(run: Run, tmp_path: Path) -> None:
    two = ("layout", "--diff", "doorbell-page@2024-05-16", "doorbell-page")
    assert "widened  NoEoiRequired " in run(*two).out
    assert "| renamed | **Vmpl1AsMeant**<br>" in run(*two, "--format", "md").out
    picture = tmp_path / "changes.svg"
    assert run(*two, "--format", "svg", "-o", str(picture)).code == 0
    assert picture.read_text(encoding="utf-8").startswith("<svg ")
    assert run("layout", "--diff", "doorbell-page").out.count(" -> ") == 5


def test_source_is_python_that_decodes(run: Run) -> None:
    out = run("source", "ext-int-status").out
    compile(out, "ext-int-status", "exec")
    assert "def decode(" in out
    assert "def encode(" in out
    assert "construct" not in out


def test_spec_lists_every_clause_with_its_tests(run: Run) -> None:
    out = run("spec").out
    for clause in ("DESC-1", "SCHED-4", "REG-9", "EXIT-3", "INV-10"):
        assert f"\n{clause}" in f"\n{out}"
    assert (
        "tests/unit/test_registration.py::test_firmware_and_operating_system_both_register" in out
    )
    assert "rule   protocol/vmgexit/wire/doorbell.py::VmplEvents" in out
    assert "clauses, 0 without a test" in out
    assert out.endswith("; 0 mistakes\n")


def test_spec_shows_one_clause_whole(run: Run) -> None:
    out = run("spec", "reg-8").out
    assert out.startswith(
        "REG-8      There is no call 5; its text belongs to call 1. It is answered"
    )
    assert "REG-2" not in out
    assert (
        run("spec", "REG-88").complaint == "vmgexit: no clause REG-88; nearest: REG-8, REG-9, REG-7"
    )
    assert "(not in specs)" not in out
