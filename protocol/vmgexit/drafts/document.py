"""A draft as what it says, whatever file it came in: headings, paragraphs, tables, each with a place."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from ..errors import UsageError, hint, nearest


@dataclass(frozen=True, slots=True)
class Heading:
    text: str
    place: str  # `line 12`, `paragraph 3`
    level: int


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Running text, an item of a list, or a block of code; in one line."""

    text: str
    place: str


@dataclass(frozen=True, slots=True)
class Table:
    """A header and rows of cells, which all have as many cells as the header."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    place: str
    places: tuple[str, ...]  # of each row


Block = Heading | Paragraph | Table

FORMS = {".md": "markdown", ".markdown": "markdown", ".docx": "word", ".rst": "rst"}
"""What a file's name ends with, and the module of `forms` that reads it."""


def read(path: Path) -> list[Block]:
    """The draft in a file. Raises OSError, and UsageError for what is no draft of a known form."""
    form = FORMS.get(path.suffix.lower())
    if form is None:
        near = hint(nearest(path.suffix.lower(), FORMS, most=1))
        raise UsageError(f"{path}: a draft ends in {', '.join(FORMS)}{near}")
    data = path.read_bytes()
    try:
        module = import_module(f"{__package__}.forms.{form}")
    except ImportError as error:
        raise UsageError(f"--check needs: pip install 'vmgexit[spec]' ({error})") from None
    try:
        blocks: list[Block] = list(module.blocks(data))
    except (ValueError, KeyError, LookupError) as error:
        raise UsageError(f"{path}: no {form} document: {error}") from None
    if not blocks:
        raise UsageError(f"{path}: empty; headings, text or tables expected")
    return blocks


def table(rows: list[list[str]], place: str, places: list[str]) -> Table:
    """The table of ragged rows, of which the first is the header."""
    width = len(rows[0])
    even = [tuple(" ".join(cell.split()) for cell in (row + [""] * width)[:width]) for row in rows]
    return Table(even[0], tuple(even[1:]), place, tuple(places[1:]))
