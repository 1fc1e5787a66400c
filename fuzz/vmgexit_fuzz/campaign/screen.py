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

from vmgexit.compare.pipes import plain

from .figures import Figures, ago, duration

PLAIN_SECONDS = 10  # between two lines where there is no terminal
LIVE_SECONDS = 0.2


@dataclass(slots=True)
class Progress(Figures):
    """How one run goes, over all restarts. Its findings are those that it met."""

    causes: dict[str, str] = field(default_factory=dict)  # to where the input is kept
    old: set[str] = field(default_factory=set)  # those of them that were found before
    last_find: float | None = None  # as `seconds`
    interrupted: bool = False

    def met(self, cause: str, path: str, *, is_new: bool) -> None:
        """A cause was met, whose input is kept at `path`; an empty one where it is not known yet."""
        self.causes[cause] = path
        self.findings = sum(map(bool, self.causes.values()))  # those that are on the disk
        if is_new:
            self.last_find = self.seconds
        else:
            self.old.add(cause)

    def live(self, left: float | None, width: int = 0) -> str:
        """The line while it runs; `left` are the seconds until its end, if it has one."""
        times = self.texts()["elapsed"]
        if left is not None:
            times += f", {duration(max(left, 0))} left"
        if self.last_find is not None:
            times += f", last find {ago(self.seconds - self.last_find)}"
        return self.line(times, width)

    def _beside(self) -> str:
        return f" ({len(self.old)} seen before)" if self.old else ""


class Screen:
    """Standard output of a campaign."""

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet
        self.live = sys.stdout.isatty() and not quiet
        self.shown: float | None = None

    @property
    def width(self) -> int:
        """Letters of a line on a terminal; 0 elsewhere, where a line may have as many as it needs."""
        return shutil.get_terminal_size().columns - 1 if self.live else 0

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
            print(f"\r\033[K{text[: self.width]}", end="", flush=True)
        else:
            print(text, flush=True)

    def say(self, text: str, *, closing: bool = False) -> None:
        """Lines that stay; where it is to be quiet, those at the end only."""
        if self.quiet and not closing:
            return
        self.close()
        print(text, flush=True)

    def tell(self, text: str) -> None:
        """One line that stays, cut where a terminal ends."""
        text = plain(text)
        is_long = 0 < self.width < len(text)
        self.say(f"{text[: self.width - 3]}..." if is_long else text)

    def close(self) -> None:
        """Take the live line away."""
        if self.live:
            print("\r\033[K", end="", flush=True)


def command(*words: str | Path) -> str:
    """A command of `vmgexit fuzz`, ready to be pasted into the shell that we were started from."""
    spelled = [_from_the_shell(word) if isinstance(word, Path) else word for word in words]
    return shlex.join([*_program(), "fuzz", *spelled])


def _program() -> list[str]:
    """This program's name, with its path where the shell would not find it."""
    own = Path(sys.argv[0])
    if own.name == "__main__.py":
        return [sys.executable, "-m", "vmgexit"]
    named = shutil.which("vmgexit")
    if own.name != "vmgexit" or (named and Path(named).resolve() == own.resolve()):
        return ["vmgexit"]
    return [str(own.absolute())]


def _from_the_shell(path: Path) -> str:
    """A path that holds where the shell is; a wrapper may have started us in another folder."""
    shell = os.environ.get("PWD", "")
    if shell and os.path.realpath(shell) != os.path.realpath(os.curdir):
        return str(path.absolute())
    return str(path)
