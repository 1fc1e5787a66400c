"""What exports to C and Rust have in common: sources of ours and of the kits, and lines of JSON."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from vmgexit.compare.peer import STOPS
from vmgexit.descriptions import U64
from vmgexit.kits.project import files

from ..cases import Case
from ..words import remark

DEEPEST = 8
"""How deep the kits' readers go."""

_PLAIN = re.compile(r"[ !#-\[\]-~]*")  # what JSON escapes nothing of
_SOURCES = Path(__file__).parents[1] / "sources"


def source(path: str) -> bytes:
    """One of our own sources."""
    return (_SOURCES / path).read_bytes()


def of_kit(surface: str, language: str, *names: str) -> dict[str, bytes]:
    """Files of an adapter's kit, by their names."""
    kit = _kit(surface, language)
    return {name: kit[f"kit/{name}"].encode() for name in names}


def refuses(case: Case) -> str:
    """Why a scenario cannot be sent and compared by the kits: they read plain text and 64-bit numbers."""
    for command, answer, _ in steps(case):
        for value in (command, answer):
            if found := _unread(value):
                return f"{found} found, plain text and numbers from 0 to 2^64 - 1 expected"
    return ""


def _unread(value: Any, depth: int = 1) -> str:
    """What in a value no kit reads; empty where they read all of it."""
    match value:
        case None | bool():
            return ""
        case int():
            return "" if 0 <= value <= U64 else "another number"
        case str():
            return "" if _PLAIN.fullmatch(value) and "??" not in value else "another text"
        case list() | tuple() | dict():
            if depth > DEEPEST:
                return "lists within lists"
            held = [*value, *value.values()] if isinstance(value, dict) else value
            return next((found for one in held if (found := _unread(one, depth + 1))), "")
    return "another number"


@cache
def _kit(surface: str, language: str) -> dict[str, str]:
    return dict(files(surface, language))


def steps(case: Case) -> Iterator[tuple[dict[str, Any], dict[str, Any], str]]:
    """Each command, the answer expected, and what is to be said of it. The text of a stop, which is free,
    is left out: the kits read no escapes."""
    kind = case.kind
    for command, answer in case.steps:
        stop = next((one for one in STOPS if one in answer), None)
        yield command, {stop: ""} if stop else answer, remark(command, kind)
