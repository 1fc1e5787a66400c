"""The adapter as a process: lines from standard input, an answer to each on standard output."""

from __future__ import annotations

import json
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
    """Every line, until standard input ends. Of one that is too long no more is kept than shows that."""
    while line := sys.stdin.buffer.readline(LONGEST_LINE + 2):
        whole = line
        while not whole.endswith(b"\n"):  # its rest is read, and not kept
            whole = sys.stdin.buffer.readline(LONGEST_LINE)
            if not whole:
                return
        yield line.rstrip(b"\n")


def say(answer: Answer) -> None:
    """One line, at once: the driver waits for it."""
    print(json.dumps(answer), flush=True)


def panic_by(error: Exception) -> Answer:
    """The answer where an assertion failed, which standard error shows."""
    traceback.print_exception(error)
    return {"panic": f"{type(error).__name__}: {error}"}
