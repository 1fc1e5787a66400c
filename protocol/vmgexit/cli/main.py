"""The parser of all commands, and what becomes of errors."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence
from importlib import metadata
from typing import Any, NoReturn, TextIO

from ..errors import VmgexitError
from . import decode, diagram, encode, explore, find, layout, listing, replay, source, spec, trace

COMMANDS = (listing, decode, encode, layout, source, replay, explore, diagram, trace, find, spec)
GROUPS = "vmgexit.commands"  # entry points of further commands; `fuzz` is one
INTERRUPTED = 130

_LONGEST = 1000  # letters of a complaint; what was found may be megabytes
_GREEDY = (argparse.PARSER, argparse.REMAINDER)  # what cannot be mixed with options


class _Parser(argparse.ArgumentParser):
    """One line for a wrong command line, and where to read more."""

    _mixing = False

    def error(self, message: str) -> NoReturn:
        _complain(f"{message} (see {self.prog} --help)", self.prog)
        raise SystemExit(2)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """Options may stand anywhere: `decode NAME --json FILE`, too.

        Python before 3.13 gives an optional FILE away as soon as NAME has been read.
        """
        whole = not any(action.nargs in _GREEDY for action in self._actions)
        if self._mixing or not whole:
            return super().parse_known_args(args, namespace)
        self._mixing = True  # the intermixed reading calls this method for its two passes
        try:
            found, unknown = self.parse_known_intermixed_args(args, namespace)
        finally:
            self._mixing = False
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return found, unknown


def _complain(message: str, place: str = "vmgexit") -> None:
    """One line on standard error, whatever stands in what a user gave us."""
    line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in message)
    if len(line) > _LONGEST:
        line = f"{line[: _LONGEST // 2]} ... {line[-_LONGEST // 2 :]}"
    if sys.stderr is not None:
        with contextlib.suppress(OSError):  # a full disk there: the exit code has to do
            print(f"{place}: {line}", file=sys.stderr)


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
        missing = f"the {group.name} commands need: pip install 'vmgexit[{group.name}]' ({error})"

        def run(arguments: argparse.Namespace) -> int:
            _complain(missing)
            return 2

        # No letter starts an option: whatever follows is no mistake of the user's.
        lone = commands.add_parser(
            group.name, help=missing.replace("%", "%%"), prefix_chars="\0", add_help=False
        )
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
    if sys.stdout is None:
        _complain("standard output is closed")
        return 2
    try:
        return _run(words)
    except VmgexitError as error:
        _complain(str(error))
        return 2
    except BrokenPipeError:
        return 0  # the reader has gone; nothing more can be said there
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _complain(f"{where}{error.strerror or error}")
        return 2
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        _let_go(sys.stdout)
        _let_go(sys.stderr)


def _run(words: list[str]) -> int:
    try:
        parsed = parser(words[0] if words else "").parse_args(words)
        code: int = parsed.run(parsed)
    except SystemExit:  # help, or a wrong command line
        sys.stdout.flush()
        raise
    sys.stdout.flush()
    return code


def _let_go(stream: TextIO | None) -> None:
    """Drop what cannot be written: at its end, Python would try again, and complain."""
    if stream is None:
        return
    try:
        stream.flush()
    except (OSError, ValueError):
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
