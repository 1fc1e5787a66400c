"""Input as a whole: what kind it is, and the bytes of a text that is no log."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

from ..errors import DecodeError
from ..read import hexdump

_BASE64 = re.compile(r"[A-Za-z0-9+/\s]{22,}={0,2}\s*")
WIDE = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}
_TRACES = {
    b"\x17\x08\x44tracing": "a binary trace; give what trace-cmd report prints of it",
    b"PERFILE2": "a binary trace; give what perf script prints of it",
}
"""Binary files of tracers, by how they begin."""

PAGE = 4096


@dataclass(frozen=True, slots=True)
class Bytes:
    """Bytes that a text stands for. `form`: how they were written; `notes`: what was assumed."""

    data: bytes
    form: str
    notes: tuple[str, ...] = ()
    gaps: tuple[range, ...] = ()  # of `data`, what a dump does not show


def trace_of(data: bytes) -> str:
    """What a binary trace is, and what to do with it; "" for anything else."""
    return next((what for magic, what in _TRACES.items() if data.startswith(magic)), "")


def is_binary(data: bytes) -> bool:
    """Whether these are bytes and no text: text has no zero byte, but for UTF-16."""
    return b"\0" in data and data[:2] not in WIDE


def unwide(data: bytes) -> bytes:
    """UTF-16, as Windows writes it, as UTF-8; anything else as it is, without a byte order mark."""
    encoding = WIDE.get(data[:2])
    if encoding is None:
        return data.removeprefix(b"\xef\xbb\xbf")
    return data[2:].decode(encoding, "replace").encode()


def bytes_of(text: str) -> Bytes | None:
    """The bytes of a text that is a dump, a literal or base64 as a whole; None for any other."""
    try:
        dump = hexdump.read(text)
    except DecodeError:
        return _of_base64(text)
    return Bytes(dump.data, str(dump), dump.notes, dump.gaps)


def _of_base64(text: str) -> Bytes | None:
    if not _BASE64.fullmatch(text):
        return None
    try:
        data = base64.b64decode("".join(text.split()), validate=True)
    except binascii.Error:
        return None
    return Bytes(data, f"{len(data)} bytes, base64")
