"""Commands and answers of the rules on memory, and where things are in their exchanges."""

from __future__ import annotations

import hashlib

from ...descriptions import Answer
from ...wire.page_size import LARGE_PAGE, PAGE
from .rule import OK, Step

AREA, LIST, OPERATION, NONCE, REPORT, MANIFEST, CERTIFICATES = (
    0x8000, 0x9000, 0x10000, 0x11000, 0x12000, 0x13000, 0x14000,
)  # fmt: skip
ONE, OTHER = 0x30000, 0x31000  # pages that the rules are about
HUGE, PRIVATE, SHARED, SVSM = 0x20_0000, 0x40_0000, 0x60_0000, 0x80_0000
END, ELSEWHERE = 0x100_0000, 0x500_0000
VMSA = SVSM + PAGE
FILL, SVSM_FILL = 0x11, 0xC5
VALID: list[object] = [0, LARGE_PAGE, "valid", FILL]


def begin(*pages: list[object], **arguments: object) -> Step:
    """An `init` with two vCPUs, pages that the guest can use from 0 on, and some others."""
    command = {
        "op": "init",
        "cpus": 2,
        "memory": [[0, END]],
        "svsm": [SVSM, LARGE_PAGE],
        "caa": AREA,
        "sev_features": 1,
        "npf": "stop",
        "unvalidated": "input",
        "pages": [VALID, *pages],
    }
    return command | arguments, OK | {"cpus": 2, "reg_count": arguments.get("reg_count")}


def page(at: int, **expected: object) -> Step:
    """What is asked of a page."""
    return {"op": "page", "gpa": at}, expected


def filled(byte: int) -> str:
    """The `hash` of a page of one byte."""
    return hashlib.sha256(bytes([byte]) * PAGE).hexdigest()[:16]


def read(at: int, length: int, by: int | str, expected: Answer) -> Step:
    """A VMPL, or the host, reads."""
    return {"op": "read", "gpa": at, "len": length, "by": by}, expected


def write(at: int, data: bytes, by: int | str = 2) -> Step:
    """A VMPL, or the host, writes where it may."""
    return {"op": "write", "gpa": at, "hex": data.hex(), "by": by}, OK


def no(why: str) -> Answer:
    """The answer to an access, or a change, that fails."""
    return {"ok": False, "why": why}


def host(at: int, to: str, expected: Answer = OK, **arguments: int) -> Step:
    """What the host does to a page."""
    return {"op": "host_page", "gpa": at, "to": to, **arguments}, expected


def adjust(at: int, vmpl: int, perms: int, expected: Answer) -> Step:
    """The guest's own RMPADJUST."""
    return {"op": "adjust", "gpa": at, "vmpl": vmpl, "perms": perms}, expected


def words(*values: int, size: int = 8) -> bytes:
    """Little-endian numbers of `size` bytes."""
    return b"".join(value.to_bytes(size, "little") for value in values)
