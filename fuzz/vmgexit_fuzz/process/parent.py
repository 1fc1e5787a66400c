"""One fuzzing process from its start to its end: its turns, what it tells, and how it ended."""

from __future__ import annotations

import contextlib
import json
import os
import re
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event
from typing import IO, Any

from ..targets import Finding
from .child import Order, spelled
from .watchdog import HANG, MEMORY

CLOSING_SECONDS = 2  # for a process that is to end
_POLL_SECONDS = 0.25
# A process ends by itself, unless one input takes long. Of a hang libFuzzer hears after up to one and
# a half times the patience with an input, and a second.
_PATIENCES = 2
_LATE_SECONDS = 2

# libFuzzer's exit codes for what Python cannot catch.
DEATHS = {HANG: "hang", MEMORY: "out of memory", 77: "crash"}
INTERRUPTED = (72, -signal.SIGINT, -signal.SIGTERM)

_STATUS = re.compile(r"#(\d+)\s.*?(?:cov: (\d+))?(?: ft: (\d+))?(?: corp: \d+)")
# How the names of artifacts begin that say the same, whoever ended the process. A `crash` may be due
# to our own signal.
_ARTIFACTS = {"timeout": HANG, "oom": MEMORY}
_FRAME = re.compile(r'  File "(?:.*/)?([^"/]+)\.py", line \d+ in (\S+)')  # of a hang
_NO_ERROR = re.compile(r"INFO|WARNING|\s|==")


