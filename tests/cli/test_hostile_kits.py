"""Adapters of the kits take every byte as hostile: whatever stands on standard input, they answer each
line, and end with it. What is written in C runs under sanitizers where the compiler has them."""

import random
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from tests.peers.made import SANITIZED, Made, once, told

pytestmark = pytest.mark.slow

TOOLS = {"c": ["cc"], "rust": ["rustc"], "python": list[str]()}


def marks(language: str, surface: str) -> list[pytest.MarkDecorator]:
    needs = [pytest.mark.needs(tool) for tool in TOOLS[language]]
    return needs if (language, surface) == ("c", "svsm") else [*needs, pytest.mark.long]


KITS = [
    pytest.param(language, surface, marks=marks(language, surface))
    for language in TOOLS
    for surface in ("svsm", "svsm-memory", "host")
]
MEGABYTE = 1_000_000


@cache
def flags() -> str:
    """CFLAGS with sanitizers, where a program with them can be made and run."""
    made = subprocess.run(
        ["sh", "-c", f"echo 'int main(void) {{ return 0; }}' | cc {SANITIZED} -xc - -o /dev/null"],
        capture_output=True,
    )
    return SANITIZED if made.returncode == 0 else "-O1"


@pytest.fixture(scope="module")
def kits(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Made]:
    """What makes adapters, by their surfaces."""
    cflags = flags() if shutil.which("cc") else ""
    return {surface: once(tmp_path_factory, surface, CFLAGS=cflags) for surface in OPENINGS}


OPENINGS = {
    "svsm": b'{"op": "init", "cpus": 2, "reg_count": 1}',
    "svsm-memory": b'{"op": "init", "cpus": 2, "reg_count": 1, "memory": [[0, 4194304]],'
    b' "svsm": [2097152, 8192], "caa": 32768, "sev_features": 17, "npf": "assign", "unvalidated": "vc",'
    b' "pages": [[0, 2097152, "valid", 7]]}',
    "host": b'{"op": "init", "vcpus": 2}',
}
COMMANDS = {
    "svsm": [
        b'{"op": "state", "cpu": 0}',
        b'{"op": "enter", "cpu": 1, "late": [{"vector": 97, "level": true}]}',
        b'{"op": "call", "cpu": 0, "protocol": 3, "request": 3, "rcx": 2096, "rdx": 1, "r8": 0}',
        b'{"op": "set_doorbell", "cpu": 0, "hex": "' + b"00" * 256 + b'"}',
    ],
    "svsm-memory": [
        b'{"op": "psp", "answers": ["ok", {"err": 8589934592, "rbx": 1}, {"status": 2096}],'
        b' "certs": [4, 1, true]}',
        b'{"op": "call", "cpu": 0, "protocol": 1, "request": 1, "rcx": 65536, "rdx": 2096, "r8": 0}',
        b'{"op": "call", "cpu": 0, "protocol": 0, "request": 1, "rcx": 2096, "rdx": 1, "r8": 0}',
        b'{"op": "enter", "cpu": 0, "late": [{"vector": 97, "level": true}]}',
        b'{"op": "host_page", "gpa": 2096, "to": "remap", "spa": 4096, "fill": 1}',
        b'{"op": "write", "gpa": 65536, "by": 2, "hex": "' + b"01" * 88 + b'"}',
    ],
    "host": [
        b'{"op": "state"}',
        b'{"op": "msr", "cpu": 1, "value": 19}',
        b'{"op": "page", "gpa": 4096, "hex": "' + b"00" * 4096 + b'"}',
        b'{"op": "exit", "cpu": 0}',
        b'{"op": "irq", "cpu": 1, "vector": 97}',
        b'{"op": "enter", "cpu": 1}',
        b'{"op": "take", "cpu": 1, "tpr": 5}',
        b'{"op": "vmgexit", "gpa": 4096, "page": [[912, "76"]], "meanwhile": [[0, "00"]]}',
    ],
}

