"""Diagrams as SVG drawings, readable in light and dark, without a layout program.

States stand in one column. A transition is an arc beside the column: on the right when it leads
forward, on the left when it leads back. Arcs that would touch get lanes of their own; so do their
labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

from .diagram import Diagram, Sequence, States

CHARACTER = 7.3  # width of one character of 12 px monospace, generously
LINE = 15
PORT = 16  # between two arcs that end at one state
_STYLE = """
  text { font: 12px ui-monospace, Menlo, Consolas, monospace; fill: #1b1f24; }
  .title { font-weight: bold; font-size: 14px; }
  .box { fill: #eef3fb; stroke: #4a6da7; }
  .arc { fill: none; stroke: #5b6470; }
  .life { stroke: #9aa3ad; stroke-dasharray: 3 4; }
  .head { fill: #5b6470; }
  .paper { fill: #ffffff; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; } .box { fill: #1d2a3d; stroke: #7aa2e3; } .paper { fill: #0d1117; }
    .arc { stroke: #9aa7b4; } .head { fill: #9aa7b4; } .life { stroke: #57606a; }
  }"""


def render(diagram: Diagram) -> str:
    """The drawing."""
    draw = _sequence if isinstance(diagram, Sequence) else _states
    width, height, body = draw(diagram)  # type: ignore[arg-type]
    width = max(width, _width(diagram.title) * 1.2 + 40)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}"'
            f' width="{width:.0f}" height="{height:.0f}" role="img">',
            f"<title>{escape(diagram.title)}</title>",
            f"<style>{_STYLE}\n</style>",
            '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8"'
            ' markerHeight="8" orient="auto-start-reverse">'
            '<path class="head" d="M0 0 L8 4 L0 8 z"/></marker></defs>',
            f'<rect class="paper" width="{width:.0f}" height="{height:.0f}"/>',
            f'<text class="title" x="20" y="28">{escape(diagram.title)}</text>',
            *body,
            "</svg>",
            "",
        ]
    )


def _width(text: str) -> float:
    return len(text) * CHARACTER


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


@dataclass(slots=True)
class _Arc:
    """A transition beside the column: from and to by height, its text, and its lane."""

    start: float
    end: float
    label: str
    lane: int = 0
    at: float = 0.0  # the height of the label

    def put_label(self, others: list[_Arc]) -> None:
        """Put the label as near to the middle as it stands on no other arc, which leads past beside it."""
        low, high = sorted((self.start, self.end))
        lines = [end for arc in others if arc.lane > self.lane for end in (arc.start, arc.end)]
        middle = (low + high) / 2
        steps = range(int(high - low) // 2)
        places = [middle + sign * step for step in steps for sign in (1, -1)]
        clear = (at for at in places if all(abs(at - line) > LINE * 0.7 for line in lines))
        self.at = next(clear, middle)

    def meets(self, other: _Arc) -> bool:
        """Whether both would touch in one lane, labels included."""
        low, high = min(self.start, self.end), max(self.start, self.end)
        return (
            low - LINE < max(other.start, other.end) and min(other.start, other.end) < high + LINE
        )


def _states(diagram: States) -> tuple[float, float, list[str]]:
    index = {state: n for n, state in enumerate(diagram.states)}
    box = max(map(_width, diagram.states)) + 24
    sides: tuple[list[Any], list[Any]] = ([], [])
    for edge in diagram.edges:
        sides[index[edge[1]] < index[edge[0]]].append(edge)
    # Each state's box is as high as the arcs that begin or end on one side of it need.
    ends = {state: [0, 0] for state in diagram.states}
    for side, edges in enumerate(sides):
        for before, after, _ in edges:
            ends[before][side] += 1
            ends[after][side] += 1
    tops: dict[str, float] = {}
    top = 50.0
    for state in diagram.states:
        tops[state] = top
        top += _height(ends[state]) + 26
    used = {(state, side): 0 for state in diagram.states for side in (0, 1)}

    def port(state: str, side: int) -> float:
        used[state, side] += 1
        return tops[state] + PORT * used[state, side]

    lanes = []
    for side, edges in enumerate(sides):
        arcs: list[_Arc] = []
        for before, after, labels in sorted(edges, key=lambda e: abs(index[e[1]] - index[e[0]])):
            arc = _Arc(port(before, side), port(after, side), ", ".join(labels))
            while any(other.lane == arc.lane and other.meets(arc) for other in arcs):
                arc.lane += 1
            arcs.append(arc)
        for arc in arcs:
            arc.put_label(arcs)
        lanes.append(arcs)
    left = sum(_lane_widths(lanes[1])) + 30
    body = []
    for state in diagram.states:
        height = _height(ends[state])
        body.append(
            f'<rect class="box" x="{left:.1f}" y="{tops[state]:.1f}" width="{box:.1f}"'
            f' height="{height}" rx="6"/>'
        )
        body.append(_text(left + box / 2, tops[state] + height / 2 + 4, state, "middle"))
    names = []
    for side, rim in ((0, left + box), (1, left)):
        for arc in lanes[side]:
            reach = sum(_lane_widths(lanes[side])[: arc.lane])
            path, label = _drawn(rim, reach, arc, 1 - 2 * side)
            body.append(path)
            names.append(label)
    body += names  # over the lines, each on paper of its own
    return left + box + sum(_lane_widths(lanes[0])) + 30, top + 10, body


def _height(ends: list[int]) -> int:
    return max(30, PORT * max(ends) + 16)


def _lane_widths(arcs: list[_Arc]) -> list[float]:
    widths = [0.0] * (1 + max((arc.lane for arc in arcs), default=-1))
    for arc in arcs:
        widths[arc.lane] = max(widths[arc.lane], _width(arc.label) + 36)
    return widths


def _drawn(edge: float, reach: float, arc: _Arc, way: int) -> tuple[str, str]:
    """Path and label of a transition, `reach` beyond the column's edge: to the right, or with `way`
    -1 to the left."""
    x = edge + way * (reach + 22)
    start, end, bend = arc.start, arc.end, 6 if arc.end > arc.start else -6
    path = (
        f"M{edge:.1f} {start:.1f} H{x - way * 6:.1f} q{way * 6} 0 {way * 6} {bend}"
        f" V{end - bend:.1f} q0 {bend} {-way * 6} {bend} H{edge + way * 2:.1f}"
    )
    anchor = "start" if way > 0 else "end"
    x, y = x + way * 6, arc.at
    long = _width(arc.label)
    corner = x if way > 0 else x - long
    paper = (
        f'<rect class="paper" x="{corner - 2:.1f}" y="{y - 8:.1f}" width="{long:.1f}" height="16"/>'
    )
    label = paper + _text(x, y + 4, arc.label, anchor)
    return f'<path class="arc" marker-end="url(#arrow)" d="{path}"/>', label


def _sequence(diagram: Sequence) -> tuple[float, float, list[str]]:
    longest = max(_width(text) for _, _, text in diagram.messages)
    step = longest + 50
    places = {actor: 80 + number * step for number, actor in enumerate(diagram.actors)}
    bottom = 110 + 34 * len(diagram.messages)
    body = []
    for actor, x in places.items():
        half = _width(actor) / 2 + 14
        body.append(
            f'<rect class="box" x="{x - half:.1f}" y="48" width="{2 * half:.1f}" height="28" rx="4"/>'
        )
        body.append(_text(x, 66, actor, "middle"))
        body.append(f'<path class="life" d="M{x:.1f} 76 V{bottom:.1f}"/>')
    for number, (before, after, text) in enumerate(diagram.messages):
        y = 110 + 34 * number
        start, end = places[before], places[after]
        if before == after:
            path = f"M{start:.1f} {y - 8} h26 v14 H{start + 3:.1f}"
            body.append(f'<path class="arc" marker-end="url(#arrow)" d="{path}"/>')
            body.append(_text(start + 34, y + 3, text))
        else:
            body.append(
                f'<path class="arc" marker-end="url(#arrow)" d="M{start:.1f} {y} H{end:.1f}"/>'
            )
            body.append(_text((start + end) / 2, y - 6, text, "middle"))
    last = places[diagram.actors[-1]] + 80
    alone = max(places[a] + 40 + _width(t) for a, b, t in diagram.messages if a == b)
    return max(last, alone + 20), bottom + 20, body
