"""Drawings: well-formed, no label past its box, no two texts on each other, in a font wider than most.

Nothing here asks the renderer how wide a text is: widths are those of DejaVu Sans, the widest of the
faces that browsers fall back to, copied from its own tables.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any
from xml.etree import ElementTree

import pytest

from vmgexit import ApicIcr, CallingArea, DoorbellPage, ExtIntStatus, SvsmCall
from vmgexit.layout.formats import svg
from vmgexit.layout.naming import label
from vmgexit.layout.subjects import published
from vmgexit.schema import (
    Bits,
    Record,
    Structure,
    array,
    bit,
    bits,
    nested,
    raw,
    reserved,
    reserved_bytes,
    structure,
    u8,
    u16,
    u32,
    u64,
)
from vmgexit.wire.registry import structures

NAMESPACE = "{http://www.w3.org/2000/svg}"

# Thousandths of the font size; DejaVu Sans 2.37, normal weight.
DEJAVU = {
    letter: thousandths
    for thousandths, letters in {
        275: "'",
        278: "ijl",
        295: "IJ",
        318: " ,.·",
        337: "/:;\\|",
        352: "f",
        361: "-",
        390: "()[]",
        392: "t",
        401: "!",
        411: "r",
        460: '"',
        500: "*_`",
        521: "s",
        525: "z",
        531: "?",
        550: "c",
        557: "L",
        575: "F",
        579: "k",
        592: "vxy",
        603: "P",
        611: "TY",
        612: "o",
        613: "a",
        615: "e",
        632: "E",
        634: "hnu",
        635: "Sbdgpq",
        636: "$0123456789{}",
        656: "K",
        684: "AV",
        685: "XZ",
        686: "B",
        695: "R",
        698: "C",
        732: "U",
        748: "N",
        752: "H",
        770: "D",
        775: "G",
        780: "&",
        787: "OQ",
        818: "w",
        838: "#+<=>^~",
        863: "M",
        950: "%",
        974: "m",
        989: "W",
    }.items()
    for letter in letters
}
MONOSPACED = 602  # DejaVu Sans Mono; Courier, Menlo and Consolas are no wider


@structure("test-flags", size=8)
class Flags(Bits):
    """One-bit fields in a row, at both ends of both lanes, with names of every length."""

    a: bool = bit("a")
    a_flag_with_a_very_long_name_at_the_right_edge: bool = bit("b")
    m_wide_mwmwmw: bool = bit("c")
    reserved_3: int = reserved(1)
    two_bits: int = bits(2, "d")
    across_the_middle: int = bits(40, "e")
    reserved_47_46: int = reserved(2)
    short: int = bits(3, "f")
    reserved_62_51: int = reserved(12)
    last_of_all: bool = bit("g")


@structure("test-unaligned", size=4 * 12 + 1)
class Unaligned(Record):
    """Fields that begin and end anywhere & <everywhere>."""

    first: int = u8("one")
    second_with_a_name_that_no_box_of_sixteen_bits_can_ever_hold_at_all: int = u16("two")
    third: int = u64("eight, over three lanes")
    flags: Flags = nested(Flags, "\x00 <b>\x1b[31m & ]]> \"'")
    more: bytes = raw(13, "a lane and a part", spec="<More>&")
    reserved_0x020: bytes = reserved_bytes(6)
    fourth: int = u32("four")
    fifth: bytes = raw(7, "to the end")


@structure("test-entries", size=3000)
class Entries(Record):
    """Many of them."""

    entries: list[Unaligned] = array(Unaligned, 60, "each of 49 bytes")
    reserved_0xb7c: bytes = reserved_bytes(60)


def render(cls: type[Structure], **options: Any) -> str:
    return svg.render([cls], **options)


TORTURE = [Flags, Unaligned, Entries]


@dataclass
class Label:
    """A text as drawn: its box is `left` to `right`, and the letters' height around the baseline."""

    content: str
    left: float
    right: float
    top: float
    bottom: float


