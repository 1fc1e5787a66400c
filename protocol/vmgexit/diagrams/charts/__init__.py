"""Sequence charts: who sends what to whom in a scenario, a recording or a finding.

`charted` carries a sequence out and draws it on the way; the tables of `svsm`, `on_memory` and `hosts` say
for each command who sends what to whom. `FORMATS` renders a chart.
"""

from __future__ import annotations

from collections.abc import Callable

from . import mermaid, svg, text
from .chart import Chart
from .follow import charted

FORMATS: dict[str, Callable[[Chart], str]] = {
    "svg": svg.render,
    "mermaid": mermaid.render,
    "text": text.render,
}

__all__ = ["FORMATS", "Chart", "charted"]
