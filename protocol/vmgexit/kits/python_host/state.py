"""What `state` tells beside numbers: which pages are private or shared, and the VMSAs of a vCPU."""

from __future__ import annotations

from typing import NamedTuple

PAGE = 4096


class Vmsa(NamedTuple):
    """A VMSA that a guest gave for one VMPL."""

    gpa: int
    features: int  # SEV_FEATURES, as RAX said
    starts: bool  # at once; else at the next INIT


class PageStates:
    """Which pages the guest made private or shared."""

    def __init__(self) -> None:
        self.runs: list[tuple[int, int, bool]] = []
        """First frame, frame after the last, whether private; in order, apart, and none beside its like."""

    def change(self, first: int, count: int, is_private: bool) -> None:
        """Make so many frames private or shared."""
        before, end = self.runs, first + count
        self.runs = []
        for start, stop, was in before:
            self._add(start, min(stop, first), was)
        self._add(first, end, is_private)
        for start, stop, was in before:
            self._add(max(start, end), stop, was)

    def _add(self, first: int, end: int, is_private: bool) -> None:
        if first >= end:
            return
        if self.runs and self.runs[-1][1:] == (first, is_private):
            self.runs[-1] = self.runs[-1][0], end, is_private
        else:
            self.runs.append((first, end, is_private))

    def told(self) -> list[list[int | str]]:
        return [
            [first * PAGE, end - first, "private" if is_private else "shared"]
            for first, end, is_private in self.runs
        ]
