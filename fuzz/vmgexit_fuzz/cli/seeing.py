"""`vmgexit fuzz status` and `report`: how campaigns are doing."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vmgexit.errors import VmgexitError

from ..campaign.folder import Directory
from .options import HOME, add_directory, campaign_directory

if TYPE_CHECKING:
    from rich.console import Group

_REFRESH_SECONDS = 1


def register(actions: argparse._SubParsersAction[Any]) -> None:
    """Add the actions."""
    status = actions.add_parser(
        "status",
        help="how campaigns are doing",
        description="How campaigns are doing: live on a terminal until Ctrl-C, once elsewhere.",
    )
    add_directory(status)
    status.add_argument("--once", action="store_true", help="once, on a terminal too")
    status.set_defaults(run=_status)
    report = actions.add_parser(
        "report",
        help="one HTML page about a campaign",
        description="Write one self-contained HTML page about a campaign: what it reached of the"
        " protocol and of the code, how it went, what it found.",
    )
    add_directory(report)
    report.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="the page (DIR/report.html)"
    )
    report.set_defaults(run=_report)


def _status(arguments: argparse.Namespace) -> int:
    from rich.console import Console

    console = Console(markup=False, highlight=False)
    if not console.is_terminal:
        # A table is not to be cut to the width of a terminal that there is not.
        console = Console(markup=False, highlight=False, width=200)
    directories = _campaigns(arguments.dir)
    if arguments.once or not sys.stdout.isatty():
        console.print(_seen(directories))
        return 0
    from rich.live import Live

    try:
        with Live(_seen(directories), console=console, auto_refresh=False, screen=False) as live:
            while True:
                time.sleep(_REFRESH_SECONDS)
                live.update(_seen(_campaigns(arguments.dir)), refresh=True)
    except KeyboardInterrupt:
        return 0


def _campaigns(given: Path | None) -> list[Directory]:
    if given is not None:
        return [campaign_directory(given)]
    found = [Directory.at(path.parent) for path in sorted(HOME.glob("*/campaign.json"))]
    if not found:
        raise VmgexitError(f"{HOME}: no campaigns; --dir names the folder of one")
    for directory in found:
        directory.read()
    return found


def _seen(directories: list[Directory]) -> Group:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from ..campaign.status import Standing

    def table(*columns: str) -> Table:
        made = Table(box=None, pad_edge=False)
        for column in columns:
            right = column in ("inputs", "inputs/s", "coverage", "corpus", "restarts")
            made.add_column(column, justify="right" if right else "left", overflow="fold")
        return made

    standings = [Standing.of(directory) for directory in directories]
    if len(standings) > 1:
        names = ("inputs", "inputs/s", "corpus", "findings", "last new", "state")
        campaigns = table("campaign", *names)
        for standing in standings:
            facts = standing.facts()
            campaigns.add_row(str(standing.directory.path), *(facts[name] for name in names))
        return Group(campaigns)
    [standing] = standings
    about = Table.grid(padding=(0, 2))
    about.add_row("campaign", str(standing.directory.path))
    for name, fact in standing.facts().items():
        about.add_row(name, fact)
    workers = table("worker", "kind", "inputs", "inputs/s", "coverage", "restarts", "heard of")
    for row in standing.worker_rows():
        workers.add_row(*row)
    return Group(about, Text(), workers, Text(), Text(Standing.NOTE))


def _report(arguments: argparse.Namespace) -> int:
    from ..report import write

    directory = campaign_directory(arguments.dir)
    print(write(directory.path, arguments.output or directory.path / "report.html"))
    return 0
