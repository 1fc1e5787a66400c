"""The state of a campaign, read from its folder, while it runs or afterwards."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from dataclasses import dataclass

from . import statistics
from .findings import Record, records
from .folder import Directory
from .statistics import Line
from .untrusted import files

RECENT_SECONDS = 20.0  # over which a rate is taken


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

    NOTE = (
        "unseen: an estimate (Good and Turing) of the share of states that inputs from nothing can reach,"
        " but have not reached yet; and how many inputs it rests on"
    )

    @classmethod
    def of(cls, directory: Directory) -> Status:
        """Read it. Raises OSError where it cannot be read."""
        times = [path.stat().st_mtime for path in files(directory.corpus)]
        return cls(
            directory,
            statistics.read(directory.statistics),
            list(records(directory.findings)),
            len(times),
            max(times, default=0.0),
            _process(directory),
            time.time(),
        )

    def facts(self) -> dict[str, str]:
        """The campaign as a whole, each fact under its name."""
        figures = self.figures()
        found = {name: figures.pop(name) for name in ("findings", "unseen")}
        state = f"running, process {self.process}" if self.process else "not running"
        newest = _ago(self.now - self.newest) if self.newest else "-"
        return {"state": state, **figures, "last new": newest, **found}

    def figures(self) -> dict[str, str]:
        """The facts that are the same whenever they are looked at: those of the report, too."""
        known = sum(record.known for record in self.findings)
        unseen = statistics.unseen(self.lines)
        return {
            "inputs": f"{sum(line.inputs for line in self.lines):,}",
            "inputs/s": f"{self._rate(self.lines):,.0f}",
            "coverage": f"{max((line.coverage for line in self.lines), default=0):,}",
            "corpus": f"{self.corpus:,}",
            "findings": str(len(self.findings) - known) + (f", {known} known" if known else ""),
            "unseen": f"{unseen[0]:.2%} of {unseen[1]:,}" if unseen else "not measured",
        }

    def worker_rows(self) -> Iterator[tuple[str, ...]]:
        """A row for each worker."""
        for number in sorted({line.worker for line in self.lines}):
            lines = [line for line in self.lines if line.worker == number]
            yield (
                str(number),
                lines[-1].kind,
                f"{sum(line.inputs for line in lines):,}",
                f"{self._rate(lines):,.0f}",
                f"{lines[-1].coverage:,}",
                str(sum(line.restarts for line in lines)),
                _ago(self.now - lines[-1].at),
            )

    def _rate(self, lines: list[Line]) -> float:
        """Inputs a second over the last seconds, or over the last seconds before the campaign's end."""
        if not lines:
            return 0.0
        end = lines[-1].at
        recent = [line for line in lines if line.at > end - RECENT_SECONDS]
        workers = {line.worker for line in recent}
        seconds = sum(line.seconds for line in recent) / len(workers)
        return sum(line.inputs for line in recent) / seconds if seconds else 0.0


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


def _ago(seconds: float) -> str:
    if seconds < 120:
        return f"{max(seconds, 0):.0f} s ago"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min ago"
    return f"{seconds / 3600:.0f} h ago"
