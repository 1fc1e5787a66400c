"""Finding a guest's structures in a memory image.

The scan skips pages without content in blocks. It puts every other page through the sieves of
`page_rules`: a block at once by columns where numpy is installed, and one by one elsewhere. Only a
page that passes a sieve is decoded and judged by the rules of its kind.

Columns are twice as fast on most memory. They gain nothing in short runs of pages between holes,
which are always read one by one, and nothing where every page is a find: judging a page takes about
40 microseconds.

A VMSA and a secrets page are encrypted. An image made by the host therefore shows only the pages
that the guest shares with the host.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from types import ModuleType

from ..wire.page_size import PAGE
from .image import opened
from .page_rules import KINDS, Kind

# Bytes looked at in one go: a copy should stay in the processor's cache, columns be worth their calls.
_BLOCK = 1 << 20
_BLOCK_OF_COLUMNS = 4 << 20
_SHORT = 64 * PAGE  # with fewer bytes, columns are slower
_CLEARLY = 0.7  # a score that is worth telling somebody who asks for something else
_NO_BLOCK = bytes(_BLOCK)
_NO_PAGE = bytes(PAGE)


@dataclass(frozen=True, slots=True)
class Find:
    """A page that looks like a structure."""

    gpa: int  # its guest-physical address
    kind: str
    structure: str  # as `vmgexit decode` names it
    score: float  # 0 to 1
    reasons: tuple[str, ...]  # rules that hold
    against: tuple[str, ...]  # rules that do not


@dataclass(slots=True)
class Scan:
    """How far a scan has come. `rest` bytes are no whole pages, and are not looked at."""

    form: str  # what the file is
    size: int  # bytes of memory
    done: int = 0  # of them, those that were looked at
    pages: int = 0  # with content
    rest: int = 0


def judge(kind: Kind, page: bytes, gpa: int = 0) -> Find:
    """How much `page` looks like `kind`: the weights of the rules that hold, of all weights.

    0 where the sieve says no, or a rule that must hold: nothing else can make up for that.
    """
    if not kind.passes(page):
        return Find(gpa, kind.name, kind.structure.declaration.name, 0.0, (), (kind.sieved,))
    value = kind.structure.decode(page)
    held = [(rule, bool(rule.holds(value))) for rule in kind.rules]
    score = sum(rule.weight for rule, holds in held if holds) / sum(rule.weight for rule, _ in held)
    if any(rule.must and not holds for rule, holds in held):
        score = 0.0
    return Find(
        gpa,
        kind.name,
        kind.structure.declaration.name,
        score,
        tuple(rule.name for rule, holds in held if holds),
        tuple(rule.name for rule, holds in held if not holds),
    )


def reasons_text(reasons: Sequence[str], against: Sequence[str]) -> str:
    """`rule; rule | not: rule`: what speaks for a page's kind, and what against it."""
    return "; ".join(reasons) + (f" | not: {'; '.join(against)}" if against else "")


def look(page: bytes, gpa: int, kinds: Sequence[Kind], min_score: float) -> list[Find]:
    """What `page` looks like, the likeliest first; a score of 0 is none."""
    finds = [judge(kind, page, gpa) for kind in kinds]
    finds = [find for find in finds if find.score >= min_score and find.score]
    return sorted(finds, key=lambda find: -find.score)


def looks_rather(page: bytes, structure: str) -> str:
    """The structure that `page` looks like, where it looks less like `structure`; "" where it does not."""
    finds = look(page, 0, KINDS, _CLEARLY)
    own = next((find.score for find in finds if find.structure == structure), 0.0)
    return finds[0].structure if finds and finds[0].score > own else ""


def scan(
    name: str,
    kinds: Sequence[Kind] = KINDS,
    min_score: float = 0.5,
    watch: Callable[[Scan], None] = lambda state: None,
) -> Generator[Find, None, None]:
    """The pages of image `name` that look like one of `kinds`, in the order of their addresses.

    The scan calls `watch` with its state, at the start and after each block. Raises DecodeError
    for a file that is no image, or a damaged one.
    """
    pick, most = _picker()
    with opened(name) as image:
        state = Scan(image.form, image.size, rest=image.rest)
        watch(state)
        for gpa, block in image.blocks(most):
            count, picked = pick(block, kinds)
            state.pages += count
            for at, fits in picked:
                yield from look(bytes(block[at : at + PAGE]), gpa + at, fits, min_score)
            state.done += len(block)
            watch(state)
        state.done = state.size - state.rest  # holes were passed over
        watch(state)


# --- Picking ------------------------------------------------------------------------------------------

Picked = tuple[int, list[tuple[int, list[Kind]]]]
"""How many pages of a block have content, and which pass sieves: offset in the block, and whose."""


def _picker() -> tuple[Callable[[memoryview, Sequence[Kind]], Picked], int]:
    """What picks from a block, and how many bytes of a block at most."""
    try:
        import numpy
    except ImportError:
        return _pick, _BLOCK
    return functools.partial(_pick_by_columns, numpy), _BLOCK_OF_COLUMNS


def _pick(block: memoryview, kinds: Sequence[Kind]) -> Picked:
    data = bytes(block)
    if data == _NO_BLOCK[: len(data)]:
        return 0, []
    count, picked = 0, []
    for at in range(0, len(data), PAGE):
        page = data[at : at + PAGE]
        if page != _NO_PAGE:
            count += 1
            fits = [kind for kind in kinds if kind.passes(page)]
            if fits:
                picked.append((at, fits))
    return count, picked


def _pick_by_columns(np: ModuleType, block: memoryview, kinds: Sequence[Kind]) -> Picked:
    if len(block) < _SHORT:
        return _pick(block, kinds)
    words = np.frombuffer(block, np.uint64).reshape(-1, PAGE // 8)
    content = words[:, 0] != 0
    if not content.all():
        content = np.bitwise_or.reduce(words, axis=1) != 0
    pages = content.nonzero()[0]
    picked: dict[int, list[Kind]] = {}
    if pages.size:
        for kind in kinds:
            for page in kind.pages(block, pages):
                picked.setdefault(page, []).append(kind)
    return len(pages), [(page * PAGE, fits) for page, fits in sorted(picked.items())]
