"""`vmgexit fuzz merge` and `seeds`: corpora."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .options import add_directory, campaign_directory


def register(actions: argparse._SubParsersAction[Any]) -> None:
    """Add the actions."""
    merge = actions.add_parser(
        "merge",
        help="keep of a corpus what it takes to reach what it reaches",
        description="Take other corpora into a campaign's, then keep the smallest inputs that reach"
        " together all that all of them reach. Not while the campaign runs.",
    )
    merge.add_argument("corpora", nargs="*", type=Path, metavar="FOLDER", help="to take in")
    add_directory(merge)
    merge.set_defaults(run=_merge)
    seeds = actions.add_parser("seeds", help="make the committed seeds from the recordings")
    seeds.set_defaults(run=_seeds)


def _merge(arguments: argparse.Namespace) -> int:
    from ..process.merge import merge

    directory = campaign_directory(arguments.dir)
    before, after = merge(directory, arguments.corpora)
    print(f"{directory.corpus}: {after} inputs of {before}")
    return 0


def _seeds(arguments: argparse.Namespace) -> int:
    from ..seeds import make

    print(f"{make()} seeds")
    return 0
