"""`vmgexit explain`: says what was pasted: a line of a log, a name, a number, a dump."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..counting import count_of
from ..errors import DecodeError, UsageError
from ..explain import render
from ..explain.guess import guesses
from ..explain.inputs import Remembered, bytes_of, is_binary, trace_of, unmarked
from ..explain.lines import BLOCK, Line, Reader, blocks, some
from ..explain.number_readings import tried
from ..explain.questions import ask, nearest
from ..images.scan import scan
from ..read.dump import Dump
from ..read.streams import opened
from ..wire.page_size import PAGE
from .formatter import examples
from .writer import Writer

_FILE = re.compile(r"\S*/\S*|\S+\.[a-z][a-z0-9]{1,4}")  # what looks like the name of one
_NUMBER = re.compile(r"(?<!\w)0[xX][0-9a-fA-F]{1,16}(?!\w)")


def register(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Say what something is: the name or number of an exit, a call, a code, a bit, a field or a GUID;"
        " lines of the logs of kernels, hypervisors, firmware and SVSMs; hex dumps and binary files."
        " Lines of a log that are not known are counted."
    )
    parser.epilog = examples(
        "vmgexit explain SNP_RUN_VMPL",
        "vmgexit explain 0x80000010",
        "dmesg | vmgexit explain -",
    )
    parser.add_argument(
        "what",
        nargs="*",
        metavar="TEXT",
        help="text, or a file (.gz and .xz too), or - for standard input",
    )
    parser.add_argument("--all", action="store_true", help="pass unknown lines of a log through")
    parser.add_argument("--json", action="store_true", help="one JSON object for each answer")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    words = arguments.what or ["-"]
    if all(word == "-" or _is_file(word) for word in words):
        for name in words:
            with opened(name) as stream:
                _explain(name, stream, arguments)
    else:
        _explain_text(" ".join(words), arguments)
    return 0


def _is_file(word: str) -> bool:
    try:
        return bool(word) and Path(word).exists()
    except (OSError, ValueError):  # too long, or with a zero byte: a text
        return False


def _explain_text(text: str, arguments: argparse.Namespace) -> None:
    """A text of the command line: a question, or lines and dumps."""
    if _question(text, arguments):
        return
    reader = Reader()
    _log(reader, [text.encode(errors="surrogateescape").split(b"\n")], arguments)
    if not reader.count.known and not _whole(text, arguments):
        near = nearest(text)
        hint = f"; nearest names: {', '.join(near)}" if near else ""
        if _FILE.fullmatch(text):
            hint += "; no file of that name"
        if (number := _NUMBER.search(text)) and number[0] != text:
            hint += f"; of the number alone: vmgexit explain {number[0]}"
        raise UsageError(
            f"{text!r}: not known{hint}; tried: names, {tried()}; lines of logs, dumps"
        )


def _explain(name: str, stream: Any, arguments: argparse.Namespace) -> None:
    """A file: bytes are looked at whole, a log block by block, a short text also as a question."""
    stream = Remembered(stream, BLOCK)
    head = some(stream)
    if is_binary(head):
        _binary(name, head, stream, arguments)
        return
    reader = Reader()
    _log(reader, blocks(stream, unmarked(head)), arguments)
    if stream.whole is not None and not reader.count.known:
        short = unmarked(stream.whole).decode(errors="replace")
        if _question(short, arguments) or _whole(short, arguments):
            return
    if arguments.json:
        print(json.dumps(asdict(reader.count)))
    else:
        print(render.count_text(reader.count))


def _log(reader: Reader, read: Iterable[list[bytes]], arguments: argparse.Namespace) -> None:
    """The lines of a log, as they come."""
    writer = Writer()
    show = render.line_json if arguments.json else render.line_text

    def put(lines: Iterable[Line]) -> None:
        for line in lines:
            if line.says is not None or arguments.all:
                writer.put(show(line))

    for block in read:
        put(reader.lines(block))
        writer.flush()
    put(reader.finish())
    writer.flush()


def _question(text: str, arguments: argparse.Namespace) -> bool:
    """A name or a number; whether it is one."""
    answer = ask(text)
    if answer is None:
        return False
    if arguments.json:
        for made in render.answer_objects(answer):
            print(json.dumps(made))
    else:
        print(render.answer_text(answer), end="")
    return True


# --- bytes ----------------------------------------------------------------------------------------


def _binary(name: str, head: bytes, stream: Any, arguments: argparse.Namespace) -> None:
    """A file of bytes: one structure, or an image of memory with pages of ours in it."""
    if what := trace_of(head):
        raise DecodeError(f"{name}: {what}")
    data = head + stream.read(PAGE + 1 - len(head)) if len(head) <= PAGE else head
    if len(data) > PAGE and name != "-":
        _image(name, arguments)
    else:
        _bytes(Dump(data, form=""), arguments)


def _image(name: str, arguments: argparse.Namespace) -> None:
    finds = 0
    for find in scan(name):
        finds += 1
        print(json.dumps(asdict(find)) if arguments.json else render.find_text(find), end="")
    if not arguments.json:
        said = f"{count_of(finds, 'page')} found that may be a GHCB, a VMSA, a doorbell or a secrets page"
        print(f"{said}; vmgexit find has options to narrow the search")


def _whole(text: str, arguments: argparse.Namespace) -> bool:
    """A text that is a dump, a literal or base64; whether it is one."""
    found = bytes_of(text)
    if found is None:
        return False
    one = found.values[0] if len(found.values) == 1 else None
    if not (one and one.kind == "number" and _question(f"{one.value:#x}", arguments)):
        _bytes(found, arguments)
    return True


def _bytes(found: Dump, arguments: argparse.Namespace) -> None:
    looks_like = guesses(found.data)
    if arguments.json:
        made = [render.guess_object(guess) for guess in looks_like]
        print(json.dumps({"form": str(found), "notes": found.notes, "guesses": made}))
        return
    print(found)
    for note in found.notes:
        print(f"  note: {note}")
    print(render.guesses_text(found.data, looks_like, found.gaps), end="")
