"""`python3 dev.py bench`: our codec, views and columns beside their peers, and the explorer, in one run.

Every peer is first made to read the same values from the same records. Then all are timed in turns; the
table shows the minima, and what must hold of the ratios. Exit code 1 if something does not.
"""

from __future__ import annotations

import argparse
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


if __name__ == "__main__":
    try:
        sys.exit(main())
    except OSError as error:
        sys.exit(f"bench: {error}")
