"""reStructuredText, as the kernel's documentation has it. Places are lines of the file.

Roles and directives of Sphinx are passed over. Nothing is included, and no raw markup is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator

from docutils import nodes
from docutils.core import publish_doctree

from ..document import Block, Heading, Paragraph, table

_SETTINGS = {
    "report_level": 5,  # a draft's own mistakes of markup are not what is asked for
    "halt_level": 5,
    "file_insertion_enabled": False,
    "raw_enabled": False,
    "_disable_config": True,
}


def blocks(data: bytes) -> Iterator[Block]:
    """What a file says, in order. Raises UnicodeDecodeError, a ValueError, for what is no text."""
    yield from _blocks(publish_doctree(data.decode("utf-8"), settings_overrides=_SETTINGS), 0)


def _blocks(node: nodes.Element, level: int) -> Iterator[Block]:
    for child in node.children:
        if isinstance(child, nodes.title | nodes.subtitle | nodes.term):
            yield Heading(_text(child), _line(child), max(level, 1))
        elif isinstance(child, nodes.table):
            yield from _table(child)
        elif isinstance(child, nodes.literal_block):
            for at, line in enumerate(child.astext().splitlines()):
                if line.strip():
                    yield Paragraph(" ".join(line.split()), _line(child, at))
        elif isinstance(child, nodes.paragraph):
            yield Paragraph(_text(child), _line(child))
        elif isinstance(child, nodes.Element) and not isinstance(child, nodes.system_message):
            yield from _blocks(child, level + isinstance(child, nodes.section))


def _table(node: nodes.table) -> Iterator[Block]:
    for title in node.findall(nodes.title):
        yield Paragraph(_text(title), _line(title))
    rows: list[list[str]] = []
    places: list[str] = []
    for row in node.findall(nodes.row):
        cells: list[str] = []
        for entry in row.findall(nodes.entry):
            cells += [_text(entry)] + [""] * int(entry.get("morecols", 0))
        rows.append(cells)
        inner = [each.line for each in row.findall(nodes.paragraph) if each.line]
        places.append(f"line {inner[0]}" if inner else _line(node))
    if rows:
        yield table(rows, _line(node), places)


def _text(node: nodes.Node) -> str:
    return " ".join(node.astext().split())


def _line(node: nodes.Node, more: int = 0) -> str:
    inside: nodes.Node | None = node
    while inside is not None and inside.line is None:
        inside = inside.parent
    return f"line {(inside.line if inside is not None and inside.line else 1) + more}"
