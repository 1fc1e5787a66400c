"""`vmgexit replay`: recordings against the machine or a peer, scenarios under the invariants."""

from __future__ import annotations

import argparse
import math
import shlex
import sys
from collections import Counter
from collections.abc import Iterator

from ..compare.lockstep import replay_peer
from ..compare.peer import Peer
from ..compare.replay import Mismatch, Tally, explained, replay
from ..errors import UsageError
from ..guests.profiles import GUESTS, find_guest
from ..machine.quirks import Quirks, profile
from ..machine.scenario import Sequence, sequences, show
from ..read.streams import lines
from .as_guest import check
from .formatter import examples

SHOWN = 20  # mismatches printed in full; all are counted


def register(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Run each sequence of JSON lines on a fresh machine, and compare the answers with the"
        " recorded ones. With --peer, run it on another implementation; where no answer is recorded,"
        " compare with the machine. Exits 1 on a mismatch (with --explain: on a mismatch that no"
        " quirk explains) and on a broken invariant."
    )
    parser.epilog = examples("vmgexit replay --profile coconut corpus/recordings/*.jsonl.xz")
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
        "--explain",
        action="store_true",
        help="name the quirks that explain each difference, and count what each explains",
    )
    parser.add_argument(
        "--guest",
        default="",
        metavar="NAME",
        help=f"{' or '.join(GUESTS)}: say where a scenario does what that guest never does, and where the"
        " guest ends itself; exits 1 where it never does that",
    )
    parser.add_argument(
        "--peer",
        metavar="CMD",
        help="the program to run instead, with its arguments (specs/peer-protocol.md)",
    )
    parser.add_argument(
        "--peer-timeout",
        type=_seconds,
        metavar="S",
        default=10.0,
        help="seconds for one answer of the peer (default: %(default)g)",
    )
    parser.set_defaults(run=run)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return value


def run(arguments: argparse.Namespace) -> int:
    quirks = profile(arguments.profile)
    guest = find_guest(arguments.guest)
    if guest is not None:
        return check(_without_answers(arguments), guest, quirks)
    tally = Tally()
    mismatches = _mismatches(arguments, quirks, tally)
    if arguments.explain:
        mismatches = explained(mismatches, quirks)
    causes: Counter[str] = Counter()
    unexplained = 0
    for shown, mismatch in enumerate(mismatches, 1):
        causes.update(mismatch.explained_by or ())
        unexplained += not mismatch.explained_by
        if shown <= SHOWN or arguments.explain:
            print(mismatch)
        elif shown == SHOWN + 1:
            print("... further mismatches are counted, not shown")
    for sequence, violation in tally.violations:
        _show_violation(sequence, violation.index, str(violation), violation.invariant.meaning)
    print(tally)
    if arguments.explain:
        for name, count in causes.most_common():
            print(f"{name}: {count}")
        print(f"{unexplained} unexplained")
    return 1 if unexplained or tally.violations else 0


def _mismatches(arguments: argparse.Namespace, quirks: Quirks, tally: Tally) -> Iterator[Mismatch]:
    """What differs in any of the files, on the machine or on the peer."""
    if arguments.peer is None:
        for name in arguments.files:
            yield from replay(_sequences(name), quirks, tally, watched=arguments.invariants)
        return
    with Peer(_command(arguments), arguments.peer_timeout) as peer:
        for name in arguments.files:
            yield from replay_peer(_sequences(name), peer, quirks, tally)


def _without_answers(arguments: argparse.Namespace) -> Iterator[Sequence]:
    """The sequences of all files, whose answers are not looked at."""
    for option in ("invariants", "explain", "peer"):
        if getattr(arguments, option):
            raise UsageError(f"--{option} compares answers: not with --guest")
    for name in arguments.files:
        yield from _sequences(name)


def _sequences(name: str) -> Iterator[Sequence]:
    return sequences(lines(name), name)


def _command(arguments: argparse.Namespace) -> list[str]:
    """The words of --peer, as a shell would read them."""
    for option in ("invariants", "explain"):
        if getattr(arguments, option):
            raise UsageError(f"--{option} looks into our own machine: not with --peer")
    try:
        words = shlex.split(arguments.peer)
    except ValueError as error:
        raise UsageError(f"--peer {arguments.peer}: {error}") from None
    if not words:
        raise UsageError("--peer: a program and its arguments expected")
    return words


def _show_violation(sequence: Sequence, index: int, message: str, meaning: str) -> None:
    print(f"{sequence.name} line {sequence.line}: {message}\n  ({meaning})")
    print(show(sequence.commands[: index + 1], mark=index))
    sys.stdout.flush()
