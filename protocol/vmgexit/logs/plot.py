"""A timeline as a picture: a row for each vCPU, in it a lane for each kind of request, in the lane a mark
for each bin of time in which there was one.

Drawn by matplotlib, which the extra `plot` brings.
"""

from __future__ import annotations

import io

import matplotlib as mpl
from matplotlib.figure import Figure

from .timeline import KINDS, Timeline

ROWS = 64  # vCPUs that are drawn, the lowest numbers
_COLOURS = (
    "#4477aa",
    "#66ccee",
    "#228833",
    "#ccbb44",
    "#bbbbbb",
    "#aa3377",
    "#ee6677",
)  # for the colour-blind


def svg(timeline: Timeline, title: str) -> bytes:
    """The picture of a finished timeline."""
    mpl.rcParams.update({"svg.hashsalt": "vmgexit", "svg.fonttype": "none", "font.size": 9})
    vcpus = sorted({vcpu for vcpu, _ in timeline.points})[:ROWS]
    unit, label = (1, "counter") if timeline.raw_time else (1_000_000, "ms")
    # A figure of its own needs no pyplot, which takes a second to import.
    figure = Figure(layout="constrained", figsize=(10, 1.4 + 0.7 * max(len(vcpus), 1)))
    axes = figure.subplots()
    lane = 0.8 / len(KINDS)
    for number, (kind, colour) in enumerate(zip(KINDS, _COLOURS, strict=True)):
        for row, vcpu in enumerate(vcpus):
            points = timeline.points.get((vcpu, kind))
            if points is not None:
                width = points.width / unit
                times = [(at * width, width) for at in sorted(points.counts)]
                place = (row - 0.4 + number * lane, lane)
                axes.broken_barh(times, place, facecolors=colour, edgecolor=colour)
        axes.plot([], [], color=colour, linewidth=5, label=kind)
    for row in range(1, len(vcpus)):
        axes.axhline(row - 0.5, color="#dddddd", linewidth=0.8)
    axes.set_yticks(range(len(vcpus)), [f"vCPU {vcpu}" for vcpu in vcpus])
    axes.set_ylim(len(vcpus) - 0.5, -0.5)
    axes.set_xlabel(f"since the first request, {label}")
    axes.set_title(title)
    figure.legend(loc="outside lower center", ncols=len(KINDS), frameon=False)
    stream = io.BytesIO()
    figure.savefig(stream, format="svg", metadata={"Date": None})
    return stream.getvalue()
