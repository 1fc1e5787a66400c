"""What an invariant is, and what a broken one raises."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar


class Violation(Exception):
    """A broken invariant. `index` is the failing command's place in its scenario."""

    def __init__(self, invariant: Invariant, place: str, message: str, index: int) -> None:
        super().__init__(f"{invariant.name} at {place}: {message}")
        self.invariant = invariant
        self.place = place
        self.message = message
        self.index = index

    @property
    def cause(self) -> str:
        """What two findings of the same defect share: the invariant and the kind of place."""
        return f"{self.invariant.name} {self.place.partition(' of ')[0]}"


Wrong = list[tuple[str, str]]
"""Where something is wrong, and what, in words; empty where the invariant holds."""


@dataclass(frozen=True, slots=True, eq=False)
class Invariant:
    """A named rule: `name` is the clause, `meaning` its sentence.

    `check` gets the VM, the books of what happened before, and the step. It answers None where a step
    gives it nothing to compare that could be wrong; `when` says in words which steps do. Those
    `on_memory` judge machines with memory, and the others those without.
    """

    name: str
    meaning: str
    when: str
    check: Callable[[Any, Any, Any], Wrong | None]
    on_memory: bool = False


C = TypeVar("C", bound=Callable[[Any, Any, Any], "Wrong | None"])


def adding_to(
    invariants: list[Invariant], *, on_memory: bool = False
) -> Callable[..., Callable[[C], C]]:
    """The decorator that makes a function an invariant of `invariants`: name, sentence, `when`."""

    def invariant(name: str, meaning: str, *, when: str) -> Callable[[C], C]:
        def add(check: C) -> C:
            invariants.append(Invariant(name, meaning, when, check, on_memory))
            return check

        return add

    return invariant
