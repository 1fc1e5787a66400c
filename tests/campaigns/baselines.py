"""Searching without a campaign: in a plain loop, and with hypothesis."""

from __future__ import annotations

import contextlib
import random
import tempfile
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from vmgexit.descriptions import Actor
from vmgexit.machine.commands import COMMANDS
from vmgexit.machine.program import CODES, CODES_WITHOUT_MEMORY, Flags, Operation
from vmgexit.wire.apic import ApicRegister
from vmgexit.wire.svsm import Protocol
from vmgexit_fuzz.inputs import memory
from vmgexit_fuzz.inputs.bursts import EXITS, NUMBERS, PAGES, VECTORS
from vmgexit_fuzz.targets import Target, as_finding, find
from vmgexit_fuzz.targets.whole_svsm import WholeSvsm

from .trial import Trial, TrialOutcome

if TYPE_CHECKING:
    from hypothesis import settings

_LOOKS = {name for name, one in COMMANDS.items() if one.by is Actor.NOBODY}
_CODES = [
    code for name, code in CODES.items() if name not in _LOOKS and code < CODES_WITHOUT_MEMORY
]
_CODES_ON_MEMORY = [
    CODES[name]
    for name in (
        *("call", "call", "call", "write", "write", "memory_bytes", "memory_bytes"),
        *("vmsa", "vmsa_state", "run", "adjust", "psp", "psp_answer", "host_page"),
    )
]
STEPS = 50  # of one run of a state machine
_EXAMPLES = 200  # of one run of hypothesis, which takes a new seed then


class _Ended(BaseException):
    """The trial is over. No `Exception`, which hypothesis would keep to itself."""


class _Stopwatch:
    """Counts inputs, and ends the trial with the first finding or when its time is used up."""

    def __init__(self, seconds: float) -> None:
        self.inputs = 0
        self.outcome: TrialOutcome | None = None
        self.started = time.monotonic()
        self.deadline = self.started + seconds

    def step(self, run: Callable[[Any], object], argument: Any) -> None:
        """An input, or a part of one."""
        try:
            run(argument)
        except (Exception, SystemExit) as error:
            self._end(as_finding(error).cause)
        if time.monotonic() >= self.deadline:
            self._end()

    def one(self, run: Callable[[Any], object], data: bytes) -> None:
        """A whole input."""
        self.step(run, data)
        self.count()

    def count(self) -> None:
        self.inputs += 1

    def _end(self, cause: str = "") -> None:
        seconds = time.monotonic() - self.started
        self.outcome = TrialOutcome(bool(cause), round(seconds, 3), self.inputs + 1, cause)
        raise _Ended


def _timed(trial: Trial, search: Callable[[_Stopwatch], None]) -> TrialOutcome:
    """Start the time, and search until it ends."""
    watch = _Stopwatch(trial.seconds)
    try:
        search(watch)
    except (Exception, _Ended):
        if watch.outcome is None:
            raise
        # Of a run cut short hypothesis may say besides that it differs from the run before.
    assert watch.outcome is not None
    return watch.outcome


def _target(trial: Trial) -> Target:
    """The case's target with its bug in it."""
    target = find(trial.case.target).open(trial.case.conditions)
    with contextlib.suppress(Exception, SystemExit):  # which a bug may raise
        target.run(b"")  # imports what is imported late
    return target


def commands(trial: Trial) -> TrialOutcome:
    """Well-formed scenarios of commands that are chosen one by one; of other inputs, random bytes."""
    target, pick = _target(trial), random.Random(trial.first)

    def made() -> bytes:
        if not target.row.is_program:
            return pick.randbytes(pick.randrange(target.row.longest))
        operation = _on_memory if isinstance(target, WholeSvsm) else _operation
        return b"".join(operation(pick) for _ in range(pick.randint(1, STEPS)))

    return _plain_loop(trial, target, made)


