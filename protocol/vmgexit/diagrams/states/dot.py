"""State diagrams as Graphviz DOT: as people read it, and as the layout is asked for."""

from __future__ import annotations

import json

from ..sheet import CHARACTER, LINE
from .diagram import States

START = "start"
LABEL_MARGIN = 5  # pixels at each side of an edge's labels
_INCH = 72  # pixels, as dot counts its points


def render(diagram: States) -> str:
    """The diagram's DOT source."""
    lines = [
        f"digraph {{ label={_quoted(diagram.title)}; labelloc=t; fontname=sans;",
        "  node [fontname=sans, shape=box, style=rounded]; edge [fontname=sans, fontsize=11];",
        f"  {START} [shape=point, width=0.15];",
        f"  {START} -> {_quoted(diagram.states[0])};",
    ]
    lines += [
        f"  {_quoted(state)}{' [peripheries=2]' * (state in diagram.finals)};"
        for state in diagram.states
    ]
    for before, after, labels in diagram.edges:
        label = _quoted("\n".join(labels))
        lines.append(f"  {_quoted(before)} -> {_quoted(after)} [label={label}];")
    return "\n".join([*lines, "}", ""])


def sized(diagram: States) -> str:
    """The same for the layout alone: numbers for names, and a size for each label, so that no font of the
    machine decides what fits."""
    names = {state: f"n{number}" for number, state in enumerate(diagram.states)}
    lines = [
        'digraph { graph [nodesep=0.5, ranksep=0.35]; node [shape=box, fixedsize=true, label=""];',
        f"  {START} [shape=circle, width={16 / _INCH:.3f}, height={16 / _INCH:.3f}];",
        f"  {START} -> n0;",
    ]
    for state, name in names.items():
        width, height = state_size(state)
        lines.append(f"  {name} [width={width / _INCH:.3f}, height={height / _INCH:.3f}];")
    for number, (before, after, labels) in enumerate(diagram.edges):
        width, height = label_size(labels)
        cell = f'<TD FIXEDSIZE="TRUE" WIDTH="{width:.0f}" HEIGHT="{height:.0f}"></TD>'
        table = f'<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="0"><TR>{cell}</TR></TABLE>'
        lines.append(f"  {names[before]} -> {names[after]} [id=e{number}, label=<{table}>];")
    return "\n".join([*lines, "}", ""])


def label_size(labels: tuple[str, ...]) -> tuple[float, float]:
    """Width and height of an edge's labels, one beneath the other, in pixels."""
    return max(map(len, labels)) * CHARACTER + 2 * LABEL_MARGIN, len(labels) * LINE + 6


def state_size(state: str) -> tuple[float, float]:
    """Width and height of a state's box, in pixels."""
    return len(state) * CHARACTER + 28, LINE + 18


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
