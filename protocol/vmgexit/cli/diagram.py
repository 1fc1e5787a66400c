"""`vmgexit diagram`: states that the explorer visited, and sequence charts of scenarios."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..diagrams import DRAWINGS, SUFFIXES, charts, formats, pages
from ..errors import ScenarioError, UsageError
from ..files import check_folder_of, write, write_output
from ..sequences import Sequence
from .formatter import examples
from .names import number
from .sequence_files import named, read_sequences


def register(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Explore a small system and draw the states that were visited; or, with --scenario, carry out a"
        " scenario, a recording or a finding, and draw who sends what to whom."
    )
    parser.epilog = examples(
        "vmgexit diagram registration --format mermaid",
        "vmgexit diagram --scenario corpus/quirks/handoff-drops-vector-31.jsonl --format text",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="diagrams; none: list them")
    parser.add_argument("--all", action="store_true", help="every diagram")
    parser.add_argument(
        "--format",
        metavar="F",
        help=f"{', '.join(SUFFIXES)} (default: as the output's name ends, else mermaid); states have no"
        " text, and charts no dot and json",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="PATH",
        help="write to this file; with --all every format to this folder",
    )
    scenario = parser.add_argument_group("sequence charts")
    scenario.add_argument(
        "--scenario",
        metavar="FILE",
        help="draw this scenario, recording or finding; - is standard input",
    )
    scenario.add_argument(
        "--sequence", type=number, metavar="N", help="which sequence of the file, from 1 on"
    )
    scenario.add_argument(
        "--from", type=number, metavar="N", dest="first", help="the first command drawn, from 0 on"
    )
    scenario.add_argument("--to", type=number, metavar="N", dest="last", help="the last one")
    scenario.add_argument(
        "--profile",
        metavar="P",
        help="what carries it out: reference (default), coconut, kvm, kvm-planes, or quirks and commas",
    )
    scenario.add_argument("--title", default="", metavar="TEXT", help="instead of the file's name")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    if arguments.scenario is not None:
        return _chart(arguments)
    for option in ("sequence", "first", "last", "profile"):
        if getattr(arguments, option) is not None:
            name = {"first": "from", "last": "to"}.get(option, option)
            raise UsageError(f"--{name}: only with --scenario")
    if arguments.output and arguments.all:
        check_folder_of(Path(arguments.output))
        made = pages()
        for name, text in made.items():
            write(Path(arguments.output) / name, text.encode())
        print(f"{len(made)} files in {arguments.output}")
        return 0
    names = list(DRAWINGS) if arguments.all else arguments.names
    if not names:
        print("\n".join(DRAWINGS))
        return 0
    if arguments.output and len(names) > 1:
        raise UsageError(f"-o {arguments.output}: one diagram expected, or --all")
    for name in names:
        if name not in DRAWINGS:
            raise UsageError(f"unknown diagram {name}; there are {', '.join(DRAWINGS)}")
        drawing = DRAWINGS[name]()
        form = _format(arguments)
        render = formats(drawing).get(form)
        if render is None:
            there = ", ".join(formats(drawing))
            raise UsageError(f"unknown format {form} of {name}; there are {there}")
        _put(render(drawing), arguments.output)
    return 0


def _chart(arguments: argparse.Namespace) -> int:
    """Draw one sequence of a file."""
    if arguments.names or arguments.all:
        raise UsageError("--scenario: a diagram's name and --all are not for a scenario")
    form = _format(arguments)
    if form not in charts.FORMATS:
        raise UsageError(
            f"unknown format {form}; of a scenario there are {', '.join(charts.FORMATS)}"
        )
    sequence = _chosen(arguments.scenario, arguments.sequence)
    with named(arguments.scenario):
        chart = charts.charted(
            sequence,
            arguments.profile or "reference",
            first=arguments.first or 0,
            last=arguments.last,
            title=arguments.title or ("standard input" if arguments.scenario == "-" else ""),
        )
    _put(charts.FORMATS[form](chart), arguments.output)
    return 0


def _chosen(name: str, wanted: int | None) -> Sequence:
    """The sequence of that number; of a file that has one alone, that one."""
    found, count = None, 0
    for count, sequence in enumerate(read_sequences(name), 1):
        if wanted is None and found is not None:
            raise UsageError(f"{name}: several sequences; choose one by --sequence N, from 1 on")
        if wanted in (None, count):
            found = sequence
        if wanted == count:
            break
    if found is None and wanted is not None and count:
        raise UsageError(f"{name}: --sequence {wanted}: there are 1 to {count}")
    if found is None:
        raise ScenarioError(f"{name}: no command found")
    return found


def _format(arguments: argparse.Namespace) -> str:
    """The format asked for; else what the name of the output says."""
    named = {suffix: form for form, suffix in SUFFIXES.items()}
    by_name = named.get(Path(arguments.output or "").suffix, "mermaid")
    return str(arguments.format or by_name)


def _put(text: str, output: str | None) -> None:
    if output:
        write_output(Path(output), text.encode())
    else:
        sys.stdout.write(text)
