"""What a trace adds up to: by exit code, how many, how many failed or went unanswered, how long.

Bounded whatever the trace holds. Latencies are counted in buckets, eight to each power of two, so a
median is within 7 % of the true one, while minimum and maximum are exact. Codes beyond the first
`ROWS` share one row.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..wire.exit_codes import exit_name
from .kvm import Line, Pair, State
from .names import msr_name

ROWS = 1024
_STEPS = 3  # bits of a latency that its bucket keeps, below the highest one


@dataclass(slots=True)
class Latencies:
    """Minimum, maximum and, nearly, the median of any number of latencies."""

    count: int = 0
    low: int = 0
    high: int = 0
    _buckets: dict[int, int] = field(default_factory=dict)

    def add(self, value: int) -> None:
        self.low = value if not self.count else min(self.low, value)
        self.high = max(self.high, value)
        self.count += 1
        # The lowest value of the bucket: the highest bits of the latency, the others 0.
        shift = max(0, value.bit_length() - 1 - _STEPS)
        bucket = value >> shift << shift
        self._buckets[bucket] = self._buckets.get(bucket, 0) + 1

    def median(self) -> int:
        """The middle of the bucket that the median lies in; 0 without latencies."""
        left = (self.count + 1) // 2
        for bucket in sorted(self._buckets):
            left -= self._buckets[bucket]
            if left <= 0:
                shift = max(0, bucket.bit_length() - 1 - _STEPS)
                return min(max(bucket + (1 << shift) // 2, self.low), self.high)
        return 0


@dataclass(slots=True)
class Row:
    """One exit code, or one request of the MSR protocol."""

    msr: bool
    code: int | None  # None: the codes that have no row of their own
    count: int = 0
    errors: int = 0
    unpaired: int = 0
    latencies: Latencies = field(default_factory=Latencies)

    @property
    def name(self) -> str:
        if self.code is None:
            return "further codes"
        return msr_name(self.code) if self.msr else exit_name(self.code)

    def as_dict(self) -> dict[str, Any]:
        return {
            "protocol": "msr" if self.msr else "ghcb",
            "name": self.name,
            "code": self.code,
            "count": self.count,
            "errors": self.errors,
            "unpaired": self.unpaired,
            "latency": {
                "count": self.latencies.count,
                "min": self.latencies.low,
                "median": self.latencies.median(),
                "max": self.latencies.high,
            },
        }


@dataclass(slots=True)
class Summary:
    """The whole trace."""

    lines: int = 0
    other: int = 0
    malformed: int = 0
    lost: int = 0
    rmp_faults: int = 0
    answers: int = 0  # exits that the trace has, whether or not their entries are there
    raw_time: bool | None = None  # latencies are counter values, not nanoseconds; None: none yet
    _rows: dict[tuple[bool, int | None], Row] = field(default_factory=dict)

    @property
    def has_nothing(self) -> bool:
        """Whether no line is of a tracepoint that we know, or tells of lost ones."""
        return self.other == self.lines and not (self.rmp_faults or self.lost)

    def pass_by(self, kind: Line, lost: int) -> None:
        """Count a line that is not an event, and the `lost` events that it tells of."""
        if kind is Line.MALFORMED:
            self.malformed += 1
        else:
            self.other += 1
        self.lost += lost

    def add(self, pair: Pair) -> None:
        """Count `pair` under its request's code; a lone response under its own."""
        event = pair.either
        self.answers += pair.response is not None
        row = self._row(event.msr, event.code)
        row.count += 1
        if pair.state is State.FAILED:
            row.errors += 1
        elif pair.state is State.UNPAIRED:
            row.unpaired += 1
        latency = pair.latency
        if latency is None:
            return
        if self.raw_time is None:
            self.raw_time = event.raw_time
        if event.raw_time == self.raw_time:
            row.latencies.add(latency)

    def _row(self, msr: bool, code: int | None) -> Row:
        row = self._rows.get((msr, code))
        if row is None:
            if len(self._rows) >= ROWS and code is not None:
                return self._row(msr, None)
            row = self._rows[msr, code] = Row(msr, code)
        return row

    def rows(self) -> list[Row]:
        """By protocol and code; the shared rows last."""
        return sorted(
            self._rows.values(), key=lambda row: (row.msr, row.code is None, row.code or 0)
        )

    def totals(self) -> dict[str, int]:
        rows = self._rows.values()
        return {
            "lines": self.lines,
            "pairs": sum(row.count for row in rows),
            "errors": sum(row.errors for row in rows),
            "unpaired": sum(row.unpaired for row in rows),
            "malformed": self.malformed,
            "other": self.other,
            "lost": self.lost,
            "rmp_faults": self.rmp_faults,
        }

    def as_dict(self) -> dict[str, Any]:
        unit = "counter" if self.raw_time else "ns"
        return {
            **self.totals(),
            "latency_unit": unit,
            "codes": [row.as_dict() for row in self.rows()],
        }
