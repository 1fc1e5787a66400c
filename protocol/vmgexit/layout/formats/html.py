"""Layouts as one HTML page without scripts or further files; `html.j2` is its template."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..document import printable
from ..subjects import Subject, document
from ..table import GENERATED


def render(subjects: Sequence[Subject]) -> str:
    """One page of all `subjects`. Text is escaped by the template engine, every piece of it."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["printable"] = printable
    shown = [document(one) for one in subjects]
    return environment.get_template("html.j2").render(documents=shown, generated=GENERATED)
