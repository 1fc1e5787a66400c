"""Layouts as files: the table of formats, and the pages of all structures as in `specs/layouts`.

A new format is a file in `formats` with a `render`, and a row of `FORMATS`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from .. import files
from ..errors import UsageError, hint, nearest
from .naming import size_of
from .references import Reference
from .subjects import Subject, every, name_of
from .table import GENERATED


@dataclass(frozen=True, slots=True)
class Format:
    """One output format.

    `joined`: all layouts that are asked for make one file. `only_structures`: it has no form for calls,
    exits and codes. `library`: what it needs of the extra `layout`.
    """

    suffix: str
    what: str
    joined: bool = False
    only_structures: bool = False
    library: str = ""
    is_text: bool = True


FORMATS: dict[str, Format] = {
    "text": Format(".txt", "a table for a terminal"),
    "md": Format(".md", "Markdown, in the columns of SVSM drafts"),
    "docx": Format(".docx", "Word", joined=True, library="docx", is_text=False),
    "adoc": Format(".adoc", "AsciiDoc"),
    "rst": Format(".rst", "reStructuredText, as kernel documentation"),
    "html": Format(".html", "a page for a browser", library="jinja2"),
    "latex": Format(".tex", "LaTeX", joined=True),
    "csv": Format(".csv", "one row for each field"),
    "json": Format(".json", "JSON, with a schema", joined=True),
    "svg": Format(".svg", "a drawing", only_structures=True),
    "wavedrom": Format(".json5", "input of WaveDrom's bit-field", only_structures=True),
    "bytefield": Format(".edn", "input of bytefield-svg", only_structures=True),
    "c": Format(".h", "a C11 header", joined=True),
    "rust": Format(".rs", "a Rust module", joined=True),
    "ksy": Format(".ksy", "a Kaitai Struct parser", only_structures=True),
    "imhex": Format(".hexpat", "an ImHex pattern", only_structures=True),
    "systemrdl": Format(".rdl", "a SystemRDL address map", only_structures=True),
}

PUBLISHED = ("md", "svg")
"""The formats of `specs/layouts`, and of files where no format is asked for."""

JOINED = "vmgexit"
"""The name of a file of several layouts, without what it ends with."""

INDEX = "README.md"

THEMES = ("auto", "light", "dark")
"""Colours of drawings: the reader's own, or always the same."""


def check_format(name: str) -> None:
    """Raise UsageError with the nearest name where no format is called `name`."""
    if name in FORMATS:
        return
    near = hint(nearest(name, FORMATS, most=1))
    raise UsageError(f"unknown format {name}{near}; there are {', '.join(FORMATS)}")


def rendered(
    format: str, subjects: Sequence[Subject], drawing: Mapping[str, Any] | None = None
) -> bytes:
    """One file of `subjects`. `drawing` has options of `formats.svg.render`.

    Raises UsageError where the format's library is not installed.
    """
    try:
        render = import_module(f"{__package__}.formats.{format}").render
    except ModuleNotFoundError as error:
        if error.name != FORMATS[format].library:
            raise
        raise UsageError(
            f"{format} needs the Python package {error.name}; pip install 'vmgexit[layout]'"
        ) from None
    options = (drawing or {}) if format == "svg" else {}
    made: str | bytes = render(subjects, **options)
    return made.encode() if isinstance(made, str) else made


def suited(format: str, subjects: Iterable[Subject]) -> list[Subject]:
    """Those of `subjects` that the format has a form for."""
    only = FORMATS[format].only_structures
    return [one for one in subjects if not (only and isinstance(one, Reference))]


def file_name(one: Subject, format: str) -> str:
    """The file of one layout: `doorbell-page.md`, `doorbell-page@2024-05-16.svg`."""
    return name_of(one) + FORMATS[format].suffix


def pages(
    subjects: Sequence[Subject],
    formats: Iterable[str] = PUBLISHED,
    drawing: Mapping[str, Any] | None = None,
) -> dict[str, bytes]:
    """The layout of `subjects` in each of `formats`, by the name of its file."""
    made = {}
    for format in formats:
        shown = suited(format, subjects)
        if FORMATS[format].joined and len(shown) > 1:
            made[JOINED + FORMATS[format].suffix] = rendered(format, shown, drawing)
        else:
            made |= {file_name(one, format): rendered(format, [one], drawing) for one in shown}
    return made


def index(subjects: Iterable[Subject], formats: Sequence[str]) -> str:
    """A page with a line and the links for each of `subjects`."""
    escape = import_module(f"{__package__}.formats.md").escape
    lines = [
        f"<!-- {GENERATED} -->",
        "",
        "# Layouts",
        "",
        "Every structure that is declared, every revision of it, and the tables of calls, exits and codes."
        " Made by `vmgexit layout --all -o specs/layouts/`.",
        "",
        "| Layout | Size | What it is | Class | Files |",
        "| --- | --- | --- | --- | --- |",
    ]
    for one in subjects:
        found = [name for name in formats if suited(name, [one])]
        links = ", ".join(f"[{name}]({file_name(one, name)})" for name in found)
        if isinstance(one, Reference):
            cells = ["-", escape(one.title), "-"]
        else:
            cells = [size_of(one), escape(one.declaration.title), f"`{one.__name__}`"]
        lines.append(f"| {' | '.join([name_of(one), *cells, links])} |")
    return "\n".join([*lines, ""])


def all_pages(
    formats: Sequence[str] = PUBLISHED, drawing: Mapping[str, Any] | None = None
) -> dict[str, bytes]:
    """The pages of everything that has a layout, and with Markdown among the formats the index."""
    made = pages(every(), formats, drawing)
    if "md" in formats:
        listed = [name for name in formats if name in PUBLISHED]
        made[INDEX] = index(every(), listed).encode()
    return made


def write_all(
    directory: Path, formats: Sequence[str] = PUBLISHED, drawing: Mapping[str, Any] | None = None
) -> list[Path]:
    """Write `all_pages` into `directory`, which is made if need be; the files written.

    Files of the same formats that an earlier run left there and nothing makes any more are removed;
    a file that does not say that it is generated is never touched. Raises OSError.
    """
    made = all_pages(formats, drawing)
    written = write(directory, made)
    suffixes = {FORMATS[name].suffix for name in formats if FORMATS[name].is_text}
    for path in sorted(directory.iterdir()):
        if path.name not in made and path.suffix in suffixes:
            _remove_if_generated(path)
    return written


def write(directory: Path, contents: Mapping[str, bytes]) -> list[Path]:
    """Write `contents`, by file name, into `directory`, each whole or not at all. Raises OSError."""
    return [files.write(directory / name, content) for name, content in contents.items()]


def _remove_if_generated(path: Path) -> None:
    if path.is_file() and GENERATED in path.read_text(encoding="utf-8", errors="replace"):
        path.unlink()
