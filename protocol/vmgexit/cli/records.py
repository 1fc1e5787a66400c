"""What `decode` reads: the bytes of one structure, of several in a row, of one of any length.

They come from what was given (a file, a dump, a number), or from an image of memory at an address. What
a structure may be wrapped in is taken off, and said.
"""

from __future__ import annotations

import argparse
import contextlib
import io
from collections.abc import Iterator
from typing import Any, NamedTuple

from ..errors import DecodeError, UsageError
from ..read.given import Given, given
from ..read.streams import read_exactly, remaining, skip
from ..schema import Structure, Whole
from ..wire.wrappers import wrapper_of

COUNTED = 64 << 20
"""Bytes of input that are read only to say how many there are; and at most of a structure of any length."""


class Record(NamedTuple):
    """The bytes of one structure, and the offset or the address of the first. `note`: how they were
    found, where that must be said."""

    at: int
    data: bytes
    note: str = ""


@contextlib.contextmanager
def opened(arguments: argparse.Namespace, cls: type[Structure]) -> Iterator[Given]:
    """What was given. Raises UsageError, or DecodeError for what cannot be read."""
    if arguments.gpa is not None:
        from .memory import structures_at

        yield structures_at(arguments, cls)
        return
    is_text = arguments.hex not in (None, "-")
    with given(
        arguments.file,
        text=arguments.hex if is_text else None,
        value=arguments.value,
        form="raw" if arguments.raw else "dump" if arguments.hex == "-" else "any",
        size=cls.size,
    ) as source:
        yield source


def records(arguments: argparse.Namespace, source: Given, cls: type[Structure]) -> Iterator[Record]:
    """Each structure that is asked for."""
    stream, at = source.stream, arguments.offset or 0
    skipped = skip(stream, at) if at else 0
    if skipped < at:
        raise DecodeError(f"offset {at:#x}: the input ends at {skipped:#x}")
    if issubclass(cls, Whole):
        if arguments.count not in (None, 1):
            raise UsageError(f"{arguments.name} has any length: --count does not go with it")
        data = whole(stream, cls, cut=arguments.offset is not None)
        yield Record(arguments.gpa or at, data)
    elif arguments.gpa is not None:
        yield from _in_a_row(stream, cls.size, arguments.gpa, arguments.count)
    elif arguments.offset is None and arguments.count is None:
        yield _all(arguments, source, cls)
    else:
        yield from _in_a_row(stream, cls.size, at, arguments.count)


def _in_a_row(stream: io.BufferedIOBase, size: int, at: int, count: int | None) -> Iterator[Record]:
    """Structures one after the other; without a count one, with 0 all."""
    wanted = 1 if count is None else count
    done = 0
    while not wanted or done < wanted:
        data = read_exactly(stream, size)
        if not data and done and not wanted:
            return
        yield Record(at, data)
        at += size
        done += 1


def _all(arguments: argparse.Namespace, source: Given, cls: type[Structure]) -> Record:
    """All of the input as one structure, or as the wrapper of one."""
    size = cls.size
    data = read_exactly(source.stream, size)
    if wrapper := wrapper_of(cls.declaration.name, data):
        at = wrapper.offset
        data = data[at:] + read_exactly(source.stream, at)
        return Record(at, data, f"the {arguments.name} in {wrapper.what}, at {at:#x}")
    rest = remaining(source.stream, COUNTED) if len(data) == size else 0
    if rest:
        # One byte more tells that it is not one structure. An endless stream is not read to its end.
        found = f"{size + rest}" if rest != COUNTED else f"more than {COUNTED}"
        raise DecodeError(
            f"{arguments.name}: {found} bytes found, {size} expected;"
            " --offset and --count read parts of longer input"
        )
    return Record(0, data)


# --- Structures of any length ---------------------------------------------------------------------


def whole(stream: Any, cls: type[Whole], *, cut: bool) -> bytes:
    """All of the input; where it is to be `cut`, only what the structure says that it has."""
    data = read_exactly(stream, COUNTED + 1)
    if len(data) > COUNTED:
        raise DecodeError(f"{cls.declaration.name}: more than {COUNTED} bytes found")
    if cut and cls.accepts(len(data)):
        return data[: max(cls.decode(data).extent(), cls.size)]
    return data
