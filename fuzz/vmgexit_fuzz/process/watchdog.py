"""The end of a process whose input hangs or takes all memory, for the loop that runs without libFuzzer.

A thread looks at time and memory now and then. It ends the process as libFuzzer would: with the
same exit codes, the input in an artifact, and the place of a hang on standard error.
"""

from __future__ import annotations

import hashlib
import os
import resource
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

from vmgexit.files import write

MEGABYTES = 2048  # of memory for one process
_LOOK_SECONDS = 0.5
HANG, MEMORY = 70, 71  # exit codes


@dataclass(slots=True)
class Held:
    """The input at hand; None between two turns. Each is another object, so that a change is seen
    without copying."""

    data: bytes | None = b""


def watch(artifacts: Path, hang_seconds: float) -> Held:
    """Watch from now on whether the input at hand changes."""
    held = Held()
    arguments = (held, artifacts, hang_seconds, threading.get_ident())
    threading.Thread(target=_look, args=arguments, daemon=True).start()
    return held


def _look(held: Held, artifacts: Path, hang_seconds: float, main: int) -> None:
    last, since = held.data or b"", time.monotonic()
    while True:
        time.sleep(_LOOK_SECONDS)
        now = held.data
        if now is None:
            since = time.monotonic()
        elif now is not last:
            last, since = now, time.monotonic()
        if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > MEGABYTES << 10:
            _end(MEMORY, "oom", last, artifacts)
        if time.monotonic() - since > hang_seconds:
            _tell_place(main)
            _end(HANG, "timeout", last, artifacts)


def _tell_place(thread: int) -> None:
    """Where a thread is, the innermost function first, as faulthandler writes it."""
    for frame in reversed(traceback.extract_stack(sys._current_frames()[thread])):
        print(f'  File "{frame.filename}", line {frame.lineno} in {frame.name}', file=sys.stderr)


def _end(code: int, kind: str, data: bytes, artifacts: Path) -> None:
    try:
        # Whole or not at all: the parent may end us at any time, and takes what it finds.
        path = write(artifacts / f"{kind}-{hashlib.sha1(data).hexdigest()}", data)
        print(f"Test unit written to {path}", file=sys.stderr, flush=True)
    finally:
        os._exit(code)
