"""A memory image, whatever file it is in: raw, an ELF core, a kdump; packed by gzip or xz.

An image gives its memory in blocks, each with the address of its first byte, and single pieces of it by
address. Files are mapped, not loaded, and what has been looked at is given back; a packed file, or
a flattened dump, is unpacked into a temporary file first.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Protocol

from ..errors import DecodeError
from ..read.streams import opened as opened_stream
from ..wire.page_size import PAGE
from . import elf, flattened, kdump
from .elf import Segment

_FORGET = 64 << 20  # bytes after which what was read is given back
_CHUNK = 1 << 20
_PACKED = (b"\x1f\x8b", b"\xfd7zXZ\0")


class Image(Protocol):
    """Memory by its addresses."""

    form: str  # what the file is, in words
    size: int  # bytes of memory that are in it
    rest: int  # bytes that are no whole page, and not in a block

    def blocks(self, most: int) -> Iterator[tuple[int, memoryview]]:
        """Runs of whole pages of at most `most` bytes: address and bytes, in order of addresses."""

    def read(self, address: int, size: int) -> bytes:
        """Bytes of memory. Raises DecodeError where the image does not have all of them."""


class Segments:
    """An image whose memory stands in the file as it is: all of it, or in segments."""

    def __init__(
        self, name: str, form: str, file: mmap.mmap, descriptor: int, parts: Sequence[Segment]
    ) -> None:
        self.form = form
        self._name, self._file, self._descriptor = name, file, descriptor
        self._parts = list(_apart(parts))
        self.size = sum(part.size for part in self._parts)
        self.rest = self.size - sum(stop - start for _, start, stop in self._pages())

    def _pages(self) -> Iterator[tuple[Segment, int, int]]:
        """Of each segment the bytes of the file that are whole pages of memory."""
        for part in self._parts:
            skipped = -part.address % PAGE
            whole = max(part.size - skipped, 0) // PAGE * PAGE
            if whole:
                yield part, part.offset + skipped, part.offset + skipped + whole

    def blocks(self, most: int) -> Iterator[tuple[int, memoryview]]:
        view = memoryview(self._file)
        forgotten = 0
        for part, start, stop in self._pages():
            for at, end in _data(self._descriptor, start, stop, most):
                yield part.address + at - part.offset, view[at:end]
                if end - forgotten >= _FORGET:
                    self._forget(forgotten, end)
                    forgotten = end - end % _FORGET

    def _forget(self, start: int, stop: int) -> None:
        """Drop what is mapped there from our own memory; the file's cache stays the system's."""
        with contextlib.suppress(OSError, ValueError):
            start -= start % mmap.PAGESIZE
            self._file.madvise(mmap.MADV_DONTNEED, start, stop - start)

    def read(self, address: int, size: int) -> bytes:
        for part in self._parts:
            if part.address <= address and address + size <= part.address + part.size:
                at = part.offset + address - part.address
                return self._file[at : at + size]
        there = ", ".join(
            f"{part.address:#x} to {part.address + part.size - 1:#x}" for part in self._parts[:8]
        )
        raise DecodeError(
            f"{self._name}: {address:#x} to {address + size - 1:#x} are not in it; it has {there}"
        )


class Dump:
    """An image whose pages are packed one by one."""

    form = "kdump"
    rest = 0

    def __init__(self, name: str, file: mmap.mmap) -> None:
        self._name = name
        self._dump = kdump.Kdump(file, name)
        self.size = self._dump.pages * PAGE

    def blocks(self, most: int) -> Iterator[tuple[int, memoryview]]:
        for address, held in self._dump.blocks():
            for at in range(0, len(held), most):
                yield address + at, held[at : at + most]

    def read(self, address: int, size: int) -> bytes:
        found = self._dump.read(address, size)
        if found is None:
            raise DecodeError(
                f"{self._name}: a page of {address:#x} to {address + size - 1:#x} is not in it"
            )
        return found


@contextlib.contextmanager
def opened(name: str) -> Iterator[Image]:
    """The image in file `name`. Raises DecodeError for a file that is none, or damaged."""
    if name == "-":
        raise DecodeError("standard input cannot be mapped: a file expected")
    path = Path(name)
    if path.is_dir():
        raise DecodeError(f"{name}: a directory found, a file expected")
    if path.exists() and not path.is_file():  # opening a pipe would wait for who writes to it
        raise DecodeError(f"{name}: a pipe or a device cannot be mapped: a file expected")
    with contextlib.ExitStack() as stack:
        try:
            image = _image(name, _whole(name, stack))
        except OSError as error:
            raise DecodeError(f"{name}: {error.strerror or error}") from None
        yield image


def _whole(name: str, stack: contextlib.ExitStack) -> IO[bytes]:
    """The file, unpacked and put together; `stack` closes it."""
    stream: IO[bytes] = stack.enter_context(open(name, "rb"))  # noqa: SIM115 -- as it says
    if _begins(stream).startswith(_PACKED):
        stream = stack.enter_context(_unpacked(name))
    if _begins(stream).startswith(flattened.MAGIC):
        whole = stack.enter_context(tempfile.TemporaryFile(prefix="vmgexit-"))  # noqa: SIM115
        flattened.restore(stream, whole, name)
        stream = whole
    return stream


def _begins(stream: IO[bytes]) -> bytes:
    stream.seek(0)
    first = stream.read(16)
    stream.seek(0)
    return first


@contextlib.contextmanager
def _unpacked(name: str) -> Iterator[IO[bytes]]:
    """What is packed in `name`, in a temporary file with holes where it is zero."""
    with opened_stream(name) as packed, tempfile.TemporaryFile(prefix="vmgexit-") as whole:
        while chunk := packed.read(_CHUNK):
            if any(chunk):
                whole.write(chunk)
            else:
                whole.seek(len(chunk), os.SEEK_CUR)
        whole.truncate()
        yield whole


def _image(name: str, stream: IO[bytes]) -> Image:
    size = os.fstat(stream.fileno()).st_size
    first = _begins(stream)
    is_elf = first.startswith(elf.MAGIC)
    if size < PAGE and not is_elf:
        raise DecodeError(f"{name}: {size} bytes found, a page of {PAGE} or more expected")
    # Not closed by hand: an interrupt leaves arrays behind, and a map with those refuses.
    file = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    if first.startswith(kdump.MAGICS):
        return Dump(name, file)
    if not is_elf:
        return Segments(name, "raw", file, stream.fileno(), [Segment(0, 0, size)])
    parts, physical = elf.segments(file, name)
    form = "ELF core" if physical else "ELF core of a process, by virtual addresses"
    return Segments(name, form, file, stream.fileno(), parts)


def _apart(parts: Sequence[Segment]) -> Iterator[Segment]:
    """The segments, which are in order, without what another one has already."""
    end = 0
    for part in parts:
        over = max(end - part.address, 0)
        if over < part.size:
            yield Segment(part.address + over, part.offset + over, part.size - over)
            end = part.address + part.size


def _data(descriptor: int, start: int, stop: int, most: int) -> Iterator[tuple[int, int]]:
    """The parts of the file from `start` to `stop` that are no holes, in steps of pages from `start`."""
    at = start
    while at < stop:
        begin, end = _no_hole(descriptor, at, stop)
        at = begin - (begin - start) % PAGE
        end = min(stop, end + -(end - start) % PAGE)
        while at < end:
            yield at, min(at + most, end)
            at = min(at + most, end)


def _no_hole(descriptor: int, at: int, stop: int) -> tuple[int, int]:
    """The next run of bytes that is not a hole. Where holes cannot be asked for, there are none."""
    try:
        begin = os.lseek(descriptor, at, os.SEEK_DATA)
        end = os.lseek(descriptor, begin, os.SEEK_HOLE)
    except OSError as error:
        return (stop, stop) if error.errno == errno.ENXIO else (at, stop)
    return min(begin, stop), min(end, stop)
