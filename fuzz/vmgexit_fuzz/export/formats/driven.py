"""What C and Rust tests of scenarios have in common: they drive an adapter by lines of JSON."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vmgexit import kits

from ..cases import Case
from ..words import remark

SOURCES = Path(__file__).parents[1] / "sources"
KITS = Path(kits.__file__).parent


def steps(case: Case) -> Iterator[tuple[dict[str, Any], dict[str, Any], str]]:
    """Each command, the answer expected, and what is to be said of it. The text of a stop, which is free,
    is left out: the kits read no escapes."""
    for command, answer in case.steps:
        stop = next((one for one in ("panic", "terminated") if one in answer), None)
        yield command, {stop: ""} if stop else answer, remark(command, case.kind)
