"""`vmgexit fuzz merge`: takes in other corpora, and keeps the inputs that are needed."""

from __future__ import annotations

import argparse
from pathlib import Path

from vmgexit.cli.formatter import examples

from ..campaign.merge import merge
from .options import add_directory, campaign_directory


def register(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Take other corpora into a campaign's corpus. Then keep the smallest inputs that"
        " together reach all that the corpus reaches. The campaign must not be running."
    )
    parser.epilog = examples("vmgexit fuzz merge --dir .vmgexit/scenario OTHER/corpus")
    parser.add_argument(
        "corpora", nargs="*", type=Path, metavar="FOLDER", help="corpora to take in"
    )
    add_directory(parser)
    parser.set_defaults(run=_merge)


def _merge(arguments: argparse.Namespace) -> int:
    directory = campaign_directory(arguments.dir)
    before, after = merge(directory, arguments.corpora)
    print(f"{directory.corpus}: {after} inputs of {before}")
    return 0
