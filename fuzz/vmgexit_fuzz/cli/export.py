"""`vmgexit export`: findings, corpora, recordings and scenarios as tests and inputs of other projects."""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from vmgexit.cli.formatter import examples
from vmgexit.counting import count_of
from vmgexit.errors import UsageError, VmgexitError
from vmgexit.files import write, write_output
from vmgexit.read.streams import lines

from ..campaign.findings import Record, Store, record_of, records, target_of
from ..campaign.folder import Directory
from ..campaign.untrusted import files
from ..export.cases import Case, distinct, message, of_input, recorded
from ..export.formats import FORMATS
from ..targets import TARGETS, USUAL, Conditions, Target, find
from .inputs import inputs_named, is_input
from .options import add_directory, campaign_directory

_LINES = re.compile(r"\.jsonl(\.\w+)?$")


def register(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Export findings, corpora, recordings and scenarios as tests and inputs of other projects."
        " Expected answers are the recorded ones, else those of the reference."
    )
    parser.epilog = "\n".join(
        [
            "formats:",
            *(f"  {name:9} {row.makes}; takes {row.taken}" for name, row in FORMATS.items()),
            "",
            examples(
                "vmgexit export pytest -o tests/test_found.py",
                "vmgexit export raw corpus/recordings/kvm -o other/corpus",
            ),
        ]
    )
    parser.add_argument("format", choices=FORMATS, metavar="FORMAT", help=", ".join(FORMATS))
    parser.add_argument(
        "inputs",
        nargs="*",
        metavar="INPUT",
        help="recordings, scenarios, exports as JSON lines, inputs of targets, folders of these or of a"
        " campaign, IDs of findings (default: the findings of a campaign)",
    )
    parser.add_argument("-o", "--output", type=Path, metavar="OUT", help="the file or the folder")
    add_directory(parser)
    parser.add_argument("--target", help="of inputs whose names do not say it")
    parser.add_argument(
        "--structure", metavar="NAME", help="INPUTs are the bytes of this structure, such as ghcb"
    )
    parser.add_argument(
        "--profile",
        default="",
        help="expect the answers of our machine of that profile, also where others were recorded",
    )
    parser.set_defaults(run=_export)


def _export(arguments: argparse.Namespace) -> int:
    row = FORMATS[arguments.format]
    if row.is_folder and arguments.output is None:
        raise UsageError(f"{arguments.format} makes a folder: -o FOLDER expected")
    if row.is_folder and arguments.output.is_file():
        raise UsageError(f"{arguments.output}: a file found, a folder expected")
    left_out: Counter[str] = Counter()
    cases = []
    for case in distinct(_cases(arguments)):
        reason = row.refused(case)
        left_out[reason] += bool(reason)
        if not reason:
            cases.append(case)
    told = "; ".join(f"{count} left out: {reason}" for reason, count in left_out.items() if reason)
    if not cases:
        raise VmgexitError(f"nothing to export as {arguments.format}{': ' * bool(told)}{told}")
    made = row.render(cases)
    if row.is_folder:
        for name, data in made.items():
            write(arguments.output / name, data)
    elif arguments.output is not None:
        write_output(arguments.output, *made.values())
    else:
        sys.stdout.write("".join(data.decode() for data in made.values()))
    closing = f"{count_of(len(cases), 'case')} in {count_of(len(made), 'file')}"
    where = arguments.output or "standard output"
    print(f"{where}: {'; '.join(filter(None, (closing, told)))}", file=sys.stderr)
    return 0


def _cases(arguments: argparse.Namespace) -> Iterator[Case]:
    """The cases of all that the command line names."""
    if not arguments.inputs:
        yield from _findings(campaign_directory(arguments.dir).findings, arguments)
    for name in arguments.inputs:
        path = Path(name)
        if (path / "campaign.json").is_file():
            yield from _campaign(Directory.at(path), arguments)
        elif path.is_dir() and any(records(path)):
            yield from _findings(path, arguments)
        elif path.is_dir():
            for file in files(path):
                if is_input(file) or _LINES.search(file.name):
                    yield from _file(file, arguments)
        elif name == "-" or path.exists():
            yield from _file(path, arguments)
        else:
            for found in inputs_named(name, arguments.dir):
                yield from _file(found, arguments)


def _campaign(directory: Directory, arguments: argparse.Namespace) -> Iterator[Case]:
    """The findings and the corpus of a campaign."""
    about = directory.read()
    yield from _findings(directory.findings, arguments)
    row = TARGETS.get(str(about.get("target")))
    if row is None:
        raise VmgexitError(f"{directory.path}: target {about.get('target')} is not one of ours")
    under = Conditions(
        profile=str(about.get("profile") or USUAL.profile), guest=str(about.get("guest") or "")
    )
    target = row.open(under)
    for path in files(directory.corpus):
        yield from _of_target(path, target, arguments)


def _findings(folder: Path, arguments: argparse.Namespace) -> Iterator[Case]:
    store = Store(folder)
    for record in store.records.values():
        yield from _finding(folder / f"{record.id}.bin", record, arguments)


def _finding(path: Path, record: Record, arguments: argparse.Namespace) -> Iterator[Case]:
    # Its bug is not planted, and its peer not started: what it does wrong is not what is expected.
    target = find(record.target).open(replace(record.conditions, plant="", peer=""))
    yield from _of_target(path, target, arguments, record)


def _file(path: Path, arguments: argparse.Namespace) -> Iterator[Case]:
    """The cases of a file: a structure's bytes, JSON lines, or the input of a target."""
    if arguments.structure:
        data = path.read_bytes()
        yield message(path.stem, str(path), arguments.structure, data, arguments.profile)
        return
    record = record_of(path)
    if record is not None:
        yield from _finding(path.with_suffix(".bin"), record, arguments)
    elif path.name == "-" or _LINES.search(path.name):
        yield from recorded(lines(str(path)), str(path), arguments.profile)
    else:
        name = arguments.target or target_of(path)
        if not name:
            raise UsageError(f"{path}: which target? --target {' or '.join(TARGETS)}")
        yield from _of_target(path, find(name).open(), arguments)


def _of_target(
    path: Path, target: Target, arguments: argparse.Namespace, record: Record | None = None
) -> Iterator[Case]:
    data = path.read_bytes()[: target.row.longest]
    case = of_input(path, data, target, arguments.profile, record)
    if case is not None:
        yield case
