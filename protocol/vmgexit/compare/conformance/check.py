"""Holding a peer against the rules: what holds, what is broken and how, and how fast the peer is.

A rule's exchange is run on the peer, command by command. A broken one names the rule and the key. An
adapter that hangs or answers twice breaks the rule of one answer, whichever exchange shows it.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from ...descriptions import Answer, Command
from ...errors import PeerError, brief
from ...hosts.scenario import page_of
from ...machine.commands import ON_MEMORY as ONLY_ON_MEMORY
from ...machine.commands import call
from ...sequences import HOST, SVSM
from ...wire.apic import ApicCall, ApicRegister
from ...wire.calls import find_call
from ...wire.exit import Exit
from ...wire.exit_codes import MalformedInput, Status
from ...wire.exits import find_exit
from ...wire.ghcb import GhcbPage
from ...wire.ghcb_msr import GhcbInfo
from ..peer import STOPS, UNSUPPORTED, Answering, Peer, is_unsupported, stops
from ..replay import same
from .host_rules import RULES as OF_A_HOST
from .memory_rules import RULES as ON_MEMORY
from .rule import Rule, begin, on, post, runs
from .rules import RULES as OF_AN_SVSM

END = 1.0  # seconds in which an adapter exits once its input has ended
RULES = {SVSM: OF_AN_SVSM | ON_MEMORY, HOST: OF_A_HOST}
"""The rules by what a peer is. All have one of the hello, one of answers and one of the end."""
_WITH_MEMORY = "init with memory"
_EVERY_EXCHANGE = {"number": "two answers", "garbage": "no answer", "hang": "no answer in time"}
"""Kinds of PeerError that break the rule of one answer."""


class Outcome(StrEnum):
    """What a rule came to."""

    HOLDS = "holds"
    UNSUPPORTED = "not supported"
    BROKEN = "BROKEN"


@dataclass(frozen=True, slots=True)
class Result:
    """A rule, what it came to, and why."""

    rule: Rule
    outcome: Outcome
    why: str = ""
    step: int = -1  # of the rule's exchange


@dataclass(slots=True)
class Support:
    """What a peer answered, by operation or call: all, or a part only; and what it does not know."""

    whole: dict[str, None] = field(default_factory=dict)
    part: dict[str, None] = field(default_factory=dict)
    none: dict[str, None] = field(default_factory=dict)

    def note(self, name: str, answer: Answer) -> None:
        """Note how an operation was answered, by its name."""
        is_known = not is_unsupported(answer)
        holder = self.whole if UNSUPPORTED not in answer else self.part if is_known else self.none
        holder[name] = None


def _exit(command: Command) -> Exit | None:
    """The row of the exit that a command's page asks for."""
    if command["op"] != "vmgexit" or "page" not in command:
        return None
    return find_exit(GhcbPage.decode(page_of(command["page"])).sw_exit_code)


def _name(command: Command, rule: Rule) -> str:
    """What an operation of a rule is called. On memory it can be another matter than without."""
    if command["op"] == "vmgexit" and "page" in command:
        row = _exit(command)
        return f"the exit {row.name}" if row else "unknown exits"
    if command["op"] == "msr":
        return f"the word {GhcbInfo(command['request'] & 0xFFF).name}"
    if command["op"] == "init" and "cpus" in command and "memory" in command:
        return _WITH_MEMORY + " and reg_count" * ("reg_count" in command)
    name = str(command["op"])
    if name == "call":
        known = find_call(command["protocol"], command["request"])
        name = known.name if known else "unknown calls"
    is_elsewhere = rule.title in ON_MEMORY and command["op"] not in ONLY_ON_MEMORY
    return f"{name} on memory" if is_elsewhere else name


