"""Options that several actions share, and what they mean."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from vmgexit.errors import UsageError, VmgexitError

from ..campaign.findings import slug
from ..campaign.folder import Directory
from ..targets import ANSWERS_IN_A_HANG, Target, peer

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


def add_conditions(parser: argparse.ArgumentParser, *, recorded: bool = False) -> None:
    """Under what an input runs; for an input whose record says so, only what is to differ."""
    parser.add_argument(
        "--profile",
        default=None if recorded else "reference",
        help="of targets with a machine: quirks, or coconut",
    )
    parser.add_argument(
        "--peer",
        default=None if recorded else "",
        metavar="CMD",
        help="of peer: the other implementation's program (specs/peer-protocol.md)",
    )
    parser.add_argument(
        "--plant",
        default=None if recorded else "",
        metavar="MODULE:FUNCTION",
        help="called first, to plant a bug",
    )
    parser.add_argument(
        "--hang",
        type=positive,
        metavar="S",
        default=None if recorded else 20,
        help="seconds until one input is a hang (20)",
    )


def add_directory(parser: argparse.ArgumentParser) -> None:
    """The folder of a campaign that there is."""
    parser.add_argument(
        "--dir",
        type=Path,
        metavar="DIR",
        help=f"the campaign's folder; without, the one in {HOME}, if there is one only",
    )


def campaign_directory(given: Path | None) -> Directory:
    """The campaign's folder that is meant. Raises VmgexitError when there is none, or which is open."""
    if given is None:
        found = sorted(path.parent for path in HOME.glob("*/campaign.json"))
        if len(found) != 1:
            names = ", ".join(map(str, found)) or "none"
            raise VmgexitError(f"--dir: which campaign? there are: {names}")
        given = found[0]
    directory = Directory.at(given)
    directory.read()
    return directory


def usual_folder(target: Target, profile: str, peer: str, plant: str) -> Path:
    """Where a campaign is kept without `--dir`: what another profile or a planted bug finds is not
    known of the reference."""
    name = target.name
    if profile != "reference":
        name += f"-{slug(profile)}"
    if peer:
        name += f"-{slug(peer)}"
    if plant:
        name += f"-planted-{slug(plant)}"
    return HOME / name


def use_peer(targets: list[Target], command: str, hang_seconds: float) -> None:
    """Start the peer and end it again, so that one that does not start is told here, once; the target
    starts it when it needs it."""
    if "peer" not in (target.name for target in targets):
        if command:
            raise UsageError("--peer: only the target peer has a use for it")
        return
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"--peer {command}: {error}") from None
    if not words:
        raise UsageError("the target peer needs --peer, a program and its arguments")
    peer.use(words, hang_seconds / ANSWERS_IN_A_HANG).restart()
    peer.close()
