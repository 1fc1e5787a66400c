"""Layouts as a Word document: headings, and real tables with a style, a caption and a repeated head.

Drafts of the field travel as Word documents. python-docx makes the file; its tables are filled through
their XML, since a cell by its number takes longer the more there are. The same layouts are the same
bytes: all times in the file are one.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import docx
from docx.enum.style import WD_STYLE_TYPE
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Pt

from ..document import Cell, Grid, Section, Style, plain, printable
from ..subjects import Subject, document
from ..table import GENERATED

_TIME = datetime(2000, 1, 1)  # a document's times have no zone
_TABLE_STYLE = "Table Grid"
_WIDTH = 9000  # of a table, in twentieths of a point


def render(subjects: Sequence[Subject]) -> bytes:
    """One document of all `subjects`."""
    word = docx.Document()
    about = word.core_properties
    about.author, about.title, about.comments = "", "Layouts", GENERATED
    about.created = about.modified = _TIME
    code = word.styles.add_style("Layout Code", WD_STYLE_TYPE.CHARACTER)
    code.font.name, code.font.size = "Consolas", Pt(9)
    for one in subjects:
        for index, section in enumerate(document(one).sections):
            _section(word, section, level=2 if index else 1)
    held = io.BytesIO()
    word.save(held)
    return _timeless(held.getvalue())


def _section(word: Any, section: Section, level: int) -> None:
    word.add_heading(printable(section.label), level)
    word.add_paragraph(printable(section.title))
    for name, said in section.facts:
        paragraph = word.add_paragraph(f"{name}: ", style="List Bullet")
        _fill(paragraph._p, said)
    for grid in section.grids:
        _caption(word, grid)
        _grid(word, grid)


def _caption(word: Any, grid: Grid) -> None:
    """A caption whose number Word counts, above its table and never parted from it."""
    paragraph = word.add_paragraph("Table ", style="Caption")
    paragraph.paragraph_format.keep_with_next = True
    field = OxmlElement("w:fldSimple")
    field.set(qn("w:instr"), "SEQ Table \\* ARABIC")
    field.append(_run("1"))
    paragraph._p.append(field)
    paragraph._p.append(_run(f": {printable(grid.caption)}"))


def _grid(word: Any, grid: Grid) -> None:
    table = word.add_table(rows=0, cols=len(grid.columns), style=_TABLE_STYLE)
    widths = _widths(len(grid.columns))
    for column, width in zip(table._tbl.tblGrid.gridCol_lst, widths, strict=True):
        column.set(qn("w:w"), str(width))
    head = _row([plain(title, Style.NAME) for title in grid.columns], widths)
    properties = OxmlElement("w:trPr")
    properties.append(OxmlElement("w:tblHeader"))
    head.insert(0, properties)
    table._tbl.append(head)
    for row in grid.rows:
        table._tbl.append(_row(row, widths))
    word.add_paragraph()


def _widths(columns: int) -> list[int]:
    """Of five columns, the last has about half of the width."""
    each = _WIDTH // (columns + 2) if columns > 1 else 0
    return [each] * (columns - 1) + [_WIDTH - each * (columns - 1)]


def _row(cells: Sequence[Cell], widths: Sequence[int]) -> Any:
    row = OxmlElement("w:tr")
    for cell, width in zip(cells, widths, strict=True):
        held, properties = OxmlElement("w:tc"), OxmlElement("w:tcPr")
        wide = OxmlElement("w:tcW")
        wide.set(qn("w:w"), str(width))
        wide.set(qn("w:type"), "dxa")
        properties.append(wide)
        paragraph = OxmlElement("w:p")
        _fill(paragraph, cell)
        held.extend([properties, paragraph])
        row.append(held)
    return row


def _fill(paragraph: Any, cell: Cell) -> None:
    for span in cell:
        if span.style is Style.CODE:
            paragraph.append(_run(span.text, style="LayoutCode"))
        else:
            made = {Style.NAME: "w:b", Style.RESERVED: "w:i"}.get(span.style, "")
            paragraph.append(_run(span.text, made))


def _run(text: str, mark: str = "", *, style: str = "") -> Any:
    run, held = OxmlElement("w:r"), OxmlElement("w:t")
    if mark or style:
        properties = OxmlElement("w:rPr")
        if style:
            named = OxmlElement("w:rStyle")
            named.set(qn("w:val"), style)
            properties.append(named)
        if mark:
            properties.append(OxmlElement(mark))
        run.append(properties)
    held.text = "".join(letter if letter.isprintable() else " " for letter in text)
    held.set(qn("xml:space"), "preserve")
    run.append(held)
    return run


def _timeless(data: bytes) -> bytes:
    """The same archive, with one time for all of its files."""
    made = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(data)) as found,
        zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for name in found.namelist():
            entry = zipfile.ZipInfo(name, _TIME.timetuple()[:6])
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, found.read(name))
    return made.getvalue()
