"""`vmgexit decode ghcb --host`, and `vmgexit replay` of what hosts answered."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from vmgexit import GhcbPage
from vmgexit.wire.exit_codes import ExitCode

CORPUS = Path(__file__).parents[2] / "corpus"
KVM = CORPUS / "recordings" / "kvm" / "kvm-msr.jsonl.xz"


@pytest.fixture
def rdtsc(tmp_path: Path) -> str:
    file = tmp_path / "rdtsc.bin"
    file.write_bytes(GhcbPage.for_exit(ExitCode.RDTSC).encode())
    return str(file)


def told(out: str) -> list[str]:
    return out[out.index("\nhost ") + 1 :].splitlines()


def test_what_a_host_would_answer(run: Run, rdtsc: str) -> None:
    assert told(run("decode", "ghcb", rdtsc, "--host", "kvm").out) == [
        "host kvm: gpa=0x1000 ghcb_version=2 snp=true registered=0x1000",
        "  run        an internal error goes to user space, exit code 0x6e",
        "  status     0x0, DONE",
        "  detail     0x0",
        "  valid      sw_exit_info_1, sw_exit_info_2",
        "  asked      nothing",
        "  departs    rdtsc-ends-run: RDTSC passes the checks and ends in an internal error to user space",
    ]
    words = ("decode", "ghcb", rdtsc, "--host", "reference", "--vm", "tsc_value=0x100000005")
    lines = told(run(*words).out)
    assert "  rax        0x5" in lines
    assert "  rdx        0x1" in lines


def test_the_page_lies_where_its_scratch_area_does(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "read.bin"
    page = GhcbPage.for_exit(ExitCode.MMIO_READ, 0xFEE00020, 4, gpa=0x7FFF00003000)
    file.write_bytes(page.encode())
    words = ("decode", "ghcb", str(file), "--host", "kvm", "--vm", "device_byte=0x5a", "--json")
    answered = json.loads(run(*words).out)["host"]
    assert answered["vm"]["gpa"] == 0x7FFF00003000
    assert answered["answer"]["asked"] == [["mmio-read", 0xFEE00020, 4]]
    assert answered["answer"]["buffer"] == [[0x800, "5a5a5a5a"]]
    assert answered["departures"] == ["registers-always-returned"]


def test_what_a_host_asks_has_names(run: Run) -> None:
    page = str(CORPUS / "guests" / "linux-psc-one-private.bin")
    lines = told(run("decode", "ghcb", page, "--host", "kvm").out)
    assert "  status     0x0, DONE" in lines
    assert "  asked      map gpa=0x12345000 pages=1 attributes=0x10 (private)" in lines
    small = "psc-small-entry-marked-one"
    assert f"  departs    {small}: a finished 4 KiB entry has current page 1" in lines
    lines = told(run("decode", "ghcb", page, "--host", small).out)
    assert lines[-1] == f"  departs    {small}: a finished 4 KiB entry has current page 1"
    assert not any(
        "departs" in line for line in told(run("decode", "ghcb", page, "--host", "reference").out)
    )


@pytest.mark.parametrize(("host", "features"), [("kvm", 0x3), ("kvm-planes", 0x37)])
def test_a_host_announces_its_own_features(run: Run, host: str, features: int) -> None:
    # KVM: SNP, AP creation; its planes series: restricted injection, APIC ID list, several VMPLs too.
    page = ("decode", "ghcb", str(CORPUS / "guests" / "ovmf-features.bin"), "--host", host)
    assert f"  detail     {features:#x}" in told(run(*page).out)
    assert "  detail     0x21" in told(run(*page, "--vm", "features=0x21").out)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--host", "xen"], "unknown profile xen; expected reference, kvm"),
        (["--vm", "snp=true"], "--vm found without --host"),
        (["--host", "kvm", "--vm", "snp=3"], "--vm snp: '3' found, true or false expected"),
        (
            ["--host", "kvm", "--vm", "wheels=3"],
            "--vm wheels=3: unknown key; keys: gpa, ghcb_version, ",
        ),
        (
            ["--host", "kvm", "--vm", "gpa=0x1001"],
            "--vm gpa: '0x1001' found, a 4 KiB aligned address below 2^64 expected",
        ),
        (["--host", "kvm", "--vm", "ghcb_version=3"], "a number from 1 to 2 expected"),
        (["--host", "kvm", "--vm", "memory=[[1]]"], "a list of [place, hex]"),
        (["--host", "kvm", "--vm", "snpp=1"], "--vm snpp=1: unknown key; nearest: snp; keys: "),
        (["--host", "kvm", "--vm", "snp"], "--vm snp: snp=value expected"),
    ],
)
def test_bad_settings(run: Run, rdtsc: str, words: list[str], complaint: str) -> None:
    assert complaint in run("decode", "ghcb", rdtsc, *words).complaint


def test_only_a_ghcb_page_is_answered(run: Run) -> None:
    complaint = run("decode", "ghcb-msr", "0x100", "--host", "kvm").complaint
    assert "--host answers a ghcb page, ghcb-msr found" in complaint


def test_replay_takes_the_machine_from_the_lines(run: Run) -> None:
    both = (str(KVM), str(CORPUS / "hosts" / "rdtsc-ends-run.jsonl"))
    ran = run("replay", "--profile", "kvm", *both)
    assert (ran.code, ran.out) == (0, "501 sequences, 1002 operations, 0 mismatches\n")
    complaint = run("replay", "--profile", "coconut", str(KVM)).complaint
    assert (
        "kvm-msr.jsonl.xz line 1: unknown profile coconut; expected reference, kvm, " in complaint
    )
    svsm = CORPUS / "recordings" / "host.jsonl.xz"
    complaint = run("replay", "--profile", "kvm", str(svsm)).complaint
    assert "host.jsonl.xz line 1: unknown profile kvm; expected reference, coconut, " in complaint


def test_the_reference_explains_each_difference(run: Run) -> None:
    ran = run("replay", "--explain", str(KVM))
    assert ran.code == 0
    assert ran.out.endswith("\n0 unexplained\n")
    assert "\nmsr-cpuid-keeps-reserved: 45\n" in ran.out


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ({"kind": "ghcb", "page": [[4095, "0102"]], "gpa": 4096}, "is not a list of [place, hex]"),
        ({"kind": "ghcb", "page": [], "gpa": 4097}, "vmgexit.gpa: 0x1001 is not 4 KiB aligned"),
        ({"kind": "ghcb", "page": []}, "vmgexit needs gpa"),
        ({"kind": "ghcb", "page": [], "gpa": 4096, "vm": []}, "vm: [] is not an object"),
        ({"kind": "msr", "request": 2, "vm": {"wheels": 1}}, "vm: init has no argument wheels"),
        ({"kind": "msr", "request": 2, "answer": 3}, "ans: 3 is not an object"),
        (
            {"kind": ["ghcb"], "page": []},
            "kind: ['ghcb'] found, ghcb, msr, or a line with ops expected",
        ),
        ({"kind": "host"}, "bad.jsonl line 1: kind: 'host' found, ghcb, msr, or a line with ops"),
        ({"kind": "host", "ops": 3}, "ops: 3 is not a list"),
        (
            {"kind": "host", "ops": [{"op": "sipi", "cpu": 9}]},
            "bad.jsonl line 1: operation 0: sipi: vCPU 9 does not exist, there are 8",
        ),
    ],
)
def test_damaged_exchanges(
    run: Run, tmp_path: Path, line: dict[str, object], complaint: str
) -> None:
    file = tmp_path / "bad.jsonl"
    file.write_text(json.dumps(line))
    assert complaint in run("replay", "--profile", "kvm", str(file)).complaint


def test_a_scenario_of_a_host(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "some.jsonl"
    ops = [
        {"cmd": {"op": "init", "snp": False}, "ans": {"ok": True}},
        {"cmd": {"op": "msr", "request": 0x80}, "ans": {"run": "guest", "word": 0, "asked": []}},
    ]
    file.write_text(json.dumps({"kind": "host", "ops": ops}))
    ran = run("replay", str(file))
    assert ran.code == 1
    assert "operation 1, msr: word: 0x3081 found, 0 recorded" in ran.out
    watched = run(
        "replay", "--invariants", "--profile", "kvm", str(CORPUS / "hosts" / "rdtsc-ends-run.jsonl")
    )
    assert watched.code == 1
    assert "HOST-9 at the exit RDTSC: ended by internal-error 110" in watched.out
    ops[0] = {"cmd": {"op": "init", "snp": 2}, "ans": {}}
    file.write_text(json.dumps({"kind": "host", "ops": ops}))
    complaint = run("replay", str(file)).complaint
    assert complaint.endswith("line 1: ops[0]: init.snp: 2 is not true or false")