def check(words: Sequence[str], timeout: float, support: Support) -> Iterator[Result]:
    """Hold the peer that `words` start against each rule, in order. `support` is filled on the way.

    `timeout` is in seconds, for one answer. It ends where the peer cannot be started, and where it does not
    give one answer to each command.
    """
    peer = Peer(words, timeout)
    try:
        peer.restart()
    except PeerError as error:
        yield Result(OF_AN_SVSM["Hello"], Outcome.BROKEN, str(error))
        return
    rules = RULES[peer.hello.machine]
    hello, answers = rules["Hello"], rules["One answer"]
    with contextlib.closing(peer):
        yield Result(hello, Outcome.HOLDS, _said(peer))
        for rule in rules.values():
            if rule.title in ON_MEMORY and _WITH_MEMORY in support.none:
                continue
            if rule is rules["The end"]:
                yield _ends(rule, words, timeout)
            elif rule.steps:
                peer.forget()
                try:
                    result = held(rule, peer, support, answers)
                except PeerError as error:  # of kind start
                    yield Result(hello, Outcome.BROKEN, f"started again: {error}")
                    return
                if rule is answers and result.outcome is Outcome.HOLDS:
                    result = _at_once(rule, words, timeout)
                yield result
                if rule is answers and result.outcome is Outcome.BROKEN:
                    return


def _said(peer: Peer) -> str:
    profile = f", profile {peer.hello.profile}" if peer.hello.profile else ""
    return f"{peer.hello.name}{profile}"


def held(
    rule: Rule,
    peer: Answering,
    support: Support,
    answers: Rule = OF_AN_SVSM["One answer"],
) -> Result:
    """Run a rule's exchange; `answers` is the rule of one answer. Raises PeerError where the peer cannot be
    started again."""
    for step, (command, expected) in enumerate(rule.steps):
        try:
            answer = peer.execute(command)
        except PeerError as error:
            if error.kind == "start":
                raise
            broken = answers if error.kind in _EVERY_EXCHANGE else rule
            return Result(broken, Outcome.BROKEN, f"{error} ({rule.title.lower()})", step)
        if UNSUPPORTED not in expected:
            name = _name(command, rule)
            if _is_unknown(command, answer, expected):
                answer = {UNSUPPORTED: name}
            support.note(name, answer)
            if is_unsupported(answer):
                return Result(rule, Outcome.UNSUPPORTED, name, step)
        wrong = differences(answer, expected)
        if wrong:
            return Result(rule, Outcome.BROKEN, "; ".join(wrong), step)
    return Result(rule, Outcome.HOLDS)


def _is_unknown(command: Command, answer: Answer, expected: Answer) -> bool:
    """Whether a host refuses an exit as unknown that it need not have: one with a feature of its own."""
    row = _exit(command)
    refusal = {"status": Status.MALFORMED_INPUT, "detail": MalformedInput.INVALID_EVENT}
    is_refused = all(answer.get(key) == value for key, value in refusal.items())
    return (
        row is not None
        and bool(row.feature)
        and is_refused
        and expected.get("status") == Status.DONE
    )


def differences(answer: Answer, expected: Answer) -> list[str]:
    """Where an answer is not as a rule expects, a text for each key. A key that it says nothing of because
    it does not support all of the operation is no difference."""
    if stops(expected):
        kind = next(iter(expected))
        return [] if same(answer, expected) else [f"{brief(answer)} found, {kind} expected"]
    stop = next((stop for stop in STOPS if stop in answer), None)
    if stop is not None:
        return [f"{stop}: {brief(answer[stop])} found, an answer expected"]
    if UNSUPPORTED in expected:
        is_right = is_unsupported(answer)
        return [] if is_right else [f"{brief(answer)} found, unsupported and no other key expected"]
    return [
        f"{name}: {_differing(found, due)}"
        for key, value in expected.items()
        if not (UNSUPPORTED in answer and key not in answer)
        for name, found, due in _apart(key, answer.get(key), value)
    ]


def _apart(key: str, found: Any, expected: Any) -> Iterator[tuple[str, Any, Any]]:
    """Where two values differ; of objects, which keys of them."""
    if isinstance(found, dict) and isinstance(expected, dict):
        for inner in expected | found:
            yield from _apart(f"{key}.{inner}", found.get(inner), expected.get(inner))
    elif _spelled(found) != _spelled(expected):
        yield key, found, expected


