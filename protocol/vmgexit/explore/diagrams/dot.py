"""Diagrams as Graphviz DOT."""

from __future__ import annotations

import json

from .diagram import Diagram, Sequence, States


def render(diagram: Diagram) -> str:
    """The diagram's DOT source."""
    body = _sequence(diagram) if isinstance(diagram, Sequence) else _states(diagram)
    head = [f"digraph {{ label={_quoted(diagram.title)}; labelloc=t; fontname=sans;"]
    return "\n".join(
        [*head, "  node [fontname=sans]; edge [fontname=sans, fontsize=11];", *body, "}", ""]
    )


def _states(diagram: States) -> list[str]:
    lines = ["  node [shape=box, style=rounded];"]
    lines += [f"  {_quoted(state)};" for state in diagram.states]
    for before, after, labels in diagram.edges:
        label = _quoted("\n".join(labels))
        lines.append(f"  {_quoted(before)} -> {_quoted(after)} [label={label}];")
    return lines


def _sequence(diagram: Sequence) -> list[str]:
    """Life lines as chains of points, one rank for each message."""
    lines = ["  node [shape=point]; edge [arrowhead=none, style=dotted];"]
    for actor in diagram.actors:
        lines.append(f"  {_quoted(actor)} [shape=box];")
        points = [f"{actor}{index}" for index in range(len(diagram.messages))]
        lines.append(f"  {' -> '.join(map(_quoted, [actor, *points]))};")
    lines.append("  edge [arrowhead=normal, style=solid, constraint=false];")
    for index, (before, after, text) in enumerate(diagram.messages):
        rank = "; ".join(_quoted(f"{actor}{index}") for actor in diagram.actors)
        lines.append(f"  {{ rank=same; {rank}; }}")
        ends = f"{_quoted(f'{before}{index}')} -> {_quoted(f'{after}{index}')}"
        lines.append(f"  {ends} [label={_quoted(text)}];")
    return lines


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
