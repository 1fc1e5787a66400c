"""Options that several actions share, and what they mean."""

from __future__ import annotations

import argparse
from dataclasses import fields, replace
from pathlib import Path

from vmgexit.errors import UsageError, VmgexitError

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
        "--peer",
        metavar="CMD",
        help="for the target peer: the program of the other implementation (specs/peer-protocol.md)",
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
    if target.takes_peer and not conditions.peer.strip():
        raise UsageError("the target peer needs --peer, a program and its arguments")
    target.start()
    target.close()
    return target


def add_directory(parser: argparse.ArgumentParser) -> None:
    """The option that names the folder of an existing campaign."""
    parser.add_argument(
        "--dir",
        type=Path,
        metavar="DIR",
        help=f"the campaign's folder (default: the only one in {HOME})",
    )


def campaign_directory(given: Path | None) -> Directory:
    """The campaign's folder: the given one, else the only one. Raises VmgexitError where several exist."""
    if given is None:
        found = sorted(path.parent for path in HOME.glob("*/campaign.json"))
        if len(found) != 1:
            names = ", ".join(map(str, found)) or "none"
            raise VmgexitError(f"--dir: which campaign? there are: {names}")
        given = found[0]
    directory = Directory.at(given)
    directory.read()
    return directory


def usual_folder(row: TargetRow, conditions: Conditions) -> Path:
    """Where a campaign is kept without `--dir`: what another profile or a planted bug finds is not
    known of the reference."""
    name = row.name
    if conditions.profile != USUAL.profile:
        name += f"-{slug(conditions.profile)}"
    if conditions.peer:
        name += f"-{slug(conditions.peer)}"
    if conditions.plant:
        name += f"-planted-{slug(conditions.plant)}"
    return HOME / name
