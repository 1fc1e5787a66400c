"""How fast the loop is, side by side in one run: feedback against none, our callback against none.

Rounds are interleaved, since the machine may be busy at any time; medians of each are compared.
"""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from vmgexit.errors import VmgexitError
from vmgexit_fuzz.process.child import Order
from vmgexit_fuzz.process.parent import Process
from vmgexit_fuzz.targets import Conditions, Target, find

ROUNDS = 5
SECONDS = 5.0

# atheris alone, with nothing to do, says at its end how many runs it made.
_ATHERIS_ALONE = """
import sys, atheris
atheris.Setup([sys.argv[0], "-max_total_time=" + sys.argv[1]], lambda data: None)
atheris.Fuzz()
"""
_DONE = re.compile(r"Done (\d+) runs in (\d+) second")


@dataclass(frozen=True, slots=True)
class Row:
    """What is measured, against what, and the least ratio asked for."""

    name: str
    base: str
    least: float
    unit: str


ROWS = (
    Row("state", "none", 0.5, "commands/s"),
    Row("probes", "none", 0.5, "commands/s"),
    Row("empty", "atheris alone", 0.8, "inputs/s"),
)
# For comparison; nothing is asked of it.
SHOWN = (Row("compare", "none", 0.0, "commands/s"),)


def measure(rounds: int = ROUNDS, seconds: float = SECONDS) -> dict[str, list[float]]:
    """The rate of each kind of worker in each round, in the unit of its row. Raises VmgexitError."""
    rates: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, rate in _round(seconds):
            rates.setdefault(name, []).append(rate)
    return rates


def _round(seconds: float) -> Iterator[tuple[str, float]]:
    seeds = str(find("scenario").seeds)
    for kind in ("none", "state", "probes", "compare"):
        yield kind, rate(Order("scenario", kind, seeds=seeds, seconds=seconds), "steps")
    nothing = Conditions(plant=f"{__name__}:empty")
    order = Order("codec", "plain", nothing, seeds=str(find("codec").seeds), seconds=seconds)
    yield "empty", rate(order, "inputs")
    yield "atheris alone", _atheris_alone(seconds)


def rate(order: Order, counted: str) -> float:
    """What a process does a second, over the second half of its time: after its seeds. Raises VmgexitError,
    also for a finding: what is measured is right."""
    seen: list[tuple[float, int]] = []

    def told(line: dict[str, Any]) -> None:
        if "finding" in line:
            raise VmgexitError(f"{order.target}: {line['finding']['message']}")
        if counted in line:
            seen.append((time.monotonic(), line[counted]))

    with tempfile.TemporaryDirectory() as order.corpus:
        process = Process(order, told)
        code = process.run()
    if process.error or not process.ready or len(seen) < 4:
        raise VmgexitError(f"{order.kind}: {process.error or process.last} (code {code})")
    (began, before), (ended, after) = seen[len(seen) // 2 - 1], seen[-1]
    return (after - before) / (ended - began)


def _atheris_alone(seconds: float) -> float:
    words = [sys.executable, "-c", _ATHERIS_ALONE, str(max(int(seconds), 1))]
    done = _DONE.search(subprocess.run(words, capture_output=True, text=True).stderr)
    if done is None:
        raise VmgexitError("atheris alone did not say how many runs it made")
    return int(done[1]) / int(done[2])


def report(rates: dict[str, list[float]]) -> str:
    """A Markdown table of medians, ranges and ratios."""
    lines = ["| | rate | range | of | ratio | at least |", "| --- | --- | --- | --- | --- | --- |"]
    for row in (*ROWS, *SHOWN):
        rate, base = (statistics.median(rates[name]) for name in (row.name, row.base))
        spread = f"{min(rates[row.name]):,.0f} to {max(rates[row.name]):,.0f}"
        asked = f"{row.least}" if row.least else "-"
        lines.append(
            f"| {row.name} | {rate:,.0f} {row.unit} | {spread} | {row.base}, {base:,.0f} |"
            f" {rate / base:.2f} | {asked} |"
        )
    return "\n".join(lines) + "\n"


def empty() -> None:
    """Plant: a target that does nothing, on plain bytes: what is left is our own loop."""
    from vmgexit_fuzz.targets.codec import Codec

    def run(target: Target, data: bytes) -> int:
        return 0

    Codec.run = run  # type: ignore[assignment, method-assign]
