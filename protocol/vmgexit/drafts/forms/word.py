"""Word documents. A paragraph's place is its number, a table's its number and row; both count from 1."""

from __future__ import annotations

import io
from collections.abc import Iterator
from zipfile import BadZipFile

import docx
from docx.opc.exceptions import PackageNotFoundError
from docx.table import Table as WordTable

from ..document import Block, Heading, Paragraph, table


def blocks(data: bytes) -> Iterator[Block]:
    """What a document says, in order. Raises ValueError for what is none."""
    try:
        document = docx.Document(io.BytesIO(data))
    except (BadZipFile, PackageNotFoundError, SyntaxError) as error:
        raise ValueError(f"{error}") from None
    paragraphs = tables = 0
    for item in document.iter_inner_content():
        if isinstance(item, WordTable):
            tables += 1
            rows = [[cell.text for cell in row.cells] for row in item.rows]
            if rows:
                places = [f"table {tables}, row {at}" for at, _ in enumerate(rows)]
                yield table(rows, f"table {tables}", places)
            continue
        paragraphs += 1
        text, place = " ".join(item.text.split()), f"paragraph {paragraphs}"
        style = (item.style.name if item.style is not None else None) or ""
        if not text:
            continue
        if style.startswith(("Heading", "Title")):
            yield Heading(text, place, int(style[-1]) if style[-1].isdecimal() else 1)
        else:
            yield Paragraph(text, place)
