"""Every form of line that is known: an example of it, and the readings that its source demands."""

from __future__ import annotations

import pytest

from tests.conformance.ladders import guest_lines, log_lines
from tests.conformance.ladders.log_lines import AREA, SAVED
from vmgexit.explain.form import Form
from vmgexit.explain.forms import FORMS
from vmgexit.explain.lines import Known, Reader
from vmgexit.explain.meanings import meaning_in

ROWS = [*log_lines.ROWS, *guest_lines.ROWS]
SAVE_AREA = b"kvm_amd: VMCB State Save Area:"


def read(line: str, before: bytes = b"") -> Known:
    """What the line says; `before` is the line above it."""
    *_, found = Reader().lines([before, line.encode()])
    assert isinstance(found.says, Known)
    return found.says


def check(known: Known, readings: dict[str, int | str]) -> None:
    said = {word.name: word for word in known.words}
    assert {
        name: said[name].value if isinstance(expected, int) else said[name].text or said[name].value
        for name, expected in readings.items()
    } == readings


@pytest.mark.parametrize(("line", "readings"), ROWS, ids=[row[0][-60:] for row in ROWS])
def test_line(line: str, readings: dict[str, int | str]) -> None:
    check(read(line), readings)


INSIDE = [*AREA, *SAVED]


@pytest.mark.parametrize(("line", "readings"), INSIDE, ids=[row[0][9:30] for row in INSIDE])
def test_line_of_a_dump_of_a_vmcb(line: str, readings: dict[str, int | str]) -> None:
    """These are known below a line of the same dump; alone they may be anyone's."""
    check(read(line, SAVE_AREA), readings)
    reader = Reader()
    [alone] = [*reader.lines([line.encode()]), *reader.finish()]
    assert not isinstance(alone.says, Known)


def test_every_form_has_a_row() -> None:
    seen = {read(line).form for line, _ in ROWS} | {
        read(line, SAVE_AREA).form for line, _ in INSIDE
    }
    assert [form.text for form in FORMS if form not in seen] == []


def test_every_form_names_its_public_source() -> None:
    projects = (
        "Linux ", "QEMU ", "edk2 ", "COCONUT-SVSM ", "OpenVMM ", "AMDESE/linux-svsm ", "libkrun ",
        "AMDESE/sev-guest ", "virtee/sev ",
    )  # fmt: skip
    assert [form.text for form in FORMS if not form.source.startswith(projects)] == []
    assert len(FORMS) >= 60


@pytest.mark.parametrize("form", FORMS, ids=[form.text[:40] for form in FORMS])
def test_every_hole_has_a_meaning(form: Form) -> None:
    assert all(meaning_in(form, name).title for name in form.holes)


@pytest.mark.parametrize(
    "line", ["iwlwifi: firmware error 5", "Boot Status Code: 0x16", "firmware error detected"]
)
def test_what_others_say_too_is_known_only_as_a_whole_line(line: str) -> None:
    [found] = Reader().lines([line.encode()])
    assert found.says is None
