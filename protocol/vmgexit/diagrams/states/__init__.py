"""State diagrams: what the explorer visited, laid out by Graphviz where a picture is asked for."""

from __future__ import annotations

from collections.abc import Callable

from . import dot, mermaid, svg
from .diagram import States, model

FORMATS: dict[str, Callable[[States], str]] = {
    "mermaid": mermaid.render,
    "dot": dot.render,
    "json": model,
    "svg": svg.render,
}
"""By the name of the format. A picture needs Graphviz's `dot`, and nothing else does."""

__all__ = ["FORMATS", "States"]
