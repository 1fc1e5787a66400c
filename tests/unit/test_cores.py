"""Cores and compressed dumps: the same memory as raw image, ELF core and kdump, and damaged ones.

The files are put together here byte by byte from the layouts in the System V ABI and makedumpfile's
IMPLEMENTATION, not by our own declarations.
"""

import contextlib
import gzip
import lzma
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmgexit.errors import DecodeError
from vmgexit.images.image import opened
from vmgexit.images.scan import scan
from vmgexit.wire.ghcb import GhcbPage

PAGE = 4096
CASES = Path(__file__).parents[2] / "corpus" / "cases"

Pages = dict[int, bytes]


def ghcb(code: int = 0x7C) -> bytes:
    return GhcbPage.for_exit(code, 1, gpa=0x12345000, rcx=0x1B, rax=0x900, rdx=0).encode()


MEMORY: Pages = {
    0x5000: ghcb(),
    0x6000: b"\x55" * PAGE,
    0x9000: ghcb(),
    0x100000000: ghcb(),
    0x100001000: bytes(PAGE),
}


def runs(pages: Pages) -> list[tuple[int, bytes]]:
    """Adjacent pages together."""
    found: list[tuple[int, bytes]] = []
    for address in sorted(pages):
        if found and found[-1][0] + len(found[-1][1]) == address:
            found[-1] = (found[-1][0], found[-1][1] + pages[address])
        else:
            found.append((address, pages[address]))
    return found


def elf(pages: Pages, *, pad: int = 0x18, virtual: bool = False, extended: bool = False) -> bytes:
    """An ELF core; its memory begins `pad` bytes behind the headers."""
    segments = runs(pages)
    count = len(segments) + 1
    start = 64 + 56 * count + 64 * extended + pad
    headers = [struct.pack("<IIQQQQQQ", 4, 0, start - pad, 0, 0, pad, pad, 0)]
    body = b""
    for address, data in segments:
        where = (address, 0) if virtual else (0, address)
        place = start + len(body)
        headers.append(struct.pack("<IIQQQQQQ", 1, 4, place, *where, len(data), len(data), 0))
        body += data
    number, section = (0xFFFF, 64 + 56 * count) if extended else (count, 0)
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    head = ident + struct.pack(
        "<HHIQQQIHHHHHH", 4, 62, 1, 0, 64, section, 0, 64, 56, number, 64, 1 * extended, 0
    )
    sections = struct.pack("<IIQQQQIIQQ", 0, 0, 0, 0, 0, 0, 0, count, 0, 0) if extended else b""
    return head + b"".join(headers) + sections + bytes(pad) + body


