"""State diagrams as SVG drawings, as Graphviz lays them out, readable in light and dark."""

from __future__ import annotations

import math

from ..sheet import CHARACTER, LINE, Sheet, text
from .diagram import States
from .dot import LABEL_MARGIN, label_size, state_size
from .layout import Layout, Point, laid_out

_MARGIN = 16
_START = 7  # radius of the mark of the initial state
_TIP = 10  # length of an arrow's head
_SIGNS = (
    "The dot leads to the initial state. A double frame: final, nothing leads to another state."
)


def render(diagram: States) -> str:
    """The drawing. Raises VmgexitError without dot."""
    layout = laid_out(diagram)
    return _Drawing(diagram, layout).render()


class _Drawing:
    def __init__(self, diagram: States, layout: Layout) -> None:
        self.diagram, self.layout = diagram, layout
        width = max(layout.width + 2 * _MARGIN, 60 * CHARACTER)
        self.sheet = Sheet(diagram.title, diagram.about, width)
        self.left = (width - layout.width) / 2
        self.top = self.sheet.top + _MARGIN

    def render(self) -> str:
        layout = self.layout
        body = [*self._start()]
        numbers = {state: number for number, state in enumerate(self.diagram.states)}
        for number, (curve, edge) in enumerate(zip(layout.edges, self.diagram.edges, strict=True)):
            before, after = (numbers[state] for state in edge[:2])
            ends = f' data-from="s{before}" data-to="s{after}"'
            body += self._edge(curve, f"e{number}", ends)
        for number, state in enumerate(self.diagram.states):
            body += self._state(state, self._at(layout.states[number]), f"s{number}")
        for number, (edge, place) in enumerate(zip(self.diagram.edges, layout.labels, strict=True)):
            body += self._label(edge[2], self._at(place), f"e{number}")
        legend = [_SIGNS, *(f"{short}: {meaning}" for short, meaning in self.diagram.legend)]
        return self.sheet.render(body, layout.height + 2 * _MARGIN, legend)

    def _at(self, point: Point) -> Point:
        return self.left + point[0], self.top + point[1]

    def _start(self) -> list[str]:
        x, y = self._at(self.layout.start)
        circle = f'<circle class="c-tip" cx="{x:.1f}" cy="{y:.1f}" r="{_START}" data-of="start"/>'
        return [circle, *self._edge(self.layout.entry, "start")]

    def _edge(self, curve: tuple[Point, ...], of: str, ends: str = "") -> list[str]:
        """The curve, and its arrow's head."""
        *points, tip = map(self._at, curve)
        start, rest = points[0], points[1:]
        pieces = " ".join(f"{x:.1f} {y:.1f}" for x, y in rest)
        path = f"M{start[0]:.1f} {start[1]:.1f}C{pieces}"
        back = points[-1]
        along = math.atan2(tip[1] - back[1], tip[0] - back[0])
        corners = [tip]
        for turn in (-0.4, 0.4):
            x = tip[0] - _TIP * math.cos(along + turn)
            y = tip[1] - _TIP * math.sin(along + turn)
            corners.append((x, y))
        head = "L".join(f"{x:.1f} {y:.1f}" for x, y in corners)
        return [
            f'<path class="c-line" d="{path}" data-of="{of}"{ends}/>',
            f'<path class="c-tip" d="M{head}Z" data-of="{of}"/>',
        ]

    def _state(self, state: str, at: Point, of: str) -> list[str]:
        x, y = at
        width, height = state_size(state)
        frames = [_frame("c-head", at, width, height, of)]
        if state in self.diagram.finals:
            frames.append(_frame("c-inner", at, width - 8, height - 8, of))
        return [*frames, text(x, y + 4, state, "c-head-text", anchor="middle", of=of)]

    def _label(self, labels: tuple[str, ...], at: Point, of: str) -> list[str]:
        width, height = label_size(labels)
        x, first = at[0] - width / 2 + LABEL_MARGIN, at[1] - height / 2 + 3 + 12
        return [
            text(x, first + row * LINE, label, "c-text", of=of) for row, label in enumerate(labels)
        ]


def _frame(kind: str, at: Point, width: float, height: float, of: str) -> str:
    x, y = at[0] - width / 2, at[1] - height / 2
    return (
        f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="6"'
        f' data-of="{of}"/>'
    )
