"""Finding a guest's shared structures in a raw memory image: scanning, and what a find says.

The image is mapped, not loaded, and what has been looked at is given back. Pages without content are
passed over in blocks, holes of sparse files without a look. Every other page is put through the
sieves of `page_rules`, a block at once by columns where numpy is installed, else one by one; only a
page that passes one is decoded and held against the kind's table of rules.

Columns look at noise, and at memory of all sorts, twice as fast. They gain nothing in short runs of
pages between holes, which are always looked at one by one, nor where every page is a find: judging one
takes some 40 microseconds either way.

An image is raw when byte n of the file is byte n of memory: a dump of an ELF core or a compressed one
is to be converted first. A VMSA and a secrets page are encrypted, so an image made by the host shows
only the pages that the guest shares with it.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import mmap
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from ..errors import DecodeError
from .page_rules import KINDS, PAGE, Kind

# Bytes looked at in one go: a copy should stay in the processor's cache, columns be worth their calls.
_BLOCK = 1 << 20
_BLOCK_OF_COLUMNS = 4 << 20
_SHORT = 64 * PAGE  # with fewer bytes, columns are slower
_FORGET = 64 << 20  # bytes after which what was read is given back
_NO_BLOCK = bytes(_BLOCK)
_NO_PAGE = bytes(PAGE)


@dataclass(frozen=True, slots=True)
class Find:
    """A page that looks like a structure."""

    offset: int  # bytes from the start of the image
    kind: str
    structure: str  # as `vmgexit decode` names it
    score: float  # 0 to 1
    reasons: tuple[str, ...]  # rules that hold
    against: tuple[str, ...]  # rules that do not


@dataclass(slots=True)
class Scan:
    """How far a scan has come. `rest` bytes at the end are less than a page, and are not looked at."""

    size: int
    done: int = 0
    pages: int = 0  # with content
    rest: int = 0


def judge(kind: Kind, page: bytes, offset: int = 0) -> Find:
    """How much `page` looks like `kind`: the weights of the rules that hold, of all weights.

    0 where the sieve says no, or a rule that must hold: nothing else can make up for that.
    """
    if not kind.sieve.passes(page):
        return Find(offset, kind.name, kind.structure.declaration.name, 0.0, (), (kind.sieved,))
    value = kind.structure.decode(page)
    held = [(rule, bool(rule.holds(value))) for rule in kind.rules]
    score = sum(rule.weight for rule, holds in held if holds) / sum(rule.weight for rule, _ in held)
    if any(rule.must and not holds for rule, holds in held):
        score = 0.0
    return Find(
        offset,
        kind.name,
        kind.structure.declaration.name,
        score,
        tuple(rule.name for rule, holds in held if holds),
        tuple(rule.name for rule, holds in held if not holds),
    )


def look(page: bytes, offset: int, kinds: Sequence[Kind], min_score: float) -> list[Find]:
    """What `page` looks like, the likeliest first; a score of 0 is none."""
    finds = [judge(kind, page, offset) for kind in kinds]
    finds = [find for find in finds if find.score >= min_score and find.score]
    return sorted(finds, key=lambda find: -find.score)


def scan(
    name: str,
    kinds: Sequence[Kind] = KINDS,
    min_score: float = 0.5,
    watch: Callable[[Scan], None] = lambda state: None,
) -> Generator[Find, None, None]:
    """The pages of image `name` that look like one of `kinds`, in the order of their addresses.

    `watch` is told how far the scan has come, at the start and after each block. Raises DecodeError
    for a file that cannot be mapped or holds no page.
    """
    pick, most = _picker()
    with _mapped(name) as (image, descriptor):
        state = Scan(len(image), rest=len(image) % PAGE)
        end = state.size - state.rest
        forgotten = 0
        watch(state)
        for start, stop in _blocks(descriptor, end, most):
            count, picked = pick(image, start, stop, kinds)
            state.pages += count
            for at, fits in picked:
                yield from look(image[at : at + PAGE], at, fits, min_score)
            state.done = stop
            watch(state)
            if stop - forgotten >= _FORGET:
                _forget(image, forgotten, stop)
                forgotten = stop - stop % _FORGET
        state.done = end
        watch(state)


# --- Picking ------------------------------------------------------------------------------------------

Picked = tuple[int, list[tuple[int, list[Kind]]]]
"""How many pages of a block have content, and which pass sieves: offset in the image, and whose."""


def _picker() -> tuple[Callable[[mmap.mmap, int, int, Sequence[Kind]], Picked], int]:
    """What picks from a block, and how many bytes of a block at most."""
    try:
        import numpy
    except ImportError:
        return _pick, _BLOCK
    return functools.partial(_pick_by_columns, numpy), _BLOCK_OF_COLUMNS


def _pick(image: mmap.mmap, start: int, stop: int, kinds: Sequence[Kind]) -> Picked:
    block = image[start:stop]
    if block == _NO_BLOCK[: stop - start]:
        return 0, []
    count, picked = 0, []
    for at in range(0, stop - start, PAGE):
        page = block[at : at + PAGE]
        if page != _NO_PAGE:
            count += 1
            fits = [kind for kind in kinds if kind.sieve.passes(page)]
            if fits:
                picked.append((start + at, fits))
    return count, picked


def _pick_by_columns(
    np: ModuleType, image: mmap.mmap, start: int, stop: int, kinds: Sequence[Kind]
) -> Picked:
    if stop - start < _SHORT:
        return _pick(image, start, stop, kinds)
    block = memoryview(image)[start:stop]
    words = np.frombuffer(block, np.uint64).reshape(-1, PAGE // 8)
    content = words[:, 0] != 0
    if not content.all():
        content = np.bitwise_or.reduce(words, axis=1) != 0
    pages = content.nonzero()[0]
    picked: dict[int, list[Kind]] = {}
    if pages.size:
        for kind in kinds:
            for page in kind.sieve.pages(block, pages):
                picked.setdefault(page, []).append(kind)
    return len(pages), [(start + page * PAGE, fits) for page, fits in sorted(picked.items())]


# --- The file -----------------------------------------------------------------------------------------


@contextlib.contextmanager
def _mapped(name: str) -> Iterator[tuple[mmap.mmap, int]]:
    if name == "-":
        raise DecodeError("standard input cannot be mapped: a file expected")
    path = Path(name)
    if path.suffix in (".gz", ".xz"):
        raise DecodeError(f"{name}: a compressed image cannot be mapped: unpack it first")
    if path.is_dir():
        raise DecodeError(f"{name}: a directory found, a file expected")
    if path.exists() and not path.is_file():  # opening a pipe would wait for who writes to it
        raise DecodeError(f"{name}: a pipe or a device cannot be mapped: a file expected")
    try:
        with open(path, "rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            if size < PAGE:
                raise DecodeError(f"{name}: {size} bytes found, a page of {PAGE} or more expected")
            # Not closed by hand: an interrupt leaves arrays behind, and a map with those refuses.
            yield mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ), stream.fileno()
    except OSError as error:
        raise DecodeError(f"{name}: {error.strerror or error}") from None


def _blocks(descriptor: int, end: int, most: int) -> Iterator[tuple[int, int]]:
    """The parts of the file to look at, page-aligned and of `most` bytes at most."""
    at = 0
    while at < end:
        at, stop = _data(descriptor, at, end)
        while at < stop:
            yield at, min(at + most, stop)
            at = min(at + most, stop)


def _data(descriptor: int, at: int, end: int) -> tuple[int, int]:
    """The next run of pages that is not a hole. Where holes cannot be asked for, there are none."""
    try:
        start = os.lseek(descriptor, at, os.SEEK_DATA)
        stop = os.lseek(descriptor, start, os.SEEK_HOLE)
    except OSError as error:
        return (end, end) if error.errno == errno.ENXIO else (at, end)
    start -= start % PAGE
    return max(at, start), min(end, stop + -stop % PAGE)


def _forget(image: mmap.mmap, start: int, stop: int) -> None:
    """Drop what is mapped there from our own memory; the file's cache stays the system's business."""
    with contextlib.suppress(OSError, ValueError):
        start -= start % mmap.PAGESIZE
        image.madvise(mmap.MADV_DONTNEED, start, stop - start)
