"""Inputs named on the command line, and under what each is to run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from vmgexit.errors import UsageError, VmgexitError
from vmgexit.machine import program
from vmgexit.machine.quirks import profile
from vmgexit.machine.scenario import sequences

from ..campaign.findings import Store, records, target_of
from ..targets import TARGETS, Target, find, peer, plant, scenario
from .options import HOME, add_conditions, add_directory, use_peer


def add_inputs(parser: argparse.ArgumentParser) -> None:
    """The arguments that name inputs, and what they are to run under."""
    parser.add_argument(
        "inputs", nargs="+", metavar="INPUT", help="files, folders of them, or IDs of findings"
    )
    add_directory(parser)
    parser.add_argument("--target", help="where the name of the file does not say it")
    add_conditions(parser, recorded=True)


@dataclass(frozen=True, slots=True)
class Input:
    """One input, and under what it is to run."""

    path: Path
    target: Target
    profile: str
    plant: str
    peer: str
    hang_seconds: int

    def read(self) -> bytes:
        """Its bytes, of no more than the engine would take; a scenario in either spelling."""
        longest = self.target.longest
        try:
            with self.path.open("rb") as stream:
                if self.path.suffix == ".jsonl" and self.target.is_program:
                    return _program(stream)
                data = stream.read(longest + 1)
        except OSError as error:
            raise VmgexitError(f"{self.path}: {error.strerror}") from None
        if len(data) > longest:
            print(
                f"{self.path}: the first {longest} bytes are run, as the engine would",
                file=sys.stderr,
            )
        return data[:longest]


def inputs(arguments: argparse.Namespace) -> Iterator[Input]:
    """Each input in turn, the machine, the planted bug and the peer set up for it."""
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


def _conditions(path: Path, arguments: argparse.Namespace) -> Input:
    """What the command line says of an input, else its record, else the usual."""
    record = next((r for r in records(path.parent) if r.id == path.stem), None)
    name = arguments.target or (record.target if record else target_of(path))
    if not name:
        raise UsageError(f"{path}: which target? --target {' or '.join(TARGETS)}")

    def said(option: str, usual: Any) -> Any:
        given = getattr(arguments, option)
        return usual if given is None else given

    return Input(
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


def _program(stream: BinaryIO) -> bytes:
    return b"".join(program.write(sequence.commands) for sequence in sequences(stream))
