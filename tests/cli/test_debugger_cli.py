"""`vmgexit gdb` and `vmgexit drgn`: the scripts show what decode reads, in the debuggers themselves."""

import random
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from vmgexit import GhcbPage, VmcbControl, Vmsa
from vmgexit.debugger import script
from vmgexit.layout.naming import label
from vmgexit.layout.subjects import published
from vmgexit.schema import Kind, Structure, get, leaves

from .conftest import Run

pytestmark = pytest.mark.slow

HOLDER = r"""
#include <stdint.h>
#include <stdio.h>

unsigned char page[4096];
uint64_t event = 0x80000b0d;
struct { unsigned char bytes[4096]; } held;

void stop(void) {}

int main(int count, char **names)
{
    FILE *file = fopen(names[1], "rb");
    if (!file || fread(page, 1, sizeof page, file) != sizeof page)
        return 1;
    stop();
    return 0;
}
"""

needs_gdb = pytest.mark.needs("gdb", "cc")
needs_drgn = pytest.mark.needs("drgn")


@pytest.fixture(scope="module")
def engine() -> dict[str, Any]:
    """What the script for drgn defines, with a drgn that has no memory."""
    stub = types.ModuleType("drgn")
    before = sys.modules.get("drgn")
    sys.modules["drgn"] = stub
    try:
        names: dict[str, Any] = {"__name__": "vmgexit_drgn"}
        exec(script("drgn", published()), names)  # noqa: S102
    finally:
        if before is None:
            del sys.modules["drgn"]
        else:
            sys.modules["drgn"] = before
    return names


@pytest.mark.parametrize(
    "cls", [cls for cls in published() if not cls.declaration.any_length], ids=label
)
def test_every_field_is_read_as_decode_reads_it(
    engine: dict[str, Any], cls: type[Structure]
) -> None:
    name, places = label(cls), list(leaves(cls))
    for seed in range(4):
        data = random.Random(seed).randbytes(cls.size)
        value = cls.decode(data)
        shown = list(engine["_leaves"](name, name, "", 0, int.from_bytes(data, "little")))
        assert [row[2] for row in shown] == [place.path for place in places]
        for (is_set, where, _, text, _), place in zip(shown, places, strict=True):
            found, in_word = get(value, place.path), place.owner.declaration.is_bits
            at = place.bit_offset - place.field.bit_offset * in_word
            assert int(where.partition("[")[0], 16) == at // 8
            assert is_set == (any(found) if isinstance(found, bytes) else bool(found))
            if place.field.kind in (Kind.UINT, Kind.FLAG):
                assert int(text.split()[0], 16) == found


def test_numbers_are_named(engine: dict[str, Any]) -> None:
    page = GhcbPage.for_exit(0x7C, 1, gpa=0x7000, rcx=0x830, rax=0x61, rdx=0)
    lines = list(engine["show"]("ghcb", page.encode(), 0x7000, False))
    assert lines[0].startswith("ghcb at 0x7000, 4096 bytes: GHCB")
    assert any("0x390  sw_exit_code" in line and "0x7c MSR" in line for line in lines)
    assert any("rax, rcx, rdx, sw_exit_code" in line for line in lines)
    (word,) = (
        line for line in engine["show"]("event-inj", bytes(7) + b"\0", None, True) if "[31]" in line
    )
    assert word.split()[:3] == ["0x000[31]", "valid", "0"]


@pytest.mark.parametrize(
    "value",
    [
        GhcbPage(sw_exit_code=0x403),
        Vmsa(guest_exit_code=0x403),
        VmcbControl(exit_code=0x403),
    ],
)
def test_an_exit_is_named_wherever_it_stands(engine: dict[str, Any], value: Structure) -> None:
    """0x403 is VMGEXIT: OpenVMM x86defs snp.rs, SevExitCode."""
    lines = list(engine["show"](label(type(value)), value.encode(), None, False))
    assert any("exit_code" in line and "0x403 VMGEXIT" in line for line in lines)


@pytest.mark.parametrize("debugger", ["gdb", "drgn"])
def test_a_script_is_plain_python(run: Run, debugger: str) -> None:
    ran = run(debugger, "ghcb", "event-inj")
    assert ran.code == 0
    compile(ran.out, debugger, "exec")
    assert "import vmgexit" not in ran.out
    assert "from vmgexit" not in ran.out
    assert "unknown structure ghcx" in run(debugger, "ghcx").complaint


@needs_gdb
def test_gdb_shows_a_page_of_a_process(run: Run, tmp_path: Path) -> None:
    (tmp_path / "vmgexit-gdb.py").write_text(run("gdb").out)
    (tmp_path / "holder.c").write_text(HOLDER)
    page = GhcbPage.for_exit(0x7C, 1, gpa=0x7000, rcx=0x830, rax=0x61, rdx=0)
    (tmp_path / "page").write_bytes(page.encode())
    subprocess.run(["cc", "-g", "-o", "holder", "holder.c"], cwd=tmp_path, check=True)
    commands = [
        "source vmgexit-gdb.py",
        "break stop",
        "run page",
        "vmgexit-ghcb page",
        "vmgexit-ghcb &page",
        "vmgexit-ghcb held",
        "vmgexit-word event-inj event",
        "vmgexit-ghcb 16",
        "vmgexit-word ghcx 1",
        "vmgexit-ghcb nosuch",
        "vmgexit-word event-inj )",
        "vmgexit-doorbell-page.2024-05-16 page",
    ]
    words = [word for command in commands for word in ("-ex", command)]
    done = subprocess.run(
        ["gdb", "-nx", "-q", "-batch", *words, "holder"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "Traceback" not in done.stdout + done.stderr
    assert "Python" not in done.stderr
    assert 'nosuch: No symbol "nosuch" in current context' in done.stderr
    assert done.stdout.count("0x7c MSR") == 2
    assert "vector            0xd" in done.stdout
    assert "cannot read 4096 bytes at 0x10" in done.stderr
    assert "no structure ghcx; nearest: ghcb" in done.stderr
    assert "doorbell-page@2024-05-16 at 0x" in done.stdout


KEEPER = """
import ctypes, mmap, sys
page = mmap.mmap(-1, 4096)
page[:] = sys.stdin.buffer.read(4096)
print(hex(ctypes.addressof(ctypes.c_char.from_buffer(page))), flush=True)
sys.stdin.buffer.read()
"""


@needs_drgn
def test_drgn_shows_a_page_of_a_process(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "vmgexit-drgn.py"
    path.write_text(run("drgn").out)
    page = GhcbPage.for_exit(0x7C, 1, gpa=0x7000, rcx=0x830, rax=0x61, rdx=0)
    with subprocess.Popen(
        [sys.executable, "-c", KEEPER], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as keeper:
        assert keeper.stdin is not None
        assert keeper.stdout is not None
        keeper.stdin.write(page.encode())
        keeper.stdin.flush()
        address = keeper.stdout.readline().decode().strip()
        shown = [
            subprocess.run(
                [sys.executable, "-m", "drgn", "-q", "-p", str(keeper.pid), path, "ghcb", where],
                capture_output=True,
                text=True,
                timeout=60,
            )
            for where in (address, "0x10")
        ]
        keeper.stdin.close()
    assert "0x7c MSR" in shown[0].stdout
    assert shown[1].returncode == 2
    assert "vmgexit: cannot read 4096 bytes at 0x10" in shown[1].stderr
