"""`vmgexit fuzz` as a user meets it: real processes, wrong words, ends of every kind."""

import os
import pty
import re
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.checkout import VMGEXIT, complaint
from vmgexit.machine import program
from vmgexit.machine.commands import call
from vmgexit.machine.scenario import sequences
from vmgexit_fuzz.targets import TARGETS

pytestmark = pytest.mark.slow

CORPUS = Path(__file__).parents[2] / "corpus"

# Each bug depends on the commands alone, so that a restarted process meets it again.
PLANTS = """
import os
import sys

from vmgexit.machine.machine import ACTS

original = ACTS["guest_lazy_eoi"]
calls = 0


def at_call(number, act):
    def execute(machine, cpu, command):
        global calls
        calls += 1
        if calls >= number:
            act()
        return original(machine, cpu, command)

    ACTS["guest_lazy_eoi"] = execute


def hang():
    def act():
        while True:
            pass

    at_call(60, act)


def exit_at_once():
    at_call(60, lambda: os._exit(9))


def leave():
    at_call(0, sys.exit)


def dig():
    def deeper(number):
        return deeper(number + 1) + 1

    at_call(0, lambda: deeper(0))


def count_mutations():
    from vmgexit_fuzz.inputs import programs

    def mutate(*arguments):
        with open("mutations", "a") as stream:
            stream.write("x")
        return mutated(*arguments)

    mutated, programs.mutate = programs.mutate, mutate


def broken():
    raise LookupError("not today")
"""

needs_atheris = pytest.mark.needs("atheris")


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "plants.py").write_text(PLANTS)
    return tmp_path


def environment(folder: Path) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(folder), "PWD": str(folder)}


def fuzz(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [VMGEXIT, "fuzz", *words],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=60,
    )


