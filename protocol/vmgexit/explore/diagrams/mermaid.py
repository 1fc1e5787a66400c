"""Diagrams as Mermaid text, which many Markdown viewers draw."""

from __future__ import annotations

from .diagram import Diagram, Sequence


def render(diagram: Diagram) -> str:
    """The diagram's Mermaid source."""
    if isinstance(diagram, Sequence):
        lines = ["sequenceDiagram"]
        lines += [f"    participant {actor}" for actor in diagram.actors]
        lines += [f"    {a}->>{b}: {text}" for a, b, text in diagram.messages]
    else:
        names = {state: f"s{index}" for index, state in enumerate(diagram.states)}
        lines = ["stateDiagram-v2", f"    [*] --> {names[diagram.states[0]]}"]
        lines += [f'    state "{state}" as {name}' for state, name in names.items()]
        lines += [
            f"    {names[a]} --> {names[b]}: {', '.join(labels)}" for a, b, labels in diagram.edges
        ]
    return "\n".join([f"%% {diagram.title}", *lines, ""])
