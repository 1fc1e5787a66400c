"""`vmgexit source`: the Python that decodes and encodes a structure."""

from __future__ import annotations

import argparse

from ..schema.compiler import source_of
from ..wire.registry import find
from .formatter import examples
from .names import add_structure


def register(parser: argparse.ArgumentParser) -> None:
    parser.description = "Print the specialised source that the compiler makes of a declaration."
    parser.epilog = examples("vmgexit source ext-int-status")
    add_structure(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    print(source_of(find(arguments.name, arguments.revision)), end="")
    return 0
