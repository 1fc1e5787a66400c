"""Makes `corpus/guests/*.bin` from the rows of its `pages.toml`: `python -m tests.guests`.

It knows the page by literal offsets of its own (edk2 MdePkg/Include/Register/Amd/Ghcb.h, Linux
arch/x86/include/asm/svm.h), so that the library which reads the files is held against something else.
"""

from __future__ import annotations

import struct
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parents[1] / "corpus" / "guests"
GPA = 0x7000

OFFSETS = {
    "cpl": 0x0CB,
    "xss": 0x140,
    "rip": 0x178,
    "rax": 0x1F8,
    "rcx": 0x308,
    "rdx": 0x310,
    "rbx": 0x318,
    "rbp": 0x328,
    "rsi": 0x330,
    "rdi": 0x338,
    "r8": 0x340,
    "sw_exit_code": 0x390,
    "sw_exit_info_1": 0x398,
    "sw_exit_info_2": 0x3A0,
    "sw_scratch": 0x3A8,
    "xcr0": 0x3E8,
}
BITMAP, BUFFER, VERSION = 0x3F0, 0x800, 0xFFA


@dataclass(frozen=True)
class Sent:
    """A page or an MSR word that a guest sends."""

    name: str  # with the guest
    source: str
    row: dict[str, Any]
    version: int = 0

    @property
    def marked(self) -> dict[str, int]:
        """The fields that the guest marks valid, with their values."""
        names = {"sw_exit_code": "exit", "sw_exit_info_1": "info1", "sw_exit_info_2": "info2"}
        values = {name: self.row.get(key, 0) for name, key in names.items()}
        if "buffer" in self.row or "list" in self.row:
            values["sw_scratch"] = GPA + BUFFER
        more: dict[str, int] = self.row.get("set", {})
        return values | more

    @property
    def buffer(self) -> bytes:
        """What the shared buffer begins with."""
        if "list" not in self.row:
            return bytes.fromhex(self.row.get("buffer", ""))
        pages, done = self.row["list"], self.row.get("done", 0)
        data = struct.pack("<HHI", pages["current"], pages["last"], 0)
        number = 0
        for first, operation, large, count in pages["runs"]:
            for frame in range(first, first + count * (512 if large else 1), 512 if large else 1):
                now = (
                    done
                    if number == pages["current"]
                    else 512 * large * (number < pages["current"])
                )
                data += struct.pack("<Q", large << 56 | operation << 52 | frame << 12 | now)
                number += 1
        return data

    @property
    def page(self) -> bytes:
        """The 4096 bytes of the page."""
        page = bytearray(4096)
        valid = 0
        for name, value in self.marked.items():
            at, size = OFFSETS[name], 1 if name == "cpl" else 8
            page[at : at + size] = value.to_bytes(size, "little")
            valid |= 1 << at // 8
        page[BITMAP : BITMAP + 16] = valid.to_bytes(16, "little")
        page[BUFFER : BUFFER + len(self.buffer)] = self.buffer
        page[VERSION : VERSION + 2] = self.version.to_bytes(2, "little")
        return bytes(page)


def _sent(kind: str) -> Iterator[Sent]:
    for group in tomllib.loads((HERE / "pages.toml").read_text())["group"]:
        for row in group.get(kind, ()):
            for suffix, version in group.get("versions", {"": 0}).items():
                name = f"{group['guest']}-{row['name']}{suffix}"
                yield Sent(name, f"{group['file']} {row['in']}", row, version)


def pages() -> list[Sent]:
    """Every page of the table, in its order."""
    return list(_sent("pages"))


def words() -> list[Sent]:
    """Every word of the table that a guest writes to the GHCB MSR."""
    return list(_sent("words"))


def main() -> None:
    """Write the files, and remove those that no row makes."""
    made = {f"{sent.name}.bin": sent.page for sent in pages()}
    for path in HERE.glob("*.bin"):
        if path.name not in made:
            path.unlink()
    for name, data in made.items():
        (HERE / name).write_bytes(data)


if __name__ == "__main__":
    main()
