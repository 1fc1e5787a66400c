"""`vmgexit diff`: shows the fields in which two values of a structure differ."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import Any

from ..errors import DecodeError, UsageError
from ..read.given import given
from ..read.streams import read_exactly, skip
from ..schema import Structure, Whole
from ..show.difference import differences, render
from ..show.partial import Partial
from ..wire.registry import find
from .decode import decoded, other_page
from .formatter import examples
from .names import add_structure, number
from .records import whole


def register(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Read two values of a structure and show the fields that differ, with their meanings. Exits 1 when"
        " a field differs, 0 when none does."
    )
    parser.epilog = examples(
        "vmgexit diff vmsa expected.bin measured.bin",
        "vmgexit diff sev-features 0x1 0x81",
        "vmgexit diff ghcb before.txt after.txt",
    )
    add_structure(parser)
    for side in ("A", "B"):
        parser.add_argument(
            side.lower(),
            metavar=side,
            help="bytes, or a dump of them, or a number; - for standard input",
        )
    parser.add_argument("--revision-b", metavar="R", help="B's layout, if it is another draft's")
    parser.add_argument(
        "--offset", type=number, default=0, metavar="N", help="skip N bytes of each"
    )
    parser.add_argument("--pad", action="store_true", help="fill short input up with zeros")
    parser.add_argument("--json", action="store_true", help="the differences as a JSON array")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    if arguments.a == arguments.b == "-":
        raise UsageError("A and B are both standard input, one of them expected")
    cls = find(arguments.name, arguments.revision)
    name = arguments.name.partition("@")[0]
    other = cls if arguments.revision_b is None else find(name, arguments.revision_b)
    one, said = _read(cls, arguments.a, arguments.offset, arguments.pad)
    another, also_said = _read(other, arguments.b, arguments.offset, arguments.pad)
    found = differences(one, another)
    if arguments.json:
        print(json.dumps([asdict(difference) for difference in found]))
    else:
        print(render(one, another, (said, also_said)), end="")
    return 1 if found else 0


def _exactly(stream: Any, cls: type[Structure], offset: int) -> bytes:
    data = read_exactly(stream, cls.size)
    if not offset and read_exactly(stream, 1):
        raise DecodeError(
            f"more than the {cls.size} bytes of {cls.declaration.name}; --offset reads a part"
        )
    return data


def _read(cls: type[Structure], word: str, offset: int, pad: bool) -> tuple[Partial, str]:
    """The value, and what it was understood as."""
    with given(word, size=cls.size) as source:
        if (skipped := skip(source.stream, offset)) < offset:
            raise DecodeError(f"{word}: offset {offset:#x}: the input ends at {skipped:#x}")
        try:
            if issubclass(cls, Whole):
                data = whole(source.stream, cls, cut=offset > 0)
            else:
                data = _exactly(source.stream, cls, offset)
            value = decoded(cls, data, offset, pad, source)
            rather = other_page(value)
            return value, source.said + f"; {rather}" * bool(rather)
        except DecodeError as error:
            raise DecodeError(f"{word}: {error}") from None
