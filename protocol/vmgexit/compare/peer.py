"""Another implementation as a process: commands in and answers out as JSON lines, over pipes.

`Peer.execute` takes the same commands as `Machine.execute`, so that recordings and fuzzers can
drive an SVSM in any language. `Peer.answers` writes a whole scenario at once and gives the answers as
they come, which is many times as fast. The author of an adapter reads specs/peer-protocol.md. Whatever
a peer does, its driver goes on: every failure is a `PeerError` within the time allowed, and no
process is left behind.
"""

from __future__ import annotations

import itertools
import json
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol

from ..descriptions import Answer, Command
from ..errors import PeerError, ScenarioError, brief
from ..hosts.vm import Setup
from ..machine.commands import checked, no_such_vcpu
from ..machine.program import MOST_VCPUS as MOST_VCPUS_IN_BINARY
from ..machine.program import SIZE, spelled
from ..sequences import HOST, SVSM
from .pipes import Process, plain

VERSION = 2  # of specs/peer-protocol.md
VERSIONS = (1, VERSION)  # an adapter of version 1 knows no machine with memory
TIMEOUT = 10.0  # seconds for one answer
_MOST_OPERATIONS = 0xFFFF  # of a command in binary
COUNTERS = 4096  # of a peer's own coverage
STOPS = ("panic", "terminated")  # answers after which there is no machine until the next init
UNSUPPORTED = "unsupported"  # the key of an answer, or of a part, that a peer does not know

_LATE = 0.01  # seconds for what was written long ago
_MOST_KNOWN = 1 << 14  # commands, and answers, that are kept as they were spelled
_LONGEST_KNOWN = 1 << 10  # bytes of such an answer
_STOP_KEYS = tuple(f'"{stop}"'.encode() for stop in STOPS)


@dataclass(frozen=True, slots=True)
class Hello:
    """What a peer says of itself: its name, the profile that it means to follow, if any, and what it is:
    an SVSM or a GHCB host. One that `stays` goes on after a stop, which answers until the next `init`; one
    that is `binary` reads commands in binary, too."""

    name: str
    profile: str = ""
    machine: str = SVSM
    stays: bool = False
    binary: bool = False


@dataclass(frozen=True, slots=True)
class _Told:
    """One line of a peer, read."""

    answer: Answer
    hits: list[int] = field(default_factory=list)
    stops: bool = False

    @classmethod
    def of(cls, line: bytes) -> _Told:
        """Raises PeerError."""
        answer = _object(line)
        hits = _hits(answer.pop("hits", []))
        return cls(answer, hits, stops(answer))


def stops(answer: Answer) -> bool:
    """Whether an answer is a panic or a termination request."""
    return any(stop in answer for stop in STOPS)


def is_unsupported(answer: Answer) -> bool:
    """Whether a peer does not know the operation, and has changed nothing."""
    return set(answer) == {UNSUPPORTED}


class Answering(Protocol):
    """A peer, or what stands in for one."""

    def execute(self, command: Command) -> Answer: ...


