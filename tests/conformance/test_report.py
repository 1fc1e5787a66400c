"""The attestation report: reports of each version, made from field values."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmgexit import AttestationReport, DecodeError, GuestPolicy, TcbVersion
from vmgexit.cli import main
from vmgexit.wire.report import TcbVersionTurin

CASE = Path(__file__).parents[2] / "corpus" / "cases" / "report-v3-genoa.bin"

GENOA = 0x5417_0000_0000_000A
TURIN = 0x4D00_0000_0201_0102


def report(version: int, *, tcb: int = GENOA, **changes: bytes) -> bytes:
    """A report in the shape of real ones: policy 0x30000, VMPL 1, ECDSA, firmware 1.55.29."""
    data = bytearray(0x4A0)
    data[0:4] = version.to_bytes(4, "little")
    data[0x8:0x10] = (0x30000).to_bytes(8, "little")
    data[0x30:0x38] = bytes.fromhex("01000000 01000000")
    for at in (0x38, 0x180, 0x1E0, 0x1F0):
        data[at : at + 8] = tcb.to_bytes(8, "little")
    data[0x40] = 0x25
    data[0x50:0x90] = bytes(range(64))
    data[0x90:0xC0] = bytes(range(48))
    data[0x1A0:0x1E0] = bytes(range(64))
    data[0x1E8:0x1F0] = bytes.fromhex("1d370100 1d370100")
    data[0x2A0:0x2A4] = b"\x12\x34\x56\x78"
    for place, held in changes.items():
        at = int(place[1:], 16)
        data[at : at + len(held)] = held
    return bytes(data)


REPORTS = {
    "2": report(2),
    "3, Genoa": report(3, x188=bytes.fromhex("191101")),
    "3, Turin": report(3, x188=bytes.fromhex("1a0201"), tcb=TURIN),
    "4": report(4, x188=bytes.fromhex("190101")),
    "5": report(5, x188=bytes.fromhex("1a0201"), tcb=TURIN, x1F8=bytes.fromhex("0700000000000000")),
}


@pytest.mark.parametrize("data", REPORTS.values(), ids=list(REPORTS))
def test_a_report_of_each_version_breaks_no_rule(data: bytes) -> None:
    value = AttestationReport.decode(data, strict=True)
    assert value.encode() == data
    assert str(value.current) == str(value.committed) == "1.55.29"
    assert (value.policy.smt, value.policy.debug, value.policy.abi_major) == (True, False, 0)
    assert (value.platform_info.smt_en, value.platform_info.ecc_en) == (True, True)
    assert value.platform_info.alias_check_complete


def notes(data: bytes) -> list[str]:
    return [note.text for note in AttestationReport.decode(data).notes()]


def test_the_processor_chooses_the_layout_of_the_tcb_words() -> None:
    assert notes(REPORTS["3, Genoa"]) == [
        "Genoa",
        "firmware 1.55.29, committed 1.55.29",
        "TCB            BOOT_LOADER  TEE  SNP  MICROCODE",
        "current_tcb             10    0   23         84",
        "reported_tcb            10    0   23         84",
        "committed_tcb           10    0   23         84",
        "launch_tcb              10    0   23         84",
    ]
    shown = notes(REPORTS["3, Turin"])
    assert shown[2] == "TCB            FMC  BOOT_LOADER  TEE  SNP  MICROCODE"
    assert shown[3] == "current_tcb      2            1    1    2         77"
    both = notes(REPORTS["2"])
    assert [text.split("  ")[0] for text in both if "TCB as" in text] == [
        "TCB as TcbVersion",
        "TCB as TcbVersionTurin",
    ]


@pytest.mark.parametrize(
    ("data", "broken"),
    [
        (report(2, x188=b"\x19"), ["cpuid_fam_id"]),
        (report(4, x188=b"\x19", x200=b"\x01"), ["current_mit_vector"]),
        (report(5, x18B=b"\x01"), ["reserved_0x18b"]),
        (report(1), ["version"]),
        (report(3, x8=bytes(8)), ["policy.one"]),
        (report(3, x34=b"\x07"), ["signature_algo"]),
        (report(3, x40=b"\x40"), ["platform_info.reserved_6"]),
    ],
)
def test_what_a_version_does_not_have_is_reserved(data: bytes, broken: list[str]) -> None:
    value = AttestationReport.decode(data)
    assert [problem.path for problem in value.problems()] == broken
    with pytest.raises(DecodeError):
        AttestationReport.decode(data, strict=True)


def test_a_later_version_is_read_and_not_called_broken() -> None:
    data = report(9, x188=bytes.fromhex("1a0201"), x208=b"\x01", x18B=b"\x02", x40=b"\x40")
    value = AttestationReport.decode(data, strict=True)
    assert value.problems() == []
    assert next(iter(value.notes())).text == (
        "newer than 5: read as far as version 5 goes; some bytes that were reserved then are not zero"
    )


def test_words() -> None:
    assert TcbVersion.of(GENOA) == TcbVersion(boot_loader=10, snp=0x17, microcode=0x54)
    assert TcbVersionTurin.of(TURIN) == TcbVersionTurin(
        fmc=2, boot_loader=1, tee=1, snp=2, microcode=0x4D
    )
    assert int(GuestPolicy(smt=True)) == 0x30000
    assert GuestPolicy.of(0xB0000).debug


def test_the_case_of_a_genoa(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decode", "attestation-report", str(CASE), "--strict"]) == 0
    shown = capsys.readouterr().out
    assert "cpuid_fam_id: Genoa" in shown
    assert "committed_tcb           10    0   23         84" in shown
    assert "firmware 1.55.29, committed 1.55.29" in shown
