"""Markdown with tables, as GitHub shows it. Places are lines of the file."""

from __future__ import annotations

from collections.abc import Iterator

from markdown_it import MarkdownIt
from markdown_it.token import Token

from ..document import Block, Heading, Paragraph, table


def blocks(data: bytes) -> Iterator[Block]:
    """What a file says, in order. Raises UnicodeDecodeError, a ValueError, for what is no text."""
    tokens = iter(MarkdownIt("commonmark").enable("table").parse(data.decode("utf-8")))
    for token in tokens:
        match token.type:
            case "heading_open":
                yield Heading(_text(next(tokens)), _line(token), int(token.tag[1:]))
            case "table_open":
                rows, places = _rows(tokens)
                yield table(rows, _line(token), places)
            case "inline":
                yield Paragraph(_text(token), _line(token))
            case "fence" | "code_block":
                yield from _code(token)


def _rows(tokens: Iterator[Token]) -> tuple[list[list[str]], list[str]]:
    rows: list[list[str]] = []
    places: list[str] = []
    for token in tokens:
        if token.type == "table_close":
            break
        if token.type == "tr_open":
            rows.append([])
            places.append(_line(token))
        elif token.type == "inline":
            rows[-1].append(_text(token))
    return rows, places


def _code(token: Token) -> Iterator[Paragraph]:
    first = (token.map or [0, 0])[0] + 1 + (token.type == "fence")
    for at, line in enumerate(token.content.splitlines()):
        if line.strip():
            yield Paragraph(line.strip(), f"line {first + at}")


def _text(token: Token) -> str:
    """What a reader sees of inline markup: links and emphasis without their marks, no HTML."""
    parts = [
        " " if child.type in ("softbreak", "hardbreak", "html_inline") else child.content
        for child in token.children or ()
    ]
    return " ".join("".join(parts).split())


def _line(token: Token) -> str:
    return f"line {(token.map or [0, 0])[0] + 1}"
