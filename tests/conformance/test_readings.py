"""Points on which sources differ, and refusals for which public code cites the specification.

Values and results are literal, from COCONUT-SVSM (the commits named), the KVM planes series and the
mails named in the rows.
"""

from __future__ import annotations

import json

import pytest

from vmgexit import CallingArea, DoorbellHead, DoorbellPage, PvalidateEntry, RunVmpl
from vmgexit.cli import main
from vmgexit.layout.pages import rendered
from vmgexit.machine.commands import call
from vmgexit.machine.machine import Machine
from vmgexit.schema import Structure
from vmgexit.wire.calls import find_call

INVALID_ADDRESS = 0x80000003
INVALID_PARAMETER = 0x80000005


def notes_at(value: Structure, path: str) -> list[str]:
    return [note.text for note in value.notes() if note.path == path]


@pytest.mark.parametrize("cls", [DoorbellHead, DoorbellPage, CallingArea])
@pytest.mark.parametrize(("byte", "differs"), [(0, False), (1, False), (2, True), (0x81, True)])
def test_no_eoi_required_is_a_byte_or_a_bit(cls: type[Structure], byte: int, differs: bool) -> None:
    value = cls.decode(bytes([0, 0, byte]) + bytes(cls.size - 3))
    said = [text for text in notes_at(value, "no_eoi_required") if "bit 0 alone" in text]
    assert len(said) == differs


@pytest.mark.parametrize(("vmpl", "differs"), [(2, False), (0x1_0000_0002, True)])
def test_run_vmpl_has_64_bits_or_32(vmpl: int, differs: bool) -> None:
    assert ["bits 31:0" in text for text in notes_at(RunVmpl(vmpl=vmpl), "vmpl")] == [
        True
    ] * differs


def test_a_reserved_bit_of_a_pvalidate_entry_may_be_a_flag_of_version_2() -> None:
    entry = PvalidateEntry.decode(bytes.fromhex("1410000000000000"))
    (said,) = notes_at(entry, "reserved_11_4")
    assert "version 2's flag" in said
    assert "not published which" in said
    assert [problem.path for problem in entry.problems()] == ["reserved_11_4"]
    assert list(PvalidateEntry.decode(bytes.fromhex("0410000000000000")).notes()) == []


@pytest.mark.parametrize(
    ("request_", "rcx", "rdx", "result"),
    [
        (2, 0x803, 0, INVALID_ADDRESS),  # no such register
        (2, 0x80B, 0, INVALID_PARAMETER),  # EOI is write-only
        (3, 0x803, 0, INVALID_ADDRESS),
        (3, 0x802, 0, INVALID_PARAMETER),  # ID is read-only
        (3, 0x80D, 0, INVALID_PARAMETER),  # so is LDR
        (3, 0x80B, 1, INVALID_PARAMETER),  # EOI takes 0 alone
        (3, 0x830, 1 << 20 | 0x40, INVALID_PARAMETER),  # ICR, bit 20
    ],
)
def test_what_an_apic_call_refuses(request_: int, rcx: int, rdx: int, result: int) -> None:
    described = find_call(3, request_)
    assert described is not None
    assert result in [refusal.result for refusal in described.refusals]
    machine = Machine("reference")
    machine.execute({"op": "init", "cpus": 1, "reg_count": 1})
    assert machine.execute(call(0, request_, rcx, rdx))["rax"] == result


def test_every_svsm_reads_ldr() -> None:
    machine = Machine("reference")
    machine.execute({"op": "init", "cpus": 1, "reg_count": 1})
    answer = machine.execute(call(0, 2, 0x80D))
    assert (answer["rax"], answer["rdx"]) == (0, 1)  # APIC ID 0: cluster 0, bit 0


def test_calls_that_take_a_calling_area_refuse_an_unaligned_one() -> None:
    remap, create = find_call(0, 0), find_call(0, 2)
    assert remap is not None
    assert create is not None
    assert [(r.result, r.when) for r in remap.refusals] == [
        (INVALID_PARAMETER, "RCX is not 4 KiB aligned")
    ]
    assert [(r.result, r.when) for r in create.refusals] == [
        (INVALID_ADDRESS, "RDX is not 4 KiB aligned")
    ]
    machine = Machine("reference")
    machine.execute({"op": "init", "cpus": 1, "reg_count": 1})
    assert machine.execute(call(0, 0, 0x7800, protocol=0))["rax"] == INVALID_PARAMETER


@pytest.mark.parametrize(
    ("question", "answers"),
    [
        ("NoEoiRequired", ["bit 0 alone; bits 7:1 are reserved"]),
        ("REGISTER_GPA_REQUEST", ["the new page takes its place", "draft of GHCB 2.04"]),
        ("run-vmpl", ["otherwise bits 31:0", "KVM planes series"]),
        ("SVSM_APIC_WRITE_REGISTER", ["the register is EOI, and RDX is not 0", "229c0283"]),
        ("SVSM_CORE_CREATE_VCPU", ["RDX is not 4 KiB aligned", "63e9f174"]),
        ("pvalidate-entry", ["not published which", "draft 3 of SVSM 1.01"]),
        ("sev-status", ["SEV_STATUS bits 13 and 15"]),
    ],
)
def test_explain_shows_it(
    question: str, answers: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", question]) == 0
    shown = capsys.readouterr().out
    assert [answer for answer in answers if answer not in shown] == []


def test_list_shows_readings(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--json", "readings", "no_eoi_required"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {row["of"] for row in rows if row["field"] == "no_eoi_required"} == {
        "calling-area",
        "doorbell-head",
        "doorbell-page",
    }
    assert main(["list", "readings", "0x80000020"]) == 0
    assert "exit code of the TIO guest request" in capsys.readouterr().out


@pytest.mark.parametrize("format", ["text", "md"])
def test_layouts_show_where_sources_differ(format: str) -> None:
    shown = " ".join(rendered(format, [RunVmpl]).decode().split())
    assert "Sources differ" in shown
    assert "bits 31:0" in shown
