"""`vmgexit fuzz triage`: lists, shows and marks the findings of a campaign."""

from __future__ import annotations

import argparse
import dataclasses
import json
import time

from rich.table import Table

from vmgexit.cli.formatter import examples
from vmgexit.counting import count_of
from vmgexit.errors import UsageError

from ..campaign.findings import Record, Store
from ..report.text import one_line
from .options import add_directory, campaign_directory
from .status import console, show

LEAST_WHAT = 24  # letters of what is wrong
GAP = 2  # between columns


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
    """A row for each finding, as wide as the terminal; a narrow one has fewer columns."""
    if not chosen:
        print("no findings")
        return
    rows = [
        {
            "finding": record.id,
            # A process that was ended by its finding has not counted it.
            "count": f"{max(record.count, 1):,}",
            "size": count_of(record.commands, "command")
            if record.commands
            else count_of(record.size, "byte"),
            "first seen": _when(record.first),
            "last seen": _when(record.last or record.first),
            "": "known" * record.known,
            "what": one_line(record.message),
        }
        for record in _sorted(chosen)
    ]
    widths = _fitting(rows, console().width)
    table = Table(box=None, pad_edge=False)
    for name, width in widths.items():
        right = name in ("count", "size")
        table.add_column(name, justify="right" if right else "left", width=width, overflow="fold")
    for row in rows:
        table.add_row(*(_cut(row[name], width) for name, width in widths.items()))
    show(table)


def _fitting(rows: list[dict[str, str]], width: int) -> dict[str, int]:
    """The columns that leave some room for what is wrong, and their widths."""
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in rows[0]}
    whole = widths.pop("what")
    for spared in ("first seen", "size", "last seen", "count", ""):
        if sum(widths.values()) + GAP * len(widths) + LEAST_WHAT <= width:
            break
        del widths[spared]
    # A name that is too long still is folded.
    widths["finding"] = min(widths["finding"], max(width - LEAST_WHAT - GAP, LEAST_WHAT))
    left = width - sum(widths.values()) - GAP * len(widths)
    return {**widths, "what": max(min(whole, left), 1)}


def _cut(text: str, width: int) -> str:
    """A text in one line, but for an ID, which is to be pasted."""
    return text if len(text) <= width or " " not in text else f"{text[: width - 3]}..."


def _sorted(chosen: list[Record]) -> list[Record]:
    return sorted(chosen, key=lambda record: (record.known, record.first))


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds)) if seconds else "-"
