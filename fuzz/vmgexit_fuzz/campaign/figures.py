"""How far a campaign has come, in figures. `run`, `status` and the report show these and no others."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from vmgexit.counting import count_of

# What a narrow line leaves out, the first of these first.
_SPARED = ("restarts", "corpus", "coverage", "steps")


_count = partial(count_of, separator=",")


@dataclass(slots=True)
class Figures:
    """Sums over all workers. `findings` are those that nobody marked as known."""

    unit: str = "commands"  # of steps; more than one
    seconds: float = 0.0  # that it ran
    inputs: int = 0
    steps: int = 0
    findings: int = 0
    known: int = 0
    coverage: int = 0  # the most counters that a worker reached
    corpus: int = 0  # inputs kept
    restarts: int = 0  # after a process died

    def texts(self) -> dict[str, str]:
        """Each figure by its name, as it is shown everywhere."""
        return {
            "elapsed": f"{self.seconds:.1f} s" if self.seconds < 10 else duration(self.seconds),
            "inputs": f"{self.inputs:,}",
            "inputs/s": self._rate(self.inputs),
            self.unit: f"{self.steps:,}",
            f"{self.unit}/s": self._rate(self.steps),
            "coverage": f"{self.coverage:,}",
            "corpus": f"{self.corpus:,}",
            "findings": f"{self.findings}{self._beside()}",
            "restarts": f"{self.restarts:,}",
        }

    def line(self, times: str = "", width: int = 0) -> str:
        """All in one line, which begins with `times` and has no more than `width` letters where that can
        be; 0: however many it takes."""
        told = self.texts()
        parts = {
            "inputs": f"{_count(self.inputs, 'input')} ({told['inputs/s']}/s)",
            "steps": f"{_count(self.steps, self.unit[:-1])} ({told[f'{self.unit}/s']}/s)",
            "findings": _count(self.findings, "finding") + self._beside(),
            "coverage": f"coverage {told['coverage']}" * (self.coverage > 0),
            "corpus": f"corpus {told['corpus']}" * (self.corpus > 0),
            "restarts": _count(self.restarts, "restart") * (self.restarts > 0),
        }
        start = f"{times or told['elapsed']}: "
        for spared in ("", *_SPARED):
            parts.pop(spared, "")
            text = start + ", ".join(filter(None, parts.values()))
            if not width or len(text) <= width:
                break
        return text

    def _beside(self) -> str:
        """What is said of findings beside their number."""
        return f", {self.known} known" if self.known else ""

    def _rate(self, amount: int) -> str:
        return f"{amount / self.seconds:,.0f}" if self.seconds else "0"


def duration(seconds: float, most: int = 2) -> str:
    """A length of time for a person, in its two largest units, or in `most`."""
    whole = round(seconds)
    units = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
    parts = []
    for name, size in units:
        if whole >= size:
            parts.append(f"{whole // size} {name}")
            whole %= size
    return " ".join(parts[:most]) or "0 s"


def ago(seconds: float) -> str:
    """How long ago something was; 0 where clocks differ."""
    return f"{duration(max(seconds, 0), most=1)} ago"