@dataclass(slots=True)
class Process:
    """A process on an order. `told` is called with each of its lines, and whenever it tells nothing
    for a while; `log` takes what the engine says."""

    order: Order
    told: Callable[[dict[str, Any]], None]
    log: Callable[[bytes], object] = lambda line: None
    stop: Event = field(default_factory=Event)
    recording: IO[bytes] | None = None

    ready: bool = False
    rests: bool = False
    error: str = ""
    last: str = ""  # line of the engine that may say what went wrong
    inputs: int = 0
    coverage: int = 0
    seconds: float = 0.0  # of its turn
    hangs_in: str = ""  # module and function
    _left: dict[str, bytes] = field(default_factory=dict)  # its artifacts, by kind
    _child: subprocess.Popen[bytes] | None = None
    _pipes: list[_Lines] = field(default_factory=list)
    _folder: tempfile.TemporaryDirectory[str] | None = None
    _ended: bool = False  # by us
    _overtime: bool = False

    def run(self) -> int:
        """Start it, and let it work to the end of its turn: its exit code; 0 too when it rests, and when we
        ended it and it left no finding.

        Its artifacts go to a folder that is gone afterwards: what is in them is kept here.
        """
        self._folder = tempfile.TemporaryDirectory(prefix="vmgexit-")
        self.order.artifacts = self._folder.name
        kept_open: tuple[int, ...] = ()
        if self.recording is not None:
            self.order.record = self.recording.fileno()
            kept_open = (self.order.record,)
        self._child = subprocess.Popen(
            [sys.executable, "-P", "-m", "vmgexit_fuzz.process.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=kept_open,
            start_new_session=True,  # Ctrl-C is for us; we end it
        )
        assert self._child.stdout is not None
        assert self._child.stderr is not None
        self._pipes = [
            _Lines(self._child.stdout, self._ours),
            _Lines(self._child.stderr, self._engine),
        ]
        return self._turn()

    def goes_on(self, order: Order) -> bool:
        """Whether a turn may be its own: it rests, and knows of all inputs that end a process. No input is
        to blame for what ends one at rest."""
        is_there = self._child is not None and self._child.poll() is None
        return self.rests and is_there and order.deadly == self.order.deadly

    def again(self, order: Order) -> int:
        """Another turn of a process that rests; as `run`."""
        self.order = replace(order, artifacts=self.order.artifacts, record=self.order.record)
        self.rests, self.inputs = False, 0
        return self._turn()

    def close(self) -> None:
        """End it while it rests."""
        if self._child is not None:
            assert self._child.stdin is not None
            with contextlib.suppress(BrokenPipeError, subprocess.TimeoutExpired):
                self._child.stdin.close()  # that says it
                self._child.wait(CLOSING_SECONDS)
            _end(self._child)
            self._closed()

    def _turn(self) -> int:
        """Give it its order, and listen until it rests or has ended."""
        child = self._child
        assert child is not None
        assert child.stdin is not None
        started = time.monotonic()
        try:
            with contextlib.suppress(BrokenPipeError):
                child.stdin.write(spelled(self.order))
                child.stdin.flush()
                if not self.order.rests:
                    child.stdin.close()
            self._follow(child)
            if self.rests:
                return 0
            code = child.wait()
        finally:
            self.seconds = time.monotonic() - started
            if not self.rests:
                _end(child)
                self._closed()
        if not self._ended:
            return code
        if self._overtime:
            return HANG
        return next((code for kind, code in _ARTIFACTS.items() if kind in self._left), 0)

    def _closed(self) -> None:
        """Close its streams, and keep what it left."""
        child, self._child = self._child, None
        assert child is not None
        for pipe in (child.stdin, child.stdout, child.stderr):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
        child.wait()
        assert self._folder is not None
        # They are looked for and not listened for: we may have ended it before it could tell.
        for path in Path(self._folder.name).iterdir():
            self._left[path.name.partition("-")[0]] = path.read_bytes()
        self._folder.cleanup()

    def _follow(self, child: subprocess.Popen[bytes]) -> None:
        """Read both streams until it rests, or has ended and they hold nothing more. End it when it is to
        stop, or when its time is long over."""
        with selectors.DefaultSelector() as selector:
            for lines in self._pipes:
                selector.register(lines.pipe, selectors.EVENT_READ, lines)
            started = time.monotonic()
            while selector.get_map() and not self.rests:
                # A program that it started may keep its streams open.
                gone = child.poll() is not None
                readable = selector.select(timeout=0 if gone else _POLL_SECONDS)
                for key, _ in readable:
                    if not key.data.read():
                        selector.unregister(key.fileobj)
                if gone and not readable:
                    return
                if not self.ready:
                    started = time.monotonic()
                self.told({})
                self._end_in_time(child, time.monotonic() - started)

    def _end_in_time(self, child: subprocess.Popen[bytes], seconds: float) -> None:
        """End it when it is to stop, when its time is long over, or when that is over before it is ready.
        `seconds`: that it ran."""
        if self._ended:
            return
        planned = self.order.seconds
        patience = _PATIENCES * self.order.conditions.hang_seconds + _LATE_SECONDS
        self._overtime = planned is not None and seconds > planned + patience
        ends = self.order.ends
        is_useless = not self.ready and ends is not None and time.monotonic() > ends
        if self._overtime or is_useless or self.stop.is_set():
            self._ended = _end(child)

    def _ours(self, line: str) -> None:
        """A line of the child's own."""
        try:
            told: dict[str, Any] = json.loads(line)
        except ValueError:
            return  # cut short by the child's end
        self.ready |= "ready" in told
        self.rests = "rests" in told
        self.error = told.get("error", self.error)
        self.inputs = max(self.inputs, told.get("inputs", 0))
        self.told(told)

    def _engine(self, line: str) -> None:
        """A line of libFuzzer's, or a traceback's."""
        self.log(f"{line}\n".encode())
        if line and not _NO_ERROR.match(line):
            self.last = line
        if match := _STATUS.search(line):
            # The child tells its counts twice a second: of one that died, this may be all there is.
            self.inputs = max(self.inputs, int(match[1]))
            self.coverage = int(match[2] or self.coverage)
        elif (match := _FRAME.match(line)) and not self.hangs_in:
            self.hangs_in = f"{match[1]}.{match[2]}"

    def death(self, code: int) -> Finding:
        """What ended it, as a finding."""
        if code in DEATHS:
            cause = DEATHS[code]
        elif code < 0:
            cause = f"ended by {signal.Signals(-code).name}"
        else:
            cause = f"ended with code {code}"
        place = self.hangs_in if code == HANG else ""
        where = f" in {place}" if place else ""
        return Finding(cause, f"{cause}{where}: the input ended the fuzzing process", place=place)

    def last_input(self) -> bytes | None:
        """What it ran when it ended, as far as that is known."""
        for kind in (*_ARTIFACTS, "crash"):
            if kind in self._left:
                return self._left[kind]
        if self.recording is None:
            return None
        self.recording.seek(0)
        size = int.from_bytes(self.recording.read(4), "little")
        return self.recording.read(size)


def recording() -> IO[bytes]:
    """A file for `Process.recording`: it holds the input at hand, whatever ends the process."""
    stream = tempfile.TemporaryFile()  # noqa: SIM115 - as long as its user
    stream.truncate(4 + (1 << 20))
    return stream


def _end(child: subprocess.Popen[bytes]) -> bool:
    """End a process that may still run: politely, then for certain. Whether it did."""
    if child.poll() is not None:
        return False
    child.send_signal(signal.SIGINT)
    try:
        child.wait(CLOSING_SECONDS)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        child.kill()
    return True


class _Lines:
    """A pipe read without blocking, line by line."""

    def __init__(self, pipe: IO[bytes], take: Callable[[str], None]) -> None:
        self.pipe, self.take, self.rest = pipe, take, b""
        os.set_blocking(pipe.fileno(), False)

    def read(self) -> bool:
        """Take what is there; False at the end."""
        data: bytes | None = self.pipe.read(1 << 16)
        if not data:
            if data is None:  # nothing there yet
                return True
            if self.rest:
                self.take(self.rest.decode(errors="replace"))
            return False
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            self.take(line.decode(errors="replace"))
        return True
