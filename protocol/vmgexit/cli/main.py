"""The parser of all commands, and what becomes of errors."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence
from importlib import metadata
from typing import Any, NoReturn

from ..errors import VmgexitError
from . import decode, diagram, encode, explore, find, layout, listing, replay, source, spec, trace

COMMANDS = (listing, decode, encode, layout, source, replay, explore, diagram, trace, find, spec)
GROUPS = "vmgexit.commands"  # entry points of further commands; `fuzz` is one
INTERRUPTED = 130


class _Parser(argparse.ArgumentParser):
    """One line for a wrong command line, and where to read more."""

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message} (see {self.prog} --help)", file=sys.stderr)
        raise SystemExit(2)


def parser(wanted: str = "") -> argparse.ArgumentParser:
    """The parser of every command. Groups of other packages are loaded only where `wanted` is none of
    ours, so that decoding does not import a fuzzer."""
    top = _Parser(
        prog="vmgexit",
        description="The wire protocol of AMD SEV-SNP guests (GHCB and SVSM), executable.",
        epilog="example: vmgexit decode doorbell-head --pad --hex 61810102",
    )
    top.add_argument("--version", action="version", version=f"vmgexit {_version()}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.register(commands)
    if wanted not in commands.choices:
        for group in metadata.entry_points(group=GROUPS):
            _add_group(commands, group)
    return top


def _add_group(commands: argparse._SubParsersAction[Any], group: metadata.EntryPoint) -> None:
    try:
        group.load()(commands)
    except ImportError as error:
        missing = f"needs the extra: pip install 'vmgexit[{group.name}]' ({error})"

        def run(arguments: argparse.Namespace) -> int:
            print(f"vmgexit {group.name}: {missing}", file=sys.stderr)
            return 2

        lone = commands.add_parser(group.name, help=missing)
        lone.add_argument("rest", nargs=argparse.REMAINDER)
        lone.set_defaults(run=run)


def _version() -> str:
    try:
        return metadata.version("vmgexit")
    except metadata.PackageNotFoundError:
        return "(not installed)"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0, 1 for a finding or a broken rule, 2 for bad input."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        parsed = parser(words[0] if words else "").parse_args(words)
        code: int = parsed.run(parsed)
        sys.stdout.flush()
        return code
    except VmgexitError as error:
        print(f"vmgexit: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # The reader has gone; nothing more can be said there.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"vmgexit: {where}{error.strerror or error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return INTERRUPTED
