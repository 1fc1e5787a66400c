"""Reading input of any size: files, packed by xz or gzip or not, `-` for standard input.

No input is held whole in memory. A failure to read a file is a DecodeError of one line that names
the file.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
import sys
from collections.abc import Callable, Iterator
from typing import Any

from ..errors import DecodeError

_CHUNK = 1 << 20
_PACKED = (
    b"\xfd7zXZ\0",
    b"\x1f\x8b\x08",
)  # how files of xz and of gzip begin, whatever their names
_OF_OUTPUT = (errno.EPIPE, errno.ENOSPC)  # where what was read is written to, not the file
BEGINNING = 4096
"""Bytes by which a file of text is told from others, at most."""
LONGEST_LINE = 64 << 20
"""Bytes of the longest line that is read: a line of a recording is a few kilobytes."""


@contextlib.contextmanager
def opened(name: str) -> Iterator[Any]:
    """The bytes of `name`, unpacked if they are packed: a stream that can be peeked into.

    Errors name the file. Who is asked to type at a terminal is told so, once, on standard error.
    """
    try:
        if name == "-":
            if sys.stdin is None:
                raise DecodeError("-: standard input is closed")
            if sys.stdin.isatty() and sys.stderr is not None:
                print("vmgexit: reading standard input; Ctrl-D ends it", file=sys.stderr)
            with _unpacked(sys.stdin.buffer, name) as stream:
                yield stream
            return
        if os.path.isdir(name):
            raise DecodeError(f"{name}: a directory found, a file expected")
        with open(name, "rb") as plain, _unpacked(plain, name) as stream:
            yield stream
    except OSError as error:
        if error.errno in _OF_OUTPUT:
            raise
        raise DecodeError(f"{name}: {error.strerror or error}") from None


@contextlib.contextmanager
def _unpacked(plain: Any, name: str) -> Iterator[Any]:
    """`plain`, or what it is packed from."""
    if not plain.peek(8).startswith(_PACKED):
        yield plain
        return
    import gzip
    import lzma
    import zlib

    opener: Any = lzma.open if plain.peek(1)[:1] == _PACKED[0][:1] else gzip.open
    try:
        with opener(plain, "rb") as stream:
            yield stream
    except (EOFError, lzma.LZMAError, gzip.BadGzipFile, zlib.error) as error:
        raise DecodeError(f"{name}: damaged or cut short: {error}") from None


def lines(name: str, check: Callable[[bytes], None] | None = None) -> Iterator[bytes]:
    """The lines of a text file, one after the other.

    `check` is given the beginning first, as much as is there, and may refuse it.
    """
    with opened(name) as stream:
        if check is not None:
            check(stream.peek(BEGINNING)[:BEGINNING])
        while line := stream.readline(LONGEST_LINE):
            if len(line) == LONGEST_LINE and not line.endswith(b"\n"):
                raise DecodeError(f"{name}: a line of more than {LONGEST_LINE} bytes")
            yield line


def skip(stream: Any, count: int) -> int:
    """Move `count` bytes forward; how many there were."""
    with contextlib.suppress(OSError, io.UnsupportedOperation, AttributeError):
        if stream.seekable() and _is_plain(stream):
            start: int = stream.tell()
            size: int = stream.seek(0, io.SEEK_END)
            moved: int = stream.seek(min(start + count, size)) - start
            return moved
    return skip_by_reading(stream, count)


def remaining(stream: Any, most: int) -> int:
    """How many bytes are left; where they must be read to be counted, `most` or more are `most`."""
    with contextlib.suppress(OSError, io.UnsupportedOperation, AttributeError):
        # A packed file's descriptor is that of the packed bytes, and a device has no size.
        if _is_plain(stream) and stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            size: int = os.fstat(stream.fileno()).st_size
            return max(size - int(stream.tell()), 0)
    return skip_by_reading(stream, most)


def _is_plain(stream: Any) -> bool:
    """Whether a stream's places are those of its file: not where it is unpacked."""
    return isinstance(stream, io.BufferedReader | io.BytesIO)


def skip_by_reading(stream: Any, count: int) -> int:
    """As `skip`, of a stream that cannot seek."""
    skipped = 0
    while skipped < count and (chunk := stream.read(min(_CHUNK, count - skipped))):
        skipped += len(chunk)
    return skipped


def read_exactly(stream: Any, count: int) -> bytes:
    """Up to `count` bytes, fewer only at the end of the input."""
    parts = []
    while count and (part := stream.read(count)):
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
