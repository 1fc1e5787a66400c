"""ELF cores of a machine's memory: QEMU's dump-guest-memory, virsh dump, cloud-hypervisor.

Each PT_LOAD segment says where in the file a part of guest-physical memory stands; it need not stand on
a page. A core of a process has no physical addresses: virtual addresses tell its segments.

Source of the layouts: System V ABI, chapters 4 and 5 (Elf64_Ehdr, Elf64_Phdr, Elf64_Shdr).
"""

from __future__ import annotations

from dataclasses import dataclass
from mmap import mmap

from ..errors import DecodeError
from ..schema import Record, raw, structure, u8, u16, u32, u64

MAGIC = b"\x7fELF"
_CORE, _LOAD = 4, 1
_IN_SECTION = 0xFFFF  # e_phnum: the number is in the first section's sh_info
_MOST = 1 << 20  # program headers; a core has one for each part of memory


@structure("elf-header", size=64, source="System V ABI, Elf64_Ehdr")
class Header(Record):
    """The file's first 64 bytes."""

    magic: bytes = raw(4, "0x7F, ELF")
    file_class: int = u8("2: 64 bits")
    encoding: int = u8("1: least significant byte first")
    ident: bytes = raw(10, "Version, OS and padding")
    type: int = u16("4: a core")
    machine: int = u16("62: x86-64")
    version: int = u32("1")
    entry: int = u64("Not used by cores")
    phoff: int = u64("Where the program headers begin")
    shoff: int = u64("Where the section headers begin")
    flags: int = u32("Not used")
    ehsize: int = u16("Size of this header")
    phentsize: int = u16("Size of a program header")
    phnum: int = u16("How many there are")
    shentsize: int = u16("Size of a section header")
    shnum: int = u16("How many there are")
    shstrndx: int = u16("Not used")


@structure("elf-program-header", size=56, source="System V ABI, Elf64_Phdr")
class ProgramHeader(Record):
    """One segment."""

    type: int = u32("1: PT_LOAD, memory")
    flags: int = u32("Access rights")
    offset: int = u64("Where in the file it begins")
    vaddr: int = u64("Its virtual address")
    paddr: int = u64("Its physical address")
    filesz: int = u64("Bytes of it in the file")
    memsz: int = u64("Bytes of it in memory; those not in the file are zero")
    align: int = u64("Its alignment")


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of memory that stands in a file: where in memory, where in the file, how many bytes."""

    address: int
    offset: int
    size: int


def segments(file: mmap, name: str) -> tuple[list[Segment], bool]:
    """The parts of memory in an ELF core, by address; whether the addresses are physical.

    Raises DecodeError with the header that is wrong and where it stands.
    """
    size = len(file)
    header = _header(file, name)
    number = _program_headers(file, name, header)
    loads = []
    for index in range(number):
        at = header.phoff + index * ProgramHeader.size
        entry = ProgramHeader.decode(file[at : at + ProgramHeader.size])
        if entry.type != _LOAD or not entry.filesz:
            continue
        if entry.offset + entry.filesz > size:
            raise DecodeError(
                f"{name}: program header {index} at {at:#x}: bytes {entry.offset:#x} to"
                f" {entry.offset + entry.filesz - 1:#x} are past the end at {size:#x}"
            )
        loads.append(entry)
    if not loads:
        raise DecodeError(f"{name}: an ELF core without memory: none of {number} program headers")
    physical = len(loads) == 1 or any(entry.paddr for entry in loads)
    found = [
        Segment(entry.paddr if physical else entry.vaddr, entry.offset, entry.filesz)
        for entry in loads
    ]
    return sorted(found, key=lambda segment: (segment.address, -segment.size)), physical


def _header(file: mmap, name: str) -> Header:
    """The header of a core of 64 bits. Raises DecodeError."""
    if len(file) < Header.size:
        raise DecodeError(f"{name}: an ELF header has {Header.size} bytes, {len(file)} found")
    header = Header.decode(file[: Header.size])
    if (header.file_class, header.encoding) != (2, 1):
        raise DecodeError(f"{name}: not an ELF file of 64 bits, least significant byte first")
    if header.type != _CORE:
        raise DecodeError(f"{name}: ELF type {header.type}: 4, a core, expected")
    if header.phentsize != ProgramHeader.size:
        raise DecodeError(
            f"{name}: program headers of {header.phentsize} bytes: {ProgramHeader.size} expected"
        )
    return header


def _program_headers(file: mmap, name: str, header: Header) -> int:
    """How many program headers there are, all of them in the file. Raises DecodeError."""
    size, number = len(file), header.phnum
    if number == _IN_SECTION:
        at = header.shoff + 0x2C  # sh_info of the first section header
        if at + 4 > size:
            raise DecodeError(f"{name}: the section header at {header.shoff:#x} is past the end")
        number = int.from_bytes(file[at : at + 4], "little")
    if number > _MOST or header.phoff + number * ProgramHeader.size > size:
        raise DecodeError(
            f"{name}: {number} program headers at {header.phoff:#x}: the file has {size} bytes"
        )
    return number
