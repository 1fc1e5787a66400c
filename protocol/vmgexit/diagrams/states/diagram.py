"""What a state diagram is."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from ..abbreviations import explained

Edge = tuple[str, str, tuple[str, ...]]
"""From, to, and the labels of all ways that lead there."""


@dataclass(frozen=True, slots=True)
class States:
    """A state diagram. The first state is the initial one; `terms` explain labels and states."""

    title: str
    about: str
    states: tuple[str, ...]
    edges: tuple[Edge, ...]
    terms: tuple[tuple[str, str], ...]

    @property
    def finals(self) -> tuple[str, ...]:
        """The states that no edge leaves for another."""
        left = {before for before, after, _ in self.edges if before != after}
        return tuple(state for state in self.states if state not in left)

    @property
    def legend(self) -> tuple[tuple[str, str], ...]:
        """The terms, and the abbreviations of anything that is said."""
        said = [
            self.title,
            self.about,
            *self.states,
            *(text for term in self.terms for text in term),
        ]
        said += [label for _, _, labels in self.edges for label in labels]
        return (*self.terms, *explained(said))


def model(diagram: States) -> str:
    """The diagram as JSON, which says all that a drawing shows, and nothing of where it stands."""
    told = asdict(diagram) | {"finals": diagram.finals, "legend": diagram.legend}
    del told["terms"]
    return json.dumps(told, indent=1, ensure_ascii=False) + "\n"


def graph(
    initial: str, edges: Iterable[tuple[str, str, str]], states: tuple[str, ...] = ()
) -> tuple[tuple[str, ...], tuple[Edge, ...]]:
    """The states, in the order given or else of their distance from the first; edges with all their
    labels."""
    together: dict[tuple[str, str], set[str]] = {}
    for before, after, label in edges:
        together.setdefault((before, after), set()).add(label)
    order = list(states) or [initial]
    for state in () if states else order:
        order += [b for a, b in sorted(together) if a == state and b not in order]
    ranked = sorted(together.items(), key=lambda item: tuple(map(order.index, item[0])))
    return tuple(order), tuple((a, b, tuple(sorted(labels))) for (a, b), labels in ranked)
