"""`vmgexit fuzz report`: makes one HTML page about a campaign."""

from __future__ import annotations

import argparse
from pathlib import Path

from vmgexit.cli.formatter import examples

from ..report import write
from .options import add_directory, campaign_directory


def register(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Write one self-contained HTML page about a campaign: what parts of protocol and"
        " code it reached, how it went, what it found."
    )
    parser.epilog = examples("vmgexit fuzz report -o report.html")
    add_directory(parser)
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="the page (DIR/report.html)"
    )
    parser.set_defaults(run=_report)


def _report(arguments: argparse.Namespace) -> int:
    directory = campaign_directory(arguments.dir)
    print(write(directory.path, arguments.output or directory.path / "report.html"))
    return 0
