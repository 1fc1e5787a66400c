"""`vmgexit list`: every structure, every call, every exit, every point on which sources differ."""

from __future__ import annotations

import argparse
import json
from typing import Any

from ..errors import UsageError
from ..wire.calls import calls, former_calls
from ..wire.exits import exits
from ..wire.readings import READINGS
from ..wire.registry import letters, structures
from .formatter import examples

ANY = "any length"
"""What stands in place of a size."""


def register(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Every structure with its size, clause and source; every call and exit; every point on which"
        " sources differ."
    )
    parser.epilog = examples(
        "vmgexit list doorbell",
        "vmgexit list --json psc",
        "vmgexit list readings",
    )
    parser.add_argument(
        "words",
        nargs="*",
        metavar="WORD",
        help="only those that have each WORD, in any spelling, or are of that kind",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    rows = [*_structures(), *_calls(), *_exits(), *_readings()]
    if arguments.words:
        rows = [row for row in rows if all(_has(row, word) for word in arguments.words)]
        if not rows:
            raise UsageError(f"nothing is called {' '.join(arguments.words)}; see vmgexit list")
    if arguments.json:
        for row in rows:
            print(json.dumps(row))
        return 0
    for at, kind in enumerate(dict.fromkeys(row["kind"] for row in rows)):
        print("\n" * (at > 0), end="")
        _table(kind, [row for row in rows if row["kind"] == kind])
    return 0


def _has(row: dict[str, Any], word: str) -> bool:
    """Whether a row says a word, is a number that is meant by it, or one of a kind: `exits`."""
    if word in (row["kind"], f"{row['kind']}s"):
        return True
    said = " ".join(
        str(row.get(key, ""))
        for key in ("name", "revision", "class", "meaning", "feature", "of", "field")
    )
    return letters(word) in letters(said) or word.lower() == _number(row).lower()


def _structures() -> list[dict[str, Any]]:
    rows = []
    for name, revisions in sorted(structures().items()):
        for revision, cls in revisions.items():
            declaration = cls.declaration
            rows.append(
                {
                    "kind": "structure",
                    "name": name,
                    "revision": revision,
                    "size": ANY if declaration.any_length else cls.size,
                    "clause": declaration.clause,
                    "class": cls.__name__,
                    "meaning": declaration.title,
                    "source": declaration.source,
                }
            )
    return rows


def _calls() -> list[dict[str, Any]]:
    return [
        {
            "kind": "call",
            "name": call.name,
            "protocol": int(call.protocol),
            "number": call.number,
            "meaning": call.meaning,
            "revision": call.revision,
            "results": [result.name for result in call.results],
            "clause": call.clause,
        }
        for call in (*calls(), *former_calls())
    ]


def _exits() -> list[dict[str, Any]]:
    return [
        {
            "kind": "exit",
            "name": row.name,
            "code": int(row.code),
            "direction": row.direction,
            "since": row.since,
            "feature": row.feature,
            "meaning": row.meaning,
            "in": row.fields_in,
            "out": row.fields_out,
            "clause": row.clause,
            "source": row.source,
        }
        for row in exits()
    ]


def _readings() -> list[dict[str, Any]]:
    return [
        {
            "kind": "reading",
            "name": reading.topic,
            "of": reading.of,
            "field": reading.field,
            "codes": [*reading.codes],
            "revision": reading.revision,
            "meaning": f"{reading.chosen}; otherwise {reading.other}",
            "source": reading.source,
        }
        for reading in READINGS
    ]


def _name(row: dict[str, Any]) -> str:
    revision = row.get("revision", "")
    return f"{row['name']} @{revision}" if revision else str(row["name"])


def _number(row: dict[str, Any]) -> str:
    if row["kind"] in ("structure", "reading"):
        return ""
    return f"{row['code']:#x}" if "code" in row else f"{row['protocol']}.{row['number']}"


def _table(kind: str, rows: list[dict[str, Any]]) -> None:
    if kind == "structure":
        width = len(ANY)
        print(f"{'structure':36} {'size':>{width}}  {'clause':7} meaning")
        for row in rows:
            said = f"{row['clause']:7} {row['meaning']} ({row['source']})"
            print(f"{_name(row):36} {row['size']:>{width}}  {said}")
        return
    if kind == "reading":
        print(kind)
        for row in rows:
            place = ".".join(part for part in (row["of"], row["field"]) if part)
            print(f"{row['name']}{f', {place}' * bool(place)}")
            print(f"    {row['meaning']} ({row['source']})")
        return
    # Exit codes of the VMSA have 16 digits, calls a few.
    width = max(len(_number(row)) for row in rows)
    print(f"{kind:36} {'':{width}}  {'':7} meaning")
    for row in rows:
        print(f"{_name(row):36} {_number(row):>{width}}  {row['clause']:7} {row['meaning']}")
