"""`vmgexit export c` and `rust`: compiled, and run against adapters, right ones and wrong ones."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.peers.made import COMPILED, built, project
from tests.peers.shows import SHOWS
from vmgexit.cli import main
from vmgexit.machine import program
from vmgexit.machine.scenario import to_lines
from vmgexit_fuzz.campaign.findings import Store
from vmgexit_fuzz.targets import find

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PEERS = {
    name: shlex.join([sys.executable, str(ROOT / "specs" / "peers" / f"{name}.py")])
    for name in ("python_peer", "python_host")
}
COMPILERS = {
    "c": ["cc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-O1", "exported.c", "-o", "exported"],
    "rust": ["rustc", "--edition", "2021", "-D", "warnings", "--test", "exported.rs"],
}
MEMORY = ROOT / "corpus" / "quirks" / "validated-twice.jsonl"
HOST = ROOT / "corpus" / "hosts" / "cpuid-xcr0-by-64-bits.jsonl"
STOPS = ROOT / "corpus" / "quirks" / "refused-disable-crashes.jsonl"


def compiled(language: str, folder: Path, *inputs: Path) -> Path:
    """The program of an export."""
    words = [*map(str, inputs), "--profile", "reference", "-o", str(folder)]
    assert main(["export", language, *words]) == 0
    run = subprocess.run(
        COMPILERS[language], cwd=folder, capture_output=True, text=True, timeout=100
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    return folder / "exported"


def verdicts(program: Path, peer: str, *names: str) -> tuple[dict[str, str], str]:
    """What the program says of each test, and all that it prints. `names` are the tests, in Rust."""
    run = subprocess.run(
        [program, *names],
        env=os.environ | {"VMGEXIT_PEER": peer},
        capture_output=True,
        text=True,
        timeout=100,
    )
    told = run.stdout + run.stderr
    found = dict(re.findall(r"^test (\w+) \.\.\. (\w+)$", told, re.MULTILINE))
    for verdict, name, skipped in re.findall(r"^(ok|not ok) \d+ - (\w+)(.*)$", told, re.MULTILINE):
        found[name] = "skipped" if skipped else {"ok": "ok", "not ok": "FAILED"}[verdict]
    assert (run.returncode != 0) == ("FAILED" in found.values())
    return found, told


def scenario(name: str, folder: Path) -> Path:
    path = folder / f"{name}.jsonl"
    path.write_text(to_lines(SHOWS[name]))
    return path


Programs = Callable[[str], Path]


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Programs:
    """A scenario for each bug of the peers, one that stops, one on memory, one of a host: compiled once."""
    known: dict[str, Path] = {}

    def made(language: str) -> Path:
        if language not in known:
            folder = tmp_path_factory.mktemp(language)
            inputs = [scenario(name, folder) for name in SHOWS]
            known[language] = compiled(language, folder / "out", *inputs, STOPS, MEMORY, HOST)
        return known[language]

    return made


@pytest.mark.parametrize("language", COMPILED)
def test_the_reference_passes(language: str, programs: Programs) -> None:
    host, on_svsm = "cpuid_xcr0_by_64_bits_0", ["ppr_0", "validated_twice_0"]
    on_svsm += ["refused_disable_crashes_0"]  # a request to end the VM is expected
    # In Rust each test starts an adapter of its own, and Python takes its time.
    some, all_of = (on_svsm, len(on_svsm)) if language == "rust" else ([], len(SHOWS) + 2)
    found, told = verdicts(programs(language), PEERS["python_peer"], *some)
    assert found.pop(host, "skipped") == "skipped", told
    assert (set(found.values()), len(found)) == ({"ok"}, all_of), told
    found, told = verdicts(programs(language), PEERS["python_host"], *[host][: len(some)])
    assert found[host] == "ok", told


@pytest.mark.needs("cc")
@pytest.mark.parametrize("language", COMPILED)
def test_each_bug_of_a_peer_fails_its_test(
    language: str, programs: Programs, tmp_path: Path
) -> None:
    adapter = built(project("c", tmp_path / "project"), CFLAGS="-O0")
    right, told = verdicts(programs(language), str(adapter))
    assert "FAILED" not in right.values(), told
    wrong, told = verdicts(programs(language), f"{adapter} --bugs all")
    assert {name for name, verdict in wrong.items() if verdict == "FAILED"} >= {
        f"{bug.replace('-', '_')}_0" for bug in SHOWS
    }
    one, told = verdicts(programs(language), f"{adapter} --bugs ppr")
    assert one["ppr_0"] == "FAILED"
    assert "rdx: 71 found, 64 expected" in told
    assert re.search(r'step 6, \{"op": "call", "cpu": 0, .*"rcx": 2058', told)


@pytest.mark.parametrize("language", COMPILED)
@pytest.mark.parametrize(
    ("peer", "told"),
    {
        "echo '{}'; echo word": "word found, a JSON object expected",
        "echo '{}'; echo '[1]'; cat": "[1] found, a JSON object expected",
        "echo '{}'; exit 3": "no answer",
        "/no/such/program": "no answer",
        'echo \'{}\'; echo \'{"ok": true, "cpus": 2, "reg_count": 1}\'; cat': "cpus: 2 found, 1 exp",
        "echo '{}'; echo '{\"ok\": true, \"cpus\": 1}'; cat": "reg_count: nothing found, 1 expected",
        "echo '{}'; echo '{\"ok\": [true]}'; cat": "ok: a list of 1 found, true expected",
    }.items(),
)
def test_a_peer_that_is_no_adapter_fails(
    language: str, peer: str, told: str, programs: Programs
) -> None:
    found, said = verdicts(programs(language), f"sh -c {shlex.quote(peer)}")
    assert set(found.values()) == {"FAILED"}
    assert told in said


@pytest.mark.needs("cc")
def test_a_finding_of_a_peer_is_a_c_test(tmp_path: Path) -> None:
    row, store = find("peer"), Store(tmp_path / "findings")
    data = program.write(SHOWS["oldest"])
    target = row.open()
    told: dict[str, Any] = {
        "cause": "x",
        "message": "an EOI */ ends another",
        "clause": "",
        "meaning": "",
        "place": "",
    }
    told |= {
        "data": data.hex(),
        "text": "",
        "lines": target.lines(data),
        "commands": target.count(data),
    }
    record, _ = store.keep(told, target="peer", peer="./adapter --bugs oldest")
    test = compiled("c", tmp_path / "out", tmp_path / "findings")
    assert "an EOI * / ends another" in (tmp_path / "out" / "exported.c").read_text()
    assert set(verdicts(test, PEERS["python_peer"])[0]) == {record.id.replace("-", "_")}
    adapter = built(project("c", tmp_path / "project"), CFLAGS="-O0")
    assert list(verdicts(test, f"{adapter}")[0].values()) == ["ok"]
    assert list(verdicts(test, f"{adapter} --bugs oldest")[0].values()) == ["FAILED"]


@pytest.mark.long
@pytest.mark.needs("cc", "clang")
def test_no_compiler_and_no_sanitizer_complains(tmp_path: Path) -> None:
    compiled("c", tmp_path, *sorted((ROOT / "corpus" / "quirks").glob("*.jsonl"))[:12], HOST)
    checked = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-Wpedantic", "-Wno-overlength-strings"]
    for words in (
        ["clang", *checked, "-fsyntax-only"],
        ["cc", *checked, "-fsanitize=address,undefined", "-o", "exported"],
    ):
        run = subprocess.run(
            [*words, "exported.c"], cwd=tmp_path, capture_output=True, text=True, timeout=100
        )
        assert (run.returncode, run.stderr) == (0, "")
    found, told = verdicts(tmp_path / "exported", f"{PEERS['python_peer']} --profile coconut")
    assert "Sanitizer" not in told
    assert "runtime error" not in told
    assert list(found.values()).count("FAILED") == 12  # as many quirks; the host's is not supported


def test_without_an_adapter_nothing_is_judged(programs: Programs) -> None:
    variables = {name: value for name, value in os.environ.items() if name != "VMGEXIT_PEER"}
    run = subprocess.run([programs("c")], env=variables, capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (
        2,
        "Bail out! VMGEXIT_PEER is to be the command of an adapter\n",
    )


@pytest.mark.parametrize("language", ["c", "rust"])
def test_a_structure_is_no_scenario(
    language: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    value = tmp_path / "codec-svsm-1.bin"
    value.write_bytes(bytes(300))
    assert main(["export", language, str(value), "-o", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert "a structure found, a scenario expected" in error
    assert error.count("\n") == 1
