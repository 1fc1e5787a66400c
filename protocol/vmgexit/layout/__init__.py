"""Layouts of structures as tables and drawings: one file per output format, each a function.

`FORMATS` is all that a caller needs: `FORMATS["md"].render(DoorbellPage)`. A new format is a file
with a `render` and a line here; it is imported when it is first used. `reading` shows a decoded
value instead of a declaration.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from .. import files
from ..schema import Structure
from ..wire.registry import structures
from .table import GENERATED, count_of, label

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["FORMATS", "Format", "file_name", "label", "pages", "published", "write", "write_all"]


@dataclass(frozen=True, slots=True)
class Format:
    """One output format: what a file of it ends with, and the module here that renders it."""

    suffix: str
    module: str
    about: str

    def render(self, cls: type[Structure]) -> str:
        """The layout of `cls`, with those of the structures in it."""
        rendered: str = import_module(f"{__name__}.{self.module}").render(cls)
        return rendered


FORMATS: dict[str, Format] = {
    "text": Format(".txt", "text", "plain ASCII tables, 100 columns"),
    "md": Format(".md", "markdown", "Markdown tables"),
    "svg": Format(".svg", "svg", "drawings in lanes of 32 bits"),
}

COMMITTED = ("md", "svg", "text")
"""The formats of `specs/layouts`; what `write_all` writes when no format is asked for."""

INDEX = "README.md"


def file_name(cls: type[Structure], format: str) -> str:
    """The file of one layout: `doorbell-page.md`, `doorbell-page@2024-05-16.svg`."""
    return label(cls) + FORMATS[format].suffix


def published() -> list[type[Structure]]:
    """Every structure, by name; the current revision first, then ascending."""
    return [
        cls for _, revisions in sorted(structures().items()) for _, cls in sorted(revisions.items())
    ]


def pages(formats: Iterable[str] = COMMITTED) -> dict[str, str]:
    """Every file of `write_all`, by name, in memory."""
    formats = tuple(formats)
    classes = published()
    made = {file_name(cls, name): FORMATS[name].render(cls) for cls in classes for name in formats}
    if "md" in formats:
        made[INDEX] = index(classes, formats)
    return made


def index(classes: Iterable[type[Structure]], formats: Iterable[str]) -> str:
    """A Markdown page that links every layout."""
    from . import markdown

    formats = tuple(formats)
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
        size = count_of(cls.size, "byte")
        lines.append(f"| {label(cls)} | {size} | {title} | `{cls.__name__}` | {links} |")
    return "\n".join([*lines, ""])


def write_all(directory: Path, formats: Iterable[str] = COMMITTED) -> list[Path]:
    """Write every published layout into `directory`, which is made if need be; the files written.

    Files of the same formats that an earlier run left there and nothing makes any more are removed;
    a file that does not say that it is generated is never touched. Raises OSError.
    """
    formats = tuple(formats)
    made = pages(formats)
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
