"""`vmgexit export kselftest`: compiled for a guest, and run with a host in the place of VMGEXIT."""

import lzma
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.peers.made import built, project
from vmgexit.cli import main

pytestmark = [pytest.mark.slow, pytest.mark.needs("cc")]

ROOT = Path(__file__).parents[2]
HOSTS = ROOT / "corpus" / "hosts"
KVM = ROOT / "corpus" / "recordings" / "kvm"
PEER = shlex.join([sys.executable, str(ROOT / "specs" / "peers" / "python_host.py")])
STRICT = ["-std=gnu11", "-Wall", "-Wextra", "-Werror"]
NO_EXITS = 6  # scenarios of corpus/hosts with events, or with a page that changes meanwhile


def export(*words: str | Path) -> int:
    return main(["export", "kselftest", *map(str, words)])


def compiled(folder: Path, *options: str, compiler: str = "cc") -> None:
    run = subprocess.run(
        [compiler, *STRICT, *options, "ghcb_exits.c"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def stub(folder: Path, *options: str) -> Path:
    """The program that runs here."""
    compiled(folder, "-DVMGEXIT_STUB", "-O0", *options, "-o", "ghcb_exits")
    return folder / "ghcb_exits"


def verdicts(program: Path, peer: str) -> tuple[dict[str, str], str]:
    """`ok`, `not ok` or `skipped` for each test, and all that is printed."""
    run = subprocess.run(
        [program], env=os.environ | {"VMGEXIT_PEER": peer}, capture_output=True, text=True, timeout=100
    )  # fmt: skip
    lines = re.findall(r"^(ok|not ok) (\d+) - (\w+)( # SKIP .*)?$", run.stdout, re.MULTILINE)
    assert [int(number) for _, number, _, _ in lines] == list(range(1, len(lines) + 1))
    assert f"TAP version 13\n1..{len(lines)}\n" in run.stdout
    found = {name: "skipped" if skipped else verdict for verdict, _, name, skipped in lines}
    assert run.returncode == ("not ok" in found.values())
    return found, run.stdout + run.stderr


@pytest.fixture(scope="module")
def departures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The exchange of each departure of KVM, with the answers of the reference."""
    folder = tmp_path_factory.mktemp("departures")
    exchanges = sorted(HOSTS.glob("*.jsonl"))
    assert export(*exchanges, "--profile", "reference", "-o", folder) == 0
    return stub(folder)


def test_the_reference_passes_and_kvm_fails(departures: Path) -> None:
    found, told = verdicts(departures, PEER)
    assert len(found) == len(list(HOSTS.glob("*.jsonl"))) - NO_EXITS
    assert set(found.values()) == {"ok"}, told
    found, told = verdicts(departures, f"{PEER} --profile kvm")
    passed = {name for name, verdict in found.items() if verdict == "ok"}
    assert len(passed) < 8, passed
    assert "# sw_exit_info_1: 0x0 found, 0x2 expected" in told


@pytest.mark.parametrize(
    ("quirk", "told"),
    [
        ("io-size-zero-done", "# sw_exit_info_1: 0x0 found, 0x2 expected"),
        ("registers-always-returned", "# valid bit at page offset 0x1f8: 0x1 found, 0x0 expected"),
        ("msr-unknown-unchanged", "# the GHCB MSR: "),
        ("unregistered-page-ends-run", "# how it ended: 0x1 found, 0x0 expected"),
        ("psc-operation-skipped", "# sw_exit_info_2: "),
    ],
)
def test_a_departure_fails_its_own_test(quirk: str, told: str, departures: Path) -> None:
    found, said = verdicts(departures, f"{PEER} --profile {quirk}")
    assert found[f"{quirk.replace('-', '_')}_0"] == "not ok"
    assert told in said


def test_an_adapter_in_c_passes(departures: Path, tmp_path: Path) -> None:
    adapter = built(project("c", tmp_path / "host", filled_in=False, surface="host"), CFLAGS="-O0")
    found, told = verdicts(departures, str(adapter))
    assert "not ok" not in found.values(), told
    assert list(found.values()).count("ok") > 5


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("pages", "words", "options"),
    [
        (45, 15, []),
        pytest.param(1500, 500, ["-fsanitize=address,undefined"], marks=pytest.mark.long),
    ],
    ids=["some", "all"],
)
def test_what_kvm_answered(pages: int, words: int, options: list[str], tmp_path: Path) -> None:
    for name, most in (("kvm-ghcb", pages), ("kvm-msr", words)):
        with lzma.open(KVM / f"{name}.jsonl.xz") as lines:
            few = b"".join(line for line, _ in zip(lines, range(most), strict=False))
        (tmp_path / f"{name}.jsonl").write_bytes(few)
    assert export(tmp_path / "kvm-ghcb.jsonl", tmp_path / "kvm-msr.jsonl", "-o", tmp_path) == 0
    program = stub(tmp_path, *options)
    found, told = verdicts(program, f"{PEER} --profile kvm")
    assert (len(found), set(found.values())) == (pages + words, {"ok"}), told
    found, told = verdicts(program, PEER)
    assert list(found.values()).count("not ok") > pages // 10
    assert "Sanitizer" not in told


@pytest.mark.parametrize(
    "compiler", ["cc", pytest.param("clang", marks=pytest.mark.needs("clang"))]
)
def test_a_guest_executes_vmgexit_and_needs_no_library(compiler: str, tmp_path: Path) -> None:
    pages = [ROOT / "corpus" / "guests" / f"{name}.bin" for name in ("linux-cpuid", "linux-wbinvd")]
    assert export("--structure", "ghcb", *pages, "-o", tmp_path) == 0
    compiled(tmp_path, "-ffreestanding", "-O2", "-c", "-o", "guest.o", compiler=compiler)
    code = (tmp_path / "guest.o").read_bytes()
    # WRMSR, VMGEXIT, RDMSR: once, in the function that all exits call.
    assert code.count(b"\xf3\x0f\x01\xd9") == 1
    at = code.index(b"\xf3\x0f\x01\xd9")
    assert b"\x0f\x30" in code[at - 32 : at]
    assert b"\x0f\x32" in code[at : at + 32]
    symbols = subprocess.run(["nm", "-u", "guest.o"], cwd=tmp_path, capture_output=True, text=True)
    assert set(symbols.stdout.split()) - {"U", "memset", "memcpy"} == {"vmgexit_print"}


def test_pages_of_a_guest_are_exits(tmp_path: Path) -> None:
    pages = sorted((ROOT / "corpus" / "guests").glob("linux-mmio-*.bin"))
    assert export("--structure", "ghcb", *pages, "-o", tmp_path) == 0
    text = (tmp_path / "ghcb_exits.c").read_text()
    assert "VMGEXIT_SET(page, sw_exit_code, VMGEXIT_EXIT_CODE_MMIO_READ);" in text
    found, told = verdicts(stub(tmp_path), PEER)
    assert (len(found), set(found.values())) == (len(pages), {"ok"}), told


def forever(answer: str) -> str:
    """A peer that answers every command by this."""
    loop = f"echo {{}}; while read x; do echo {shlex.quote(answer)}; done"
    return f"sh -c {shlex.quote(loop)}"


@pytest.mark.parametrize(
    ("peer", "told"),
    {
        "/no/such/program": "no answer of VMGEXIT_PEER",
        "sh -c 'echo {}; exit 1'": "no answer of VMGEXIT_PEER",
        forever("word"): "an answer that is no JSON object",
        forever("{}"): "# sw_exit_info_1: ",
        forever('{"buffer": [[5000, "00"], [1, 2], 3]}'): "# sw_exit_info_1: ",
        forever('{"valid": [1, "x", "rax"], "run": ["error", "5"]}'): "# how it ended: 0x1 found",
    }.items(),
)
def test_a_peer_that_is_no_adapter_fails(peer: str, told: str, departures: Path) -> None:
    found, said = verdicts(departures, peer)
    assert "not ok" in found.values()
    assert told in said


@pytest.mark.parametrize(
    ("words", "told"),
    {
        (
            ROOT / "corpus" / "quirks" / "ppr-keeps-low-nibble.jsonl",
        ): "a scenario of an SVSM found, a sc",
        (HOSTS / "cancel-merges-events.jsonl",): "a scenario with irq found, exits alone expected",
        (HOSTS / "io-size-zero-done.jsonl", "--structure", "ghcb"): "4096 of ghcb expected",
        (
            HOSTS / "io-size-zero-done.jsonl",
            "--structure",
            "x",
        ): "unknown structure x; see vmgexit list",
    }.items(),
)
def test_what_is_no_exit_is_told_in_one_line(
    words: tuple[str | Path, ...], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(*words, "-o", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()
