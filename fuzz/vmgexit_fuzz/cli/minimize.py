"""`vmgexit fuzz minimize`: an input of a finding, made shorter."""

from __future__ import annotations

import argparse

from vmgexit.errors import VmgexitError
from vmgexit.files import write

from ..campaign.findings import Store, described, shown
from ..campaign.minimize import minimized
from ..targets import as_finding
from .inputs import add_inputs, inputs


def register(parser: argparse.ArgumentParser) -> None:
    """Add the action's arguments."""
    parser.description = (
        "Shorten a finding's input without the limits of a campaign, by commands first,"
        " then by arguments; the cause stays what it is."
    )
    add_inputs(parser)
    parser.set_defaults(run=_minimize)


def _minimize(arguments: argparse.Namespace) -> int:
    for this in inputs(arguments):
        data = this.read()
        try:
            this.target.run(data)
        except (Exception, SystemExit) as error:
            finding = as_finding(error)
        else:
            raise VmgexitError(f"{this.path}: no finding, one to be shortened expected")
        shorter = data
        while True:  # what is simpler may let more be left out
            again = minimized(this.target, shorter, finding.cause, tries=1 << 20)
            if again == shorter:
                break
            shorter = again
        print(f"{this.path}: {len(data)} bytes, {len(shorter)} now")
        print(shown(this.target, finding, shorter))
        store = Store(this.path.parent)
        if shorter != data and finding.cause in store.records:
            store.keep(described(this.target, finding, shorter))
        elif shorter != data:
            write(this.path.with_suffix(".min.bin"), shorter)
    return 0
