"""`vmgexit fuzz run`: runs a campaign."""

from __future__ import annotations

import argparse
import importlib.util
import re
import sys
from dataclasses import replace
from pathlib import Path

from vmgexit.cli.formatter import examples
from vmgexit.errors import UsageError

from ..campaign import cluster
from ..campaign.folder import Directory
from ..campaign.run import run
from ..campaign.workers import Settings
from ..process.kinds import KINDS
from ..targets import TARGETS, find
from .inputs import seeds
from .options import add_conditions, conditions, opened, positive, usual_folder


def register(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Fuzz a target until time or runs are used up, or until Ctrl-C. A finding does"
        " not end the campaign. Everything is on disk at once, so the same command continues a"
        " campaign, whatever ended it. Exits 1 when it met a finding that is not marked as known,"
        " 0 when it met none, 130 when it was interrupted."
    )
    parser.epilog = examples("vmgexit fuzz run scenario --workers 2 --time 60")
    parser.add_argument("target", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument(
        "--workers",
        type=positive,
        metavar="N",
        help="processes at a time (default: 1; on a cluster: as many as it has threads)",
    )
    parser.add_argument(
        "--cluster",
        type=_address,
        metavar="ADDRESS",
        help="run the processes on the nodes of a dask cluster; ADDRESS is HOST:PORT of its scheduler."
        " Start `dask scheduler`, and `dask worker ADDRESS` on each node; each needs this version of"
        " vmgexit[fuzz,cluster]",
    )
    parser.add_argument(
        "--dir", type=Path, metavar="DIR", help="the campaign's folder (.vmgexit/TARGET...)"
    )
    parser.add_argument("--time", type=positive, metavar="S", help="end after so many seconds")
    parser.add_argument(
        "--runs", type=positive, metavar="N", help="end after so many inputs, seeds included"
    )
    parser.add_argument("--seed", type=positive, metavar="N", help="where randomness starts")
    parser.add_argument(
        "--stop-on-finding", action="store_true", help="end with the first finding, new or old"
    )
    parser.add_argument(
        "--corpus", type=Path, metavar="DIR", help="where new inputs are kept (DIR/corpus)"
    )
    parser.add_argument(
        "--findings", type=Path, metavar="DIR", help="where findings are kept (DIR/findings)"
    )
    parser.add_argument(
        "--kinds",
        type=_kinds,
        default=[],
        metavar="KIND,...",
        help=f"kinds of worker: {', '.join(KINDS)} (default: the usual mix)",
    )
    parser.add_argument(
        "--seeds",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="a folder of inputs to begin with, or of JSON lines for targets of scenarios; may be repeated",
    )
    parser.add_argument("--quiet", action="store_true", help="print the closing lines only")
    add_conditions(parser)
    parser.set_defaults(run=_run)


def _address(text: str) -> str:
    if not re.fullmatch(r"(tcp://)?[^\s/]+:\d{1,5}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return text


def _kinds(text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in KINDS:
            raise argparse.ArgumentTypeError(f"{name!r} is not one of {', '.join(KINDS)}")
    return names


def _run(arguments: argparse.Namespace) -> int:
    row, under = find(arguments.target), conditions(arguments)
    target = opened(row, replace(under, plant=""))  # an error is told here, not by the child
    if arguments.profile is None and target.follows not in ("", under.profile):
        hint = f"the peer says that it follows --profile {target.follows}"
        print(f"{hint}; it is held against {under.profile}", file=sys.stderr)
    if not arguments.cluster:
        _engine()
    home = arguments.dir or usual_folder(row, under)
    settings = Settings(
        target=row,
        conditions=under,
        directory=Directory.at(home, arguments.corpus, arguments.findings),
        workers=arguments.workers or 1,
        kinds=arguments.kinds,
        seconds=arguments.time,
        runs=arguments.runs,
        seed=arguments.seed,
        stop_on_finding=arguments.stop_on_finding,
        quiet=arguments.quiet,
        seeds=[data for folder in arguments.seeds for data in seeds(folder, row)],
    )
    if arguments.cluster:
        return cluster.run(settings, arguments.cluster, arguments.workers)
    return run(settings)


def _engine() -> None:
    if importlib.util.find_spec("atheris") is None:
        raise UsageError(
            "fuzz run needs atheris, which has wheels for Linux on x86-64 only:"
            " pip install 'vmgexit[fuzz]'"
        )
