"""The sheet that a drawing stands on: its letters, its colours in light and dark, title and legend.

Letters are of a fixed width, taken as that of the widest common font: what fits by it fits in every other.
Names of classes begin with `c-`, and the styles hold within a drawing alone, so that a page can have many.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape

from ..layout.measure import width as text_width

SIZE, TITLE_SIZE = 12, 14  # pixels of a letter
LINE = 16
CHARACTER = text_width("0", SIZE, monospace=True)
_TITLE_CHARACTER = text_width("0", TITLE_SIZE, monospace=True)
_MARGIN = CHARACTER
_HEAD_LINE, _LEGEND_LINE = 19, 17

STYLE = """
.c-chart { background: #ffffff; }
.c-chart text { font: 12px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #1b1f24; }
.c-chart .c-title { font-weight: bold; font-size: 14px; }
.c-chart .c-faint { fill: #57606a; }
.c-chart .c-paper { fill: #ffffff; }
.c-chart .c-life { stroke: #8b95a1; stroke-dasharray: 2 4; }
.c-chart .c-box { fill: #fff8e1; stroke: #b58a1b; }
.c-chart .c-head { fill: #e9f0fb; stroke: #3f66a6; }
.c-chart .c-inner { fill: none; stroke: #3f66a6; }
.c-chart .c-head-text { font-weight: bold; }
.c-chart .c-line, .c-chart .c-open { fill: none; stroke: #38424d; stroke-width: 1.3; }
.c-chart .c-tip { fill: #38424d; stroke: none; }
.c-chart .c-answer { stroke-dasharray: 6 3; }
.c-chart .c-refused { fill: #9a4a00; }
.c-chart .c-line.c-refused, .c-chart .c-open.c-refused { fill: none; stroke: #9a4a00; }
.c-chart .c-box.c-broken { fill: #fdecea; stroke: #a3231f; stroke-width: 2.5; }
.c-chart text.c-broken { fill: #8c1a16; }
@media (prefers-color-scheme: dark) {
.c-chart { background: #0d1117; }
.c-chart text { fill: #e6edf3; }
.c-chart .c-faint { fill: #9aa7b4; }
.c-chart .c-paper { fill: #0d1117; }
.c-chart .c-life { stroke: #6b7682; }
.c-chart .c-box { fill: #2b2511; stroke: #c9a13a; }
.c-chart .c-head { fill: #18263b; stroke: #7aa2e3; }
.c-chart .c-inner { stroke: #7aa2e3; }
.c-chart .c-line, .c-chart .c-open { stroke: #b4c0cc; }
.c-chart .c-tip { fill: #b4c0cc; }
.c-chart .c-refused { fill: #ffb066; }
.c-chart .c-line.c-refused, .c-chart .c-open.c-refused { fill: none; stroke: #ffb066; }
.c-chart .c-box.c-broken { fill: #3a1917; stroke: #ff8f88; }
.c-chart text.c-broken { fill: #ffb3ae; }
}"""
"""Of every drawing; a page with many has it once."""

_PIECES = re.compile(r"(?<=[_,/])(?=\w)|(?<=[a-z])(?=[A-Z])")
"""Where a word is broken that is too long for a line."""


def wrapped(text: str, width: int) -> tuple[str, ...]:
    """Lines of at most `width` characters: broken at spaces, a longer word after `_` or before a
    capital, else anywhere. A number stays with the word before it."""
    found: list[str] = []
    for paragraph in text.split("\n"):
        line = ""
        for word in _words(paragraph, width):
            if line and len(line) + 1 + len(word) <= width:
                line += f" {word}"
                continue
            if line:
                found.append(line)
            *full, line = _parts(word, width)
            found += full
        found.append(line)
    return tuple(found)


def _words(paragraph: str, width: int) -> list[str]:
    words: list[str] = []
    for word in paragraph.split():
        if words and word[0].isdigit() and len(words[-1]) + 1 + len(word) <= width:
            words[-1] += f" {word}"
        else:
            words.append(word)
    return words


def _parts(word: str, width: int) -> list[str]:
    """A word in as few parts as fit."""
    parts = [""]
    for piece in _PIECES.split(word) if len(word) > width else [word]:
        if len(parts[-1]) + len(piece) > width and parts[-1]:
            parts.append("")
        parts[-1] += piece
        while len(parts[-1]) > width:
            parts[-1:] = [parts[-1][:width], parts[-1][width:]]
    return parts


def text(x: float, y: float, words: str, kind: str, *, anchor: str = "", of: object = "") -> str:
    """A line of text whose letters stand at `y`; `of` is the line or box that it belongs to."""
    placed_at = f'x="{x:.1f}" y="{y:.1f}"' + f' text-anchor="{anchor}"' * bool(anchor)
    owner = f' data-of="{of}"' if of != "" else ""
    return f'<text class="{kind}" {placed_at}{owner}>{escape(words)}</text>'


class Sheet:
    """A drawing in the making. Its body is put between the head and the legend."""

    def __init__(self, title: str, about: str, width: float) -> None:
        """`width` in pixels, of the body."""
        self.title, self.about, self.width = title, about, width
        self._down, self._parts = 22.0, list[str]()
        self._put("c-title", wrapped(title, max(int((width - 2 * _MARGIN) / _TITLE_CHARACTER), 20)))
        self._put("c-faint", wrapped(about, self._columns))
        self.top = self._down + 2
        """Where the body begins."""

    @property
    def _columns(self) -> int:
        return max(int((self.width - 2 * _MARGIN) / CHARACTER), 20)

    def _put(self, kind: str, lines: Iterable[str], step: int = _HEAD_LINE) -> None:
        for line in lines:
            self._parts.append(text(_MARGIN, self._down, line, kind))
            self._down += step

    def render(
        self, body: Iterable[str], height: float, legend: Iterable[str], *, style: str = STYLE
    ) -> str:
        """The whole drawing; the body is `height` pixels high."""
        self._parts += body
        self._down = self.top + height + 14
        for line in legend:
            self._put("c-faint", wrapped(line, self._columns), _LEGEND_LINE)
        wide, high = round(self.width + 1), round(self._down + 2)
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" class="c-chart" viewBox="0 0 {wide} {high}"'
                f' width="{wide}" height="{high}" role="img"'
                f' aria-label="{escape(self.title)}">',
                f"<title>{escape(self.title)}</title>",
                f"<desc>{escape(self.about)}</desc>",
                *([f"<style>{style}\n</style>"] if style else []),
                f'<rect class="c-paper" width="{wide}" height="{high}"/>',
                *self._parts,
                "</svg>",
                "",
            ]
        )
