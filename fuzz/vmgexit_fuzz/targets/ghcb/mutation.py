"""Mutating scenarios of a GHCB host: bursts of operations that belong together, pages as they should be but
for one rule, and small changes. All weights are in `MUTATIONS`.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache

from vmgexit.hosts.vm import MEMORY_TOP
from vmgexit.rules.exits import problems_of_request
from vmgexit.wire.ap_creation import ApCreation, ApOperation
from vmgexit.wire.exit_codes import ExitCode
from vmgexit.wire.ghcb_msr import GhcbInfo

from ...inputs.messages import EDGES
from . import programs
from .exit import AMISS, TOGGLED, WORDS, examples
from .programs import CPUS, SIZE, code_of

MOST = 12  # bursts of a new input
TRIES = 8  # until a page breaks one rule
_HEAD = 4  # where the choices for a page stand; then masks, words and the buffer
_MASKS = _HEAD + 6
_WORDS = _MASKS + 4
_BUFFER = _WORDS + 8 * len(WORDS)
_LOOKED_AT = [WORDS.index(name) for name in ("sw_exit_info_1", "sw_exit_info_2", "rax", "rcx")]
_WITH_SCRATCH = (
    ExitCode.IOIO,
    ExitCode.MMIO_READ,
    ExitCode.MMIO_WRITE,
    ExitCode.SNP_PAGE_STATE_CHANGE,
)
VMSA = 0x13000
_FAR = (0x20000, MEMORY_TOP - 8, MEMORY_TOP, 1 << 51, (1 << 64) - 8)
"""Scratch areas that are not in the page."""


def mutate(data: bytes, longest: int, seed: int) -> bytes:
    """Another input, of at most `longest` bytes. Never raises, whatever `data` is."""
    pick = random.Random(seed)
    operations = [bytearray(data[at : at + SIZE]) for at in range(0, len(data), SIZE)]
    for operation in operations:
        operation.extend(bytes(SIZE - len(operation)))
    if len(operations) < 2:
        operations = [_new(pick) for _ in range(pick.randint(2, MOST))]
    for _ in range(pick.choice((1, 1, 2, 3))):
        pick.choice(_MUTATIONS)(pick, operations)
    return b"".join(operations)[:longest]


def make(pick: random.Random) -> bytes:
    """A scenario from nothing: a VM, and bursts."""
    operations = [_new(pick)]
    if pick.random() < 0.5:
        _set_up(pick, operations)
    for _ in range(pick.randint(1, MOST)):
        _insert_at(pick, operations, len(operations))
    for _ in range(pick.choice((0, 0, 0, 1, 2))):
        pick.choice(_MUTATIONS)(pick, operations)
    return b"".join(operations)


def crossover(one: bytes, other: bytes, longest: int, seed: int) -> bytes:
    """The beginning of one scenario and the end of the other, of at most `longest` bytes."""
    pick = random.Random(seed)
    first = pick.randint(0, len(one) // SIZE) * SIZE
    second = pick.randint(0, len(other) // SIZE) * SIZE
    return (one[:first] + other[second:])[:longest]


# --- operations -------------------------------------------------------------------------------------


def _new(pick: random.Random) -> bytearray:
    """Any operation; of a page nothing is changed yet."""
    operation = bytearray(SIZE)
    operation[:_HEAD] = pick.randbytes(_HEAD)
    operation[_HEAD : _HEAD + 2] = pick.randbytes(2)
    if programs.OPERATIONS[operation[0] % len(programs.OPERATIONS)] is not _A_PAGE:
        operation[_HEAD:16] = pick.randbytes(16 - _HEAD)
    return operation


_A_PAGE = programs.WEIGHTS["vmgexit"][0]


def _named(name: str, cpu: int, *arguments: int) -> bytearray:
    """An operation of that name; `arguments` are its bytes from the fifth on."""
    operation = bytearray(SIZE)
    operation[0], operation[1] = code_of(name), cpu
    operation[_HEAD : _HEAD + len(arguments)] = bytes(arguments)
    return operation


def _page(pick: random.Random, code: int, cpu: int = 0, **words: int) -> bytearray:
    """The exit `code` as the builder makes it, with other `words`."""
    operation = _named("vmgexit", cpu, programs.exit_choices()[code], pick.getrandbits(8))
    for name, value in words.items():
        _put(operation, WORDS.index(name), value)
    return operation


def _any_page(pick: random.Random) -> bytearray:
    """A page as it should be: of a real guest, or of any exit."""
    if pick.random() < 0.5:
        operation = _named("vmgexit", pick.randrange(CPUS))
        operation[2], operation[3] = 1, pick.getrandbits(8)
        return operation
    return _named("vmgexit", pick.randrange(CPUS), *pick.choice(_examples()))


@cache
def _examples() -> list[tuple[int, int]]:
    """The bytes that choose each example of each exit: one with several operations comes more often."""
    choices = programs.exit_choices().items()
    return [(byte, number) for code, byte in choices for number in range(examples(code))]


def _put(operation: bytearray, number: int, value: int) -> None:
    """Replace a word of a page."""
    at = _WORDS + 8 * number
    operation[at : at + 8] = (value & (1 << 64) - 1).to_bytes(8, "little")
    operation[_MASKS + number // 8] |= 1 << number % 8


def _replace(pick: random.Random, operation: bytearray, number: int) -> None:
    """Another value for a word of a page: one that it is often, or the right one with a bit changed."""
    right: int = getattr(programs.page(bytes(operation)), WORDS[number])
    changed = right ^ 1 << pick.randrange(64)
    _put(
        operation, number, pick.choice((changed, changed, pick.choice(EDGES), pick.getrandbits(64)))
    )


def _toggle(pick: random.Random, operation: bytearray) -> None:
    """A word of a page that is marked valid is not, or another one is."""
    page = programs.page(bytes(operation))
    marked = [number for number, name in enumerate(TOGGLED) if page.is_valid(name)]
    bit = pick.choice(marked) if marked and pick.random() < 0.8 else pick.randrange(len(TOGGLED))
    operation[_MASKS + 2 + bit // 8] |= 1 << bit % 8


# --- bursts -----------------------------------------------------------------------------------------


def _any(pick: random.Random) -> list[bytearray]:
    return [_new(pick)]


def _right(pick: random.Random) -> list[bytearray]:
    return [_any_page(pick)]


def _break_one_rule(pick: random.Random) -> list[bytearray]:
    """A page as it should be, but for one rule."""
    operation = _any_page(pick)
    right = bytes(operation)
    for _ in range(TRIES):
        operation[:] = right
        if pick.random() < 0.4:
            _toggle(pick, operation)
        else:
            _replace(pick, operation, pick.randrange(len(WORDS)))
        if len(list(problems_of_request(programs.page(bytes(operation)), 2))) == 1:
            break
    return [operation]


def _one_bit(pick: random.Random) -> list[bytearray]:
    """A page as it should be, but for a bit of a word that is looked at, and sometimes a valid bit."""
    operation = _any_page(pick)
    number = pick.choice(_LOOKED_AT)
    right: int = getattr(programs.page(bytes(operation)), WORDS[number])
    bit = pick.choice((pick.randrange(64), pick.randrange(16), pick.randrange(32, 40)))
    _put(operation, number, right ^ 1 << bit)
    if pick.random() < 0.3:
        _toggle(pick, operation)
    burst = [operation]
    if programs.page(bytes(operation)).sw_exit_code == ExitCode.HV_DOORBELL_PAGE:
        burst.insert(0, _named("set doorbell", operation[1]))
    return burst


def _list(pick: random.Random) -> list[bytearray]:
    """A page list whose entries could be one range: begun, small and large ones, side by side; sometimes
    with a bit that should not be."""
    frame, count = pick.choice((0x40000, 0x40200, 0x12345)), pick.randint(1, 3)
    words = [(count - 1) << 16]
    for _ in range(count):
        large = frame % 512 == 0 and pick.random() < 0.6
        begun = pick.choice((0, 2, 511)) if large else 0
        words.append(large << 56 | pick.choice((1, 2, 2)) << 52 | frame << 12 | begun)
        frame += pick.choice((1, 512, 512 - begun, 512 - begun))
    if pick.random() < 0.3:
        words[pick.randrange(len(words))] ^= 1 << pick.choice((*range(32, 36), *range(52, 64)))
    operation = _page(pick, ExitCode.SNP_PAGE_STATE_CHANGE)
    data = b"".join(word.to_bytes(8, "little") for word in words)
    operation[_BUFFER : _BUFFER + len(data)] = data
    operation[_MASKS + 1] |= 0x80  # the buffer is replaced
    return [operation]


def _misplaced(pick: random.Random) -> list[bytearray]:
    """A page whose scratch area is at an edge of the buffer, outside of it, or far away."""
    operation = _page(pick, pick.choice(_WITH_SCRATCH), pick.randrange(CPUS))
    if pick.random() < 0.7:
        operation[_HEAD + 3] = pick.randrange(AMISS, 256)
    else:
        _put(operation, WORDS.index("sw_scratch"), pick.choice(_FAR))
    return [operation]


_EVENTS = ("irq", "irq", "nmi", "machine_check", "enter", "enter", "cancel", "take", "write")
_LEFT_BY_GUESTS = (0, 0x80)  # PendingEvent: nothing; NoFurtherSignal alone


def _event(pick: random.Random, cpu: int) -> bytearray:
    name = pick.choice(_EVENTS)
    if name != "write":
        return _named(name, cpu, pick.getrandbits(8), pick.getrandbits(8))
    return _named(name, cpu, 1, 0, 0, 0, 0, pick.choice(_LEFT_BY_GUESTS))  # to the doorbell page


def _events(pick: random.Random) -> list[bytearray]:
    """Events for one vCPU, and entries that tell of them."""
    cpu = pick.randrange(CPUS)
    burst = [_named("set doorbell", cpu)]
    burst += [_event(pick, cpu) for _ in range(pick.randint(3, 8))]
    return burst


def _levels(pick: random.Random) -> list[bytearray]:
    """A VMSA for a lower VMPL; that VMPL is run, by a page or by the MSR; then an event comes."""
    cpu, vmpl = pick.randrange(CPUS), pick.choice((1, 2, 3))
    info = ApCreation(operation=ApOperation.CREATE, vmpl=vmpl, apic_id=cpu)
    made = _page(pick, ExitCode.SNP_AP_CREATION, cpu, sw_exit_info_1=int(info), sw_exit_info_2=VMSA)
    asked = pick.choice((vmpl, vmpl, vmpl ^ 1, vmpl | 1 << pick.randrange(32, 64)))
    run = _page(pick, ExitCode.SNP_RUN_VMPL, cpu, sw_exit_info_1=asked)
    if pick.random() < 0.4:
        run = _named("msr", cpu, programs.WORDS.index(GhcbInfo.RUN_VMPL_REQUEST))
        run[8:16] = (asked << 32 & (1 << 40) - 1).to_bytes(8, "little")
    event = _named(pick.choice(("irq", "nmi", "machine_check")), cpu, pick.getrandbits(8))
    return [made, run, event, _named("enter", cpu)]


BURSTS: dict[Callable[[random.Random], list[bytearray]], int] = {
    _any: 5,
    _right: 4,
    _break_one_rule: 4,
    _one_bit: 5,
    _list: 3,
    _misplaced: 2,
    _events: 3,
    _levels: 2,
}
_BURSTS = [burst for burst, weight in BURSTS.items() for _ in range(weight)]


# --- mutations --------------------------------------------------------------------------------------


def _insert_at(pick: random.Random, operations: list[bytearray], at: int) -> None:
    burst = pick.choice(_BURSTS)
    if burst is _events:
        operations[0][2] = 1  # restricted injection
    operations[at:at] = burst(pick)


def _insert(pick: random.Random, operations: list[bytearray]) -> None:
    _insert_at(pick, operations, pick.randint(1, len(operations)))


def _continue(pick: random.Random, operations: list[bytearray]) -> None:
    """From some way into the scenario, another way on: all of what it then does is new."""
    del operations[pick.randint(1, len(operations)) :]
    for _ in range(pick.randint(1, 8)):
        _insert_at(pick, operations, len(operations))


def _remove(pick: random.Random, operations: list[bytearray]) -> None:
    if len(operations) > 2:
        del operations[pick.randrange(1, len(operations))]


def _repeat(pick: random.Random, operations: list[bytearray]) -> None:
    """Some operations once more, or several times."""
    first = pick.randrange(len(operations))
    piece = operations[first : first + pick.choice((1, 1, 2, 4))]
    for _ in range(pick.choice((1, 1, 2, 4, 8))):
        operations[first:first] = map(bytearray, piece)


def _set_up(pick: random.Random, operations: list[bytearray]) -> None:
    """Another VM: one thing of it unusual, or all as usual."""
    first = operations[0]
    first[_HEAD : _HEAD + len(programs.SETUPS)] = bytes(len(programs.SETUPS))
    if pick.random() < 0.7:
        first[_HEAD + pick.randrange(len(programs.SETUPS))] = 0xFF
    first[2] = pick.getrandbits(1)


def _change_byte(pick: random.Random, operations: list[bytearray]) -> None:
    operation = pick.choice(operations)
    operation[pick.randrange(SIZE)] = pick.choice((0, 0xFF, pick.getrandbits(8)))


def _set_word(pick: random.Random, operations: list[bytearray]) -> None:
    _replace(pick, pick.choice(operations), pick.randrange(len(WORDS)))


def _race(pick: random.Random, operations: list[bytearray]) -> None:
    """Another vCPU writes to a page while it is read: to that of one exit, or of all."""
    raced = bytes((0xFF, pick.randrange(len(programs.RACED)))) + pick.randbytes(6)
    for operation in pick.choice((operations[1:], [pick.choice(operations)])):
        operation[-len(raced) :] = raced


MUTATIONS: dict[Callable[[random.Random, list[bytearray]], None], int] = {
    _continue: 20,
    _insert: 22,
    _remove: 2,
    _repeat: 2,
    _set_up: 3,
    _change_byte: 2,
    _set_word: 3,
    _race: 1,
}
_MUTATIONS = [mutation for mutation, weight in MUTATIONS.items() for _ in range(weight)]
