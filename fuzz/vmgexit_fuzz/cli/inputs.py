"""The inputs that a command line names, and the conditions under which each runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from vmgexit.cli.sequence_files import named
from vmgexit.errors import UsageError, VmgexitError
from vmgexit.machine import program
from vmgexit.machine.scenario import sequences
from vmgexit.sequences import HOST

from ..campaign.findings import Store, record_of, target_of
from ..campaign.folder import Directory
from ..targets import TARGETS, USUAL, Conditions, Target, TargetRow, find
from .options import HOME, add_conditions, add_directory, conditions, newest, opened


def add_inputs(parser: argparse.ArgumentParser) -> None:
    """The arguments that name inputs, and what they are to run under."""
    parser.add_argument(
        "inputs", nargs="+", metavar="INPUT", help="files, folders of files, or IDs of findings"
    )
    add_directory(parser)
    parser.add_argument("--target", help="the target, where the name of the file does not say it")
    add_conditions(parser)


def inputs(arguments: argparse.Namespace) -> Iterator[tuple[Path, bytes, Target]]:
    """Each input in turn: its place, its bytes, and its target under what it is to run under."""
    chosen: list[tuple[Path, TargetRow, Conditions]] = [
        (path, *_meant(path, arguments))
        for name in arguments.inputs
        for path in inputs_named(name, arguments.dir)
    ]
    if len({under.plant for _, _, under in chosen}) > 1:
        raise UsageError(
            "the inputs were found with different bugs planted: one bug at a time expected"
        )
    targets: dict[tuple[TargetRow, Conditions], Target] = {}
    for path, row, under in chosen:
        if (row, under) not in targets:
            planted = under if not targets else replace(under, plant="")  # once is enough
            targets[row, under] = opened(row, planted)
        yield path, _read(path, row), targets[row, under]


def seeds(folder: Path, row: TargetRow) -> Iterator[bytes]:
    """The inputs in a folder; a scenario's JSON lines too, where no input of that name is beside them.
    Raises VmgexitError where there are none."""
    if not folder.is_dir():
        raise VmgexitError(f"{folder}: no folder")
    paths = [path for path in sorted(folder.iterdir()) if is_input(path)]
    if row.is_program:
        paths += [
            path for path in sorted(folder.glob("*.jsonl")) if not path.with_suffix(".bin").exists()
        ]
    if not paths:
        raise VmgexitError(f"{folder}: no inputs")
    for path in paths:
        yield _read(path, row)


def _meant(path: Path, arguments: argparse.Namespace) -> tuple[TargetRow, Conditions]:
    """What the command line says of an input, else its record, else the usual."""
    record = record_of(path)
    name = arguments.target or (record.target if record else target_of(path))
    if not name:
        raise UsageError(f"{path}: which target? --target {' or '.join(TARGETS)}")
    return find(name), conditions(arguments, record.conditions if record else USUAL)


def _read(path: Path, row: TargetRow) -> bytes:
    """An input, of no more bytes than the engine would take; a scenario in either spelling."""
    try:
        with named(str(path)), path.open("rb") as stream:
            if path.suffix == ".jsonl" and row.is_program:
                return _program(stream)
            if path.suffix == ".jsonl" and row.machine == HOST:
                option = "--peer CMD" if row.takes_peer else "--invariants"
                raise UsageError(f"{path}: `vmgexit replay {option}` runs a host's JSON lines")
            data = stream.read(row.longest + 1)
    except OSError as error:
        raise VmgexitError(f"{path}: {error.strerror}") from None
    if len(data) > row.longest:
        print(
            f"{path}: the first {row.longest} bytes are run, as the engine would", file=sys.stderr
        )
    return data[: row.longest]


def inputs_named(name: str, directory: Path | None) -> list[Path]:
    """The inputs that a name stands for: a file, those in a folder, or a finding's."""
    path = Path("/dev/stdin" if name == "-" else name)
    if path.is_dir():
        return sorted(entry for entry in path.iterdir() if is_input(entry))
    if path.exists():
        return [path]
    folders = [directory] if directory else [each.parent for each in HOME.glob("*/findings")]
    stores = {folder: Store(folder / "findings") for folder in folders}
    known = [
        Directory.at(folder)
        for folder, store in stores.items()
        if any(record.id.startswith(name) for record in store.records.values())
    ]
    if not known:
        raise VmgexitError(f"{name}: no such file, and no finding of that ID")
    chosen = newest(known)
    return [chosen.findings / f"{stores[chosen.path].named(name).id}.bin"]


def is_input(path: Path) -> bool:
    """Beside inputs a folder holds readable copies, notes, and files being written."""
    return (
        path.is_file()
        and path.suffix not in (".txt", ".jsonl", ".json", ".md")
        and not path.name.startswith(".")
    )


def _program(stream: BinaryIO) -> bytes:
    return b"".join(program.write(sequence.commands) for sequence in sequences(stream))
