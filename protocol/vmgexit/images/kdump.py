"""Compressed dumps, as makedumpfile writes them and QEMU (dump-guest-memory -z), virsh dump too.

A header, a bitmap of the page frames that are in the dump, a descriptor for each of them, the pages.
Pages stand as they are or are packed by zlib; other packings are named and not read.

Sources: makedumpfile diskdump_mod.h and IMPLEMENTATION, QEMU include/sysemu/dump.h.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from mmap import mmap

from ..errors import DecodeError
from ..schema import Bits, Record, bit, nested, raw, reserved, structure, u32, u64
from ..wire.page_size import PAGE

MAGICS = (b"KDUMP   ", b"DISKDUMP")
_PAGES = 1024  # that are unpacked at once
_MAX_FRAME = 1 << 40  # page frames: addresses have at most 52 bits


@structure("kdump-header", size=464, source="makedumpfile diskdump_mod.h (disk_dump_header)")
class Header(Record):
    """The dump's first block."""

    signature: bytes = raw(8, "KDUMP and three spaces")
    header_version: int = u32("6 from makedumpfile 1.5.5 on")
    utsname: bytes = raw(390, "Names and versions of the kernel")
    timestamp: bytes = raw(22, "When it was written, aligned")
    status: int = u32("How the pages are packed")
    block_size: int = u32("Bytes of a block: a page")
    sub_hdr_size: int = u32("Blocks of the second header")
    bitmap_blocks: int = u32("Blocks of both bitmaps")
    max_mapnr: int = u32("Page frames, low 32 bits")
    total_ram_blocks: int = u32("Not used")
    device_blocks: int = u32("Not used")
    written_blocks: int = u32("Not used")
    current_cpu: int = u32("CPU that crashed")
    nr_cpus: int = u32("CPUs")


@structure("kdump-sub-header", size=104, source="makedumpfile diskdump_mod.h (kdump_sub_header)")
class SubHeader(Record):
    """The second block."""

    phys_base: int = u64("Where the kernel is")
    dump_level: int = u32("Which pages were left out")
    split: int = u32("Not 0: one part of a dump in several files")
    start_pfn: int = u64("First page frame of a part")
    end_pfn: int = u64("Page frame behind a part")
    rest: bytes = raw(48, "Where notes and vmcoreinfo are")
    start_pfn_64: int = u64("First page frame of a part, from version 6 on")
    end_pfn_64: int = u64("Page frame behind a part, from version 6 on")
    max_mapnr_64: int = u64("Page frames, from version 6 on")


@structure("kdump-page-flags", size=4, source="makedumpfile diskdump_mod.h (DUMP_DH_COMPRESSED_*)")
class PageFlags(Bits):
    """How one page is packed."""

    zlib: bool = bit("By zlib", spec="ZLIB")
    lzo: bool = bit("By LZO", spec="LZO")
    snappy: bool = bit("By Snappy", spec="SNAPPY")
    incomplete: bool = bit("The dump is incomplete", spec="INCOMPLETE")
    excluded: bool = bit("Page structures were left out", spec="EXCLUDED_VMEMMAP")
    zstd: bool = bit("By Zstandard", spec="ZSTD")
    reserved_31_6: int = reserved(26)


@structure("kdump-page", size=24, source="makedumpfile diskdump_mod.h (page_desc)")
class PageDescriptor(Record):
    """Where one page is."""

    offset: int = u64("Where in the file its bytes are")
    packed: int = u32("How many there are", spec="size")
    flags: PageFlags = nested(PageFlags, "How they are packed")
    page_flags: int = u64("Flags of the kernel's page structure")


class Kdump:
    """The pages of one dump, by their addresses."""

    def __init__(self, file: mmap, name: str) -> None:
        """Raises DecodeError where the headers point outside the file."""
        self._file, self._name = file, name
        header = Header.decode(self._bytes(0, Header.size, "the header"))
        if header.block_size != PAGE:
            raise self._wrong(f"blocks of {header.block_size} bytes: {PAGE} expected")
        frames = header.max_mapnr
        sub = SubHeader.decode(self._bytes(PAGE, SubHeader.size, "the second header"))
        if sub.split:
            raise self._wrong("one part of a split dump: put the parts together first")
        if header.header_version >= 6:
            frames = sub.max_mapnr_64
        half = header.bitmap_blocks * PAGE // 2
        if not 0 < frames <= min(half * 8, _MAX_FRAME):
            raise self._wrong(f"{frames} page frames: a bitmap of {half} bytes has {half * 8}")
        start = (1 + header.sub_hdr_size) * PAGE
        self._bitmap = self._bytes(start + half, -(-frames // 8), "the bitmap")
        self._descriptors = start + 2 * half
        self.pages = int.from_bytes(self._bitmap, "little").bit_count()
        self._bytes(self._descriptors, self.pages * PageDescriptor.size, "the page descriptors")

    def blocks(self) -> Iterator[tuple[int, memoryview]]:
        """Address and bytes of runs of pages, in order, some megabytes at once."""
        first, held = 0, bytearray()
        for index, frame in enumerate(self._frames()):
            if held and (frame * PAGE != first + len(held) or len(held) >= _PAGES * PAGE):
                yield first, memoryview(held)
                held = bytearray()
            if not held:
                first = frame * PAGE
            held += self._page(index, frame)
        if held:
            yield first, memoryview(held)

    def read(self, address: int, size: int) -> bytes | None:
        """Bytes of memory; None where one of the pages is not in the dump."""
        parts = []
        for frame in range(address // PAGE, -(-(address + size) // PAGE)):
            byte, number = divmod(frame, 8)
            if byte >= len(self._bitmap) or not self._bitmap[byte] >> number & 1:
                return None
            before = int.from_bytes(self._bitmap[:byte], "little").bit_count()
            before += (self._bitmap[byte] & (1 << number) - 1).bit_count()
            parts.append(self._page(before, frame))
        return b"".join(parts)[address % PAGE :][:size]

    def _frames(self) -> Iterator[int]:
        for byte, held in enumerate(self._bitmap):
            while held:
                low = held & -held
                yield byte * 8 + low.bit_length() - 1
                held ^= low

    def _page(self, index: int, frame: int) -> bytes:
        at = self._descriptors + index * PageDescriptor.size
        entry = PageDescriptor.decode(self._file[at : at + PageDescriptor.size])
        what = f"page {frame * PAGE:#x}, descriptor at {at:#x}"
        if not 0 < entry.packed <= PAGE:
            raise self._wrong(f"{what}: {entry.packed} bytes: 1 to {PAGE} expected")
        data = self._bytes(entry.offset, entry.packed, what)
        for packing in ("lzo", "snappy", "zstd"):
            if getattr(entry.flags, packing):
                raise self._wrong(f"{what}: packed by {packing}; zlib and plain pages can be read")
        if entry.flags.zlib:
            unpacking = zlib.decompressobj()
            try:
                data = unpacking.decompress(data, PAGE + 1)
            except zlib.error as error:
                raise self._wrong(f"{what}: not of zlib: {error}") from None
        if len(data) != PAGE:
            raise self._wrong(f"{what}: {len(data)} bytes found, {PAGE} expected")
        return data

    def _bytes(self, at: int, size: int, what: str) -> bytes:
        end = len(self._file)
        if at + size > end:
            raise self._wrong(
                f"{what}: bytes {at:#x} to {at + size - 1:#x} are past the end at {end:#x}"
            )
        return self._file[at : at + size]

    def _wrong(self, text: str) -> DecodeError:
        return DecodeError(f"{self._name}: {text}")
