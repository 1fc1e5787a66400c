"""What a draft changed as one picture: parts before at the left, after at the right, pairs joined.

Each kind of change has its colour and its word, so that it can be read in print. The word stands in the
corner of the box after the change, or of the box that was removed. A run of parts that
nothing happened to is one box. Text is measured by widths that hold for any usual font.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape

from ..measure import width, wrapped
from ..table import GENERATED
from .compared import KINDS, Change, Layout, Part, compared, paths, places
from .table import names

_SIDE, _BETWEEN, _MARGIN = 380, 150, 24  # pixels: a column, the gap, around everything
_TOP = 92  # where the first box begins
_GAP = 8
_LINE = 16
_PAD = 8
_MOST_LINES = 3
_BOLD = 1.15  # a bold letter to a plain one
_LEFT = _MARGIN
_RIGHT = _MARGIN + _SIDE + _BETWEEN

# Kind, its colour in a light and in a dark setting.
_COLOURS = (
    ("same", "#8b949e", "#6e7681"),
    ("added", "#1a7f37", "#3fb950"),
    ("removed", "#cf222e", "#f85149"),
    ("moved", "#0969da", "#4493f8"),
    ("renamed", "#8250df", "#ab7df8"),
    ("widened", "#9a6700", "#d29922"),
    ("narrowed", "#9a6700", "#d29922"),
    ("redefined", "#1b7c83", "#39c5cf"),
)


@dataclass(slots=True)
class _Box:
    """One change, or a run of unchanged parts, at one side."""

    lines: list[str]
    remarks: list[str]
    kind: str
    word: str = ""  # in the corner
    y: float = 0.0

    @property
    def height(self) -> float:
        return _LINE * (len(self.lines) + len(self.remarks)) + 2 * _PAD

    @property
    def middle(self) -> float:
        return self.y + self.height / 2


@dataclass(slots=True)
class _Group:
    """What is drawn together: one change, or several neighbours that stayed as they were."""

    changes: list[Change] = field(default_factory=list)
    left: _Box | None = None
    right: _Box | None = None

    @property
    def kinds(self) -> tuple[str, ...]:
        return self.changes[0].kinds


def render(before: Layout, after: Layout) -> str:
    """The picture as one self-contained SVG."""
    groups = _groups(compared(before, after))
    for group in groups:
        olds = [change.before for change in group.changes]
        news = [change.after for change in group.changes]
        group.right = _box(group, news, ", ".join(group.kinds)) if any(news) else None
        removed = "" if group.right else ", ".join(group.kinds)
        group.left = _box(group, olds, removed) if any(olds) else None
    left = [each for each in _by_place(groups, 0) if each.left]
    right = [each for each in _by_place(groups, 1) if each.right]
    bottom = max(_stack([each.left for each in left]), _stack([each.right for each in right]))
    elements = [*_heading(before, _LEFT), *_heading(after, _RIGHT)]
    for draw in (_join, _boxes):
        elements += [element for group in groups for element in draw(group)]
    wide, high = _RIGHT + _SIDE + _MARGIN, round(bottom) + _MARGIN
    title = f"{before.label} and {after.label}: what changed"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}"'
            f' width="{wide}" height="{high}" role="img">',
            f"<!-- {GENERATED} -->",
            f"<title>{_xml(title)}</title>",
            f"<style>\n{_style()}</style>",
            f'<rect class="paper" width="{wide}" height="{high}"/>',
            *elements,
            "</svg>\n",
        ]
    )


def _groups(changes: Sequence[Change]) -> list[_Group]:
    """Changes one by one, and the unchanged that follow each other on both sides together."""
    found: list[_Group] = []
    for change in changes:
        last = found[-1] if found else None
        if last is None or change.kinds or last.kinds:
            found.append(_Group())
        found[-1].changes.append(change)
    return found


def _by_place(groups: Sequence[_Group], side: int) -> list[_Group]:
    def place(group: _Group) -> tuple[bool, int]:
        parts = [pair[side] for change in group.changes for pair in change.pairs]
        there = [part.start for part in parts if part is not None]
        return not there, there[0] if there else 0

    return sorted(groups, key=place)


def _box(group: _Group, parts_of: list[tuple[Part, ...]], word: str) -> _Box:
    if len(group.changes) > 1:
        named = ", ".join(names(parts) for parts in parts_of)
        span = [places(parts_of[0][:1]), places(parts_of[-1][-1:])]
        return _Box(_short(named), [f"{span[0]} ... {span[1]}"], "same")
    [parts] = parts_of
    remarks = [places(parts)]
    if shown := paths(parts):
        remarks.append(shown)
    remarks = [line for remark in remarks for line in _short(remark, 11)]
    kind = group.kinds[0] if group.kinds else "same"
    return _Box(_short(names(parts), beside=_wide(word)), remarks, kind, word)


def _wide(word: str) -> float:
    """How wide a word is in the corner of a box, with the gap before it."""
    return width(word, 12) * _BOLD + _PAD if word else 0


def _short(text: str, size: float = 13, beside: float = 0) -> list[str]:
    """The first lines of a text, where `beside` pixels are left for the word of the box."""
    lines = wrapped(text, size, _SIDE - 2 * _PAD - beside)
    return lines if len(lines) <= _MOST_LINES else [*lines[: _MOST_LINES - 1], "..."]


def _stack(boxes: Sequence[_Box | None]) -> float:
    y = float(_TOP)
    for box in boxes:
        assert box is not None
        box.y = y
        y += box.height + _GAP
    return y - _GAP


def _heading(layout: Layout, x: float) -> Iterator[str]:
    yield _text(x, _MARGIN + 16, "title", layout.label)
    for at, line in enumerate(wrapped(layout.title, 12, _SIDE)[:2]):
        yield _text(x, _MARGIN + 36 + _LINE * at, "remark", line)


def _boxes(group: _Group) -> Iterator[str]:
    for box, x in ((group.left, _LEFT), (group.right, _RIGHT)):
        if box is None:
            continue
        yield (
            f'<rect class="box {box.kind}" x="{x}" y="{box.y:g}" width="{_SIDE}"'
            f' height="{box.height:g}" rx="4"/>'
        )
        kinds = ["name"] * len(box.lines) + ["remark"] * len(box.remarks)
        for at, (kind, line) in enumerate(zip(kinds, box.lines + box.remarks, strict=True)):
            yield _text(x + _PAD, box.y + _PAD + 12 + _LINE * at, kind, line)
        if box.word:
            yield (
                f'<text class="word {box.kind}" x="{x + _SIDE - _PAD}" y="{box.y + _PAD + 12:g}"'
                f' text-anchor="end">{box.word}</text>'
            )


def _join(group: _Group) -> Iterator[str]:
    if group.left and group.right:
        start, end, bend = _LEFT + _SIDE, _RIGHT, _BETWEEN / 3
        y, to = group.left.middle, group.right.middle
        yield (
            f'<path class="join {group.left.kind}" d="M{start} {y:g}C{start + bend:g} {y:g}'
            f' {end - bend:g} {to:g} {end} {to:g}"/>'
        )


def _text(x: float, y: float, kind: str, content: str) -> str:
    return f'<text class="{kind}" x="{x:g}" y="{y:g}">{_xml(content)}</text>'


def _xml(text: str) -> str:
    return escape("".join(c if c.isprintable() else "?" for c in text), quote=False)


def _style() -> str:
    lines = [
        "text { font-family: sans-serif; font-size: 13px }",
        ".title { font-size: 16px; font-weight: 600 }",
        ".remark { font-size: 11px }",
        ".word { font-size: 12px; font-weight: 600 }",
        ".box { stroke-width: 1.5; fill-opacity: 0.08 }",
        ".join { fill: none; stroke-width: 1.5 }",
        *_coloured(1, "#ffffff", "#1f2328", "#59636e"),
        "@media (prefers-color-scheme: dark) {",
        *_coloured(2, "#0d1117", "#f0f6fc", "#9198a1"),
        "}",
    ]
    return "\n".join([*lines, ""])


def _coloured(setting: int, paper: str, ink: str, faint: str) -> Iterator[str]:
    yield f".paper {{ fill: {paper} }}"
    yield f".title, .name {{ fill: {ink} }}"
    yield f".remark {{ fill: {faint} }}"
    for colour in _COLOURS:
        kind, shade = colour[0], colour[setting]
        yield f".box.{kind} {{ fill: {shade}; stroke: {shade} }}"
        yield f".join.{kind} {{ stroke: {shade} }}"
        yield f".word.{kind} {{ fill: {shade} }}"


assert {colour[0] for colour in _COLOURS} == {"same", *KINDS}
