"""`vmgexit trace` on the samples of corpus/traces, written by hand in the style of each tool."""

import gzip
import json
import lzma
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from vmgexit.cli import main, progress, trace

TRACES = Path(__file__).parents[2] / "corpus" / "traces"

PERF_SHOWN = """\
       CPU 0/KVM  4242 [003]   100.000100:             kvm:kvm_entry: vcpu 0, rip 0xffffffff81000000
       CPU 0/KVM  4242 [003]   100.000300:     kvm:kvm_vmgexit_enter: vcpu 0 > IOIO: is_in, size_8, segment=ES, port=0x3f8; info2=0x0
       CPU 0/KVM  4242 [003]   100.000350:      kvm:kvm_vmgexit_exit: vcpu 0 < IOIO: status=DONE [50.0 us]
 CPU 1/KVM  4200/4243  [002]   100.000400: kvm:kvm_vmgexit_msr_protocol_enter: vcpu 1 > PAGE_STATE_REQUEST: frame=0x12345, operation=PRIVATE
 CPU 1/KVM  4200/4243  [002]   100.000409: kvm:kvm_vmgexit_msr_protocol_exit: vcpu 1 < PAGE_STATE_REQUEST: frame=0x12345, operation=PRIVATE (left to user space, whose answer is not traced) [9.0 us]
       CPU 0/KVM  4242 [003]   100.000500: kvm:kvm_vmgexit_msr_protocol_enter: vcpu 0 > 0x777 (broken: info: 0x777: not a known GhcbInfo)
       CPU 0/KVM  4242 [003]   100.000501: kvm:kvm_vmgexit_msr_protocol_exit: vcpu 0 < 0x777 FAILED: KVM returned EINVAL [1.0 us]
protocol  exit                 code  count  errors  unpaired      min  ~median      max
ghcb      IOIO                 0x7b      1       0         0  50.0 us  50.0 us  50.0 us
msr       PAGE_STATE_REQUEST  0x014      1       0         0   9.0 us   9.0 us   9.0 us
msr       0x777               0x777      1       1         0   1.0 us   1.0 us   1.0 us
7 lines: 3 requests, 1 failed, 0 unpaired; 0 malformed, 1 other line, 0 events lost
"""  # noqa: E501

TRACE_CMD_SUMMARY = """\
protocol  exit                         code  count  errors  unpaired      min  ~median      max
ghcb      MSR                          0x7c      1       0         0  12.0 us  12.0 us  12.0 us
ghcb      MMIO_WRITE             0x80000002      1       0         0  21.0 us  21.0 us  21.0 us
ghcb      SNP_PAGE_STATE_CHANGE  0x80000010      1       0         1
ghcb      SNP_GUEST_REQUEST      0x80000011      1       1         0   4.0 ms   4.0 ms   4.0 ms
ghcb      0x8000001e             0x8000001e      1       1         0   4.0 us   4.0 us   4.0 us
msr       SEV_INFO_REQUEST            0x002      1       0         0   3.0 us   3.0 us   3.0 us
msr       TERMINATION_REQUEST         0x100      1       1         0
18 lines: 7 requests, 3 failed, 1 unpaired; 1 malformed, 5 other lines, 7 events lost
"""


