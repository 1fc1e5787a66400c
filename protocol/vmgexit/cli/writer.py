"""Standard output for commands that print much: in blocks, or at once where a person watches."""

from __future__ import annotations

import sys

_BLOCK = 1 << 16  # bytes that are gathered before they are written


class Writer:
    """Gathers bytes for standard output."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._held = 0
        self._block = 0 if sys.stdout.isatty() else _BLOCK

    def put(self, text: bytes) -> None:
        self._parts.append(text)
        self._held += len(text)
        if self._held > self._block:
            self.flush()

    def flush(self) -> None:
        sys.stdout.buffer.write(b"".join(self._parts))
        sys.stdout.buffer.flush()
        self._parts.clear()
        self._held = 0
