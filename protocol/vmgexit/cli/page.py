"""`vmgexit page`: the decoder page, one HTML file for a browser."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..counting import count_of
from ..files import write_output
from ..page.assembled import page
from .formatter import examples


def register(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Write a page that decodes dumps and numbers in a browser: one HTML file, which needs no server and"
        " no network, and sends nothing."
    )
    parser.epilog = examples("vmgexit page -o decoder.html")
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="write to this file")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    data = page()
    write_output(Path(arguments.output), data)
    print(f"{count_of(len(data), 'byte')} in {arguments.output}; open it in a browser")
    return 0
