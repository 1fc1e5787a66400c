"""Another implementation as a process: commands in and answers out as JSON lines, over pipes.

`Peer.execute` takes the same commands as `Machine.execute`, so that recordings and fuzzers can
drive an SVSM in any language. The author of an adapter reads specs/peer-protocol.md. Whatever a
peer does, its driver goes on: every failure is a `PeerError` within the time allowed, and no
process is left behind.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Any

from ..descriptions import Answer, Command
from ..errors import PeerError, brief
from ..hosts.vm import Setup
from ..machine.commands import no_such_vcpu
from ..sequences import HOST, SVSM

VERSION = 2  # of specs/peer-protocol.md
VERSIONS = (1, VERSION)  # an adapter of version 1 knows no machine with memory
TIMEOUT = 10.0  # seconds for one answer
LONGEST_ANSWER = 1 << 20  # bytes; a long `state` has some thousands
COUNTERS = 4096  # of a peer's own coverage
STOPS = ("panic", "terminated")  # answers after which there is no machine until the next init

_CHUNK = 1 << 16
_LAST_WORDS = 4096  # bytes of standard error that are kept
_CLOSING = 1.0  # seconds for a process to end by itself once its pipes are closed


@dataclass(frozen=True, slots=True)
class Hello:
    """What a peer says of itself: its name, the profile that it means to follow, if any, and what it is:
    an SVSM or a GHCB host."""

    name: str
    profile: str = ""
    machine: str = SVSM


class Peer:
    """A process that answers the commands of scenarios. Use it as a context manager.

    `command` is a program and its arguments, `timeout` the seconds for each answer. The thread that
    starts a peer has to outlive it: on Linux the process ends with that thread.
    """

    def __init__(self, command: Sequence[str], timeout: float = TIMEOUT) -> None:
        self.command = list(command)
        self.timeout = timeout
        self.hello = Hello("")
        self.stopped: Answer | None = None
        self.hits: list[int] = []  # what its code passed before its last answer, where it says so
        self._vcpus = 0
        self._process: _Process | None = None

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
        self.close()
        try:
            self._process = _Process(self.command)
            self.hello = _hello(self._exchange(b""))
        except PeerError as error:
            self._end()
            message = f"{self.command[0]}: cannot be started: {error}"
            raise PeerError(message, kind="start") from None

    def close(self) -> None:
        """End the process: by the end of its input, and if that does not do, by a signal."""
        self._end(politely=True)

    def forget(self) -> None:
        """From here on there is no machine until the next init."""
        self._vcpus = 0
        if self.stopped is not None:
            self.close()  # it may be about to exit: it is not asked again

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
        answer = self._exchange(json.dumps(command).encode() + b"\n")
        try:
            self.hits = _hits(answer.pop("hits", []))
        except PeerError:
            self._end()
            raise
        if any(stop in answer for stop in STOPS):
            self.stopped = dict(answer)
        if command["op"] == "init":
            if "unsupported" not in answer:
                self._vcpus = command.get("cpus") or command.get("vcpus", Setup().vcpus)
            elif self.hello.machine == SVSM and "memory" not in command:
                self._end()
                raise PeerError("does not support init", kind="garbage")
        return answer

    def _exchange(self, line: bytes) -> Answer:
        """Send a line and read one."""
        if self._process is None:
            raise PeerError("is not running", kind="death")
        try:
            return _object(self._process.ask(line, self.timeout))
        except BaseException:
            # Half an exchange cannot be taken up again, whatever interrupted it.
            self._end()
            raise

    def _end(self, *, politely: bool = False) -> None:
        process, self._process = self._process, None
        self.stopped = None
        self._vcpus = 0
        if process is not None:
            process.end(politely=politely)


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
    return Hello(plain(name), plain(profile), machine)


def _object(line: bytes) -> Answer:
    """A line as the JSON object that it has to be."""
    try:
        value = json.loads(line.decode())
    except (ValueError, RecursionError):
        raise PeerError(f"not JSON: {brief(line)[1:]}", kind="garbage") from None
    if not isinstance(value, dict):
        raise PeerError(f"{brief(value)} found, a JSON object expected", kind="garbage")
    return value


class _Process:
    """A running peer and its three pipes, none of which can block us or, for long, it."""

    def __init__(self, command: Sequence[str]) -> None:
        try:
            # A session of its own: Ctrl-C is for us, and we can end its children with it.
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
                preexec_fn=_dies_with_us(),
            )
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            reason = error.strerror if isinstance(error, OSError) else None
            raise PeerError(reason or str(error), kind="start") from None
        self.pid = self._child.pid
        self._in, self._out, self._err = map(
            _unblocked, (self._child.stdin, self._child.stdout, self._child.stderr)
        )
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._out, selectors.EVENT_READ, self._hear)
        self._selector.register(self._err, selectors.EVENT_READ, self._overhear)
        self._unsent = b""
        self._answers = bytearray()
        self._silent = False  # standard output has ended
        self._words = b""

    def ask(self, line: bytes, timeout: float) -> bytes:
        """Send `line` and read the one line that answers it. Raises PeerError."""
        deadline = time.monotonic() + timeout
        self._wait(0)
        if line and self._answers:
            raise PeerError(f"answered unasked: {self._beginning()}", kind="number")
        self._unsent = line
        self._speak()
        if self._unsent:
            self._selector.register(self._in, selectors.EVENT_WRITE, self._speak)
        while (end := self._answers.find(b"\n")) < 0 and len(self._answers) <= LONGEST_ANSWER:
            left = deadline - time.monotonic()
            if self._silent:
                raise self._death()
            if left <= 0:
                what = "answer" if line else "hello"
                part = f" but {self._beginning()}" if self._answers else ""
                raise PeerError(f"no {what} after {timeout:g} s{part}", kind="hang")
            self._wait(left)
        if not 0 <= end <= LONGEST_ANSWER:
            raise PeerError(f"an answer of more than {LONGEST_ANSWER} bytes", kind="garbage")
        answer = bytes(self._answers[:end])
        del self._answers[: end + 1]
        if self._answers:
            raise PeerError(f"more than one answer: {self._beginning()}", kind="number")
        if self._unsent:
            raise PeerError("answered before it had read the command", kind="number")
        return answer

    def end(self, *, politely: bool) -> None:
        """End the process and all that it started."""
        self._forget_unsent()
        os.close(self._in)
        if politely:
            self._gone(_CLOSING)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):  # one that we may not end
            self._child.wait(_CLOSING)
        self._selector.close()
        os.close(self._out)
        os.close(self._err)

    def _wait(self, seconds: float) -> bool:
        """Move what can be moved, waiting for it no longer than that; whether anything was."""
        ready = self._selector.select(seconds)
        for key, _ in ready:
            key.data()
        return bool(ready)

    def _speak(self) -> None:
        try:
            self._unsent = self._unsent[os.write(self._in, self._unsent) :]
        except BlockingIOError:
            return  # its pipe is full
        except BrokenPipeError:
            self._unsent = b""  # it is ending: its output will say so
        if not self._unsent:
            self._forget_unsent()

    def _forget_unsent(self) -> None:
        self._unsent = b""
        with contextlib.suppress(KeyError):
            self._selector.unregister(self._in)

    def _hear(self) -> None:
        data = self._read(self._out)
        self._answers += data
        self._silent = not data

    def _overhear(self) -> None:
        self._words = (self._words + self._read(self._err))[-_LAST_WORDS:]

    def _read(self, pipe: int) -> bytes:
        data = os.read(pipe, _CHUNK)
        if not data:
            self._selector.unregister(pipe)
        return data

    def _gone(self, seconds: float) -> bool:
        """Whether the process ends within that time; its pipes are emptied meanwhile."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            gone = self._child.poll() is not None
            if not self._wait(0 if gone else 0.01) and gone:
                return True
            self._answers.clear()
        return self._child.poll() is not None

    def _death(self) -> PeerError:
        """Why there is no more output: how the process ended, and the last that it said."""
        part = f" after {self._beginning()}" if self._answers else ""
        if not self._gone(_CLOSING):
            how = "closed its standard output"
        elif self._child.returncode < 0:
            how = f"ended by {_signal(-self._child.returncode)}"
        else:
            how = f"ended with exit code {self._child.returncode}"
        lines = self._words.decode(errors="replace").strip().splitlines()
        last = f": {plain(lines[-1])}" if lines else ""
        return PeerError(f"{how}{part}{last}", kind="death")

    def _beginning(self) -> str:
        return brief(bytes(self._answers[:100]))[1:]


def _unblocked(pipe: IO[bytes] | None) -> int:
    """A descriptor of our own for a pipe that then never blocks."""
    assert pipe is not None
    os.set_blocking(pipe.fileno(), False)
    own = os.dup(pipe.fileno())
    pipe.close()
    return own


def _dies_with_us() -> Callable[[], None] | None:
    """What a peer does first: ask the kernel to end it when we end, however we do."""
    if sys.platform != "linux":
        return None
    control: Any = ctypes.CDLL(None).prctl
    us = os.getpid()

    def ask() -> None:
        control(1, ctypes.c_ulong(signal.SIGKILL), 0, 0, 0)  # PR_SET_PDEATHSIG
        if os.getppid() != us:
            os._exit(1)

    return ask


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def plain(text: str) -> str:
    """Text of a stranger, safe to print on a line."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:200])
