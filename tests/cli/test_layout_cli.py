"""`vmgexit layout`, `source` and `spec`."""

from pathlib import Path

import pytest

from tests.cli.conftest import Run
from vmgexit.layout.subjects import every


@pytest.mark.clause("DESC-1")
def test_the_descriptor_as_markdown(run: Run) -> None:
    out = run("layout", "ext-int-descriptor", "--format", "md").out
    assert "| 7:0 | **PendingVector** `pending_vector` |" in out
    assert "| 30:28 | *Reserved* `reserved_30_28` |" in out


def test_all_as_text_on_standard_output(run: Run) -> None:
    out = run("layout", "--all", "--format", "md").out
    assert out.count("\n# ") >= len(every()) - 1


def test_files_of_one_format(run: Run, tmp_path: Path) -> None:
    assert run("layout", "apic-icr", "--format", "svg", "-o", str(tmp_path)).code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["apic-icr.svg"]
    assert run("layout", "--all", "--format", "md", "-o", f"{tmp_path}/new/").code == 0
    assert len(list((tmp_path / "new").iterdir())) == len(every()) + 1


def test_a_path_is_a_file_and_says_its_format(run: Run, tmp_path: Path) -> None:
    assert run("layout", "apic-icr", "-o", str(tmp_path / "icr.rst")).code == 0
    assert (tmp_path / "icr.rst").read_text().startswith(".. Generated")
    assert run("layout", "apic-icr", "ghcb", "-o", str(tmp_path / "two.h")).code == 0
    header = (tmp_path / "two.h").read_text()
    assert "struct vmgexit_ghcb {" in header
    assert "} vmgexit_apic_icr;" not in header
    assert "typedef uint64_t vmgexit_apic_icr;" in header
    complaint = run(
        "layout", "apic-icr", "ghcb", "--format", "md", "-o", str(tmp_path / "x")
    ).complaint
    assert f"{tmp_path}/x: 2 files need a folder: one that is there, or {tmp_path}/x/" in complaint
    assert not (tmp_path / "x").exists()


def test_calls_exits_and_codes_have_layouts(run: Run) -> None:
    out = run("layout", "SVSM_CORE_CREATE_VCPU", "--format", "md").out
    assert "| Register | Size (Bytes) | Alignment | In/Out | Description |" in out
    assert "| **RCX** | 8 | 4096 | In | guest-physical address of the VMSA, 4 KiB aligned |" in out
    out = run("layout", "core-calls", "--format", "md").out
    assert "| Call ID | First version | Name | Function |" in out
    out = run("layout", "RDTSCP", "--format", "csv").out
    assert "RDTSCP,Fields of RDTSCP,RCX,Out,always,marked valid" in out
    assert "0x80000006" in run("layout", "result-codes").out


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ((), "layout needs the names of structures, calls or exits, or --all"),
        (("apic-icr", "--all"), "layout needs the names of structures, calls or exits, or --all"),
        (("apic-ikr",), "nothing is called apic-ikr; nearest: apic-icr"),
        (("nosuch",), "nothing is called nosuch; see vmgexit list"),
        (("apic-icr", "--format", "pdf"), "unknown format pdf; there are text, md"),
        (
            ("apic-icr", "--format", "wavedrum"),
            "unknown format wavedrum; nearest: wavedrom; there are",
        ),
        (("apic-icr", "--format", "docx"), "docx goes to files: say -o PATH"),
        (("apic-icr", "--format", "md", "--plain"), "--plain is for drawings"),
        (("apic-icr", "--format", "svg", "--theme", "pink"), "unknown theme pink; there are auto"),
        (("core-calls", "--format", "svg"), "svg: only structures have this form"),
        (("svsm-core-create-vcpux",), "nearest: SVSM_CORE_CREATE_VCPU"),
        (("doorbell-page@1999",), "doorbell-page has no revision 1999; there are"),
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
