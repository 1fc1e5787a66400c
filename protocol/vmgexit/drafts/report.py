"""What a comparison says: findings, which are mistakes, and notes, which are none."""

from __future__ import annotations

from dataclasses import dataclass

_LONGEST = 400  # letters; what stands in a draft's cell may be pages


@dataclass(frozen=True, slots=True)
class Remark:
    """One line about one place of a draft."""

    place: str
    text: str
    clause: str = ""
    is_finding: bool = True

    def __str__(self) -> str:
        cited = f" [{self.clause}]" if self.clause else ""
        text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in self.text)
        return f"{self.place}: {'' if self.is_finding else 'note: '}{text[:_LONGEST]}{cited}"


def note(place: str, text: str) -> Remark:
    return Remark(place, text, is_finding=False)
