"""Peers that read commands in binary: the driver's bytes, and the kit in C that reads them."""

import json
import random
import subprocess
from pathlib import Path

import pytest

from tests.cli.test_peer_new import RECORDINGS, asked, replayed
from tests.peers.made import SANITIZED, Made, built, once, project, told
from vmgexit.cli import main
from vmgexit.compare.peer import Peer
from vmgexit.descriptions import Command
from vmgexit.errors import PeerError
from vmgexit.machine import program
from vmgexit.machine.scenario import to_lines
from vmgexit_fuzz.targets import find

pytestmark = [pytest.mark.slow, pytest.mark.needs("cc")]

INIT: Command = {"op": "init", "cpus": 2, "reg_count": 1}

ECHO = """\
import json, sys
print(json.dumps({"vmgexit": 2, "name": "echo", "binary": True}), flush=True)
while head := sys.stdin.buffer.read(1):
    if head == b"{":
        read = head + sys.stdin.buffer.readline()
    else:
        count = sys.stdin.buffer.read(2)
        read = head + count + sys.stdin.buffer.read(36 * int.from_bytes(count, "little"))
    print(json.dumps({"ok": True, "read": read.hex()}), flush=True)
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return once(tmp_path_factory, CFLAGS="-O0")


def operation(code: int, cpu: int = 0, vector: int = 0, flags: int = 0, words: str = "") -> str:
    """An operation in hex digits, its last 32 bytes zero but for the digits at their beginning."""
    return bytes([code, cpu, vector, flags]).hex() + words.ljust(64, "0")


@pytest.mark.parametrize(
    ("command", "bytes_of_it"),
    [
        (INIT, "01" "0100" + operation(0, 2, flags=4, words="00" * 8 + "01")),
        (
            {"op": "call", "cpu": 1, "protocol": 3, "request": 2, "rcx": 0x802, "rdx": 1 << 63, "r8": 5},
            "01" "0100" "01010000" "03000000" "02000000"
            "0208000000000000" "0000000000000080" "0500000000000000",
        ),
        (
            {"op": "enter", "cpu": 1, "late": [{"vector": 0x61, "level": True}]},
            "01" "0200" + operation(3, 1) + operation(16, vector=0x61, flags=1),
        ),
        (
            {"op": "set_doorbell", "cpu": 0, "hex": "00" * 24 + "abcd" + "00" * 230},
            "01" "0200" + operation(10) + operation(18, vector=1, words="00" * 8 + "abcd"),
        ),
        ({"op": "host_refuse", "cpu": 0, "call": "hv_ipi"}, "01" "0100" + operation(12, vector=1)),
    ],
    ids=lambda one: one["op"] if isinstance(one, dict) else "",
)  # fmt: skip
def test_what_a_peer_is_sent(command: Command, bytes_of_it: str, tmp_path: Path) -> None:
    assert sent(tmp_path, [INIT, command])[1] == bytes_of_it


def test_what_has_no_binary_form_is_a_line(tmp_path: Path) -> None:
    odd: list[Command] = [
        {"op": "init", "cpus": 17, "reg_count": 1},
        {"op": "state", "cpu": 16},
        {"op": "an_operation_of_2030", "cpu": 0},
        {"op": "state", "cpu": 0, "more": 1},
    ]
    assert sent(tmp_path, odd) == [f"{json.dumps(one)}\n".encode().hex() for one in odd]


def sent(folder: Path, commands: list[Command]) -> list[str]:
    """What a peer reads that takes commands in binary."""
    (folder / "echo.py").write_text(ECHO)
    with Peer(["python3", str(folder / "echo.py")]) as peer:
        return [answer["read"] for answer in peer.answers(commands)]


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"binary": 1}, "hello: binary: 1 found, true or false expected"),
        ({"binary": True, "machine": "host"}, "hello: binary: true found, which only an SVSM can say"),
    ],
)  # fmt: skip
def test_a_hello_that_cannot_be(said: dict[str, object], message: str) -> None:
    hello = json.dumps({"vmgexit": 2, "name": "odd", **said})
    with pytest.raises(PeerError, match=message):
        Peer(["echo", hello]).restart()


@pytest.mark.parametrize("kind", ["host", "hostile", "fuzzed"])
def test_recorded_sequences(
    kind: str, made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    [line] = replayed(made("c", True), asked(kind, tmp_path, 10), capsys, "--binary")
    assert ", 0 mismatches" in line


def test_the_check(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["peer", "check", "--peer", f"{made('c', True)} --binary"]) == 0
    assert capsys.readouterr().out.endswith(" 0 broken\n")


def test_with_memory_both_forms_are_answered_alike(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every line of `replay`, its differences from COCONUT-SVSM too, is the same."""
    folder = project("c", tmp_path / "project", filled_in=False, surface="svsm-memory")
    plain = built(folder, CFLAGS="-O0").rename(tmp_path / "plain")
    adapter = folder / "adapter.c"
    adapter.write_text(
        adapter.read_text().replace(".stays = true,", ".stays = true, .binary = true,")
    )
    binary = built(folder, CFLAGS="-O0").rename(tmp_path / "binary")
    for file in sorted((RECORDINGS / "memory").iterdir()):
        assert replayed(binary, str(file), capsys) == replayed(plain, str(file), capsys)