def kdump(
    pages: Pages,
    *,
    flags: int = 1,
    pack: Callable[[bytes], bytes] = zlib.compress,
    block: int = PAGE,
    split: int = 0,
) -> bytes:
    """A dump of version 6 with plain or packed pages."""
    frames = max(pages) // PAGE + 1
    bitmap = bytearray(-(-frames // 8 // PAGE) * PAGE + PAGE)
    for address in pages:
        bitmap[address // PAGE // 8] |= 1 << address // PAGE % 8
    blocks = 2 * len(bitmap) // PAGE
    head = b"KDUMP   " + struct.pack("<i", 6) + bytes(390) + bytes(22)
    head += struct.pack("<IIIIIIIIII", flags, block, 1, blocks, frames & 0xFFFFFFFF, 0, 0, 0, 0, 1)
    sub = struct.pack("<QII", 0, 0, split) + bytes(80) + struct.pack("<Q", frames)
    start = (2 + blocks) * PAGE
    at = start + 24 * len(pages)
    descriptors, data = b"", b""
    for address in sorted(pages):
        packed = pack(pages[address])
        descriptors += struct.pack("<QIIQ", at + len(data), len(packed), flags, 0)
        data += packed
    body = head.ljust(PAGE, b"\0") + sub.ljust(PAGE, b"\0") + bytes(bitmap) + bytes(bitmap)
    return body + descriptors + data


def flattened(dump: bytes) -> bytes:
    """The same as a stream of records, the header once more at the end as makedumpfile writes it."""
    records = [(at, dump[at : at + 5000]) for at in range(0, len(dump), 5000)]
    records.append((0, dump[:PAGE]))
    body = b"".join(struct.pack(">qq", at, len(data)) + data for at, data in records)
    head = b"makedumpfile".ljust(16, b"\0") + struct.pack(">qq", 1, 1)
    return head.ljust(4096, b"\0") + body + struct.pack(">qq", -1, -1)


def raw(pages: Pages) -> bytes:
    low = {address: data for address, data in pages.items() if address < 1 << 32}
    whole = bytearray(max(low) + PAGE)
    for address, data in low.items():
        whole[address : address + PAGE] = data
    return bytes(whole)


FORMS: dict[str, bytes] = {
    "unaligned.elf": elf(MEMORY),
    "aligned.elf": elf(MEMORY, pad=PAGE - (64 + 56 * 4) % PAGE),
    "extended.elf": elf(MEMORY, extended=True),
    "zlib.kdump": kdump(MEMORY),
    "plain.kdump": kdump(MEMORY, flags=0, pack=bytes),
    "flattened": flattened(kdump(MEMORY)),
    "zlib.kdump.gz": gzip.compress(kdump(MEMORY)),
    "unaligned.elf.xz": lzma.compress(elf(MEMORY)),
    "name-says-nothing": lzma.compress(elf(MEMORY)),
}


@pytest.mark.parametrize("name", FORMS)
def test_the_same_memory_gives_the_same_finds(tmp_path: Path, name: str) -> None:
    whole = tmp_path / "raw"
    whole.write_bytes(raw(MEMORY))
    other = tmp_path / name
    other.write_bytes(FORMS[name])
    found = [(find.gpa, find.kind, find.score) for find in scan(str(other))]
    assert found[:2] == [(find.gpa, find.kind, find.score) for find in scan(str(whole))]
    assert [gpa for gpa, _, _ in found] == [0x5000, 0x9000, 0x100000000]


@pytest.mark.parametrize("name", FORMS)
def test_memory_is_read_by_its_address(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(FORMS[name])
    with opened(str(path)) as image:
        assert image.read(0x5010, 0x1FF0) == (MEMORY[0x5000] + MEMORY[0x6000])[0x10:]
        assert image.read(0x100000000, PAGE) == MEMORY[0x100000000]
        for address, size in ((0x4000, 8), (0x6FF8, 16), (0x200000000, 8)):
            with pytest.raises(DecodeError, match="in it"):
                image.read(address, size)


def test_a_core_of_a_process_is_told_by_virtual_addresses(tmp_path: Path) -> None:
    path = tmp_path / "core"
    path.write_bytes(elf(MEMORY, virtual=True))
    with opened(str(path)) as image:
        assert image.form == "ELF core of a process, by virtual addresses"
        assert image.read(0x9000, PAGE) == MEMORY[0x9000]


def test_what_two_segments_have_is_looked_at_once(tmp_path: Path) -> None:
    data = bytearray(elf({0x5000: ghcb(), 0x6000: ghcb(), 0x9000: ghcb()}))
    # The second segment says that it is the first page of the first one.
    data[64 + 56 * 2 + 24 : 64 + 56 * 2 + 32] = (0x5000).to_bytes(8, "little")
    path = tmp_path / "core"
    path.write_bytes(bytes(data))
    assert [find.gpa for find in scan(str(path))] == [0x5000, 0x6000]


def changed(data: bytes, at: int, held: bytes) -> bytes:
    return data[:at] + held + data[at + len(held) :]


DAMAGED = {
    "cut short": (elf(MEMORY)[:40], "an ELF header has 64 bytes, 40 found"),
    "32 bits": (changed(elf(MEMORY), 4, b"\x01"), "not an ELF file of 64 bits"),
    "a program": (changed(elf(MEMORY), 16, b"\x02"), "ELF type 2: 4, a core, expected"),
    "headers past the end": (
        changed(elf(MEMORY), 32, (1 << 40).to_bytes(8, "little")),
        "program headers at 0x10000000000: the file has",
    ),
    "a segment past the end": (
        changed(elf(MEMORY), 64 + 56 + 8, (1 << 62).to_bytes(8, "little")),
        "program header 1 at 0x78: bytes 0x4000000000000000 to",
    ),
    "odd headers": (changed(elf(MEMORY), 54, b"\x20"), "program headers of 32 bytes: 56 expected"),
    "no memory": (elf(MEMORY)[:120] + bytes(5 * 56), "an ELF core without memory"),
    "a section past the end": (
        changed(elf(MEMORY, extended=True), 40, (1 << 60).to_bytes(8, "little")),
        "the section header at 0x1000000000000000 is past the end",
    ),
    "blocks": (kdump(MEMORY, block=8192), "blocks of 8192 bytes: 4096 expected"),
    "split": (kdump(MEMORY, split=1), "one part of a split dump"),
    "frames": (
        changed(kdump(MEMORY), PAGE + 96, (1 << 50).to_bytes(8, "little")),
        "1125899906842624 page frames: a bitmap of",
    ),
    "bitmap": (
        changed(kdump(MEMORY), 0x1B4, (1 << 30).to_bytes(4, "little")),
        "the bitmap: bytes 0x",
    ),
    "lzo": (kdump(MEMORY, flags=2), "packed by lzo; zlib and plain pages can be read"),
    "snappy": (kdump(MEMORY, flags=4), "packed by snappy"),
    "zstd": (kdump(MEMORY, flags=0x20), "packed by zstd"),
    "not zlib": (kdump(MEMORY, pack=lambda page: page[:100]), "not of zlib"),
    "a large page": (
        kdump(MEMORY, pack=lambda page: zlib.compress(page + b"\x01")),
        "page 0x5000, descriptor at 0x",
    ),
    "no pages": (kdump(MEMORY)[: -len(zlib.compress(bytes(PAGE))) - 9], "are past the end at"),
    "flattened, cut": (flattened(kdump(MEMORY))[:-16], "without its last record"),
    "flattened, missing": (flattened(kdump(MEMORY))[:9000], "bytes are missing"),
    "flattened, absurd": (
        changed(flattened(kdump(MEMORY)), 4096, struct.pack(">qq", 1 << 60, 5)),
        "record at 0x1000: 5 bytes for 0x1000000000000000",
    ),
    "gzip": (gzip.compress(elf(MEMORY))[:-20], "damaged or cut short"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_ones_are_one_line_that_names_the_place(tmp_path: Path, name: str) -> None:
    data, said = DAMAGED[name]
    path = tmp_path / "damaged"
    path.write_bytes(data)
    with pytest.raises(DecodeError) as raised:
        list(scan(str(path)))
    assert said in str(raised.value)
    assert str(raised.value).startswith(f"{path}: ")
    assert "\n" not in str(raised.value)


@given(st.sampled_from([elf(MEMORY), kdump(MEMORY), flattened(kdump(MEMORY))]), st.data())
def test_any_damage_is_a_decode_error_at_most(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, draw: st.DataObject
) -> None:
    changes = st.tuples(
        st.integers(0, min(len(data), 2**14) - 1), st.binary(min_size=1, max_size=9)
    )
    for at, held in draw.draw(st.lists(changes, min_size=1, max_size=4)):
        data = changed(data, at, held)
    path = tmp_path_factory.mktemp("damage") / "image"
    path.write_bytes(data)
    with contextlib.suppress(DecodeError):
        list(scan(str(path)))


@pytest.mark.parametrize(
    ("name", "base"),
    [("qemu-dump.elf.xz", 0), ("qemu-dump-aligned.elf.xz", 1 << 32), ("raw.mem.xz", 0)],
)
def test_cases_from_the_field(name: str, base: int) -> None:
    assert [(find.gpa - base, find.kind) for find in scan(str(CASES / name))] == [
        (0x5000, "ghcb"),
        (0x9000, "vmsa"),
    ]
