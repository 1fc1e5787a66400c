"""Whole pages that are neither request nor answer: GHCB at rest, VMSA, secrets, messages, lists."""

from __future__ import annotations

import pytest

from vmgexit import EncodeError, GhcbPage, GuestMessageHeader, PscRequest, SecretsPage, Vmsa
from vmgexit.wire.ap_creation import ApicIdList, apic_id_list_pages
from vmgexit.wire.guest_message import (
    CertificateEntry,
    CertificateTable,
    ReportRequest,
    ReportResponse,
)
from vmgexit.wire.page_state import PscEntry
from vmgexit.wire.reading import Reading
from vmgexit.wire.readings import READINGS, notes_on
from vmgexit.wire.registry import structures

# --- GHCB -----------------------------------------------------------------------------------------


def test_ghcb_at_rest() -> None:
    page = GhcbPage(protocol_version=2)
    assert page.problems() == []
    assert [note.text for note in page.notes()] == ["no exit: the page is at rest"]


def test_ghcb_set_and_mark() -> None:
    page = GhcbPage()
    page.set("rax", 5)
    page.set("cpl", 3)
    assert page.valid_fields() == ["cpl", "rax"]
    assert page.valid_bitmap == 1 << 63 | 1 << 25
    page.mark("rax", valid=False)
    assert not page.is_valid("rax")
    assert page.rax == 5
    assert page.valid_fields() == ["cpl"]


@pytest.mark.parametrize(
    "name", ["valid_bitmap", "x87_state_gpa", "shared_buffer", "protocol_version", "ghcb_usage"]
)
def test_fields_without_a_valid_bit(name: str) -> None:
    with pytest.raises(EncodeError, match=f"{name}: no valid bit stands for offset"):
        GhcbPage().mark(name)
    with pytest.raises(EncodeError, match="no valid bit"):
        GhcbPage().set(name, 1)


def test_bits_of_the_bitmaps_own_quadwords_are_no_fields() -> None:
    page = GhcbPage(valid_bitmap=3 << 126)  # as COCONUT-SVSM's clear() leaves it
    assert page.valid_fields() == []


def test_ghcb_buffer() -> None:
    page = GhcbPage()
    page.write_buffer(b"abc", 2029)
    assert page.encode()[0xFED:0xFF0] == b"abc"
    assert len(page.shared_buffer) == 2032
    for offset in (2030, -1):
        with pytest.raises(EncodeError, match=f"3 bytes at {offset} do not fit"):
            page.write_buffer(b"abc", offset)


def test_ghcb_reserved_bytes_version_and_usage() -> None:
    page = GhcbPage.decode(b"\1" + bytes(0xFF9) + b"\3\0" + b"\7\0\0\0")
    assert [problem.path for problem in page.problems()] == [
        "reserved_0x000",
        "protocol_version",
        "ghcb_usage",
    ]


def test_ghcb_that_is_a_hypercall_page() -> None:
    page = GhcbPage.decode(bytes(0xFFA) + b"\2\0" + b"\1\0\0\0")
    page.set("sw_exit_code", 0x72)
    assert page.problems() == []  # the rules of exits do not apply to it


def test_edk2_reads_more_of_the_page_as_reserved() -> None:
    page = GhcbPage(protocol_version=2)
    page.set("rsi", 1)
    other = structures()["ghcb"]["edk2"].decode(page.encode())
    assert [problem.path for problem in other.problems()] == ["reserved_0x320"]
    assert any("edk2" in note.text and note.path == "rsi" for note in page.notes())


# --- VMSA -----------------------------------------------------------------------------------------


def test_vmsa_notes() -> None:
    vmsa = Vmsa(guest_exit_code=0x403, efer=1 << 12)
    assert vmsa.runnable
    assert [note.text for note in vmsa.notes()] == ["VMGEXIT"]
    vmsa = Vmsa(tsc_aux=1, guest_tsc_scale=1)
    paths = [note.path for note in vmsa.notes()]
    assert paths == ["guest_exit_code", "efer", "guest_tsc_scale", "tsc_aux"]


