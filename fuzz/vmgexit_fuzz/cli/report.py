"""`vmgexit fuzz report`: makes one HTML page about a campaign."""

from __future__ import annotations

import argparse
import contextlib
import time
from pathlib import Path

from vmgexit.cli.formatter import examples

from ..campaign.status import Status
from ..report import write
from .options import add_directory, campaign_directory

WATCH_SECONDS = 10


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
    parser.add_argument(
        "--watch",
        action="store_true",
        help=f"write it again every {WATCH_SECONDS} s while the campaign runs; browsers show it anew",
    )
    parser.set_defaults(run=_report)


def _report(arguments: argparse.Namespace) -> int:
    directory = campaign_directory(arguments.dir)
    place = arguments.output or directory.path / "report.html"
    runs = arguments.watch and bool(Status.of(directory).process)
    print(write(directory.path, place, refresh=WATCH_SECONDS * runs), flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        while runs:
            time.sleep(WATCH_SECONDS)
            runs = bool(Status.of(directory).process)  # once more after its end
            write(directory.path, place, refresh=WATCH_SECONDS * runs)
    return 0
