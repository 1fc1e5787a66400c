"""`vmgexit fuzz status`: shows how campaigns are doing."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from vmgexit.cli.formatter import examples
from vmgexit.errors import VmgexitError

from ..campaign.folder import Directory
from ..campaign.status import Status
from .options import HOME, add_directory, campaign_directory

_REFRESH_SECONDS = 1


def register(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Show how campaigns are doing: live on a terminal until Ctrl-C, once elsewhere."
    )
    parser.epilog = examples("vmgexit fuzz status --dir .vmgexit/scenario")
    add_directory(parser)
    parser.add_argument("--once", action="store_true", help="show it once, also on a terminal")
    parser.set_defaults(run=_status)


def _status(arguments: argparse.Namespace) -> int:
    directories = _campaigns(arguments.dir)
    if arguments.once or not sys.stdout.isatty():
        show(_seen(directories))
        return 0
    try:
        with Live(_seen(directories), console=console(), auto_refresh=False, screen=False) as live:
            while True:
                time.sleep(_REFRESH_SECONDS)
                live.update(_seen(_campaigns(arguments.dir)), refresh=True)
    except KeyboardInterrupt:
        return 0


def console() -> Console:
    """Standard output; where it is no terminal, no line of a table is cut."""
    made = Console(markup=False, highlight=False)
    if not made.is_terminal:
        made.width = 1000
    return made


def show(table: RenderableType) -> None:
    """Print a table without the blanks that end its lines."""
    screen = console()
    with screen.capture() as captured:
        screen.print(table)
    for line in captured.get().splitlines():
        print(line.rstrip())


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
    def table(*columns: str) -> Table:
        made = Table(box=None, pad_edge=False)
        for column in columns:
            right = column in ("inputs", "inputs/s", "coverage", "corpus", "restarts")
            made.add_column(column, justify="right" if right else "left", overflow="fold")
        return made

    statuses = [Status.of(directory) for directory in directories]
    if len(statuses) > 1:
        names = ("inputs", "inputs/s", "corpus", "findings", "last new", "state")
        campaigns = table("campaign", *names)
        for status in statuses:
            facts = status.facts()
            campaigns.add_row(str(status.directory.path), *(facts[name] for name in names))
        return Group(campaigns)
    [status] = statuses
    about = Table.grid(padding=(0, 2))
    about.add_row("campaign", str(status.directory.path))
    for name, fact in status.facts().items():
        about.add_row(name, fact)
    workers = table("worker", "kind", "inputs", "inputs/s", "coverage", "heard of")
    for row in status.worker_rows():
        workers.add_row(*row)
    return Group(about, Text(), workers, Text(), Text(Status.NOTE))
