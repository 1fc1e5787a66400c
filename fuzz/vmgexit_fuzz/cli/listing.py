"""`vmgexit fuzz list`: lists the targets and the kinds of worker."""

from __future__ import annotations

import argparse

from ..process.kinds import KINDS
from ..targets import TARGETS


def register(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_list)


def _list(arguments: argparse.Namespace) -> int:
    width = max(map(len, (*TARGETS, *KINDS))) + 1
    for target in TARGETS.values():
        print(f"{target.name:{width}} {target.invariant}")
    print("\nkinds of worker, with their shares of a campaign's time:")
    for kind in KINDS.values():
        print(f"{kind.name:{width}} {kind.share}  {kind.what}")
    return 0
