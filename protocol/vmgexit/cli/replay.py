"""`vmgexit replay`: recordings against the machine, scenarios under its invariants."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..machine.replay import Mismatch
    from ..machine.scenario import Sequence

SHOWN = 20  # mismatches printed in full; all are counted


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "replay",
        help="run recordings or scenarios and compare the answers",
        description=(
            "Run each sequence of JSON lines on a fresh machine and compare with the recorded"
            " answers, where there are any. Exits 1 on a mismatch or a broken invariant."
        ),
        epilog="example: vmgexit replay --profile coconut corpus/recordings/*.jsonl.xz",
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="recording or scenario, or -")
    parser.add_argument(
        "--profile",
        default="reference",
        help="reference, coconut, or names of quirks joined by commas (default: %(default)s)",
    )
    parser.add_argument(
        "--invariants", action="store_true", help="check the invariants after each operation"
    )
    parser.add_argument(
        "--explain", action="store_true", help="name the quirks that explain each difference"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from ..machine.quirks import profile
    from ..machine.replay import Tally, replay
    from ..machine.scenario import sequences
    from ..trace.source import lines

    quirks = profile(arguments.profile)
    tally = Tally()
    shown = 0
    explained: dict[int, tuple[str, ...]] = {}
    for name in arguments.files:
        for mismatch in replay(
            sequences(lines(name), name), quirks, tally, watched=arguments.invariants
        ):
            if arguments.explain:
                mismatch.explained_by = _explain(mismatch, quirks, explained)
            shown += 1
            if shown <= SHOWN or arguments.explain:
                print(mismatch)
            elif shown == SHOWN + 1:
                print("... further mismatches are counted, not shown")
    for sequence, violation in tally.violations:
        _show_violation(sequence, violation.index, str(violation), violation.invariant.meaning)
    print(tally)
    return 1 if tally.mismatches or tally.violations else 0


def _explain(
    mismatch: Mismatch, quirks: object, explained: dict[int, tuple[str, ...]]
) -> tuple[str, ...]:
    from ..machine.quirks import Quirks
    from ..machine.replay import explain

    assert isinstance(quirks, Quirks)
    key = id(mismatch.sequence)
    if key not in explained:
        explained.clear()
        explained[key] = explain(mismatch.sequence, quirks) or ("no quirk",)
    return explained[key]


def _show_violation(sequence: Sequence, index: int, message: str, meaning: str) -> None:
    from ..machine.scenario import show

    print(f"{sequence.name} line {sequence.line}: {message}\n  ({meaning})")
    print(show(sequence.commands[: index + 1], mark=index))
    sys.stdout.flush()
