"""Searching with the processes of a campaign, in the turns that a campaign with one worker has."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from vmgexit.errors import VmgexitError
from vmgexit_fuzz.campaign.folder import Directory
from vmgexit_fuzz.campaign.workers import Campaign, Settings
from vmgexit_fuzz.process.parent import INTERRUPTED
from vmgexit_fuzz.process.turns import Turns
from vmgexit_fuzz.targets import find

from .trial import Trial, TrialOutcome


def run(trial: Trial, *, kinds: list[str]) -> TrialOutcome:
    """Search until the first finding with the kinds of worker named, or the usual mix."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(
            find(trial.case.target),
            Directory.at(Path(folder)),
            trial.case.conditions,
            kinds=kinds,
            seed=trial.first,
        )
        with settings.directory.used(), Turns() as turns:
            return _searched(Campaign(settings), turns, trial)


def _searched(campaign: Campaign, turns: Turns, trial: Trial) -> TrialOutcome:
    seconds, inputs, turn = 0.0, 0, 0  # of the turns before
    while seconds < trial.seconds and (order := campaign.order(turn)):
        order.seeds = ""
        left = trial.seconds - seconds
        order.seconds = min(left, order.seconds or left)
        search = _Search(campaign)
        process = turns.process(order, search.told, stop=campaign.stop)
        started = time.monotonic()
        code = turns.run(process, order)
        campaign.spent[order.kind] += time.monotonic() - started
        if process.error or not process.ready:
            raise VmgexitError(process.error or f"code {code} before the start: {process.last}")
        if code in INTERRUPTED:
            raise KeyboardInterrupt
        if code:  # what ended the process is a finding too
            after = time.monotonic() - search.ready
            return TrialOutcome(
                True, seconds + after, inputs + process.inputs, process.death(code).cause
            )
        if search.found:
            told = search.found
            size = told.get("commands") or len(told["data"]) // 2
            done = inputs + search.inputs
            return TrialOutcome(True, seconds + search.after, done, told["cause"], size)
        seconds, inputs, turn = seconds + order.seconds, inputs + process.inputs, turn + 1
    return TrialOutcome(False, trial.seconds, inputs)


class _Search:
    """What one process tells, up to its first finding, which ends it."""

    def __init__(self, campaign: Campaign) -> None:
        self.campaign = campaign
        self.ready = time.monotonic()
        self.found: dict[str, Any] = {}
        self.after, self.inputs = 0.0, 0

    def told(self, told: dict[str, Any]) -> None:
        if "ready" in told:
            self.ready = time.monotonic()
        if "finding" in told and not self.found:
            self.found, self.after, self.inputs = told["finding"], told["after"], told["inputs"]
            self.campaign.stop.set()
