"""A word whose value a source spells out, against its declaration."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from vmgexit.schema import Bits


@dataclass(frozen=True)
class Worked:
    """`value` read as `layout`: `fields` are all that are not zero, where they are given; `broken` is the
    first field that breaks a rule."""

    value: int
    layout: type[Bits]
    fields: dict[str, Any] = field(default_factory=dict)
    broken: str = ""

    def __str__(self) -> str:
        return f"{self.layout.declaration.name}={self.value:#x}"

    def check(self) -> None:
        word = self.layout.of(self.value)
        if self.fields:
            assert word == self.layout(**self.fields)
            assert int(self.layout(**self.fields)) == self.value
        assert next((problem.path for problem in word.problems()), "") == self.broken
