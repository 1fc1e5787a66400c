"""Mutating programs: bursts of commands go in, commands move or go, and arguments change.

Bursts find more than single changes do, so they have the most weight. All weights are in `MUTATIONS`
and in `bursts.BURSTS`.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable

from vmgexit.guests.guest import Guest
from vmgexit.machine.commands import call
from vmgexit.machine.program import CODES, PLACES, SIZE, Operation, spelled
from vmgexit.wire.apic import ApicCall, ApicRegister

from .bursts import EXITS, NUMBERS, PAGES, VECTORS, Pick, any_burst
from .stock import Stock

_VECTOR, _RCX, _RDX = (PLACES[name].start for name in ("vector", "rcx", "rdx"))
_SENDS = (ApicRegister.SELF_IPI & 0xFF, ApicRegister.ICR & 0xFF)

FARTHEST = 24  # operations of a program that another way goes on from

Mutation = Callable[[Pick, list[bytes]], None]


def _burst(pick: Pick) -> list[bytes]:
    if pick.stock is not None:
        return _operations(pick.stock.any_burst(pick))
    return [spelled(command) for command in any_burst(pick)]


def _continue(pick: Pick, operations: list[bytes]) -> None:
    """From some way into the program, another way on: all of what it then does is new."""
    del operations[pick.randint(1, min(len(operations), FARTHEST)) :]
    for _ in range(pick.randint(1, 8)):
        if pick.stock is None:
            pick.present = _vectors(operations)
        operations += _burst(pick)


def _insert_burst(pick: Pick, operations: list[bytes]) -> None:
    at = pick.randint(1, len(operations)) if operations else 0
    operations[at:at] = _burst(pick)


def _duplicate(pick: Pick, operations: list[bytes]) -> None:
    first = pick.randrange(len(operations))
    piece = operations[first : first + pick.randint(1, 8)]
    at = pick.randint(1, len(operations))
    operations[at:at] = piece


def _delete(pick: Pick, operations: list[bytes]) -> None:
    first = pick.randint(1, len(operations))  # what a program starts with stays
    del operations[first : first + pick.randint(1, 4)]


def _swap(pick: Pick, operations: list[bytes]) -> None:
    last = len(operations) - 1
    if last > 0:
        one, other = pick.randint(1, last), pick.randint(1, last)
        operations[one], operations[other] = operations[other], operations[one]


def _change(pick: Pick, operations: list[bytes]) -> None:
    """One argument of one operation, to a value that could matter."""
    at = pick.randrange(len(operations))
    operation = Operation.decode(operations[at][:SIZE].ljust(SIZE, b"\0"))
    match pick.randrange(6):
        case 0:
            operation.cpu = pick.randrange(4)
        case 1:
            pick.present = _vectors(operations)
            operation.vector = pick.vector()
        case 2:
            operation.flags.first = not operation.flags.first
        case 3:
            operation.request = pick.randrange(8)
        case 4:
            operation.rcx = pick.choice((*NUMBERS, *ApicRegister, *PAGES, *EXITS))
        case 5:
            operation.rdx = pick.choice((*NUMBERS, *VECTORS))
    operations[at] = operation.encode() + operations[at][SIZE:]


MUTATIONS: dict[Mutation, int] = {
    _continue: 20,
    _insert_burst: 10,
    _change: 4,
    _duplicate: 3,
    _delete: 3,
    _swap: 1,
}
_MUTATIONS, _UP_TO = tuple(MUTATIONS), tuple(itertools.accumulate(MUTATIONS.values()))


def _operations(data: bytes) -> list[bytes]:
    return [data[at : at + SIZE] for at in range(0, len(data) - SIZE + 1, SIZE)]


_HOLD_A_VECTOR = (CODES["host_irq"], CODES["host_begin"], CODES["late"])


def _vectors(operations: list[bytes]) -> list[int]:
    """The vectors that a program's posts and IPIs name."""
    found = []
    for operation in operations:
        if operation[0] in _HOLD_A_VECTOR:
            found.append(operation[_VECTOR])
        elif operation[0] == CODES["call"] and operation[_RCX] in _SENDS:
            found.append(operation[_RDX])
    return found


_OPENINGS = [
    spelled({"op": "init", "cpus": cpus, "reg_count": count})
    for cpus, count in itertools.product((1, 1, 2, 3), (1, 1, 1, 2, 0, 0xFFFFFFFF))
]
_ALLOW_ALL = spelled(call(0, ApicCall.CONFIGURE_VECTOR, 0x300))


def opening(pick: random.Random) -> bytes:
    """How a program begins: with all vectors allowed, or the host's interrupts would mostly be dropped."""
    start = pick.choice(_OPENINGS)
    return start + _ALLOW_ALL if pick.random() < 0.4 else start


def stock(guest: Guest | None = None) -> Stock:
    """What programs are made of from nothing."""
    chosen = Pick()
    chosen.guest = guest

    def burst(pick: random.Random, vectors: tuple[int, ...]) -> bytes:
        chosen.seed(pick.getrandbits(31))
        chosen.present = vectors
        return b"".join(_burst(chosen))

    return Stock(opening, burst, tuple(dict.fromkeys(VECTORS)))


def mutate(
    data: bytes,
    longest: int,
    seed: int,
    guest: Guest | None = None,
    stock: Stock | None = None,
) -> bytes:
    """Another program, of at most `longest` bytes. Never raises, whatever `data` is. With a `guest` there
    are more of its calls in it; with a `stock` the bursts come from there."""
    pick = Pick(seed)
    pick.guest, pick.stock = guest, stock
    operations = _operations(data)
    if not operations or pick.random() < 0.05:
        operations[:1] = _operations(opening(pick))
    if stock is None:
        pick.present = _vectors(operations)
    for _ in range(pick.choice((1, 1, 1, 2, 3))):
        if operations:
            pick.choices(_MUTATIONS, cum_weights=_UP_TO)[0](pick, operations)
    return b"".join(operations)[: longest - longest % SIZE]


def crossover(one: bytes, other: bytes, longest: int, seed: int) -> bytes:
    """The beginning of one program and the end of another, without its `init`; at most `longest`
    bytes."""
    pick = random.Random(seed)
    first, second = _operations(one), _operations(other)
    head = first[: pick.randint(1, max(len(first), 1))]
    tail = second[pick.randint(1, max(len(second), 1)) :]
    return b"".join(head + tail)[: longest - longest % SIZE]
