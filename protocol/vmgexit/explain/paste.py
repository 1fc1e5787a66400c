"""Input as a whole: what kind it is, and the bytes of a text that is no log."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

from ..errors import DecodeError
from ..read import hexdump

LARGEST = 16 << 20
"""Bytes of binary input that are looked at: a structure is a page, a report or a table."""

_BASE64 = re.compile(r"[A-Za-z0-9+/\s]{22,}={0,2}\s*")
_WIDE = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}
_FORMATS = {
    b"\x7fELF": "an ELF file; vmgexit find looks through the memory of a core",
    b"\x1f\x8b": "packed with gzip; give it as .gz",
    b"\xfd7zXZ": "packed with xz; give it as .xz",
    b"\x17\x08\x44tracing": "a binary trace; give what trace-cmd report prints of it",
    b"PERFILE2": "a binary trace; give what perf script prints of it",
}
"""Binary files that are not structures of ours, by how they begin."""


@dataclass(frozen=True, slots=True)
class Bytes:
    """Bytes that a text stands for. `form`: how they were written; `notes`: what was assumed."""

    data: bytes
    form: str
    notes: tuple[str, ...] = ()


def format_of(data: bytes) -> str:
    """What a binary file is that no structure begins like; "" for any other."""
    return next((what for magic, what in _FORMATS.items() if data.startswith(magic)), "")


def is_binary(data: bytes) -> bool:
    """Whether these are bytes and no text: text has no zero byte, but for UTF-16."""
    return b"\0" in data and data[:2] not in _WIDE


def unwide(data: bytes) -> bytes:
    """UTF-16, as Windows writes it, as UTF-8; anything else as it is, without a byte order mark."""
    encoding = _WIDE.get(data[:2])
    if encoding is None:
        return data.removeprefix(b"\xef\xbb\xbf")
    return data[2:].decode(encoding, "replace").encode()


def bytes_of(text: str) -> Bytes | None:
    """The bytes of a text that is a dump, a literal or base64 as a whole; None for any other."""
    try:
        dump = hexdump.read(text)
    except DecodeError:
        return _of_base64(text)
    return Bytes(dump.data, str(dump), dump.notes)


def _of_base64(text: str) -> Bytes | None:
    if not _BASE64.fullmatch(text):
        return None
    try:
        data = base64.b64decode("".join(text.split()), validate=True)
    except binascii.Error:
        return None
    return Bytes(data, f"{len(data)} bytes, base64")
