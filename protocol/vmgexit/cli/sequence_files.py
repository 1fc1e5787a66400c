"""Sequences of recordings and scenarios, from the files that a command line names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import ScenarioError
from ..hosts.scenario import sequence_of
from ..machine.scenario import sequences
from ..read.streams import lines
from ..sequences import Sequence


def read_sequences(name: str) -> Iterator[Sequence]:
    """The sequences of a file, packed or not, or of standard input (`-`); errors name the file."""
    with named(name):
        yield from sequences(lines(name), name, sequence_of)


@contextmanager
def named(name: str) -> Iterator[None]:
    """Put a file's name before the line that an error tells."""
    try:
        yield
    except ScenarioError as error:
        raise ScenarioError(f"{name} {error}") from None
