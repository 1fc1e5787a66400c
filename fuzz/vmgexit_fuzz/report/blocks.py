"""The parts of a section: text, tables, charts and maps. The template has one macro for each
`shape`."""

from __future__ import annotations

from dataclasses import dataclass

from .chart import Chart
from .load import Found


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell. `kind` is how it looks, `title` more of it, `share` a bar in per cent, `more` a text to
    unfold."""

    text: str
    kind: str = ""
    title: str = ""
    share: float | None = None
    more: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table. The first cell of a row is its heading; `upright` columns have headings on end. A
    map has a `score`: how much was reached, and of how much."""

    caption: str
    columns: list[str]
    rows: list[list[Cell]]
    upright: int = 0  # how many of the last columns
    score: tuple[int, int] = (0, 0)
    shape: str = "table"


@dataclass(frozen=True, slots=True)
class Prose:
    """A paragraph."""

    text: str
    shape: str = "prose"


@dataclass(frozen=True, slots=True)
class Facts:
    """Large figures: what, how much, and a word on it."""

    facts: list[tuple[str, str, str]]
    shape: str = "facts"


@dataclass(frozen=True, slots=True)
class Charts:
    """Drawings side by side."""

    charts: list[Chart]
    shape: str = "charts"


@dataclass(frozen=True, slots=True)
class Legend:
    """What cells of a map mean: how they look, what stands in them, the words."""

    entries: list[tuple[str, str, str]]
    shape: str = "legend"


@dataclass(frozen=True, slots=True)
class Findings:
    """Findings: each with how to see it again."""

    findings: list[tuple[Found, str]]
    shape: str = "findings"


@dataclass(frozen=True, slots=True)
class Texts:
    """Texts to unfold: name and text."""

    texts: list[tuple[str, str]]
    shape: str = "texts"


Block = Table | Prose | Facts | Charts | Legend | Findings | Texts


@dataclass(frozen=True, slots=True)
class Section:
    """One section. `anchor` is its place in the page."""

    anchor: str
    title: str
    blocks: list[Block]
