"""Clauses, their figures, and who cites them: in our specs, and in small checkouts with one mistake."""

from pathlib import Path

import pytest

from vmgexit.clauses.figures import contradicted, figure
from vmgexit.clauses.judged import specification
from vmgexit.clauses.text import Mark
from vmgexit.errors import UsageError

ROOT = Path(__file__).parents[2]
CHECKED = '@pytest.mark.clause("ABC-1")\ndef test_it():\n    assert True\n'


def mistakes(folder: Path, clause: str, *, code: str = "", test: str = CHECKED) -> list[str]:
    """What is wrong in a checkout with one clause, one module and one test."""
    links = "[a bit]: x.md\n[ConfigureRequest.REGISTER]: x.md\n[gone bit]: y.md\n"
    for name, text in {
        "specs/x.md": f"# Title\n\n**ABC-1.** {clause}\n\n{links}",
        "protocol/x.py": code,
        "fuzz/x.py": "",
        "tests/test_x.py": test,
    }.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return list(specification(folder).mistakes())


def test_nothing_is_wrong_with_ours() -> None:
    """Every clause has a test, every id a clause, and every figure is as declared."""
    assert list(specification(ROOT).mistakes()) == []


def test_every_figure_of_ours_by_hand() -> None:
    """As a reader sees them; what each is compared with is another test's."""
    written = {
        clause.id: [mark.written for mark in clause.marks]
        for clause in specification(ROOT).clauses
        if clause.marks
    }
    assert written == {
        "DESC-1": ["7:0"],
        "DESC-2": ["8", "9", "10", "16-bit", "3", "0", "2"],
        "REG-2": ["three", "0b10", "0b01", "0b00"],
        "REG-4": ["0b01", "0b00"],
        "REG-5": ["0b00"],
        "REG-6": ["0b00"],
        "REG-7": ["0b00"],
        "REG-8": ["call 5", "call 1"],
        "REG-9": ["1", "2", "0"],
        "INV-2": ["31", "255"],
    }


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("ext-int-status.pending_vector bits", "7:0"),
        ("ext-int-status.multiple_vectors bit", 14),
        ("doorbell-page.vmpl2 byte", 0x80),
        ("doorbell-page.vmpl2.isr byte", 0xA0),
        ("doorbell-page size", 4096),
        ("vmpl-events width", 8),
        ("ext-int-descriptor.irr size", 28),
        ("ext-int-descriptor.irr first", 32),
        ("ext-int-descriptor.irr last", 255),
        ("ext-int-status.reserved_26_15 width", 12),
        ("doorbell-events@2024-05-16.vmpl1_as_meant bit", 8),
        ("ConfigureRequest.REGISTER", 2),
        ("ConfigureRequest count", 3),
        ("ExitCode.HV_DOORBELL_PAGE", 0x80000014),
        ("SVSM_APIC_CONFIGURE_VECTOR call", 4),
        ("APIC protocol", 3),
        ("APIC count", 5),
        ("doorbell.LOWEST_VECTOR", 31),
    ],
)
def test_paths(path: str, expected: str | int) -> None:
    assert figure(path) == expected


@pytest.mark.parametrize(
    ("written", "path", "complaint"),
    [
        ("0b10", "ConfigureRequest.REGISTER", ""),
        ("three", "ConfigureRequest count", ""),
        ("16-bit", "doorbell-events@2024-05-16 width", ""),
        ("0x80", "doorbell-page.vmpl2 byte", ""),
        ("call 5", "APIC unused", ""),
        ("1", "vmpl-events.vmpl1 bit", "1 found, vmpl-events.vmpl1 bit is 0"),
        ("two", "ConfigureRequest count", "two found, ConfigureRequest count is 3"),
        ("8:0", "ext-int-status.pending_vector bits", "8:0 found, ext-int-status.pending_vector bits"),
        ("many", "ConfigureRequest count", "many found, ConfigureRequest count is 3"),
        ("call 4", "APIC unused", "4 is said to be no call, and is SVSM_APIC_CONFIGURE_VECTOR"),
        ("1", "vmpl-event.vmpl1 bit", "[1][vmpl-event.vmpl1 bit]: unknown structure vmpl-event; nearest"),
        ("1", "vmpl-events.vmpl4 bit", "vmpl-events has no field vmpl4; nearest"),
        ("1", "vmpl-events.vmpl1 colour", "no figure colour; there are bit, bits, byte"),
        ("1", "vmpl-events byte", "vmpl-events is a structure, and has no byte"),
        ("1", "ConfigureRequest.REGISTRE", "ConfigureRequest has no REGISTRE; nearest: REGISTER"),
        ("1", "SVSM_APIC_EIO call", "no call SVSM_APIC_EIO; nearest"),
        ("1", "doorbell.SOURCE", "doorbell has no number SOURCE"),
        ("1", "nothing", "no codes and no chapter"),
        ("1", "APCI unused", "no protocol APCI; nearest: APIC"),
    ],
)  # fmt: skip
def test_figures_beside_declarations(written: str, path: str, complaint: str) -> None:
    found = contradicted(Mark(written, path))
    assert complaint in found
    assert bool(found) == bool(complaint)


def test_a_right_checkout(tmp_path: Path) -> None:
    text = (
        "A value of [0b10][ConfigureRequest.REGISTER] in CR8 of VMPL 1, 2 or 3, since May 16, 2024."
    )
    assert mistakes(tmp_path, text, code='"""As ABC-1 says."""') == []


@pytest.mark.parametrize(
    ("clause", "code", "test", "complaint"),
    [
        ("Ten.", "", "", "specs/x.md:3: ABC-1 is checked by no test"),
        ("It.", "# ABC-2\n", CHECKED, "protocol/x.py:1: ABC-2 is defined nowhere in specs"),
        ("It.", "x = f(clause='XYZ-1')\n", CHECKED, "protocol/x.py:1: XYZ-1 is defined nowhere"),
        ("It.", '"""ABC-1 to\nABC-2"""\n', CHECKED, "protocol/x.py:1: ABC-2 is defined nowhere"),
        ("It.", "", CHECKED + CHECKED.replace("-1", "-7"), "tests/test_x.py:5: ABC-7 is defined now"),
        ("Bit 3.", "", CHECKED, "specs/x.md:3: ABC-1: 3 has no mark"),
        ("At 0x10.", "", CHECKED, "specs/x.md:3: ABC-1: 0x10 has no mark"),
        ("[0b11][ConfigureRequest.REGISTER]", "", CHECKED, "ABC-1: 0b11 found, ConfigureRequest.REG"),
        ("[0b01][ConfigureRequest.DEREGISTER]", "", CHECKED, "[ConfigureRequest.DEREGISTER] has no link"),
        ("It.\n\n**ABC-1.** Again.", "", CHECKED, "specs/x.md:3: ABC-1 is defined 2 times"),
    ],
)  # fmt: skip
def test_one_mistake(tmp_path: Path, clause: str, code: str, test: str, complaint: str) -> None:
    found = mistakes(tmp_path, clause, code=code, test=test)
    assert any(complaint in line for line in found), found


def test_a_link_that_leads_nowhere(tmp_path: Path) -> None:
    assert "specs/x.md:3: ABC-1: [gone bit] leads to y.md, which is missing" in mistakes(
        tmp_path, "[1][gone bit]"
    )


def test_a_folder_without_clauses(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no clauses found, a checkout expected"):
        specification(tmp_path)
