"""`vmgexit fuzz triage`: lists, shows and marks the findings of a campaign."""

from __future__ import annotations

import argparse
import dataclasses
import json
import time

from rich.table import Table

from vmgexit.cli.formatter import examples
from vmgexit.errors import UsageError

from ..campaign.findings import Record, Store
from ..report.text import one_line
from .options import add_directory, campaign_directory
from .status import console


def register(parser: argparse.ArgumentParser) -> None:
    parser.description = "List the findings of a campaign, or show or mark those named."
    parser.epilog = examples("vmgexit fuzz triage", "vmgexit fuzz triage --known ID")
    parser.add_argument("ids", nargs="*", metavar="ID", help="findings (default: all)")
    add_directory(parser)
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--show", action="store_true", help="print each finding whole")
    action.add_argument("--json", action="store_true", help="list them as one JSON array")
    action.add_argument(
        "--known", action="store_true", help="mark as known, so that campaigns are quiet about them"
    )
    action.add_argument("--unknown", action="store_true", help="take that mark away")
    parser.set_defaults(run=_triage)


def _triage(arguments: argparse.Namespace) -> int:
    directory = campaign_directory(arguments.dir)
    store = Store(directory.findings)
    chosen = [store.named(name) for name in arguments.ids] or list(store.records.values())
    if arguments.known or arguments.unknown:
        if not arguments.ids:
            raise UsageError("--known and --unknown need the findings' IDs")
        for record in chosen:
            store.mark(record, known=arguments.known)
            print(f"{record.id}: {'known' if record.known else 'not known'}")
    elif arguments.show:
        for record in chosen:
            print(f"{record.id}\n{(store.directory / f'{record.id}.txt').read_text()}")
    elif arguments.json:
        print(json.dumps([dataclasses.asdict(record) for record in _sorted(chosen)], indent=1))
    else:
        _table(chosen)
    return 0


def _table(chosen: list[Record]) -> None:
    table = Table(box=None, pad_edge=False)
    for column in ("finding", "count", "size", "first seen", "last seen", "", "what"):
        right = column in ("count", "size")
        table.add_column(column, justify="right" if right else "left", no_wrap=column != "what")
    for record in _sorted(chosen):
        size = f"{record.commands} commands" if record.commands else f"{record.size} bytes"
        seen = _when(record.first), _when(record.last)
        mark = "known" * record.known
        table.add_row(record.id, f"{record.count:,}", size, *seen, mark, one_line(record.message))
    console().print(table if chosen else "no findings")


def _sorted(chosen: list[Record]) -> list[Record]:
    return sorted(chosen, key=lambda record: (record.known, record.first))


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds)) if seconds else "-"
