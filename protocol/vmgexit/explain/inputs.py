"""Input as a whole: what kind it is, and the bytes of a text that is no log."""

from __future__ import annotations

import codecs
import re
from typing import Any

from ..errors import DecodeError
from ..read import hexdump
from ..read.given import MARKS, unmarked_wide
from ..read.literals import STRING

_TRACES = {
    b"\x17\x08\x44tracing": "a binary trace; give what trace-cmd report prints of it",
    b"PERFILE2": "a binary trace; give what perf script prints of it",
}
"""Binary files of tracers, by how they begin."""

_TIME = re.compile(r"\d{4}-\d\d-\d\d(?:[T ].{1,40})?|\d{1,2}(?::\d\d){1,3}(?:[.,]\d{1,9})?")
_BYTES = re.compile(r"\\|\b[bB][rR]?['\"]")  # what strings of bytes have

_RARE = 16  # of so many letters of a log at most one is a control character
_DAMAGED = 4  # of so many bytes at most one is no UTF-8, on a serial line too
_BEGINNING = 256
_HOLE = re.compile(rb"\0{16,}")  # blocks of a log that were never written: its machine fell over
_TEXT = bytes({*b"\t\n\r\f\x1b", *range(0x20, 0x7F), *range(0x80, 0x100)})


def trace_of(data: bytes) -> str:
    """What a binary trace is, and what to do with it; "" for anything else."""
    return next((what for magic, what in _TRACES.items() if data.startswith(magic)), "")


def is_binary(data: bytes) -> bool:
    """Whether these are bytes and no text: there are more control characters and bytes that are no
    UTF-8 than in a log.

    What comes through a serial line has a few. Structures begin with fields, whatever follows. A log
    may have holes of zeros between its lines.
    """
    parts = list(filter(None, _HOLE.split(data)))
    if parts and parts != [data] and all(b"\n" in part for part in parts):
        return any(map(_are_fields, parts))
    return _are_fields(data)


def _are_fields(data: bytes) -> bool:
    return _is_rare(data) or _is_rare(data[:_BEGINNING])


def _is_rare(part: bytes) -> bool:
    controls = len(part.translate(None, _TEXT))
    damaged = len(part) - len(part.decode(errors="ignore").encode())
    return _RARE * controls > len(part) or _DAMAGED * damaged > len(part)


def unmarked(data: bytes) -> bytes:
    """UTF-8 without a byte order mark."""
    return data.removeprefix(codecs.BOM_UTF8)


class Remembered:
    """A stream of text as UTF-8, UTF-16 of Windows too; what was read is kept as long as it is short."""

    def __init__(self, stream: Any, most: int) -> None:
        self._stream = stream
        self._most = most
        self._parts: list[bytes] = []
        self._size = 0
        self._decoder: codecs.IncrementalDecoder | None = None

    def read1(self, count: int) -> bytes:
        """What there is now, at most `count` bytes of the stream; nothing at the end."""
        part = self._next(count)
        self._size += len(part)
        if self._size > self._most:
            self._parts.clear()
        else:
            self._parts.append(part)
        return part

    def _next(self, count: int) -> bytes:
        read = getattr(self._stream, "read1", self._stream.read)
        while part := read(count):
            marked = MARKS.get(part[:2], "")
            if not self._size and (encoding := marked or unmarked_wide(part)):
                self._decoder = codecs.getincrementaldecoder(encoding)("replace")
                part = part[2:] if marked else part
            if self._decoder is None:
                return bytes(part)
            if text := self._decoder.decode(part).encode(errors="replace"):
                return text
        return b""

    def read(self, count: int) -> bytes:
        """Further bytes, which are not remembered."""
        part: bytes = self._stream.read(count)
        return part

    @property
    def whole(self) -> bytes | None:
        """All that was read, None where it was much."""
        return b"".join(self._parts) if self._size <= self._most else None


def bytes_of(text: str) -> hexdump.Dump | None:
    """The bytes of a text that is a dump, a literal or base64 as a whole; None for any other.

    A text with a literal in it is a program or a file of settings. A string without an escape is
    words, and a date or a time of day is none of its digits.
    """
    if _TIME.fullmatch(text.strip()):
        return None
    try:
        found = hexdump.read(text)
    except DecodeError:
        return None
    is_literal = not found.is_rows and not found.values
    is_words = found.form == STRING and not _BYTES.search(text)
    return None if is_literal and (found.skipped or is_words) else found
