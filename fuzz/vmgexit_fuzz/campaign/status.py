"""The state of a campaign, read from its folder, while it runs or afterwards."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from dataclasses import dataclass

from ..targets import TARGETS
from . import runs, statistics
from .figures import Figures, ago, duration
from .findings import Record, records
from .folder import Directory
from .runs import Run
from .statistics import Line
from .untrusted import files, typed


@dataclass(slots=True)
class Status:
    """One campaign at one time."""

    directory: Directory
    lines: list[Line]
    findings: list[Record]
    corpus: int
    newest: float  # when the newest input was kept; seconds since 1970
    process: str  # that runs it, or an empty string
    now: float
    runs: list[Run]
    unit: str  # of steps

    NOTE = (
        "unseen: an estimate (Good and Turing) of the share of states that inputs from nothing can reach,"
        " but have not reached yet; and how many inputs it rests on"
    )

    @classmethod
    def of(cls, directory: Directory) -> Status:
        """Read it. Raises OSError where it cannot be read."""
        times = [path.stat().st_mtime for path in files(directory.corpus)]
        target = TARGETS.get(typed(directory.read().get("target"), ""))
        return cls(
            directory,
            statistics.read(directory.statistics),
            list(records(directory.findings)),
            len(times),
            max(times, default=0.0),
            _process(directory),
            time.time(),
            runs.read(directory.runs),
            target.steps if target else Figures().unit,
        )

    def facts(self) -> dict[str, str]:
        """The campaign as a whole, each fact under its name."""
        texts = self.texts()
        found = {name: texts.pop(name) for name in ("findings", "unseen")}
        return {
            "state": f"running, process {self.process}" if self.process else "not running",
            "elapsed": texts.pop("elapsed"),
            "remaining": self._remaining(),
            **texts,
            "last new": self._ago(self.newest),
            **found,
            "last find": self._ago(max((record.first for record in self.findings), default=0.0)),
        }

    def texts(self) -> dict[str, str]:
        """The facts that are the same whenever they are looked at: those of the report, too."""
        unseen = statistics.unseen(self.lines)
        share = f"{unseen[0]:.2%} of {unseen[1]:,}" if unseen else "not measured"
        return {**self.figures().texts(), "unseen": share}

    def figures(self) -> Figures:
        """What all workers did in all runs."""
        known = sum(record.known for record in self.findings)
        return Figures(
            unit=self.unit,
            seconds=runs.seconds(self.runs, self.lines, self.now if self.process else 0.0),
            inputs=sum(line.inputs for line in self.lines),
            steps=sum(line.steps for line in self.lines),
            findings=len(self.findings) - known,
            known=known,
            coverage=max((line.coverage for line in self.lines), default=0),
            corpus=self.corpus,
            restarts=sum(line.restarts for line in self.lines),
        )

    def worker_rows(self) -> Iterator[tuple[str, ...]]:
        """A row for each worker; its part of the inputs a second."""
        seconds = self.figures().seconds
        for number in sorted({line.worker for line in self.lines}):
            lines = [line for line in self.lines if line.worker == number]
            inputs = sum(line.inputs for line in lines)
            yield (
                str(number),
                lines[-1].kind,
                f"{inputs:,}",
                f"{inputs / seconds:,.0f}" if seconds else "0",
                f"{lines[-1].coverage:,}",
                self._ago(lines[-1].at),
            )

    def _remaining(self) -> str:
        if not self.process or not self.runs:
            return "-"
        run = self.runs[-1]
        return duration(max(run.began + run.limit - self.now, 0)) if run.limit else "no limit"

    def _ago(self, at: float) -> str:
        """How long ago a time since 1970 was; 0: it never was."""
        return ago(self.now - at) if at else "-"


def _process(directory: Directory) -> str:
    try:
        with (directory.path / "lock").open("r+") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return stream.read().strip()
    except OSError:
        pass
    return ""
