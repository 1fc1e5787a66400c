"""A peer's process and its three pipes, none of which can block us or, for long, it."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import select
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import IO, Any

from ..errors import PeerError, brief

LONGEST_ANSWER = 1 << 20  # bytes; a long `state` has some thousands
_CHUNK = 1 << 16
_LAST_WORDS = 4096  # bytes of standard error that are kept
_CLOSING = 1.0  # seconds for a process to end by itself once its pipes are closed
_DYING = 0.2  # seconds for one that reads no more to write its last
_DEAF = "closed its standard input"
_PIPE = 1 << 20  # bytes that a pipe is asked to hold, so that a scenario and its answers fit


class Process:
    """A running peer and its three pipes, none of which can block us or, for long, it."""

    def __init__(self, command: Sequence[str], *, again: bool = False) -> None:
        """`again`: the program was started before, so that it is known to be one."""
        # A fork of a fuzzing process takes milliseconds, and a function before exec makes it a fork.
        helper = _ending_with_us() if again else ()
        try:
            # A session of its own: Ctrl-C is for us, and we can end its children with it.
            self._child = subprocess.Popen(
                [*helper, *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
                preexec_fn=None if helper else _dies_with_us(),
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
        self._lines: deque[bytes] = deque()  # that it wrote and nobody read
        self._rest = b""  # what it wrote of the next
        self._silent = False  # standard output has ended
        self._deaf = False  # standard input has
        self._words = b""

    def ask(self, line: bytes, timeout: float) -> bytes:
        """Send `line` and read the line that answers it. Raises PeerError."""
        if line:
            self._expect_nothing_yet()
        self._send(line)
        return self.line(timeout, "answer" if line else "hello")

    def tell(self, lines: bytes) -> None:
        """Send the lines of many commands; `line` reads the answers. Raises PeerError."""
        self._expect_nothing_yet()
        self._send(lines)

    def line(self, timeout: float, what: str = "answer") -> bytes:
        """The next line that it writes. Raises PeerError."""
        return self.lines(timeout, 1, what)[0]

    def lines(self, timeout: float, most: int, what: str = "answer") -> list[bytes]:
        """The next lines that it writes, those that are there, at least one and at most so many. Raises
        PeerError."""
        if not self._lines:
            self._await_line(timeout, what)
        take = self._lines.popleft
        lines = [take() for _ in range(min(most, len(self._lines)))]
        if max(map(len, lines)) > LONGEST_ANSWER:
            raise PeerError(f"an answer of more than {LONGEST_ANSWER} bytes", kind="garbage")
        return lines

    def settle(self, seconds: float) -> None:
        """Wait so long for what it does beside its answers. Raises PeerError where it writes, or ends."""
        until = time.monotonic() + seconds
        while not (self._has_written or self._silent) and (left := until - time.monotonic()) > 0:
            self._wait(left)
        self.expect_silence()
        if self._silent:
            raise self._death()
        hearing = select.poll()
        hearing.register(self._in, 0)
        if hearing.poll(0):  # there is nobody to read it
            raise PeerError(_DEAF, kind="death")

    def _expect_nothing_yet(self) -> None:
        self._wait(0)
        if self._has_written:
            raise self._unasked("answered unasked", is_earlier=True)

    def expect_silence(self) -> None:
        """Raise PeerError where it wrote more than was asked, or before it had read all."""
        if self._has_written:
            raise self._unasked("more than one answer")
        if self._unsent:
            raise PeerError("answered before it had read the command", kind="number")

    def _unasked(self, what: str, *, is_earlier: bool = False) -> PeerError:
        """What is wrong with what it wrote unasked: an answer too many, or no answer at all."""
        is_answer = (*self._lines, self._rest)[0].lstrip().startswith(b"{")
        return PeerError(
            f"{what if is_answer else 'wrote what is no answer'}: {self._beginning()}",
            kind="number" if is_answer else "garbage",
            is_earlier=is_earlier,
        )

    @property
    def _has_written(self) -> bool:
        return bool(self._lines or self._rest)

    def _await_line(self, timeout: float, what: str) -> None:
        deadline = time.monotonic() + timeout
        while not self._lines:
            if len(self._rest) > LONGEST_ANSWER:
                raise PeerError(f"an answer of more than {LONGEST_ANSWER} bytes", kind="garbage")
            if self._deaf:
                deadline = min(deadline, time.monotonic() + _DYING)
            left = deadline - time.monotonic()
            if self._silent:
                raise self._death()
            if left <= 0:
                if self._deaf:
                    raise PeerError(_DEAF, kind="death")
                part = f" but {self._beginning()}" if self._rest else ""
                raise PeerError(f"no {what} after {timeout:g} s{part}", kind="hang")
            self._wait(left)

    def _send(self, lines: bytes) -> None:
        self._unsent = lines
        self._speak()
        if self._unsent:
            self._selector.register(self._in, selectors.EVENT_WRITE, self._speak)

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
            self._unsent, self._deaf = b"", True  # where it is ending, its output will say so
        if not self._unsent:
            self._forget_unsent()

    def _forget_unsent(self) -> None:
        self._unsent = b""
        with contextlib.suppress(KeyError):
            self._selector.unregister(self._in)

    def _hear(self) -> None:
        data = self._read(self._out)
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._lines += lines
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
            self._lines.clear()
        return self._child.poll() is not None

    def _death(self) -> PeerError:
        """Why there is no more output: how the process ended, and the last that it said."""
        part = f" after {self._beginning()}" if self._rest else ""
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
        return brief(b"\n".join((*self._lines, self._rest))[:100])[1:]


def _unblocked(pipe: IO[bytes] | None) -> int:
    """A descriptor of our own for a pipe that then never blocks."""
    assert pipe is not None
    os.set_blocking(pipe.fileno(), False)
    own = os.dup(pipe.fileno())
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with contextlib.suppress(OSError):  # a user may have only so much of it
            fcntl.fcntl(own, fcntl.F_SETPIPE_SZ, _PIPE)
    pipe.close()
    return own


_SETPRIV = shutil.which("setpriv") if sys.platform == "linux" else None
# The kernel ends a process with its parent, once it was asked to. One whose parent was gone by then ends
# itself.
_CHECKED = 'test "$PPID" = "$1" && shift && exec "$@"'


def _ending_with_us() -> tuple[str, ...]:
    """The words that have a program end with us, where the system has such a program; else none."""
    if _SETPRIV is None:
        return ()
    checked = ("/bin/sh", "-c", _CHECKED, "peer", str(os.getpid()))
    return (_SETPRIV, "--pdeathsig", "KILL", "--", *checked)


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
