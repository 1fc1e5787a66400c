"""`vmgexit explain`: whatever was pasted, said what it is."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from ..explain.lines import Reader, blocks
from ..explain.render import count_text, line_json, line_text
from ..read.streams import opened
from .writer import Writer


def register(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Read lines of kernels, hypervisors, firmware and SVSMs, and say what each known one means,"
        " word by word. Other lines are counted."
    )
    parser.epilog = "example: dmesg | vmgexit explain -"
    parser.add_argument(
        "what",
        nargs="*",
        metavar="TEXT",
        help="text, or a file (.gz and .xz too), or - for standard input",
    )
    parser.add_argument("--all", action="store_true", help="pass the other lines through")
    parser.add_argument("--json", action="store_true", help="one JSON object for each known line")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    for name in arguments.what or ["-"]:
        _explain(name, arguments)
    return 0


def _explain(name: str, arguments: argparse.Namespace) -> None:
    reader, writer = Reader(), Writer()
    show = line_json if arguments.json else line_text
    with opened(name) as stream:
        for block in blocks(stream):
            for line in reader.lines(block):
                if line.says is not None or arguments.all:
                    writer.put(show(line))
            writer.flush()
    reader.finish()
    if arguments.json:
        print(json.dumps(asdict(reader.count)))
    else:
        print(count_text(reader.count))
