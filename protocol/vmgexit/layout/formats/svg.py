"""Layouts as drawings: one self-contained SVG with a picture for each kind of structure in it.

Lanes of 32 bits, most significant bit left, lanes ascending. A name that does not fit its box stands
beside a leader below the lane; no text is ever placed where it could run into something, by widths
(`measure`) that hold for any usual font. The colours follow the reader's light or dark setting. A
structure of many fields is drawn compact: rows of 16 bytes, as low as a line of text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ...schema import Rule
from ..lanes import LANE, Box, Lane, lanes
from ..measure import width, wrapped
from ..subjects import Subject, classes
from ..table import DIFFER, GENERATED, Sheet, Table, hexadecimal, sheet

# All distances are in pixels.
_LEFT, _WIDTH, _RIGHT = 76, 832, 28  # offsets, the lane, what stays free beside it
_MARGIN = 28  # above the first line and below the last
_MANY = 64  # lanes: a structure of more is drawn compact
_BYTE = 80  # a byte at least this wide has its bit numbers above it
_PAD = 5  # at least between a box's side and its text
_LEADER = 18  # from one leader's line to the next
_GAP = 10  # from a name to what stands behind it
_BOLDER = 1.15  # how much wider text may be when it is not of normal weight


@dataclass(frozen=True, slots=True)
class _Form:
    """How high lanes are, and how many bits each has."""

    bits: int
    box: int  # height of a lane
    collapsed: int  # height of a block that stands for many lanes
    torn: int  # where it is torn, from its top


_WIDE = _Form(LANE, 46, 74, 57)
_COMPACT = _Form(4 * LANE, 24, 44, 31)  # rows of 16 bytes: two registers of 64 bits side by side

# Font size, whether monospaced, and other style of each kind of text. Measured and styled from here.
_FONTS = {
    "title": (20, False, "font-weight: 600"),
    "heading": (15, False, "font-weight: 600"),
    "prose": (13, False, ""),
    "fact": (12, False, ""),
    "name": (13, False, ""),
    "remark": (11, True, ""),
    "offset": (11, True, ""),
    "bit": (10, True, ""),
}

# Class, property, light colour, dark colour.
_COLOURS = (
    ("paper", "fill", "#ffffff", "#0d1117"),
    ("title, .heading, .name", "fill", "#1f2328", "#f0f6fc"),
    ("prose", "fill", "#1f2328", "#d1d7e0"),
    ("fact, .remark, .offset, .bit", "fill", "#59636e", "#9198a1"),
    ("field", "fill", "#fbfcfd", "#151b23"),
    ("nested", "fill", "#ddf0fb", "#12304a"),
    ("zero, .ignored", "fill", "#f0f1f3", "#1c222a"),
    ("hatch", "stroke", "#c9ced4", "#39424d"),
    ("dots", "fill", "#b4bbc3", "#4a5460"),
    ("edge, .box", "stroke", "#4b5560", "#7d8792"),
    ("leader", "stroke", "#8b949e", "#6e7681"),
    ("dot", "fill", "#4b5560", "#9198a1"),
    ("rule", "stroke", "#d1d9e0", "#3d444d"),
)

_PATTERNS = """\
<defs>
<pattern id="hatching" width="7" height="7" patternUnits="userSpaceOnUse" \
patternTransform="rotate(45)"><path class="hatch" d="M0 0V7"/></pattern>
<pattern id="dotting" width="7" height="7" patternUnits="userSpaceOnUse">\
<circle class="dots" cx="2" cy="2" r="0.9"/></pattern>
</defs>"""


def render(
    subjects: Sequence[Subject],
    *,
    plain: bool = False,
    theme: str = "auto",
    compact: bool = False,
) -> str:
    """The drawing of the one structure in `subjects`, and below it those of the structures in it.

    `plain`: the structures alone, without titles and sources. `theme`: auto follows the reader's
    setting, light and dark do not. `compact`: low rows of 16 bytes, which are for many fields.
    """
    [cls] = classes(subjects)
    drawn = sheet(cls)
    compact = compact or len(list(lanes(drawn.tables[0]))) > _MANY
    drawing = _Drawing(_COMPACT if compact else _WIDE, plain=plain)
    for index, table in enumerate(drawn.tables):
        drawing.heading(table, is_first=index == 0)
        drawing.structure(table)
    drawing.legend(drawn)
    return drawing.document(drawn, theme)


@dataclass(frozen=True, slots=True)
class _Scale:
    """Horizontal places within a lane. A structure that is shorter is stretched to its width."""

    bits: int

    def left(self, bit: int) -> float:
        """The left side of `bit`, whose right side is the left side of `bit - 1`."""
        return _LEFT + _WIDTH * (self.bits - 1 - bit) / self.bits

    def span(self, box: Box) -> tuple[float, float]:
        return self.left(box.high), self.left(box.low - 1)


class _Drawing:
    """The elements drawn so far, `y`, where the next may begin, and how far right they reach."""

    def __init__(self, memory: _Form, *, plain: bool) -> None:
        self.memory = memory  # how structures of bytes are drawn; words are always wide
        self.plain = plain
        self.elements: list[str] = []
        self.y = float(_MARGIN)
        self.right = float(_LEFT + _WIDTH)

    def text(self, x: float, y: float, kind: str, content: str, anchor: str = "start") -> float:
        """A line of text whose baseline is at `y`; gives its right end."""
        wide = _width(content, kind)
        right = x + {"start": wide, "middle": wide / 2, "end": 0}[anchor]
        self.right = max(self.right, right)
        place = f' text-anchor="{anchor}"' * (anchor != "start")
        self.elements.append(
            f'<text class="{kind}" x="{_number(x)}" y="{_number(y)}"{place}>{_xml(content)}</text>'
        )
        return right

    def named(self, x: float, y: float, name: str, attribute: str) -> None:
        """A name and, as far behind it as the reader's font makes it, an attribute."""
        self.elements.append(
            f'<text x="{_number(x)}" y="{_number(y)}"><tspan class="name">{_xml(name)}</tspan>'
            f'<tspan class="remark" dx="{_GAP}">{_xml(attribute)}</tspan></text>'
        )
        wide = sum(_width(text, kind) for text, kind in ((name, "name"), (attribute, "remark")))
        self.right = max(self.right, x + wide + _GAP)

    def rectangle(self, kind: str, x: float, y: float, wide: float, high: float) -> None:
        self.elements.append(f'<rect class="box {kind}" {_place(x, y, wide, high)}/>')
        pattern = {"zero": "hatching", "ignored": "dotting"}.get(kind)
        if pattern:  # within the edge, so that the edge stays a line
            inner = _place(x + 1, y + 1, wide - 1, high - 1)
            self.elements.append(f'<rect fill="url(#{pattern})" {inner}/>')

    def line(self, kind: str, path: str) -> None:
        self.elements.append(f'<path class="{kind}" d="{path}"/>')

    # --- what stands above a structure ------------------------------------------------------------

    def heading(self, table: Table, *, is_first: bool) -> None:
        if not is_first:
            self.y += 14
            if not self.plain:
                self.line("rule", f"M{_LEFT} {_number(self.y)}h{_WIDTH}")
            self.y += 14
        if self.plain:
            if not is_first:  # of several structures, each needs its name
                self.text(_LEFT, self.y + 12, "name", table.label)
                self.y += 20
            return
        kind = "title" if is_first else "heading"
        size = _FONTS[kind][0]
        self.text(_LEFT, self.y + size * 0.8, kind, table.label)
        self.y += size + 6
        self.prose("prose", table.title)
        facts = {name: text for name, text in table.facts[1:] if name != DIFFER}
        alone = [f"{name}: {facts.pop(name)}" for name in ("Source", "Stands at") if name in facts]
        self.prose("fact", " · ".join(f"{name}: {text}" for name, text in facts.items()))
        for fact in alone:
            self.prose("fact", fact)
        self.y += 8

    def prose(self, kind: str, content: str) -> None:
        size = _FONTS[kind][0]
        for line in wrapped(content, size, _WIDTH):
            self.text(_LEFT, self.y + size, kind, line)
            self.y += size + 5

    # --- the structure ----------------------------------------------------------------------------

    def structure(self, table: Table) -> None:
        form = _WIDE if table.is_bits else self.memory
        size = form.bits if table.of.declaration.any_length else table.of.size * 8
        scale = _Scale(min(form.bits, size))
        found = list(lanes(table, form.bits))
        if not table.is_bits:
            self.bytes_header(scale)
        for lane in found:
            if table.is_bits:
                self.bit_numbers(lane, scale)
            self.offsets(lane, form, shown=not table.is_bits or len(found) > 1)
            self.lane(table, lane, scale, form)
            if table.is_bits and lane is not found[-1]:
                self.y += 10
        self.y += 10

    def bytes_header(self, scale: _Scale) -> None:
        """Bit numbers at the edges of each byte of a lane, and the byte's own number between them."""
        for byte in range(scale.bits // 8):
            left, right = scale.left(byte * 8 + 7), scale.left(byte * 8 - 1)
            if right - left < _BYTE:  # no room for bit numbers
                self.text((left + right) / 2, self.y + 10, "bit", f"+{byte}", "middle")
                continue
            self.text(left + 3, self.y + 10, "bit", str(byte * 8 + 7))
            self.text((left + right) / 2, self.y + 10, "bit", f"+{byte}", "middle")
            self.text(right - 3, self.y + 10, "bit", str(byte * 8), "end")
        self.y += 15

    def bit_numbers(self, lane: Lane, scale: _Scale) -> None:
        """The numbers of the first and last bit of each box, above it."""
        base = lane.offset * 8
        for box in lane.boxes:
            left, right = scale.span(box)
            if box.high == box.low:
                place = (left + right) / 2
                self.text(place, self.y + 10, "bit", str(base + box.low), "middle")
            else:
                inset = min(3, (right - left) / 20)
                self.text(left + inset, self.y + 10, "bit", str(base + box.high))
                self.text(right - inset, self.y + 10, "bit", str(base + box.low), "end")
        self.y += 15

    def offsets(self, lane: Lane, form: _Form, *, shown: bool) -> None:
        """Byte offsets at the left: of each lane, or of the first and last of a collapsed block."""
        if not shown:
            return
        middle = self.y + form.box / 2 + 4
        last = hexadecimal(lane.offset + (lane.height - 1) * form.bits // 8)
        self.text(_LEFT - 10, middle, "offset", lane.label, "end")
        if lane.height == 2:
            self.text(_LEFT - 10, middle + form.box, "offset", last, "end")
        elif lane.height > 2:
            self.text(_LEFT - 10, self.y + form.collapsed - 3, "offset", last, "end")

    def lane(self, table: Table, lane: Lane, scale: _Scale, form: _Form) -> None:
        is_torn = lane.height > 2
        high = form.collapsed if is_torn else form.box * lane.height
        led = [
            box
            for box in lane.boxes
            if not self.box(table, box, scale, form, high, is_torn=is_torn)
        ]
        self.y += high
        self.leaders(led, scale, high)

    def box(
        self, table: Table, box: Box, scale: _Scale, form: _Form, high: float, *, is_torn: bool
    ) -> bool:
        """Draw one box; whether its name fitted."""
        row = box.row
        left, right = scale.span(box)
        self.elements.append('<g class="piece">')
        where = row.bits if table.is_bits else f"{row.offset}, {row.bytes}"
        self.elements.append(
            f"<title>{_xml(f'{where}: {row.name} ({row.attribute}): {row.description}')}</title>"
        )
        kind = "nested" if row.nested else _reserved_kind(row.field.rule)
        self.rectangle(kind, left, self.y, right - left, high)
        free = right - left - 2 * _PAD
        names = [name for name in box.names() if _width(name, "name") <= free]
        if names:
            middle = self.y + (form.box if is_torn else high) / 2
            self.label(names[0], box.remarks(table), (left + right) / 2, middle, free, form)
        if is_torn:
            self.tear(left, right, form)
        self.elements.append("</g>")
        return bool(names)

    def label(
        self, name: str, remarks: list[str], at: float, middle: float, free: float, form: _Form
    ) -> None:
        """The name in a box with the longest remark that fits: below it, or behind it in a low box."""
        if form is _WIDE:
            shown = [text for text in remarks if _width(text, "remark") <= free]
            self.text(at, middle + (-2 if shown else 5), "name", name, "middle")
            if shown:
                self.text(at, middle + 14, "remark", shown[0], "middle")
            return
        room = free - _width(name, "name") - _GAP
        shown = [text for text in remarks if _width(text, "remark") <= room]
        if not shown:
            self.text(at, middle + 5, "name", name, "middle")
            return
        start = at - (_width(name, "name") + _GAP + _width(shown[0], "remark")) / 2
        self.named(start, middle + 5, name, shown[0])

    def tear(self, left: float, right: float, form: _Form) -> None:
        """Two waves across a block, between them nothing: lanes are left out here."""
        y, start = self.y + form.torn, left - 6
        waves = int((right - left + 12) // 26) // 2 * 2
        step = _number((right - left + 12) / waves)
        wave = f"q{_number(float(step) / 2)} -5 {step} 0" + f"t{step} 0" * (waves - 1)
        back = f"q-{_number(float(step) / 2)} 5 -{step} 0" + f"t-{step} 0" * (waves - 1)
        end = _number(start + float(step) * waves)
        self.line("paper", f"M{_number(start)} {_number(y)}{wave}V{_number(y + 5)}{back}Z")
        self.line("edge", f"M{_number(start)} {_number(y)}{wave}M{end} {_number(y + 5)}{back}")

    def leaders(self, boxes: Iterable[Box], scale: _Scale, high: float) -> None:
        """Names below the lane, each at the end of a line from its box.

        The rightmost box comes first: the lines of those below it then pass left of its name.
        """
        boxes = sorted(boxes, key=lambda box: box.low)
        top = self.y - high / 2
        for box in boxes:
            left, right = scale.span(box)
            at = (left + right) / 2
            self.y += _LEADER
            self.elements.append(
                f'<circle class="dot" cx="{_number(at)}" cy="{_number(top)}" r="2.5"/>'
            )
            self.line("leader", f"M{_number(at)} {_number(top)}V{_number(self.y - 4)}h10")
            self.named(at + 14, self.y, box.names()[0], box.row.attribute)
        if boxes:
            self.y += 8

    # --- the whole --------------------------------------------------------------------------------

    def legend(self, drawn: Sheet) -> None:
        """What the fillings mean, of those that are used."""
        fields = [row.field for table in drawn.tables for row in table.rows]
        used = {_reserved_kind(field.rule) for field in fields if field.of is None}
        used |= {"nested" for field in fields if field.of is not None}
        meanings = (
            ("zero", f"R, Reserved: {Rule.ZERO.value}"),
            ("ignored", f"R, Reserved: {Rule.IGNORED.value}"),
            ("nested", "a structure, drawn below"),
        )
        shown = [(kind, meaning) for kind, meaning in meanings if kind in used]
        if not shown:
            return
        self.y += 16
        x = float(_LEFT)
        for kind, meaning in shown:
            self.rectangle(kind, x, self.y, 22, 14)
            x = self.text(x + 30, self.y + 11, "fact", meaning) + 28
        self.y += 14

    def document(self, drawn: Sheet, theme: str) -> str:
        wide, high = _number(round(self.right + _RIGHT)), _number(round(self.y + _MARGIN))
        title = f"{drawn.tables[0].label}: {drawn.tables[0].title}"
        return "\n".join(
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}"'
                f' width="{wide}" height="{high}" role="img">',
                f"<!-- {GENERATED} -->",
                *([] if self.plain else [f"<title>{_xml(title)}</title>"]),
                f"<style>\n{_style(theme)}</style>",
                _PATTERNS,
                f'<rect class="paper" width="{wide}" height="{high}"/>',
                *self.elements,
                "</svg>\n",
            )
        )


def _reserved_kind(rule: Rule | None) -> str:
    return {None: "field", Rule.ZERO: "zero", Rule.IGNORED: "ignored"}[rule]


def _width(text: str, kind: str) -> float:
    size, monospace, style = _FONTS[kind]
    return width(text, size, monospace=monospace) * (_BOLDER if style else 1)


def _place(x: float, y: float, wide: float, high: float) -> str:
    values = {"x": x, "y": y, "width": wide, "height": high}
    return " ".join(f'{name}="{_number(value)}"' for name, value in values.items())


def _number(value: float) -> str:
    """A coordinate, to the hundredth and no more digits than it needs."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _xml(text: str) -> str:
    """`text` for an element's content; what XML cannot hold at all becomes a question mark."""
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _style(theme: str) -> str:
    """The style sheet, with the colours of a theme; auto has both."""
    lines = []
    for kind, (size, monospace, more) in _FONTS.items():
        family = "ui-monospace, Menlo, Consolas, monospace" if monospace else "sans-serif"
        more = f"; {more}" if more else ""
        lines.append(f".{kind} {{ font-family: {family}; font-size: {size}px{more} }}")
    lines += [
        ".box, .edge, .leader, .rule, .hatch { stroke-width: 1 }",
        ".edge, .leader, .rule { fill: none }",
        ".box, .rule { shape-rendering: crispEdges }",
        ".hatch { stroke-width: 1.5 }",
    ]
    light = [f".{kind} {{ {name}: {colour} }}" for kind, name, colour, _ in _COLOURS]
    dark = [f".{kind} {{ {name}: {colour} }}" for kind, name, _, colour in _COLOURS]
    lines += dark if theme == "dark" else light
    if theme == "auto":
        lines += ["@media (prefers-color-scheme: dark) {", *dark, "}"]
    return "\n".join([*lines, ""])
