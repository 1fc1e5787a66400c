"""`vmgexit fuzz replay`, `triage` and `minimize`: what was found, again, listed, and shorter."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from vmgexit.errors import UsageError, VmgexitError
from vmgexit.files import write

from ..campaign.findings import Record, Store, records, shown, target_of
from ..targets import TARGETS, Finding, Target, as_finding, find, plant
from .options import HOME, add_conditions, add_directory, campaign_directory, use_peer


def register(actions: argparse._SubParsersAction[Any]) -> None:
    """Add the actions."""
    replay = actions.add_parser(
        "replay",
        help="run inputs once, without the engine",
        description="Run inputs of a target once, a finding under what it was found with. Exits 1"
        " when one is a finding.",
    )
    _add_inputs(replay)
    replay.set_defaults(run=_replay)
    minimize = actions.add_parser(
        "minimize",
        help="make a finding's input shorter",
        description="Shorten a finding's input without the limits of a campaign, by commands first,"
        " then by arguments; the cause stays what it is.",
    )
    _add_inputs(minimize)
    minimize.set_defaults(run=_minimize)
    triage = actions.add_parser(
        "triage",
        help="list the findings of a campaign, mark and export them",
        description="List the findings of a campaign, or do something with the ones named.",
        epilog="example: vmgexit fuzz triage --export pytest -o tests/test_found.py",
    )
    triage.add_argument("ids", nargs="*", metavar="ID", help="findings; all without")
    add_directory(triage)
    action = triage.add_mutually_exclusive_group()
    action.add_argument("--show", action="store_true", help="print each finding whole")
    action.add_argument("--known", action="store_true", help="mark as known: no news any more")
    action.add_argument("--unknown", action="store_true", help="take that mark away")
    action.add_argument(
        "--export", choices=("pytest", "jsonl"), help="as a pytest file, or as JSON lines"
    )
    triage.add_argument("-o", "--output", type=Path, metavar="FILE", help="of --export")
    triage.set_defaults(run=_triage)


def _add_inputs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "inputs", nargs="+", metavar="INPUT", help="files, folders of them, or IDs of findings"
    )
    add_directory(parser)
    parser.add_argument("--target", help="where the name of the file does not say it")
    add_conditions(parser, recorded=True)


@dataclass(frozen=True, slots=True)
class _Input:
    """One input, and under what it is to run."""

    path: Path
    target: Target
    profile: str
    plant: str
    peer: str
    hang_seconds: int


def _replay(arguments: argparse.Namespace) -> int:
    found = total = 0
    for this in _inputs(arguments):
        total += 1
        data = _data(this.path, this.target)
        try:
            with _limited(this.hang_seconds):
                this.target.run(data)
        except (Exception, SystemExit) as error:
            found += 1
            finding = as_finding(error)
            text = shown(this.target, finding, data, deadly=isinstance(error, _Hang))
            print(f"{this.path}: {text}")
    print(f"{total} input{'s' * (total != 1)}, {found} finding{'s' * (found != 1)}")
    return 1 if found else 0


def _minimize(arguments: argparse.Namespace) -> int:
    from ..campaign.findings import described
    from ..campaign.minimize import minimized

    for this in _inputs(arguments):
        data = _data(this.path, this.target)
        try:
            this.target.run(data)
        except (Exception, SystemExit) as error:
            finding = as_finding(error)
        else:
            raise VmgexitError(f"{this.path}: no finding, one to be shortened expected")
        shorter = data
        while True:  # what is simpler may let more be left out
            again = minimized(this.target, shorter, finding.cause, tries=1 << 20)
            if again == shorter:
                break
            shorter = again
        print(f"{this.path}: {len(data)} bytes, {len(shorter)} now")
        print(shown(this.target, finding, shorter))
        store = Store(this.path.parent)
        if shorter != data and finding.cause in store.records:
            store.keep(described(this.target, finding, shorter))
        elif shorter != data:
            write(this.path.with_suffix(".min.bin"), shorter)
    return 0


def _triage(arguments: argparse.Namespace) -> int:
    directory = campaign_directory(arguments.dir)
    store = Store(directory.findings)
    chosen = [store.named(name) for name in arguments.ids] or list(store.records.values())
    if arguments.output and not arguments.export:
        raise UsageError("-o: only --export writes a file")
    if arguments.known or arguments.unknown:
        if not arguments.ids:
            raise UsageError("--known and --unknown need the findings' IDs")
        for record in chosen:
            store.mark(record, known=arguments.known)
            print(f"{record.id}: {'known' if record.known else 'news'}")
    elif arguments.show:
        for record in chosen:
            print(f"{record.id}\n{(store.directory / f'{record.id}.txt').read_text()}")
    elif arguments.export:
        from ..campaign import export

        text = export.FORMATS[arguments.export](store, chosen)
        if arguments.output:
            write(arguments.output, text.encode())
        else:
            print(text, end="")
    else:
        _table(chosen)
    return 0


def _table(chosen: list[Record]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("finding", "count", "size", "first seen", "last seen", "", "what"):
        right = column in ("count", "size")
        table.add_column(column, justify="right" if right else "left", no_wrap=column != "what")
    for record in sorted(chosen, key=lambda record: (record.known, record.first)):
        size = f"{record.commands} commands" if record.commands else f"{record.size} bytes"
        seen = _when(record.first), _when(record.last)
        mark = "known" * record.known
        table.add_row(record.id, f"{record.count:,}", size, *seen, mark, _plain(record.message))
    console = Console(markup=False, highlight=False)
    if not console.is_terminal:
        console.width = 1000  # a line for each
    console.print(table if chosen else "no findings")


def _plain(text: str) -> str:
    """Text without what would steer a terminal."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds)) if seconds else "-"


