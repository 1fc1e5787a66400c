"""`vmgexit encode`: names to bytes."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import stat
import sys
from pathlib import Path
from typing import Any

from ..errors import DecodeError, EncodeError, UsageError
from ..files import write_output
from ..read.numbers import number
from ..read.streams import opened
from ..schema import Field, Kind, Structure, Whole, locate, put
from ..schema.plain import bytes_of, expected_of, unexpected
from ..show.partial import BODIES, MESSAGE, Partial
from ..wire.registry import find, letters
from .formatter import examples
from .names import add_structure

JSON_LIMIT = 64 << 20


def register(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Build a structure from JSON, as decode --json prints it, and from --set."
        " Fields that neither names have their one right value, such as a code, or are zero."
    )
    parser.epilog = examples(
        "vmgexit encode doorbell-head --set vector=0x61 --hex",
        "vmgexit encode ext-int-descriptor --set irr=0x41,0x50-0x5f -o descriptor.bin",
    )
    add_structure(parser)
    parser.add_argument(
        "file",
        nargs="?",
        metavar="FILE",
        help="a file with JSON; - for standard input (not needed with a pipe)",
    )
    parser.add_argument("--hex", action="store_true", help="print hex instead of bytes")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="path=value",
        help=(
            "one field, or a word: a number, a code's name, true, false, hex for bytes, or the members"
            " of a bitmap, such as 0x41,0x50-0x5f (0x41, for one: 0x41 alone is the bitmap as a number)"
        ),
    )
    parser.add_argument(
        "-o", "--output", metavar="OUT", help="write a file instead; - is standard output"
    )
    parser.add_argument(
        "--strict", action="store_true", help="write nothing and exit 1 when a rule is broken"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    cls = find(arguments.name, arguments.revision)
    given: Any = {}
    if arguments.file is not None and "=" in arguments.file and not os.path.exists(arguments.file):
        raise UsageError(f"{arguments.file}: no such file; to set a field: --set {arguments.file}")
    if arguments.file is not None:
        given = _json(arguments.file)
    elif _is_piped():
        given = _json("-", empty={})
    told = {key: given.pop(key) for key in _TOLD if isinstance(given, dict) and key in given}
    given = _renamed(cls, given)
    settings = [_setting(cls, text) for text in arguments.set]
    if issubclass(cls, Whole) and isinstance(given, dict):
        _lengthen(cls, given, dict(settings))
    value = cls.from_dict(given, partial=True)
    for key, held in told.items():
        _check_told(value, key, held)
    for path, wanted in settings:
        put(value, path, _value(locate(type(value), path).field, wanted, path))
    data = value.encode()
    problems = value.problems()
    for problem in problems:
        print(f"vmgexit: {cls.declaration.name}: {problem}", file=sys.stderr)
    if problems and arguments.strict:
        return 1
    if arguments.output not in (None, "-"):
        write_output(Path(arguments.output), f"{data.hex()}\n".encode() if arguments.hex else data)
    elif arguments.hex:
        print(data.hex())
    elif sys.stdout.isatty():
        print(data.hex())
        print("vmgexit: hex, for a terminal; -o OUT or a pipe gets the bytes", file=sys.stderr)
    else:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    return 0


_TOLD = {MESSAGE: "the word itself", BODIES: "the bytes themselves"}
"""What decode says beside the fields, and from what it says it."""


def _check_told(value: Structure, key: str, told: Any) -> None:
    """What decode shows beside the fields is not read: it must say the same as they do."""
    if told != Partial(value).as_dict().get(key):
        raise EncodeError(
            f"{key}: other values found than in {_TOLD[key]}; leave {key} out, or encode"
            " the structure that it names",
            path=key,
        )


def _path(cls: type[Structure], text: str) -> str:
    """The path that a text means, whose names may be spelt as specifications do."""
    parts = []
    inner: type[Structure] | None = cls
    for part in text.split("."):
        name, bracket, index = part.partition("[")
        field = _field(inner, name) if inner else None
        parts.append((field.name if field else name) + bracket + index)
        inner = field.of if field else None
    return ".".join(parts)


def _renamed(cls: type[Structure], given: Any) -> Any:
    """JSON with the names that fields have in Python."""
    if not isinstance(given, dict):
        return given
    made = {}
    for name, held in given.items():
        field = _field(cls, name)
        if field is not None and field.of is not None:
            held = [_renamed(field.of, each) for each in held] if isinstance(held, list) else held
            held = _renamed(field.of, held)
        made[field.name if field else name] = held
    return made


def _field(cls: type[Structure], name: str) -> Field | None:
    """The field of that name, in Python's spelling or the specifications'; None where there is none."""
    fields = cls.declaration.fields
    exact = (field for field in fields if field.name == name)
    return next(exact, None) or next(
        (
            field
            for field in fields
            if name and letters(name) in map(letters, (field.name, field.spec))
        ),
        None,
    )


def _setting(cls: type[Structure], text: str) -> tuple[str, str]:
    path, equals, wanted = text.partition("=")
    if not (path and equals):
        raise EncodeError(f"--set {text}: path=value expected")
    return _path(cls, path), wanted


def _lengthen(cls: type[Whole], given: dict[str, Any], settings: dict[str, str]) -> None:
    """Make the list and the rest of a structure of any length as long as the settings need them."""
    name, last = cls.list_field().name, cls.declaration.fields[-1].name
    named = re.compile(rf"{name}\[(\d+)\]")
    indices = [int(found[1]) for path in settings if (found := named.match(path))]
    held = given.get(name, [])
    if indices and isinstance(held, list) and max(indices) < cls.listing().most:
        given[name] = [*held, *({} for _ in range(max(indices) + 1 - len(held)))]
    if last in settings:
        given[last] = settings[last]


def _is_piped() -> bool:
    """Whether a program or a file stands behind standard input: not a terminal, nor /dev/null."""
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except (OSError, ValueError, AttributeError):  # closed, or a stand-in for it
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode)


def _json(name: str, empty: Any = None) -> Any:
    """The JSON of a file; `empty` where there is nothing, if that is allowed."""
    with opened(name) as stream:
        text = stream.read(JSON_LIMIT + 1)
    if len(text) > JSON_LIMIT:
        raise EncodeError(f"{name}: more than {JSON_LIMIT} bytes of JSON")
    if empty is not None and not text.strip():
        return empty
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise EncodeError(f"{name}: not JSON: {error}") from None


def _value(field: Field, text: str, path: str) -> Any:
    """A value as it is typed."""
    if field.of is not None and not (field.kind is Kind.STRUCT and field.of.declaration.is_bits):
        raise EncodeError(f"{path}: a structure, name one of its fields", path=path)
    value = _read(field, text, path)
    if complaint := field.complaint(value):
        raise EncodeError(f"{path}: {complaint}", path=path)
    return field.settled(value)


def _read(field: Field, text: str, path: str) -> Any:
    if field.kind is Kind.BYTES:
        return bytes_of(text, path)
    if field.kind is Kind.FLAG and text in ("true", "false"):
        return text == "true"
    if field.enum is not None and text in field.enum.__members__:
        return field.enum[text]
    if field.kind is Kind.BITMAP and set(text) & set(",-") and not text.startswith("-"):
        return _members(field, text, path)
    try:
        return _number(text)
    except ValueError:
        names = f" or one of {', '.join(field.enum.__members__)}" if field.enum else ""
        raise unexpected(path, text, f"{expected_of(field)}{names}") from None


def _number(text: str) -> int:
    """A number as Python has it, of any length and sign, or as decode reads one. ValueError for others."""
    with contextlib.suppress(ValueError):
        return int(text, 0)
    try:
        return number(text).value
    except DecodeError as error:
        raise ValueError(str(error)) from None


def _members(field: Field, text: str, path: str) -> int:
    """A bitmap by what is in it, as decode shows it: `0x41,0x50-0x5f`."""
    last = field.first + field.width - 1
    bitmap = 0
    for part in filter(None, (part.strip() for part in text.split(","))):
        start, _, end = part.partition("-")
        try:
            low, high = _number(start), _number(end or start)
        except ValueError:
            low, high = -1, -1
        if not field.first <= low <= high <= last:
            raise unexpected(path, part, f"numbers or ranges from {field.first} to {last}")
        bitmap |= (1 << high + 1) - (1 << low)
    return bitmap >> field.first
