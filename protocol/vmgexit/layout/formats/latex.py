r"""Layouts as a LaTeX document of longtables, for pdflatex as every TeX Live has it.

Every character that TeX gives a meaning becomes a command that prints it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ..document import Cell, Grid, Mark, Section, Style, marked, printable
from ..subjects import Subject, document
from ..table import GENERATED

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "'": r"\textquotesingle{}",
    "`": r"\textasciigrave{}",
    "-": "-{}",  # two are not a dash
    "_": r"\_\allowbreak{}",
    "[": "{[}",  # no option of what stands before
    "]": "{]}",
    "*": "{*}",
    "?": "?{}",
    "!": "!{}",
    ",": ",{}",
    **{letter: f"\\{letter}" for letter in "#$%&{}"},
}

_PREAMBLE = r"""\documentclass[10pt,a4paper]{article}
\usepackage[T1]{fontenc}
\usepackage[utf8]{inputenc}
\usepackage{textcomp}
\usepackage{array}
\usepackage{longtable}
\usepackage[margin=20mm]{geometry}
\setlength{\parindent}{0pt}
\newcolumntype{P}[1]{>{\raggedright\arraybackslash}p{#1}}
\begin{document}"""


def render(subjects: Sequence[Subject]) -> str:
    """One document of all `subjects`."""
    lines = [f"% {GENERATED}", *_PREAMBLE.splitlines()]
    for one in subjects:
        for index, section in enumerate(document(one).sections):
            lines += _section(section, "subsection" if index else "section")
    return "\n".join([*lines, r"\end{document}", ""])


def escape(text: str) -> str:
    """`text` so that LaTeX prints it as it is. A letter that its fonts lack is named by its number."""
    return "".join(_letter(letter) for letter in printable(text))


def _letter(letter: str) -> str:
    if letter in _SPECIAL:
        return _SPECIAL[letter]
    return letter if ord(letter) < 0x7F else f"(U+{ord(letter):04X})"


def _section(section: Section, level: str) -> Iterator[str]:
    yield ""
    yield f"\\{level}*{{{escape(section.label)}}}"
    yield escape(section.title)
    if section.facts:
        yield r"\begin{itemize}"
        yield from (f"\\item {{}}{escape(name)}: {_cell(said)}" for name, said in section.facts)
        yield r"\end{itemize}"
    for grid in section.grids:
        yield from _grid(grid)


def _grid(grid: Grid) -> Iterator[str]:
    shares = _shares(grid)
    columns = "|".join(f"P{{{share:.3f}\\linewidth}}" for share in shares)
    yield f"\\begin{{longtable}}{{|{columns}|}}"
    yield f"\\caption{{{escape(grid.caption)}}}\\\\"
    yield r"\hline"
    yield _row(f"\\textbf{{{escape(title)}}}" for title in grid.columns)
    yield r"\hline"
    yield r"\endhead"
    for row in grid.rows:
        yield _row(map(_cell, row))
        yield r"\hline"
    yield r"\end{longtable}"


def _row(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"


def _shares(grid: Grid) -> list[float]:
    """What part of the line each column gets: of five columns, the last gets about half."""
    others = len(grid.columns) - 1
    each = min(0.22, 0.5 / others) if others else 0.0
    return [each] * others + [0.92 - 0.03 * others - each * others]


def _cell(cell: Cell) -> str:
    return "{}" + marked(cell, escape, _MARKS)


_MARKS: dict[Style, Mark] = {
    Style.NAME: lambda text: f"\\textbf{{{escape(text)}}}",
    Style.RESERVED: lambda text: f"\\textit{{{escape(text)}}}",
    Style.CODE: lambda text: f"\\texttt{{{escape(text)}}}",
    Style.LINK: lambda text: f"\\texttt{{{escape(text)}}}",
}