def _operation(pick: random.Random) -> bytes:
    """A command with the values that our own mutator takes, each argument by itself."""
    return Operation(
        code=pick.choice(_CODES),
        cpu=pick.randrange(3),
        vector=pick.choice(VECTORS),
        flags=Flags.decode(bytes([pick.randrange(8)])),
        protocol=pick.choice((Protocol.CORE, Protocol.APIC, Protocol.APIC, Protocol.APIC)),
        request=pick.randrange(6),
        rcx=pick.choice((*ApicRegister, *NUMBERS, *PAGES, *EXITS, 0x300, 0x300)),
        rdx=pick.choice((*NUMBERS, *VECTORS, 0, 0)),
    ).encode()


_ADDRESSES = tuple(page for pages, _ in memory.CLASSES for page in pages)
_WORDS = (*_ADDRESSES, *NUMBERS)


def _on_memory(pick: random.Random) -> bytes:
    """The same for a machine with memory, with the addresses that our own mutator takes."""
    protocols = (Protocol.CORE, Protocol.CORE, Protocol.ATTESTATION, Protocol.VTPM)
    return Operation(
        code=pick.choice(_CODES_ON_MEMORY),
        cpu=pick.randrange(3),
        vector=pick.randrange(8),
        flags=Flags.decode(bytes([pick.randrange(8)])),
        protocol=pick.choice(protocols),
        request=pick.choice((*range(8), 16, 24, 88)),
        rcx=pick.choice(_WORDS) | pick.choice((0, 0, 4, 8, 12)),
        rdx=pick.choice(_WORDS),
        r8=pick.choice(_WORDS),
    ).encode()


def from_nothing(trial: Trial) -> TrialOutcome:
    """What our own mutator makes from nothing, in the order of our campaign's first turn."""
    target, pick = _target(trial), random.Random(trial.first)
    target.make(random.Random())  # imports the mutator
    return _plain_loop(trial, target, lambda: target.make(pick))


def _plain_loop(trial: Trial, target: Target, made: Callable[[], bytes]) -> TrialOutcome:
    run = target.run

    def search(watch: _Stopwatch) -> None:
        while True:
            watch.one(run, made())

    return _timed(trial, search)


def hypothesis(trial: Trial) -> TrialOutcome:
    """What hypothesis makes, run after run until it finds something: no database, no shrinking."""
    from hypothesis import HealthCheck, Phase, configuration, settings

    target, pick = _target(trial), random.Random(trial.first)
    with tempfile.TemporaryDirectory() as folder:
        configuration.set_hypothesis_home_dir(folder)
        limits = settings(
            max_examples=_EXAMPLES,
            stateful_step_count=STEPS,
            phases=[Phase.generate],
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        searching = (_stateful if _has_rules(target) else _bytes)(target, limits)

        def search(watch: _Stopwatch) -> None:
            while True:
                searching(watch, pick.getrandbits(31))

        try:
            return _timed(trial, search)
        finally:
            configuration.set_hypothesis_home_dir(None)


def _has_rules(target: Target) -> bool:
    """Whether its scenarios are made by `rules`, which knows the commands of machines without memory."""
    return target.row.is_program and not isinstance(target, WholeSvsm)


_Search = Callable[[_Stopwatch, int], None]


def _bytes(target: Target, limits: settings) -> _Search:
    from hypothesis import given, seed
    from hypothesis import strategies as st

    inputs = st.binary(max_size=target.row.longest)

    def search(watch: _Stopwatch, number: int) -> None:
        @seed(number)
        @limits
        @given(inputs)
        def one(data: bytes) -> None:
            watch.one(target.run, data)

        one()

    return search


def _stateful(target: Any, limits: settings) -> _Search:
    from hypothesis import seed
    from hypothesis.stateful import run_state_machine_as_test

    from .rules import scenarios

    def search(watch: _Stopwatch, number: int) -> None:
        machine = seed(number)(scenarios(target, watch.step, watch.count))
        run_state_machine_as_test(machine, settings=limits)

    return search
