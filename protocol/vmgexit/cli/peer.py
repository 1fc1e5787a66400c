"""`vmgexit peer`: adapters of other implementations, begun, checked and recorded."""

from __future__ import annotations

import argparse
import math
import shlex

from ..errors import UsageError

ACTIONS = {
    "new": ("peer_new", "begin an adapter in C, Rust or Python"),
    "record": ("peer_record", "write what an adapter answers as a recording"),
    "check": ("peer_check", "say which rules of the protocol an adapter breaks"),
}
"""Every action: its file here, and the line that `vmgexit peer --help` says of it."""


def register(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Adapters: programs that answer the commands of scenarios for another implementation, as"
        " specs/peer-protocol.md says."
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True, prog=parser.prog)
    for name, (module, meaning) in ACTIONS.items():
        actions.add_parser(name, help=meaning, module=f"{__package__}.{module}")


def add_peer(parser: argparse.ArgumentParser) -> None:
    """The options that say which program is the peer, and how long it may take."""
    parser.add_argument(
        "--peer", metavar="CMD", required=True, help="the adapter, with its arguments"
    )
    add_timeout(parser)


def add_timeout(parser: argparse.ArgumentParser) -> None:
    """The seconds that a peer has."""
    parser.add_argument(
        "--peer-timeout",
        type=_seconds,
        metavar="S",
        default=10.0,
        help="seconds for one answer of the peer (default: %(default)g)",
    )


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return value


def words_of(arguments: argparse.Namespace) -> list[str]:
    """The words of --peer, as a shell would read them. Raises UsageError."""
    try:
        words = shlex.split(arguments.peer)
    except ValueError as error:
        raise UsageError(f"--peer {arguments.peer}: {error}") from None
    if not words:
        raise UsageError("--peer: a program and its arguments expected")
    return words
