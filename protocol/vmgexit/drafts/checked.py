"""A draft from beginning to end: every table and every sentence, with what stands above it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from ..schema import Structure
from . import calls, prose, tables
from .document import Block, Heading, Paragraph, Table
from .known import calls_named, codes_of, phrase
from .prose import Context
from .report import Remark, note

_CALL = re.compile(r"Call (\d{1,9})\s*[:.–—-]?\s*(\S.*)", re.IGNORECASE)


def check(blocks: Sequence[Block]) -> list[Remark]:
    """Every finding and note, in the order of the draft."""
    context = _context(blocks)
    found: list[Remark] = []
    above: list[str] = []  # the section's heading, and the paragraphs since it
    for block in blocks:
        match block:
            case Heading():
                if named := calls_named(block.text):
                    context.section, context.registers = named, []
                above = [block.text]
                found += _headed(block, context)
            case Paragraph():
                above.append(block.text)
                found += prose.remarks(block.text, block.place, context)
            case Table():
                found += _table(block, above, context)
    has_table = any(isinstance(block, Table) for block in blocks)
    if blocks and not (has_table or found or context.calls or context.structures):
        found.append(note(blocks[0].place, "no table, and no name that is declared"))
    return list(dict.fromkeys(found))


def is_known(table: Table) -> bool:
    """Whether a table is one that can be compared: of registers, fields, calls or codes."""
    kinds = (calls.registers, tables.fields, calls.listed, tables.codes)
    return any(read(table) for read in kinds)


def _context(blocks: Sequence[Block]) -> Context:
    """What the whole draft names: its calls, the protocol of most of them, its structures."""
    context = Context()
    texts = [text for block in blocks for text in _texts(block)]
    context.calls = list(dict.fromkeys(call for text in texts for call in calls_named(text)))
    counts = Counter(call.protocol for call in context.calls)
    if counts:
        context.protocol = counts.most_common(1)[0][0]
    structures = [cls for text in texts if (cls := phrase(text)) is not None]
    context.structures = list(dict.fromkeys(structures))
    return context


def _texts(block: Block) -> Iterator[str]:
    if isinstance(block, Table):
        for row in block.rows:
            yield from row
    else:
        yield block.text


def _headed(heading: Heading, context: Context) -> Iterator[Remark]:
    """A heading that numbers and names a call, as AMD's documents have them."""
    if found := _CALL.match(heading.text):
        row = calls.Listed(int(found[1]), found[2], heading.place)
        yield from calls.compared([row], context.protocol)


def _table(table: Table, above: Sequence[str], context: Context) -> Iterator[Remark]:
    named: list[type[Structure]] = [cls for text in above if (cls := phrase(text)) is not None]
    if rows := calls.registers(table):
        context.registers = rows
        heads = [call for text in above[:1] for call in calls_named(text)]
        yield from calls.compared_registers(rows, heads or context.section)
    elif fields := tables.fields(table):
        yield from tables.compared(fields, named)
    elif listed := calls.listed(table):
        yield from calls.compared(listed, context.protocol)
    elif codes := tables.codes(table):
        layouts = [each.layout for call in context.section for each in call.inputs if each.layout]
        among = [(enum, cls) for cls in (*layouts, *named) for enum in codes_of(cls)]
        clause = among[0][1].declaration.clause if among else ""
        yield from tables.compared_codes(codes, [enum for enum, _ in among], clause)
