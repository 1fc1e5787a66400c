"""`vmgexit peer`: adapters of other implementations, begun, checked and recorded."""

from __future__ import annotations

import argparse

ACTIONS = {
    "new": ("peer_new", "begin an adapter in C, Rust or Python"),
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
