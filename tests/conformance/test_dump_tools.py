"""Dumps as the tools themselves print them: xxd, hexdump, od and GDB of this system.

crash, drgn, WinDbg and QEMU are no tools of a test machine: `tests/dumps.py` has their forms by hand.
"""

import shlex
import subprocess
from pathlib import Path

import pytest

from vmgexit import DoorbellPage, GhcbPage, SvsmCall, Vmsa
from vmgexit.read.hexdump import read

NOISE = bytes(pow(3, n, 257) & 0xFF for n in range(1, 101))
TEXT = b"EFI PART and  some  |text> in 'it' <with> marks  . "
SIZES = (1, 2, 3, 7, 8, 9, 16, 17, 32, 33, 100)

PRINTERS = (
    "xxd", "xxd -a -c8", "xxd -g1", "xxd -b", "xxd -p", "xxd -i", "xxd -u",
    "xxd -o 0x7fff0000", "xxd -c32 -g1", "xxd -d", "xxd -d -g1 -c8",
    "hexdump", "hexdump -v", "hexdump -C", "hexdump -Cv", "hexdump -x", "hexdump -b", "hexdump -o",
    "od", "od -b", "od -x", "od -tx1", "od -tx2", "od -tx4", "od -tx8", "od -to1", "od -to4", "od -to8",
    "od -Ax -tx1z", "od -Ax -tx1 -w8", "od -Ax -tx2", "od -Ax -tx4z", "od -Ax -tx8", "od -Ad -tx1",
    "od -Ax -tx1 -v -w32",
)  # fmt: skip
HEXDUMP_QUADS = """hexdump -v -e '1/8 "%016x\\n"'"""
ANY_ORDER = (
    "xxd -g4", "xxd -g8", "xxd -e", "xxd -e -g2", "xxd -e -g8",
    "od -v -An -tx1", "od -v -An -tx2", "od -v -An -tx8",
    HEXDUMP_QUADS,
)  # fmt: skip
"""Printers that do not tell the order in every line: then both are there, and it is said."""


def printed(command: str, data: bytes) -> str:
    words = shlex.split(command)
    return subprocess.run(words, input=data, capture_output=True, check=True).stdout.decode()


def pages() -> list[bytes]:
    ghcb = GhcbPage.for_exit(0x7C, 1, gpa=0x7000, rcx=0x830, rax=0x61, rdx=0).encode()
    vmsa = Vmsa(efer=0x1000, rip=0x50, xcr0=1).encode()
    doorbell = DoorbellPage(vector=0x61).encode()
    call = SvsmCall(rax=1 << 32, rcx=0x1000).encode()
    return [ghcb, vmsa, doorbell, call]


def contents() -> list[bytes]:
    small = [part for size in SIZES for part in (NOISE[:size], bytes(size), TEXT[:size])]
    return [*small, b"\x61" + bytes(99), *pages()]


@pytest.mark.parametrize(
    "command",
    [pytest.param(each, marks=pytest.mark.needs(each.split()[0])) for each in PRINTERS],
)
def test_what_is_printed_is_read(command: str) -> None:
    for data in contents():
        shown = printed(command, data)
        assert read(shown, len(data)).data == data, shown


@pytest.mark.parametrize(
    "command",
    [pytest.param(each, marks=pytest.mark.needs(each.split()[0])) for each in ANY_ORDER],
)
def test_an_order_that_is_not_told_is_doubted(command: str) -> None:
    for data in contents():
        padded = data + bytes(-len(data) % 8)  # od fills its last word up
        dump = read(printed(command, padded), len(padded))
        if len(padded) == 8 and command in (
            "od -v -An -tx8",
            HEXDUMP_QUADS,
        ):  # bare digits: bytes, by the rule
            assert [padded] == [value.data[::-1] for value in dump.values]
        elif dump.data != padded:
            assert dump.other == padded, dump
            assert any("might be" in note for note in dump.notes)


@pytest.mark.needs("xxd")
def test_an_array_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "page").write_bytes(NOISE)
    shown = printed(f"xxd -i {tmp_path / 'page'}", b"")
    assert "unsigned char" in shown
    assert read(shown).data == NOISE


# --- GDB ------------------------------------------------------------------------------------------

HOLDER = """
unsigned char page[64];
unsigned long words[8];
int main(void) { return 0; }
"""


@pytest.fixture(scope="module")
def holder(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """A program whose arrays hold bytes of every kind: GDB reads them from its file."""
    folder = tmp_path_factory.mktemp("holder")
    data = b"a\x81\x01\x02" + bytes(3) + b"\xff" + NOISE[:40] + bytes(16)
    first = ", ".join(map(str, data))
    words = ", ".join(f"{int.from_bytes(data[at : at + 8], 'little')}UL" for at in range(0, 64, 8))
    source = HOLDER.replace("page[64]", f"page[64] = {{{first}}}")
    (folder / "holder.c").write_text(source.replace("words[8]", f"words[8] = {{{words}}}"))
    command = ["cc", "-g", "-o", str(folder / "holder"), str(folder / "holder.c")]
    subprocess.run(command, check=True)
    return folder / "holder", data


@pytest.mark.needs("gdb", "cc")
@pytest.mark.parametrize(
    "command",
    [f"x/{64 // size}{form}{letter} {array}" for array in ("page", "words")
     for letter, size in (("b", 1), ("h", 2), ("w", 4), ("g", 8)) for form in "xduotz"]
    + ["x/64cb page", "p page", "p/x page", "p/z page", "p/d page", "p/u page", "p words", "p/x words",
       "output page"],
)  # fmt: skip
def test_what_gdb_prints_is_read(holder: tuple[Path, bytes], command: str) -> None:
    program, data = holder
    words = ["gdb", "-q", "-nx", "-batch", "-ex", command, str(program)]
    shown = subprocess.run(words, capture_output=True, check=True, text=True).stdout
    assert read(shown, len(data)).data == data, shown
    assert read(f"(gdb) {command}\n{shown}(gdb) ", len(data)).data == data, shown
