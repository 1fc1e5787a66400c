"""`vmgexit source`: the Python that decodes and encodes a structure."""

from __future__ import annotations

import argparse

from .names import add_structure, find


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "source",
        help="the Python that decodes and encodes a structure",
        description="Print the specialised source that the compiler makes of a declaration.",
        epilog="example: vmgexit source ext-int-status",
    )
    add_structure(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from ..schema.compiler import source_of

    print(source_of(find(arguments.name, arguments.revision)), end="")
    return 0