# --- inputs ---------------------------------------------------------------------------------------


def _inputs(arguments: argparse.Namespace) -> Iterator[_Input]:
    """Each input in turn, the machine, the planted bug and the peer set up for it."""
    from vmgexit.machine.quirks import profile

    from ..targets import peer, scenario

    chosen = [
        _conditions(path, arguments)
        for name in arguments.inputs
        for path in _files(name, arguments.dir)
    ]
    planted = {this.plant for this in chosen}
    if len(planted) > 1:
        raise UsageError("inputs with different bugs planted: one at a time")
    peers = {this.peer for this in chosen if this.peer}
    if len(peers) > 1:
        raise UsageError("inputs of different peers: one at a time")
    plant(planted.pop() if planted else "")
    if chosen:
        use_peer([this.target for this in chosen], next(iter(peers), ""), chosen[0].hang_seconds)
    for this in chosen:
        scenario.quirks = peer.quirks = profile(this.profile)
        yield this


def _conditions(path: Path, arguments: argparse.Namespace) -> _Input:
    """What the command line says of an input, else its record, else the usual."""
    record = next((r for r in records(path.parent) if r.id == path.stem), None)
    name = arguments.target or (record.target if record else target_of(path))
    if not name:
        raise UsageError(f"{path}: which target? --target {' or '.join(TARGETS)}")

    def said(option: str, usual: Any) -> Any:
        given = getattr(arguments, option)
        return usual if given is None else given

    return _Input(
        path,
        find(name),
        said("profile", record.profile if record else "reference"),
        said("plant", record.plant if record else ""),
        said("peer", record.peer if record else ""),
        said("hang", int(record.hang_seconds) if record and record.hang_seconds else 20),
    )


def _files(name: str, directory: Path | None) -> list[Path]:
    """The inputs that a name stands for: a file, those in a folder, or a finding's."""
    path = Path("/dev/stdin" if name == "-" else name)
    if path.is_dir():
        return sorted(entry for entry in path.iterdir() if _is_input(entry))
    if path.exists():
        return [path]
    folders = [directory / "findings"] if directory else sorted(HOME.glob("*/findings"))
    stores = [Store(folder) for folder in folders]
    known = [
        store for store in stores if any(r.id.startswith(name) for r in store.records.values())
    ]
    if not known:
        raise VmgexitError(f"{name}: no such file, and no finding of that ID")
    if len(known) > 1:
        places = ", ".join(str(store.directory) for store in known)
        raise VmgexitError(f"{name}: findings in {places}; --dir chooses the campaign")
    return [known[0].directory / f"{known[0].named(name).id}.bin"]


def _is_input(path: Path) -> bool:
    """Beside inputs a folder holds readable copies, notes, and files being written."""
    return (
        path.is_file()
        and path.suffix not in (".txt", ".jsonl", ".json", ".md")
        and not path.name.startswith(".")
    )


def _data(path: Path, target: Target) -> bytes:
    """An input, of no more bytes than the engine would take; a scenario in either spelling."""
    try:
        with path.open("rb") as stream:
            if path.suffix == ".jsonl" and target.is_program:
                return _program(stream)
            data = stream.read(target.longest + 1)
    except OSError as error:
        raise VmgexitError(f"{path}: {error.strerror}") from None
    if len(data) > target.longest:
        print(
            f"{path}: the first {target.longest} bytes are run, as the engine would",
            file=sys.stderr,
        )
    return data[: target.longest]


def _program(stream: BinaryIO) -> bytes:
    from vmgexit.machine import program
    from vmgexit.machine.scenario import sequences

    return b"".join(program.write(sequence.commands) for sequence in sequences(stream))


class _Hang(Finding):
    """One input took too long."""


@contextlib.contextmanager
def _limited(seconds: int) -> Iterator[None]:
    """Raise _Hang after so many seconds."""

    def hangs(*_: object) -> None:
        raise _Hang("hang", f"hang: not done after {seconds} s")

    before = signal.signal(signal.SIGALRM, hangs)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
