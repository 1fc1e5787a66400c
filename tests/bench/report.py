"""What the bench says: a table for people, JSON for programs, a plot for both."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from vmgexit.files import write

from .rows import PYTHON, US, Row

PACKAGES = ("vmgexit", "construct", "bitstruct", "dissect.cstruct", "kaitaistruct", "numpy")
COLUMNS = (
    US,
    "ctypes",
    "bitstruct, C",
    "Kaitai style",
    "dissect.cstruct",
    "construct, compiled",
    "construct",
    "memcpy",
    PYTHON,
    "JSON alone",
)
_HEADINGS = {
    PYTHON: "Python",
    "bitstruct, C": "bitstruct",
    "dissect.cstruct": "dissect",
    "Kaitai style": "Kaitai",
}


def table(rows: Sequence[Row]) -> str:
    """Minima, with our median beside ours, and what must hold."""
    lines = [["", "unit", US, "(median)", *(_HEADINGS.get(name, name) for name in COLUMNS[1:])]]
    lines[0].append("must hold")
    for row in rows:
        cells = [row.work, row.unit, _number(row.took[US].best), _number(row.took[US].median)]
        cells += [_number(row.took[name].best) if name in row.took else "" for name in COLUMNS[1:]]
        lines.append([*cells, _verdict(row)])
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    last = len(widths) - 1
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column in (0, 1, last) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _number(value: float) -> str:
    return f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def _verdict(row: Row) -> str:
    said = []
    for limit, ratio in zip(row.limits, row.ratios, strict=True):
        against = limit.against or "fastest"
        if limit.most < 0.1:
            said.append(f"1/{1 / ratio:.0f} of {against}, at most 1/{1 / limit.most:.0f}")
        else:
            said.append(f"{ratio:.2f} of {against}, at most {limit.most:g}")
    return f"{'holds' if row.holds else 'FAILS'}: {'; '.join(said)}" if said else ""


def as_json(rows: Sequence[Row], facts: dict[str, Any]) -> bytes:
    found = {
        **facts,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "versions": {name: _version(name) for name in PACKAGES},
        "rows": [
            {
                "work": row.work,
                "unit": row.unit,
                "best": {name: timing.best for name, timing in row.took.items()},
                "median": {name: timing.median for name, timing in row.took.items()},
                "must_hold": [
                    {"against": limit.against or "fastest", "at_most": limit.most, "ratio": ratio}
                    for limit, ratio in zip(row.limits, row.ratios, strict=True)
                ],
                "holds": row.holds,
            }
            for row in rows
        ],
    }
    return json.dumps(found, indent=1).encode() + b"\n"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def plot(rows: Sequence[Row], path: Path) -> None:
    """How many times as long as ours everyone takes, one group of bars for each row."""
    import io

    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    shown = [row for row in rows if row.unit != "bytes"]
    names = [name for name in COLUMNS[1:] if any(name in row.took for row in shown)]
    figure, axes = plt.subplots(figsize=(9, 0.62 * len(shown) + 1.5))
    height = 0.8 / len(names)
    for place, name in enumerate(names):
        at = [index + place * height for index, row in enumerate(shown) if name in row.took]
        times = [row.took[name].best / row.took[US].best for row in shown if name in row.took]
        axes.barh(at, [time - 1 for time in times], height, left=1, label=name)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xscale("log")
    axes.set_yticks(
        [index + 0.4 - height / 2 for index in range(len(shown))],
        [f"{row.work}\n{_number(row.took[US].best)} {row.unit}" for row in shown],
        fontsize=8,
    )
    axes.invert_yaxis()
    axes.set_xlabel("times as long as vmgexit takes (minima; further right is slower)")
    axes.legend(fontsize=8)
    axes.grid(axis="x", alpha=0.3)
    figure.tight_layout()
    drawn = io.BytesIO()
    figure.savefig(drawn, format="svg", metadata={"Date": None})
    plt.close(figure)
    write(path, drawn.getvalue())
