"""`vmgexit decode`: bytes to names."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from ..errors import DecodeError
from ..schema import Structure
from ..wire.registry import find
from .names import add_structure, number

TEXT_LIMIT = 64 << 20  # bytes of dump text that are read; a page prints as some 20 kB
COUNTED = 64 << 20  # bytes of input that are read only to say how many there are


def register(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Read structures from a file, standard input or a hex dump (plain, xxd, hexdump, od, GDB)"
        " and show every field."
    )
    parser.epilog = (
        "examples: vmgexit decode doorbell-page dump.bin --offset 0x3000;"
        " vmgexit decode doorbell-head --pad --hex 61810102"
    )
    add_structure(parser)
    parser.add_argument("file", nargs="?", metavar="FILE", help="file, or - for standard input")
    parser.add_argument(
        "--hex",
        nargs="?",
        const="-",
        metavar="H",
        help=(
            "the bytes, in the order of memory, as a hex dump; without H, as the last word, or with -,"
            " FILE holds the dump"
        ),
    )
    parser.add_argument(
        "--offset",
        type=number,
        metavar="N",
        help="skip that many bytes, decimal or 0x hex; what follows may be longer",
    )
    parser.add_argument(
        "--count",
        type=_count,
        metavar="N",
        help="that many, one after the other; 0 or all: to the end",
    )
    parser.add_argument("--pad", action="store_true", help="fill short input up with zeros")
    parser.add_argument("--json", action="store_true", help="one JSON object for each structure")
    parser.add_argument("--strict", action="store_true", help="exit 1 when a rule is broken")
    parser.set_defaults(run=run)


def _count(text: str) -> int:
    return 0 if text == "all" else number(text)


def run(arguments: argparse.Namespace) -> int:
    cls = find(arguments.name, arguments.revision)
    broken = False
    for shown, (at, data) in enumerate(_records(arguments, cls.size)):
        value = _decoded(cls, data, at, arguments.pad)
        if arguments.json:
            print(json.dumps(value.as_dict()))
        else:
            _show(value, at, shown)
        if arguments.strict:
            for problem in value.problems():
                print(f"vmgexit: {cls.declaration.name} at {at:#x}: {problem}", file=sys.stderr)
                broken = True
    return 1 if broken else 0


def _decoded(cls: type[Structure], data: bytes, at: int, pad: bool) -> Structure:
    if pad and data:
        data = data.ljust(cls.size, b"\0")
    try:
        return cls.decode(data)
    except DecodeError as error:
        where = f" at offset {at:#x}" if at else ""
        hint = "; --offset and --count read parts of longer input" if len(data) > cls.size else ""
        hint = hint or ("; --pad fills up with zeros" if data else "")
        raise DecodeError(f"{error}{where}{hint}") from None


def _show(value: Structure, at: int, before: int) -> None:
    from ..show import values as reading

    if before:
        print()
    print(reading.render(value, base=at))


def _records(arguments: argparse.Namespace, size: int) -> Iterator[tuple[int, bytes]]:
    """The offset and bytes of each structure asked for."""
    from ..read.streams import opened

    name = arguments.file
    if arguments.hex is not None and arguments.hex != "-":
        if name is not None:
            raise DecodeError("a FILE and a value of --hex found, one of them expected")
        yield from _from_bytes(arguments, _parsed(arguments.hex, "--hex"), size)
        return
    with opened(name or "-") as stream:
        if arguments.hex is not None:
            text = stream.read(TEXT_LIMIT + 1)
            if len(text) > TEXT_LIMIT:
                raise DecodeError(f"{name or '-'}: dump text of more than {TEXT_LIMIT} bytes")
            dump = text.decode("utf-8-sig", "replace")
            yield from _from_bytes(arguments, _parsed(dump, name or "-"), size)
        else:
            yield from _from_stream(arguments, stream, size)


def _parsed(text: str, place: str) -> bytes:
    from ..read.hexdump import read

    try:
        dump = read(text)
        if dump.gaps:
            raise DecodeError(next(note for note in dump.notes if "gap of" in note))
        return dump.data
    except DecodeError as error:
        raise DecodeError(f"{place}: {error}{_file_hint(text, place)}") from None


def _file_hint(text: str, place: str) -> str:
    """`--hex dump.txt` takes the file's name for the dump."""
    with contextlib.suppress(OSError, ValueError):
        if place == "--hex" and Path(text).is_file():
            return f"; to read the file: {text} --hex"
    return ""


def _from_bytes(
    arguments: argparse.Namespace, data: bytes, size: int
) -> Iterator[tuple[int, bytes]]:
    import io

    return _from_stream(arguments, io.BytesIO(data), size)


def _from_stream(
    arguments: argparse.Namespace, stream: IO[bytes], size: int
) -> Iterator[tuple[int, bytes]]:
    from ..read.streams import read_exactly, remaining, skip

    at = arguments.offset or 0
    skipped = skip(stream, at) if at else 0
    if skipped < at:
        raise DecodeError(f"offset {at:#x}: the input ends at {skipped:#x}")
    if arguments.offset is None and arguments.count is None:
        # All of the input is one structure. One byte more tells that it is not.
        data = read_exactly(stream, size)
        rest = remaining(stream, COUNTED) if len(data) == size else 0
        if rest:
            # An endless stream is not read to its end.
            found = f"{size + rest}" if rest != COUNTED else f"more than {COUNTED}"
            raise DecodeError(
                f"{arguments.name}: {found} bytes found, {size} expected;"
                " --offset and --count read parts of longer input"
            )
        yield at, data
        return
    wanted = 1 if arguments.count is None else arguments.count
    done = 0
    while not wanted or done < wanted:
        data = read_exactly(stream, size)
        if not data and done and not wanted:
            return
        yield at, data
        at += size
        done += 1