def fonts(root: ElementTree.Element) -> dict[str, tuple[float, bool, bool]]:
    """Class to size, whether monospaced, whether bold: read off the style sheet."""
    found = {}
    style = root.findtext(f"{NAMESPACE}style") or ""
    for line in style.splitlines():
        if "font-size" in line:
            size = float(line.partition("font-size: ")[2].partition("px")[0])
            name = line.partition(" ")[0].lstrip(".")
            found[name] = (size, "monospace" in line, "font-weight" in line)
    return found


def labels(
    element: ElementTree.Element, sizes: dict[str, tuple[float, bool, bool]]
) -> Iterator[Label]:
    for text in element.iter(f"{NAMESPACE}text"):
        wide, tallest, content = 0.0, 0.0, ""
        for part in list(text) or [text]:
            size, monospaced, is_bold = sizes[part.get("class", "")]
            letters = part.text or ""
            thousandths = sum(MONOSPACED if monospaced else DEJAVU.get(c, 1000) for c in letters)
            wide += thousandths / 1000 * size * (1.13 if is_bold else 1)
            wide += float(part.get("dx", 0))
            tallest, content = max(tallest, size), content + letters
        x, y = float(text.get("x", "nan")), float(text.get("y", "nan"))
        left = x - wide * {"start": 0, "middle": 0.5, "end": 1}[text.get("text-anchor", "start")]
        yield Label(content, left, left + wide, y - tallest * 0.76, y + tallest * 0.24)


def drawn(cls: type[Structure]) -> tuple[ElementTree.Element, list[Label]]:
    root = ElementTree.fromstring(render(cls))
    return root, list(labels(root, fonts(root)))


@pytest.mark.parametrize("cls", [*published(), *TORTURE], ids=label)
def test_a_picture_can_be_read(cls: type[Structure]) -> None:
    root, found = drawn(cls)
    check_boxes(root)
    check_texts(root, found)
    check_leaders(root, found)
    check_names(root, found, cls)
    check_is_self_contained(root)


def check_boxes(root: ElementTree.Element) -> None:
    """No label leaves its box."""
    sizes = fonts(root)
    pieces = root.findall(f"{NAMESPACE}g[@class='piece']")
    assert pieces
    for piece in pieces:
        box = piece.find(f"{NAMESPACE}rect")
        assert box is not None
        left, top = float(box.get("x", "nan")), float(box.get("y", "nan"))
        right = left + float(box.get("width", "nan"))
        bottom = top + float(box.get("height", "nan"))
        for text in labels(piece, sizes):
            assert left < text.left, text
            assert text.right < right, text
            assert top < text.top, text
            assert text.bottom < bottom, text


def check_texts(root: ElementTree.Element, found: list[Label]) -> None:
    """All texts are in the picture, and no two of them collide."""
    _, _, wide, high = map(float, root.get("viewBox", "").split())
    for text in found:
        assert text.left >= 0, text
        assert text.right <= wide, text
        assert text.top >= 0, text
        assert text.bottom <= high, text
    for one, other in combinations(found, 2):
        apart = (
            one.right <= other.left
            or other.right <= one.left
            or one.bottom <= other.top
            or other.bottom <= one.top
        )
        assert apart, (one, other)


def check_leaders(root: ElementTree.Element, found: list[Label]) -> None:
    """No leader crosses a name."""
    for line in root.findall(f"{NAMESPACE}path[@class='leader']"):
        # M x top V bottom h 10
        start, _, rest = line.get("d", "").removeprefix("M").partition("V")
        x, top = map(float, start.split())
        bottom = float(rest.partition("h")[0])
        for text in found:
            assert not (text.left < x < text.right and text.top < bottom and text.bottom > top), (
                text
            )


