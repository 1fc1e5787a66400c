"""State diagrams as Mermaid text, which many Markdown viewers draw."""

from __future__ import annotations

from ..escaped import escaped
from .diagram import States


def render(diagram: States) -> str:
    """The diagram's Mermaid source."""
    names = {state: f"s{index}" for index, state in enumerate(diagram.states)}
    return "\n".join(
        [
            f"%% {diagram.title}",
            "stateDiagram-v2",
            f"    [*] --> {names[diagram.states[0]]}",
            *(f'    state "{escaped(state)}" as {name}' for state, name in names.items()),
            *(
                f"    {names[a]} --> {names[b]}: {escaped(', '.join(labels))}"
                for a, b, labels in diagram.edges
            ),
            *(f"    {names[state]} --> [*]" for state in diagram.finals),
            "",
        ]
    )
