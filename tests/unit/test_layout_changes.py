"""What a draft changed: pairs of parts, tables, pictures, and the committed page of the doorbell."""

import dataclasses
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from vmgexit.errors import UsageError
from vmgexit.layout.changes import history, picture, table
from vmgexit.layout.changes.compared import KINDS, compared, layout_of
from vmgexit.layout.subjects import published
from vmgexit.schema import Structure

COMMITTED = Path(__file__).parents[2] / "specs" / "revisions"


def told(before: str, after: str) -> list[tuple[str, ...]]:
    """Every change as kinds, names and first places before and after."""
    return [
        (
            ", ".join(change.kinds),
            *(f"{parts[0].name} {parts[0].place}" if parts else "" for parts in sides),
        )
        for change in compared(layout_of(before), layout_of(after))
        if change.kinds
        for sides in [(change.before, change.after)]
    ]


@pytest.mark.clause("DESC-2")
def test_what_became_of_the_slip_of_may_16() -> None:
    assert told("doorbell-page@2024-05-16", "doorbell-page") == [
        ("widened", "NoEoiRequired 0x002 bit 0", "NoEoiRequired 0x002, 1 byte"),
        ("removed", "Vmpl1AsWritten 0x002 bit 1", ""),
        ("removed", "Vmpl2AsWritten 0x002 bit 2", ""),
        ("removed", "Vmpl3AsWritten 0x002 bit 3", ""),
        ("renamed", "Vmpl1AsMeant 0x002 bit 8", "VMPL1 0x003 bit 0"),
        ("renamed", "Vmpl2AsMeant 0x002 bit 9", "VMPL2 0x003 bit 1"),
        ("renamed", "Vmpl3AsMeant 0x002 bit 10", "VMPL3 0x003 bit 2"),
    ]


def test_a_structure_that_is_new_is_one_change_with_all_its_places() -> None:
    """Also where parts of the old one are inside another now: the status dword of April 30."""
    changes = compared(
        layout_of("doorbell-page@2024-04-30-dword"), layout_of("doorbell-page@2024-04-30")
    )
    *parts, whole = [change for change in changes if change.kinds]
    assert [change.after[0].path for change in parts] == ["executing.irr", "executing.isr"]
    assert [part.path for part in whole.after] == ["vmpl1", "vmpl2", "vmpl3"]
    assert [part.start // 8 for part in whole.after] == [0x40, 0x80, 0xC0]


def test_the_same_part_of_three_descriptors_is_said_once() -> None:
    changes = compared(layout_of("doorbell-page@2024-04-30"), layout_of("doorbell-page@2024-05-16"))
    [new] = [change for change in changes if change.after and "ipi_req" in change.after[0].path]
    assert [part.place for part in new.after] == ["0x040 bit 27", "0x080 bit 27", "0x0c0 bit 27"]


def test_fields_that_moved_and_one_that_is_new() -> None:
    assert told("tcb-version", "tcb-version@turin") == [
        ("added", "", "FMC 0x000 bits 7:0"),
        ("moved", "BOOT_LOADER 0x000 bits 7:0", "BOOT_LOADER 0x000 bits 15:8"),
        ("moved", "TEE 0x000 bits 15:8", "TEE 0x000 bits 23:16"),
        ("moved", "SNP 0x000 bits 55:48", "SNP 0x000 bits 31:24"),
    ]


@pytest.mark.clause("REG-9")
def test_values_that_mean_something_else() -> None:
    assert told("apic-configure-emulation@2024-05-16", "apic-configure-emulation") == [
        ("renamed", "Request DISABLED value 0x0", "Request ALIGN value 0x0"),
        ("renamed", "Request ENABLED value 0x1", "Request DEREGISTER value 0x1"),
        ("renamed", "Request LOCKED value 0x2", "Request REGISTER value 0x2"),
    ]


def test_calls_of_a_protocol() -> None:
    calls = [row for row in told("observability@2026-08-18", "observability") if "SVSM" in row[1]]
    assert calls == [
        ("renamed", "SVSM_OCP_LIST_OBJECTS call 0", "SVSM_OMP_LIST call 0"),
        ("moved, renamed", "SVSM_OCP_READ call 2", "SVSM_OMP_READ call 1"),
        ("removed", "SVSM_OCP_LIST_OBJECT_SOURCES call 1", ""),
        ("moved, renamed", "SVSM_OCP_WRITE call 3", "SVSM_OMP_WRITE call 2"),
    ]


def test_registers_of_a_call() -> None:
    assert told("SVSM_OCP_READ@2026-04-14", "SVSM_OMP_READ") == [
        (
            "redefined",
            "index of the source RCX in of call 1",
            "guest-physical address of the source's identifier RCX in of call 1",
        ),
        (
            "redefined",
            "bytes to read R8 in of call 1",
            "bytes to read, bits 31:0: at most 4096 R8 in of call 1",
        ),
    ]


@pytest.mark.parametrize("cls", published(), ids=lambda cls: cls.__name__)
def test_nothing_changed_beside_itself(cls: type[Structure]) -> None:
    layout = layout_of(f"{cls.declaration.name}@{cls.declaration.revision}".removesuffix("@"))
    assert not [change for change in compared(layout, layout) if change.kinds]
    assert table.NOTHING in table.text(layout, layout)


def test_a_picture_names_every_change_and_has_a_colour_for_each_kind() -> None:
    layouts = layout_of("doorbell-page@2024-05-16"), layout_of("doorbell-page")
    root = ET.fromstring(picture.render(*layouts))
    words = ["".join(text.itertext()) for text in root.iter("{http://www.w3.org/2000/svg}text")]
    for word in ("widened", "removed", "renamed", "Vmpl3AsMeant", "0x002 bit 10", "0x003 bit 2"):
        assert word in words
    assert words.count("renamed") == 3
    for kind in KINDS:
        assert f".box.{kind} " in picture.render(*layouts)


def test_hostile_names_stay_text() -> None:
    before, after = layout_of("doorbell-page@2024-05-16"), layout_of("doorbell-page")
    hostile = dataclasses.replace(after, title="<script>\x00&", label="<b>|*")
    ET.fromstring(picture.render(before, hostile))


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("SVSM_APIC_EIO", "no call SVSM_APIC_EIO; nearest: SVSM_APIC_"),
        ("apic@2020", "no revision 2020 of APIC; there are the current one"),
        ("doorbel-page", "unknown structure doorbel-page; nearest: doorbell-page"),
    ],
)
def test_a_name_that_is_none(name: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        layout_of(name)


def test_one_kind_is_compared_with_itself() -> None:
    with pytest.raises(UsageError, match="doorbell-page is a structure, apic a protocol"):
        compared(layout_of("doorbell-page"), layout_of("apic"))


def test_one_revision_has_no_history() -> None:
    with pytest.raises(UsageError, match="apic-icr has one revision"):
        history.steps("apic-icr")


def test_the_committed_page_of_the_doorbell_is_current() -> None:
    made = history.pages("doorbell-page")
    found = {path.name: path.read_text(encoding="utf-8") for path in COMMITTED.iterdir()}
    assert found == made, (
        "stale: refresh with `vmgexit layout --diff doorbell-page -o specs/revisions`"
    )
    assert made["doorbell-page.md"].count("\n## ") == 5