def check_names(root: ElementTree.Element, found: list[Label], cls: type[Structure]) -> None:
    """Every field is named, and every box explains itself."""
    shown = " ".join(text.content for text in found)
    hovered = " ".join(title.text or "" for title in root.iter(f"{NAMESPACE}title"))
    for field in cls.declaration.fields:
        if field.rule is None:
            assert field.spec in shown
        assert f"({field.name}" in hovered


def check_is_self_contained(root: ElementTree.Element) -> None:
    """Nothing else is loaded, and light and dark pages have their colours."""
    used = {element.tag.removeprefix(NAMESPACE) for element in root.iter()}
    assert used <= {
        *("svg", "title", "style", "defs", "pattern", "g", "rect", "path", "circle", "text"),
        "tspan",
    }
    style = root.findtext(f"{NAMESPACE}style") or ""
    assert "@import" not in style
    assert "url(" not in style
    assert "prefers-color-scheme: dark" in style


def boxes(cls: type[Structure]) -> list[list[str]]:
    """The names in the boxes of the first structure drawn, lane by lane, as they stand in the file."""
    root, _ = drawn(cls)
    found: dict[str, list[str]] = {}
    for piece in root.findall(f"{NAMESPACE}g[@class='piece']"):
        box = piece.find(f"{NAMESPACE}rect")
        assert box is not None
        texts = [text.text or "" for text in piece.findall(f"{NAMESPACE}text")]
        found.setdefault(box.get("y", ""), []).append(texts[0] if texts else "-")
    return list(found.values())


def test_lanes_of_the_calling_area() -> None:
    assert boxes(CallingArea) == [
        ["CallPending", "MemAvailable", "NoEoiRequired", "Reserved"],
        ["Reserved"],
        ["Buffer"],
    ]


def test_long_fields_are_one_block() -> None:
    assert boxes(DoorbellPage)[:6] == [
        ["Vector", "Flags", "NoEoiRequired", "PerVmplEvents"],
        ["Reserved"],
        ["VMPL1"],
        ["VMPL2"],
        ["VMPL3"],
        ["Reserved"],
    ]
    assert boxes(SvsmCall) == [["RAX"], ["RCX"], ["RDX"], ["R8"], ["R9"]]


def test_most_significant_bit_is_left() -> None:
    root, _ = drawn(ApicIcr)
    lefts = {}
    for piece in root.findall(f"{NAMESPACE}g[@class='piece']"):
        box = piece.find(f"{NAMESPACE}rect")
        assert box is not None
        title = piece.findtext(f"{NAMESPACE}title") or ""
        lefts[title.split(": ")[0]] = float(box.get("x", "nan"))
    assert lefts["7:0"] > lefts["10:8"] > lefts["11"] > lefts["19:18"] > lefts["31:20"]
    assert lefts["63:32"] == lefts["31:20"]


def test_narrow_fields_are_named_beside_leaders() -> None:
    root, found = drawn(ExtIntStatus)
    leaders = root.findall(f"{NAMESPACE}path[@class='leader']")
    assert len(leaders) == 6
    shown = [text.content for text in found]
    for name in ("NmiPending", "McPending", "LevelSensitive", "MultipleVectors", "IpiRequested"):
        assert any(text.startswith(name) for text in shown)


def test_the_dword_revision_has_a_leader_for_each_of_its_bits() -> None:
    root, _ = drawn(structures()["ext-int-status"]["2024-04-30-dword"])
    assert len(root.findall(f"{NAMESPACE}path[@class='leader']")) == 13


def test_hostile_text_stays_text() -> None:
    text = render(Unaligned)
    assert "<b>" not in text
    assert "\x00" not in text
    assert "\x1b" not in text
    root = ElementTree.fromstring(text)
    titles = [title.text or "" for title in root.iter(f"{NAMESPACE}title")]
    assert any("<b>?[31m & ]]> \"'" in title for title in titles)
    assert "<More>&" in [text.text for text in root.iter(f"{NAMESPACE}text")]
