"""`vmgexit fuzz bench`: how good campaigns are."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..bench import JOBS, QUICK_SECONDS, SECONDS, SEEDS, run, speed
from ..bench.cases import QUICK
from ..bench.methods import BASELINE, METHODS, US
from .options import positive


def register(parser: argparse.ArgumentParser) -> None:
    """Add the action's arguments."""
    parser.description = (
        "Plant bugs one by one and measure how soon our campaign finds each, beside"
        " other methods in the same run. All of it takes more than an hour."
    )
    parser.epilog = "example: vmgexit fuzz bench --bugs ppr-keeps-low-nibble --seeds 3"
    _add_arguments(parser)
    parser.add_argument(
        "--speed",
        action="store_true",
        help="instead: how fast the loop is with feedback, against without",
    )
    parser.set_defaults(run=_bench)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of a bench."""
    parser.add_argument("--bugs", type=_names, default=[], metavar="NAME,...", help="these only")
    parser.add_argument(
        "--methods", type=_names, default=[], metavar="NAME,...", help=f"of {', '.join(METHODS)}"
    )
    parser.add_argument("--seeds", type=positive, metavar="N", help=f"trials of each ({SEEDS})")
    parser.add_argument(
        "--budget", type=positive, metavar="S", help=f"seconds of each trial ({SECONDS:g})"
    )
    parser.add_argument(
        "--jobs", type=positive, default=JOBS, metavar="N", help=f"trials at a time ({JOBS})"
    )
    parser.add_argument(
        "--quick", action="store_true", help=f"{len(QUICK)} bugs, 1 seed, {QUICK_SECONDS:g} s"
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help="where bench.md and bench.json go"
    )


def _names(text: str) -> list[str]:
    return text.split(",")


def _bench(arguments: argparse.Namespace) -> int:
    if arguments.speed:
        print(speed.report(speed.measure()), end="")
        return 0
    quick = arguments.quick
    return run(
        bugs=arguments.bugs or QUICK * quick,
        methods=arguments.methods or (US, BASELINE) * quick,
        seeds=arguments.seeds or (1 if quick else SEEDS),
        seconds=arguments.budget or (QUICK_SECONDS if quick else SECONDS),
        jobs=arguments.jobs,
        output=arguments.output,
    )
