"""Layouts as files: the table of formats, and the pages of all structures as in `specs/layouts`.

A new format is a file with a `render` and a row of `FORMATS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .. import files
from ..schema import Structure
from ..wire.registry import structures
from . import markdown, svg, text
from .naming import label, size_of
from .table import GENERATED


@dataclass(frozen=True, slots=True)
class Format:
    """One output format: what a file of it ends with, and what makes the layout of a structure."""

    suffix: str
    render: Callable[[type[Structure]], str]


FORMATS: dict[str, Format] = {
    "text": Format(".txt", text.render),
    "md": Format(".md", markdown.render),
    "svg": Format(".svg", svg.render),
}

PUBLISHED = ("md", "svg")
"""The formats of `specs/layouts`, and of files where no format is asked for."""

INDEX = "README.md"


def file_name(cls: type[Structure], format: str) -> str:
    """The file of one layout: `doorbell-page.md`, `doorbell-page@2024-05-16.svg`."""
    return label(cls) + FORMATS[format].suffix


def published() -> list[type[Structure]]:
    """Every structure, by name; the current revision first, then ascending."""
    return [
        cls for _, revisions in sorted(structures().items()) for _, cls in sorted(revisions.items())
    ]


def pages(classes: Iterable[type[Structure]], formats: Iterable[str] = PUBLISHED) -> dict[str, str]:
    """The layout of each of `classes` in each of `formats`, by the name of its file."""
    return {file_name(cls, name): FORMATS[name].render(cls) for cls in classes for name in formats}


def index(classes: Iterable[type[Structure]], formats: Iterable[str]) -> str:
    """A Markdown page that links every layout."""
    lines = [
        f"<!-- {GENERATED} -->",
        "",
        "# Layouts",
        "",
        "Every structure that is declared, and every revision of it. Made by"
        " `vmgexit layout --all -o specs/layouts`.",
        "",
        "| Structure | Size | What it is | Class | Layout |",
        "| --- | --- | --- | --- | --- |",
    ]
    for cls in classes:
        links = ", ".join(f"[{name}]({file_name(cls, name)})" for name in formats)
        title = markdown.escape(cls.declaration.title)
        size = size_of(cls)
        lines.append(f"| {label(cls)} | {size} | {title} | `{cls.__name__}` | {links} |")
    return "\n".join([*lines, ""])


def all_pages(formats: tuple[str, ...] = PUBLISHED) -> dict[str, str]:
    """The pages of every structure, and with Markdown among the formats the index of all."""
    made = pages(published(), formats)
    if "md" in formats:
        made[INDEX] = index(published(), formats)
    return made


def write_all(directory: Path, formats: tuple[str, ...] = PUBLISHED) -> list[Path]:
    """Write `all_pages` into `directory`, which is made if need be; the files written.

    Files of the same formats that an earlier run left there and nothing makes any more are removed;
    a file that does not say that it is generated is never touched. Raises OSError.
    """
    made = all_pages(formats)
    written = write(directory, made)
    for path in sorted(directory.iterdir()):
        if path.name not in made and path.suffix in {FORMATS[name].suffix for name in formats}:
            _remove_if_generated(path)
    return written


def write(directory: Path, contents: Mapping[str, str]) -> list[Path]:
    """Write `contents`, by file name, into `directory`, each whole or not at all. Raises OSError."""
    return [files.write(directory / name, content.encode()) for name, content in contents.items()]


def _remove_if_generated(path: Path) -> None:
    if path.is_file() and GENERATED in path.read_text(encoding="utf-8", errors="replace"):
        path.unlink()
