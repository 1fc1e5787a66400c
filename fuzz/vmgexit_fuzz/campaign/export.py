"""Findings for other tools: a pytest file that fails until each is fixed, and JSON lines."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable

from .findings import Record, Store

_HEAD = '''"""Findings of a campaign. Each test passes once its finding is fixed."""

from vmgexit_fuzz.targets import Conditions, find
'''

_TEST = """

def test_{name}() -> None:
    # {message}
    find({target}).open(Conditions({conditions})).run(
        bytes.fromhex(
            {data}
        )
    )
"""


def to_pytest(store: Store, records: list[Record]) -> str:
    """A pytest file, one test for each finding."""
    tests = []
    for record in records:
        data = (store.directory / f"{record.id}.bin").read_bytes().hex()
        rows = [data[at : at + 72] for at in range(0, len(data), 72)] or [""]
        tests.append(
            _TEST.format(
                name=re.sub(r"\W", "_", record.id),
                message=ascii(record.message)[1:-1],
                conditions=", ".join(
                    f"{name}={json.dumps(value)}"
                    for name, value in record.conditions.about.items()
                    if value
                ),
                target=json.dumps(record.target),
                data="\n            ".join(f'"{row}"' for row in rows),
            )
        )
    return _HEAD + "".join(tests)


def to_jsonl(store: Store, records: list[Record]) -> str:
    """A line for each finding: its record, its input in hex, and the commands of a scenario."""
    lines = []
    for record in records:
        path = store.directory / f"{record.id}.bin"
        told = dataclasses.asdict(record) | {"data": path.read_bytes().hex()}
        commands = path.with_suffix(".jsonl")
        if commands.exists():
            held = map(json.loads, commands.read_text().splitlines())
            told["ops"] = [each for line in held for each in line.get("ops", [line])]
        lines.append(json.dumps(told) + "\n")
    return "".join(lines)


FORMATS: dict[str, Callable[[Store, list[Record]], str]] = {
    "pytest": to_pytest,
    "jsonl": to_jsonl,
}
