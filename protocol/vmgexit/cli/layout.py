"""`vmgexit layout`: tables, drawings and declarations of structures, calls, exits and codes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..files import check_folder_of, write_output
from ..layout import pages
from ..layout.subjects import Subject, every, subject
from . import layout_diff
from .formatter import examples

ALL = "all"
"""Of `--format`: every one."""


def register(parser: argparse.ArgumentParser) -> None:
    parser.description = "Layouts in many formats, made from the declarations."
    parser.epilog = examples(
        "vmgexit layout ext-int-descriptor --format md",
        "vmgexit layout SVSM_CORE_PVALIDATE core-calls ghcb-exits",
        "vmgexit layout vmsa ghcb --format c -o snp.h",
        "vmgexit layout --all --format all -o layouts/",
        "vmgexit layout --diff doorbell-page@2024-05-16 doorbell-page",
    )
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="structures, calls, exits; or a list, as ghcb-exits",
    )
    parser.add_argument("--all", action="store_true", help="everything, in every revision")
    formats = ", ".join(pages.FORMATS)
    parser.add_argument(
        "--format",
        metavar="F",
        help=f"{formats}; or {ALL} (default: what the file's name says, else text; in a folder md and"
        " svg)",
    )
    parser.add_argument(
        "-o", "--output", metavar="PATH", help="a file; or a folder, which is there or ends in /"
    )
    parser.add_argument("--revision", metavar="R", help="an earlier draft's layout")
    parser.add_argument(
        "--diff",
        action="store_true",
        help="what changed between two NAMEs, or in each draft of one",
    )
    drawing = parser.add_argument_group("drawings (svg)")
    drawing.add_argument("--plain", action="store_true", help="no title, no source")
    drawing.add_argument("--theme", metavar="T", help="light, dark or auto (default: the reader's)")
    drawing.add_argument(
        "--compact",
        action="store_true",
        help="low rows of 16 bytes, as structures of many fields always have",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    if arguments.diff and arguments.all:
        raise UsageError("--diff goes with one NAME or two, not with --all")
    if arguments.diff:
        return layout_diff.run(arguments.names, arguments.format, arguments.output)
    if bool(arguments.names) == arguments.all:
        raise UsageError("layout needs the names of structures, calls or exits, or --all")
    if arguments.all and arguments.revision is not None:
        raise UsageError("--all has every revision; --revision goes with a NAME")
    formats = _formats(arguments)
    options = _drawing(arguments, formats)
    output = arguments.output
    if output and arguments.all and _is_folder(output):
        if not output.endswith("/"):
            check_folder_of(Path(output))
        written = pages.write_all(Path(output), formats, **options)
        print(f"{len(written)} files in {output}")
        return 0
    subjects = every() if arguments.all else _named(arguments)
    if output:
        return _write(output, subjects, formats, options)
    return _print(subjects, formats, options)


def _formats(arguments: argparse.Namespace) -> Sequence[str]:
    if arguments.format == ALL:
        return tuple(pages.FORMATS)
    if arguments.format is not None:
        pages.check_format(arguments.format)
        return (arguments.format,)
    if not arguments.output:
        return ("text",)
    suffix = Path(arguments.output).suffix
    said = [name for name, format in pages.FORMATS.items() if format.suffix == suffix]
    return said if said and not _is_folder(arguments.output) else pages.PUBLISHED


def _drawing(arguments: argparse.Namespace, formats: Sequence[str]) -> dict[str, Any]:
    """What is said of drawings, for the format that draws."""
    said: dict[str, Any] = {}
    if arguments.plain:
        said["plain"] = True
    if arguments.compact:
        said["compact"] = True
    if arguments.theme is not None:
        if arguments.theme not in pages.THEMES:
            themes = ", ".join(pages.THEMES)
            raise UsageError(f"unknown theme {arguments.theme}; there are {themes}")
        said["theme"] = arguments.theme
    if said and "svg" not in formats:
        raise UsageError(f"--{next(iter(said))} is for drawings; it goes with --format svg")
    return {"drawing": said} if said else {}


def _named(arguments: argparse.Namespace) -> list[Subject]:
    """What was asked for, each once."""
    found = (subject(name, arguments.revision) for name in arguments.names)
    return list({id(one): one for one in found}.values())


def _is_folder(output: str) -> bool:
    return output.endswith("/") or Path(output).is_dir()


def _made(
    subjects: Sequence[Subject], formats: Sequence[str], options: dict[str, Any]
) -> dict[str, bytes]:
    made = pages.pages(subjects, formats, **options)
    if not made:
        raise UsageError(f"{', '.join(formats)}: only structures have this form")
    return made


def _write(
    output: str, subjects: Sequence[Subject], formats: Sequence[str], options: dict[str, Any]
) -> int:
    made = _made(subjects, formats, options)
    if _is_folder(output):
        check_folder_of(Path(output))
        for path in pages.write(Path(output), made):
            print(path)
        return 0
    if len(made) > 1:
        raise UsageError(
            f"{output}: {len(made)} files need a folder: one that is there, or {output}/"
        )
    print(write_output(Path(output), *made.values()))
    return 0


def _print(subjects: Sequence[Subject], formats: Sequence[str], options: dict[str, Any]) -> int:
    if len(formats) > 1 or not pages.FORMATS[formats[0]].is_text:
        raise UsageError(f"{ALL if len(formats) > 1 else formats[0]} goes to files: say -o PATH")
    made = _made(subjects, formats, options)
    texts = (content.decode().rstrip("\n") for content in made.values())
    sys.stdout.write("\n\n".join(texts) + "\n")
    return 0
