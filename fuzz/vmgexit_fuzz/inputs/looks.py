"""Mutating programs for `svsm-peer`: those of `svsm-hostile`, with looks at what commands did.

A peer tells of its memory only what it is asked. After a burst of commands some look at the pages that
they named, at the registered VMSAs, and at where vCPUs are.
"""

from __future__ import annotations

from collections.abc import Iterator

from vmgexit.machine.program import CODES, PLACES, SIZE, spelled
from vmgexit.wire.page_size import PAGE

from . import memory, memory_programs
from .stock import Stock

LOOKED_AT = 1 / 4  # of the commands that do something
MOST_LOOKS = 2  # after one command

_DO_SOMETHING = tuple(CODES[name] for name in ("call", "host_page", "write", "vmsa", "adjust"))
_ADDRESSES = tuple(PLACES[name] for name in ("rcx", "rdx"))
_LAST_PAGE = (1 << 52) - PAGE


def mutate(data: bytes, longest: int, seed: int, stock: Stock) -> bytes:
    """Another program, of at most `longest` bytes, with bursts of `stock` and looks. Never raises, whatever
    `data` is."""
    changed = memory_programs.mutate(data, longest, seed, stock)
    return with_looks(changed, longest, seed, data)


def with_looks(program: bytes, longest: int, seed: int, data: bytes = b"") -> bytes:
    """A program with looks after commands that `data` does not have; of at most `longest` bytes."""
    pick = memory.Pick(seed)
    blocks: list[bytes] = []
    for block in memory_programs.blocks_of(program):
        blocks.append(block)
        if block[0] in _DO_SOMETHING and pick.random() < LOOKED_AT * _new(block, data):
            blocks += _looks(pick, block)
    return b"".join(blocks)[: longest - longest % SIZE]


def _new(block: bytes, before: bytes) -> bool:
    """Whether a command was not there before: what was is not looked at again and again."""
    return block not in before


def _looks(pick: memory.Pick, block: bytes) -> Iterator[bytes]:
    named = [int.from_bytes(block[place], "little") & -PAGE for place in _ADDRESSES]
    pages = [page for page in named if page <= _LAST_PAGE] + [memory.page(pick) & _LAST_PAGE]
    for _ in range(pick.randint(1, MOST_LOOKS)):
        match pick.randrange(6):
            case 0:
                yield spelled({"op": "registry"})
            case 1:
                yield spelled({"op": "calling_area", "cpu": pick.randrange(3)})
            case 2:
                yield spelled({"op": "read", "gpa": pick.choice(pages), "len": 64, "by": 2})
            case _:
                yield spelled({"op": "page", "gpa": pick.choice(pages)})
