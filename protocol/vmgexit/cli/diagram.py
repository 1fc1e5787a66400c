"""`vmgexit diagram`: states and sequences, drawn from the explored machine."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import UsageError
from ..explore.diagrams import DIAGRAMS, FORMATS, pages
from ..files import check_folder_of, write
from .formatter import examples


def register(parser: argparse.ArgumentParser) -> None:
    parser.description = "Explore a small system and draw what was visited."
    parser.epilog = examples("vmgexit diagram registration --format mermaid")
    parser.add_argument("names", nargs="*", metavar="NAME", help="diagrams; none: list them")
    parser.add_argument("--all", action="store_true", help="every diagram")
    parser.add_argument("--format", default="mermaid", metavar="F", help="mermaid, dot or svg")
    parser.add_argument(
        "-o", "--output", metavar="DIR", help="with --all: write every format there"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    if arguments.output:
        if not arguments.all:
            raise UsageError("diagram -o needs --all")
        check_folder_of(Path(arguments.output))
        made = pages()
        for name, text in made.items():
            write(Path(arguments.output) / name, text.encode())
        print(f"{len(made)} files in {arguments.output}")
        return 0
    if arguments.format not in FORMATS:
        raise UsageError(f"unknown format {arguments.format}; there are {', '.join(FORMATS)}")
    names = list(DIAGRAMS) if arguments.all else arguments.names
    if not names:
        print("\n".join(DIAGRAMS))
    for name in names:
        if name not in DIAGRAMS:
            raise UsageError(f"unknown diagram {name}; there are {', '.join(DIAGRAMS)}")
        _, render = FORMATS[arguments.format]
        print(render(DIAGRAMS[name]()), end="")
    return 0
