"""Programs for `svsm` and `svsm-hostile`: from nothing, and by changes of others.

All weights of changes are in `MUTATIONS`. What is changed are blocks: an operation with the pieces that
follow it, such as the bytes of a list.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache

from vmgexit.machine.program import CODES, PLACES, SIZE, spelled

from . import programs
from .memory import BURSTS, HOSTILE, PAGES, Pick, Weighed, address, entry, layout
from .stock import Stock

_PIECES = frozenset(
    CODES[name]
    for name in (
        "late", "apic_id", "doorbell_bytes", "memory_range", "svsm_range", "page_range",
        "memory_bytes", "psp_answer", "psp_certs", "vmsa_state", "vmsa_features",
    )
)  # fmt: skip
_WORDS = tuple(PLACES[name] for name in ("rcx", "rdx", "r8"))
_CPUS = (0, 0, 0, 1, 2)  # whose a burst is
_OPENINGS = 256
_MOST_BURSTS = 22  # they are shorter than those of interrupts
_LEAST_PAGES = 3  # that the bursts of a shelf name

_HONEST = Weighed(*BURSTS.items())
_HOSTILE = Weighed(*BURSTS.items(), *HOSTILE.items())


@cache
def _openings() -> list[bytes]:
    return [spelled(layout(random.Random(seed))) for seed in range(_OPENINGS)]


def opening(pick: random.Random) -> bytes:
    """How a program begins."""
    return pick.choice(_openings())


def stock(*, hostile: bool) -> Stock:
    """What programs are made of from nothing; with `hostile` there are acts of the host."""
    chosen, bursts = Pick(), _HOSTILE if hostile else _HONEST

    def burst(pick: random.Random, pages: tuple[int, ...]) -> bytes:
        chosen.seed(pick.getrandbits(31))
        chosen.pages = pages
        made = bursts.one(chosen)(chosen, chosen.choice(_CPUS))
        return b"".join(map(spelled, made))

    return Stock(opening, burst, PAGES, _LEAST_PAGES, _MOST_BURSTS)


def blocks_of(data: bytes) -> list[bytes]:
    """The commands of a program, each with its pieces."""
    blocks: list[bytes] = []
    for at in range(0, len(data) - SIZE + 1, SIZE):
        operation = data[at : at + SIZE]
        if blocks and operation[0] in _PIECES:
            blocks[-1] += operation
        else:
            blocks.append(operation)
    return blocks


Mutation = Callable[[random.Random, list[bytes], Stock], None]


def _continue(pick: random.Random, blocks: list[bytes], stock: Stock) -> None:
    """From some way into the program, another way on."""
    del blocks[pick.randint(1, min(len(blocks), programs.FARTHEST)) :]
    blocks += [stock.any_burst(pick) for _ in range(pick.randint(1, 8))]


def _insert(pick: random.Random, blocks: list[bytes], stock: Stock) -> None:
    blocks.insert(pick.randint(1, len(blocks)), stock.any_burst(pick))


def _change(pick: random.Random, blocks: list[bytes], stock: Stock) -> None:
    """One word of one operation becomes an address."""
    at, named = pick.randrange(len(blocks)), Pick(pick.getrandbits(31))
    operation = pick.randrange(len(blocks[at]) // SIZE) * SIZE
    place = pick.choice(_WORDS)
    value = pick.choice((address(named), entry(named))) & (1 << 64) - 1
    block = bytearray(blocks[at])
    block[operation + place.start : operation + place.stop] = value.to_bytes(8, "little")
    blocks[at] = bytes(block)


def _duplicate(pick: random.Random, blocks: list[bytes], stock: Stock) -> None:
    first = pick.randrange(len(blocks))
    piece = blocks[first : first + pick.randint(1, 4)]
    at = pick.randint(1, len(blocks))
    blocks[at:at] = piece


def _leave_out(pick: random.Random, blocks: list[bytes], stock: Stock) -> None:
    if len(blocks) > 1:
        del blocks[pick.randrange(1, len(blocks))]


MUTATIONS: dict[Mutation, int] = {
    _continue: 16,
    _insert: 10,
    _change: 5,
    _duplicate: 3,
    _leave_out: 3,
}
_MUTATIONS = Weighed(*MUTATIONS.items())


def mutate(data: bytes, longest: int, seed: int, stock: Stock) -> bytes:
    """Another program, of at most `longest` bytes, with bursts of `stock`. Never raises, whatever `data`
    is."""
    pick = random.Random(seed)
    blocks = blocks_of(data)
    if not blocks or pick.random() < 0.05:
        blocks[:1] = [opening(pick)]
    for _ in range(pick.choice((1, 1, 1, 2, 3))):
        _MUTATIONS.one(pick)(pick, blocks, stock)
    return b"".join(blocks)[: longest - longest % SIZE]