def test_perf_script(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", str(TRACES / "perf-script.txt")]) == 0
    shown = capsys.readouterr()
    assert shown.out == PERF_SHOWN
    assert shown.err.startswith("vmgexit: 7 lines in ")
    assert shown.err.endswith(" lines/s\n")


def test_trace_cmd_report(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", str(TRACES / "trace-cmd-report.txt"), "--summary"]) == 0
    assert capsys.readouterr().out == TRACE_CMD_SUMMARY


def test_what_is_marked(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", str(TRACES / "trace-cmd-report.txt")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == ["version = 7", "CPU 1 is empty", "cpus=4"]
    assert not any("UNPAIRED" in line and " > " in line for line in lines)  # the summary counts it
    assert (
        "# FAILED: vcpu 1 > TERMINATION_REQUEST: line 18: the guest gave up: set 7, code 0: not known"
        in lines
    )
    cut = (
        "       CPU 0/KVM-4242  [003]   100.008000: kvm_vmgexit_enter:    vcpu 0, exit_reason 80000"
    )
    assert cut in lines
    failed = [line.partition(" < ")[2] for line in lines if " < " in line and "FAILED" in line]
    assert failed == [
        "SNP_GUEST_REQUEST FAILED: firmware=SUCCESS, vmm=INVALID_LEN [4.0 ms]",
        "0x8000001e FAILED: MALFORMED_INPUT: error=INVALID_EVENT [4.0 us]",
    ]


def test_tracefs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", str(TRACES / "tracefs.txt")]) == 0
    lines = capsys.readouterr().out.splitlines()
    original = (TRACES / "tracefs.txt").read_text().splitlines()
    assert lines[:12] == original[:12]
    assert lines[12].endswith("kvm_vmgexit_exit: vcpu 0 < CPUID: status=DONE UNPAIRED: no request")
    assert lines[17] == " CPU:3 [LOST 12 EVENTS]"
    assert lines[-1] == (
        "19 lines: 4 requests, 2 failed, 1 unpaired; 0 malformed, 13 other lines, 12 events lost"
    )


def test_json_is_one_object_a_pair(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", str(TRACES / "trace-cmd-report.txt"), "--json"]) == 0
    pairs = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(pair["name"], pair["state"]) for pair in pairs] == [
        ("SEV_INFO_REQUEST", "answered"),
        ("MSR", "answered"),
        ("SNP_GUEST_REQUEST", "failed"),
        ("0x8000001e", "failed"),
        ("SNP_PAGE_STATE_CHANGE", "unpaired"),
        ("MMIO_WRITE", "answered"),
        ("TERMINATION_REQUEST", "failed"),
    ]
    assert pairs[1]["request"] == {
        "line": 7,
        "time": 100_000_300_000,
        "exit_info1": {
            "value": 1,
            "meaning": "read or write",
            "fields": {"access": 1, "reserved_63_1": 0},
        },
        "exit_info2": {"value": 0, "meaning": "", "fields": None},
        "problems": [],
    }
    assert pairs[2]["latency"] == 4_000_000
    assert pairs[4]["response"] is None


def test_json_of_the_summary(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", str(TRACES / "perf-script.txt"), "--json", "--summary"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    summary = json.loads(line)
    assert (summary["lines"], summary["pairs"], summary["latency_unit"]) == (7, 3, "ns")
    assert summary["codes"][0]["latency"] == {
        "count": 1,
        "min": 50_000,
        "median": 50_000,
        "max": 50_000,
    }


@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".xz", lzma.compress)])
def test_compressed_traces(
    suffix: str, pack: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert callable(pack)
    packed = tmp_path / f"t{suffix}"
    packed.write_bytes(pack((TRACES / "perf-script.txt").read_bytes()))
    assert main(["trace", str(packed)]) == 0
    assert capsys.readouterr().out == PERF_SHOWN


def test_what_cannot_be_read_passes_through(tmp_path: Path) -> None:
    lines = b"\xff\xfe\x00\n\x80kvm_vmgexit_exit:\x81\nkvm_vmgexit_enter: vcpu\r\n\nlast, without an end"
    held = tmp_path / "noise"
    held.write_bytes(lines)
    done = subprocess.run(
        [sys.executable, "-m", "vmgexit", "trace", str(held)], capture_output=True, check=True
    )
    assert done.stdout == lines + (
        b"5 lines: 0 requests, 0 failed, 0 unpaired; 2 malformed, 3 other lines, 0 events lost\n"
    )


def test_a_missing_file_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err == f"vmgexit: {tmp_path / 'none'}: No such file or directory\n"
    assert main(["trace", str(tmp_path)]) == 2
    assert "a directory found, a file expected" in capsys.readouterr().err


def test_damage_ends_the_trace_but_what_was_read_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    packed = tmp_path / "t.gz"
    whole = b"kvm_vmgexit_enter: vcpu 0, exit_reason 72, exit_info1 0, exit_info2 0\n" * 5000
    packed.write_bytes(gzip.compress(whole)[:-8])
    assert main(["trace", str(packed)]) == 2
    shown = capsys.readouterr()
    assert shown.out.startswith("kvm_vmgexit_enter: vcpu 0 > CPUID\n")
    assert "damaged or cut short" in shown.err


def test_an_interrupt_ends_a_live_trace_with_its_summary(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def two(name: str, check: object) -> Iterator[bytes]:
        yield b"kvm_vmgexit_enter: vcpu 0, exit_reason 72, exit_info1 0, exit_info2 0\n"
        yield b"kvm_vmgexit_exit: vcpu 0, exit_reason 72, exit_info1 0, exit_info2 0\n"
        raise KeyboardInterrupt

    monkeypatch.setattr("vmgexit.cli.trace.lines", two)
    assert main(["trace", "--summary"]) == 130
    assert capsys.readouterr().out.endswith(
        "2 lines: 1 request, 0 failed, 0 unpaired; 0 malformed, 0 other lines, 0 events lost\n"
    )


def test_progress_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(progress, "_EVERY", 0)
    monkeypatch.setattr(trace, "_PROGRESS_EVERY", 1)
    assert main(["trace", str(TRACES / "perf-script.txt"), "--summary"]) == 0
    drawn = capsys.readouterr().err
    assert "[########################] 100 % 7 lines, " in drawn
    # The line is taken away before the last one is printed.
    assert "\r\x1b[Kvmgexit: 7 lines in " in drawn


def test_no_progress_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", str(TRACES / "perf-script.txt"), "--summary"]) == 0
    assert "\r" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("magic", "program"),
    [(b"\x17\x08\x44tracing6\0", "trace-cmd report"), (b"PERFILE2\x68\0", "perf script")],
)
def test_a_binary_trace_is_one_line(
    magic: bytes, program: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "trace.dat"
    path.write_bytes(magic + bytes(100))
    assert main(["trace", str(path), "--json"]) == 2
    shown = capsys.readouterr()
    said = f"vmgexit: {path}: a binary trace; give what {program} prints of it\n"
    assert (shown.out, shown.err) == ("", said)


def test_bytes_that_are_no_text_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "trace.txt"
    for data in (
        "kvm_vmgexit_enter: vcpu 0".encode("utf-16"),
        bytes(range(99, -1, -1)),
        bytes(5000),
    ):
        path.write_bytes(data)
        assert main(["trace", str(path)]) == 2
        shown = capsys.readouterr()
        assert shown.out == ""
        assert "bytes that are no text found, lines of a trace in UTF-8 expected" in shown.err


def test_random_bytes_are_no_text_wherever_their_first_line_ends(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "random"
    for seed in range(50):
        data = random.Random(seed).randbytes(600)
        path.write_bytes(data[:3] + b"\n" + data)
        assert main(["trace", str(path)]) == 2
        assert "bytes that are no text found" in capsys.readouterr().err


def test_a_text_without_a_tracepoint_is_an_error_and_an_empty_one_is_none(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "trace.txt"
    path.write_text("cpus=4\nanother, in Japanese: \u4eee\u60f3\u30de\u30b7\u30f3\n")
    assert main(["trace", str(path)]) == 2
    said = f"vmgexit: {path}: 2 lines found, none of a tracepoint kvm_vmgexit_* as trace-cmd"
    assert said in capsys.readouterr().err
    path.write_text("CPU:1 [LOST 3 EVENTS]\n")
    assert main(["trace", str(path)]) == 0
    path.write_text("")
    assert main(["trace", str(path)]) == 0


MANY = """
import resource, sys
from pathlib import Path
from vmgexit.cli import main

def lines():
    for n in range(5000):
        vcpu, time = n % 8, 100 + n / 1000
        head = f"  CPU {vcpu}/KVM-{4000 + vcpu} [00{vcpu}] {time:.6f}: kvm_vmgexit_"
        yield f"{head}enter: vcpu {vcpu}, exit_reason 80000002, exit_info1 {n << 12:x}, exit_info2 4"
        yield f"{head}exit: vcpu {vcpu}, exit_reason 80000002, exit_info1 0, exit_info2 0"
        yield f"{head}msr_protocol_enter: vcpu {vcpu}, ghcb_gpa {n << 12 | 0x10000000000014:016x}"
        yield f"{head}msr_protocol_exit: vcpu {vcpu}, ghcb_gpa 0000000000000015, result 1"

Path(sys.argv[1]).write_text("\\n".join(lines()) + "\\n")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
code = main(["trace", sys.argv[1], *sys.argv[2:]])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, file=sys.stderr)
sys.exit(code)
"""


@pytest.mark.parametrize("options", [["--summary"], ["--json"], []])
def test_a_long_trace_takes_little_memory(options: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MANY, str(tmp_path / "many"), *options],
        capture_output=True,
        text=True,
        check=True,
    )
    rate, grown = done.stderr.splitlines()
    assert rate.startswith("vmgexit: 20000 lines in ")
    assert int(grown) < 40_000  # kB: the declarations, and what is kept of at most 4096 readings
    if options != ["--json"]:
        assert done.stdout.endswith(
            "20000 lines: 10000 requests, 0 failed, 0 unpaired; 0 malformed, 0 other lines,"
            " 0 events lost\n"
        )


CASES = Path(__file__).parents[2] / "corpus" / "cases"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "trace-mixed.txt",
            (
                "< SEV_INFO_RESPONSE: versions 1 to 2, C-bit 51",
                "> TERMINATION_REQUEST: LINUX PVALIDATE (set 0x1, code 0x2)",
                "> SNP_AP_CREATION: operation=CREATE, apic_id=0x1; info2=0x5d35c0000",
                "< SNP_AP_CREATION FAILED: MALFORMED_INPUT: error=INVALID_INPUT",
                "> UNSUPPORTED_EVENT: info1=0x404 PAGE_NOT_VALIDATED",
                "< 0x8000001f FAILED: MALFORMED_INPUT: error=INVALID_EVENT",
                "< SNP_GUEST_REQUEST FAILED: firmware=INVALID_PARAMETER, vmm=SUCCESS",
                "< TERMINATION_REQUEST FAILED: the guest gave up: LINUX PVALIDATE",
                "kvm_rmp_fault: vcpu 1 ! gpa 0x80d000: write, rmp, guest_physical; 4 KiB in the RMP;"
                " PSMASH 0",
                "16 lines: 7 requests, 5 failed, 0 unpaired; 0 malformed, 2 other lines, 0 events"
                " lost; 1 RMP fault",
            ),
        ),
        (
            "trace-answers.txt",
            (
                "< MSR FAILED: RAISE_EVENT: vector=0xd, type=EXCEPTION",
                "< IOIO: status=DONE",
                "< SNP_PAGE_STATE_CHANGE FAILED: INVALID: invalid entry, the one at cur_entry"
                " (class 1, detail 2)",
                "< HYPERVISOR_FEATURES: status=DONE; snp, ap_creation",
                "< SNP_RUN_VMPL FAILED: MALFORMED_INPUT: error=INVALID_EVENT",
            ),
        ),
        (
            "trace-perf-enter-only.txt",
            (
                "> PAGE_STATE_REQUEST: operation=SHARED",
                "(broken: operation: 0x3 PSMASH: not for the MSR form",
                "(broken: operation: 0x4 UNSMASH: not for the MSR form",
                "3 lines: 3 requests, 0 failed, 3 unpaired",
                "no line is of an exit tracepoint",
            ),
        ),
        (
            "trace-perf-msr.txt",
            ("< PAGE_STATE_RESPONSE [1.0 us]", "4 lines: 2 requests, 0 failed, 1 unpaired"),
        ),
    ],
)
def test_cases(capsys: pytest.CaptureFixture[str], name: str, said: tuple[str, ...]) -> None:
    assert main(["trace", str(CASES / name)]) == 0
    shown = capsys.readouterr().out
    for text in said:
        assert text in shown
    assert "<PageOperation" not in shown
    assert "UNPAIRED" not in shown


def test_a_timeline_and_its_plot(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    drawn = tmp_path / "boot.svg"
    assert main(["trace", str(CASES / "trace-mixed.txt"), "--timeline", "--plot", str(drawn)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "+0 ns       vCPU 0   SEV_INFO_REQUEST: first MSR request"
    assert lines[-1] == "2 vCPUs, 260.0 us from first to last"
    assert drawn.read_bytes().startswith(b"<?xml")
    nothing, empty = tmp_path / "nothing.svg", tmp_path / "empty"
    empty.write_bytes(b"")
    assert main(["trace", str(empty), "--plot", str(nothing)]) == 2
    assert f"no event with a time found: {nothing} is not written" in capsys.readouterr().err
    assert not nothing.exists()
    assert main(["trace", str(CASES / "trace-mixed.txt"), "--timeline", "--json"]) == 2
    assert "--timeline goes without --json" in capsys.readouterr().err
