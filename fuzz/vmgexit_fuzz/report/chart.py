"""Step charts over a campaign's time, as numbers for the template to draw.

Places are per cent of the drawing's width and height, so that lines stretch to the page and text does
not. The time between the campaigns that filled one folder is cut out of the axis.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from ..campaign.figures import duration
from ..campaign.statistics import Line
from .load import pauses

_TICKS = 5  # at most, on an axis
_TIME_STEPS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 10800, 21600, 43200)


@dataclass(frozen=True, slots=True)
class Tick:
    """A place on an axis, in per cent, and what stands there."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Series:
    """One line: its name, its path in a square of 1000, its last value."""

    name: str
    path: str
    last: float


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing. `pauses` are places, in per cent, where time was cut out of the axis."""

    title: str
    summary: str  # of what is drawn, for those who do not see it
    series: list[Series]
    across: list[Tick]
    up: list[Tick]
    pauses: list[float]


@dataclass(slots=True)
class Clock:
    """Campaign time: seconds since the start, without pauses."""

    lines: list[Line]
    start: float = 0.0
    seconds: float = 0.0  # in all
    # From, to; as told in `Line.at`.
    pauses: list[tuple[float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.lines:
            self.start = min(line.at - line.seconds for line in self.lines)
            self.pauses = list(pauses(self.lines))
            self.seconds = self.at(self.lines[-1].at)

    def at(self, time: float) -> float:
        """The campaign time of a time since 1970; one inside a pause is that of its beginning."""
        cut = sum(min(time, end) - start for start, end in self.pauses if time > start)
        return max(time - self.start - cut, 0.0)

    def share(self, time: float) -> float:
        """The same in per cent of the whole."""
        return min(100 * self.at(time) / self.seconds, 100.0) if self.seconds else 0.0


def chart(title: str, clock: Clock, values: dict[str, list[tuple[float, float]]]) -> Chart:
    """A chart of lines by name, each of (time since 1970, value) by time."""
    most = max((value for points in values.values() for _, value in points), default=0)
    step = nice_step(most)
    top = max(math.ceil(most / step), 1) * step
    return Chart(
        title,
        f"{title} over {duration(clock.seconds)}: "
        + "; ".join(f"{name} ends at {points[-1][1]:,.0f}" for name, points in values.items()),
        [
            Series(
                name, _path(((clock.share(at), value / top) for at, value in points)), points[-1][1]
            )
            for name, points in values.items()
        ],
        [Tick(100 * at / clock.seconds, duration(at)) for at in _times(clock.seconds)],
        [Tick(100 - 100 * value / top, f"{value:,.0f}") for value in _multiples(step, top)],
        [clock.share(start) for start, _ in clock.pauses],
    )


def nice_step(most: float) -> float:
    """The step of an axis up to `most`: 1, 2 or 5 times a power of ten, and a whole number."""
    power = 10.0 ** math.floor(math.log10(max(most / _TICKS, 1)))
    return next(power * times for times in (1, 2, 5, 10) if power * times * _TICKS >= most)


def _multiples(step: float, top: float) -> list[float]:
    return [step * number for number in range(round(top / step) + 1)]


def _times(seconds: float) -> list[float]:
    if not seconds:
        return []
    days = itertools.count(86400, 86400)
    step = next(s for s in itertools.chain(_TIME_STEPS, days) if s * _TICKS >= seconds)
    return [step * number for number in range(int(seconds / step) + 1)]


def _path(points: Iterable[tuple[float, float]]) -> str:
    """A line of steps to the right edge; of points that fall on one place the last."""
    places = {round(10 * x): round(1000 * (1 - y)) for x, y in points}
    parts: list[str] = []
    last = None
    for x, y in places.items():
        if last is None:
            parts.append(f"M{x} {y}")
        elif y != last:
            parts.append(f"H{x}V{y}")
        last = y
    return "".join(parts) + "H1000"
