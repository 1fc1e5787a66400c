"""`vmgexit fuzz replay`: inputs run once more, without the engine."""

from __future__ import annotations

import argparse
import contextlib
import signal
from collections.abc import Iterator

from ..campaign.findings import shown
from ..targets import Finding, as_finding
from .inputs import add_inputs, inputs


def register(parser: argparse.ArgumentParser) -> None:
    """Add the action's arguments."""
    parser.description = (
        "Run inputs of a target once, a finding under what it was found with. Exits 1"
        " when one is a finding."
    )
    add_inputs(parser)
    parser.set_defaults(run=_replay)


def _replay(arguments: argparse.Namespace) -> int:
    found = total = 0
    for this in inputs(arguments):
        total += 1
        data = this.read()
        try:
            with _limited(this.hang_seconds):
                this.target.run(data)
        except (Exception, SystemExit) as error:
            found += 1
            finding = as_finding(error)
            text = shown(this.target, finding, data, deadly=isinstance(error, _Hang))
            print(f"{this.path}: {text}")
    print(f"{total} input{'s' * (total != 1)}, {found} finding{'s' * (found != 1)}")
    return 1 if found else 0


class _Hang(Finding):
    """One input took too long."""


@contextlib.contextmanager
def _limited(seconds: int) -> Iterator[None]:
    """Raise _Hang after so many seconds."""

    def hangs(*_: object) -> None:
        raise _Hang("hang", f"hang: not done after {seconds} s")

    before = signal.signal(signal.SIGALRM, hangs)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
