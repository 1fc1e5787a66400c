"""`vmgexit layout`: tables and drawings of the structures."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import UsageError
from ..files import check_folder_of
from ..layout import pages
from ..wire.registry import find
from . import layout_diff
from .formatter import examples


def register(parser: argparse.ArgumentParser) -> None:
    parser.description = "Layout tables and drawings, made from the declarations."
    parser.epilog = examples(
        "vmgexit layout ext-int-descriptor --format md",
        "vmgexit layout --diff doorbell-page@2024-05-16 doorbell-page",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="structures")
    parser.add_argument("--all", action="store_true", help="every structure and revision")
    parser.add_argument(
        "--format", metavar="F", help="text, md or svg (default: text; with -o: md and svg)"
    )
    parser.add_argument("-o", "--output", metavar="DIR", help="write files there")
    parser.add_argument("--revision", metavar="R", help="an earlier draft's layout")
    parser.add_argument(
        "--diff",
        action="store_true",
        help="what changed between two NAMEs, or in each draft of one",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    if arguments.diff and arguments.all:
        raise UsageError("--diff goes with one NAME or two, not with --all")
    if arguments.diff:
        return layout_diff.run(arguments.names, arguments.format, arguments.output)
    if arguments.format is not None and arguments.format not in pages.FORMATS:
        raise UsageError(f"unknown format {arguments.format}; there are {', '.join(pages.FORMATS)}")
    if bool(arguments.names) == arguments.all:
        raise UsageError("layout needs the names of structures, or --all")
    if arguments.all and arguments.revision is not None:
        raise UsageError("--all has every revision; --revision goes with a NAME")
    formats = (arguments.format,) if arguments.format else pages.PUBLISHED
    if arguments.all and arguments.output:
        written = pages.write_all(Path(arguments.output), formats)
        print(f"{len(written)} files in {arguments.output}")
        return 0
    classes = (
        pages.published()
        if arguments.all
        else [find(name, arguments.revision) for name in arguments.names]
    )
    if arguments.output:
        check_folder_of(Path(arguments.output))
        for path in pages.write(Path(arguments.output), pages.pages(classes, formats)):
            print(path)
        return 0
    render = pages.FORMATS[arguments.format or "text"].render
    print("\n\n".join(render(cls).rstrip("\n") for cls in classes))
    return 0
