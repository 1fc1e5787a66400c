"""Options that several actions share, and what they mean."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

from vmgexit.errors import UsageError, VmgexitError
from vmgexit.guests.profiles import GUESTS

from ..campaign.findings import slug
from ..campaign.folder import Directory
from ..targets import USUAL, Conditions, Target, TargetRow

MOST = (1 << 31) - 1  # of any number given
HOME = Path(".vmgexit")
"""Where campaigns are kept that name no folder."""


def positive(text: str) -> int:
    """A number from 1 to `MOST`."""
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is below 1")
    if value > MOST:
        raise argparse.ArgumentTypeError(f"{text} is above {MOST}")
    return value


def add_conditions(parser: argparse.ArgumentParser) -> None:
    """Under what an input runs."""
    parser.add_argument(
        "--profile", help="for targets with a machine: coconut, or names of quirks joined by commas"
    )
    parser.add_argument(
        "--guest",
        metavar="NAME",
        help=f"for targets with a machine: {' or '.join(GUESTS)}; only what that guest does is run",
    )
    parser.add_argument(
        "--peer",
        metavar="CMD",
        help="for targets of another implementation: its program (specs/peer-protocol.md)",
    )
    parser.add_argument(
        "--plant", metavar="MODULE:FUNCTION", help="a function that is called first, to plant a bug"
    )
    parser.add_argument(
        "--hang",
        dest="hang_seconds",
        type=positive,
        metavar="S",
        help=f"seconds after which an input is a hang ({USUAL.hang_seconds})",
    )


def conditions(arguments: argparse.Namespace, usual: Conditions = USUAL) -> Conditions:
    """What the command line says, else what is usual."""
    said = {field.name: getattr(arguments, field.name) for field in fields(Conditions)}
    return replace(usual, **{name: given for name, given in said.items() if given is not None})


def opened(row: TargetRow, conditions: Conditions) -> Target:
    """The target under conditions, whose peer was started once, so that one that does not start is
    told here; the target starts it again when it needs it. Raises UsageError, and PeerError."""
    target = row.open(conditions)
    if row.takes_peer and not conditions.peer.strip():
        raise UsageError(f"the target {row.name} needs --peer, a program and its arguments")
    target.start()
    target.close()
    return target


def add_directory(parser: argparse.ArgumentParser) -> None:
    """The option that names the folder of an existing campaign."""
    parser.add_argument(
        "--dir",
        type=Path,
        metavar="DIR",
        help=f"the campaign's folder (default: the one in {HOME} that began last)",
    )


def campaign_directory(given: Path | None) -> Directory:
    """The campaign's folder: the given one, else the newest. Raises VmgexitError where there is none."""
    if given is None:
        found = [Directory.at(path.parent) for path in sorted(HOME.glob("*/campaign.json"))]
        if not found:
            raise VmgexitError(f"no campaign in {HOME}; vmgexit fuzz run begins one")
        directory = newest(found)
    else:
        directory = Directory.at(given)
    directory.read()
    return directory


def newest(found: Sequence[Directory]) -> Directory:
    """The campaign that began last. Where there are others, standard error says which one it is."""
    *others, last = sorted(found, key=lambda directory: directory.began)
    if others:
        names = ", ".join(str(directory.path) for directory in others)
        print(f"{last.path}: the newest campaign; --dir names another: {names}", file=sys.stderr)
    return last


def usual_folder(row: TargetRow, conditions: Conditions) -> Path:
    """Where a campaign is kept without `--dir`: what another profile or a planted bug finds is not
    known of the reference."""
    name = row.name
    if conditions.profile != USUAL.profile:
        name += f"-{slug(conditions.profile)}"
    if conditions.guest:
        name += f"-{slug(conditions.guest)}"
    if conditions.peer:
        name += f"-{slug(conditions.peer)}"
    if conditions.plant:
        name += f"-planted-{slug(conditions.plant)}"
    return HOME / name
