"""What stands where in an SVG drawing, by its own geometry, and what of it meets.

A letter is taken to be as wide as in the widest common font of a fixed width. Labels may touch the lines of
the arrow or box that they belong to, which has the same `data-of`.
"""

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from typing import NamedTuple

_SVG = "{http://www.w3.org/2000/svg}"
_LETTER = 0.602  # DejaVu Sans Mono, Menlo, Courier: of the size
_PIECE = re.compile(r"([MLHVhlZ])([^MLHVhlZ]*)")


class Thing(NamedTuple):
    """A rectangle; a line's has no width or no height."""

    left: float
    top: float
    right: float
    bottom: float
    of: str
    text: str = ""


def labels(svg: str) -> list[Thing]:
    """Each text, as high as its capital letters."""
    found = []
    for text in ET.fromstring(svg).iter(f"{_SVG}text"):
        size = 14 if text.get("class") == "c-title" else 12
        words = text.text or ""
        wide = len(words) * _LETTER * size
        x, y = float(text.attrib["x"]), float(text.attrib["y"])
        left = {"middle": x - wide / 2, "end": x - wide}.get(text.get("text-anchor", ""), x)
        found.append(
            Thing(left, y - size * 0.75, left + wide, y + 2, text.get("data-of", ""), words)
        )
    return found


def edges(svg: str) -> Iterator[Thing]:
    """Each straight piece of each line, and each side of each box."""
    root = ET.fromstring(svg)
    for path in root.iter(f"{_SVG}path"):
        yield from _pieces(path.attrib["d"], path.get("data-of", "life"))
    for box in root.iter(f"{_SVG}rect"):
        if box.get("class") != "c-paper":
            x, y = float(box.attrib["x"]), float(box.attrib["y"])
            right, bottom = x + float(box.attrib["width"]), y + float(box.attrib["height"])
            corners = f"M{x} {y}H{right}V{bottom}H{x}V{y}"
            yield from _pieces(corners, box.attrib["data-of"])


def _pieces(d: str, of: str) -> Iterator[Thing]:
    x = y = 0.0
    for letter, rest in _PIECE.findall(d):
        numbers = [float(one) for one in rest.split()]
        was = x, y
        match letter:
            case "M" | "L":
                x, y = numbers
            case "H":
                x = numbers[0]
            case "V":
                y = numbers[0]
            case "h":
                x += numbers[0]
            case "l":
                x, y = x + numbers[0], y + numbers[1]
        if letter not in "MZ":
            yield Thing(min(was[0], x), min(was[1], y), max(was[0], x), max(was[1], y), of)


def meetings(svg: str) -> list[tuple[Thing, Thing]]:
    """Labels that meet another label or a foreign line, and labels that leave the drawing."""
    root = ET.fromstring(svg)
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    texts, lines = labels(svg), list(edges(svg))
    found = [
        (one, other)
        for at, one in enumerate(texts)
        for other in (*texts[at + 1 :], *(line for line in lines if line.of != one.of))
        if one.left < other.right
        and other.left < one.right
        and one.top < other.bottom
        and other.top < one.bottom
    ]
    paper = Thing(0, 0, width, height, "paper")
    return found + [
        (one, paper)
        for one in texts
        if one.left < 0 or one.top < 0 or one.right > width or one.bottom > height
    ]