def test_vmsa_problems() -> None:
    vmsa = Vmsa(vmpl=4)
    vmsa.vintr_ctrl.busy = True
    vmsa.event_inj.type = 1
    assert [problem.path for problem in vmsa.problems()] == [
        "event_inj.type",
        "vmpl",
        "vintr_ctrl.busy",
    ]
    vmsa.sev_features.alternate_injection = True
    assert "vintr_ctrl.busy" not in [problem.path for problem in vmsa.problems()]


def test_vmsa_register_protection() -> None:
    vmsa = Vmsa(reg_prot_nonce=0x1111, rax=0x1234, rcx=0x5678)
    bitmap = 1 << 0x1F8 // 8 | 1 << 0x308 // 8
    hidden = vmsa.tweaked(bitmap)
    assert (hidden.rax, hidden.rcx, hidden.rdx) == (0x1234 ^ 0x1111, 0x5678 ^ 0x1111, 0)
    assert hidden.tweaked(bitmap) == vmsa


# --- secrets page ---------------------------------------------------------------------------------


def test_secrets_page() -> None:
    page = SecretsPage(version=3, svsm_size=0x100000, svsm_caa=0x8000, svsm_guest_vmpl=2)
    assert page.problems() == []
    page.svsm_caa += 8
    page.svsm_guest_vmpl = 0
    assert [problem.path for problem in page.problems()] == ["svsm_caa", "svsm_guest_vmpl"]
    page = SecretsPage()
    assert page.problems() == []
    assert [note.text for note in page.notes()] == ["no SVSM"]


def test_secrets_page_of_a_vmsa_with_two_tweaked_quadwords() -> None:
    page = SecretsPage.decode(bytes(0x100) + b"\x01\x80" + bytes(4096 - 0x102))
    assert page.numbers("vmsa_tweak_bitmap") == [0, 15]


def test_what_coconut_reads_as_reserved() -> None:
    data = SecretsPage(msg_seqno_0=2).encode()
    other = structures()["secrets-page"]["coconut"].decode(data)
    assert [problem.path for problem in other.problems()] == ["reserved_0x0a0"]


# --- guest messages -------------------------------------------------------------------------------


def test_guest_message_header() -> None:
    header = GuestMessageHeader(
        msg_seqno=1, algo=1, hdr_version=1, hdr_sz=0x60, msg_type=5, msg_version=1, msg_sz=96
    )
    assert header.problems() == []
    assert header.encode()[0x30:0x3D] == bytes.fromhex("01 01 6000 05 01 6000 00000000 00")
    assert header.iv == b"\1" + bytes(11)
    assert header.authenticated == header.encode()[0x30:0x60]
    assert len(header.authenticated) == 48


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"algo": 0}, "algo"),
        ({"hdr_version": 2}, "hdr_version"),
        ({"hdr_sz": 0x40}, "hdr_sz"),
        ({"msg_type": 0}, "msg_type"),
        ({"msg_sz": 4000}, ""),
        ({"msg_sz": 4001}, "msg_sz"),
        ({"msg_vmpck": 4}, "msg_vmpck"),
        ({"reserved_0x038": b"\0\1\0\0"}, "reserved_0x038"),
        ({"msg_version": 0}, "msg_version"),
        ({"msg_version": 2}, "msg_version"),
        ({"msg_version": 2, "msg_type": 3}, ""),  # a key request
        ({"msg_version": 2, "msg_type": 25}, ""),  # SEV-TIO
        ({"msg_version": 3, "msg_type": 25}, "msg_version"),
    ],
)
def test_guest_message_header_problems(changes: dict[str, object], path: str) -> None:
    header = GuestMessageHeader(algo=1, hdr_version=1, hdr_sz=0x60, msg_type=6, msg_version=1)
    for name, value in changes.items():
        setattr(header, name, value)
    assert next((problem.path for problem in header.problems()), "") == path
    if path.startswith("reserved"):
        assert "mushroom and Oak" in next(header.notes()).text


def test_report_response() -> None:
    response = ReportResponse(report_size=0x4A0)
    assert [problem.path for problem in response.problems()] == ["report.version"]
    response.report.version = 2
    assert response.problems() == []
    response.report_size = 0x4A1
    assert [problem.path for problem in response.problems()] == ["report_size"]
    response.status, response.report.version = 0x16, 0
    assert response.problems() == []  # a request that failed has no report


