"""What a diagram is: states with transitions, or messages between actors in time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class States:
    """A state diagram. The first state is the initial one; `edges` are from, to and labels."""

    title: str
    about: str
    states: tuple[str, ...]
    edges: tuple[tuple[str, str, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class Sequence:
    """A sequence diagram. A message from an actor to itself is something that it does alone."""

    title: str
    about: str
    actors: tuple[str, ...]
    messages: tuple[tuple[str, str, str], ...]  # from, to, text


Diagram = States | Sequence
