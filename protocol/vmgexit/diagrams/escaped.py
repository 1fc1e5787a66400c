"""Text for Mermaid, which reads some characters as its own."""

from __future__ import annotations

import re

_SPECIAL = re.compile(r"[#;<>&{}%\"\\]")


def escaped(text: str) -> str:
    """Text without what Mermaid reads as its own, lines kept apart by its line feed."""
    lines = (_SPECIAL.sub(lambda found: f"#{ord(found[0])};", line) for line in text.split("\n"))
    return "<br/>".join(lines)
