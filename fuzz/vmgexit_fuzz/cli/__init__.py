"""`vmgexit fuzz`: one file for each action.

Found by the codec's command line as an entry point, and so is `vmgexit export`.
"""

from __future__ import annotations

import argparse
from typing import Any

ACTIONS = {
    "run": ("run", "run a campaign"),
    "list": ("listing", "list the targets with what must hold, and the kinds of worker"),
    "status": ("status", "show how campaigns are doing"),
    "report": ("report", "write one HTML page about a campaign"),
    "replay": ("replay", "run inputs once, without the engine"),
    "minimize": ("minimize", "make a finding's input shorter"),
    "triage": ("triage", "list the findings of a campaign, and mark them"),
    "merge": ("merge", "take in other corpora, and keep the inputs that are needed"),
    "seeds": ("seeds", "make the committed seeds from the recordings"),
}
"""Every action: its file here, which is imported when the action is run, and its line of help."""


def register(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the group to the command line."""
    group = commands.add_parser(
        "fuzz",
        help="fuzzing campaigns",
        description="Run fuzzing campaigns, watch them, and look at what they find.",
    )
    actions = group.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, (module, meaning) in ACTIONS.items():
        aliases = ["minimise"] if name == "minimize" else []
        actions.add_parser(
            name, help=meaning, module=f"{__name__}.{module}", extra="fuzz", aliases=aliases
        )


def register_export(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the command that exports, which needs no extra."""
    commands.add_parser(
        "export",
        help="export findings, corpora and recordings as tests of other projects",
        module=f"{__name__}.export",
    )
