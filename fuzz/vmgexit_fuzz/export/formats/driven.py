"""What exports to C and Rust have in common: sources of ours and of the kits, and lines of JSON."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from vmgexit.kits.project import files

from ..cases import Case
from ..words import remark

_SOURCES = Path(__file__).parents[1] / "sources"


def source(path: str) -> bytes:
    """One of our own sources."""
    return (_SOURCES / path).read_bytes()


def of_kit(surface: str, language: str, *names: str) -> dict[str, bytes]:
    """Files of an adapter's kit, by their names."""
    kit = _kit(surface, language)
    return {name: kit[f"kit/{name}"].encode() for name in names}


@cache
def _kit(surface: str, language: str) -> dict[str, str]:
    return dict(files(surface, language))


def steps(case: Case) -> Iterator[tuple[dict[str, Any], dict[str, Any], str]]:
    """Each command, the answer expected, and what is to be said of it. The text of a stop, which is free,
    is left out: the kits read no escapes."""
    for command, answer in case.steps:
        stop = next((one for one in ("panic", "terminated") if one in answer), None)
        yield command, {stop: ""} if stop else answer, remark(command, case.kind)
