"""What a person sees of a campaign: findings as they come, and a summary at its end.

A terminal shows one live line; a file gets a plain line with the first counts, and then now and then."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from vmgexit.counting import count_of

PLAIN_SECONDS = 10  # between two lines where there is no terminal
LIVE_SECONDS = 0.2


@dataclass(slots=True)
class Progress:
    """How it goes, over all restarts."""

    unit: str = "commands"  # of steps
    inputs: int = 0
    steps: int = 0
    coverage: int = 0
    corpus: int = 0
    restarts: int = 0
    seconds: float = 0.0
    causes: dict[str, str] = field(default_factory=dict)  # to where the input is kept
    old: set[str] = field(default_factory=set)  # those of them that were found before
    interrupted: bool = False

    def __str__(self) -> str:
        seconds = self.seconds or 1
        parts = [
            f"{seconds:.{int(seconds < 10)}f} s: {self.inputs:,} inputs ({self.inputs / seconds:,.0f}/s)",
            f"{self.steps:,} {self.unit} ({self.steps / seconds:,.0f}/s)",
            count_of(len(self.causes), "finding", separator=",")
            + (f" ({len(self.old)} seen before)" if self.old else ""),
        ]
        if self.coverage:
            parts.append(f"coverage {self.coverage}")
        if self.corpus:
            parts.append(f"corpus {self.corpus}")
        if self.restarts:
            parts.append(count_of(self.restarts, "restart", separator=","))
        return ", ".join(parts)


class Screen:
    """Standard output of a campaign."""

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet
        self.live = sys.stdout.isatty() and not quiet
        self.shown: float | None = None

    def show(self, text: str, *, tells: bool = True) -> None:
        """Show the state, as often as makes sense. A file's first line waits for one that `tells`."""
        if self.quiet:
            return
        now = time.monotonic()
        if self.shown is None:
            if not (self.live or tells):
                return
        elif now - self.shown < (LIVE_SECONDS if self.live else PLAIN_SECONDS):
            return
        self.shown = now
        if self.live:
            width = shutil.get_terminal_size().columns
            print(f"\r\033[K{text[: width - 1]}", end="", flush=True)
        else:
            print(text, flush=True)

    def say(self, text: str, *, closing: bool = False) -> None:
        """Lines that stay; where it is to be quiet, those at the end only."""
        if self.quiet and not closing:
            return
        self.close()
        print(text, flush=True)

    def close(self) -> None:
        """Take the live line away."""
        if self.live:
            print("\r\033[K", end="", flush=True)


def replay_command(path: Path) -> str:
    """The command that runs a finding's input again. The record of the finding has the conditions."""
    return command("replay", path)


def command(*words: str | Path) -> str:
    """A command of `vmgexit fuzz`, ready to be pasted into the shell that we were started from."""
    spelled = [_from_the_shell(word) if isinstance(word, Path) else word for word in words]
    return shlex.join([_program(), "fuzz", *spelled])


def _program() -> str:
    """This program's name, with its path where the shell would not find it."""
    own = Path(sys.argv[0])
    named = shutil.which("vmgexit")
    if own.name != "vmgexit" or (named and Path(named).resolve() == own.resolve()):
        return "vmgexit"
    return str(own.absolute())


def _from_the_shell(path: Path) -> str:
    """A path that holds where the shell is; a wrapper may have started us in another folder."""
    shell = os.environ.get("PWD", "")
    if shell and os.path.realpath(shell) != os.path.realpath(os.curdir):
        return str(path.absolute())
    return str(path)
