"""`vmgexit peer check`: does an adapter do what specs/peer-protocol.md says?"""

from __future__ import annotations

import argparse
from collections import Counter

from ..compare.conformance.check import Outcome, Result, Support, check, speed
from ..compare.conformance.page import exchange
from ..errors import PeerError
from .formatter import examples
from .peer import add_peer, words_of


def register(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Run a short exchange for each rule of specs/peer-protocol.md, in an order that builds up, and"
        " name the rules that the adapter breaks: the first one first. Then say what it supports, and how"
        " fast it answers. Exits 1 if a rule is broken."
    )
    parser.epilog = examples("vmgexit peer check --peer ./adapter")
    add_peer(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    words, support = words_of(arguments), Support()
    outcomes: Counter[Outcome] = Counter()
    for result in check(words, arguments.peer_timeout, support):
        outcomes[result.outcome] += 1
        _show(result)
    _show_support(support)
    if not outcomes[Outcome.BROKEN]:
        _show_speed(words, arguments.peer_timeout)
    print(", ".join(f"{outcomes[one]} {_COUNTED[one]}" for one in Outcome))
    return 1 if outcomes[Outcome.BROKEN] else 0


_COUNTED = {
    Outcome.HOLDS: "rules hold",
    Outcome.UNSUPPORTED: "not supported",
    Outcome.BROKEN: "broken",
}


def _show(result: Result) -> None:
    why = f": {result.why}" if result.why else ""
    print(f"{result.rule.id} {result.rule.title}: {result.outcome}{why}")
    if result.outcome is Outcome.BROKEN and 0 <= result.step < len(result.rule.steps):
        lines = list(exchange(result.rule, result.step + 1))
        print("\n".join([*lines[:-1], f"{lines[-1]}  <- expected"]))


def _show_support(support: Support) -> None:
    partly = [name for name in support.part if name not in support.none]
    whole = [
        name for name in support.whole if name not in support.none and name not in support.part
    ]
    for heading, names in (
        ("supported", whole),
        ("supported in part", partly),
        ("not supported", list(support.none)),
    ):
        if names:
            print(f"{heading}: {', '.join(names)}")


def _show_speed(words: list[str], timeout: float) -> None:
    try:
        measured = speed(words, timeout)
    except PeerError as error:
        print(f"speed: {error}")
        return
    print(
        f"speed: {measured.one_by_one:,.0f} commands/s one by one,"
        f" {measured.at_once:,.0f} written at once"
    )
