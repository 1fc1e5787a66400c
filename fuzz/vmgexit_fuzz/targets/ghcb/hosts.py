"""Invariant: no scenario of exits, MSR words and events breaks an invariant of a GHCB host.

The bytes are a scenario (`programs`). It runs on a host of the profile under HOST-1 to HOST-12. Of another
profile than the reference, an answer that the reference does not give is a finding too: a difference, which
says less than a broken invariant.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable

from vmgexit.compare.replay import differences
from vmgexit.descriptions import Command
from vmgexit.hosts.quirks import REFERENCE, profile
from vmgexit.hosts.scenario import Session, show
from vmgexit.rules.exits import problems_of_request
from vmgexit.watch.hosts.invariants import HostWatch
from vmgexit.watch.judged import Violation
from vmgexit.wire.exits import find_exit

from ...inputs.messages import EDGES
from ..base import Conditions, Finding, Target, TargetRow, as_finding
from ..scenarios import finding
from . import programs
from .exit import WORDS
from .programs import OPERATIONS, SIZE

MOST = 12  # operations of a new input
_HEAD_AT = 4
_MASKS = _HEAD_AT + 6
_WORDS = _MASKS + 4


class HostScenarios(Target):
    """Scenarios of a host, under all invariants."""

    def __init__(self, row: TargetRow, conditions: Conditions) -> None:
        super().__init__(row, conditions)
        self.quirks = profile(conditions.profile)

    def run(self, data: bytes) -> int:
        commands = programs.read(data)
        for _ in self._steps(commands):
            pass
        return len(commands)

    def _steps(self, commands: list[Command]) -> Steps:
        return Steps(commands, HostWatch(Session(self.quirks)), self._other())

    def _other(self) -> Session | None:
        """The reference, to compare with."""
        return None if self.quirks == REFERENCE else Session(REFERENCE)

    def examine(self, data: bytes) -> tuple[Finding | None, str]:
        commands = programs.read(data)
        done = 0
        try:
            for _ in self._steps(commands):
                done += 1
        except (Exception, SystemExit) as error:
            return as_finding(error), show(commands[: done + 1], mark=done)
        return None, self.read(data)

    def read(self, data: bytes) -> str:
        return show(programs.read(data))

    def lines(self, data: bytes) -> str:
        """The scenario as the one line that `vmgexit replay` takes."""
        operations = [{"cmd": command} for command in programs.read(data)]
        return json.dumps({"kind": "host", "ops": operations}) + "\n"

    def mutate(self, data: bytes, longest: int, seed: int) -> bytes:
        pick = random.Random(seed)
        operations = [bytearray(data[at : at + SIZE]) for at in range(0, len(data), SIZE)]
        for operation in operations:
            operation.extend(bytes(SIZE - len(operation)))
        if len(operations) < 2:
            operations = [_new(pick) for _ in range(pick.randint(2, MOST))]
        for _ in range(pick.choice((1, 1, 2, 3))):
            pick.choice(_MUTATIONS)(pick, operations)
        return b"".join(operations)[:longest]

    def crossover(self, one: bytes, other: bytes, longest: int, seed: int) -> bytes:
        """The beginning of one scenario and the end of the other."""
        pick = random.Random(seed)
        first = pick.randint(0, len(one) // SIZE) * SIZE
        second = pick.randint(0, len(other) // SIZE) * SIZE
        return (one[:first] + other[second:])[:longest]


class Steps:
    """Commands that are carried out one by one, on the host and beside the reference."""

    def __init__(self, commands: list[Command], watch: HostWatch, other: Session | None) -> None:
        self.commands = commands
        self.watch = watch
        self.other = other

    def __iter__(self) -> Steps:
        self.left = iter(self.commands)
        return self

    def __next__(self) -> Command:
        command = next(self.left)
        try:
            answer = self.watch.execute(command)
        except Violation as violation:
            raise finding(violation) from None
        if self.other is not None:
            expected = self.other.execute(command)
            if answer != expected:
                raise _difference(command, differences(answer, expected))
        return command


def _difference(command: Command, found: dict[str, tuple[object, object]]) -> Finding:
    place = command["op"]
    if place == "vmgexit":
        page = programs.page_in(command)
        row = find_exit(page.sw_exit_code)
        place = f"the exit {row.name}" if row else "an exit that does not exist"
    keys = ", ".join(sorted({key.partition(".")[0] for key in found}))
    told = "; ".join(f"{key} {ours!r}, {theirs!r}" for key, (ours, theirs) in found.items())
    return Finding(
        f"differs from the reference at {place}: {keys}",
        f"differs from the reference at {place}: {told}"[:400],
        place=place,
    )


# --- mutation ---------------------------------------------------------------------------------------


def _new(pick: random.Random) -> bytearray:
    """An operation as it should be: nothing of a page is changed yet."""
    operation = bytearray(SIZE)
    operation[:4] = pick.randbytes(4)
    operation[_HEAD_AT : _HEAD_AT + 2] = pick.randbytes(2)
    if operation[0] % len(OPERATIONS) not in _PAGES:
        operation[4:16] = pick.randbytes(12)
    return operation


_PAGES = {at for at, make in enumerate(OPERATIONS) if make is OPERATIONS[0]}


def _insert(pick: random.Random, operations: list[bytearray]) -> None:
    operations.insert(pick.randint(1, len(operations)), _new(pick))


def _remove(pick: random.Random, operations: list[bytearray]) -> None:
    if len(operations) > 2:
        del operations[pick.randrange(1, len(operations))]


def _repeat(pick: random.Random, operations: list[bytearray]) -> None:
    operations.insert(pick.randint(1, len(operations)), bytearray(pick.choice(operations)))


def _set_up(pick: random.Random, operations: list[bytearray]) -> None:
    """Another VM: one thing of it unusual, or usual again."""
    first = operations[0]
    first[4 + pick.randrange(len(programs.SETUPS))] = pick.choice((0, 0xFF))
    first[2] = pick.getrandbits(1)


def _change_byte(pick: random.Random, operations: list[bytearray]) -> None:
    operation = pick.choice(operations)
    operation[pick.randrange(SIZE)] = pick.choice((0, 0xFF, pick.getrandbits(8)))


def _set_word(pick: random.Random, operations: list[bytearray]) -> None:
    """A field of a page gets a value that could matter."""
    operation = pick.choice(operations)
    _replace(pick, operation, pick.randrange(len(WORDS)))


def _replace(pick: random.Random, operation: bytearray, number: int) -> None:
    value = pick.choice((pick.choice(EDGES), pick.getrandbits(64), 1 << pick.randrange(64)))
    at = _WORDS + 8 * number
    operation[at : at + 8] = (value & (1 << 64) - 1).to_bytes(8, "little")
    operation[_MASKS + number // 8] |= 1 << number % 8


def _break_one_rule(pick: random.Random, operations: list[bytearray]) -> None:
    """A page as it should be, but for one rule."""
    operation = _new(pick)
    operation[0] = 0
    right = bytes(operation)
    for _ in range(8):
        operation[:] = right
        if pick.random() < 0.4:
            bit = pick.randrange(16)
            operation[_MASKS + 2 + bit // 8] |= 1 << bit % 8
        else:
            _replace(pick, operation, pick.randrange(len(WORDS)))
        page = programs.page(bytes(operation))
        if len(list(problems_of_request(page, 2))) == 1:
            break
    operations.insert(pick.randint(1, len(operations)), operation)


def _list(pick: random.Random, operations: list[bytearray]) -> None:
    """A page list whose entries could be one range: begun, small and large ones, side by side."""
    operation = _new(pick)
    operation[0], operation[2] = 0, 0
    operation[_HEAD_AT] = programs.page_list_choice()
    frame, count = pick.choice((0x40000, 0x40200, 0x12345)), pick.randint(1, 3)
    words = [(count - 1) << 16]
    for _ in range(count):
        large = frame % 512 == 0 and pick.random() < 0.5
        begun = pick.choice((0, 0, 2, 511)) if large else 0
        state = pick.choice((1, 2, 2))
        words.append(large << 56 | state << 52 | frame << 12 | begun)
        frame += pick.choice((1, 512, 512 - begun, 512 - begun))
    data = b"".join(word.to_bytes(8, "little") for word in words)
    at = _WORDS + 8 * len(WORDS)
    operation[at : at + len(data)] = data
    operation[_MASKS + 1] |= 0x80  # the buffer is replaced
    operations.insert(pick.randint(1, len(operations)), operation)


def _race(pick: random.Random, operations: list[bytearray]) -> None:
    """Another vCPU writes to a page while it is read."""
    operation = pick.choice(operations)
    operation[-8:] = bytes((0xFF, pick.randrange(64))) + pick.randbytes(6)


MUTATIONS: dict[Callable[[random.Random, list[bytearray]], None], int] = {
    _insert: 4,
    _remove: 2,
    _repeat: 2,
    _set_up: 3,
    _change_byte: 3,
    _set_word: 4,
    _break_one_rule: 5,
    _list: 2,
    _race: 1,
}
_MUTATIONS = [mutation for mutation, weight in MUTATIONS.items() for _ in range(weight)]