class Peer:
    """A process that answers the commands of scenarios. Use it as a context manager.

    `command` is a program and its arguments, `timeout` the seconds for each answer. The thread that
    starts a peer has to outlive it: on Linux the process ends with that thread.
    """

    def __init__(
        self, command: Sequence[str], timeout: float = TIMEOUT, starting: float | None = None
    ) -> None:
        self.command = list(command)
        self.timeout = timeout
        self.starting = starting  # seconds for the hello, where they are others
        self.hello = Hello("")
        self.stopped: Answer | None = None
        self.hits: list[int] = []  # what its code passed before its last answer, where it says so
        self._vcpus = 0
        self._process: Process | None = None
        self._spare: Process | None = None  # started, so that the next restart need not wait
        self._ended = False  # a process did end before
        self._due = 0  # answers to commands that were written and given up
        self._spelled: dict[int, tuple[Command, bytes]] = {}  # lines of commands, by identity
        self._known: dict[bytes, _Told] = {}

    def __enter__(self) -> Peer:
        self.restart()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The process, or 0 when there is none."""
        return self._process.pid if self._process else 0

    def restart(self) -> None:
        """End the process, if there is one, and start another. Raises PeerError of kind start."""
        again = self.pid != 0 or self._ended
        self._end(politely=True)
        try:
            self._process, self._spare = self._spare or Process(self.command, again=again), None
            self.hello = _hello(_object(self._process.ask(b"", self.starting or self.timeout)))
            self._process.expect_silence()
            if again:  # it will be so again: a process takes long to start, and may do so beside us
                self._spare = Process(self.command, again=True)
        except PeerError as error:
            self._end()
            message = f"{self.command[0]}: cannot be started: {error}"
            raise PeerError(message, kind="start") from None

    def close(self) -> None:
        """End the process: by the end of its input, and if that does not do, by a signal."""
        self._end(politely=True)
        self._ended = False
        spare, self._spare = self._spare, None
        if spare is not None:
            spare.end(politely=False)

    def forget(self) -> None:
        """From here on there is no machine until the next init."""
        self._vcpus = 0
        if self.stopped is not None:
            self._end()  # it may be about to exit: it is not asked again
        elif self._due:
            self._drain()

    def _drain(self) -> None:
        """Read the answers that nobody wants any more. Where they do not come, the process is ended."""
        process, due, self._due = self._process, self._due, 0
        try:
            for _ in range(due):
                assert process is not None
                line = process.line(self.timeout)
                if not self.hello.stays and any(key in line for key in _STOP_KEYS):
                    self._end()
                    return
        except PeerError:
            self._end()

    def execute(self, command: Command) -> Answer:
        """The peer's answer to one command. Raises PeerError, after which the process is gone and the
        next `init` starts another; ScenarioError on a command for a vCPU that does not exist."""
        if command["op"] == "init":
            self.forget()
            if self._process is None:
                self.restart()
        elif command.get("cpu", 0) >= self._vcpus:
            raise no_such_vcpu(command, self._vcpus)
        elif self.stopped is not None:
            return dict(self.stopped)
        if self._due:
            self._drain()
        return self._taken(command, self._exchange(self._line(command)))

    def answers(self, commands: Sequence[Command]) -> Iterator[Answer]:
        """The peer's answer to each command, as it comes; they are written at once, from each `init` on.

        After a stop, the stop answers. What fails is a PeerError as of `execute`. An answer may stand
        for a command before or after its own where the peer does not answer each command once: only
        `execute` knows better. Nobody may change answers. Who does not want all of them ends the
        iteration.
        """
        if not commands:
            return iter(())
        if commands[0]["op"] != "init":
            raise ScenarioError(f"{commands[0]['op']}: init expected first")
        starts = [at for at, command in enumerate(commands) if command["op"] == "init"]
        ends = [*starts[1:], len(commands)]
        parts = [commands[start:end] for start, end in zip(starts, ends, strict=True)]
        self._tell(parts[0])
        return self._told(parts)

    def _told(self, parts: Sequence[Sequence[Command]]) -> Iterator[Answer]:
        """The answers to parts that each start with an `init`, of which the first is written."""
        for part in parts:
            if part is not parts[0]:
                self._tell(part)
            yield from self._together(part)

    def _tell(self, commands: Sequence[Command]) -> None:
        """Write commands that start with an `init`, up to one for a vCPU that does not exist."""
        self.forget()
        if self._process is None:
            self.restart()
        assert self._process is not None
        cpus, known = _vcpus(commands[0]), self._spelled.get
        sent = [*itertools.takewhile(lambda one: one.get("cpu", 0) < cpus, commands)]
        lines = [held[1] if (held := known(id(one))) else self._line(one) for one in sent]
        try:
            self._process.tell(b"".join(lines))
        except BaseException:
            self._end()
            raise
        self._due = len(sent)

    def _together(self, commands: Sequence[Command]) -> Iterator[Answer]:
        """The answers to commands that were written."""
        process, known, given = self._process, self._known.get, 0
        assert process is not None
        cpus = _vcpus(commands[0])
        try:
            while self._due and self.stopped is None:
                lines = process.lines(self.timeout, self._due)
                self._due -= len(lines)
                for line in lines:
                    told = known(line) or self._read(line)
                    self.hits = told.hits
                    if not given:
                        self._begun(commands[0], told.answer)
                    given += 1
                    if told.stops and not self.hello.stays:
                        self.stopped = told.answer
                        break
                    yield told.answer
            for command in commands[given - (self.stopped is not None) :]:
                if command.get("cpu", 0) >= cpus:
                    raise no_such_vcpu(command, cpus)
                assert self.stopped is not None
                yield self.stopped
            if self.stopped is None:
                process.expect_silence()
        except GeneratorExit:
            raise  # the answers that are due are read before the next scenario
        except BaseException:
            self._end()
            raise

    def settle(self, seconds: float) -> None:
        """Wait so long for what it does after its last answer. Raises PeerError where it writes, or ends
        without having stopped."""
        if self._process is not None and self.stopped is None:
            try:
                self._process.settle(seconds)
            except BaseException:
                self._end()
                raise

    def _line(self, command: Command) -> bytes:
        """A command as a peer reads it. The same commands come again and again when fuzzing."""
        held = self._spelled.get(id(command))
        if held is not None:  # it is kept, so that its identity is no other's
            return held[1]
        line = _in_binary(command) if self.hello.binary else b""
        line = line or json.dumps(command).encode() + b"\n"
        if len(self._spelled) >= _MOST_KNOWN:
            self._spelled.clear()
        self._spelled[id(command)] = command, line
        return line

    def _read(self, line: bytes) -> _Told:
        told = _Told.of(line)
        if len(line) <= _LONGEST_KNOWN:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[line] = told
        return told

    def _taken(self, command: Command, told: _Told) -> Answer:
        """The answer to one command."""
        self.hits = told.hits
        if told.stops and not self.hello.stays:
            self.stopped = dict(told.answer)
        if command["op"] == "init":
            try:
                self._begun(command, told.answer)
            except PeerError:
                self._end()
                raise
        return told.answer

    def _begun(self, command: Command, answer: Answer) -> None:
        """An `init` was answered. Raises PeerError where the peer does not know it."""
        if "unsupported" not in answer:
            self._vcpus = _vcpus(command)
        elif self.hello.machine == SVSM and "memory" not in command:
            self.settle(_LATE)  # of one that answers twice, it is the answer to another command
            raise PeerError("does not support init", kind="garbage")

    def _exchange(self, line: bytes) -> _Told:
        """Send a line and read one."""
        if self._process is None:
            raise PeerError("is not running", kind="death")
        try:
            told = _Told.of(self._process.ask(line, self.timeout))
            self._process.expect_silence()
            return told
        except BaseException:
            # Half an exchange cannot be taken up again, whatever interrupted it.
            self._end()
            raise

    def _end(self, *, politely: bool = False) -> None:
        process, self._process = self._process, None
        self.stopped = None
        self._vcpus = self._due = 0
        if process is not None:
            self._ended = True
            process.end(politely=politely)


def _vcpus(init: Command) -> int:
    """How many vCPUs an `init` makes, of an SVSM or of a GHCB host."""
    count: int = init.get("cpus") or init.get("vcpus", Setup().vcpus)
    return count


def _hits(told: object) -> list[int]:
    """A peer's own coverage, checked."""
    if not isinstance(told, list) or not all(type(n) is int and 0 <= n < COUNTERS for n in told):
        raise PeerError(
            f"hits: {brief(told)} found, a list of numbers below {COUNTERS} expected",
            kind="garbage",
        )
    return told


