"""A chart on a grid of characters: where each lane, message and note stands.

Everything stands at whole characters and lines, so that one placement serves a drawing and plain text. A
label stands in the column between two lanes, beside its sender, and is broken into lines that fit there;
lifelines end at the boxes of notes and go on beneath. So no label meets another, or a foreign line.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from ..abbreviations import explained
from ..sheet import wrapped
from .chart import Chart, Item, Lane, Mark, Message, Note

PITCH = 26
"""Characters from one lane to the next."""
NARROW = 20
"""The same where there is little room, such as in a report on a phone."""

GUTTER = 5
_GAP = 2  # characters between a label and a lifeline
_LOOP = 4  # characters that a party's message to itself reaches out
_LEAST_BOX = 46  # characters of a box across all lanes


class Anchor(Enum):
    START = "start"
    MIDDLE = "middle"


@dataclass(frozen=True, slots=True)
class Label:
    """Lines of text from line `y` on; `x` is where they start, or their middle."""

    x: float
    y: int
    lines: tuple[str, ...]
    anchor: Anchor
    of: int = -1  # the number of the arrow or box that it belongs to
    mark: Mark = Mark.PLAIN


@dataclass(frozen=True, slots=True)
class Arrow:
    """From `x1` to `x2` in the middle of line `y`."""

    x1: int
    x2: int
    y: int
    of: int
    is_answer: bool
    mark: Mark


@dataclass(frozen=True, slots=True)
class Loop:
    """Out of a lifeline at line `y1` and back at `y2`."""

    x: int
    y1: int
    y2: int
    of: int
    mark: Mark


@dataclass(frozen=True, slots=True)
class Box:
    """A frame around lines `y1` + 1 to `y2` - 1, from `x1` to `x2`."""

    x1: int
    x2: int
    y1: int
    y2: int
    of: int
    mark: Mark
    is_head: bool = False


@dataclass(slots=True)
class Grid:
    """All that is drawn, in characters and lines. `life` are pieces of lifelines: x, from line, to line."""

    width: int = 0
    height: int = 0
    labels: list[Label] = field(default_factory=list)
    arrows: list[Arrow] = field(default_factory=list)
    loops: list[Loop] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)
    life: list[tuple[int, int, int]] = field(default_factory=list)
    numbers: list[tuple[int, str]] = field(default_factory=list)  # line, number of the command
    legend: list[tuple[str, str]] = field(default_factory=list)


def placed(chart: Chart, pitch: int = PITCH) -> Grid:
    """The chart's grid, its lanes `pitch` characters apart."""
    return _Placing(chart, pitch).grid


def _half_head(name: str) -> int:
    return len(name) // 2 + 2


def _half_box(lines: tuple[str, ...]) -> int:
    return (max(map(len, lines)) + 1) // 2 + 1


class _Placing:
    """Places one item below the other."""

    def __init__(self, chart: Chart, pitch: int) -> None:
        self.chart, self.pitch, self.grid = chart, pitch, Grid()
        self.names = {lane: chart.name(lane) for lane in chart.lanes}
        self.widest = pitch - 2 * _GAP  # of a note beside a lane
        halves = {lane: self._half(lane) for lane in chart.lanes}
        start = GUTTER + next(iter(halves.values()), 0)
        self.x = {lane: start + at * pitch for at, lane in enumerate(chart.lanes)}
        ends = (x + halves[lane] for lane, x in self.x.items())
        self.right = max([*ends, GUTTER + _LEAST_BOX])
        self.y, self.of = 0, 0
        self.covered: dict[Lane, list[tuple[int, int]]] = {lane: [] for lane in chart.lanes}
        self._heads()
        last = -1
        for item in chart.items:
            if item.index != last:
                self.grid.numbers.append((self.y + isinstance(item, Note), str(item.index)))
                last = item.index
            self._item(item)
        self._lifelines()
        texts = [line for label in self.grid.labels for line in label.lines]
        said = [chart.title, chart.about, " ".join(texts), *texts, *map(" ".join, chart.terms)]
        self.grid.legend = [*chart.terms, *explained(said)]
        self.grid.width, self.grid.height = self.right + 1, self.y + 1

    def _half(self, lane: Lane) -> int:
        """How far the head of a lane and the notes on it reach to each side."""
        notes = (one.text for one in self.chart.items if isinstance(one, Note) and one.over == lane)
        boxes = (_half_box(wrapped(text, self.widest - 2)) for text in notes)
        return max(_half_head(self.names[lane]), *boxes, 0)

    def _next(self) -> int:
        self.of += 1
        return self.of

    def _heads(self) -> None:
        for lane, name in self.names.items():
            half = _half_head(name)
            of = self._next()
            x = self.x[lane]
            self.grid.boxes.append(Box(x - half, x + half, 0, 2, of, Mark.PLAIN, is_head=True))
            self.grid.labels.append(Label(x, 1, (name,), Anchor.MIDDLE, of))
        self.y = 4

    def _item(self, item: Item) -> None:
        if isinstance(item, Note):
            self._note(item)
        elif item.source == item.target:
            self._loop(item)
        else:
            self._message(item)

    def _message(self, item: Message) -> None:
        """The label in the column beside the sender, the arrow beneath it."""
        x1, x2 = self.x[item.source], self.x[item.target]
        way = 1 if x2 > x1 else -1
        lines = wrapped(item.text, self.pitch - 2 * _GAP)
        of, middle = self._next(), x1 + way * self.pitch / 2
        self.grid.labels.append(Label(middle, self.y, lines, Anchor.MIDDLE, of, item.mark))
        self.y += len(lines)
        self.grid.arrows.append(Arrow(x1, x2, self.y, of, item.is_answer, item.mark))
        self.y += 2

    def _loop(self, item: Message) -> None:
        """A loop out of the lifeline and back, its label beside it."""
        x, of = self.x[item.source], self._next()
        lines = wrapped(item.text, self.pitch - _LOOP - 2 * _GAP)
        rows = max(len(lines), 2)
        start = x + _LOOP + 2
        self.grid.loops.append(Loop(x, self.y, self.y + rows - 1, of, item.mark))
        self.grid.labels.append(Label(start, self.y, lines, Anchor.START, of, item.mark))
        self.right = max(self.right, start + max(map(len, lines)) + 1)
        self.y += rows + 1

    def _note(self, item: Note) -> None:
        """A box on its lane's lifeline, or across all of them."""
        of = self._next()
        if item.over is None:
            x1, x2 = GUTTER, self.right
            covered = list(self.covered)
            lines = wrapped(item.text, x2 - x1 - 3)
        else:
            lines = wrapped(item.text, self.widest - 2)
            half = _half_box(lines)
            x1, x2 = self.x[item.over] - half, self.x[item.over] + half
            covered = [item.over]
        y2 = self.y + len(lines) + 1
        for lane in covered:
            self.covered[lane].append((self.y, y2))
        self.grid.boxes.append(Box(x1, x2, self.y, y2, of, item.mark))
        self.grid.labels.append(Label(x1 + 2, self.y + 1, lines, Anchor.START, of, item.mark))
        self.y = y2 + 2

    def _lifelines(self) -> None:
        """From the heads to the bottom, but for the boxes."""
        for lane, covered in self.covered.items():
            top = 2
            for y1, y2 in covered:
                self.grid.life.append((self.x[lane], top, y1))
                top = y2
            self.grid.life.append((self.x[lane], top, self.y))
