"""Charts as Mermaid text, which many Markdown viewers draw."""

from __future__ import annotations

from ..escaped import escaped
from .chart import Chart, Lane, Mark, Message


def render(chart: Chart) -> str:
    """The chart's Mermaid source."""
    names = {lane: f"lane{number}" for number, lane in enumerate(chart.lanes)}
    lines = [f"%% {' '.join(chart.title.split())}", "sequenceDiagram"]
    lines += [
        f"    participant {name} as {escaped(chart.name(lane))}" for lane, name in names.items()
    ]
    for item in chart.items:
        if isinstance(item, Message):
            arrow = _arrow(item)
            ends = f"{names[item.source]}{arrow}{names[item.target]}"
            lines.append(f"    {ends}: ({item.index}) {escaped(item.text)}")
        else:
            over = names[item.over] if item.over else _across(names)
            lines.append(f"    Note over {over}: ({item.index}) {escaped(item.text)}")
    return "\n".join([*lines, ""])


def _arrow(item: Message) -> str:
    line = "--" if item.is_answer else "-"
    return f"{line}x" if item.mark is Mark.REFUSED else f"{line}>>"


def _across(names: dict[Lane, str]) -> str:
    every = list(names.values())
    return every[0] if len(every) == 1 else f"{every[0]},{every[-1]}"