def test_report_request_of_oak() -> None:
    request = ReportRequest()
    request.key_select.key = 1
    other = structures()["report-request"]["oak"].decode(request.encode())
    assert [problem.path for problem in other.problems()] == ["reserved_0x044"]


def test_certificate_table() -> None:
    vcek = bytes.fromhex("63da758de6644564adc5f4b93be8accd")
    entry = CertificateEntry(guid=vcek, offset=0x48, length=0x500)
    assert not entry.ends_table
    assert next(entry.notes()).text == "63da758d-e664-4564-adc5-f4b93be8accd: VCEK"
    assert CertificateEntry().ends_table
    assert next(CertificateEntry().notes()).text == "end of the table"
    assert next(CertificateEntry(guid=b"\1" * 16).notes()).text.endswith(": not known")
    table = CertificateTable(entries=[entry, CertificateEntry()], rest=bytes(0x518))
    assert table.encode()[0x18:0x30] == bytes(24)
    [body] = table.bodies()
    assert (body.name, body.offset, body.length) == ("VCEK", 0x48, 0x500)
    assert table.problems() == []


# --- lists ----------------------------------------------------------------------------------------


def test_page_state_request() -> None:
    entry = PscEntry(frame=0xC000000, operation=2)
    data = PscRequest(entries=[entry] * 3).encode()
    assert data[:16] == bytes.fromhex("0000 0200 00000000 000000 00c0002000")
    request = PscRequest.decode(data + b"\xff" * 8)  # past end_entry: not looked at
    assert request.rest == b"\xff" * 8
    assert request.problems() == []
    request.entries[2].large = True
    request.entries[2].frame = 1
    assert [problem.path for problem in request.problems()] == ["entries[2].frame"]
    request.header.cur_entry = 3
    assert request.header.done
    assert "nothing is left to do" in str(next(request.header.notes()))
    assert [problem.path for problem in request.problems()] == ["entries[2].frame"]


@pytest.mark.parametrize(("count", "paths"), [(0, 1), (253, 0), (254, 2)])
def test_page_state_request_of(count: int, paths: int) -> None:
    request = PscRequest(entries=[PscEntry(frame=1, operation=1)] * count)
    assert request.header.end_entry == max(count - 1, 0)
    assert [problem.path for problem in PscRequest.decode(request.encode()).problems()] == [
        "header.end_entry"
    ] * paths


def test_apic_id_list() -> None:
    listed = ApicIdList.decode(bytes.fromhex("02000000 01000000 05000000") + bytes(4084))
    assert listed.apic_ids() == [1, 5]
    assert next(listed.notes()).text == "0x1, 0x5"
    assert listed.problems() == []
    assert [apic_id_list_pages(vcpus) for vcpus in (0, 1, 1023, 1024)] == [1, 1, 1, 2]


# --- readings -------------------------------------------------------------------------------------


@pytest.mark.parametrize("reading", READINGS, ids=lambda reading: reading.topic)
def test_reading_names_what_exists(reading: Reading) -> None:
    assert reading.chosen != reading.other
    assert " / " in reading.source or reading.source in ("each as stated", "Linux (both)")
    if reading.of:
        revisions = structures()[reading.of]
        assert reading.revision in revisions
        if reading.field:
            assert reading.field in [field.name for field in revisions[""].declaration.fields]


@pytest.mark.parametrize(
    "reading", [row for row in READINGS if row.field], ids=lambda row: f"{row.of}.{row.field}"
)
def test_reading_shows_in_the_notes(reading: Reading) -> None:
    cls = structures()[reading.of][""]
    field = cls.declaration[reading.field]
    size = cls.size
    zero = cls.decode(bytes(size))
    assert not any(note.path == reading.field for note in notes_on(zero))
    full = cls.decode(((1 << field.width) - 1 << field.bit_offset).to_bytes(size, "little"))
    texts = [note.text for note in full.notes() if note.path == reading.field]
    assert any(reading.other in text for text in texts)
