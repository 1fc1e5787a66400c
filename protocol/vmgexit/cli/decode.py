"""`vmgexit decode`: bytes to names."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator

from ..errors import DecodeError, UsageError
from ..read.given import Given, given
from ..read.numbers import WORD, Understood
from ..read.streams import read_exactly, remaining, skip
from ..schema import Structure
from ..show import values
from ..show.partial import Partial
from ..wire.registry import find
from .names import add_structure, number

_GAPS = 4  # ranges of missing bytes that are named
COUNTED = 64 << 20  # bytes of input that are read only to say how many there are

_HELP = """\
What a value is, by how it is written:

  0x0000000000000016   a number: the bytes 16 00 00 00 00 00 00 00 in memory
  0000000000000016     bytes in memory order: the number 0x1600000000000000
  0x61 0x81            two numbers of one byte: the bytes 61 81
  0x and over 16 digits, such as a digest: bytes in memory order

A number may stand in place of FILE; there it may be decimal. In a dump its form decides: lines of GDB, xxd,
od, hexdump, dmesg, the journal, crash, drgn, WinDbg, QEMU; arrays and strings of C, Rust, Python. The first
line of the output says what was understood.

examples:
  vmgexit decode ghcb-msr 0x100
  vmgexit decode vmsa dmesg.txt
  vmgexit decode doorbell-page dump.bin --offset 0x3000
  vmgexit decode doorbell-head --pad --hex 61810102"""


def register(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Read structures from a file, a dump of any kind or a number, and show every field."
    )
    parser.epilog = _HELP
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add_structure(parser)
    parser.add_argument(
        "file",
        nargs="?",
        metavar="FILE",
        help="bytes, or a dump of them; - for standard input; a number, where no such file exists",
    )
    parser.add_argument(
        "--hex",
        nargs="?",
        const="-",
        metavar="H",
        help=(
            "bytes in memory order, 0x numbers, or a dump; without H, as the last word, or with -, FILE"
            " holds them as text"
        ),
    )
    parser.add_argument("--value", metavar="N", help="a number, decimal or 0x hex")
    parser.add_argument(
        "--raw", action="store_true", help="FILE holds the bytes, whatever it looks like"
    )
    parser.add_argument(
        "--offset",
        type=number,
        metavar="N",
        help="skip so many bytes, decimal or 0x hex; more bytes may follow the structure",
    )
    parser.add_argument(
        "--count",
        type=_count,
        metavar="N",
        help="decode so many structures, one after the other; 0 or all: to the end",
    )
    parser.add_argument("--pad", action="store_true", help="fill short input up with zeros")
    parser.add_argument("--json", action="store_true", help="one JSON object for each structure")
    parser.add_argument("--summary", action="store_true", help="five lines for each structure")
    parser.add_argument("--strict", action="store_true", help="exit 1 when a rule is broken")
    parser.set_defaults(run=run)


def _count(text: str) -> int:
    return 0 if text == "all" else number(text)


def run(arguments: argparse.Namespace) -> int:
    _check(arguments)
    cls = find(arguments.name, arguments.revision)
    is_text = arguments.hex not in (None, "-")
    broken = False
    with given(
        arguments.file,
        text=arguments.hex if is_text else None,
        value=arguments.value,
        form="raw" if arguments.raw else "dump" if arguments.hex == "-" else "any",
        size=cls.size,
    ) as source:
        for shown, (at, data) in enumerate(_records(arguments, source, cls.size)):
            value = decoded(cls, data, at, arguments.pad, source)
            if not shown:
                _say(arguments.json, arguments.summary, source, cls, value, len(data))
            _show(arguments, value, at, shown)
            if arguments.strict:
                for problem in value.problems():
                    print(f"vmgexit: {cls.declaration.name} at {at:#x}: {problem}", file=sys.stderr)
                    broken = True
    return 1 if broken else 0


def _check(arguments: argparse.Namespace) -> None:
    """Refuse options that contradict each other."""
    for one, other in (("raw", "hex"), ("raw", "value"), ("json", "summary")):
        if getattr(arguments, one) and getattr(arguments, other):
            raise UsageError(f"--{one} and --{other} found, one of them expected")


# --- What is read ---------------------------------------------------------------------------------


def _records(
    arguments: argparse.Namespace, source: Given, size: int
) -> Iterator[tuple[int, bytes]]:
    """The offset and bytes of each structure asked for."""
    stream = source.stream
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


def decoded(cls: type[Structure], data: bytes, at: int, pad: bool, source: Given) -> Partial:
    """The structure, or the part of it that a dump has."""
    missing = [
        range(gap.start - at, gap.stop - at) for gap in (source.dump.gaps if source.dump else ())
    ]
    if source.dump and source.dump.is_rows and data and not pad and len(data) < cls.size > WORD:
        missing.append(range(len(data), cls.size))
    elif not pad or not data:
        try:
            cls.decode(data)
        except DecodeError as error:
            raise DecodeError(f"{error}{_hint(cls, data, at, source)}") from None
    return Partial(cls.decode(data.ljust(cls.size, b"\0")), missing)


def _hint(cls: type[Structure], data: bytes, at: int, source: Given) -> str:
    where = f" at offset {at:#x}" if at else ""
    if len(data) > cls.size:
        return f"{where}; --offset and --count read parts of longer input"
    value = source.value
    if value and value.kind == "bytes" and cls.size <= WORD and (other := value.other()):
        return f"{where}; as {other}: --value {other.value:#x}; --pad fills up with zeros"
    read = f", read as {source.said}" if value else ""
    return f"{read}{where}; --pad fills up with zeros" if data else where


# --- What is said ---------------------------------------------------------------------------------


def _say(
    is_json: bool, short: bool, source: Given, cls: type[Structure], value: Partial, found: int
) -> None:
    """The first line: what was understood. Beside JSON it stands on standard error."""
    lines = [
        f"read as {source.said}"
        + f", filled up with zeros to {cls.size}" * (found < cls.size and not value.missing)
    ]
    if value.missing:
        gaps = ", ".join(f"{gap.start:#x} to {gap.stop - 1:#x}" for gap in value.missing[:_GAPS])
        more = f" and {len(value.missing) - _GAPS} more ranges" * (len(value.missing) > _GAPS)
        held = cls.size - sum(map(len, value.missing))
        lines[0] += f"; {held} of the {cls.size} bytes of {cls.declaration.name} are in the dump,"
        lines[0] += f" not in it: {gaps}{more}"
    lines += [f"note: {note}" for note in (*source.notes, *_other_reading(source, cls, value))]
    if not is_json:
        print("\n".join([*lines, *[""] * (not short)]))
    elif source.dump or source.notes:
        print("\n".join(f"vmgexit: {line}" for line in lines), file=sys.stderr)


def _other_reading(source: Given, cls: type[Structure], value: Partial) -> Iterator[str]:
    """What else the same digits could be, where only one of the two readings breaks no rule."""
    token = source.value
    other = token.other() if token and cls.size <= WORD else None
    try:
        if other is not None:
            read, name, option = cls.decode(other.sized(cls.size)), str(other), _option(other)
        elif source.dump and len(source.dump.other) == cls.size:
            read, name, option = cls.decode(source.dump.other), "words of the other order", ""
        else:
            return
    except DecodeError:
        return
    if read == value.value:
        return
    ours, others = value.problems(), [*read.problems()]
    if ours and not others:
        yield f"as {name} it would break no rule" + f": {option}" * bool(option)
    elif others and not ours:
        yield f"as {name} it would break a rule: {others[0]}"


def _option(value: Understood) -> str:
    return f"--value {value.value:#x}" if value.kind == "number" else f"--hex {value.data.hex()}"


def _show(arguments: argparse.Namespace, value: Partial, at: int, before: int) -> None:
    if arguments.json:
        print(json.dumps(value.as_dict()))
        return
    if before:
        print()
    show = values.summary if arguments.summary else values.render
    print(show(value.value, base=at, missing=value.missing))