HUGE = [
    b"x" * MEGABYTE,
    b"[" * MEGABYTE,
    b'{"op":' * (MEGABYTE // 6),
    b'{"op": "' + b"a" * MEGABYTE + b'"}',
    b'{"op": "' + b"\\u0000" * (MEGABYTE // 6) + b'"}',
    b'{"op": "state", "cpu": ' + b"9" * MEGABYTE + b"}",
    b'{"op": "state", "cpu": -' + b"0" * MEGABYTE + b"1}",
    b'{"op": "state", "cpu": 1e' + b"9" * MEGABYTE + b"}",
    b'{"op": "state", ' + b'"a": 0, ' * (MEGABYTE // 8) + b'"cpu": 0}',
    b"{" + b" " * MEGABYTE + b"}",
    b"\0" * MEGABYTE,
    b"\xff" * MEGABYTE,
]
NUMBERS = [
    *(str(sign * (1 << bits) + more).encode() for bits in (7, 8, 15, 16, 31, 32, 53, 63, 64, 65, 128)
      for sign in (1, -1) for more in (-1, 0, 1)),
    *(b"1e400", b"-1e400", b"0x10", b"1.5", b"-0", b"+1", b"01", b"NaN", b"Infinity", b".5", b"5."),
]  # fmt: skip


def streams(surface: str, pick: random.Random) -> dict[str, bytes]:
    """What a hostile driver writes, each after an `init`."""
    commands = COMMANDS[surface]
    lines = [one for one in commands for _ in range(8)]

    def changed(line: bytes) -> bytes:
        """A command with some bytes replaced, taken out, doubled or put elsewhere."""
        data = bytearray(line)
        for _ in range(pick.randrange(1, 5)):
            at, to = sorted(pick.randrange(len(data) + 1) for _ in range(2))
            part = data[at:to]
            data[at:to] = pick.choice((b"", part * 2, part[::-1], pick.randbytes(len(part) or 1)))
        return bytes(data)

    truncated = [one[:at] for one in commands for at in range(min(len(one), 120))]
    deep = [opening * n + b"1" + closing * n for n in (1, 8, 64, 1000, 100_000)
            for opening, closing in ((b"[", b"]"), (b'{"a":', b"}"))]  # fmt: skip
    numbers = [
        one.replace(b'"cpu": 0', b'"cpu": ' + number).replace(b"2096", number)
        for one in commands
        for number in NUMBERS
    ]
    return {
        "random bytes": pick.randbytes(MEGABYTE),
        "random letters": bytes(pick.choices(b'{}[]":,0123456789eE-+. \\untrfalsop\n', k=MEGABYTE)),
        "truncated": b"\n".join(truncated) + b"\n",
        "no line end": b"\n".join(lines) + commands[0][:20],
        "changed": b"\n".join(changed(pick.choice(lines)) for _ in range(3000)) + b"\n",
        "deep": b"\n".join(deep) + b"\n",
        "numbers": b"\n".join(numbers) + b"\n",
        "huge": b"\n".join(HUGE) + b"\n",
        "empty lines": b"\n" * 10_000 + b"\r\n" * 1000 + b" \n" * 1000,
    }


def answers(adapter: Path, sent: bytes) -> list[object]:
    """What it answers; it must end with its input, without a word."""
    hello, *found = told(adapter, sent, 100)
    assert hello["vmgexit"] in (1, 2)
    return found


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("language", "surface"), KITS)
def test_a_kit_answers_every_line(language: str, surface: str, kits: dict[str, Made]) -> None:
    adapter, opening, state = kits[surface](language), OPENINGS[surface], COMMANDS[surface][0]
    fresh = answers(adapter, b"\n".join((opening, state)) + b"\n")[-1]
    for name, stream in streams(surface, random.Random(15)).items():
        sent = opening + b"\n" + stream
        found = answers(adapter, sent)
        whole = sent.count(b"\n")
        assert len(found) in (whole, whole + (not sent.endswith(b"\n"))), name
        assert all(isinstance(one, dict) for one in found), name
        # It is still there, and begins anew.
        if sent.endswith(b"\n"):
            *_, began, after = answers(adapter, sent + opening + b"\n" + state + b"\n")
            assert "unsupported" not in str(began), name
            assert after == fresh, name


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("language", "surface"), KITS)
def test_many_hostile_streams(language: str, surface: str, kits: dict[str, Made]) -> None:
    adapter = kits[surface](language)
    for seed in range(20):
        made = streams(surface, random.Random(seed))
        for name in ("random bytes", "random letters", "changed"):
            assert answers(adapter, OPENINGS[surface] + b"\n" + made[name]), name
