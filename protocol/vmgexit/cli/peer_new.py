"""`vmgexit peer new`: a project for an adapter, around a small SVSM that is meant to be replaced."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..kits.project import LANGUAGES, SURFACES, write
from .formatter import examples


def register(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Write a project whose `sh build.sh` makes ./adapter. It answers for a small SVSM of its own, which"
        " is meant to be replaced; README.md in the folder says where."
    )
    parser.epilog = examples("vmgexit peer new --lang c my-adapter")
    parser.add_argument(
        "--lang",
        "--language",
        choices=[*LANGUAGES],
        default="c",
        help="language (default: %(default)s)",
    )
    parser.add_argument(
        "--for",
        dest="surface",
        choices=SURFACES,
        default="svsm",
        help="what the adapter is for: an SVSM, an SVSM with memory, or a GHCB host"
        " (default: %(default)s)",
    )
    parser.add_argument("folder", metavar="DIR", type=Path, help="a new folder, or an empty one")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    for path in write(arguments.surface, arguments.lang, arguments.folder):
        print(path)
    print(f"next: sh {arguments.folder / 'build.sh'}")
    return 0
