"""`vmgexit explain`: names, numbers, logs, dumps and bytes, and what is said of anything else."""

from __future__ import annotations

import base64
import io
import json
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from vmgexit.wire.ghcb import GhcbPage

CASES = Path(__file__).parents[2] / "corpus" / "cases"


@pytest.fixture
def paste(run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command with a text on standard input: the first word is the text."""

    def run_it(text: str | bytes, *words: str) -> object:
        data = text if isinstance(text, bytes) else text.encode()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(data))))
        return run("explain", "-", *words)

    return run_it  # type: ignore[return-value]


# --- cases from the field ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "termination-dmesg.txt",
            (
                "GENERAL (common to all guests)",
                "SNP_FEATURES (the guest cannot run as an SNP guest",
                "LINUX_SVSM (linux-svsm)",
                "ENOMEM (the SVSM is out of memory)",
                "PVALIDATE (PVALIDATE failed)",
                "4 lines: 4 known, 0 not known",
            ),
        ),
        (
            "kvm-dump-vmcb.txt",
            (
                "42 known, 0 not known",
                "INVALID (the VMSA cannot be run",
                "ENABLE_NP (Nested paging), ENABLE_SEV (SEV), ENABLE_SEV_ES (SEV-ES)",
                "SNPActive (SEV-SNP), AllowedSevFeaturesEnable",
                "not allowed: SNPBTBIsolation",
                "    rip     0x50",
                "    efer  0x1000  EFER; bit 12, SVME, must be set",
            ),
        ),
        (
            "kvm-dump-ghcb.txt",
            (
                "The host refuses the exit with error 4",
                "Port = 0x3f8",
                "sw_exit_code, sw_exit_info_1, sw_exit_info_2; IOIO needs rax too",
            ),
        ),
        (
            "guest-dmesg.txt",
            (
                "VMM = BUSY (try the same message again later)",
                "PAGE_NOT_VALIDATED (access to a page that is not validated",
                "7 lines: 6 known, 1 not known",
            ),
        ),
        (
            "values.txt",
            (
                "TERMINATION_REQUEST, ReasonSet = LINUX",
                "note: reason_code: LINUX SVSM_CA_REMAP_FAIL",
                "sev-features, read as the number 0x200: SecureTsc",
                "RestrictInjection (The host injects #HV only), AllowedSevFeaturesEnable",
                "MULTI_VMPL",
                "invalid entry, the one at cur_entry",
                "Call = 0x1 (Number of the call within its protocol), Protocol = APIC",
                "Error = MISSING_INPUT (a field that the exit needs is not marked valid)",
                "10 lines: 9 known, 1 not known",
            ),
        ),
        (
            "trace-mixed.txt",
            (
                "versions 1 to 2, C-bit 51",
                "SNP_AP_CREATION FAILED: MALFORMED_INPUT: error=INVALID_INPUT",
                "kvm_rmp_fault: vcpu 1 ! gpa 0x80d000",
                "the guest executed VMGEXIT",
                "16 lines: 16 known, 0 not known",
            ),
        ),
        ("trace-perf-enter-only.txt", ("3 known, 0 not known; 3 requests without an answer",)),
        ("vmsa-ap.bin", ("1.00  vmsa: EFER.SVME set", "0x3b0[0]      sev_features.snp_active")),
        (
            "vmsa-dmesg-hexdump.txt",
            (
                "1072 bytes, lines of print_hex_dump in a log",
                "0.90  vmsa: the line above names it: vmsa",
                "only 1072 of 4096 bytes are there",
                "not in the dump (15 fields)",
            ),
        ),
        ("qemu-dump.elf.xz", ("0x5000  1.00  ghcb", "0x9000  1.00  vmsa")),
        ("raw.mem.xz", ("0x5000  1.00  ghcb", "0x9000  1.00  vmsa")),
    ],
)
def test_cases(run: Run, name: str, said: tuple[str, ...]) -> None:
    ran = run("explain", CASES / name)
    assert (ran.code, ran.err) == (0, "")
    assert [text for text in said if text not in ran.out] == []


# --- names and numbers ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "SNP_RUN_VMPL",
        "snp-run-vmpl",
        "SvmVmgexitSnpRunVmpl",
        "SVM_VMGEXIT_SNP_RUN_VMPL",
        "run_vmpl",
    ],
)
def test_a_name_in_any_spelling(run: Run, name: str) -> None:
    heading, *page = run("explain", name).out.partition("\n\n")[0].splitlines()
    assert heading == "SNP_RUN_VMPL, exit 0x80000018"
    rows = dict(line.split("  ", 2)[1:] for line in page)
    assert rows["what"].strip() == "run this vCPU at another VMPL; as GHCB MSR request 0x016"
    assert rows["who sends it"].strip() == "guest to host, in a GHCB"
    assert rows["since"].strip() == "version 2 of the GHCB standard"
    assert rows["announced by"].strip() == "bit 5 of the hypervisor features, MULTI_VMPL"
    assert "linux-svsm src/cpu/vc.rs" in rows["public code"]


def test_what_a_page_lists_has_a_line_for_each(run: Run) -> None:
    told = run("explain", "SNP_RUN_VMPL").out.splitlines()
    at = told.index("  errors         0x1 NOT_REGISTERED: the GHCB page is not registered")
    assert told[at + 1] == " " * 17 + "0x2 INVALID_USAGE: the GHCB usage is not known to the host"
    page = json.loads(run("explain", "--json", "SNP_RUN_VMPL").out)["page"]
    assert page["errors"][1] == "0x2 INVALID_USAGE: the GHCB usage is not known to the host"


@pytest.mark.parametrize(
    ("number", "first", "also"),
    [
        ("0x80000010", "SNP_PAGE_STATE_CHANGE, exit 0x80000010", "page-fault-error"),
        ("80000013", "SNP_AP_CREATION, exit 0x80000013", "decimal, 0x4c4b40d"),
        ("0x404", "PAGE_NOT_VALIDATED, exit 0x404", "sev-features"),
        ("0x80000005", "AP_JUMP_TABLE, exit 0x80000005", "INVALID_PARAMETER, SVSM result code"),
        ("0x8000000000000001", "sev-features", "ghcb-msr-sev-info-response"),
        ("0x180000002", "npf-info", "GHCB MSR"),
        ("0xC0010130", "GHCB MSR, MSR 0xc0010130", ""),
        ("0x100000001", "SVSM_ATTEST_SINGLE_SERVICE, SVSM call", "psc-result"),
        ("0xffffffffffffffff", "INVALID, exit", ""),
    ],
)
def test_a_number_by_every_reading(run: Run, number: str, first: str, also: str) -> None:
    ran = run("explain", number)
    assert ran.code == 0
    readings = [line for line in ran.out.splitlines() if line.startswith(("  0.", "  1."))]
    assert first in readings[0]
    assert also in ran.out
    assert ran.out.count("        because ") == len(readings)


def test_a_small_number_has_many_readings(run: Run) -> None:
    made = json.loads(run("explain", "1", "--json").out)
    said = {reading["what"] for reading in made["readings"]}
    assert {
        "SEV_INFO_RESPONSE, GHCB MSR message 0x1",
        "INVALID_PLATFORM_STATE, firmware status 0x1",
        "PSC, termination reason 0x1 of set 1, LINUX",
        "ENOMEM, termination reason 0x1 of set 15, LINUX_SVSM",
        "sev-features",
    } <= said
    scores = [reading["score"] for reading in made["readings"]]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] < 0.85, "no page is shown for what is only the first among many"


def test_a_structure_and_its_value(run: Run) -> None:
    assert "DebugSwap (Debug registers are swapped)" in run("explain", "sev-features", "0x20").out
    assert "DebugSwap" in run("explain", "SevFeatures = 0x20").out
    assert "DebugSwap" in run("explain", "sev-features 2000000000000000").out


def test_a_guid_as_text_and_as_it_stands_in_memory(run: Run) -> None:
    text = run("explain", "c476f1eb-0123-45a5-9641-b4e7dde5bfe3").out
    assert "service of the SVSM: vTPM" in text
    assert run("explain", "ebf176c42301a5459641b4e7dde5bfe3").out == text
    assert (
        "certificate of a host: VCEK" in run("explain", "63da758d-e664-4564-adc5-f4b93be8accd").out
    )


def test_what_is_not_known_is_told_with_the_nearest_names(run: Run) -> None:
    assert "nearest names: SNP_RUN_VMPL" in run("explain", "SNP_RUN_VMPP").complaint
    assert "not known; tried: names, exit codes" in run("explain", "zzzzzz").complaint
    for name in ("zzzzzz.txt", "/no/such"):
        assert "not known; no file of that name; tried: names" in run("explain", name).complaint


def test_the_number_within_what_is_not_known_is_pointed_to(run: Run) -> None:
    ran = run("explain", "exit code 0x72")
    assert "of the number alone: vmgexit explain 0x72" in ran.complaint


def test_a_number_that_fits_nothing_says_what_was_tried(run: Run) -> None:
    ran = run("explain", "0xdeadbeefdeadbeef")
    assert ran.code == 0
    assert "no reading" in ran.out
    assert "nothing fits; tried: exit codes" in ran.out


def test_a_name_that_several_have_brings_every_page(run: Run) -> None:
    headings = [
        line for line in run("explain", "PVALIDATE").out.splitlines() if line[:1] not in "  "
    ]
    assert headings == [
        "SVSM_CORE_PVALIDATE, SVSM call 0x1 of protocol CORE",
        "PVALIDATE, termination reason 0x2 of set 1, LINUX",
    ]


def test_pages_as_json(run: Run) -> None:
    said = run("explain", "SNP_GUEST_REQUEST", "--json").out
    made, command = map(json.loads, said.splitlines())  # the firmware's command has this name too
    assert command["number"] == 0x94
    assert (made["kind"], made["name"], made["number"]) == ("exit", "SNP_GUEST_REQUEST", 0x80000011)
    assert made["page"]["since"] == ["version 2 of the GHCB standard"]


# --- logs -------------------------------------------------------------------------------------------

TERMINATION = "kvm_amd: SEV-ES guest requested termination: 0x1:0x2"


def test_other_lines_are_counted_or_passed_through(paste: Run) -> None:
    log = f"usb 1-1: new device\n{TERMINATION}\nsystemd[1]: Started.\n"
    ran = paste(log)
    assert ran.out.startswith(TERMINATION)
    assert ran.out.endswith("3 lines: 1 known, 2 not known\n")
    assert "usb" not in ran.out
    passed = paste(log, "--all").out.splitlines()
    assert [line for line in passed if not line.startswith(" ")] == [
        *log.splitlines(),
        "3 lines: 1 known, 2 not known",
    ]


def test_lines_as_json(paste: Run) -> None:
    known, count = map(json.loads, paste(f"noise\n{TERMINATION}\n", "--json").out.splitlines())
    assert (known["line"], known["text"], known["program"]) == (2, TERMINATION, "KVM")
    assert [(word["name"], word["value"]) for word in known["words"]] == [
        ("reason_set", 1),
        ("reason_code", 2),
    ]
    assert count == {"lines": 2, "known": 1, "unanswered": 0}


def test_a_line_as_text_has_no_count(run: Run) -> None:
    out = run("explain", TERMINATION).out
    assert out.startswith(TERMINATION)
    assert "lines:" not in out


def test_every_form_of_a_line_is_told(paste: Run) -> None:
    first = "SEV-ES guest requested termination: 0x0:0x2"
    text = f"{first}; {first[:-3]}0x9; vmgexit: GHCB GPA [0x5000] is not registered\n"
    ran = paste(text)
    assert "SNP_FEATURES (the guest" in ran.out
    assert "1 line: 1 known" in ran.out
    told = json.loads(paste(text, "--json").out.splitlines()[0])
    shown = [[word["shown"] for word in each["words"]] for each in (told, *told["also"])]
    assert shown == [["0x0", "0x2"], ["0x0", "0x9"], ["0x5000"]]


def test_the_error_code_of_an_exception_is_read_below_its_name(paste: Run) -> None:
    head = "!!!! X64 Exception Type - {}  CPU Apic ID - 00000000 !!!!\nExceptionData - 0000000000000404\n"
    assert "PAGE_NOT_VALIDATED" in paste(head.format("1D(#VC - VMM Communication)")).out
    assert "PAGE_NOT_VALIDATED" not in paste(head.format("0E(#PF - Page-Fault)")).out


def test_a_dump_within_a_log(paste: Run) -> None:
    page = GhcbPage.for_exit(0x72, gpa=0x5000, rax=1, rcx=0).encode()
    rows = "".join(
        f"[ 12.0] kvm: {at:08x}: {page[at : at + 16].hex(' ')}\n" for at in range(0, 4096, 16)
    )
    ran = paste(f"{TERMINATION}\n[ 11.9] kvm: shared page (GHCB):\n{rows}{TERMINATION}\n")
    assert ran.out.count(TERMINATION) == 2
    assert "lines from 3: 4096 bytes, lines of print_hex_dump in a log" in ran.out
    assert "1.00  ghcb: the line above names it: ghcb" in ran.out
    assert ran.out.endswith("259 lines: 258 known, 1 not known\n")


def test_the_code_of_an_oops_is_no_dump(paste: Run) -> None:
    code = "Code: 89 f8 48 8d b2 00 04 00 00 48 89 e5 41 56 41 54 53 48 83 ec 30 48 8b 9f 18 1c 00 00\n"
    assert paste(f"{TERMINATION}\n{code}").out.endswith("2 lines: 1 known, 1 not known\n")


# --- bytes ------------------------------------------------------------------------------------------


def test_base64_and_literals(run: Run, paste: Run) -> None:
    page = (CASES / "vmsa-ap.bin").read_bytes()
    assert "1.00  vmsa" in paste(base64.encodebytes(page)).out
    assert "1.00  vmsa" in paste("VMSA = b'" + "".join(f"\\x{byte:02x}" for byte in page) + "'").out
    assert "1.00  vmsa" in paste(page.hex()).out


def test_a_text_with_a_string_in_it_is_no_bytes(run: Run, paste: Run) -> None:
    setting = 'key = "0x80000010 is not found"'
    assert (
        "not known; of the number alone: vmgexit explain 0x80000010"
        in run("explain", setting).complaint
    )
    assert paste(f"{setting}\n").out == "1 line: 0 known, 1 not known\n"
    assert paste('a = "\\x01\\x02"\nother = 5\n').out == "2 lines: 0 known, 2 not known\n"
    assert paste('a = "\\x01\\x02"\n').out.startswith("2 bytes, a string of bytes")


@pytest.mark.parametrize("text", ["2026-11-28", "2026-11-28 12:34:56", "12:34", "12:34:56:78"])
def test_a_date_and_a_time_of_day_are_no_bytes(run: Run, text: str) -> None:
    assert f"'{text}': not known" in run("explain", text).complaint


def test_utf_16_of_windows(paste: Run) -> None:
    assert "PVALIDATE failed" in paste(b"\xff\xfe" + f"{TERMINATION}\r\n".encode("utf-16-le")).out


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark(paste: Run, encoding: str) -> None:
    assert "PVALIDATE failed" in paste(f"{TERMINATION}\r\n".encode(encoding)).out


def test_a_number_that_gdb_printed(paste: Run) -> None:
    ran = paste("(gdb) p/x page->sw_exit_code\n$1 = 0x80000010\n")
    assert ran.out.startswith("read as the number 0x80000010")
    assert "SNP_PAGE_STATE_CHANGE" in ran.out


def test_small_words_are_no_text(paste: Run) -> None:
    assert "8 bytes" in paste(b"\1\0\2\0\3\0\4\0").out


def test_a_log_with_holes_of_zeros(paste: Run) -> None:
    text = (CASES / "termination-dmesg.txt").read_bytes()
    cut = text[:-20]  # within the last line, which then says nothing
    for log, known in (
        (text + bytes(3000) + text, 8),
        (bytes(600) + text, 4),
        (cut + bytes(16) + text, 7),
    ):
        told = paste(log).out.splitlines()
        assert sum("SEV-ES guest requested termination" in line for line in told) == known
        assert told[-1].startswith(f"{log.count(b'requested')} lines: {known} known")
        assert not any("\0" in line for line in told)


def test_a_log_of_a_serial_line(paste: Run) -> None:
    ran = paste(b"\0\x1b[0m" + f"booting\n{TERMINATION}\n".encode() + b"\0\n")
    assert "PVALIDATE failed" in ran.out
    assert "3 lines: 1 known" in ran.out


def test_bytes_that_are_nothing(paste: Run) -> None:
    ran = paste(bytes(range(256)) * 3)
    assert ran.code == 0
    assert "768 bytes" in ran.out


def test_a_binary_trace_is_refused(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "trace.dat"
    path.write_bytes(b"\x17\x08\x44tracing6\0" + bytes(100))
    assert "give what trace-cmd report prints of it" in run("explain", path).complaint


def test_an_empty_file(paste: Run) -> None:
    assert paste("").out == "0 lines: 0 known, 0 not known\n"


def test_a_long_line_is_one_line(paste: Run) -> None:
    assert paste("a" * 1_000_000 + f"\n{TERMINATION}\n").out.endswith(
        "2 lines: 1 known, 1 not known\n"
    )


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "text",
    [
        "x = b'" + "\\x00" * 50_000,
        '"\\' * 100_000,
        "x = " + "[(" * 60_000 + ";",
        "x = {" + "/*" * 100_000,
        "x = {" + "0 <repeats 16777215 times>, " * 50 + "}",
        "sw_exit_code=" * 15_000,
        "SEV-ES guest requested termination: " * 5_000,
        "A" * 250_000,
        "ab " * 80_000 + "zz",
        "{;" * 100_000,
        "[    0.0000]" * 20_000,
    ],
    ids=lambda text: text[:12],
)
def test_a_hostile_text_costs_little(paste: Run, text: str) -> None:
    assert paste(text).code == 0
