"""`python3 dev.py bench find`: how soon campaigns find planted bugs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from vmgexit.errors import VmgexitError
from vmgexit_fuzz.cli.options import positive

from . import speed
from .cases import QUICK
from .find import JOBS, QUICK_SECONDS, SECONDS, SEEDS, run
from .methods import BASELINE, METHODS, US


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python3 dev.py bench find",
        description="Plant bugs one by one and measure how soon our campaign finds each, beside"
        " other methods in the same run. All of it takes more than an hour.",
        epilog="example: python3 dev.py bench find --bugs ppr-keeps-low-nibble --seeds 3",
    )
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
    parser.add_argument(
        "--speed",
        action="store_true",
        help="instead: how fast the loop is with feedback, against without",
    )
    options = parser.parse_args(arguments)
    if options.speed:
        print(speed.report(speed.measure()), end="")
        return 0
    quick = options.quick
    return run(
        bugs=options.bugs or QUICK * quick,
        methods=options.methods or (US, BASELINE) * quick,
        seeds=options.seeds or (1 if quick else SEEDS),
        seconds=options.budget or (QUICK_SECONDS if quick else SECONDS),
        jobs=options.jobs,
        output=options.output,
    )


def _names(text: str) -> list[str]:
    return text.split(",")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (VmgexitError, OSError) as error:
        print(f"bench find: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