RUNS = """\
static uint8_t data[1 << 16];

int main(void)
{
    vmgexit_run_program(&adapter, data, fread(data, 1, sizeof data, stdin));
    return 0;
}
"""


def test_a_program_is_what_our_own_reader_takes_it_for(made: Made, tmp_path: Path) -> None:
    """Programs, and any bytes, run in one process give the answers to the commands that `program.read`
    takes them for, but for steps, which the kit does not have."""
    folder = project("c", tmp_path / "project")
    adapter = folder / "adapter.c"
    adapter.write_text(adapter.read_text().replace("int main(", "int other(") + RUNS)
    runs = built(folder, CFLAGS="-O0")
    target, chance = find("scenario").open(), random.Random(1)
    programs = [path.read_bytes() for path in sorted(find("scenario").seeds.iterdir())[:40]]
    programs += [target.make(chance)[:4000] for _ in range(40)]
    programs += [chance.randbytes(36 * chance.randrange(1, 40) + 5) for _ in range(80)]
    for data in programs:
        got = subprocess.run([runs], input=data, capture_output=True, timeout=60).stdout
        answers = told(made("c", True), to_lines(program.read(data)).encode())[1:]
        unknown = [{"unsupported": "an operation that the kit does not know"}]
        expected = [answer for answer in answers if answer not in unknown]
        assert [json.loads(line) for line in got.splitlines()] == expected, data.hex()


STRANGE = (
    "010000",  # no operation
    "010100" + operation(200, words="ff" * 32),
    "010100" + operation(38),  # a code that wraps
    "010100" + operation(11, cpu=2),  # a vCPU that does not exist
    "010100" + operation(12, vector=3),
    "010100" + operation(13),  # a step
    "010100" + operation(16, vector=3),  # a piece of nothing
    "010100" + operation(3, flags=0xFF),
    "010200" + operation(3) + operation(18),  # a piece of something else
    "01ffff" + operation(11) * 65535,  # more than 1 MiB
)


@pytest.mark.parametrize("flags", ["-O0", pytest.param(SANITIZED, marks=pytest.mark.long)])
def test_whatever_comes_in_binary_has_one_answer(flags: str, tmp_path: Path) -> None:
    """What is no command is not supported, and changes nothing."""
    peer = [str(built(project("c", tmp_path / "project"), CFLAGS=flags)), "--binary"]
    begin = b'{"op": "init", "cpus": 2, "reg_count": 7}\n'
    chance = random.Random(2)
    damaged = [
        b"\1" + (count := chance.randrange(9)).to_bytes(2, "little") + chance.randbytes(36 * count)
        for _ in range(300)
    ]
    odd = b"".join(map(bytes.fromhex, STRANGE))
    state = b'{"op": "state", "cpu": 1}\n'
    run = subprocess.run(
        peer,
        input=begin + odd + state + b"".join(damaged) + begin + state + b"\1\xff",
        capture_output=True,
        timeout=60,
    )
    assert (run.returncode, run.stderr) == (0, b"")
    found = [json.loads(line) for line in run.stdout.splitlines()][1:]
    assert all(list(answer) == ["unsupported"] for answer in found[1 : 1 + len(STRANGE)])
    assert len(found) == 1 + len(STRANGE) + 1 + len(damaged) + 2
    assert found[1 + len(STRANGE)] == found[-1]


@pytest.mark.needs("clang")
@pytest.mark.long
def test_libfuzzer_runs_the_scenarios(tmp_path: Path) -> None:
    """As README.md of a new project says it."""
    folder = project("c", tmp_path / "project", filled_in=False)
    flags = "-g -fsanitize=fuzzer,address -DVMGEXIT_LIBFUZZER"
    made = subprocess.run(
        ["sh", str(folder / "build.sh")],
        env={"CC": "clang", "CFLAGS": flags, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    if "libclang_rt.fuzzer" in made.stderr:
        pytest.skip("needs libclang-rt")
    assert made.returncode == 0
    (folder / "new").mkdir()
    run = subprocess.run(
        [folder / "adapter", "-runs=20000", "-seed=1", "new", str(find("scenario").seeds)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert run.returncode == 0
    assert "Done 20000 runs" in run.stderr
