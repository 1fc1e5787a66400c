"""The clauses as `specs/` has them: paragraphs of Markdown that begin with an id in bold.

A figure that a declaration knows is marked by a link whose label is the declaration's path::

    **ABC-1.** ... the single vector in bits [7:0][ext-int-status.pending_vector bits] too.

    [ext-int-status.pending_vector bits]: layouts/ext-int-descriptor.md

A reader sees a number that leads to its table; `figures` says how a path is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_BEGIN = re.compile(r"\*\*([A-Z]+-\d+)\.\*\* ")
_DEFINED = re.compile(r"\[([^]]+)\]: +(\S+)")
_FIGURE = re.compile(r"\[([^][]+)\]\[([^][]+)\]")
_LINK = re.compile(r"\[([^][]+)\](?:\([^)]*\)|\[[^]]*\])")


@dataclass(frozen=True, slots=True)
class Mark:
    """One figure of a text: what is written, and the path of the declaration that has it."""

    written: str  # 8, 0b10, 7:0, 16-bit
    path: str


@dataclass(frozen=True, slots=True)
class Clause:
    """One clause. `text` is its Markdown in one line, without the id."""

    id: str
    text: str
    file: Path
    line: int

    @property
    def plain(self) -> str:
        """The text as a reader sees it, without links."""
        return _LINK.sub(lambda found: found[1], self.text).replace("*", "")

    @property
    def marks(self) -> list[Mark]:
        return [Mark(*found) for found in _FIGURE.findall(self.text)]

    @property
    def unmarked(self) -> str:
        """The text without its links: what is left says no figure that a declaration knows."""
        return _LINK.sub("", self.text)


@dataclass(frozen=True, slots=True)
class Page:
    """One file of `specs/`: its clauses, and where the labels of its links lead."""

    file: Path
    clauses: tuple[Clause, ...]
    targets: dict[str, str]


def pages(folder: Path) -> Iterator[Page]:
    """Every Markdown file of `folder`, by name. Raises OSError."""
    for file in sorted(folder.glob("*.md")):
        lines = file.read_text(encoding="utf-8").splitlines()
        defined = map(_DEFINED.fullmatch, lines)
        targets = {found[1]: found[2] for found in defined if found}
        yield Page(file, tuple(_clauses(file, lines)), targets)


def _clauses(file: Path, lines: list[str]) -> Iterator[Clause]:
    for at, line in enumerate(lines):
        if begin := _BEGIN.match(line):
            paragraph = [line[begin.end() :]]
            for following in lines[at + 1 :]:
                if not following.strip():
                    break
                paragraph.append(following.strip())
            yield Clause(begin[1], " ".join(paragraph), file, at + 1)
