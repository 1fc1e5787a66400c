"""Making a finding short: fewer commands first, then simpler arguments. The cause stays the same.

In an input that has no operations, each byte counts as a command.

libFuzzer's own minimiser drifts to other bugs; this one runs the target itself and keeps a change
only where the finding's cause stays what it was. It stops after `RUNS` tries or at a given time, so
that a campaign is not held up.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from ..targets import Target, as_finding

RUNS = 1500


def minimized(
    target: Target, data: bytes, cause: str, *, until: float = float("inf"), tries: int = RUNS
) -> bytes:
    """The shortest and plainest input found that has the same cause; `data` where it has another.

    At the monotonic time `until` it ends with what it has, also where the last try takes as long as the
    first.
    """
    began = time.monotonic()

    def same(candidate: bytes) -> bool:
        nonlocal tries
        tries -= 1
        return tries >= 0 and time.monotonic() < until and _cause(target, candidate) == cause

    if not same(data):
        return data
    until -= time.monotonic() - began
    unit = target.operation
    operations = [data[at : at + unit] for at in range(0, len(data) - unit + 1, unit)]
    size = len(operations)
    while size >= 1:
        operations, shorter = _without(operations, size, same)
        size = size if shorter and size == 1 else size // 2
    for candidate in _simpler(operations, target.arguments):
        if same(b"".join(candidate)):
            operations[:] = candidate
    return b"".join(operations)


def _cause(target: Target, data: bytes) -> str:
    try:
        target.run(data)
    except (Exception, SystemExit) as error:
        return as_finding(error).cause
    return ""


def _without(
    operations: list[bytes], size: int, same: Callable[[bytes], bool]
) -> tuple[list[bytes], bool]:
    """Leave out runs of `size` operations, the last first; whether one could be left out."""
    shorter = False
    for at in range(len(operations) - size, -1, -size):
        candidate = operations[:at] + operations[at + size :]
        if same(b"".join(candidate)):
            operations, shorter = candidate, True
    return operations, shorter


def _simpler(operations: list[bytes], arguments: tuple[slice, ...]) -> Iterator[list[bytes]]:
    """The same operations with one argument as zero, as the list stands when each is asked for."""
    for index in range(len(operations)):
        for part in arguments:
            blank = bytearray(operations[index])
            blank[part] = bytes(part.stop - part.start)
            if blank != operations[index]:
                yield [*operations[:index], bytes(blank), *operations[index + 1 :]]
