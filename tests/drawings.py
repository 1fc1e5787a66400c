"""What stands where in an SVG drawing, by its own geometry, and what of it meets.

A letter is taken to be as wide as in the widest common font of a fixed width. Labels may touch the lines of
the arrow or box that they belong to, which has the same `data-of`.
"""

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

_SVG = "{http://www.w3.org/2000/svg}"
_LETTER = 0.602  # DejaVu Sans Mono, Menlo, Courier: of the size
_PIECE = re.compile(r"([MLHVhlCZ])([^MLHVhlCZ]*)")
_PARTS = 32  # of a curve or a slanting line, each of which is taken for its rectangle


Point = tuple[float, float]


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
            case "C":
                yield from _curve((x, y), numbers, of)
                x, y = numbers[-2:]
                continue
            case "h":
                x += numbers[0]
            case "l":
                x, y = x + numbers[0], y + numbers[1]
        if letter not in "MZ":
            yield from _straight(was, (x, y), of)


def _straight(one: Point, other: Point, of: str) -> Iterator[Thing]:
    if one[0] == other[0] or one[1] == other[1]:
        yield _around(one, other, of)
    else:
        yield from _curve(one, [*one, *other, *other], of)


def _around(one: Point, other: Point, of: str) -> Thing:
    (x1, y1), (x2, y2) = one, other
    return Thing(min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2), of)


def _curve(start: Point, numbers: list[float], of: str) -> Iterator[Thing]:
    """Bezier pieces of three points each."""
    points = [start, *zip(numbers[::2], numbers[1::2], strict=True)]
    for at in range(0, len(points) - 1, 3):
        places = [_on(points[at : at + 4], part / _PARTS) for part in range(_PARTS + 1)]
        for one, other in pairwise(places):
            yield _around(one, other, of)


def _on(points: list[Point], t: float) -> Point:
    """A place on a Bezier piece, `t` from 0 at its start to 1 at its end."""
    shares = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3)
    x = sum(share * point[0] for share, point in zip(shares, points, strict=True))
    return x, sum(share * point[1] for share, point in zip(shares, points, strict=True))


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
