"""The adapter as a process: lines from standard input, an answer to each on standard output."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Iterator
from typing import Any

from .reading import LONGEST_LINE

VERSION = 2  # of the page specs/peer-protocol.md

Command = dict[str, Any]
Answer = dict[str, Any]


def say_hello(name: str, profile: str, more: Answer) -> None:
    """The first line."""
    say({"vmgexit": VERSION, "name": name, "profile": profile, **more})


def read_lines() -> Iterator[bytes]:
    """Every line, until standard input ends. Of one that is too long no more is kept than shows that.
    Before it waits for one, the answers are sent."""
    rest = b""
    while True:
        sys.stdout.flush()
        read = os.read(sys.stdin.fileno(), 1 << 16)
        if not read:
            return
        *lines, rest = (rest + read).split(b"\n")
        yield from lines
        rest = rest[: LONGEST_LINE + 1]


def say(answer: Answer) -> None:
    """One line."""
    print(json.dumps(answer))


def panic_by(error: Exception) -> Answer:
    """The answer where an assertion failed, which standard error shows."""
    traceback.print_exception(error)
    return {"panic": f"{type(error).__name__}: {error}"}
