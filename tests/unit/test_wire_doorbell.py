"""The doorbell page and its earlier layouts: notes, and the two readings of the draft of May 16, 2024."""

from typing import Any

import numpy as np
import pytest

from vmgexit import DoorbellHead, DoorbellPage, ExtIntStatus
from vmgexit.schema import Structure, walk
from vmgexit.wire.doorbell_history import (
    DoorbellHead20240430,
    DoorbellHead20240516,
    DoorbellPage20240516,
    EventsWord20240516,
    ExtIntDescriptor20240430,
    StatusDword,
)
from vmgexit.wire.registry import structures


def notes_of(value: Structure) -> list[tuple[str, str]]:
    return [(note.path, note.text) for note in value.notes()]


@pytest.mark.clause("DESC-1")
def test_the_single_vector_in_bits_7_to_0_is_named() -> None:
    field = ExtIntStatus.declaration.fields[0]
    assert (field.name, field.spec, field.bits) == ("pending_vector", "PendingVector", "7:0")


@pytest.mark.clause("DESC-3")
def test_who_writes_is_said_of_every_field_that_host_and_svsm_share() -> None:
    shared = [place for place in walk(DoorbellHead) if place.is_leaf and place.field.rule is None]
    assert all(
        "host sets" in place.field.access or "SVSM writes" in place.field.access for place in shared
    )


def test_multiple_vectors_are_listed() -> None:
    page = DoorbellPage()
    page.descriptor(2).status = ExtIntStatus(
        pending_vector=0x33, multiple_vectors=True, vector_31=True
    )
    page.descriptor(2).irr = 1 << (0x61 - 32) | 1 << (255 - 32)
    assert notes_of(page) == [
        ("vmpl2", "MultipleVectors: pending are 0x1f, 0x61, 0xff"),
        ("vmpl2.status.pending_vector", "not looked at: MultipleVectors is set"),
    ]
    page.descriptor(2).status.level_sensitive = True
    assert [path for path, _ in notes_of(page)] == ["vmpl2"]
    page.descriptor(2).irr = 0
    page.descriptor(2).status.vector_31 = False
    assert notes_of(page) == [("vmpl2", "MultipleVectors: pending are none")]


@pytest.mark.parametrize("vmpl", [0, -1, 4, True, "1", None, 1.0])
def test_only_vmpl_1_2_and_3_have_a_descriptor(vmpl: int) -> None:
    for page in (DoorbellPage(), DoorbellPage.view(bytearray(4096))):
        with pytest.raises(ValueError, match=r"^vmpl: .* found, 1, 2 or 3 expected"):
            page.descriptor(vmpl)


def test_the_descriptors_stand_in_the_order_of_their_vmpls() -> None:
    page = DoorbellPage.decode(
        bytes(0x44) + b"\1" + bytes(63) + b"\2" + bytes(63) + b"\4" + bytes(3899)
    )
    assert [page.descriptor(vmpl).irr for vmpl in (1, 2, 3)] == [1, 2, 4]
    assert [descriptor.irr for descriptor in page.descriptors] == [1, 2, 4]
    number: Any = np.int64(2)
    assert page.descriptor(number) is page.vmpl2


@pytest.mark.clause("DESC-2")
@pytest.mark.parametrize(
    ("word", "text"),
    [
        (0x0000, "no VMPL by bits 1 to 3 (as written), for no VMPL by bits 8 to 10 (as meant)"),
        (0x0004, "VMPL 2 by bits 1 to 3 (as written), for no VMPL by bits 8 to 10 (as meant)"),
        (0x0200, "no VMPL by bits 1 to 3 (as written), for VMPL 2 by bits 8 to 10 (as meant)"),
        (0x050A, "VMPL 1, 3 by bits 1 to 3 (as written), for VMPL 1, 3 by bits 8 to 10 (as meant)"),
    ],
)
def test_the_draft_of_may_16_shows_both_readings(word: int, text: str) -> None:
    events = EventsWord20240516.of(word)
    assert notes_of(events) == [("", f"interrupt work for {text}")]
    for cls in (DoorbellHead20240516, DoorbellPage20240516):
        data = bytes(2) + word.to_bytes(2, "little") + bytes(cls.size - 4)
        value = cls.decode(data)
        assert notes_of(value) == [("events", f"interrupt work for {text}")]
        assert not value.problems()
        assert value.encode() == data


@pytest.mark.clause("DESC-2")
def test_the_draft_as_meant_is_the_current_layout() -> None:
    data = bytes.fromhex("61810102") + bytes(252)
    draft, current = DoorbellHead20240516.decode(data), DoorbellHead.decode(data)
    assert draft.events.vmpl2_as_meant == current.per_vmpl_events.vmpl2 is True
    assert draft.events.no_eoi_required == bool(current.no_eoi_required)
    assert draft.pending_events.vector == current.vector
    assert draft.pending_events.no_further_signal == current.flags.no_further_signal


@pytest.mark.clause("DESC-2")
@pytest.mark.parametrize("vmpl", [1, 2, 3])
def test_the_slip_is_how_the_status_dword_of_april_had_it(vmpl: int) -> None:
    dword = StatusDword(**{f"vmpl{vmpl}_events": True}).encode()
    assert int.from_bytes(dword[2:], "little") == 1 << vmpl
    events = EventsWord20240516.decode(dword[2:])
    assert getattr(events, f"vmpl{vmpl}_as_written")


def test_april_descriptor_says_which_msr_access_it_carries() -> None:
    # msft-jlange/svsm 8dda0e49: bit 31 of the number tells a write, which alone has RAX and RDX
    status = StatusDword(guest_msr_access=True)
    read = ExtIntDescriptor20240430(status=status, isr=0x808 | 5 << 32 | 6 << 64)
    assert notes_of(read) == [("isr", "GuestMsrAccess (8dda0e49): read of MSR 0x808, not vectors")]
    write = ExtIntDescriptor20240430(status=status, isr=0x80000830 | 0x61 << 32 | 7 << 64)
    text = "GuestMsrAccess (8dda0e49): write of MSR 0x830, RAX 0x61, RDX 0x7, not vectors"
    assert notes_of(write) == [("isr", text)]
    head = DoorbellHead20240430(vmpl3=write)
    assert notes_of(head) == [("vmpl3.isr", text)]


def test_revisions_of_the_doorbell_page() -> None:
    revisions = ["", "2023-rfc", "2024-01-05", "2024-04-30-dword", "2024-04-30", "2024-05-16"]
    assert sorted(structures()["doorbell-page"]) == sorted(revisions)
    assert sorted(structures()["doorbell-head"]) == sorted(revisions)


@pytest.mark.clause("DESC-3")
def test_a_level_triggered_interrupt_has_a_vector() -> None:
    assert [str(problem) for problem in ExtIntStatus(level_sensitive=True).problems()] == [
        "level_sensitive: True: set without a vector in PendingVector [DESC-3]"
    ]
    assert not ExtIntStatus(level_sensitive=True, pending_vector=0x31).problems()
