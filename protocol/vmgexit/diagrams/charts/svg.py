"""Charts as SVG drawings, readable in light and dark."""

from __future__ import annotations

from ..sheet import CHARACTER, LINE, STYLE, Sheet, text
from .chart import Chart, Mark
from .grid import PITCH, Anchor, Arrow, Box, Grid, Label, Loop, placed


def render(chart: Chart, pitch: int = PITCH, *, style: str = STYLE) -> str:
    """The drawing; lanes stand `pitch` characters apart. Without `style` the page around it has that."""
    grid = placed(chart, pitch)
    sheet = Sheet(chart.title, chart.about, (grid.width + 1) * CHARACTER)
    return sheet.render(_drawn(grid, sheet.top), grid.height * LINE, _legend(grid), style=style)


def _legend(grid: Grid) -> list[str]:
    """What the lines mean, and the abbreviations."""
    marks = {arrow.mark for arrow in grid.arrows}
    lines = ["Solid: a command or a request."]
    if any(arrow.is_answer for arrow in grid.arrows):
        lines[0] += " Dashed: an answer."
    if Mark.REFUSED in marks:
        lines[0] += " Cross: refused."
    lines[0] += " At the left: the number of the command."
    return lines + [f"{short}: {meaning}" for short, meaning in grid.legend]


def _drawn(grid: Grid, top: float) -> list[str]:
    body = [
        f'<path class="c-life" d="M{_x(x)} {_y(y1, top)}V{_y(y2, top)}"/>'
        for x, y1, y2 in grid.life
        if y2 > y1
    ]
    body += [_box(box, top) for box in grid.boxes]
    for arrow in grid.arrows:
        body += _arrow(arrow, top)
    for loop in grid.loops:
        body += _loop(loop, top)
    for label in grid.labels:
        body += _label(label, top, {box.of for box in grid.boxes if box.is_head})
    for y, number in grid.numbers:
        x = (len("000") + 0.5) * CHARACTER
        body.append(text(x, _base(y, top), number, "c-faint", anchor="end"))
    return body


def _x(x: float) -> str:
    return f"{(x + 0.5) * CHARACTER:.1f}"


def _y(y: float, top: float) -> str:
    return f"{top + (y + 0.5) * LINE:.1f}"


def _base(y: int, top: float) -> float:
    """The base line of the letters of line `y`."""
    return top + y * LINE + 12


def _label(label: Label, top: float, heads: set[int]) -> list[str]:
    kind = "c-head-text" if label.of in heads else f"c-text{_kind(label.mark)}"
    is_middle = label.anchor is Anchor.MIDDLE
    x = (label.x + 0.5) * CHARACTER if is_middle else label.x * CHARACTER
    return [
        text(x, _base(label.y + row, top), line, kind, anchor="middle" * is_middle, of=label.of)
        for row, line in enumerate(label.lines)
    ]


def _kind(mark: Mark) -> str:
    return "" if mark is Mark.PLAIN else f" c-{mark.value}"


def _box(box: Box, top: float) -> str:
    x, y = (box.x1 + 0.5) * CHARACTER, top + (box.y1 + 0.5) * LINE
    width, height = (box.x2 - box.x1) * CHARACTER, (box.y2 - box.y1) * LINE
    kind = "c-head" if box.is_head else f"c-box{_kind(box.mark)}"
    return (
        f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
        f' rx="{5 if box.is_head else 2}" data-of="{box.of}"/>'
    )


def _arrow(arrow: Arrow, top: float) -> list[str]:
    way = 1 if arrow.x2 > arrow.x1 else -1
    y = top + (arrow.y + 0.4) * LINE
    x1, x2 = (arrow.x1 + 0.5) * CHARACTER, (arrow.x2 + 0.5) * CHARACTER - way
    kind = _kind(arrow.mark)
    dashed = " c-answer" * arrow.is_answer
    of = f'data-of="{arrow.of}"'
    line = f'<path class="c-line{dashed}{kind}" d="M{x1:.1f} {y:.1f}H{x2 - way:.1f}" {of}/>'
    return [line, _tip(x2, y, way, arrow.is_answer, arrow.mark, of)]


def _tip(x: float, y: float, way: int, is_answer: bool, mark: Mark, of: str) -> str:
    """The head of an arrow: full, open for an answer, a cross where it was refused."""
    back = x - way * 9
    if mark is Mark.REFUSED:
        middle = x - way * 6
        cross = f"M{middle - 5:.1f} {y - 5:.1f}l10 10M{middle - 5:.1f} {y + 5:.1f}l10 -10"
        return f'<path class="c-open c-refused" d="{cross}" {of}/>'
    corners = f"M{back:.1f} {y - 4.5:.1f}L{x:.1f} {y:.1f}L{back:.1f} {y + 4.5:.1f}"
    kind = "c-open" if is_answer else "c-tip"
    return f'<path class="{kind}{_kind(mark)}" d="{corners}{"" if is_answer else "Z"}" {of}/>'


def _loop(loop: Loop, top: float) -> list[str]:
    x, y1, y2 = (
        (loop.x + 0.5) * CHARACTER,
        top + (loop.y1 + 0.5) * LINE,
        top + (loop.y2 + 0.5) * LINE,
    )
    of = f'data-of="{loop.of}"'
    out = 3.5 * CHARACTER
    path = f"M{x:.1f} {y1:.1f}h{out:.1f}V{y2:.1f}H{x + 2:.1f}"
    line = f'<path class="c-line{_kind(loop.mark)}" d="{path}" {of}/>'
    return [line, _tip(x + 1, y2, -1, False, loop.mark, of)]
