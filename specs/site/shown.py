"""Directives that run what they show.

    ```{run} vmgexit decode doorbell page.bin
    ```

runs the line by a shell in a folder that all commands of the page share, and shows it with what it prints.
Options: `exit`, the code that is expected (0); `first`, how many lines are shown; `checkout`, to run it
in the checkout.

    ```{chart} corpus/scenarios/hand-over.jsonl
    ```

draws the sequence chart of a scenario, and has its text for who cannot see it.

    ```{where} corpus/scenarios/hand-over.jsonl
    ```

is a table: after each command of the scenario, where each interrupt is. Both take a `profile`.
"""

from __future__ import annotations

import html
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import whereabouts
from docutils import nodes
from docutils.parsers.rst import Directive, directives
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).resolve().parents[2]
_WIDTH = "100"


class Run(SphinxDirective):
    """A command and what it prints."""

    required_arguments = 1
    final_argument_whitespace = True
    option_spec: ClassVar[dict[str, Any]] = {
        "exit": directives.nonnegative_int,
        "first": directives.positive_int,
        "checkout": directives.flag,
    }

    def run(self) -> list[nodes.Node]:
        line = self.arguments[0]
        folder = ROOT if "checkout" in self.options else _folder(self.env)
        told = _ran(line, folder, self.options.get("exit", 0), self.get_location())
        lines = told.rstrip("\n").split("\n")
        first = self.options.get("first", len(lines))
        if first < len(lines):
            lines = [*lines[:first], "..."]
        text = "\n".join([f"$ {line}", *lines])
        return [nodes.literal_block(text, text, language="text", classes=["shown"])]


class Chart(SphinxDirective):
    """The sequence chart of a scenario of the checkout, with a caption."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {
        "title": directives.unchanged,
        "profile": directives.unchanged,
    }

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        title = self.options.get("title", Path(name).stem)
        profile = self.options.get("profile", "reference")
        words = f"vmgexit diagram --scenario {name} --profile {profile} --title '{title}' --format"
        drawn = _ran(f"{words} svg", ROOT, 0, self.get_location())
        told = _ran(f"{words} text", ROOT, 0, self.get_location())
        svg = drawn[drawn.index("<svg") :]
        return [
            nodes.raw("", f'<div class="chart">{svg}</div>', format="html"),
            nodes.raw(
                "",
                f"<details><summary>The same as text</summary><pre>{html.escape(told)}</pre></details>",
                format="html",
            ),
        ]


class Where(SphinxDirective):
    """A table of where each interrupt of a scenario is after each of its commands."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {"profile": directives.unchanged}

    def run(self) -> list[nodes.Node]:
        profile = self.options.get("profile", "reference")
        head, *body = whereabouts.rows(ROOT / self.arguments[0], profile)
        group = nodes.tgroup("", *(nodes.colspec(colwidth=1) for _ in head), cols=len(head))
        group += nodes.thead("", _row(head))
        group += nodes.tbody("", *map(_row, body))
        return [nodes.table("", group, classes=["where"])]


def _row(cells: list[str]) -> nodes.row:
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", cell)) for cell in cells))


def _folder(env: Any) -> Path:
    """The folder of a page's commands, which is gone when the site is built."""
    folder = Path(env.doctreedir).parent / "shown" / str(env.docname)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _ran(line: str, folder: Path, expected: int, place: str) -> str:
    """What a command prints. Raises ExtensionError if it ends with another code."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    settings = os.environ | {"PATH": path, "COLUMNS": _WIDTH, "NO_COLOR": "1"}
    settings["CHECKOUT"] = str(ROOT)
    done = subprocess.run(
        ["sh", "-c", line],
        cwd=folder,
        env=settings,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode != expected:
        raise ExtensionError(
            f"{place}: `{line}` ended with {done.returncode}, {expected} expected:\n{done.stdout}"
        )
    return done.stdout.replace(str(folder) + os.sep, "").replace(str(ROOT) + os.sep, "")


def setup(app: Sphinx) -> dict[str, Any]:
    kinds: dict[str, type[Directive]] = {"run": Run, "chart": Chart, "where": Where}
    for name, kind in kinds.items():
        app.add_directive(name, kind)
    return {"parallel_read_safe": False}
