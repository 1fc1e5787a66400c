"""`vmgexit find`: pages of a memory image that look like one of ours."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import closing
from dataclasses import asdict
from itertools import islice

from ..counting import count_of
from ..images.page_rules import KINDS
from ..images.scan import Find, Scan, reasons_text, scan
from .formatter import examples
from .names import number
from .progress import Progress

NAMES = tuple(kind.name for kind in KINDS)


def _kinds(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(text.split(",")))
    for name in names:
        if name not in NAMES:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(NAMES)}")
    return names


def _score(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text}: 0 to 1 expected")
    return value


def register(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "List the pages of a memory image that look like a GHCB, a #HV doorbell page, a VMSA or a"
        " secrets page: guest-physical address, a score from 0 to 1, the reasons. Images are raw, ELF"
        " cores or kdumps (pages plain or packed by zlib), .gz and .xz of them too."
    )
    parser.epilog = examples("vmgexit find guest.mem --kinds ghcb,doorbell --min-score 0.8")
    parser.add_argument("dump", metavar="DUMP", help="memory image")
    parser.add_argument("--json", action="store_true", help="one JSON object for each page found")
    parser.add_argument(
        "--kinds", type=_kinds, default=NAMES, metavar="K,K", help=f"of {', '.join(NAMES)}"
    )
    parser.add_argument(
        "--min-score", type=_score, default=0.5, metavar="X", help="0 to 1 (default: 0.5)"
    )
    parser.add_argument(
        "--limit", type=number, metavar="N", help="stop after so many pages; 0: never"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    kinds = [kind for kind in KINDS if kind.name in arguments.kinds]
    progress = Progress(0)
    seen: list[Scan] = []  # the one state, once the scan has begun

    def watch(state: Scan) -> None:
        seen[:] = [state]
        progress.at(state.done, f"{_size(state.done)}, {_rate(state, progress)}", state.size)

    count = 0
    with closing(scan(arguments.dump, kinds, arguments.min_score, watch)) as finds:
        for find in islice(finds, arguments.limit or None):
            count += 1
            progress.clear()
            _show(find, arguments.json)
    progress.clear()
    if arguments.limit and count == arguments.limit:
        print(f"vmgexit: {count} found; what follows was not looked at", file=sys.stderr)
    else:
        _close(seen[-1], count, progress)
    return 0


def _show(find: Find, as_json: bool) -> None:
    if as_json:
        print(json.dumps({**asdict(find), "score": round(find.score, 4)}))
        return
    why = reasons_text(find.reasons, find.against)
    print(f"{find.gpa:#014x} {find.kind:8} {find.score:.2f}  {why}")


def _close(state: Scan, count: int, progress: Progress) -> None:
    """What was looked at, on standard error: standard output has the finds only."""
    rest = f"; {state.rest} bytes are no whole pages" if state.rest else ""
    print(
        f"vmgexit: {state.form}: {count} found, {count_of(state.pages, 'page')} with content in"
        f" {_size(state.done)}, {_rate(state, progress)}{rest}",
        file=sys.stderr,
    )


def _size(size: float) -> str:
    """`96 KiB`, `3.5 MiB`: in the largest unit of which there is one."""
    unit = next((at for at in (30, 20) if size >= 1 << at), 10)
    shown = size / (1 << unit)
    return f"{shown:{'.0f' if shown >= 100 else '.3g'}} {'KMG'[unit // 10 - 1]}iB"


def _rate(state: Scan, progress: Progress) -> str:
    return f"{_size(state.done / progress.seconds)}/s"
