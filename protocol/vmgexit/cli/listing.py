"""`vmgexit list`: every structure and every call."""

from __future__ import annotations

import argparse
import json
from typing import Any


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "list",
        help="every structure, its size, where it is specified; every call",
        description="Every structure with its size, clause and source; every call and exit.",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    rows = [*_structures(), *_calls()]
    if arguments.json:
        for row in rows:
            print(json.dumps(row))
        return 0
    for kind in dict.fromkeys(row["kind"] for row in rows):
        _table(kind, [row for row in rows if row["kind"] == kind])
    return 0


def _structures() -> list[dict[str, Any]]:
    from ..schema import structures

    rows = []
    for name, revisions in sorted(structures().items()):
        for revision, cls in revisions.items():
            declaration = cls.declaration
            rows.append(
                {
                    "kind": "structure",
                    "name": name,
                    "revision": revision,
                    "size": cls.size,
                    "clause": declaration.clause,
                    "class": cls.__name__,
                    "meaning": declaration.title,
                    "source": declaration.source,
                }
            )
    return rows


def _calls() -> list[dict[str, Any]]:
    from ..wire.svsm import calls

    return [
        {
            "kind": "call",
            "name": call.name,
            "protocol": int(call.protocol),
            "number": call.number,
            "meaning": call.meaning,
            "results": [result.name for result in call.results],
            "clause": call.clause,
        }
        for call in calls()
    ]


def _table(kind: str, rows: list[dict[str, Any]]) -> None:
    if kind == "structure":
        print(f"{'structure':36} {'size':>5}  {'clause':7} meaning")
        for row in rows:
            name = row["name"] + (f" @{row['revision']}" if row["revision"] else "")
            print(
                f"{name:36} {row['size']:5}  {row['clause']:7} {row['meaning']} ({row['source']})"
            )
        return
    print(f"\n{kind:36} {'':5}  {'':7} meaning")
    for row in rows:
        number = f"{row['protocol']}.{row['number']}"
        print(f"{row['name']:36} {number:>5}  {row['clause']:7} {row['meaning']}")
