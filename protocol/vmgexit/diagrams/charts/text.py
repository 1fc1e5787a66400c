"""Charts as plain text, for a terminal."""

from __future__ import annotations

from ..sheet import wrapped
from .chart import Chart, Mark
from .grid import GUTTER, PITCH, Anchor, Grid, placed

_MARKS = {Mark.PLAIN: "", Mark.REFUSED: "x", Mark.BROKEN: "!"}


def render(chart: Chart) -> str:
    """The chart in lines of text."""
    grid = placed(chart, PITCH)
    canvas = [[" "] * (grid.width + 1) for _ in range(grid.height + 1)]
    _lines(canvas, grid)
    for label in grid.labels:
        for row, line in enumerate(label.lines):
            back = 0 if label.anchor is Anchor.START else len(line) // 2
            _put(canvas, int(label.x) - back, label.y + row, line)
    for y, number in grid.numbers:
        _put(canvas, 0, y, number.rjust(GUTTER - 2))
    legend = [
        line
        for short, meaning in grid.legend
        for line in wrapped(f"{short}: {meaning}", max(grid.width, 60))
    ]
    drawn = ("".join(row).rstrip() for row in canvas)
    return "\n".join([chart.title, chart.about, "", *drawn, *legend, ""])


def _put(canvas: list[list[str]], x: int, y: int, text: str) -> None:
    canvas[y][x : x + len(text)] = text


def _lines(canvas: list[list[str]], grid: Grid) -> None:
    for x, top, bottom in grid.life:
        for y in range(top + 1, bottom):
            canvas[y][x] = "│"
    for box in grid.boxes:
        across = "═" if box.mark is Mark.BROKEN else "─"
        width = box.x2 - box.x1 - 1
        _put(canvas, box.x1, box.y1, f"┌{across * width}┐")
        _put(canvas, box.x1, box.y2, f"└{across * width}┘")
        for y in range(box.y1 + 1, box.y2):
            canvas[y][box.x1] = canvas[y][box.x2] = "│"
    for arrow in grid.arrows:
        low, high = sorted((arrow.x1, arrow.x2))
        _put(canvas, low + 1, arrow.y, ("╌" if arrow.is_answer else "─") * (high - low - 1))
        is_right = arrow.x2 > arrow.x1
        head = _MARKS[arrow.mark] or (">" if is_right else "<")
        canvas[arrow.y][arrow.x2 - 1 if is_right else arrow.x2 + 1] = head
    for loop in grid.loops:
        _put(canvas, loop.x + 1, loop.y1, "───┐")
        _put(canvas, loop.x + 1, loop.y2, "<──┘")
        for y in range(loop.y1 + 1, loop.y2):
            canvas[y][loop.x + 4] = "│"
