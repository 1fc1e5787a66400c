"""`python3 dev.py bench`: our codec, views and columns beside their peers, and the explorer, in one run;
`--loop`: the fuzzing loop against the machine as it was once.

Every peer is first made to read the same values from the same records. Then all are timed in turns; the
table shows the minima, and what must hold of the ratios. Exit code 1 if something does not.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python3 dev.py bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer repeats: within 30 seconds")
    parser.add_argument(
        "--noise", action="store_true", help="records of random bytes, reserved bits too"
    )
    parser.add_argument(
        "--loop", action="store_true", help="instead: how fast the fuzzing loop is, some minutes"
    )
    parser.add_argument(
        "--compare",
        default="",
        metavar="REV",
        help="the loop of a git revision beside ours, each with its own modules",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path(".vmgexit/bench"),
        metavar="DIR",
        help="where bench.json and bench.svg go (default %(default)s)",
    )
    options = parser.parse_args(arguments)
    try:
        from vmgexit.files import write

        from . import report, rows
    except ModuleNotFoundError as missing:
        parser.error(f"{missing.name} is not installed; the peers are in the extra bench")

    if options.loop or options.compare:
        return _loop(options.compare, QUICK if options.quick else ROUNDS, options.output)
    effort = rows.Effort(150, 5, 1_000_000, options.noise)
    if not options.quick:
        effort = rows.Effort(600, 25, 1_000_000, options.noise)
    started = time.monotonic()
    found: list[rows.Row] = []
    for section in rows.SECTIONS:
        print(f"{section.__doc__}", file=sys.stderr, flush=True)
        found += section(effort)
    print(report.table(found))
    facts = {"quick": options.quick, "noise": options.noise}
    write(options.output / "bench.json", report.as_json(found, facts))
    report.plot(found, options.output / "bench.svg")
    seconds = time.monotonic() - started
    print(f"\n{seconds:.0f} s; {options.output / 'bench.json'}, {options.output / 'bench.svg'}")
    return 0 if all(row.holds for row in found) else 1


QUICK, ROUNDS = 5, 25


def _loop(compared: str, rounds: int, output: Path) -> int:
    """The rows of the loop; each run adds a line to its history."""
    from vmgexit.files import write

    from . import loop, report

    try:
        found = list(loop.rows(rounds, compared))
    except loop.Missing as missing:
        print(f"bench: {missing}", file=sys.stderr)
        return 2
    print(loop.table(found, compared))
    write(output / "loop.json", report.as_json(found, {"base": loop.BASE, "compared": compared}))
    with (output / "loop-history.jsonl").open("a") as history:
        history.write(json.dumps(loop.ratios(found)) + "\n")
    print(f"\n{output / 'loop.json'}, {output / 'loop-history.jsonl'}")
    return 0 if all(row.holds for row in found) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except OSError as error:
        sys.exit(f"bench: {error}")
