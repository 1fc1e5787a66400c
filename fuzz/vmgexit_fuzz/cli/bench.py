"""`vmgexit fuzz bench`: how good campaigns are."""

from __future__ import annotations

import argparse
from typing import Any

from ..bench import add_arguments, main


def register(actions: argparse._SubParsersAction[Any]) -> None:
    """Add the action."""
    bench = actions.add_parser(
        "bench",
        help="how soon campaigns find planted bugs",
        description="Plant bugs one by one and measure how soon our campaign finds each, beside"
        " other methods in the same run. All of it takes more than an hour.",
        epilog="example: vmgexit fuzz bench --bugs ppr-keeps-low-nibble --seeds 3",
    )
    add_arguments(bench)
    bench.add_argument(
        "--speed",
        action="store_true",
        help="instead: how fast the loop is with feedback, against without",
    )
    bench.set_defaults(run=_bench)


def _bench(arguments: argparse.Namespace) -> int:
    if arguments.speed:
        from ..bench import speed

        print(speed.report(speed.measure()), end="")
        return 0
    return main(arguments)
