"""`vmgexit fuzz replay`: runs inputs again, without the engine."""

from __future__ import annotations

import argparse
import contextlib
import signal
from collections.abc import Iterator

from vmgexit.cli.formatter import examples
from vmgexit.counting import count_of

from ..targets import Finding
from .inputs import add_inputs, inputs


def register(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Run inputs of a target once. A finding runs under the conditions of its record."
        " Exits 1 when an input is a finding."
    )
    parser.epilog = examples(
        "vmgexit fuzz replay ID", "vmgexit fuzz replay --target codec input.bin"
    )
    add_inputs(parser)
    parser.set_defaults(run=_replay)


def _replay(arguments: argparse.Namespace) -> int:
    found = total = 0
    for path, data, target in inputs(arguments):
        total += 1
        try:
            with _limited(target.conditions.hang_seconds):
                finding, text = target.examine(data)
        except Finding as hang:  # in what shows the input
            finding, text = hang, target.read(data)
        if finding is not None:
            found += 1
            print(f"{path}: {finding.message}\n{text}")
        elif ending := target.ending(data):
            print(f"{path}: {ending}\n{text}")
    print(f"{count_of(total, 'input')}, {count_of(found, 'finding')}")
    return 1 if found else 0


@contextlib.contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Raise a Finding after so many seconds, and again: what shows the input may hang too."""

    def hangs(*_: object) -> None:
        raise Finding("hang", f"hang: not done after {seconds} s")

    before = signal.signal(signal.SIGALRM, hangs)
    signal.setitimer(signal.ITIMER_REAL, seconds, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
