"""`vmgexit fuzz minimize`: makes the input of a finding shorter."""

from __future__ import annotations

import argparse

from vmgexit.cli.formatter import examples
from vmgexit.errors import VmgexitError
from vmgexit.files import write

from ..campaign.findings import Store
from ..process.minimize import minimized
from .inputs import add_inputs, inputs


def register(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Shorten a finding's input without the limits of a campaign: first the commands,"
        " then the arguments. The cause of the finding stays the same."
    )
    parser.epilog = examples("vmgexit fuzz minimize ID")
    add_inputs(parser)
    parser.set_defaults(run=_minimize)


def _minimize(arguments: argparse.Namespace) -> int:
    for path, data, target in inputs(arguments):
        finding, _ = target.examine(data)
        if finding is None:
            raise VmgexitError(f"{path}: no finding, one to be shortened expected")
        shorter = data
        while True:  # what is simpler may let more be left out
            again = minimized(target, shorter, finding.cause, tries=1 << 20)
            if again == shorter:
                break
            shorter = again
        now, text = target.examine(shorter)
        told = target.described(now or finding, shorter, text)
        print(f"{path}: {len(data)} bytes, {len(shorter)} now\n{told['text']}")
        store = Store(path.parent)
        if shorter != data and finding.cause in store.records:
            store.keep(told)
        elif shorter != data:
            write(path.with_suffix(".min.bin"), shorter)
    return 0