def _spelled(value: object) -> str:
    """A value as JSON spells it: true is not 1."""
    return json.dumps(value, sort_keys=True)


def _differing(found: object, expected: object) -> str:
    if isinstance(found, str) and isinstance(expected, str) and len(found) == len(expected) > 64:
        at = next(i for i in range(len(found)) if found[i] != expected[i]) // 2
        ours, theirs = (text[2 * at : 2 * at + 2] for text in (found, expected))
        return f"byte {at:#x} is {ours}, {theirs} expected"
    return f"{_told(found)} found, {_told(expected)} expected"


def _told(value: object) -> str:
    is_large = isinstance(value, int) and not isinstance(value, bool) and value > 9
    return "nothing" if value is None else f"{value:#x}" if is_large else brief(value)


# --- several commands at once ----------------------------------------------------------------------


def _at_once(rule: Rule, words: Sequence[str], timeout: float) -> Result:
    """Three commands in one write, and the end of the input: as many answers, one a line."""
    commands = [rule.steps[0][0]] * 3
    output, _ = _given(words, commands, timeout)
    answers = output.splitlines()[1:]
    if len(answers) != len(commands):
        why = f"{len(answers)} lines found after three commands at once, 3 expected"
        return Result(rule, Outcome.BROKEN, why)
    return Result(rule, Outcome.HOLDS)


def _ends(rule: Rule, words: Sequence[str], timeout: float) -> Result:
    """The input ends once the adapter has said hello: how long it takes to start does not count."""
    process = _started(words)
    try:
        assert process.stdout is not None
        select.select([process.stdout], [], [], timeout)
        process.communicate(timeout=END)
        return Result(rule, Outcome.HOLDS)
    except subprocess.TimeoutExpired:
        return Result(rule, Outcome.BROKEN, f"it still runs after {END:g} s")
    finally:
        _kill(process)


def _started(words: Sequence[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        words,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a process and all that it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def _given(words: Sequence[str], commands: Sequence[Command], timeout: float) -> tuple[bytes, bool]:
    """All that a new process writes when it gets these commands and no more, and whether it ended."""
    process = _started(words)
    try:
        lines = b"".join(json.dumps(command).encode() + b"\n" for command in commands)
        return process.communicate(lines, timeout)[0], True
    except subprocess.TimeoutExpired as late:
        return late.output or b"", False
    finally:
        _kill(process)


# --- how fast --------------------------------------------------------------------------------------

_MIXED_OF_AN_SVSM: list[Command] = [
    begin()[0],
    call(0, ApicCall.CONFIGURE_VECTOR, 1 << 8 | 0x61),
    runs(interrupts=True)[0],
    *(
        command
        for _ in range(9)
        for command in (
            post(0x61),
            on("enter"),
            on("guest_take"),
            call(0, ApicCall.WRITE_REGISTER, ApicRegister.EOI),
        )
    ),
]
_MIXED_OF_A_HOST = [command for rule in OF_A_HOST.values() for command, _ in rule.steps]
MIXED = {SVSM: _MIXED_OF_AN_SVSM, HOST: _MIXED_OF_A_HOST}
"""A sequence of some dozens of commands, of the kinds that a campaign sends most."""


@dataclass(frozen=True, slots=True)
class Speed:
    """Commands in a second: each sent after the answer before, and all written at once."""

    one_by_one: float
    at_once: float


def speed(words: Sequence[str], timeout: float, seconds: float = 0.2) -> Speed:
    """How fast a peer answers. Raises PeerError."""
    with Peer(words, timeout) as peer:
        mixed, sent, start = MIXED[peer.hello.machine], 0, time.perf_counter()
        while (took := time.perf_counter() - start) < seconds:
            peer.forget()
            for command in mixed:
                peer.execute(command)
            sent += len(mixed)
    start = time.perf_counter()
    _given(words, [], timeout)
    starting = time.perf_counter() - start
    several = max(1, round(sent / len(mixed))) * 4
    start = time.perf_counter()
    _given(words, mixed * several, timeout)
    return Speed(
        sent / took, several * len(mixed) / max(time.perf_counter() - start - starting, 1e-6)
    )
