"""A line on a terminal that says how far a long run has come."""

from __future__ import annotations

import sys
import time

_EVERY = 0.2  # seconds between two drawings
_WIDTH = 24


class Progress:
    """Draws on standard error while that is a terminal and `wanted`; else does nothing."""

    def __init__(self, total: int, wanted: bool = True) -> None:
        self.shown = wanted and sys.stderr.isatty()
        self.started = time.monotonic()
        self._total = total
        self._next = self.started + _EVERY
        self._drawn = False

    @property
    def seconds(self) -> float:
        """Since the start, never 0."""
        return max(time.monotonic() - self.started, 1e-9)

    def at(self, done: int, text: str, total: int | None = None) -> None:
        """`done` of the total is behind us; `text` says what else there is to say.

        `total` replaces the total, where that is known only now.
        """
        now = time.monotonic()
        if not self.shown or now < self._next:
            return
        self._next = now + _EVERY
        self._total = self._total if total is None else total
        self._drawn = True
        bar = ""
        if self._total:
            filled = min(_WIDTH, done * _WIDTH // self._total)
            bar = f"[{'#' * filled}{'.' * (_WIDTH - filled)}] {100 * done // self._total:3} % "
        print(f"\r\x1b[K{bar}{text}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Take the line away."""
        if self._drawn:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
            self._drawn = False