def processes_of(folder: Path) -> list[int]:
    """The processes that run in a folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "cwd").resolve() == folder.resolve():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def test_list_names_every_target_and_what_must_hold(here: Path) -> None:
    listed = fuzz(here, "list")
    assert listed.returncode == 0
    for name, target in TARGETS.items():
        assert re.search(rf"^{name} +{re.escape(target.invariant)}$", listed.stdout, re.MULTILINE)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["run", "nothing"], "unknown target nothing; there are codec, codec-ghcb"),
        (["run", "scenario", "--profile", "x"], "unknown profile x; expected reference, coconut"),
        (["run", "scenario", "--guest", "x"], "unknown guest x; there are linux, ovmf"),
        (["run", "codec", "--guest", "linux"], "--guest: codec is no target whose inputs a guest"),
        (["run", "hostile-host", "--guest", "linux"], "--guest: hostile-host is no target whose"),
        (["run", "scenario", "--time", "0"], "0 is below 1"),
        (["run", "scenario", "--time", "soon"], "'soon' is not a number"),
        (["run", "scenario", "--seed", "99999999999"], "99999999999 is above 2147483647"),
        (["run", "scenario", "--runs", "1", "--findings", "plants.py/x"], "plants.py/x: "),
        (["run", "scenario", "--runs", "1", "--corpus", "plants.py"], "plants.py: "),
        (["run", "scenario", "--kinds", "probes,x"], "'x' is not one of random, state"),
        (["replay", "missing"], "missing: no such file, and no finding of that ID"),
        (["replay", "plants.py"], "plants.py: which target? --target codec or codec-ghcb"),
        (["replay", "plants.py", "--target", "x"], "unknown target x"),
        (["replay", "plants.py", "--target", "codec", "--plant", "x"], "MODULE:FUNCTION expected"),
        (
            ["replay", "plants.py", "--target", "codec", "--plant", "absent:x"],
            "plant absent:x: ModuleNotFoundError: No module named 'absent'",
        ),
    ],
)
def test_what_is_wrong_is_told_in_one_line(here: Path, words: list[str], told: str) -> None:
    assert told in complaint(fuzz(here, *words))


def test_replay_of_nothing_and_of_junk(here: Path) -> None:
    (here / "empty").write_bytes(b"")
    (here / "junk").write_bytes(bytes(range(256)) * 40_000)
    for target in (name for name, row in TARGETS.items() if not row.takes_peer):
        run = fuzz(here, "replay", "empty", "junk", "--target", target)
        assert run.returncode == 0, run.stdout
        assert run.stdout == "2 inputs, 0 findings\n"
        assert f"junk: the first {TARGETS[target].longest} bytes are run" in run.stderr


def test_replay_of_a_folder(here: Path) -> None:
    seeds = CORPUS / "seeds" / "scenario"
    run = fuzz(here, "replay", str(seeds))
    assert run.returncode == 0
    assert run.stdout == f"{len(list(seeds.glob('*.bin')))} inputs, 0 findings\n"


def test_replay_of_a_finding_in_both_spellings(here: Path) -> None:
    name = "ppr-keeps-low-nibble"
    lines = (CORPUS / "quirks" / f"{name}.jsonl").read_bytes()
    [sequence] = sequences(lines.splitlines())
    (here / "scenario-found.bin").write_bytes(program.write(sequence.commands))
    (here / "scenario-found.jsonl").write_bytes(lines)
    for file in ("scenario-found.bin", "scenario-found.jsonl"):
        assert fuzz(here, "replay", file).returncode == 0
        run = fuzz(here, "replay", file, "--profile", name)
        assert run.returncode == 1
        assert run.stdout.startswith(f"{file}: INV-6 at read PPR of vCPU 0: ")
        assert run.stdout.count("->") == 1
        assert run.stdout.endswith("1 input, 1 finding\n")


@needs_atheris
def test_a_campaign_with_a_guest(here: Path) -> None:
    words = ("run", "scenario", "--guest", "linux", "--runs", "400", "--seed", "5")
    run = fuzz(here, *words)
    assert run.returncode == 0, run.stderr
    assert "0 findings" in run.stdout
    assert (here / ".vmgexit" / "scenario-linux" / "campaign.json").exists()
    other = fuzz(here, *words[:2], "--runs", "1", "--dir", ".vmgexit/scenario-linux")
    assert other.returncode == 2
    assert "a campaign with guest linux found, none expected" in other.stderr


def test_replay_tells_where_a_guest_ends_itself(here: Path) -> None:
    init = {"op": "init", "cpus": 1, "reg_count": 1}
    (here / "ends.bin").write_bytes(program.write([init, call(0, 0, 0x20002000, protocol=0)]))
    run = fuzz(here, "replay", "ends.bin", "--target", "scenario", "--guest", "linux")
    assert run.returncode == 0
    assert run.stdout.startswith("ends.bin: linux ends itself: SVSM_CORE_REMAP_CA (moves its")
    assert run.stdout.endswith("1 input, 0 findings\n")


@needs_atheris
def test_runs_and_time_are_kept(here: Path) -> None:
    for runs in (7, 300):
        run = fuzz(here, "run", "scenario", "--runs", str(runs), "--seed", "3")
        assert run.returncode == 0, run.stderr
        assert re.search(rf"^scenario: \d+\.\d s: {runs} inputs ", run.stdout, re.MULTILINE)
        assert not re.search(r" 0 commands", run.stdout)
    began = time.monotonic()
    run = fuzz(here, "run", "codec", "--time", "2")
    assert run.returncode == 0
    assert 2 <= time.monotonic() - began < 30  # starting and ending takes long on a busy machine
    assert "0 findings" in run.stdout
    first, last, then = run.stdout.splitlines()  # a short run needs no line in between
    assert re.match(r"\d\.\d s, \d s left: [\d,]+ inputs? ", first)
    assert last.startswith("codec: ")
    assert re.fullmatch(r"next: \S*vmgexit fuzz report --dir .vmgexit/codec", then)


@needs_atheris
def test_probes_grow_the_corpus(here: Path) -> None:
    """Beyond the seeds, which the engine does not copy, it keeps what went ways not seen before."""
    kept = {}
    for kind in ("probes", "state", "none"):
        corpus = here / kind
        run = fuzz(
            here,
            *("run", "scenario", "--runs", "400", "--seed", "1"),
            *("--kinds", kind, "--dir", kind),
        )
        assert run.returncode == 0, run.stderr
        kept[kind] = list((corpus / "corpus").iterdir())
    assert len(kept["probes"]) > 5
    assert len(kept["state"]) > len(kept["probes"])
    assert len(kept["none"]) <= 1


@needs_atheris
def test_a_campaign_begins_with_seeds(here: Path) -> None:
    """Inputs, and scenarios as JSON lines; a finding among them is found at once."""
    for folder, suffix in (("my seeds", ".jsonl"), ("others", ".bin")):
        (here / folder).mkdir()
        for path in (CORPUS / "quirks").glob("remap-loses-*.jsonl"):
            [sequence] = sequences(path.read_bytes().splitlines())
            data = path.read_bytes() if suffix == ".jsonl" else program.write(sequence.commands)
            (here / folder / path.with_suffix(suffix).name).write_bytes(data)
    words = ("run", "scenario", "--profile", "coconut", "--seeds", "my seeds", "--seeds", "others")
    run = fuzz(here, *words, "--kinds", "none", "--runs", "300", "--quiet")
    assert run.returncode == 1, run.stderr
    assert not re.search("^finding: ", run.stdout, re.MULTILINE)  # quiet
    assert "new: " in run.stdout
    corpus = {path.read_bytes() for path in (here / ".vmgexit/scenario-coconut/corpus").iterdir()}
    assert {path.read_bytes() for path in (here / "others").iterdir()} <= corpus
    assert len(corpus) >= 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["run", "scenario", "--seeds", "nowhere"], "nowhere: no folder"),
        (["run", "scenario", "--seeds", "empty"], "empty: no inputs"),
        (["run", "scenario", "--seeds", "bad"], "bad/a.jsonl line 1: op 'nothing': not one of"),
        (["run", "scenario", "--dir", "plants.py/x"], "plants.py/x: Not a directory"),
        (["run", "peer", "--peer", "plants.py"], "plants.py: cannot be started: "),
        (["run", "codec", "--profile", "coconut"], "--profile"),
        (["run", "scenario", "--plant", "plants:broken"], "plant plants:broken: LookupError"),
    ],
)
@needs_atheris
def test_a_start_that_fails_leaves_nothing_behind(here: Path, words: list[str], told: str) -> None:
    (here / "empty").mkdir()
    (here / "bad").mkdir()
    (here / "bad" / "a.jsonl").write_text('{"op": "nothing"}\n')
    before = sorted(here.rglob("*"))
    assert told in complaint(fuzz(here, *words))
    assert [path for path in sorted(here.rglob("*")) if "__pycache__" not in path.parts] == before


@needs_atheris
def test_the_engine_calls_our_mutator(here: Path) -> None:
    words = ("--runs", "300", "--kinds", "probes", "--plant", "plants:count_mutations")
    run = fuzz(here, "run", "scenario", *words)
    assert run.returncode == 0, run.stderr
    seeds = len(list((CORPUS / "seeds" / "scenario").iterdir()))
    # Not the seeds, and not the one in eight that is left to libFuzzer.
    assert (here / "mutations").stat().st_size > (300 - seeds) // 2


@needs_atheris
def test_a_child_that_cannot_start_is_one_line(here: Path) -> None:
    for plant, told in (
        ("absent:x", "plant absent:x: ModuleNotFoundError: No module named 'absent'"),
        ("plants:absent", "plant plants:absent: AttributeError: "),
        ("plants:broken", "plant plants:broken: LookupError: not today"),
    ):
        run = fuzz(here, "run", "scenario", "--time", "20", "--plant", plant)
        assert complaint(run).startswith(f"vmgexit: {told}")


@needs_atheris
@pytest.mark.parametrize(
    ("plant", "cause"),
    [
        ("plants:hang", "hang"),
        ("plants:exit_at_once", "ended with code 9"),
    ],
)
def test_what_ends_the_process_is_one_finding(here: Path, plant: str, cause: str) -> None:
    run = fuzz(
        here,
        *("run", "scenario", "--time", "5", "--seed", "1", "--plant", plant),
        *("--hang", "1", "--findings", "found"),
    )
    assert run.returncode == 1, run.stdout + run.stderr
    assert run.stdout.count("finding: ") == 1
    assert f"finding: {cause}" in run.stdout
    assert re.search(r", 1 finding, .*, [1-9]\d* restarts?\n", run.stdout)
    kept = here / "found" / f"scenario-{cause.replace(' ', '-')}.bin"
    assert f"new: {cause}: found/{kept.name}\n" in run.stdout
    assert kept.stat().st_size > 0
    assert sorted(path.suffix for path in kept.parent.iterdir()) == [
        *(".bin", ".json", ".jsonl", ".txt"),
    ]


@needs_atheris
@pytest.mark.parametrize(
    ("plant", "told"),
    [
        ("plants:leave", "finding: SystemExit"),
        ("plants:dig", "finding: RecursionError: maximum recursion depth exceeded"),
    ],
)
def test_what_python_can_catch_does_not_end_the_process(here: Path, plant: str, told: str) -> None:
    run = fuzz(here, "run", "scenario", "--runs", "200", "--seed", "1", "--plant", plant)
    assert run.returncode == 1, run.stderr
    assert told in run.stdout
    assert "->" not in run.stdout  # one line; the scenario is for those who ask
    assert "restart" not in run.stdout
    assert run.stdout.count("finding: ") == 1
    again = next(line for line in run.stdout.splitlines() if " replay " in line)
    replayed = fuzz(here, *shlex.split(again)[3:])
    assert replayed.returncode == 1
    assert "->" in replayed.stdout

    # The next campaign meets it again and says so.
    run = fuzz(here, "run", "scenario", "--runs", "200", "--seed", "1", "--plant", plant)
    assert run.returncode == 1
    assert "finding: " not in run.stdout
    assert "\nin 2 runs: " in run.stdout
    assert run.stdout.startswith("seen before: ")
    assert "1 finding (1 seen before)" in run.stdout


@needs_atheris
@pytest.mark.parametrize("wanted", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "terminated"])
def test_an_interrupted_campaign_sums_up_and_leaves_nobody(
    here: Path, wanted: signal.Signals
) -> None:
    campaign = subprocess.Popen(
        [VMGEXIT, "fuzz", "run", "scenario"],
        cwd=here,
        env=environment(here),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    corpus = here / ".vmgexit" / "scenario" / "corpus"
    while not (corpus.is_dir() and any(corpus.iterdir())) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(processes_of(here)) == 2
    if wanted == signal.SIGINT:
        os.killpg(campaign.pid, wanted)  # as a terminal sends it
    else:
        campaign.send_signal(wanted)
    output, errors = campaign.communicate(timeout=30)
    assert campaign.returncode == 130
    # Where the machine is busy, lines on the way come before the sum.
    *_, last, then = output.splitlines()
    assert then.startswith("next: ")
    assert last.startswith("scenario: ")
    assert last.endswith(", interrupted")
    assert errors == ""
    assert processes_of(here) == []


@needs_atheris
def test_a_killed_campaign_leaves_nobody(here: Path) -> None:
    with subprocess.Popen(
        [VMGEXIT, "fuzz", "run", "scenario"],
        cwd=here,
        env=environment(here),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as campaign:
        deadline = time.monotonic() + 30
        while len(processes_of(here)) < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert len(processes_of(here)) == 2
        campaign.kill()
    deadline = time.monotonic() + 10
    while processes_of(here) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert processes_of(here) == []
    assert not list(here.rglob("crash-*"))


@needs_atheris
def test_a_terminal_gets_one_live_line(here: Path) -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [VMGEXIT, "fuzz", "run", "scenario", "--time", "2"],
        cwd=here,
        env=environment(here),
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    ) as campaign:
        os.close(theirs)
        shown = b""
        try:
            while piece := os.read(ours, 4096):
                shown += piece
        except OSError:  # how a pty says that the other end is closed
            pass
        os.close(ours)
    assert campaign.returncode == 0
    live, _, closing = shown.decode().rpartition("\r\x1b[K")
    assert live.count("\r\x1b[K") >= 4
    assert "\n" not in live
    assert all(len(line) < 80 for line in live.split("\r\x1b[K"))
    assert re.fullmatch(r"scenario: \d\.\d s: .* 0 findings, .*\r\nnext: .*\r\n", closing)
