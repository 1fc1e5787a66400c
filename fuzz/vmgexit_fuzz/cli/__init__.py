"""`vmgexit fuzz`: one file for each group of actions.

Found by the codec's command line as an entry point.
"""

from __future__ import annotations

import argparse
from typing import Any

from . import bench, corpus, findings, listing, run, seeing


def register(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the group to the command line."""
    group = commands.add_parser(
        "fuzz",
        help="fuzzing campaigns",
        description="Fuzzing campaigns: run them, see how they do, keep what they find.",
    )
    actions = group.add_subparsers(dest="action", metavar="ACTION", required=True)
    for module in (run, listing, seeing, findings, corpus, bench):
        module.register(actions)
