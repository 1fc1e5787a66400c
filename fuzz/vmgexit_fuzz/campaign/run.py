"""One run of a campaign, from its folder to its closing lines."""

from __future__ import annotations

import contextlib
import hashlib
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

from vmgexit.errors import VmgexitError
from vmgexit.files import write

from . import runs
from .screen import command
from .status import Status
from .workers import Campaign, Settings


def run(settings: Settings, make: Callable[[Settings], Campaign] | None = None) -> int:
    """Run a campaign to its end and print its results: 0, or 1 with findings, 130 when interrupted.

    `make` makes it, where it is to be another kind of campaign.
    """
    directory = settings.directory
    with directory.used(**settings.about) as torn:
        campaign = (make or Campaign)(settings)
        if torn:
            campaign.screen.say(f"{directory.corpus}: {torn} torn inputs dropped")
        for data in settings.seeds:
            write(directory.corpus / hashlib.sha1(data).hexdigest(), data)
        this = runs.begin(directory.runs, settings.seconds)
        interrupted = False
        with _terminated_as_interrupted():
            try:
                campaign.go()
            except KeyboardInterrupt:
                interrupted = True
        if campaign.error and not (campaign.progress.inputs or campaign.progress.causes):
            raise VmgexitError(campaign.error)  # it did not begin
        with contextlib.suppress(OSError):  # a full disk
            runs.end(directory.runs, this)
    _sum_up(campaign, interrupted)
    if campaign.error:
        raise VmgexitError(campaign.error)
    if interrupted:
        return 130
    return 1 if campaign.progress.causes else 0


def _sum_up(campaign: Campaign, interrupted: bool) -> None:
    """The closing lines: the figures, what was found, and what to do next."""
    progress, directory = campaign.progress, campaign.settings.directory
    status = Status.of(directory)
    whole = status.figures()
    is_first = len(status.runs) == 1
    if is_first:
        progress.seconds, progress.corpus = whole.seconds, whole.corpus
    summary = f"{campaign.settings.target.name}: {progress.line()}{', interrupted' * interrupted}"
    campaign.screen.say(summary, closing=True)
    if not is_first:
        print(f"in {len(status.runs)} runs: {whole.line()}")
    if not (progress.inputs or progress.causes):
        patience = campaign.settings.conditions.hang_seconds
        print(f"no input came to its end; --hang says how long that may take ({patience:g} s)")
    for cause, path in progress.causes.items():
        print(f"{'seen before' if cause in progress.old else 'new'}: {cause}: {path or 'no input'}")
    if whole.findings + whole.known:
        print(f"next: {command('triage', '--dir', directory.path)}")
    first = next(filter(None, progress.causes.values()), "")
    if first:
        print(f"next: {command('replay', Path(first))}")
    if not progress.causes:
        print(f"next: {command('report', '--dir', directory.path)}")


@contextlib.contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM ends a campaign as Ctrl-C does, so that no process is left behind."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