def _hello(told: Answer) -> Hello:
    """The first line, checked."""
    version, name, profile = (told.get(key, "") for key in ("vmgexit", "name", "profile"))
    if isinstance(version, bool) or version not in VERSIONS:
        expected = " or ".join(map(str, VERSIONS))
        raise PeerError(
            f"hello: vmgexit: {brief(version)} found, {expected} expected", kind="start"
        )
    if not isinstance(name, str) or not name:
        raise PeerError(f"hello: name: {brief(name)} found, a text expected", kind="start")
    if not isinstance(profile, str):
        raise PeerError(f"hello: profile: {brief(profile)} found, a text expected", kind="start")
    machine = told.get("machine", SVSM)
    if machine not in (SVSM, HOST):
        raise PeerError(
            f"hello: machine: {brief(machine)} found, {SVSM} or {HOST} expected", kind="start"
        )
    stays, binary = (_said(told, key) for key in ("stays", "binary"))
    if binary and machine == HOST:
        raise PeerError("hello: binary: true found, which only an SVSM can say", kind="start")
    return Hello(plain(name), plain(profile), machine, stays, binary)


def _said(told: Answer, key: str) -> bool:
    """What the first line says of a key that is true or false, false where it says nothing."""
    value = told.get(key, False)
    if not isinstance(value, bool):
        raise PeerError(f"hello: {key}: {brief(value)} found, true or false expected", kind="start")
    return value


_IN_BINARY = struct.Struct("<BH")
"""What a command in binary begins with: 1, and the number of its operations."""


def _in_binary(command: Command) -> bytes:
    """A command as operations of a program; nothing where it is none, or is too large for that."""
    try:
        operations = spelled(checked(command), alone=True)
    except ScenarioError:
        return b""
    vcpus = max(command.get("cpus", 0), command.get("cpu", 0) + 1)
    count = len(operations) // SIZE
    if vcpus > MOST_VCPUS_IN_BINARY or count > _MOST_OPERATIONS:
        return b""
    return _IN_BINARY.pack(1, count) + operations


def _no_number(text: str) -> None:
    """Python reads NaN and Infinity, which JSON has not."""
    raise ValueError(text)


_READER = json.JSONDecoder(parse_constant=_no_number)


def _object(line: bytes) -> Answer:
    """A line as the JSON object that it has to be."""
    try:
        value = _READER.decode(line.decode())
    except (ValueError, RecursionError):
        raise PeerError(f"not JSON: {brief(line)[1:]}", kind="garbage") from None
    if not isinstance(value, dict):
        raise PeerError(f"{brief(value)} found, a JSON object expected", kind="garbage")
    return value
