"""The table of commands, their parser, and the exit codes of errors."""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from ..errors import UsageError, VmgexitError
from .formatter import Formatter

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

COMMANDS = {
    "list": ("listing", "list every structure, call and exit"),
    "decode": ("decode", "turn bytes into names"),
    "explain": ("explain", "explain a log line, a name, a number or a dump"),
    "encode": ("encode", "turn names into bytes"),
    "diff": ("diff", "show the fields in which two values of a structure differ"),
    "layout": ("layout", "print tables and drawings of structures"),
    "source": ("source", "print the Python that decodes and encodes a structure"),
    "replay": ("replay", "run recordings or scenarios and compare the answers"),
    "peer": ("peer", "begin, check and record adapters of other implementations"),
    "svsm": ("svsm", "try calls on an SVSM, typed one by one or from a script"),
    "explore": ("explore", "try every interleaving of a small system"),
    "diagram": ("diagram", "draw states and sequences from what the explorer visited"),
    "page": ("page", "write the decoder page, one HTML file for a browser"),
    "trace": ("trace", "decode KVM's trace lines"),
    "find": ("find", "find pages in a memory image that look like one of ours"),
    "gdb": ("debugger", "print a script that shows structures in GDB"),
    "drgn": ("debugger", "print a script that shows structures in drgn"),
    "spec": ("spec", "list each clause with the tests that check it"),
}
"""Every command: its file here, and the line that `vmgexit --help` says of it. Only the file of the
command that is run is imported, so that each starts fast; each imports what it needs at its top."""

GROUPS = "vmgexit.commands"  # entry points of further commands; `fuzz` is one
INTERRUPTED = 130

_LONGEST = 1000  # letters of a complaint; what was found may be megabytes
_GREEDY = (argparse.PARSER, argparse.REMAINDER)  # what cannot be mixed with options


class _Parser(argparse.ArgumentParser):
    """One line for a wrong command line, and where to read more.

    `module` describes the command: once it is chosen, `module.register(parser)` adds the arguments.
    `extra` is the extra of vmgexit that the module's imports need, if any.
    """

    _mixing = False

    def __init__(self, *args: Any, module: str = "", extra: str = "", **options: Any) -> None:
        super().__init__(*args, **{"formatter_class": Formatter, **options})
        self._module = module
        self._extra = extra

    def _describe(self) -> None:
        """Import the module and add its arguments, once."""
        module, self._module = self._module, ""
        if not module:
            return
        try:
            import_module(module).register(self)
        except ImportError as error:
            if not self._extra:
                raise
            raise UsageError(_missing(self._extra, error)) from None

    def error(self, message: str) -> NoReturn:
        complain(f"{message} (see {self.prog} --help)", self.prog)
        raise SystemExit(2)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """Options may stand anywhere: `decode NAME --json FILE`, too.

        Python before 3.13 gives an optional FILE away as soon as NAME has been read.
        """
        self._describe()
        whole = not any(action.nargs in _GREEDY for action in self._actions)
        found, unknown = super().parse_known_args(args, namespace)
        if self._mixing or not (whole and unknown):
            return found, unknown
        self._mixing = True  # the intermixed reading calls this method for its two passes
        try:
            found, unknown = self.parse_known_intermixed_args(args, namespace)
        finally:
            self._mixing = False
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return found, unknown


def complain(message: str, place: str = "vmgexit") -> None:
    """One line on standard error, whatever stands in what a user gave us."""
    line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in message)
    if len(line) > _LONGEST:
        line = f"{line[: _LONGEST // 2]} ... {line[-_LONGEST // 2 :]}"
    if sys.stderr is not None:
        with contextlib.suppress(OSError):  # a full disk there: the exit code has to do
            print(f"{place}: {line}", file=sys.stderr)


def parser(wanted: str = "") -> argparse.ArgumentParser:
    """The parser of `wanted`, if it is a command of ours; else of every command.

    Groups of other packages are looked up only then, so that decoding imports no fuzzer.
    """
    top = _Parser(
        prog="vmgexit",
        description="The wire protocol of AMD SEV-SNP guests (GHCB and SVSM), executable.",
        epilog="example: vmgexit decode doorbell-head --pad --hex 61810102",
    )
    # Told the name, argparse need not format a usage line to find it.
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True, prog=top.prog)
    for name in [wanted] if wanted in COMMANDS else COMMANDS:
        module, meaning = COMMANDS[name]
        commands.add_parser(name, help=meaning, module=f"{__package__}.{module}")
    if wanted not in COMMANDS:
        from importlib.metadata import entry_points

        top.add_argument("--version", action="version", version=f"vmgexit {_version()}")
        for group in entry_points(group=GROUPS):
            _add_group(commands, group)
    return top


def _add_group(commands: argparse._SubParsersAction[Any], group: EntryPoint) -> None:
    try:
        group.load()(commands)
    except ImportError as error:
        missing = _missing(group.name, error)

        def run(arguments: argparse.Namespace) -> int:
            complain(missing)
            return 2

        # No letter starts an option: whatever follows is no mistake of the user's.
        lone = commands.add_parser(
            group.name, help=missing.replace("%", "%%"), prefix_chars="\0", add_help=False
        )
        lone.add_argument("rest", nargs=argparse.REMAINDER)
        lone.set_defaults(run=run)


def _missing(extra: str, error: ImportError) -> str:
    return f"the {extra} commands need: pip install 'vmgexit[{extra}]' ({error})"


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("vmgexit")
    except PackageNotFoundError:
        return "(not installed)"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0, 1 for a finding or a broken rule, 2 for bad
    input."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if sys.stdout is None:
        complain("standard output is closed")
        return 2
    try:
        return _run(words)
    except VmgexitError as error:
        complain(str(error))
        return 2
    except BrokenPipeError:
        return 0  # the reader has gone; nothing more can be said there
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        complain(f"{where}{error.strerror or error}")
        return 2
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        _let_go(sys.stdout)
        _let_go(sys.stderr)


def _run(words: list[str]) -> int:
    try:
        parsed = _parsed(words)
        code: int = parsed.run(parsed)
    except SystemExit:  # help, or a wrong command line
        sys.stdout.flush()
        raise
    sys.stdout.flush()
    return code


def _parsed(words: list[str]) -> argparse.Namespace:
    """The arguments of a command, which imports what it needs: all that stays, and is no garbage."""
    gc.disable()
    try:
        return parser(words[0] if words else "").parse_args(words)
    finally:
        gc.enable()


def _let_go(stream: TextIO | None) -> None:
    """Drop what cannot be written: at its end, Python would try again, and complain."""
    if stream is None:
        return
    try:
        stream.flush()
    except (OSError, ValueError):
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
