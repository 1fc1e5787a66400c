"""`vmgexit fuzz seeds`: makes the committed seeds from the recordings."""

from __future__ import annotations

import argparse

from ..seeds import make


def register(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_seeds)


def _seeds(arguments: argparse.Namespace) -> int:
    print(f"{make()} seeds")
    return 0
